"""From a model's name to a model in memory and its tokenizer."""

from pathlib import Path
from typing import Any

import torch

from entrotune.errors import UserError
from entrotune.models.conversion import convert_gguf, read_gguf_tokenizer
from entrotune.models.hub import download
from entrotune.models.quiet import quiet_transformers
from entrotune.models.sources import EMBEDDED, ModelSource, resolve_model
from entrotune.models.weights import check_weight_files

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def load_model(
    name: str | Path,
    *,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device | None = None,
    adapter: str | Path | None = None,
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer by name.

    Args:
        name: a folder with safetensors, a run folder, a PEFT adapter folder (its base model is loaded too), a GGUF
            file (converted once, cached), a hub id (`owner/name` or `owner/name@revision`), or `smollm2-135m`.
        dtype: `float32`, `bfloat16`, `float16`, `float64`, or `auto` for the precision the weights were saved in.
        device: such as `cpu` or `cuda:1`; by default the accelerator if there is one.
        adapter: the folder of a PEFT adapter to attach on top.
        trust_remote_code: run modelling code that comes with the model. Only for sources you trust.

    Returns:
        The model in evaluation mode, and the tokenizer. A tokenizer without a padding token gets its end-of-sequence
        token for it; mask padding by length, never by comparing ids.

    Raises:
        UserError: no such model, unreadable or incomplete weights, no tokenizer, or an unknown dtype or device.
    """
    torch_dtype, torch_device = _dtype(dtype), _device(device)
    source = resolve_model(name)
    if source.base is None:
        folder = model_folder(source)
        model, tokenizer = _load_folder(folder, source, torch_dtype, trust_remote_code)
    else:
        assert source.path is not None
        try:
            model, tokenizer = load_model(
                source.base.name, dtype=dtype, device=torch_device, trust_remote_code=trust_remote_code
            )
        except UserError as error:
            raise UserError(f"the base model of adapter '{name}' cannot be used: {error}") from error
        model, tokenizer = attach_adapter(model, tokenizer, source.path, source.name)
    if adapter is not None:
        attached = resolve_model(adapter)
        if attached.base is None or attached.path is None:
            raise UserError(f"'{adapter}' is not an adapter: expected a folder with adapter_config.json")
        model, tokenizer = attach_adapter(model, tokenizer, attached.path, attached.name)
    _pad_with_what_is_embedded(model, tokenizer)
    return model.to(torch_device).eval(), tokenizer


def load_tokenizer(name: str | Path, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer that `load_model(name)` would return, without loading or converting weights.

    Of a hub model that is not downloaded, the whole is fetched: what follows needs it anyway.

    Raises:
        UserError: as `load_model`.
    """
    source = resolve_model(name)
    if source.base is not None and source.path is not None and not _has_tokenizer(source.path):
        return load_tokenizer(source.base.name, trust_remote_code=trust_remote_code)
    if source.kind == "gguf" and source.path is not None and source.path.is_file():
        return _with_padding(read_gguf_tokenizer(source.path, source.name), source.name)
    folder = source.path if source.base is not None and source.path is not None else model_folder(source)
    return _load_tokenizer(folder, source.name, trust_remote_code)


def model_folder(source: ModelSource) -> Path:
    """The folder of safetensors behind a source without an adapter: downloads or converts where needed."""
    if source.kind == "hub" and source.path is None:
        assert source.repo is not None
        folder = download(source.repo, source.revision, source.name)
        check_weight_files(folder, source.name)
        return folder
    assert source.path is not None
    if source.kind == "gguf" and source.path.is_file():
        return convert_gguf(source.path, source.name, key=EMBEDDED if source.name == EMBEDDED else None)
    return source.path


def _load_folder(folder: Path, source: ModelSource, dtype: Any, trust_remote_code: bool) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    tokenizer = _load_tokenizer(folder, source.name, trust_remote_code)
    try:
        with quiet_transformers():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"model '{source.name}' cannot be loaded from '{folder}': {first}") from error
    model, info = loaded
    if info["missing_keys"]:
        # transformers would go on with random numbers in their place.
        missing = sorted(info["missing_keys"])
        raise UserError(
            f"model '{source.name}' lacks {len(missing)} of its weights, '{missing[0]}' among them; "
            "the files do not belong to this config.json or are incomplete"
        )
    rows = model.get_input_embeddings().weight.shape[0]
    if (
        tokenizer.vocab_size > rows
    ):  # special tokens added later, which many tokenizers have and never use, do not count
        raise UserError(f"model '{source.name}' embeds {rows} tokens, but its tokenizer has {tokenizer.vocab_size}")
    return model, tokenizer


def _load_tokenizer(folder: Path, name: str, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    if not _has_tokenizer(folder):
        raise UserError(f"model '{name}' has no tokenizer: expected tokenizer.json or tokenizer.model in '{folder}'")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # the Rust parser raises bare Exception for a broken tokenizer.json
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"the tokenizer of model '{name}' cannot be loaded from '{folder}': {first}") from error
    return _with_padding(tokenizer, name)


def _with_padding(tokenizer: Any, name: str) -> Any:
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise UserError(f"the tokenizer of model '{name}' has no end-of-sequence token; set eos_token in it")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _pad_with_what_is_embedded(model: Any, tokenizer: Any) -> None:
    """A padding token that was added and never embedded makes way for the end of sequence, as where there is none."""
    rows = model.get_input_embeddings().weight.shape[0]
    if tokenizer.pad_token_id >= rows and tokenizer.eos_token_id is not None and tokenizer.eos_token_id < rows:
        tokenizer.pad_token = tokenizer.eos_token


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / file).is_file() for file in _TOKENIZER_FILES)


def attach_adapter(model: Any, tokenizer: Any, folder: Path, name: str) -> tuple[Any, Any]:
    """Put the adapter in `folder` on the model; a tokenizer beside the adapter replaces the base's."""
    from peft import PeftModel

    if _has_tokenizer(folder):
        tokenizer = _load_tokenizer(folder, name, trust_remote_code=False)
    try:
        return PeftModel.from_pretrained(model, str(folder)), tokenizer
    except Exception as error:  # PEFT reports a misfit as RuntimeError, KeyError, ValueError or TypeError alike
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"adapter '{name}' does not fit its base model: {first}") from error


def _dtype(dtype: str | torch.dtype) -> Any:
    if isinstance(dtype, torch.dtype) or dtype == "auto":
        return dtype
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype '{dtype}'; expected one of {', '.join(DTYPES)} or auto")
    return DTYPES[dtype]


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{device}' cannot be used here: {str(error).splitlines()[0]}") from error
    return chosen
