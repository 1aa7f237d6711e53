"""How two models' distributions at one place differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two distributions p (of the first model) and q (of the second).

    Attributes:
        jsd: Jensen-Shannon divergence, nats: 0 for equal ones, log 2 for those that share no token.
        kl: Σ p log(p / q), nats: what the second model loses where the first is right.
        kl_reverse: Σ q log(q / p), nats.
        variation: half of Σ |p − q|: the mass that moved, 0 to 1.
        entropies: of p and q, nats.
        tokens: those that are likeliest to either and those that moved most, by how likely they are to either.
        p: their probabilities.
        q: the same.
    """

    jsd: float
    kl: float
    kl_reverse: float
    variation: float
    entropies: tuple[float, float]
    tokens: tuple[int, ...]
    p: tuple[float, ...]
    q: tuple[float, ...]


def difference(log_p: Floats, log_q: Floats, *, shown: int, always: Sequence[int] = ()) -> Difference:
    """What two [V] log-probabilities (nats) differ in; where one is longer, the other gives the rest no probability.

    Args:
        shown: tokens to name.
        always: tokens to name whatever their probability.
    """
    size = max(len(log_p), len(log_q))
    log_p, log_q = (np.pad(one, (0, size - len(one)), constant_values=-np.inf) for one in (log_p, log_q))
    p, q = np.exp(log_p), np.exp(log_q)
    middle = np.logaddexp(log_p, log_q) - np.log(2)
    either = np.maximum(p, q)
    moved = np.abs(p - q)
    likeliest = np.argsort(-either, kind="stable")[:shown].tolist()
    movers = [one for one in np.argsort(-moved, kind="stable")[:shown].tolist() if moved[one] > 0]
    named = list(dict.fromkeys([*likeliest[: shown - shown // 4], *movers, *likeliest]))[:shown]
    named += [one for one in always if one not in named]
    tokens = sorted(named, key=lambda one: -either[one])
    return Difference(
        jsd=max(0.0, (_relative(p, log_p, middle) + _relative(q, log_q, middle)) / 2),
        kl=_relative(p, log_p, log_q),
        kl_reverse=_relative(q, log_q, log_p),
        variation=float(moved.sum() / 2),
        entropies=(_relative(p, np.zeros_like(log_p), log_p), _relative(q, np.zeros_like(log_q), log_q)),
        tokens=tuple(tokens),
        p=tuple(p[tokens].tolist()),
        q=tuple(q[tokens].tolist()),
    )


def _relative(p: Floats, log_a: Floats, log_b: Floats) -> float:
    """Σ p (log a − log b); a token without probability adds nothing."""
    on = p > 0
    return float((p[on] * (log_a[on] - log_b[on])).sum())
