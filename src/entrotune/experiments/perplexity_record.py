"""What was measured of each model → the parts of a record."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.measures import verdict
from entrotune.scoring.perplexity.job import Reader, Work
from entrotune.scoring.perplexity.measured import MEASURES, Sums, difference


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One model's numbers.

    Attributes:
        reader: the model and how it read.
        work: what went through it.
        sums: over each text.
        units: over what intervals are taken: texts, or passages of the only one.
        unscored: tokens that nothing predicts.
        unknown: scored tokens that stand for any text the vocabulary lacks.
        tokenizer: its fingerprint.
        parameters: of the model.
        device: in words.
        seconds: of loading and scoring.
    """

    reader: Reader
    work: Work
    sums: Sums
    units: Sums
    unscored: int
    unknown: int
    tokenizer: str
    parameters: int
    device: str
    seconds: float


def model_record(one: Measured, *, seed: int) -> dict[str, Any]:
    """A model as it stands in `perplexity.json`."""
    reader, source, sums = one.reader, one.reader.described.source, one.sums
    return {
        "name": reader.name,
        "family": reader.described.family,
        "source": source.kind,
        "fingerprint": source.fingerprint,
        "revision": source.revision,
        "parameters": one.parameters,
        "tokenizer_fingerprint": one.tokenizer,
        "device": one.device,
        "max_length": reader.max_length,
        "stride": reader.stride or None,
        "before": reader.before,
        "counts": {
            "tokens_scored": int(sums.tokens.sum()),
            "tokens_unscored": one.unscored,
            "tokens_unknown": one.unknown,
            "words": int(sums.words.sum()),
            "characters": int(sums.characters.sum()),
            "bytes": int(sums.bytes.sum()),
            "sequences": one.work.sequences,
            "tokens_read": one.work.tokens_read,
        },
        "nll_sum": float(sums.nll.sum()),
        "measures": {name: one.units.estimate(name, seed=seed).to_dict() for name in MEASURES},
        "seconds": one.seconds,
    }


def differences(found: Sequence[Measured], *, seed: int) -> list[dict[str, Any]]:
    """Each pair of models: bits per byte, and nats per token where they share a tokenizer; a − b, paired."""
    made = []
    for a, b in itertools.combinations(found, 2):
        if _incomparable(a, b):
            continue
        for name in ("bits_per_byte", "nll")[: 1 + (a.tokenizer == b.tokenizer)]:
            estimate = difference(a.units, b.units, name, seed=seed)
            made.append(
                {
                    "measure": name,
                    "a": a.reader.name,
                    "b": b.reader.name,
                    "difference": estimate.to_dict(),
                    "verdict": verdict(estimate),
                }
            )
    return made


def warnings_of(found: Sequence[Measured]) -> list[str]:
    """What a reader must know before comparing the numbers."""
    told = []
    if len({one.tokenizer for one in found}) > 1:
        told.append(
            "The models have different tokenizers: their perplexities per token do not compare, for a token is not the "
            "same amount of text. Bits per byte, and perplexities per word, byte and character do."
        )
    if len({one.reader.described.family == "masked" for one in found}) > 1:
        told.append(
            "A masked model predicts each token from both sides: its pseudo-perplexity does not compare with the "
            "perplexity of a model that reads from left to right, so no difference of the two is given."
        )
    scored = {one.reader.name: int(one.sums.bytes.sum()) for one in found}
    if len(set(scored.values())) > 1:
        each = ", ".join(f"{size:,} by {name}" for name, size in scored.items())
        told.append(
            f"The models score different amounts of the text (bytes: {each}); bos eos makes them score all of it."
        )
    for one in found:
        if one.unscored:
            told.append(
                f"{one.reader.name}: tokens not scored: {one.unscored:,}, the first of a text each, for nothing stands "
                "before it; bos always or eos changes that."
            )
        if one.unknown:
            share = one.unknown / int(one.sums.tokens.sum())
            told.append(
                f"{one.reader.name}: {one.unknown:,} tokens ({share:.1%}) are its unknown token, which stands for any "
                "word it does not have: its numbers are not those of the text; compare them only within that tokenizer."
            )
    return told


def _incomparable(a: Measured, b: Measured) -> bool:
    kinds_differ = (a.reader.described.family == "masked") != (b.reader.described.family == "masked")
    return kinds_differ or (a.tokenizer != b.tokenizer and bool(a.unknown or b.unknown))
