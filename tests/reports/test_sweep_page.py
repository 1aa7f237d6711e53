"""The report of a sweep says what its record holds."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from entrotune.errors import UserError
from entrotune.reports import recommendation_sentence, sweep_findings, sweep_table, write_report, write_sweep_report
from reports.pages_read import Page


def estimate(value: float, arm: float = 0.1) -> dict[str, Any]:
    return {"value": value, "low": value - arm, "high": value + arm, "n": 24}


def variant(name: str, nll: float, point: dict[str, Any] | None = None) -> dict[str, Any]:
    settings = [
        {
            "temperature": temperature,
            "metrics": {"nll": estimate(nll + temperature), "distinct_2": estimate(temperature / 2)},
        }
        for temperature in (0.7, 1.0)
    ]
    return {"name": name, "label": name, "tuned": name != "base", "point": point, "settings": settings}


def trial(number: int, alpha: float, state: str, **values: Any) -> dict[str, Any]:
    point = {"alpha": alpha, "schedule": "cosine"}
    return {"number": number, "point": point, "label": f"alpha = {alpha:g}", "state": state} | values


@pytest.fixture
def record() -> dict[str, Any]:
    against = {"temperature": 1.0, "difference": estimate(-0.5), "verdict": "better", "side": "more diverse"}
    chosen = {"variant": "trial-1", "temperature": 1.0, "label": "alpha = 0.1"}
    compared = {"difference": estimate(-0.5), "verdict": "better", "side": "within", "temperatures": [0.7, 1.0]}
    return {
        "schema_version": 1,
        "kind": "sweep",
        "title": "Weights <compared>",
        "seeds": [0, 1],
        "method": "random",
        "space": [
            {"name": "alpha", "low": 0.0, "high": 1.0, "log": False, "int": False, "numeric": True},
            {"name": "schedule", "values": ["cosine", "linear"], "numeric": False},
        ],
        "front": {
            "quality": "nll",
            "diversity": "distinct_2",
            "better": {"quality": "lower", "diversity": "higher"},
            "reference_temperature": 1.0,
        },
        "metrics": {
            "nll": {"label": "Validation NLL", "unit": "nats/token", "better": "lower", "kind": "quality"},
            "distinct_2": {"label": "Distinct-2", "unit": "", "better": "higher", "kind": "diversity"},
        },
        "counts": {"complete": 1, "pruned": 1, "failed": 1, "repeated": 1},
        "pruning": {"rule": "a run is stopped where it is bad", "after": 4},
        "variants": [variant("base", 5), variant("ce", 3), variant("trial-1", 2.5, {"alpha": 0.1})],
        "trials": [
            trial(0, 0.0, "repeated", same_as="ce"),
            trial(1, 0.1, "complete", variant="trial-1", seconds=70.0, against_tempered_ce=[against]),
            trial(2, 0.5, "pruned", reason="pruned: at epoch 1 it is bad"),
            trial(3, 1.0, "failed", reason="entropy wins <here>"),
        ],
        "pareto": [{"variant": "trial-1", "temperature": 1.0}],
        "knee": None,
        "hypervolume": {
            "reference": {"quality": 4.0, "diversity": 0.35},
            "tempered_ce": 0.1,
            "settings": 0.2,
            "together": 0.2,
        },
        "recommendation": {
            "variant": "trial-1",
            "temperature": 1.0,
            "shown": True,
            "chosen": chosen,
            "candidates": 3,
            "prompts": {"choosing": 12, "confirming": 12},
            "choosing": compared,
            "confirming": compared,
            "by_seed": {"0": -0.4, "1": -0.6},
            "seeds_agree": True,
            "seeds": 2,
        },
    }


def test_the_sentence_has_the_reason_in_words(record: dict[str, Any]) -> None:
    assert recommendation_sentence(record) == (
        "Use alpha = 0.1 at temperature 1. Where plain ce has the same distinct-2, between temperatures 0.7 and 1, its "
        "validation NLL is 0.500 nats/token lower [95% interval 0.400 to 0.600] (12 prompts, 2 seeds; it was chosen "
        "from 3 points on 12 other prompts); its interval over 2 seeds agrees."
    )
    record["recommendation"] |= {"variant": "ce", "shown": False, "temperature": 0.7}
    record["recommendation"]["confirming"] = {
        "difference": {"value": 0.05, "low": -0.1, "high": 0.2, "n": 12},
        "verdict": "no difference shown",
        "side": "within",
        "temperatures": [0.7, 0.7],
    }
    assert recommendation_sentence(record) == (
        "Use plain ce at temperature 0.7, which does as well as far as these data tell: no setting's advantage is "
        "shown (12 prompts, 2 seeds). The setting that looked best, alpha = 0.1 at temperature 1 (chosen from 3 points "
        "on 12 other prompts), has on the rest a validation NLL 0.050 nats/token higher than that of ce at that "
        "diversity or more "
        "[95% interval −0.100 to 0.200]."
    )


def test_what_else_may_have_helped_is_told(record: dict[str, Any]) -> None:
    plain = recommendation_sentence(record)
    record["recipe"] = {"objective": "ce - alpha*entropy", "train": {"schedule": "cosine", "epochs": 3}}
    assert recommendation_sentence(record) == plain  # the recipe's own schedule
    record["recipe"]["train"]["schedule"] = "linear"
    told = " Plain ce was trained with schedule linear: schedule may be what helps, so try plain ce with this schedule"
    told += " too."
    assert recommendation_sentence(record) == plain + told
    record["recipe"]["objective"] = "ce"  # there is nothing else that could have helped
    assert recommendation_sentence(record) == plain


def test_page(record: dict[str, Any], tmp_path: Path) -> None:
    record["recommendation"]["reason"] = recommendation_sentence(record)
    write_sweep_report(record, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert page.misnested == []
    text = page.words
    assert "Weights <compared>" in text
    assert record["recommendation"]["reason"] in text
    assert text.index(record["recommendation"]["reason"]) < text.index("Quality against diversity")
    assert "4 settings drawn at random, 2 seeds each: 1 measured, 1 pruned, 1 failed, 1 tried before." in text
    assert "Trial 3, alpha = 1: failed, entropy wins <here>" in text
    assert "repeated, the same run as ce" in text
    assert "a run is stopped where it is bad" in text
    assert "more diverse than ce at any temperature" in text
    assert "trial-1 at temperature 1" in text
    # Two things varied: one temperature, and only what is a number has charts.
    assert set(page.figures) == {"front", "quality-alpha", "diversity-alpha"}
    series = page.figures["quality-alpha"]["data"]
    assert [trace["name"] for trace in series] == ["temperature 1", "ce, temperature 1"]
    assert series[0]["x"] == [0.0, 0.1]
    assert series[0]["y"] == [4.0, 3.5]
    assert series[0]["error_y"]["array"] == pytest.approx([0.1, 0.1])
    assert series[1]["y"] == [4.0, 4.0]


def test_the_pareto_set_is_ringed_on_any_axes(record: dict[str, Any], tmp_path: Path) -> None:
    write_sweep_report(record, tmp_path / "report.html")
    front = Page((tmp_path / "report.html").read_text()).figures["front"]
    assert [trace["name"] for trace in front["data"]] == ["base", "ce", "trial-1", "Pareto set"]
    assert {name: column["value"] for name, column in front["columns"][-1].items()} == {
        "nll": [3.5],
        "distinct_2": [0.5],
    }


def test_one_dimension_has_a_line_a_temperature(record: dict[str, Any], tmp_path: Path) -> None:
    record["space"] = record["space"][:1]
    write_sweep_report(record, tmp_path / "report.html")
    data = Page((tmp_path / "report.html").read_text()).figures["diversity-alpha"]["data"]
    assert [trace["name"] for trace in data if trace["mode"] == "lines+markers"] == ["temperature 0.7", "temperature 1"]


def test_a_sweep_in_which_nothing_was_measured_has_a_page(record: dict[str, Any], tmp_path: Path) -> None:
    record["variants"], record["trials"] = record["variants"][:2], record["trials"][2:]
    record["recommendation"] = {"variant": "ce", "temperature": 1.0, "shown": False, "chosen": None}
    record["recommendation"]["reason"] = recommendation_sentence(record)
    write_sweep_report(record, tmp_path / "report.html")
    assert (
        "Use plain ce at temperature 1: no setting could be compared"
        in Page((tmp_path / "report.html").read_text()).words
    )


def test_the_report_command_knows_it(record: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    assert write_report(tmp_path) == tmp_path / "report.html"
    assert "trial-1" in (tmp_path / "report.html").read_text()


def test_table_and_findings(record: dict[str, Any]) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(sweep_table(record))
    shown = console.export_text()
    assert "3.400–3.600" in shown
    assert "−0.600–−0.400" in shown
    assert "pruned" in shown
    told = sweep_findings(record | {"recommendation": {"reason": "Use it."}})
    assert told[1:] == ["alpha = 0.5: pruned: at epoch 1 it is bad", "alpha = 1: entropy wins <here>", "Use it."]


def test_other_records_are_refused(record: dict[str, Any]) -> None:
    with pytest.raises(UserError, match='kind "sweep" is needed'):
        sweep_table(record | {"kind": "comparison"})
    with pytest.raises(UserError, match='needs a list "trials"'):
        sweep_table(record | {"trials": None})
