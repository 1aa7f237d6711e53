"""Correctness predicted from scores: planted effects, planted confounds, and data that allow no statement."""

import json
from typing import Any

import numpy as np
import pytest
import statsmodels.api as statsmodels
from statsmodels.stats.multitest import multipletests

from entrotune.errors import UserError
from entrotune.scoring.analysis.confounds import OTHER, source_columns, source_groups
from entrotune.scoring.analysis.correctness import PAIRS, PREDICTORS, predict_correctness
from entrotune.scoring.analysis.labels import labels_for, read_right

N = 800


def logistic(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def made(generator: np.random.Generator, signal: np.ndarray) -> dict[str, np.ndarray]:
    """The predictors, `entropy_mean` with the signal and the others without."""
    columns = {name: generator.gamma(3.0, size=len(signal)) for name in PREDICTORS}
    return columns | {"entropy_mean": 3 + signal}


def entry(found: dict[str, Any], covariates: str, predictor: str = "entropy_mean") -> dict[str, Any]:
    adjusted = found["confounds"]["adjusted"]
    return next(one for one in adjusted if (one["predictor"], one["covariates"]) == (predictor, covariates))


def test_an_effect_is_found_where_it_is_and_not_elsewhere() -> None:
    generator = np.random.default_rng(0)
    signal = generator.normal(size=N)
    right = generator.random(N) < logistic(0.7 * signal)
    found = predict_correctness(right, made(generator, signal), generator.integers(5, 90, N).astype(float), None)
    json.dumps(found, allow_nan=False)
    regimes = {one["name"]: one for one in found["regimes"]}
    assert len(regimes) == len(PREDICTORS) + len(PAIRS)
    mean = regimes["entropy_mean"]
    assert (
        mean["coefficients"]["entropy_mean"]["raw"]["low"] < 0.7 < mean["coefficients"]["entropy_mean"]["raw"]["high"]
    )
    assert mean["p_holm"] < 0.001
    assert regimes["entropy_last"]["p_holm"] > 0.05
    assert mean["p"] <= mean["p_holm"]
    corrected = multipletests([one["p"] for one in found["nested"]], method="holm")[1]
    assert [one["p_holm"] for one in found["nested"]] == pytest.approx(corrected)
    nested = {(one["added"], one["given"]): one["p"] for one in found["nested"]}
    assert nested["entropy_mean", "varentropy_mean"] < 0.001
    assert nested["varentropy_mean", "entropy_mean"] > 0.01
    assert found["confounds"]["source"] is None
    assert entry(found, "length")["p"] < 0.001
    first = found["predictors"]["entropy_mean"]
    shares = [group["value"] for group in first["accuracy"]]
    assert shares[-1] > shares[0] + 0.3
    assert sum(group["n"] for group in first["accuracy"]) == N
    for name in ("right", "wrong"):
        assert sum(first["histogram"][name]) == pytest.approx(1)


def test_a_confound_by_length_is_seen_through() -> None:
    """Long rows have low entropy and are answered right: given length, entropy says nothing."""
    generator = np.random.default_rng(2)
    tokens = np.exp(generator.normal(3.5, 0.5, N)).round()
    signal = -np.log(tokens) + 0.4 * generator.normal(size=N)
    right = generator.random(N) < logistic(1.5 * (np.log(tokens) - 3.5))
    found = predict_correctness(right, made(generator, signal), tokens, None)
    assert entry(found, "none")["p"] < 1e-6
    assert entry(found, "length")["p"] > 0.05
    low, high = (entry(found, "length")["per_sd"][end] for end in ("low", "high"))
    assert low < 0 < high
    length = found["confounds"]["length"]
    assert length["spearman"]["entropy_mean"]["value"] < -0.6
    assert length["with_right"]["cohens_d"]["value"] > 0.4


def test_a_confound_by_source_is_seen_through() -> None:
    """One source is of higher entropy and harder; within each, entropy says nothing."""
    generator = np.random.default_rng(3)
    second = generator.random(N) < 0.5
    sources = ["how-to" if at else "video" for at in second]
    signal = 1.2 * second + generator.normal(size=N)
    right = generator.random(N) < np.where(second, 0.3, 0.6)
    found = predict_correctness(right, made(generator, signal), np.full(N, 20.0), sources)
    assert entry(found, "none")["p"] < 1e-4
    assert entry(found, "source")["p"] > 0.05
    assert found["confounds"]["length"] is None
    assert {one["covariates"] for one in found["confounds"]["adjusted"]} == {"none", "source"}
    source = found["confounds"]["source"]
    assert source["p"] < 1e-6
    assert sum(group["n"] for group in source["groups"]) == N
    for group in source["groups"]:
        d = group["effects"]["entropy_mean"]["cohens_d"]
        assert d["low"] < 0 < d["high"]


def test_a_source_that_is_always_right_gives_no_estimate_and_says_so() -> None:
    generator = np.random.default_rng(4)
    sources = ["easy"] * 30 + ["hard"] * (N - 30)
    right = np.array([True] * 30 + (generator.random(N - 30) < 0.5).tolist())
    found = predict_correctness(right, made(generator, generator.normal(size=N)), np.full(N, 9.0), sources)
    assert "separate right from wrong" in entry(found, "source")["problem"]
    assert "problem" not in entry(found, "none")
    assert found["confounds"]["source"]["groups"][1]["effects"] == {}


@pytest.mark.parametrize("shortest", [30, 1000, 30_000])
def test_lengths_that_differ_little_can_be_held_fixed(shortest: int) -> None:
    """From 1,000 to 1,010 tokens length and its logarithm correlate by 0.999998, which is no perfect separation."""
    generator = np.random.default_rng(3)
    tokens, score = generator.integers(shortest, shortest + 11, N).astype(float), generator.normal(size=N)
    right = generator.random(N) < logistic(0.7 * score + 0.1 * (tokens - shortest - 5))
    found = entry(predict_correctness(right, made(generator, score), tokens, None), "length")
    curved = np.column_stack([np.ones(N), score, tokens - shortest, (tokens - shortest) ** 2])
    expected = statsmodels.Logit(right.astype(float), curved).fit(disp=False).params[1] * score.std(ddof=1)
    assert found["per_sd"]["value"] == pytest.approx(expected, rel=0.01)


def test_lengths_that_tell_right_from_wrong_without_spread() -> None:
    generator = np.random.default_rng(8)
    right = np.arange(N) % 2 == 0
    found = predict_correctness(right, made(generator, generator.normal(size=N)), np.where(right, 10.0, 12.0), None)
    json.dumps(found, allow_nan=False)
    assert found["confounds"]["length"]["with_right"]["cohens_d"]["value"] is None
    assert "problem" in entry(found, "length")


def test_rare_sources_are_put_together() -> None:
    sources = ["a"] * 30 + ["b"] * 12 + ["c"] * 3 + ["d"] * 8
    grouped = source_groups(sources)
    assert grouped[:42] == sources[:42]
    assert set(grouped[42:]) == {OTHER}
    columns = source_columns(grouped)
    assert list(columns) == ["source b", f"source {OTHER}"]
    assert [int(values.sum()) for values in columns.values()] == [12, 11]


def test_p_values_are_uniform_where_nothing_is_planted() -> None:
    generator, found = np.random.default_rng(9), []
    for _ in range(12):
        right = generator.random(120) < 0.4
        columns = made(generator, generator.normal(size=120))
        result = predict_correctness(right, columns, generator.integers(5, 50, 120).astype(float), None)
        found += [one["p"] for one in result["regimes"]]
        found += [one["p"] for one in result["confounds"]["adjusted"]]
    assert 0.4 < np.mean(found) < 0.6
    assert np.mean(np.array(found) < 0.05) < 0.12


RIGHT = np.arange(60) % 3 == 0
BAD: dict[str, tuple[np.ndarray, dict[str, np.ndarray], str]] = {
    "few rows": (RIGHT[:19], {}, "19 rows have scores and a label; statistics need at least 20"),
    "all right": (np.ones(60, dtype=bool), {}, "all 60 rows are right: with one class only"),
    "all wrong": (np.zeros(60, dtype=bool), {}, "all 60 rows are wrong"),
    "few of a class": (np.arange(60) < 4, {}, "4 rows are right and 56 wrong; expected at least 5 of each"),
    "separated": (RIGHT, {"entropy_last": RIGHT + 0.0 + np.arange(60) / 1000}, "entropy_last separates right from wr"),
    "constant": (RIGHT, {"entropy_last": np.ones(60)}, "entropy_last is the same in all rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_data_that_allow_no_statement(name: str) -> None:
    right, changed, told = BAD[name]
    columns = made(np.random.default_rng(0), np.random.default_rng(1).normal(size=len(right))) | changed
    with pytest.raises(UserError, match=told):
        predict_correctness(right, columns, np.arange(len(right)) + 1.0, None)


@pytest.mark.parametrize(
    ("value", "right"),
    [(True, True), (0, False), (1.0, True), ("Yes", True), ("false", False), (None, None), ("", None), (np.nan, None)],
)
def test_labels(value: Any, right: bool | None) -> None:
    assert read_right(value, column="correct", id="a") is right


@pytest.mark.parametrize("value", [2, 3, -1, 0.5, "maybe", [1]])
def test_what_is_no_label_is_said_with_its_row(value: Any) -> None:
    with pytest.raises(UserError, match=r"the label correct of row 'a' is .* multiple-choice"):
        read_right(value, column="correct", id="a")


def test_labels_are_joined_by_id() -> None:
    assert labels_for(["a", "b", "c"], {"c": 1, "a": 0, "z": 1}, column="x") == [False, None, True]
    with pytest.raises(UserError, match="none of the 2 rows has a label in x"):
        labels_for(["a", "b"], {"z": 1}, column="x")
