"""How many different values a number of answers holds, compared at equal numbers.

Rarefaction: S. H. Hurlbert, *The Nonconcept of Species Diversity* (Ecology 52, 1971).
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from statistics import NormalDist

from entrotune.measures.uncertainty import Estimate

_Z = NormalDist().inv_cdf(0.975)
# A variance of logarithms below this is what their rounding leaves.
_ROUNDING = 1e-20


def expected_distinct(values: Sequence[Hashable], size: int) -> float:
    """Different values expected among `size` of the values, drawn without replacement.

    Args:
        size: at most the number of values.
    """
    return _expected(Counter(values).values(), len(values), size)


def distinct_ratio(values: Sequence[Hashable], others: Sequence[Hashable]) -> Estimate:
    """How many times as many different values one sample has as another, both at half the smaller one's size.

    The interval is a delete-one jackknife of the ratio's logarithm, 95%; at half the size the expectation is smooth,
    which a count of all different values is not. No interval below eight values, nor where leaving out any one value
    changes nothing, as where all differ: that says nothing of how many more there are.

    Args:
        values: [N], those of the numerator.
        others: [M].
    """
    smaller = min(len(values), len(others))
    if smaller < 2:
        return Estimate(math.nan, None, None, smaller)
    size = smaller // 2
    found = [_log_with_variance(sample, size) for sample in (values, others)]
    log = found[0][0] - found[1][0]
    variance = found[0][1] + found[1][1]
    if smaller < 8 or variance < _ROUNDING:
        return Estimate(math.exp(log), None, None, smaller)
    half = _Z * math.sqrt(variance)
    return Estimate(math.exp(log), math.exp(log - half), math.exp(log + half), smaller)


def _expected(counts: Iterable[int], total: int, size: int) -> float:
    return sum(_present(total, count, size) for count in counts)


def _present(total: int, count: int, size: int) -> float:
    """1 − C(total − count, size) / C(total, size): the chance that one of `count` is among `size`."""
    rest = total - count
    if rest < size:
        return 1.0
    ways = (
        math.lgamma(rest + 1),
        -math.lgamma(rest - size + 1),
        -math.lgamma(total + 1),
        math.lgamma(total - size + 1),
    )
    return 1 - math.exp(sum(ways))


def _log_with_variance(values: Sequence[Hashable], size: int) -> tuple[float, float]:
    """The logarithm of the expectation and its jackknife variance; equal values leave equal samples when left out."""
    counts, total = list(Counter(values).values()), len(values)
    without = _expected(counts, total - 1, size)
    left = [  # one of the values that are there `count` times is missing, for each of `count * times` answers
        (math.log(without - _present(total - 1, count, size) + _present(total - 1, count - 1, size)), count * times)
        for count, times in Counter(counts).items()
    ]
    mean = sum(log * weight for log, weight in left) / total
    variance = (total - 1) / total * sum(weight * (log - mean) ** 2 for log, weight in left)
    return math.log(_expected(counts, total, size)), variance
