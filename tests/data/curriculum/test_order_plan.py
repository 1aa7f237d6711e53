"""Orders are what they say: every row as often as the plan states, in the shape of the schedule."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from entrotune.data.curriculum import OrderOptions, plan_order
from entrotune.data.curriculum.bins import residuals
from entrotune.data.curriculum.pacing import admitted_bins
from entrotune.errors import UserError

SCHEDULES = ("increasing", "decreasing", "periodic", "hill", "interleaved", "random")
# Few values, so that there are ties.
scores = st.lists(st.integers(-5, 5).map(float), min_size=3, max_size=60).map(np.array)


def make(values: Any, **options: Any) -> Any:
    return plan_order(np.asarray(values, dtype=float), OrderOptions(**options))


@given(scores, st.sampled_from(SCHEDULES), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9))
def test_without_pacing_every_row_once_a_pass(values: Any, schedule: str, bins: int, epochs: int, seed: int) -> None:
    plan = make(values, schedule=schedule, bins=bins, epochs=epochs, seed=seed)
    for epoch in range(epochs):
        assert sorted(plan.rows[plan.epoch == epoch]) == list(range(len(values)))
    assert plan.counts()["rows_by_uses"] == {str(epochs): len(values)}
    assert np.array_equal(plan.rows, make(values, schedule=schedule, bins=bins, epochs=epochs, seed=seed).rows)


@given(scores, st.sampled_from(["increasing", "decreasing", "hill", "periodic"]))
def test_sorted_rows_are_sorted_and_ties_keep_their_order(values: Any, schedule: str) -> None:
    plan = make(values, schedule=schedule, bins="sorted", periods=2)
    order = sorted(range(len(values)), key=lambda index: values[index])  # Python's sort is stable
    expected = {
        "increasing": order,
        "hill": order[::2] + order[1::2][::-1],
        "periodic": order[::2] + order[1::2],
        "decreasing": sorted(range(len(values)), key=lambda index: -values[index]),
    }
    assert plan.rows.tolist() == expected[schedule]


@given(scores, st.integers(1, 3))
def test_bins_are_equal_shares_by_rank(values: Any, bins: int) -> None:
    plan = make(values, bins=bins, within="input")
    sizes = np.bincount(plan.bins)
    assert len(sizes) == bins
    assert sizes.max() - sizes.min() <= 1
    for low, high in pairwise(range(bins)):
        assert values[plan.bins == low].max() <= values[plan.bins == high].min()
    # In the order of the input within a bin.
    for one in range(bins):
        assert np.all(np.diff(plan.rows[plan.bins[plan.rows] == one]) > 0)


@given(st.integers(12, 80), st.integers(1, 4), st.integers(2, 3), st.integers(0, 3))
def test_shapes(count: int, bins: int, periods: int, seed: int) -> None:
    values = np.random.default_rng(seed).permutation(count).astype(float)

    def levels(schedule: str) -> Any:
        plan = make(values, schedule=schedule, bins=bins, periods=periods, seed=seed)
        return plan.bins[plan.rows]

    assert np.all(np.diff(levels("increasing")) >= 0)
    assert np.all(np.diff(levels("decreasing")) <= 0)
    falls = np.flatnonzero(np.diff(levels("periodic")) < 0)
    assert len(falls) == (periods - 1 if bins > 1 else 0)
    hill = np.diff(levels("hill"))
    top = np.flatnonzero(hill > 0).max(initial=-1)
    assert np.all(hill[: top + 1] >= 0)
    assert np.all(hill[top + 1 :] <= 0)
    if bins > 1:
        assert levels("hill")[0] == levels("hill")[-1] == 0
    interleaved = levels("interleaved")
    rounds = count // bins
    assert interleaved[: rounds * bins].reshape(rounds, bins).tolist() == [list(range(bins))] * rounds


@given(
    st.integers(5, 60),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from(["linear", "root", "step"]),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
    st.sampled_from(["increasing", "decreasing"]),
)
def test_pacing(count: int, bins: int, epochs: int, pacing: str, start: float, full_at: float, schedule: str) -> None:
    options = OrderOptions(
        schedule=schedule,
        bins=bins,
        epochs=epochs,
        pacing=pacing,
        start=start,
        full_at=full_at,  # type: ignore[arg-type]
    )
    values = np.arange(count, dtype=float)[::-1].copy()
    plan = plan_order(values, options)
    steps = count * epochs
    admitted = admitted_bins(steps, bins, options)
    assert len(plan.rows) == steps
    assert np.all(np.diff(admitted) >= 0)
    assert admitted[0] >= 1
    assert admitted[-1] == bins or steps * (1 - full_at) < 1
    used = plan.bins[plan.rows]
    turn = used if schedule == "increasing" else bins - 1 - used
    assert np.all(turn < admitted)
    uses = plan.uses
    by_bin = [uses[plan.bins == one] for one in range(bins)]
    assert all(found.max() - found.min() <= 1 for found in by_bin)
    means = [float(found.mean()) for found in (by_bin if schedule == "increasing" else by_bin[::-1])]
    assert all(later <= earlier + 1 for earlier, later in pairwise(means))
    counted = plan.counts()["rows_by_uses"]
    assert sum(int(times) * rows for times, rows in counted.items()) == steps
    assert sum(counted.values()) == count


def test_draws_are_without_replacement_until_all_admitted_are_used() -> None:
    plan = make(np.arange(12.0), bins=3, pacing="step", start=1 / 3, full_at=1.0, stairs=2, epochs=2)
    # Twelve steps with the first four rows (three rounds), then twelve with eight: the four new ones among the first.
    assert [sorted(plan.rows[i : i + 4]) for i in (0, 4, 8)] == [[0, 1, 2, 3]] * 3
    assert sorted(plan.rows[12:16]) == [4, 5, 6, 7]
    assert sorted(plan.rows[16:24]) == list(range(8))
    assert plan.counts()["rows_by_uses"] == {"0": 4, "2": 4, "4": 4}
    assert plan.counts()["never_drawn"] == 4


@given(st.integers(0, 50), st.sampled_from(["rank", "linear"]))
def test_length_is_regressed_out(seed: int, regression: str) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 500, size=400).astype(float)
    values = -0.01 * lengths + generator.normal(size=400)
    assert spearmanr(values, lengths).statistic < -0.5
    left = residuals(values, lengths, regression=regression)
    against = lengths if regression == "linear" else np.argsort(np.argsort(lengths, kind="stable"), kind="stable")
    assert abs(np.corrcoef(left, against)[0, 1]) < (1e-10 if regression == "linear" else 0.01)
    assert abs(spearmanr(left, lengths).statistic) < 0.1


def test_nothing_is_left_of_a_score_that_is_a_function_of_length() -> None:
    lengths = np.arange(1.0, 50.0)
    assert np.allclose(residuals(np.log(lengths), lengths, regression="rank"), 0)
    assert np.allclose(residuals(np.full(5, 2.0), np.full(5, 3.0), regression="linear"), 0)
    plan = plan_order(np.log(lengths), OrderOptions(bins="sorted", residual="tokens"), lengths=lengths)
    assert sorted(plan.rows) == list(range(49))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"keep": [0.2, 0.8]}, range(2, 8)),
        ({"drop_top": 10}, range(9)),
        ({"drop_top": 25}, range(8)),  # floor(2.5) rows
        ({"keep": [0.5, 1.0], "drop_top": 20}, range(5, 8)),
    ],
)
def test_filters(options: dict[str, Any], kept: range) -> None:
    plan = make(np.arange(10.0), bins=1, **options)
    assert sorted(plan.rows) == list(kept)
    assert plan.counts()["filtered"] == 10 - len(kept)
    assert set(plan.bins[~plan.kept]) == {-1}


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1.0, np.nan, 2.0], {"bins": 1}, "entropy_mean is no number for 1 of 3 rows \\(row 1\\)"),
        ([1.0, 2.0, 3.0], {}, "bins is 10, but there are only 3 rows"),
        ([1.0, 2.0], {"bins": 1, "keep": [0.1, 0.4]}, "leave none of 2 rows"),
        ([1.0], {"schedule": "up"}, "schedule is 'up'; expected increasing"),
        ([1.0], {"bins": 0}, "bins must be"),
        ([1.0], {"keep": [0.9, 0.1]}, "keep must be two quantiles"),
        ([1.0], {"drop_top": 100}, "drop_top must be"),
        ([1.0], {"start": 0}, "start must be"),
        ([1.0], {"epochs": 0}, "epochs must be"),
        ([1.0], {"schedule": "hill", "pacing": "root"}, "goes with schedule increasing or decreasing"),
        ([1.0], {"bins": "sorted", "pacing": "root"}, "give bins as a number"),
        ([1.0], {"bins": "sorted", "schedule": "interleaved"}, "give bins as a number"),
    ],
)
def test_what_cannot_be_ordered_is_refused(values: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(values, **options)
