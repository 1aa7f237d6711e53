"""The report of training towards target distributions says what its record holds."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from entrotune.errors import UserError
from entrotune.reports import diffuse_sentences, diffuse_table, group_tables, write_diffuse_report, write_report
from reports.pages_read import Page


def measured(p: list[float], **more: Any) -> dict[str, Any]:
    return {
        "entropy": 0.5 + p[0],
        "evenness": p[0],
        "valid_mass": sum(p),
        "kl": 0.125,
        "kl_renormalised": 0.0625,
        "coverage": {"10": 1.5, "100": 2.0, "1000": 2.0},
        "log_probs": [math.log(value) for value in p],
        **more,
    }


@pytest.fixture
def record() -> dict[str, Any]:
    sampled = {
        "samples": 1000,
        "distinct": 7,
        "validity": 0.96875,
        "coverage": 2,
        "entropy": 0.7,
        "most_frequent": "<b>heads</b>",
        "most_frequent_share": 0.53125,
        "chi_squared": {"statistic": 1.25, "degrees_of_freedom": 1, "p_value": 0.25, "lowest_expected": 4.0},
    }
    one = {"targets": ["<b>heads</b>", "tails"], "weights": [0.5, 0.5], "floor": math.log(2), "conflicts": 0}
    return {
        "schema_version": 1,
        "kind": "diffuse",
        "title": "Target distributions: coins",
        "sets": [
            {**one, "label": "coins", "group": "chance", "request": "Toss <i>it</i>.", "trained": True},
            {
                **one,
                "label": "dice",
                "group": "chance",
                "request": [{"role": "user", "content": "Roll."}],
                "trained": False,
                "conflicts": 3,
            },
        ],
        "before": {"coins": measured([0.5, 0.25]), "dice": measured([0.125, 0.125])},
        "after": {
            "coins": measured([0.4375, 0.5], sampled=sampled, parts={"held_out": measured([0.03125])}),
            "dice": measured([0.25, 0.25]),
        },
        "training": {"curve": [{"step": 1, "loss": 2.0, "floor": 0.5}, {"step": 2, "loss": 1.0, "floor": 0.5}]},
        "retention": {
            "before": {"nll": {"value": 3.0, "low": 2.5, "high": 3.5, "n": 9}},
            "after": {
                "nll": {"value": 3.125, "low": 2.5, "high": 3.5, "n": 9},
                "kl_to_base": {"value": 0.0625, "n": 9},
            },
        },
        "conventions": {"P": "of exact tokens"},
    }


def page_of(record: dict[str, Any], path: Path) -> Page:
    write_diffuse_report(record, path)
    return Page(path.read_text(encoding="utf-8"))


def test_page(record: dict[str, Any], tmp_path: Path) -> None:
    page = page_of(record, tmp_path / "report.html")
    assert not page.misnested
    for told in (
        "Toss <i>it</i>.",
        "user: Roll.",
        "held out targets, after",
        "1,000 samples: 7 different, 0.969 valid",
        "most frequent '<b>heads</b>' (0.531)",
        "(p 0.250, rough for so few samples)",
        "3 targets begin others",
        "left out of training",
        "NLL of ordinary chats",
        "3.125 [2.500 to 3.500]",
    ):
        assert " ".join(told.split()) in page.words, told
    assert not page.all("i")
    bars = page.figures["set-0"]["data"]
    assert [round(value, 6) for value in bars[1]["y"]] == [0.4375, 0.5]
    assert bars[2]["y"] == [0.5, 0.5]
    assert bars[0]["customdata"] == ["&lt;b&gt;heads&lt;/b&gt;", "tails"]
    assert page.figures["loss"]["data"][0]["y"] == [2.0, 1.0]


def test_sentences(record: dict[str, Any]) -> None:
    first, second = diffuse_sentences(record)
    assert first.startswith("coins: entropy 1.000 → 0.938 of 0.693 nats, valid mass 0.750 → 0.938, KL 0.125 → 0.125")
    assert second.startswith("dice (left out of training):")
    assert "3 targets begin others" in second
    many = [{**record["sets"][at % 2], "label": f"set {at}"} for at in range(10)]
    both = {side: {one["label"]: record[side]["coins"] for one in many} for side in ("before", "after")}
    told = diffuse_sentences(record | {"sets": many} | both)
    assert told == [
        f"5 sets {kind}: mean evenness from 0.500 to 0.438 and mean valid mass from 0.750 to 0.938"
        for kind in ("trained on", "left out")
    ]


def test_table(record: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(diffuse_table(record))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    for told in ("coins", "dice (left out)", "→ 0.938", "→ 0.531"):
        assert told in shown


def test_groups_of_a_study(record: dict[str, Any], tmp_path: Path) -> None:
    assert group_tables(record) == []
    estimate = {"value": 0.25, "low": 0.125, "high": 0.375, "n": 3}
    one = {
        "group": "<b>chance</b>",
        "sets": 2,
        "before": {"valid_mass": 0.5, "evenness": 0.75, "kl": 4.0},
        "after": {"valid_mass": estimate, "evenness": {"value": 0.875, "low": None, "high": None, "n": 1}},
        "retention": {"kl_to_base": estimate},
    }
    study = {**record, "study": "leave-one-out", "seeds": [0, 1, 2], "groups": [one]}
    page = page_of(study, tmp_path / "report.html")
    assert not page.misnested
    told = (
        "before → after; 95% intervals over 3 seeds.",
        "Group Sets Valid mass Evenness KL(w‖P) KL from the base",
        "<b>chance</b> 2 0.500 → 0.250 0.125 to 0.375 0.750 → 0.875 4.000 → – 0.250 0.125 to 0.375",
    )
    for words in (*told, "Of the runs with seed 0."):
        assert words in page.words
    console = Console(file=io.StringIO(), width=80)
    for table in group_tables(study):
        console.print(table)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    for words in ("left out", "<b>chance</b>", "0.500 → 0.250", "0.125 to 0.375"):
        assert words in shown
    single = page_of({**study, "study": "leave-one-in", "seeds": [0]}, tmp_path / "report.html")
    assert "with seed" not in single.words
    assert "not trained on, before → after; one seed; 95% intervals over chats." in single.words


def test_a_record_with_little_in_it(tmp_path: Path) -> None:
    bare = {
        "schema_version": 1,
        "kind": "diffuse",
        "sets": [{"label": "x", "targets": ["a"]}],
        "before": {},
        "after": {},
    }
    assert "x" in page_of(bare, tmp_path / "report.html").words
    assert diffuse_table(bare).row_count == 1


def test_records_that_are_none(record: dict[str, Any], tmp_path: Path) -> None:
    for change, told in (
        ({"kind": "curriculum", "variants": []}, "kind"),
        ({"sets": None}, "sets"),
        ({"after": 1}, "after"),
    ):
        with pytest.raises(UserError, match=told):
            write_diffuse_report(record | change, tmp_path / "report.html")


def test_the_report_of_a_run_is_this_one(record: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(record))
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "split": "train", "loss": 2.0, "nll": 1.0}) + "\n")
    assert "Toss" in Page(write_report(tmp_path).read_text(encoding="utf-8")).words
