"""The demo, smaller, on the model it is made for."""

import json
from pathlib import Path

import pytest

from entrotune import compare
from entrotune.experiments.demo import demo_config


@pytest.mark.embedded
def test_demo_at_a_small_size(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    whole = demo_config()
    small = whole.replace(
        out=str(out),
        temperatures=[1.0],
        samples=2,
        prompts=2,
        max_new_tokens=4,
        train=whole.train.replace(limit=24, epochs=1, max_steps=2, validation=6, early_stopping=None),
    )
    record = compare(small, progress=False)
    assert json.loads((out / "comparison.json").read_text(encoding="utf-8")) == record
    assert [variant["name"] for variant in record["variants"]] == ["base", *whole.objectives]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert whole.title in page
    for variant in record["variants"]:
        measured = variant["settings"][0]["metrics"]
        assert 0 < measured["nll"]["value"] < 15
        assert measured["length"]["value"] <= 4
    ce = next(variant for variant in record["variants"] if variant["name"] == "ce")
    assert ce["last_nll"] == pytest.approx(ce["settings"][0]["metrics"]["nll"]["value"], abs=1e-4)
