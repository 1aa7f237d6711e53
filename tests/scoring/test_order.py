"""`entrotune order`: from a score folder to a file that training can follow."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from commands import command_here
from entrotune.data.curriculum import read_order
from entrotune.errors import UserError
from entrotune.scoring.order import order
from entrotune.scoring.score import score
from made_scores import write_scores
from tiny_files import write_model

IDS = [f"rows.jsonl:{line}" for line in range(1, 13)]
SCORES = [3.0, 1.0, 2.0, 5.0, 4.0, 2.0, 9.0, 8.0, 7.0, 6.0, 0.5, 1.0]
BY_SCORE = [IDS[index] for index in sorted(range(12), key=SCORES.__getitem__)]


def scored(folder: Path, values: Any = SCORES, **options: Any) -> Path:
    return write_scores(folder, {"entropy_mean": values, "tokens": range(12, 0, -1)}, ids=IDS, **options)


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    return scored(tmp_path / "scores")


def test_the_file_has_what_it_says(scores: Path, tmp_path: Path) -> None:
    (scores / "rejects.jsonl").write_text(json.dumps({"id": "rows.jsonl:13", "row": "a\u2028b"}, ensure_ascii=False))
    out = tmp_path / "order.parquet"
    told = order(str(scores), out=str(out), bins="sorted", drop_top=25, seed=7)
    table = pq.read_table(out)
    assert table.column_names == ["step_position", "id", "position", "bin", "epoch", "score"]
    assert table["step_position"].to_pylist() == list(range(9))
    assert table["id"].to_pylist() == BY_SCORE[:9]
    assert table["position"].to_pylist() == [IDS.index(id) for id in BY_SCORE[:9]]
    assert table["score"].to_pylist() == sorted(SCORES)[:9]
    metadata = json.loads(table.schema.metadata[b"entrotune"])
    assert metadata["kind"] == "order"
    assert metadata["left_out"] == {
        "filtered": [id for id in IDS if id in BY_SCORE[9:]],
        "not scored": ["rows.jsonl:13"],
    }
    assert metadata["options"]["seed"] == 7
    assert metadata["scores"]["model"]["fingerprint"] == "weights of made-up"
    assert metadata["scores"]["data"]["source"] == "rows.jsonl"
    assert metadata["counts"] == told["counts"]
    assert told["counts"]["kept"] + told["counts"]["filtered"] == told["counts"]["rows"] == 12
    found = read_order(out)
    assert found.ids == BY_SCORE[:9]
    assert found.left_out == metadata["left_out"]
    assert found.describe()["fingerprint"] == read_order(out).fingerprint


def test_length_is_regressed_out_of_the_file_too(scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "order.parquet"
    order(str(scores), out=str(out), bins="sorted", residual="tokens", regression="linear")
    table = pq.read_table(out).sort_by("position")
    residual = np.array(table["score"].to_pylist())
    assert abs(np.corrcoef(residual, np.arange(12, 0, -1))[0, 1]) < 1e-10
    slope, intercept = np.polyfit(np.arange(12, 0, -1), SCORES, 1)
    assert np.allclose(residual, np.array(SCORES) - slope * np.arange(12, 0, -1) - intercept)


def test_the_command(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "order.parquet"
    arguments = ["order", str(scores), "--schedule", "hill", "--bins", "3", "--out", str(out)]
    planned = command_here(capsys, *arguments, "--dry-run")
    assert planned.code == 0, planned.err
    assert json.loads(planned.out)["counts"]["steps"] == 12
    assert not out.exists()
    ended = command_here(capsys, *arguments)
    assert ended.code == 0, ended.err
    assert "12 steps" in ended.out
    again = command_here(capsys, *arguments)
    assert again.code == 2
    assert "already exists" in again.err
    assert command_here(capsys, *arguments, "--overwrite").code == 0


def test_a_token_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": f"text {i}" * (i + 1)}) + "\n" for i in range(12)))
    scores = scored(tmp_path / "scores")
    out, folder = tmp_path / "order.parquet", tmp_path / "tokens"
    ended = command_here(
        capsys, "order", str(scores), "--bins", "sorted", "--out", str(out), "--bin", str(folder),
        "--data", str(data), "--model", str(model),
    )  # fmt: skip
    assert ended.code == 0, ended.err
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["documents"] == 12
    assert f"{meta['tokens']:,} tokens" in ended.out


Make = Callable[[Path], Path]


def nan(folder: Path) -> Path:
    return scored(folder, [*SCORES[:-1], float("nan")])


# name: (folder, flags, words of the message)
BAD: dict[str, tuple[Make, dict[str, Any], str]] = {
    "still being written": (lambda f: scored(f, status="scoring"), {}, "not finished"),
    "no folder": (lambda f: f, {}, "does not exist"),
    "NaN": (nan, {}, "entropy_mean is no number for 1 of 12 rows ('rows.jsonl:12')"),
    "unknown column": (scored, {"by": "surprise"}, "no column 'surprise'"),
    "a column of text": (scored, {"by": "source"}, "holds str, expected numbers"),
    "fewer rows than bins": (scored, {"bins": 13}, "only 12 rows"),
    "no such schedule": (scored, {"schedule": "up"}, "schedule"),
    "stream without data": (scored, {"bin": "tokens"}, "--data"),
    "out is a folder": (scored, {"out": "."}, "a folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, flags, message = BAD[name]
    folder = make(tmp_path / "scores")
    options = {"bins": 3, "out": "order.parquet"} | flags
    before = sorted(tmp_path.rglob("*"))
    ended = command_here(capsys, "order", str(folder), *(str(p) for f in options.items() for p in (f"--{f[0]}", f[1])))
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_the_order_of_other_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": f"some text {i}"}) + "\n" for i in range(20)))
    scores = write_scores(tmp_path / "scores", {"entropy_mean": range(20)}, ids=[f"others:{i}" for i in range(20)])
    out = tmp_path / "order.parquet"
    order(str(scores), out=str(out))
    with pytest.raises(UserError, match="names 20 of 20 rows that the training data lacks"):
        order(str(scores), out=str(out), overwrite=True, bin=str(tmp_path / "bin"), data=str(data), model=str(model))
    assert not (tmp_path / "bin").exists()
    arguments = ["--data", data, "--model", model, "--curriculum", out, "--out", tmp_path / "run", "--max_length", 64]
    ended = command_here(capsys, "train", *map(str, arguments), "--dry-run")
    assert ended.code == 2
    assert "it is the order of other data" in ended.err


def test_from_text_to_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real scores, ordered, followed: rows come to training in the order of their entropy."""
    model = write_model(tmp_path / "model")
    data = tmp_path / "rows.jsonl"
    rows = [{"id": f"t{i}", "text": " ".join("abcdefgh"[: i % 5 + 2] * (i % 3 + 1))} for i in range(14)]
    rows.append({"id": "two", "prompt": "", "text": " "})
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(str(data), model=str(model), out=str(tmp_path / "scores"))
    out = tmp_path / "order.parquet"
    order(str(tmp_path / "scores"), out=str(out), bins="sorted", by="nll_mean")
    found = pq.read_table(out)["score"].to_pylist()
    assert found == sorted(found)
    arguments = {"data": data, "model": model, "curriculum": out, "max_length": 100, "validation": 3, "method": "full"}
    flags = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
    ended = command_here(capsys, "train", *flags, "--out", str(tmp_path / "run"))
    assert ended.code == 0, ended.err
    counts = json.loads((tmp_path / "run" / "run.json").read_text())["data"]["curriculum"]
    assert counts["steps_used"] + sum(counts["steps_removed"].values()) == counts["steps"] == 14
