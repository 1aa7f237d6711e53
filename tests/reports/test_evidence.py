"""The page of evidence, from made-up records."""

import copy
import json
import math
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entrotune import evidence
from entrotune.errors import UserError
from entrotune.reports import (
    evidence_page,
    evidence_picture,
    forest_picture,
    read_record,
    trimmed,
    write_comparison_report,
)
from entrotune.reports.evidence_summary import gains
from reports.records import comparison, estimate

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "evidence"


@pytest.fixture
def record() -> dict[str, Any]:
    made = comparison()
    tuned = [variant for variant in made["variants"] if variant["tuned"]]
    for variant in tuned:
        variant["stops"] = {
            "epoch": estimate(2.0, 0.5, 3),
            "nll": estimate(2.301, 0.1, 3),
            "rise": estimate(0.4, 0.2, 3),
        }
        variant["epochs"] = [
            {
                "epoch": float(epoch),
                "step": 20 * epoch,
                "temperature": 1.0,
                "metrics": {"distinct_2": estimate(0.5, 0.1)},
            }
            for epoch in (1, 3)
        ]
    tuned[-1]["differs"] = {"objective": "gem(beta=0.7)", "weight_decay": 0.1, "coefficients": {"a": [1, 2]}}
    return made


def _table(page: str, title: str) -> list[list[str]]:
    """The rows of the first table after a title."""
    lines = page[page.index(title) :].splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| "))
    end = next(at for at, line in enumerate(lines) if at > start and not line.startswith("| "))
    return [line.strip("| ").split(" | ") for line in lines[start:end]]


def test_the_committed_page_is_made_from_the_committed_records(tmp_path: Path) -> None:
    for path in KEPT.glob("*.json"):
        shutil.copy(path, tmp_path)
    page = evidence([str(tmp_path)], keep=str(tmp_path), out=str(tmp_path.parent / "evidence.md"))
    command = "entrotune evidence docs/evidence --keep docs/evidence --out docs/evidence.md"
    committed = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").replace(f"{tmp_path.name}/", "evidence/") == committed, command


def test_committed_records_are_small_and_hold_no_samples() -> None:
    found = sorted(KEPT.glob("*.json"))
    assert found
    for path in found:
        assert path.stat().st_size < 200_000, path.name
        kept = read_record(path, "comparison")
        assert "samples" not in kept
        assert not any("curve" in variant for variant in kept["variants"])


def test_a_page_has_every_number_with_its_interval(record: dict[str, Any]) -> None:
    page = evidence_page([trimmed(record)], [None])
    rows = _table(page, "### Quality and diversity")
    settings = [setting for variant in record["variants"] for setting in variant["settings"]]
    assert len(rows) == 2 + len(settings)
    column = next(at for at, head in enumerate(rows[0]) if head.startswith("Validation NLL"))
    for row, setting in zip(rows[2:], settings, strict=True):
        nll = setting["metrics"]["nll"]
        assert row[column] == f"{nll['value']:.3f} [{nll['low']:.3f} to {nll['high']:.3f}]"
    stops = _table(page, "### Where each stops generalising")
    assert stops[2][1:] == ["2.000 [1.500 to 2.500]", "2.301 [2.201 to 2.401]", "0.400 [0.200 to 0.600]"]
    assert _table(page, "Distinct-2 of samples at temperature 1")[0] == ["variant", "0", "1", "3"]
    assert "`objective gem(beta=0.7), weight_decay 0.1, coefficients {" in page
    for fact in ("2026-03-04T10:20:30Z", "entrotune demo --out runs/demo --seed 0", "134,515,008 parameters"):
        assert fact in page


def test_half_precision_is_told(record: dict[str, Any]) -> None:
    assert "bfloat16" not in evidence_page([trimmed(record)], [None])
    record["recipe"] |= {"dtype": "bfloat16"}
    record["recipe"]["train"] = {"precision": "bfloat16"}
    lines = evidence_page([trimmed(record)], [None]).splitlines()
    told = [line for line in lines if line.startswith(("- Training: ", "- Sampling: "))]
    assert [line.endswith(", in bfloat16") for line in told] == [True, True]


def test_over_epochs_are_means_over_seeds(record: dict[str, Any]) -> None:
    made = trimmed(record)
    made["variants"][1]["course"] = [
        {"seed": seed, "epoch": epoch, "train_nll": None, "validation_nll": nll, "validation_entropy": 1.0}
        for seed, values in ((0, (3.0, 2.0)), (1, (4.0, 2.5)))
        for epoch, nll in zip((1.0, 2.0), values, strict=True)
    ]
    for variant in made["variants"][2:]:
        variant["course"] = []
    rows = _table(evidence_page([made], [None]), "Validation NLL after each epoch")
    assert rows[0] == ["variant", "1", "2"]
    assert [row[1:] for row in rows[2:]] == [["3.500", "2.250"]]


@pytest.mark.parametrize(
    ("device", "seeds", "told"),
    [
        ("cpu (x86_64, 1 threads)", [0], "A small run on a CPU with 1 seed, not the full study."),
        ("cpu (x86_64, 1 threads)", [0, 1, 2], "A small run on a CPU, not the full study."),
        ("NVIDIA H100", [0, 1], "A small run with 2 seeds, not the full study."),
        ("NVIDIA H100", [0, 1, 2], None),
    ],
)
def test_small_runs_are_called_so(record: dict[str, Any], device: str, seeds: list[int], told: str | None) -> None:
    page = evidence_page([record | {"device": device, "seeds": seeds}], [None])
    assert (told or "A small run") in page if told else "A small run" not in page


def test_text_from_outside_is_no_markup(record: dict[str, Any]) -> None:
    hostile = "<script>alert(1)</script> | [x](y) `z`\n# no"
    record["title"] = hostile
    record["variants"][1] |= {"label": hostile, "differs": {"objective": hostile}}
    page = evidence_page([trimmed(record)], [None])
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", page)
    assert "<script>" not in outside.replace("\\<script\\>", "")
    assert not any(line.startswith("# no") for line in page.splitlines())


def test_a_kept_record_makes_the_same_page_and_still_a_report(record: dict[str, Any], tmp_path: Path) -> None:
    before = copy.deepcopy(record)
    kept = json.loads(json.dumps(trimmed(record)))
    assert record == before
    assert evidence_page([kept], [None]) == evidence_page([trimmed(record)], [None])
    assert len(json.dumps(kept)) < len(json.dumps(record))
    write_comparison_report(kept, tmp_path / "report.html")
    assert "stops generalising" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_command_keeps_records_and_refuses_what_is_none(record: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a/one", "b/one", "two"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "comparison.json").write_text(json.dumps(record), encoding="utf-8")
    kept, out = tmp_path / "kept", tmp_path / "page.md"
    with pytest.raises(UserError, match="are named one"):
        evidence([str(tmp_path / "a/one"), str(tmp_path / "b/one")], keep=str(kept), out=str(out))
    assert not kept.exists()
    evidence([str(tmp_path / "two")], keep=str(kept), out=str(out))
    evidence([str(tmp_path / "a/one")], keep=str(kept), out=str(out))
    before = (kept / "two.json").read_text(encoding="utf-8")
    evidence([str(kept)], keep=str(kept), out=str(out))
    assert (kept / "two.json").read_text(encoding="utf-8") == before, "a kept record is not trimmed again"
    assert sorted(path.name for path in kept.iterdir()) == ["one.json", "one.svg", "two.json", "two.svg"]
    assert re.findall(r"\]\((.*)\)$", out.read_text(encoding="utf-8"), re.MULTILINE) == ["kept/one.svg", "kept/two.svg"]
    assert out.read_text(encoding="utf-8").count("\n## ") == 2
    (tmp_path / "empty").mkdir()
    for source, told in (("empty", "neither a comparison"), ("none", "neither a comparison")):
        with pytest.raises(UserError, match=told):
            evidence([str(tmp_path / source)], out=str(out))


def _drawn(svg: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """The lines of variants in a picture: group and the places of their markers."""
    found = []
    for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        if (name := group.get("id", "")).startswith("variant-"):
            marks = group.iter("{http://www.w3.org/2000/svg}use")
            found.append((name, [(float(mark.get("x", "")), float(mark.get("y", ""))) for mark in marks]))
    return found


def test_a_picture_has_every_setting_where_its_numbers_are(record: dict[str, Any]) -> None:
    record["variants"][1]["label"] = hostile = "a <b> $x_1$ & c"
    svg = evidence_picture(trimmed(record))
    assert svg is not None
    assert svg == evidence_picture(trimmed(record))
    assert hostile in "".join(ET.fromstring(svg).itertext())
    lines, axes = _drawn(svg), (record["front"]["diversity"], record["front"]["quality"])
    fronts, points = [], []
    for position, variant in enumerate(record["variants"]):
        marks = next(marks for name, marks in lines if name == f"variant-{position}")
        assert len(marks) == len(variant["settings"])
        fronts += marks
        points += [tuple(one["metrics"][name]["value"] for name in axes) for one in variant["settings"]]
    better = [record["metrics"][name]["better"] for name in axes]
    for axis in (0, 1):  # a linear map of the numbers; better is to the right, and up, where a picture's y is less
        drawn, numbers = [mark[axis] for mark in fronts], [point[axis] for point in points]
        slope, at = np.polyfit(numbers, drawn, 1)
        assert (slope > 0) == ((better[axis] == "higher") == (axis == 0))
        np.testing.assert_allclose(np.polyval([slope, at], numbers), drawn, atol=0.01)


def test_courses_are_drawn_beside_fronts_and_nothing_without_numbers(record: dict[str, Any]) -> None:
    made = trimmed(record)
    for variant in made["variants"]:
        variant["course"] = []
    made["variants"][1]["course"] = [
        {"seed": 0, "epoch": epoch, "train_nll": 2.0, "validation_nll": nll, "validation_entropy": 1.0}
        for epoch, nll in ((0.0, 90.0), (1.0, 3.0), (2.0, 2.5), (3.0, 2.0))
    ]
    svg = evidence_picture(made)
    assert svg is not None
    courses = [marks for name, marks in _drawn(svg) if name == "variant-1"][1]
    assert len(courses) == 3, "all epochs but the start"
    assert courses[1][1] == pytest.approx((courses[0][1] + courses[2][1]) / 2, abs=0.01)
    assert evidence_picture(made | {"variants": []}) is None


def _bent(share: float, about: float | None = None, **entry: Any) -> dict[str, Any]:
    """A comparison whose `ce` has slots 1 − log(T)² and diversity log(T) + 0.5 over three temperatures."""
    places = {0.8: math.log(0.8), 1.0: 0.0, 1.25: math.log(1.25)}
    settings = [
        {"temperature": t, "metrics": {"slots": estimate(1 - 4 * x * x, 0.01), "distinct_2": estimate(0.5 + x, 0.01)}}
        for t, x in places.items()
    ]
    own = {"name": "gem", "label": "gem", "objective": "gem", "tuned": True, "settings": settings[:1]}
    plain = {"name": "ce", "label": "ce", "objective": "ce", "tuned": True, "settings": settings}
    side = {"variant": "ce", "temperature": None, "between": [1.0, 1.25], "share": share}
    compared = {
        "metric": "slots",
        "a": {"variant": "gem", "temperature": 0.8},
        "b": side | ({} if about is None else {"about": about}),
        "matched_on": "distinct_2",
        "difference": estimate(0.08, 0.02),
        "seeds": estimate(0.08, 0.04, 3),
        "verdict": "higher",
    }
    return {
        "kind": "comparison",
        "title": "Bent",
        "variants": [plain, own],
        "metrics": {"slots": {"label": "Slots", "kind": "quality", "better": "higher"}},
        "front": {"quality": "slots", "diversity": "distinct_2"},
        "seeds": [0, 1, 2],
        "comparisons": [compared | entry],
    }


def test_what_the_front_bends_is_taken_off_a_gain() -> None:
    (gain,) = gains(_bent(0.5))
    x = math.log(1.25) / 2  # diversity is straight in log T, so half of the way is half of the diversity
    assert gain.bend == pytest.approx((1 - 4 * x * x) - (1 + (1 - 16 * x * x)) / 2, abs=1e-3)
    assert gain.corrected[0].value == pytest.approx(0.08 - gain.bend)
    assert gain.verdict == "not shown"  # less 0.05, which the interval over seeds does not bear
    for straight in (_bent(0.5, about=1.12), _bent(0.0)):
        (gain,) = gains(straight)
        assert gain.bend == pytest.approx(0, abs=1e-9)
        assert gain.verdict == "better"
    (worse,) = gains(_bent(0.0, difference=estimate(-0.2, 0.02), seeds=None))
    assert worse.verdict == "worse"
    assert gains(_bent(0.0, matched_on=None)) == []


def test_the_page_begins_with_all_gains_and_their_picture(tmp_path: Path) -> None:
    records = [_bent(0.0), _bent(0.5), _bent(0.0, difference=estimate(-0.2, 0.02), seeds=estimate(-0.2, 0.1, 3))]
    page = evidence_page(records, [None] * 3, "all of it.svg")
    rows = _table(page, "## At equal diversity")
    assert [row[-1] for row in rows[2:]] == ["better", "not shown", "worse"]
    assert rows[2][5:7] == ["+0.080 [0.060 to 0.100; over seeds 0.040 to 0.120]", "0"]
    assert "(all%20of%20it.svg)" in page
    svg = forest_picture(records)
    assert svg is not None
    marks = {
        group.get("id"): [float(use.get("x", "")) for use in group.iter("{http://www.w3.org/2000/svg}use")]
        for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")
        if (group.get("id") or "").startswith("gain-")
    }
    drawn = [marks[f"gain-{place}"][0] for place in range(3)]
    values = [gain.corrected[0].value for record in records for gain in gains(record)]
    slope, at = np.polyfit(values, drawn, 1)
    assert slope > 0
    np.testing.assert_allclose(np.polyval([slope, at], values), drawn, atol=0.01)
    assert forest_picture([_bent(0.0, matched_on=None)]) is None
    assert "At equal diversity" not in evidence_page([_bent(0.0, matched_on=None)], [None])
