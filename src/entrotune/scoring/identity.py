"""By what a model and a data set are known again."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from entrotune.data import source_files
from entrotune.errors import UserError
from entrotune.models import ModelDescription, resolve_model
from entrotune.scoring.options import ScoreOptions


def model_identity(described: ModelDescription) -> dict[str, Any]:
    """The `model` part of a manifest."""
    # Describing it may have downloaded it, so what its name means is asked again.
    source = resolve_model(described.source.name)
    return {
        "name": source.name,
        "source": source.kind,
        "fingerprint": source.fingerprint,
        "revision": source.revision,
        "parameters": described.parameters,
        "tokenizer_fingerprint": tokenizer_fingerprint(described.tokenizer),
    }


def data_identity(source: str, format: str, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` part of a manifest. The fingerprint of what is no file is null: its rows are compared on going on."""
    files = source_files(source) or {"files": None, "bytes": None, "fingerprint": None}
    columns = {
        name: given if isinstance(given, str) else list(given) for name, given in (reading["columns"] or {}).items()
    }
    return {"source": source, **reading, "columns": columns, "format": format, **files}


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """SHA-256 (hex) of a fast tokenizer's vocabulary and rules, its special tokens and its chat template."""
    inner = json.loads(tokenizer.backend_tokenizer.to_str())
    # Set by whoever called it last; no part of what the tokenizer is.
    inner |= {"truncation": None, "padding": None}
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    told = json.dumps([inner, special, tokenizer.chat_template], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def added_bos(tokenizer: Any, options: ScoreOptions) -> str | None:
    """The token that is put before raw text, None for none.

    Raises:
        UserError: one is asked for and the tokenizer has none.
    """
    if options.bos == "always" and tokenizer.bos_token is None:
        raise UserError("bos is 'always', but the tokenizer has no BOS token; use bos=none")
    if options.bos == "always":
        return str(tokenizer.bos_token)
    if options.bos == "auto" and options.mode == "predicted":
        first = tokenizer("a", add_special_tokens=True)["input_ids"][:1]
        return str(tokenizer.bos_token) if first == [tokenizer.bos_token_id] else None
    return None
