"""What decides the scores of a row: recorded with them, and not to be changed in a folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from entrotune.data.text_files import TEXT_UNITS
from entrotune.errors import UserError

MODES = ("all", "predicted", "response")
BOS = ("auto", "none", "always")
PRECISIONS = ("auto", "float32", "bfloat16")
ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """See `entrotune.score`; `max_length` and `precision` are resolved."""

    mode: str
    max_length: int
    bos: str
    system: str | None
    precision: str
    per_token: bool
    top_k: int
    keep: tuple[str, ...]
    part_rows: int

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {**asdict(self), "keep": list(self.keep)}


def check_options(
    *, mode: str, bos: str, precision: str, engine: str, text_unit: str, system: str | None, **numbers: int | None
) -> None:
    """Raise `UserError` for a value that is none of those there are, or values that exclude each other."""
    choices = {"mode": MODES, "bos": BOS, "precision": PRECISIONS, "engine": ENGINES, "text_unit": TEXT_UNITS}
    given = {"mode": mode, "bos": bos, "precision": precision, "engine": engine, "text_unit": text_unit}
    for name, known in choices.items():
        if given[name] not in known:
            raise UserError(f"{name} is {given[name]!r}; expected one of {', '.join(known)}")
    if mode == "response" and bos != "auto":
        raise UserError(f"bos is {bos!r}, but in mode response the chat template decides; leave bos at auto")
    if mode != "response" and system is not None:
        raise UserError(f"system is for mode response, where there is a chat to put it in; mode is {mode!r}")
    lowest = {"top_k": 0, "max_length": 2}
    for name, value in numbers.items():
        if value is not None and value < lowest.get(name, 1):
            raise UserError(f"{name} is {value}; expected at least {lowest.get(name, 1)}")


def kept_names(keep: Sequence[str] | str) -> tuple[str, ...]:
    """Names of columns, given as a list or as one text with commas."""
    names = keep.split(",") if isinstance(keep, str) else keep
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def conventions(options: ScoreOptions, *, bos_added: str | None) -> dict[str, str]:
    """What the numbers of a score folder mean, in words."""
    counted = {
        "all": "every position of the raw text, the last included, which predicts what would follow",
        "predicted": "positions of the raw text that predict one of its tokens",
        "response": "positions that predict a token of the response, its end mark included, in the model's chat format",
    }
    found = {
        "entropy": "nats per token: −Σ p log p of the prediction made at a position for the next token",
        "varentropy": "nats² per token: Σ p (log p + entropy)²",
        "nll": "nats per token: −log p of the token that follows; the last position of a text has none",
        "positions": counted[options.mode],
        "last": "the last position that counts",
        "bos": "as in the chat format" if options.mode == "response" else f"added: {bos_added or 'none'}",
        "tokens_cut": f"tokens after the first {options.max_length:,} of a row, which are not scored",
        "tokens_unknown": "of the tokens with an nll, those that stand for any text the vocabulary lacks: perplexity "
        "and bits per byte are then not those of the text",
        "bits_per_byte": "nll_sum / ln 2 / nll_bytes, the UTF-8 bytes of the characters whose tokens have an nll",
        "quantiles": "of the row's token entropies, linear between neighbours",
        "renyi2": "nats per token: −log Σ p²",
        "top1": "share of the tokens with an nll that no other token is more likely than",
        "token_ids": "the token that follows each position; null at the last of a text",
        "token_rank": "how many tokens are more likely than the one that follows",
        "text_hash": "SHA-256 of the whole text (in mode response of prompt and response), first 16 hex digits",
    }
    if options.top_k:
        found["topk"] = (
            f"entropy_topk_mean = −Σ p log p and varentropy_topk_mean over the {options.top_k} likeliest tokens only, "
            "with their true probabilities, not rescaled; topk_mass_mean is their share"
        )
    return found
