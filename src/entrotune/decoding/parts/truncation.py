"""Parts that forbid unlikely tokens; where transformers has the processor, it is used."""

from dataclasses import dataclass

from transformers import LogitsProcessor
from transformers.generation import (
    EtaLogitsWarper,
    MinPLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from entrotune.decoding.part import (
    ETA,
    MIN_P,
    TOP_K,
    TOP_N_SIGMA,
    TOP_P,
    TYPICAL,
    Part,
    as_number,
    as_whole,
    require,
)
from entrotune.decoding.processors import TopNSigmaProcessor


@dataclass(frozen=True)
class TopK(Part):
    """Keep the `k` likeliest tokens, and those as likely as the last of them (arXiv 1805.04833)."""

    k: int

    name = "top_k"
    place = TOP_K

    def __post_init__(self) -> None:
        as_whole(self, "k")

    def processor(self) -> LogitsProcessor:
        """The processor of transformers."""
        return TopKLogitsWarper(self.k)


@dataclass(frozen=True)
class TopP(Part):
    """Keep the fewest likeliest tokens that together have at least the probability `p` (arXiv 1904.09751)."""

    p: float

    name = "top_p"
    place = TOP_P

    def __post_init__(self) -> None:
        as_number(self, "p")
        require(self, "p", 0 < self.p <= 1, "above 0 and at most 1")

    def processor(self) -> LogitsProcessor | None:
        """The processor of transformers; None for 1, where rounding would drop tokens."""
        return TopPLogitsWarper(self.p) if self.p < 1 else None


@dataclass(frozen=True)
class MinP(Part):
    """Keep tokens of at least `p` times the likeliest token's probability (arXiv 2407.01082)."""

    p: float

    name = "min_p"
    place = MIN_P

    def __post_init__(self) -> None:
        as_number(self, "p")
        require(self, "p", 0 <= self.p <= 1, "from 0 to 1")

    def processor(self) -> LogitsProcessor:
        """The processor of transformers."""
        return MinPLogitsWarper(self.p)


@dataclass(frozen=True)
class Typical(Part):
    """Keep the tokens whose surprisal is nearest the entropy, up to the probability `mass` (arXiv 2202.00666)."""

    mass: float

    name = "typical"
    place = TYPICAL

    def __post_init__(self) -> None:
        as_number(self, "mass")
        require(self, "mass", 0 < self.mass < 1, "above 0 and below 1")

    def processor(self) -> LogitsProcessor:
        """The processor of transformers."""
        return TypicalLogitsWarper(self.mass)


@dataclass(frozen=True)
class Eta(Part):
    """Keep tokens of at least min(ε, √ε·exp(−entropy)) probability (arXiv 2210.15191)."""

    epsilon: float

    name = "eta"
    place = ETA

    def __post_init__(self) -> None:
        as_number(self, "epsilon")
        require(self, "epsilon", 0 < self.epsilon < 1, "above 0 and below 1")

    def processor(self) -> LogitsProcessor:
        """The processor of transformers, which takes its threshold along to the scores' device."""
        return _Eta(self.epsilon)


class _Eta(EtaLogitsWarper):
    """transformers' warper needs to be told the device beforehand; this one follows its input."""

    def __call__(self, input_ids, scores):  # type: ignore[no-untyped-def]
        self.epsilon = self.epsilon.to(scores.device)
        return super().__call__(input_ids, scores)


@dataclass(frozen=True)
class TopNSigma(Part):
    """Keep logits within `n` standard deviations of the highest (arXiv 2411.07641), whatever the temperature."""

    n: float = 1.0

    name = "top_n_sigma"
    place = TOP_N_SIGMA

    def __post_init__(self) -> None:
        as_number(self, "n")
        require(self, "n", self.n >= 0, "0 or more")

    def processor(self) -> LogitsProcessor:
        """`TopNSigmaProcessor`."""
        return TopNSigmaProcessor(self.n)
