"""What responses are limited to: texts to choose from, or a grammar, which is read before any weights are."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from entrotune.decoding.choices import Choices
from entrotune.decoding.enforced import enforced
from entrotune.decoding.fields import Template
from entrotune.decoding.grammar import Grammar, check_tokenizer
from entrotune.decoding.limits import Limits
from entrotune.errors import UserError
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.models import load_tokenizer


def read_grammar(config: GenerateConfig, template: Template | None) -> Grammar | None:
    """The grammar of `pattern`, `json_schema` or an enforced template; None without one.

    Raises:
        UserError: it cannot be read or kept, the package is missing, or the model's tokenizer is not a fast one.
    """
    grammar = None
    if config.pattern is not None:
        grammar = Grammar.of_pattern(config.pattern)
    elif config.json_schema:
        grammar = Grammar.of_schema(read_schema(config.json_schema), f"'{config.json_schema}'")
    elif config.enforce and template is not None:
        try:
            grammar = enforced(template)
        except UserError as error:
            raise UserError(f"{config.fields}: {error}") from None
    if grammar is not None:
        check_tokenizer(load_tokenizer(config.model))
    return grammar


def read_schema(path: str) -> dict[str, Any]:
    """The JSON schema of a file.

    Raises:
        UserError: it cannot be read, or is no JSON object.
    """
    try:
        schema = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the JSON schema '{path}': {error}") from None
    if not isinstance(schema, dict):
        raise UserError(f"'{path}' must be a JSON object that says what a response is, got {schema!r:.60}")
    return schema


def limits_of(config: GenerateConfig, grammar: Grammar | None, tokenizer: Any, ends: Collection[int]) -> Limits | None:
    """The limits of a config over the tokens of its model; `ends` are ids that end a response."""
    if grammar is not None:
        return grammar.limits(tokenizer, ends)
    return Choices(config.choices, tokenizer, ends) if config.choices else None
