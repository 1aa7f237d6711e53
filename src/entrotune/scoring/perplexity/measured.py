"""What a model says of texts, in units that compare: sums over rows or passages, estimates and differences of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entrotune.measures import Estimate, bootstrap_ratio, paired_ratio_difference
from entrotune.scoring.perplexity.encoding import Encoded
from entrotune.scoring.perplexity.sizes import sizes
from entrotune.scoring.perplexity.texts import Text

Floats = NDArray[np.float64]
# Name → what nats are divided by, and whether exp() follows.
MEASURES = {
    "nll": ("tokens", False),
    "perplexity": ("tokens", True),
    "word_perplexity": ("words", True),
    "byte_perplexity": ("bytes", True),
    "character_perplexity": ("characters", True),
    "bits_per_byte": ("bits", False),
}


@dataclass(frozen=True)
class Sums:
    """[U] sums over each unit: a row, or a passage of one text.

    Attributes:
        nll: nats.
        tokens, characters, words, bytes: that were scored.
    """

    nll: Floats
    tokens: Floats
    characters: Floats
    words: Floats
    bytes: Floats

    def take(self, units: NDArray[np.int64]) -> "Sums":
        """The sums of some of the units."""
        return Sums(*(getattr(self, name)[units] for name in Sums.__dataclass_fields__))

    def below(self, unit: str) -> Floats:
        """What nats are divided by; `bits` turns them into bits per byte."""
        found: Floats = self.bytes * math.log(2) if unit == "bits" else getattr(self, unit)
        return found

    def values(self, measure: str) -> Floats:
        """[U] a measure of each unit; NaN where it has nothing to divide by."""
        unit, exponential = MEASURES[measure]
        below = self.below(unit)
        found = np.divide(self.nll, below, out=np.full_like(below, np.nan), where=below > 0)
        with np.errstate(over="ignore"):
            return np.exp(found) if exponential else found

    def estimate(self, measure: str, *, seed: int) -> Estimate:
        """A measure over all units, with its bootstrap interval over them."""
        unit, exponential = MEASURES[measure]
        below = self.below(unit)
        if not below.sum() > 0:
            return Estimate(math.nan, None, None, 0)
        if ((below == 0) & (self.nll != 0)).any():
            # Units that have tokens and nothing to divide by belong to the whole, but cannot be resampled.
            found = Estimate(float(self.nll.sum() / below.sum()), None, None, len(below))
        else:
            found = bootstrap_ratio(self.nll, below, seed=seed)
        return found.increasing(math.exp) if exponential else found


def row_sums(texts: Sequence[Text], encoded: Sequence[Encoded], nll: Sequence[Floats]) -> Sums:
    """A unit for each text."""
    found = [_sums(text, one, own, len(text.text) + 1) for text, one, own in zip(texts, encoded, nll, strict=True)]
    return Sums(*(np.concatenate([getattr(one, name) for one in found]) for name in Sums.__dataclass_fields__))


def passage_sums(text: Text, encoded: Encoded, nll: Floats, *, passage: int) -> Sums:
    """A unit for each run of `passage` characters of one text; a token belongs to that of its first counted one."""
    return _sums(text, encoded, nll, passage)


def difference(a: Sums, b: Sums, measure: str, *, seed: int) -> Estimate:
    """The difference a − b of `nll` or `bits_per_byte` with its interval, paired over units."""
    unit, _ = MEASURES[measure]
    return paired_ratio_difference(a.nll, a.below(unit), b.nll, b.below(unit), seed=seed)


def _sums(text: Text, encoded: Encoded, nll: Floats, passage: int) -> Sums:
    part = np.arange(len(text.text)) // passage
    count = int(part[-1]) + 1
    of_token = part[encoded.starts]
    own = sizes(text.text, encoded.scored, part)
    return Sums(
        np.bincount(of_token, weights=nll, minlength=count).astype(np.float64),
        np.bincount(of_token, minlength=count).astype(np.float64),
        *(getattr(own, name).astype(np.float64) for name in ("characters", "words", "bytes")),
    )
