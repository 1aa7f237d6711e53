"""Responses limited by a grammar: a regular expression, JSON of a schema, or rules; token by token, by llguidance."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerFast

from entrotune.errors import UserError

# One way to write an object, that of Python's json: free space would be an endless way to say nothing.
_WRITTEN = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True)
class Grammar:
    """What a whole response may be.

    Attributes:
        text: as llguidance writes it.
    """

    text: str

    @classmethod
    def of_pattern(cls, pattern: str) -> "Grammar":
        """Texts that match a regular expression as a whole, in the syntax of Rust's `regex`: no look-around, no
        references back.

        Raises:
            UserError: it cannot be read, or nothing matches it.
        """
        if not pattern:
            raise UserError("pattern is empty; give a regular expression that the whole response is to match")
        return cls(_checked(_llguidance().LLMatcher.grammar_from_regex(pattern), f"pattern {pattern!r:.80}"))

    @classmethod
    def of_schema(cls, schema: Mapping[str, Any], named: str = "the JSON schema") -> "Grammar":
        """JSON of a schema, on one line, with the properties of objects in the schema's order.

        Raises:
            UserError: the schema is wrong, or has a rule that cannot be kept token by token; `named` is told.
        """
        text = json.dumps(schema, ensure_ascii=False)
        return cls(_checked(_llguidance().LLMatcher.grammar_from_json_schema(text, defaults=_WRITTEN), named))

    @classmethod
    def of_rules(cls, rules: str, named: str) -> "Grammar":
        """Texts of the rule `start` of a grammar in llguidance's form of Lark.

        Raises:
            UserError: a rule cannot be read, or nothing matches; `named` is told.
        """
        return cls(_checked(_llguidance().LLMatcher.grammar_from_lark(rules), named))

    def limits(self, tokenizer: Any, ends: Collection[int] | None = None) -> "GrammarLimits":
        """The grammar over the tokens of a tokenizer; `ends` are ids that end a response, by default its own."""
        own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        return GrammarLimits(self, tokenizer, own if ends is None else ends)


class GrammarLimits:
    """A grammar over the tokens of a tokenizer. An end mark is allowed where the grammar is complete, and only there.

    What is left of the model's distribution at each step is divided by its sum, as always. So the responses are not
    distributed as the model's own that happen to be valid: a token counts whatever it makes of what can follow.

    Args:
        grammar: what a whole response may be.
        tokenizer: the model's; a fast one.
        ends: ids that end a response.

    Raises:
        UserError: a tokenizer whose tokens llguidance cannot read, or no end mark.
    """

    longest: int | None = None

    def __init__(self, grammar: Grammar, tokenizer: Any, ends: Collection[int]) -> None:
        check_tokenizer(tokenizer)
        library = _llguidance()
        from llguidance.hf import from_tokenizer

        size = 1 + max(tokenizer.get_vocab().values())
        own = sorted(token for token in ends if token < size)  # a model may name more than its tokenizer knows
        if not own:
            raise UserError("a grammar needs a model with an end mark, so that a response can end; it has none")
        try:
            tokens = from_tokenizer(tokenizer, n_vocab=size, eos_token=own)
        except ValueError as error:
            raise UserError(f"a grammar cannot be used with this tokenizer: {_sentence(str(error))}") from None
        self._start = _State(library.LLMatcher(tokens, grammar.text, log_level=0), size)
        self._ends = frozenset(own)

    def processor(self, prompt_tokens: int, beams: int = 1) -> LogitsProcessor:
        """What leaves the allowed tokens, for prompts of `prompt_tokens` tokens with their padding; beams are rows."""
        return GrammarProcessor(self._start, self._ends, prompt_tokens)


class _State:
    """Where a matcher is, and which tokens may follow: [size] of booleans."""

    def __init__(self, matcher: Any, size: int) -> None:
        self._matcher, self._size = matcher, size
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        if matcher.is_error():
            raise UserError(f"no token of the tokenizer goes on with the grammar: {_sentence(matcher.get_error())}")
        self.allowed = np.unpackbits(bits, bitorder="little", count=size).astype(bool)

    def after(self, token: int) -> "_State":
        """With an allowed token more."""
        matcher = self._matcher.deep_copy()
        if not matcher.consume_token(token):
            raise UserError(f"the grammar cannot be followed: {_sentence(matcher.get_error())}")
        return _State(matcher, self._size)


class GrammarProcessor(LogitsProcessor):
    """Leaves the tokens that go on with a grammar. Made by `GrammarLimits.processor`.

    What a row may say depends on its tokens since the prompt alone, whichever row it was before.
    """

    def __init__(self, start: _State, ends: frozenset[int], prompt_tokens: int) -> None:
        self._start, self._ends, self._prompt_tokens = start, ends, prompt_tokens
        # By the tokens since the prompt; None where a row has ended, or is a beam of probability 0.
        self._known: dict[tuple[int, ...], _State | None] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores, −inf for what the grammar forbids and for what the tokenizer does not have."""
        rows = [tuple(row) for row in input_ids[:, self._prompt_tokens :].tolist()]
        length = len(rows[0])
        self._known = {ids: state for ids, state in self._known.items() if len(ids) in (length - 1, length)}
        allowed = np.zeros(scores.shape, dtype=bool)
        for row, ids in zip(allowed, rows, strict=True):
            if ids not in self._known:
                self._known[ids] = self._state(ids)
            state = self._known[ids]
            if state is None:  # it is padded, whatever is allowed there
                row[list(self._ends)] = True
            else:
                row[: len(state.allowed)] = state.allowed[: len(row)]
        if not allowed.any(axis=-1).all():
            raise UserError(f"the model has {scores.shape[-1]} logits, and none for a token that the grammar allows")
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), -math.inf)

    def _state(self, ids: Sequence[int]) -> _State | None:
        known = next((at for at in range(len(ids) - 1, 0, -1) if ids[:at] in self._known), 0)
        state = self._known[tuple(ids[:known])] if known else self._start
        for token in ids[known:]:
            if state is None or token in self._ends or token >= len(state.allowed) or not state.allowed[token]:
                return None
            state = state.after(token)
        return state


def check_tokenizer(tokenizer: Any) -> None:
    """Raise a `UserError` where the tokens of a tokenizer cannot be read as bytes."""
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        kind = type(tokenizer).__name__
        raise UserError(f"a grammar needs a fast tokenizer (tokenizer.json), got a {kind}; use choices, or none")


def _llguidance() -> Any:
    try:
        import llguidance
    except ImportError:
        raise UserError("grammars need the package llguidance: pip install 'entrotune[grammar]'") from None
    return llguidance


def _checked(text: str, named: str) -> str:
    """The grammar, where it can be read and something matches it; tried on single bytes."""
    library = _llguidance()
    is_wrong, messages = library.LLMatcher.validate_grammar_with_warnings(text)
    if is_wrong:
        raise UserError(f"{named}: {_sentence(messages[0])}")
    matcher = library.LLMatcher(library.LLTokenizer("byte"), text, log_level=0)
    matcher.compute_bitmask()
    if matcher.is_error():
        why = _sentence(matcher.get_error())
        raise UserError(f"{named}: {'nothing matches' if why.startswith('NoExtension') else why}")
    return text


def _sentence(message: str) -> str:
    """What is wrong, without the picture of the place and the parser's state."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return " ".join((told or lines or ["unknown error"])[0].split())
