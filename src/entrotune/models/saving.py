"""Keeping a model: a folder that is complete or absent."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from entrotune.models.quiet import quiet_transformers
from entrotune.models.weights import make_readable


def save_model(
    model: Any,
    tokenizer: Any,
    folder: str | Path,
    *,
    base: str | None = None,
    state_dict: dict[str, Tensor] | None = None,
    card: str | None = None,
    shard_size: str = "5GB",
) -> None:
    """Write a model and its tokenizer to `folder`: safetensors, or a PEFT adapter's own small files.

    Written to a temporary folder beside it and renamed; an older `folder` stays until the new one is complete.

    Args:
        base: for an adapter, the name its base was loaded by (`smollm2-135m`, a hub id, a path), written as
            `base_model_name_or_path`; by default whatever PEFT recorded.
        state_dict: the whole weights of a model that is sharded over processes; by default those it holds.
        card: the README.md to write beside the weights.
        shard_size: of a file of whole weights at most, such as `2GB`.

    Raises:
        OSError: the disk is full or not writable; the older `folder` is untouched.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".partial"))
    try:
        with quiet_transformers():
            if hasattr(model, "peft_config"):
                _save_adapter(model, partial, base, state_dict)
            else:
                model.save_pretrained(partial, state_dict=state_dict, max_shard_size=shard_size)
            tokenizer.save_pretrained(partial)
        if card is not None:
            (partial / "README.md").write_text(card, encoding="utf-8")
        make_readable(partial)
        _replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _save_adapter(model: Any, folder: Path, base: str | None, state_dict: dict[str, Tensor] | None) -> None:
    if base is not None:
        # A relative path would mean something else from another working folder.
        name = str(Path(base).expanduser().resolve()) if Path(base).expanduser().exists() else base
        for config in model.peft_config.values():
            config.base_model_name_or_path = name
    # "auto" asks the hub for the base's vocabulary size; embeddings trained whole are saved all the same.
    model.save_pretrained(folder, save_embedding_layers=False, state_dict=state_dict)


def _replace_folder(new: Path, folder: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".old"))
    folder.rename(old)  # onto an empty folder: allowed
    new.rename(folder)
    shutil.rmtree(old)
