"""The report of an analysis: structure, what it says, and that a tiny effect is called tiny."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from entrotune.errors import UserError
from entrotune.reports import analysis_findings, analysis_table, read_record, write_analysis_report, write_report
from entrotune.reports.analysis_wording import analysis_sentences, effect_size
from entrotune.reports.samples import visible
from entrotune.scoring.analysis.correctness import PREDICTORS, predict_correctness
from entrotune.scoring.analysis.joining import join_scores
from entrotune.scoring.analysis.models import compare_models
from entrotune.scoring.folder import read_scores
from made_scores import write_scores
from reports.pages_read import Page, allowed_scripts, hash_source

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028"


def _header(analysis: str, labels: list[str]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "kind": "analysis",
        "analysis": analysis,
        "title": "Scores looked at",
        "created": "2026-03-04T10:20:00+00:00",
        "seeds": [0],
        "conventions": {"entropy": "nats per token"},
        "models": [{"label": label, "name": label, "options": {"mode": "all"}, "counts": {}} for label in labels],
    }


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, generator = tmp_path_factory.mktemp("scores"), np.random.default_rng(0)
    shared = generator.normal(size=100)
    names = ["a", "b", "c"]
    tables = [
        read_scores(write_scores(folder / name, {"entropy_mean": 3 + shared + 0.4 * generator.normal(size=100)})).table
        for name in names
    ]
    joined = join_scores(names, tables)
    return {
        **_header("models", names),
        "data": joined.counts,
        "tokenizers": [names],
        "comparable": {"entropy_mean": True},
        "metrics": {"entropy_mean": compare_models(joined, "entropy_mean", seed=0)},
    }


def _correctness(effect: float, size: int) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    right = generator.random(size) < 0.5
    columns = {name: generator.normal(8, 1, size) for name in PREDICTORS}
    columns["entropy_mean"] = columns["entropy_mean"] + effect * right
    tokens = generator.integers(5, 80, size).astype(float)
    sources = ["wiki" if at % 3 else HOSTILE for at in range(size)]
    data = {"scored": size + 3, "rows": size, "without_label": 3, "right": int(right.sum())}
    data["wrong"] = size - data["right"]
    return {
        **_header("correctness", ["a"]),
        "data": data,
        **predict_correctness(right, columns, tokens, sources),
    }


@pytest.fixture(scope="module")
def correctness() -> dict[str, Any]:
    return _correctness(0.9, 300)


def _page(record: dict[str, Any], tmp_path: Path) -> Page:
    write_analysis_report(record, tmp_path / "report.html")
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["models", "correctness"])
def test_page_is_whole(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    page = _page(request.getfixturevalue(name), tmp_path)
    assert page.misnested == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(attributes["href"] or "")[1:] for attributes in page.all("a")} <= set(ids)
    assert [attributes for _, attributes in page.tags if "src" in attributes] == []
    bodies = [body for attributes, body in page.scripts if attributes.get("type") != "application/json"]
    assert allowed_scripts(page.policy) == {hash_source(body) for body in bodies}
    for figure in page.figures.values():
        go.Figure({"data": figure["data"], "layout": figure["layout"]})
        assert figure["data"]
    places = [attributes["data-figure"] for _, attributes in page.tags if "data-figure" in attributes]
    assert sorted(places) == sorted(page.figures)
    assert "nan" not in page.words.lower().split()


def test_an_analysis_of_an_earlier_version_has_its_p_values_corrected(
    correctness: dict[str, Any], tmp_path: Path
) -> None:
    old = copy.deepcopy(correctness)
    for test in (*old["regimes"], *old["nested"], *old["confounds"]["adjusted"]):
        test.pop("p_holm", None)
    path = tmp_path / "analysis.json"
    path.write_text(json.dumps(old), encoding="utf-8")
    assert read_record(path) == json.loads(json.dumps(correctness))
    write_report(path)
    assert (tmp_path / "report.html").exists()
    del old["regimes"][0]["p"]
    path.write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(UserError, match="is an analysis without 'p', as an earlier version wrote them; make it again"):
        write_report(path)


def test_models_page_says_what_was_found(models: dict[str, Any], tmp_path: Path) -> None:
    page = _page(models, tmp_path)
    found = models["metrics"]["entropy_mean"]
    assert "3 models scored the same 100 rows: a, b and c." in page.words
    assert f"holds {100 * found['components']['first']['value']:.1f}% of the variance" in page.words
    assert "Agreement at the extremes is what bounded ranks give, nothing beyond is shown" in page.words
    spread = page.figures["agreement-entropy_mean"]["data"][-1]
    groups = [group["spread"] for group in found["agreement"]["groups"]]
    assert spread["y"] == [one["value"] for one in groups]
    assert spread["error_y"]["array"] == pytest.approx([one["high"] - one["value"] for one in groups])
    assert len(page.figures["ranks-entropy_mean"]["data"]) == 9
    assert found["rows"]["disagree"][0]["id"] in page.words


def test_rows_left_out_and_cut_are_told(models: dict[str, Any]) -> None:
    record = copy.deepcopy(models)
    record["data"] |= {"left_out": {"a": 1200, "b": 0, "c": 3}, "rows_cut": {"a": 0, "b": 7, "c": 0}}
    record["data"]["rows_unknown"] = {"a": 5, "b": 0, "c": 0}
    told = " ".join(analysis_sentences(record))
    assert "Rows that another model has not scored are left out: 1,200 of a and 3 of c." in told
    assert "scored up to a limit only: 7 rows by b." in told
    assert "tokens that the tokenizer does not know (5 rows by a)" in told
    assert "left out" not in " ".join(analysis_sentences(models))


def test_extremes_that_agree_beyond_the_null_are_told_so(models: dict[str, Any]) -> None:
    record = copy.deepcopy(models)
    contrast = record["metrics"]["entropy_mean"]["agreement"]["contrast"]
    contrast |= {"p": 0.001, "excess": {"value": 0.05, "low": 0.01, "high": 0.09}}
    assert any("agree more at the extremes than bounded ranks explain" in one for one in analysis_sentences(record))
    contrast["excess"] = {"value": -0.05, "low": -0.09, "high": -0.01}
    assert any("agree less at the extremes than bounded ranks explain" in one for one in analysis_sentences(record))


def test_correctness_page_says_what_was_found(correctness: dict[str, Any], tmp_path: Path) -> None:
    page = _page(correctness, tmp_path)
    assert f"Of 300 rows scored by a, {correctness['data']['right']} are right" in page.words
    assert "3 scored rows without a label are left out" in page.words
    assert "Mean entropy: higher in right rows, significant and large" in page.words
    assert "Last-token entropy: no effect shown" in page.words
    assert "With length and source held fixed, the effect remains for mean entropy." in page.words
    assert HOSTILE in page.text
    rows = len(page.all("th", scope="row"))
    assert rows == 6 + 14 + 8 + 6 + 2 + 6 + 6  # effects, regressions, nested, confounds, sources, two matrices


def test_a_significant_but_tiny_effect_is_called_that() -> None:
    record = _correctness(0.1, 6000)
    regime = next(one for one in record["regimes"] if one["name"] == "entropy_mean")
    assert regime["p_holm"] < 0.05
    told = next(one for one in analysis_sentences(record) if one.startswith("Mean entropy:"))
    assert "significant but tiny" in told


@pytest.mark.parametrize(
    ("d", "auc", "size"),
    [
        (0.19, 0.54, "tiny"),
        (-0.19, 0.46, "tiny"),
        (0.21, 0.54, "small"),
        (0.1, 0.56, "small"),
        (-0.6, 0.3, "moderate"),
        (2, 0.9, "large"),
    ],
)
def test_sizes(d: float, auc: float, size: str) -> None:
    found = {"cohens_d": {"value": d}, "auc": {"value": auc}}
    assert effect_size(found, {"cohens_d": 0.2, "auc": 0.05}) == size


def test_an_effect_that_goes_with_length_is_told_so(correctness: dict[str, Any]) -> None:
    record = copy.deepcopy(correctness)
    for entry in record["confounds"]["adjusted"]:
        if entry["predictor"] == "entropy_mean" and entry["covariates"] != "none":
            entry["p_holm"] = 0.6
    told = " ".join(analysis_sentences(record))
    assert "With length held fixed, no effect is shown any more for mean entropy (" in told
    assert "remains" not in told


def test_an_addition_is_told_by_its_corrected_p(correctness: dict[str, Any]) -> None:
    record = copy.deepcopy(correctness)
    entry = next(one for one in record["nested"] if one["added"] == "varentropy_mean")
    entry |= {"p": 0.02, "p_holm": 0.16}
    told = " ".join(analysis_sentences(record))
    assert "Given mean entropy, no addition by mean varentropy is shown (" in told
    assert "p = 0.020, corrected p = 0.160)" in told


def test_lengths_that_do_not_vary_within_a_class_have_no_d(correctness: dict[str, Any], tmp_path: Path) -> None:
    record = copy.deepcopy(correctness)
    record["confounds"]["length"]["with_right"]["cohens_d"] = {"value": None, "low": None, "high": None}
    assert "tokens on average, wrong ones" in _page(record, tmp_path).words


def test_effects_without_an_estimate_are_said_to_have_none(correctness: dict[str, Any], tmp_path: Path) -> None:
    record = copy.deepcopy(correctness)
    for entry in record["confounds"]["adjusted"]:
        if entry["covariates"] == "source":
            entry.clear()
            entry |= {"predictor": "entropy_mean", "covariates": "source", "problem": "no finite estimate"}
    for name in PREDICTORS[1:]:
        gone = {"predictor": name, "covariates": "source", "problem": "no finite estimate"}
        record["confounds"]["adjusted"].append(gone)
    page = _page(record, tmp_path)
    assert page.words.count("no estimate") == 6
    assert "Mean entropy, source held fixed: no finite estimate." in page.words


def test_hostile_text_stays_text(models: dict[str, Any], tmp_path: Path) -> None:
    record = copy.deepcopy(models)
    record["title"] = HOSTILE
    for model in record["models"]:
        model["label"] = model["folder"] = HOSTILE
    for row in record["metrics"]["entropy_mean"]["rows"]["agree"]:
        row["text"] = row["id"] = HOSTILE
    page, plain = _page(record, tmp_path), _page(models, tmp_path)
    assert page.misnested == []
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert visible(HOSTILE) in page.text
    assert all("<" not in trace["name"] for trace in page.figures["sorted-entropy_mean"]["data"])


def test_terminal_shows_the_same(models: dict[str, Any], correctness: dict[str, Any]) -> None:
    for record, rows in ((models, 3), (correctness, 6)):
        assert analysis_table(record).row_count == rows
        assert analysis_findings(record).row_count == len(analysis_sentences(record))


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"kind": "analysis", "schema_version": 1, "models": [], "analysis": "order"}, "an analysis is of models or"),
        ({"kind": "analysis", "schema_version": 1, "analysis": "models"}, 'needs a list "models"'),
        ({"kind": "evaluation", "schema_version": 1, "settings": []}, 'of kind "analysis" is needed here'),
        (
            {
                "kind": "analysis",
                "schema_version": 1,
                "analysis": "models",
                "models": [{"label": "a"}],
                "metrics": {"entropy_mean": {}},
            },
            "no complete analysis",
        ),
    ],
)
def test_what_is_no_analysis_is_said(record: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        write_analysis_report(record, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("analysis", ["models", "correctness"])
def test_the_smallest_record_makes_a_page(analysis: str, tmp_path: Path) -> None:
    record = {"schema_version": 1, "kind": "analysis", "analysis": analysis, "models": []}
    (tmp_path / "analysis.json").write_text(
        '{"schema_version": 1, "kind": "analysis", "analysis": "models", "models": []}'
    )
    assert read_record(tmp_path / "analysis.json", "analysis")["models"] == []
    page = _page(record, tmp_path)
    assert page.misnested == []
    assert "This record holds no" in page.words
