"""Our own processors of scores, which work in any `model.generate(logits_processor=[...])`. B: rows, V: vocabulary."""

import math

import torch
from torch import Tensor
from transformers import LogitsProcessor

from entrotune.decoding.entropy import at_entropy, entropy_of, wide


class LikeliestOnly(LogitsProcessor):
    """Leaves the likeliest token of each row, the first where several are; all others get −inf."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores to [B, V] scores."""
        return _likeliest(scores)


class TopNSigmaProcessor(LogitsProcessor):
    """Keeps logits within `n` standard deviations of the row's highest (Tang et al. 2024, arXiv 2411.07641).

    The deviation is that of the logits that are not −inf, divided by their number.
    """

    def __init__(self, n: float) -> None:
        self.n = n

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores to [B, V] scores."""
        z = wide(scores)
        allowed = z != -math.inf
        count = allowed.sum(dim=-1, keepdim=True)
        top = z.amax(dim=-1, keepdim=True)
        gaps = (top - z).masked_fill(~allowed, 0.0)
        centred = (gaps - gaps.sum(dim=-1, keepdim=True) / count).masked_fill(~allowed, 0.0)
        deviation = (centred.square().sum(dim=-1, keepdim=True) / count).sqrt()
        return scores.masked_fill(gaps > self.n * deviation, -math.inf)


class EntropyTemperature(LogitsProcessor):
    """Temperature base · factor^(theta / entropy), entropy in nats (Zhang et al. 2024, arXiv 2403.14541, factor 0.8).

    A row without entropy keeps its likeliest tokens only: that is the limit.
    """

    def __init__(self, base: float = 1.0, theta: float = 0.5, *, factor: float = 0.8) -> None:
        self.base, self.theta, self.factor = base, theta, factor

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores to [B, V] scores."""
        entropy, _ = entropy_of(scores)
        # Gaps over a millionth leave the likeliest tokens only, and are still finite.
        temperature = (self.base * self.factor ** (self.theta / entropy.clamp(min=1e-6))).clamp(min=1e-6)
        return _divided(scores, temperature)


class EntropySwitch(LogitsProcessor):
    """Entropy and varentropy both low: the likeliest token. Both high: temperature `hot`. Else `temperature`.

    The idea of choosing among ways of sampling by these two numbers is that of entropix (2024); the thresholds, in nats
    and nats², are ours. A value at a threshold is neither low nor high.
    """

    def __init__(
        self, *, low: float, high: float, low_var: float, high_var: float, temperature: float, hot: float
    ) -> None:
        self.low, self.high, self.low_var, self.high_var = low, high, low_var, high_var
        self.temperature, self.hot = temperature, hot

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores to [B, V] scores."""
        entropy, varentropy = entropy_of(scores)
        sure = (entropy < self.low) & (varentropy < self.low_var)
        unsure = (entropy > self.high) & (varentropy > self.high_var)
        temperature = torch.where(unsure, self.hot, self.temperature).to(entropy.dtype)
        return torch.where(sure[..., None], _likeliest(scores), _divided(scores, temperature))


class AnnealedTemperature(LogitsProcessor):
    """Temperature start · (end / start)^(position / tokens), position counted from the first new token; then `end`.

    Args:
        start: temperature of the first new token.
        end: temperature from position `tokens` on.
        tokens: over how many tokens it changes.
        prompt_length: tokens before the first new one; by default the length at the first call of a generation, which
            is one that does not follow the call before it.
    """

    def __init__(self, start: float, end: float, tokens: int, *, prompt_length: int | None = None) -> None:
        self.start, self.end, self.tokens = start, end, tokens
        self.prompt_length = prompt_length
        self._first = self._last = -1

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores to [B, V] scores."""
        length = input_ids.shape[-1]
        if length != self._last + 1:
            self._first = length
        self._last = length
        position = length - (self._first if self.prompt_length is None else self.prompt_length)
        share = min(max(position / self.tokens, 0.0), 1.0)
        return scores / (self.start * (self.end / self.start) ** share)


class TargetEntropy(LogitsProcessor):
    """At each step the temperature at which the distribution has the entropy `entropy` (nats); see `at_entropy`."""

    def __init__(self, entropy: float) -> None:
        self.entropy = entropy

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores to [B, V] scores."""
        return at_entropy(scores, self.entropy).to(scores.dtype)


def _likeliest(scores: Tensor) -> Tensor:
    best = scores.argmax(dim=-1, keepdim=True)
    return torch.full_like(scores, -math.inf).scatter(-1, best, 0.0)


def _divided(scores: Tensor, temperature: Tensor) -> Tensor:
    """Scores over one temperature a row, from the row's highest, so that a tiny temperature gives no infinity."""
    z = wide(scores)
    return ((z - z.amax(dim=-1, keepdim=True)) / temperature[..., None]).to(scores.dtype)
