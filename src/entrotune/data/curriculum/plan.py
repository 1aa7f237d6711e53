"""Scores and options → which row is used at which step."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrotune.data.curriculum.bins import Floats, Ints, bin_of, kept_rows, ranks, residuals
from entrotune.data.curriculum.options import OrderOptions
from entrotune.data.curriculum.pacing import paced
from entrotune.data.curriculum.schedules import one_pass
from entrotune.errors import UserError


@dataclass(frozen=True)
class OrderPlan:
    """An order of N rows, in M steps.

    Attributes:
        rows: [M] index of the row used at each step.
        epoch: [M] the pass it belongs to; with pacing, every so many steps as rows were kept.
        bins: [N] bin of each row; for `sorted` its rank; −1 where the row was filtered out.
        values: [N] what was ordered by: the score, or its residual.
        kept: [N] whether the row passed the filters.
    """

    rows: Ints
    epoch: Ints
    bins: Ints
    values: Floats
    kept: NDArray[np.bool_]

    @property
    def uses(self) -> Ints:
        """[N] how often each row is used."""
        return np.bincount(self.rows, minlength=len(self.bins))

    def counts(self) -> dict[str, Any]:
        """Rows read, kept, filtered out and never drawn; steps; how many rows are used how often."""
        uses = self.uses
        by_uses = Counter(uses[self.kept].tolist())
        return {
            "rows": len(self.bins),
            "kept": int(self.kept.sum()),
            "filtered": int((~self.kept).sum()),
            "never_drawn": by_uses.get(0, 0),
            "steps": len(self.rows),
            "bins": int(self.bins.max()) + 1,
            "rows_by_uses": {str(times): by_uses[times] for times in sorted(by_uses)},
        }


def plan_order(
    scores: Floats, options: OrderOptions, *, lengths: Floats | None = None, ids: Sequence[str] | None = None
) -> OrderPlan:
    """Put N rows in an order.

    Without pacing each kept row is used once in each of `epochs` passes, every pass with shuffles of its own. With
    pacing, epochs · kept rows are drawn (see `paced`), and `counts()` says how often rows are used.

    Args:
        scores: [N] one a row, in the order of the input.
        options: how.
        lengths: [N] what `residual` regresses out.
        ids: names of the rows, for messages.

    Raises:
        UserError: a score that is no number, fewer rows left than bins.
    """
    _check_finite(scores, options.by, ids)
    values = np.asarray(scores, dtype=np.float64)
    if options.residual is not None:
        assert lengths is not None  # the caller read the column
        _check_finite(lengths, options.residual, ids)
        values = residuals(values, np.asarray(lengths, dtype=np.float64), regression=options.regression)
    kept = kept_rows(ranks(values), keep=options.keep, drop_top=options.drop_top)
    rows = np.flatnonzero(kept)
    _check_enough(len(rows), len(values), options)
    is_sorted = options.bins == "sorted"
    # Downwards, equal rows keep their order too: it is the negated values that are ranked.
    falls = options.schedule == "decreasing"
    ranks_kept = len(rows) - 1 - ranks(-values[rows]) if falls else ranks(values[rows])
    kept_bins = ranks_kept if options.bins == "sorted" else bin_of(ranks_kept, options.bins)
    steps = len(rows) * options.epochs
    if options.pacing != "none":
        generator = np.random.default_rng(options.seed)
        chosen = paced(kept_bins, length=steps, options=options, generator=generator)
    else:
        passes = [
            one_pass(
                options.schedule,
                kept_bins,
                periods=options.periods,
                within=options.within,
                is_sorted=is_sorted,
                generator=np.random.default_rng([options.seed, epoch]),
            )
            for epoch in range(options.epochs)
        ]
        chosen = np.concatenate(passes)
    bins = np.full(len(values), -1, dtype=np.int64)
    bins[rows] = kept_bins
    return OrderPlan(rows[chosen], np.arange(steps) // len(rows), bins, values, kept)


def _check_finite(values: Floats, name: str, ids: Sequence[str] | None) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        told = ", ".join(repr(ids[i]) if ids is not None else f"row {i}" for i in bad[:3])
        raise UserError(
            f"{name} is no number for {len(bad):,} of {len(values):,} rows ({told}{', …' if len(bad) > 3 else ''}); "
            "order by another column, or leave these rows out of the data and score again"
        )


def _check_enough(kept: int, count: int, options: OrderOptions) -> None:
    if not kept:
        raise UserError(f"keep {list(options.keep)} and drop_top {options.drop_top} leave none of {count:,} rows")
    if options.bins != "sorted" and options.bins > kept:
        raise UserError(
            f"bins is {options.bins}, but there are only {kept:,} rows to share out; give at most {kept} or 'sorted'"
        )
