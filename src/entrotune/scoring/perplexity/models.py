"""Models of three families: what is known of one without its weights, and the model itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrotune.data.tokens import check_tokenizer
from entrotune.errors import UserError
from entrotune.models import ModelSource, check_head, context_of, load_model, load_tokenizer, resolve_model
from entrotune.models.loading import model_folder
from entrotune.models.quiet import quiet_transformers


@dataclass(frozen=True)
class Described:
    """A model by name: its family (see `encoding.FAMILIES`), tokenizer, vocabulary and longest sequence."""

    source: ModelSource
    family: str
    tokenizer: Any
    vocabulary: int
    context: int | None


def describe(name: str) -> Described:
    """What is known of a model without its weights.

    Raises:
        UserError: no such model, no fast tokenizer, or a configuration that cannot be read.
    """
    from transformers import AutoConfig

    source = resolve_model(name)
    tokenizer = load_tokenizer(name)
    check_tokenizer(tokenizer)
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(_folder(source))
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"the configuration of model '{name}' cannot be used: {first}") from error
    family = _family(config)
    if family == "masked" and tokenizer.mask_token_id is None:
        raise UserError(f"'{name}' is a masked model, but its tokenizer has no mask token; set mask_token in it")
    return Described(source, family, tokenizer, config.get_text_config().vocab_size, _context(config, family))


def load(described: Described, *, precision: str, device: str | None) -> Any:
    """The model, in evaluation mode.

    Raises:
        UserError: it cannot be loaded.
    """
    name = described.source.name
    if described.family == "causal":
        model, _ = load_model(name, dtype=precision, device=device)
        check_head(model)
        return model
    return _load_other(described, precision, device)


def _load_other(described: Described, precision: str, device: str | None) -> Any:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForMaskedLM, AutoModelForSeq2SeqLM

    name = described.source.name
    if described.source.base is not None:
        raise UserError(f"'{name}' is an adapter of a model that is not causal; merge it into its base first")
    auto: Any = AutoModelForMaskedLM if described.family == "masked" else AutoModelForSeq2SeqLM
    try:
        with quiet_transformers():
            model, info = auto.from_pretrained(
                _folder(described.source),
                dtype=getattr(torch, precision),
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        place = device or torch.accelerator.current_accelerator(check_available=True) or "cpu"
        model = model.to(place).eval()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"model '{name}' cannot be loaded: {first}") from error
    if info["missing_keys"]:
        raise UserError(f"model '{name}' lacks weights, '{sorted(info['missing_keys'])[0]}' among them")
    return model


def _folder(source: ModelSource) -> Path:
    return model_folder(source if source.base is None else source.base)


def _family(config: Any) -> str:
    if getattr(config, "is_encoder_decoder", False):
        return "encoder_decoder"
    names = getattr(config, "architectures", None) or ()
    return "masked" if any(name.endswith("ForMaskedLM") for name in names) else "causal"


def _context(config: Any, family: str) -> int | None:
    found = context_of(config)
    if found is not None and family == "masked" and config.model_type in ("roberta", "xlm-roberta", "camembert"):
        return found - 2  # their positions begin behind that of the padding
    return found
