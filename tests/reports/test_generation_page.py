"""The page of decoding strategies: a point a strategy, which says its name, on axes that fit the spread."""

from pathlib import Path
from typing import Any

import pytest

from entrotune.reports import generation_table, write_generation_report
from reports.pages_read import Page


def strategy(label: str, perplexity: float, distinct: float) -> dict[str, Any]:
    metrics = {
        "own_perplexity": {"value": perplexity, "low": perplexity * 0.9, "high": perplexity * 1.1, "n": 7},
        "distinct_2": {"value": distinct, "low": distinct - 0.01, "high": distinct + 0.01, "n": 7},
    }
    settings = [{"temperature": None, "samples_per_prompt": 3, "metrics": metrics}]
    return {"name": f"{label}(value=1)", "label": label, "tuned": True, "settings": settings}


@pytest.fixture
def record() -> dict[str, Any]:
    def metric(kind: str, better: str) -> dict[str, str]:
        return {"label": kind, "unit": "", "better": better, "kind": kind, "explain": ""}

    return {
        "kind": "generation",
        "schema_version": 1,
        "variants": [strategy("greedy", 2, 0.3), strategy("<b>&", 15, 0.9), strategy("hot", 150, 0.95)],
        "metrics": {"own_perplexity": metric("quality", "lower"), "distinct_2": metric("diversity", "higher")},
        "front": {"quality": "own_perplexity", "diversity": "distinct_2"},
        "data": {"prompts": 7},
        "samples": [],
    }


def test_points_say_their_names_and_perplexities_that_span_decades_are_logarithmic(
    record: dict[str, Any], tmp_path: Path
) -> None:
    write_generation_report(record, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    front = page.figures["front"]
    assert page.misnested == []
    assert front["names_best"] is True
    assert {name: axis["log"] for name, axis in front["axes"].items()} == {"own_perplexity": True, "distinct_2": False}
    assert [trace["name"] for trace in front["data"]] == ["greedy", "&lt;b&gt;&amp;", "hot"]
    for trace in front["data"]:
        assert trace["mode"] == "markers"
        assert trace["hovertemplate"].startswith(f"<b>{trace['name']}</b>")
        assert "temperature" not in trace["hovertemplate"]
    assert "hot" in page.words


def test_a_narrow_spread_is_linear(record: dict[str, Any], tmp_path: Path) -> None:
    del record["variants"][2]
    write_generation_report(record, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not page.figures["front"]["axes"]["own_perplexity"]["log"]
    assert generation_table(record).row_count == 2
