"""The report of a study says what its record holds."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from entrotune.errors import UserError
from entrotune.reports import curriculum_sentences, curriculum_table, write_curriculum_report, write_report
from reports.pages_read import Page


def estimate(value: float, arm: float | None = 0.01) -> dict[str, Any]:
    low, high = (None, None) if arm is None else (value - arm, value + arm)
    return {"value": value, "low": low, "high": high, "n": 3}


def variant(name: str, difference: float | None = None, verdict: str = "better", arm: float | None = 0.01) -> Any:
    curve = [{"step": step, "nll": estimate(4 - step / 10), "difference": estimate(0.1)} for step in (0, 5, 10)]
    found: dict[str, Any] = {"name": name, "curve": curve, "tokens": 12345.0, "nll": estimate(3 + (difference or 0))}
    if difference is not None:
        found["difference"] = {
            "by_seed": {"0": difference},
            "over_seeds": estimate(difference, arm),
            "over_rows": estimate(difference, arm),
            "verdict": verdict,
        }
    return found


@pytest.fixture
def record() -> dict[str, Any]:
    return {
        "schema_version": 1,
        "kind": "curriculum",
        "title": "Orders <compared>",
        "control": "random",
        "seeds": [0, 1, 2],
        "steps": 10,
        "conventions": {"NLL": "nats per token"},
        "variants": [
            variant("random"),
            variant("increasing", -0.125),
            variant("hill", 0.25, "worse"),
            variant("periodic", 0.001, "no difference shown"),
        ],
    }


def test_sentences(record: dict[str, Any]) -> None:
    assert curriculum_sentences(record) == [
        "increasing: better than random, NLL −0.125 [−0.135 to −0.115 over 3 seeds]",
        "hill: worse than random, NLL +0.250 [0.240 to 0.260 over 3 seeds]",
        "periodic: no difference to random shown, NLL +0.001 [−0.009 to 0.011 over 3 seeds]",
    ]
    record["variants"] = [variant("random"), variant("hill", 0.1, "no difference shown", arm=None)]
    assert curriculum_sentences(record) == ["hill: no difference to random shown, NLL +0.100"]


def test_page(record: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_curriculum_report(record, path)
    page = Page(path.read_text())
    text = page.words
    assert page.misnested == []
    assert "Orders <compared>" in text
    for sentence in curriculum_sentences(record):
        assert sentence in text
    assert set(page.figures) == {"nll", "difference"}
    lines = [trace["name"] for trace in page.figures["difference"]["data"] if trace["meta"]["paint"] == "line"]
    assert lines == ["increasing", "hill", "periodic"]
    bands = [trace for trace in page.figures["nll"]["data"] if trace["meta"]["paint"] == "band"]
    assert len(bands) == 8
    assert bands[1]["y"] == pytest.approx([4.01, 3.51, 3.01])


def test_the_report_command_knows_it(record: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "curriculum.json").write_text(json.dumps(record))
    assert write_report(tmp_path) == tmp_path / "report.html"
    assert "increasing" in (tmp_path / "report.html").read_text()


def test_table(record: dict[str, Any]) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(curriculum_table(record))
    shown = console.export_text()
    assert "−0.135–−0.115" in shown
    assert "worse" in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"kind": "comparison"}, 'kind "curriculum" is needed'), ({"variants": {}}, 'needs a list "variants"')],
)
def test_other_records_are_refused(record: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        curriculum_table(record | changes)
