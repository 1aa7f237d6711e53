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

# Of long lists; the command tells all.
_CHOICES_TOLD = 20


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


def told_limits(config: GenerateConfig) -> dict[str, str]:
    """What responses were asked to be and limited to, for readers of a page."""
    told = {}
    if config.fields:
        told["Template"] = config.fields
    if config.enforce:
        told["Limited to"] = "answers that the template calls valid"
    elif config.pattern is not None:
        told["Limited to"] = f"texts that match “{config.pattern}”"
    elif config.json_schema:
        told["Limited to"] = f"JSON of the schema “{config.json_schema}”"
    elif config.choices:
        shown = ", ".join(f"“{choice}”" for choice in config.choices[:_CHOICES_TOLD])
        others = len(config.choices) - _CHOICES_TOLD
        told["Limited to"] = f"one of {shown}" + (f" and {others:,} others" if others > 0 else "")
    if config.force_words:
        told["Words that each must have"] = ", ".join(f"“{word}”" for word in config.force_words)
    if config.content_filter:
        told["Content filter"] = config.content_filter
    return told
