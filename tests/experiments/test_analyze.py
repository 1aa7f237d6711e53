"""`analyze` as functions and as commands: what they write, join and refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import command_here
from entrotune.errors import UserError
from entrotune.experiments.analyze import analyze_correctness, analyze_models
from entrotune.experiments.report import report
from made_scores import text_of, write_scores

Here = pytest.CaptureFixture[str]
N = 60


def _numbers(seed: int, size: int = N) -> dict[str, Any]:
    """Scores of made-up rows: one signal that all seeds share, and noise of their own."""
    own, shared = np.random.default_rng(seed), np.random.default_rng(99).normal(size=size)
    signal = 3 + shared + 0.3 * own.normal(size=size)
    return {
        "entropy_mean": signal,
        "entropy_sum": 10 * signal,
        "entropy_last": own.gamma(3.0, size=size),
        "varentropy_mean": own.gamma(4.0, size=size),
        "varentropy_last": own.gamma(2.0, size=size),
        "sqrt_varentropy_mean": own.gamma(5.0, size=size),
        "nll_mean": signal + 0.2 * own.normal(size=size),
        "tokens": own.integers(5, 60, size=size),
    }


def _right() -> list[bool]:
    generator = np.random.default_rng(5)
    return (generator.random(N) < 0.5).tolist()


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    return [str(write_scores(tmp_path / name, _numbers(at), model=name)) for at, name in enumerate(("a", "b"))]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    origin = ["wiki", "news"] * (N // 2)
    return write_scores(tmp_path / "labelled", _numbers(0), kept={"correct": _right(), "origin": origin})


def test_models_are_compared_and_the_report_rebuilt(two: list[str], tmp_path: Path) -> None:
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"id": f"row-{at}", "text": text_of(at)}) + "\n" for at in range(N)))
    out = tmp_path / "out"
    record = analyze_models(
        two, out=str(out), metrics=["entropy_mean", "nll_mean"], data=str(data), seed=4, progress=False
    )
    assert json.loads((out / "analysis.json").read_text(encoding="utf-8")) == record
    assert (record["kind"], record["analysis"], record["seeds"]) == ("analysis", "models", [4])
    assert [model["label"] for model in record["models"]] == ["a", "b"]
    assert record["data"]["rows"] == N
    assert record["tokenizers"] == [["a", "b"]]
    assert set(record["metrics"]) == {"entropy_mean", "nll_mean"}
    row = record["metrics"]["nll_mean"]["rows"]["disagree"][0]
    assert row["text"] == text_of(int(row["id"].removeprefix("row-")))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Rows that models disagree on most" in page
    (out / "report.html").unlink()
    assert report(str(out)) == out / "report.html"
    assert (out / "report.html").read_text(encoding="utf-8") == page


def test_other_tokenizers_are_allowed_and_labelled(tmp_path: Path) -> None:
    folders = [
        str(write_scores(tmp_path / name, _numbers(at), model="same", tokenizer=tokenizer))
        for at, (name, tokenizer) in enumerate((("a", "x"), ("b", "y"), ("c", "x")))
    ]
    record = analyze_models(folders, out=str(tmp_path / "out"), progress=False)
    assert record["tokenizers"] == [["same (a)", "same (c)"], ["same (b)"]]
    assert record["comparable"] == {"entropy_mean": False, "entropy_per_byte": True}
    page = " ".join((tmp_path / "out" / "report.html").read_text(encoding="utf-8").split())
    assert "These models cut text into different tokens (same (a) and same (c); same (b))" in page
    assert "levels of mean entropy do not compare" in page


def test_correctness_from_a_kept_column_and_from_a_file(labelled: Path, tmp_path: Path) -> None:
    kept = analyze_correctness(
        str(labelled), label="correct", source="origin", out=str(tmp_path / "kept"), progress=False
    )
    assert (kept["data"]["rows"], kept["data"]["right"], kept["data"]["without_label"]) == (N, sum(_right()), 0)
    assert {one["covariates"] for one in kept["confounds"]["adjusted"]} == {
        "none",
        "length",
        "source",
        "length and source",
    }
    labels = tmp_path / "labels.jsonl"
    rows = [{"id": f"row-{at}", "ok": int(right)} for at, right in enumerate(_right())]
    # Another order, five labels missing, one row of nothing that was scored.
    labels.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:4:-1], {"id": "other", "ok": 1}]))
    found = analyze_correctness(str(labelled), label=f"{labels}:ok", out=str(tmp_path / "file"), progress=False)
    assert found["data"] | {"label": ""} == found["data"] | {
        "label": "",
        "rows": N - 5,
        "without_label": 5,
        "labels_without_scores": 1,
        "right": sum(_right()[5:]),
    }
    assert found["confounds"]["source"] is None
    again = analyze_correctness(str(labelled), label="correct", out=str(tmp_path / "again"), progress=False)
    assert again["regimes"] == kept["regimes"]


@pytest.fixture
def choices(tmp_path: Path) -> Path:
    """Multiple-choice rows, one without a label."""
    generator = np.random.default_rng(0)
    rows = [
        {
            "ctx": text_of(at),
            "endings": ["goes home", "sits", "runs far away"],
            "label": int(generator.integers(3)) if at else None,
            "origin": f"source {at % 2}",
        }
        for at in range(N)
    ]
    path = tmp_path / "choices.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Scores of the contexts of the rows, but for the last two."""
    ids = [f"choices.jsonl:{line}" for line in range(1, N - 1)]
    return write_scores(tmp_path / "scored", _numbers(0, N - 2), ids=ids)


def test_choices_are_answered_once(
    model: Path, choices: Path, scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"choices": str(choices), "model": str(model), "source": "origin", "progress": False}
    out = tmp_path / "out"
    plan = analyze_correctness(str(scored), **options, out=str(out), dry_run=True)
    assert plan["choices"] == {"read": N, "rejected": 0, "rows": N, "scored": N - 2}
    assert plan["tokens_estimated"] > 0
    assert not out.exists()
    record = analyze_correctness(str(scored), **options, out=str(out))
    answers = record["answers"]
    assert (answers["answered"], answers["n"], answers["not_scored"], answers["without_label"]) == (N - 2, N - 3, 2, 1)
    assert record["data"]["rows"] == N - 3
    assert record["data"]["right"] == round(answers["accuracy"]["bytes"]["value"] * (N - 3))
    assert answers["same_model_as_scores"] is False
    assert answers["chance"] == pytest.approx(1 / 3)
    assert record["confounds"]["source"]["groups"][0]["source"].startswith("source")
    with pytest.raises(UserError, match="holds an analysis already; use overwrite"):
        analyze_correctness(str(scored), **options, out=str(out))
    # The answers are there: no model is loaded, whatever they are divided by.
    monkeypatch.setattr("entrotune.experiments.choice_labels.load_model", lambda *_, **__: pytest.fail("loaded"))
    again = analyze_correctness(str(scored), **options, out=str(out), normalise="tokens", overwrite=True)
    assert again["answers"]["accuracy"] == answers["accuracy"]
    assert again["data"]["right"] == round(answers["accuracy"]["tokens"]["value"] * (N - 3))


def test_answers_of_other_rows_need_overwrite(model: Path, choices: Path, scored: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": str(model), "out": str(tmp_path / "out"), "progress": False}
    analyze_correctness(str(scored), choices=str(choices), **options)
    (tmp_path / "out" / "analysis.json").unlink()  # as if it had been killed after its last answer
    with pytest.raises(UserError, match="was made with rows "):
        analyze_correctness(str(scored), choices=str(choices), limit=40, **options)
    record = analyze_correctness(str(scored), choices=str(choices), limit=40, overwrite=True, **options)
    assert record["answers"]["answered"] == 40


def test_scores_of_another_text_than_the_contexts(model: Path, choices: Path, tmp_path: Path) -> None:
    ids = [f"choices.jsonl:{line}" for line in range(1, N + 1)]
    texts = [text_of(at) for at in range(N - 1)]
    other = write_scores(tmp_path / "other", _numbers(0), ids=ids, texts=[*texts, "another"])
    with pytest.raises(UserError, match=f"other texts than the contexts .* 1 of 60 rows differ, first '{ids[-1]}'"):
        analyze_correctness(str(other), choices=str(choices), model=str(model), out=str(tmp_path / "o"), progress=False)
    renamed = write_scores(tmp_path / "renamed", _numbers(0))
    with pytest.raises(UserError, match=r"no row of .* was scored in .* ids are like 'choices.jsonl:1' and 'row-0'"):
        analyze_correctness(
            str(renamed), choices=str(choices), model=str(model), out=str(tmp_path / "o"), progress=False
        )


Bad = Callable[[Path], list[Any]]


def _scores(folder: Path, name: str = "s", size: int = N, **options: Any) -> Path:
    return write_scores(folder / name, _numbers(0, size) | options.pop("columns", {}), **options)


def _file(folder: Path, *rows: Any) -> str:
    path = folder / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _with_nan(folder: Path) -> Path:
    values = _numbers(0)["entropy_last"]
    values[3] = np.nan
    return _scores(folder, columns={"entropy_last": values}, kept={"ok": _right()})


BAD: dict[str, tuple[Bad, str]] = {
    "one folder": (lambda p: ["models", _scores(p)], "two or more different score folders"),
    "no folder": (lambda _: ["models"], "missing: "),
    "a folder twice": (lambda p: ["models", _scores(p), p / "s"], "two or more different score folders"),
    "no such folder": (lambda p: ["models", _scores(p), p / "none"], "none does not exist"),
    "no scores": (lambda p: ["models", _scores(p), p], "is no score folder"),
    "being written": (
        lambda p: ["models", _scores(p), _scores(p, "t", status="scoring")],
        "its scores are still being written",
    ),
    "other rows": (
        lambda p: ["models", _scores(p), _scores(p, "t", ids=[f"x{at}" for at in range(N)])],
        "no row in common",
    ),
    "other texts": (lambda p: ["models", _scores(p), _scores(p, "t", texts=["x"] * N)], "other texts"),
    "other mode": (
        lambda p: ["models", _scores(p), _scores(p, "t", options={"mode": "response"})],
        "differ in mode",
    ),
    "few rows": (lambda p: ["models", _scores(p, size=9), _scores(p, "t", 9)], "need at least 20"),
    "no such metric": (
        lambda p: ["models", _scores(p), _scores(p, "t"), "--metrics", '["entropy"]'],
        "no score 'entropy'",
    ),
    "other data": (
        lambda p: ["models", _scores(p), _scores(p, "t"), "--data", _file(p, {"text": "x"})],
        "none of the rows that were scored",
    ),
    "no such part": (lambda _: ["modles"], "did you mean models"),
    "no label": (lambda p: ["correctness", _scores(p)], "give either label"),
    "label and choices": (
        lambda p: ["correctness", _scores(p), "--label", "a", "--choices", "b"],
        "give either label",
    ),
    "no such column": (
        lambda p: ["correctness", _scores(p, kept={"ok": _right()}), "--label", "correct"],
        "no column 'correct'; they kept ok",
    ),
    "no such file": (lambda p: ["correctness", _scores(p), "--label", "no.jsonl:ok"], "no such file"),
    "no such column of a file": (
        lambda p: ["correctness", _scores(p), "--label", _file(p, {"id": "row-0", "x": 1}) + ":ok"],
        "labels.jsonl:1 has no column 'ok'; it has id, x",
    ),
    "labels of other rows": (
        lambda p: ["correctness", _scores(p), "--label", _file(p, {"id": "z", "ok": 1}) + ":ok"],
        "none of the 60 rows has a label",
    ),
    "missing labels": (
        lambda p: ["correctness", _scores(p, kept={"ok": [None] * N}), "--label", "ok"],
        "none of the 60 rows has a label",
    ),
    "a label that is none": (
        lambda p: ["correctness", _scores(p, kept={"ok": [2] * N}), "--label", "ok"],
        "is 2; expected true or false",
    ),
    "one class": (
        lambda p: ["correctness", _scores(p, kept={"ok": [True] * N}), "--label", "ok"],
        "all 60 rows are right",
    ),
    "few labels": (
        lambda p: ["correctness", _scores(p, kept={"ok": [True, False] * 9 + [None] * 42}), "--label", "ok"],
        "18 rows have scores and a label; statistics need at least 20",
    ),
    "nan": (lambda p: ["correctness", _with_nan(p), "--label", "ok"], "first in row 'row-3'"),
    "separated": (
        lambda p: [
            "correctness",
            _scores(p, kept={"ok": (_numbers(0)["entropy_mean"] > 3).tolist()}),
            "--label",
            "ok",
        ],
        "entropy_mean separates right from wrong perfectly",
    ),
    "no such source": (
        lambda p: ["correctness", _scores(p, kept={"ok": _right()}), "--label", "ok", "--source", "s"],
        "no column 's'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_told_in_a_sentence_and_nothing_written(name: str, tmp_path: Path, capsys: Here) -> None:
    make, words = BAD[name]
    arguments = [str(part) for part in make(tmp_path)]
    ended = command_here(capsys, "analyze", *arguments, *(["--out", str(tmp_path / "out")] if arguments[1:] else []))
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert words in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(two: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "comparison.json").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files \(comparison\.json\)"):
        analyze_models(two, out=str(out), overwrite=True, progress=False)
    assert [path.name for path in out.iterdir()] == ["comparison.json"]


def test_commands_print_a_table_and_findings(two: list[str], labelled: Path, tmp_path: Path, capsys: Here) -> None:
    compared = command_here(capsys, "analyze", "models", *two, "--out", str(tmp_path / "m"))
    assert compared.code == 0, compared.err
    assert "2 models scored the same 60 rows: a and b." in compared.out
    assert f"Open {tmp_path}/m/report.html" in compared.out
    told = command_here(capsys, "analyze", "correctness", str(labelled), "--label", "correct", "--out", f"{tmp_path}/c")
    assert told.code == 0, told.err
    words = " ".join(told.out.split())
    assert "Of 60 rows scored by made-up" in words
    assert "no effect shown" in words
    planned = command_here(capsys, "analyze", "correctness", str(labelled), "--label", "correct", "--dry-run")
    assert json.loads(planned.out)["data"]["rows"] == N


def test_help_lists_the_parts(capsys: Here) -> None:
    told = command_here(capsys, "analyze", "--help")
    assert told.code == 0
    assert "  models       compare models" in told.out
    assert "  correctness  ask whether" in told.out
    assert command_here(capsys, "analyze").code == 2
    for part in ("models", "correctness"):
        own = command_here(capsys, "analyze", part, "--help")
        assert own.code == 0
        assert f"usage: entrotune analyze {part} SCORES [options]" in own.out
        assert "--overwrite" in own.out
