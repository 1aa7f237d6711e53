"""Pacing: harder bins are admitted as training goes on, and rows are drawn from what is admitted.

The shares follow Platanios et al. 2019 (arXiv 1903.09848), whose competence is the share of admitted data.

M: steps, N: rows.
"""

import numpy as np
from numpy.typing import NDArray

from entrotune.data.curriculum.bins import Floats, Ints
from entrotune.data.curriculum.options import OrderOptions


def admitted_share(time_M: Floats, options: OrderOptions) -> Floats:
    """The share of the bins admitted at each time, from 0 (start of training) to 1 (its end); never falls.

    With τ = time / full_at and the share c at the start: linear c + (1 − c)·τ; root √(c² + (1 − c²)·τ); step
    c + (1 − c)·⌊stairs·τ⌋ / stairs. From full_at on it is 1.
    """
    first, progress_M = options.start, np.minimum(time_M / options.full_at, 1.0)
    if options.pacing == "root":
        return np.sqrt(first**2 + (1 - first**2) * progress_M)
    if options.pacing == "step":
        progress_M = np.floor(options.stairs * progress_M) / options.stairs
    return first + (1 - first) * progress_M


def admitted_bins(length: int, bins: int, options: OrderOptions) -> Ints:
    """How many bins are admitted at each of `length` positions: ceil(share · bins), at least 1, at time i / length."""
    shares_M = admitted_share(np.arange(length) / length, options)
    return np.maximum(1, np.ceil(np.round(shares_M * bins, 9))).astype(np.int64)


def paced(bins_N: Ints, *, length: int, options: OrderOptions, generator: np.random.Generator) -> NDArray[np.int64]:
    """`length` rows drawn from the admitted bins without replacement, in rounds.

    There is an urn. It begins with the rows of the bins that are admitted at the start; each draw takes a row out of
    it; when a bin is admitted its rows are put in; when it is empty, every admitted row is put back. So rows of one bin
    are used equally often up to one, and the rows of bins that were admitted earlier more often. With schedule
    `decreasing` bins are admitted from the highest down.
    """
    bins = int(bins_N.max()) + 1
    turn_N = bins - 1 - bins_N if options.schedule == "decreasing" else bins_N
    admitted = admitted_bins(length, bins, options)
    drawn: list[Ints] = []
    urn: Ints = np.empty(0, dtype=np.int64)
    known = position = 0
    while position < length:
        new = np.flatnonzero((turn_N >= known) & (turn_N < admitted[position]))
        known = int(admitted[position])
        urn = np.concatenate([urn, new])
        until = position + int(np.searchsorted(admitted[position:], known, side="right"))
        while position < until:
            if not len(urn):
                urn = np.flatnonzero(turn_N < known)
            urn = generator.permutation(urn)
            taken, urn = urn[: until - position], urn[until - position :]
            drawn.append(taken)
            position += len(taken)
    return np.concatenate(drawn)
