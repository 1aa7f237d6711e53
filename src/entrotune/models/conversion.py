"""GGUF files become safetensors folders once, in a cache, so that later starts take a second."""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from entrotune.errors import UserError
from entrotune.files import atomic_write_json
from entrotune.models.quiet import quiet_transformers
from entrotune.models.weights import CONVERTED_RECORD, hash_weight_files, make_readable


def cache_root() -> Path:
    """ENTROTUNE_CACHE, else XDG_CACHE_HOME/entrotune, else ~/.cache/entrotune."""
    given = os.environ.get("ENTROTUNE_CACHE")
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "entrotune"


def converted_folder(key: str) -> Path:
    """Where the converted copy with this key is, or would be."""
    return cache_root() / "models" / key


def convert_gguf(file: Path, name: str, *, key: str | None = None) -> Path:
    """Convert a GGUF file to float32 safetensors with its tokenizer in the cache; return that folder.

    The first call for a file takes about 20 seconds for each 100 MB and says so on stderr; later calls find the copy
    by the file's SHA-256 (or by `key`). The copy appears under its name only when complete, and of two processes
    that ask at once one converts and the other waits.

    Raises:
        UserError: the file is truncated, corrupt, of an unknown architecture, or the cache cannot be written.
    """
    sha256 = hash_weight_files(file)
    target = converted_folder(key or f"gguf-{sha256[:24]}")
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not target.is_dir():
                _convert_into(file, name, sha256, target)
    except OSError as error:
        raise UserError(
            f"model '{name}' could not be converted in '{target.parent}' ({error}); "
            "free some space there, or name another cache folder in ENTROTUNE_CACHE"
        ) from error
    return target


def _convert_into(file: Path, name: str, sha256: str, target: Path) -> None:
    # We hold the lock: whatever a killed conversion left here belongs to nobody.
    for stale in target.parent.glob(f".{target.name}.*.partial"):
        shutil.rmtree(stale)
    print(
        f"entrotune: converting {file.name} once to {target} (about 20 s per 100 MB) ...", file=sys.stderr, flush=True
    )
    start = time.perf_counter()
    model, tokenizer = _read_gguf(file, name)
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial"))
    try:
        with quiet_transformers():
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
        atomic_write_json(partial / CONVERTED_RECORD, {"file": file.name, "sha256": sha256})
        make_readable(partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"entrotune: converted in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


def read_gguf_tokenizer(file: Path, name: str) -> Any:
    """The tokenizer inside a GGUF file.

    Raises:
        UserError: the file is truncated, corrupt, or its tokenizer of an unknown kind.
    """
    from transformers import AutoTokenizer

    _check_gguf(file, name)
    with _explained(name), quiet_transformers():
        return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)


def _read_gguf(file: Path, name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, GgufConfig

    tokenizer = read_gguf_tokenizer(file, name)
    with _explained(name), quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            local_files_only=True,
        )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, tokenizer


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # readers of damaged or unknown files fail in any way, the Rust ones with bare Exception
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"GGUF file '{name}' cannot be converted: {first}") from error


def _check_gguf(file: Path, name: str) -> None:
    """Read the header and check that the last tensor ends within the file: a download cut short is the usual damage."""
    from gguf import GGUFReader

    try:
        tensors = GGUFReader(file).tensors
    except Exception as error:  # the reader indexes into raw bytes, so damage surfaces as any kind of error
        raise UserError(f"GGUF file '{name}' cannot be read: it is truncated or corrupt; fetch it again") from error
    if not tensors:
        raise UserError(f"GGUF file '{name}' holds no tensors; give a file with a model's weights")
    end = max(tensor.data_offset + tensor.n_bytes for tensor in tensors)
    if end > file.stat().st_size:
        raise UserError(
            f"GGUF file '{name}' is truncated: {file.stat().st_size} bytes where {end} are needed; fetch it again"
        )
