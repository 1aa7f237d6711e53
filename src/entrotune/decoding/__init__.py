"""How tokens are chosen: strategies as text, as exact distributions and as processors of scores; drawing by them."""

from entrotune.decoding.batch import end_tokens, left_padded, nothing_inherited, read_once, until_end
from entrotune.decoding.draw import Response, Stream, draw, stream
from entrotune.decoding.entropy import at_entropy, entropy_of
from entrotune.decoding.forced_words import ForcedWords
from entrotune.decoding.grammar import Grammar
from entrotune.decoding.part import PARTS, Part
from entrotune.decoding.processors import (
    AnnealedTemperature,
    EntropySwitch,
    EntropyTemperature,
    LikeliestOnly,
    TargetEntropy,
    TopNSigmaProcessor,
)
from entrotune.decoding.strategy import Strategy

__all__ = [
    "PARTS",
    "AnnealedTemperature",
    "EntropySwitch",
    "EntropyTemperature",
    "ForcedWords",
    "Grammar",
    "LikeliestOnly",
    "Part",
    "Response",
    "Strategy",
    "Stream",
    "TargetEntropy",
    "TopNSigmaProcessor",
    "at_entropy",
    "draw",
    "end_tokens",
    "entropy_of",
    "left_padded",
    "nothing_inherited",
    "read_once",
    "stream",
    "until_end",
]
