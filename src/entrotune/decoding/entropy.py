"""Entropy of next-token distributions, and the temperature that gives a wanted one. B: rows, V: vocabulary."""

import math

import torch
from torch import Tensor

# Newton's steps settle in 5 to 10; where they do not help, bisection halves a range of at most 2^12 each time.
_MOST_STEPS = 64
_TOLERANCE = 1e-5  # nats
# Below the smallest gap / 60, others than the likeliest tokens weigh e^-60; above 10^4 times the largest gap, entropy
# is within 10^-8 of that of the uniform distribution.
_COLDEST, _HOTTEST = 1 / 60, 1e4


def entropy_of(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Entropy (nats) and varentropy (nats²) of softmax(scores), [B] each, in at least float32; −inf is allowed."""
    log_p = torch.log_softmax(wide(scores), dim=-1)
    p = log_p.exp()
    finite = log_p.masked_fill(p == 0, 0.0)
    entropy = -(p * finite).sum(dim=-1)
    return entropy, (p * (finite + entropy[..., None]).square()).sum(dim=-1)


def wide(scores: Tensor) -> Tensor:
    """Scores in float32 or wider."""
    return scores if scores.dtype == torch.float64 else scores.float()


def at_entropy(scores: Tensor, target: float) -> Tensor:
    """Scores [B, V] tempered so that softmax of them has the entropy `target` (nats) in every row.

    Found by Newton's method on the logarithm of the temperature, kept in a bracket and falling back on bisection; to
    1e-4 nats. Entropy grows with temperature from log(likeliest tokens), 0 without ties, to log(allowed tokens); a
    target outside gives the uniform distribution over these tokens.
    """
    z = wide(scores)
    allowed = z != -math.inf
    top = z.amax(dim=-1, keepdim=True)
    gaps = (top - z).masked_fill(~allowed, 0.0)
    likeliest = allowed & (gaps == 0)
    cold = target <= likeliest.sum(dim=-1).to(z.dtype).log() + 1e-7
    hot = target >= allowed.sum(dim=-1).to(z.dtype).log() - 1e-7
    log_t = _log_temperature(gaps, allowed, target, settled=cold | hot)
    tempered = torch.where(allowed, -gaps * torch.exp(-log_t)[..., None], -math.inf)
    kept = torch.where(cold[..., None], likeliest, allowed)
    flat = torch.zeros_like(z).masked_fill(~kept, -math.inf)
    return torch.where((cold | hot)[..., None], flat, tempered)


def _log_temperature(gaps: Tensor, allowed: Tensor, target: float, *, settled: Tensor) -> Tensor:
    """[B] logarithms of the temperatures sought; of no meaning where `settled`."""
    positive = gaps > 0
    least = torch.where(positive, gaps, math.inf).amin(dim=-1)
    most = gaps.amax(dim=-1)
    # Rows without any gap are settled; a range is needed all the same.
    low = torch.where(positive.any(dim=-1), least, 1.0).log() + math.log(_COLDEST)
    high = torch.where(most > 0, most, 1.0).log() + math.log(_HOTTEST)
    log_t = torch.zeros_like(low).clamp(low, high)
    for _ in range(_MOST_STEPS):
        entropy, slope = _tempered(gaps, allowed, log_t)
        error = entropy - target
        if bool((settled | (error.abs() < _TOLERANCE)).all()):
            break
        low = torch.where(error < 0, log_t, low)
        high = torch.where(error > 0, log_t, high)
        newton = log_t - error / slope
        inside = (newton > low) & (newton < high) & newton.isfinite()
        moved = torch.where(inside, newton, (low + high) / 2)
        log_t = torch.where(error.abs() < _TOLERANCE, log_t, moved)
    return log_t


def _tempered(gaps: Tensor, allowed: Tensor, log_t: Tensor) -> tuple[Tensor, Tensor]:
    """Entropy at each row's temperature, and its derivative by log temperature, which is the varentropy there."""
    scaled = gaps * torch.exp(-log_t)[..., None]
    weights = torch.neg(scaled).exp_().masked_fill_(~allowed, 0.0)
    mass = weights.sum(dim=-1)
    mean = (weights * scaled).sum(dim=-1) / mass
    spread = scaled.sub_(mean[..., None]).square_().mul_(weights).sum(dim=-1) / mass
    return mass.log() + mean, spread
