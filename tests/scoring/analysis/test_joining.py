"""Score tables joined by id, and tables that cannot be joined."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entrotune.errors import UserError
from entrotune.scoring.analysis.columns import COLUMNS, column_values
from entrotune.scoring.analysis.joining import Joined, check_metrics, join_scores
from entrotune.scoring.analysis.models import SHOWN_ROWS, compare_models
from entrotune.scoring.folder import read_scores
from made_scores import text_of, write_scores

N = 40
VALUES = np.random.default_rng(0).gamma(4.0, size=N)


def _table(folder: Path, name: str, values: Any = VALUES, **options: Any) -> Any:
    columns = {"entropy_mean": values, **options.pop("columns", {})}
    return read_scores(write_scores(folder / name, columns, **options)).table


def test_rows_are_matched_by_id_whatever_their_order(tmp_path: Path) -> None:
    back = np.arange(N)[::-1]
    ids, texts = [f"row-{at}" for at in range(N)], [text_of(at) for at in range(N)]
    turned = {"ids": [ids[at] for at in back[2:]] + ["more"], "texts": [texts[at] for at in back[2:]] + ["x"]}
    a = _table(tmp_path, "a", columns={"tokens_unknown": [0] * (N - 5) + [1, 1, 2, 3, 9]})
    b = _table(tmp_path, "b", [*(VALUES[back[2:]] + 1), 0.0], columns={"tokens_cut": [3] * 4 + [0] * 35}, **turned)
    joined = join_scores(["a", "b"], [a, b])
    assert joined.ids == ids[: N - 2]
    assert joined.counts == {
        "rows": N - 2,
        "left_out": {"a": 2, "b": 1},
        "rows_cut": {"a": 0, "b": 4},
        "rows_unknown": {"a": 3, "b": 0},
    }
    columns, kept = joined.metric("entropy_mean")
    assert columns[:, 1] == pytest.approx(columns[:, 0] + 1)
    assert kept.tolist() == list(range(N - 2))


def test_rows_told_are_those_of_least_and_most_spread(tmp_path: Path) -> None:
    other = VALUES.copy()
    low, high = int(VALUES.argmin()), int(VALUES.argmax())
    other[[low, high]] = VALUES[[high, low]]
    joined = join_scores(["a", "b"], [_table(tmp_path, "a"), _table(tmp_path, "b", other)])
    found = compare_models(joined, "entropy_mean", seed=0)
    assert {row["id"] for row in found["rows"]["disagree"][:2]} == {f"row-{low}", f"row-{high}"}
    assert all(row["spread"] == 0 for row in found["rows"]["agree"])
    assert len(found["rows"]["agree"]) == SHOWN_ROWS
    first = found["rows"]["disagree"][0]
    at = int(first["id"].removeprefix("row-"))
    assert first["values"] == [VALUES[at], other[at]]


def _refused(tables: Any) -> str:
    with pytest.raises(UserError) as caught:
        join_scores(["one", "two"], tables)
    return str(caught.value)


def _refused_metric(joined: Joined, metric: str = "entropy_mean") -> str:
    with pytest.raises(UserError) as caught:
        joined.metric(metric)
    return str(caught.value)


def test_what_cannot_be_joined_is_said(tmp_path: Path) -> None:
    a = _table(tmp_path, "a")
    no_common = _table(tmp_path, "b", ids=[f"other-{at}" for at in range(N)])
    assert "no row in common: ids are like 'row-0' and 'other-0'" in _refused([a, no_common])
    few = _table(tmp_path, "c", VALUES[:19])
    assert "19 rows in common; statistics need at least 20" in _refused([a, few])
    texts = [text_of(at) for at in range(N)]
    edited = _table(tmp_path, "d", texts=[*texts[:5], "edited", *texts[6:]])
    assert "two was made from other texts than one: 1 of 40 rows differ, first 'row-5'" in _refused([a, edited])
    twice = _table(tmp_path, "e", ids=["row-0", *(f"row-{at}" for at in range(N - 1))])
    assert "two has the id 'row-0' more than once" in _refused([a, twice])


def test_numbers_that_are_none(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[7] = np.nan
    joined = join_scores(["one", "two"], [_table(tmp_path, "a"), _table(tmp_path, "b", values)])
    told = _refused_metric(joined)
    assert "entropy_mean of two is not a finite number in 1 of 40 rows, first in row 'row-7'" in told
    constant = join_scores(["one", "two"], [_table(tmp_path, "c"), _table(tmp_path, "d", np.ones(N))])
    assert "two has the same entropy_mean in all rows" in _refused_metric(constant)


def test_rows_without_a_predicted_token_have_no_nll(tmp_path: Path) -> None:
    nll, counts = VALUES.copy(), [9] * N
    nll[3], counts[3] = np.nan, 0
    tables = [
        _table(tmp_path, name, columns={"nll_mean": values, "nll_tokens": counts})
        for name, values in (("a", nll), ("b", nll * 2))
    ]
    joined = join_scores(["one", "two"], tables)
    columns, kept = joined.metric("nll_mean")
    assert len(columns) == N - 1
    assert 3 not in kept
    assert compare_models(joined, "nll_mean", seed=0)["undefined"] == 1
    counts[3] = 9
    spoilt = _table(tmp_path, "c", columns={"nll_mean": nll, "nll_tokens": counts})
    assert "not a finite number" in _refused_metric(join_scores(["one", "two"], [spoilt, spoilt]), "nll_mean")


def test_numbers_made_of_others(tmp_path: Path) -> None:
    table = _table(tmp_path, "a", columns={"entropy_sum": VALUES * 10, "varentropy_last": VALUES})
    sizes = np.array([len(text_of(at)) for at in range(N)])
    assert column_values(table, "entropy_per_byte") == pytest.approx(VALUES * 10 / sizes)
    assert column_values(table, "sqrt_varentropy_last") == pytest.approx(np.sqrt(VALUES))
    for name in COLUMNS:
        assert len(column_values(table, name)) == N


@pytest.mark.parametrize(("metrics", "told"), [([], "metrics is empty"), (["entropy"], "no score 'entropy'")])
def test_metrics_are_checked(metrics: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_metrics(metrics)
