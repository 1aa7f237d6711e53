"""`entrotune score` as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import command, command_here, hears_ctrl_c
from entrotune.scoring import read_scores


def test_scores_and_shows_a_table(
    texts: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["score", str(texts), "--model", str(model_folder), "--out", str(out), "--keep", "label"]
    ended = command_here(capsys, *arguments)
    assert ended.code == 0, ended.err
    manifest = json.loads((out / "manifest.json").read_text())
    for told in ("28", f"{manifest['counts']['tokens']:,}", f"{manifest['means']['perplexity']:.4g}", str(out)):
        assert told in ended.out
    assert read_scores(out).table.column("kept_label").to_pylist() == [i % 3 for i in range(28)]
    again = command_here(capsys, *arguments)
    assert again.code == 0
    assert "finished already" in again.err


def test_a_dry_run_prints_what_would_be_done(
    texts: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = command_here(
        capsys, "score", str(texts), "--model", str(model_folder), "--out", str(tmp_path / "out"), "--dry-run"
    )
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["counts"]["sequences"] == 28
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_sentence(texts: Path, model_folder: Path, tmp_path: Path) -> None:
    ended = command("score", str(texts), "--model", str(model_folder), "--mode", "respond", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "entrotune score: mode is 'respond'; expected one of all, predicted, response\n"


def test_ctrl_c_keeps_what_is_complete(model_folder: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "rows.jsonl", tmp_path / "out"
    data.write_text("".join(json.dumps({"text": f"row {i} " * 20}) + "\n" for i in range(4000)))
    arguments = ["score", str(data), "--model", str(model_folder), "--out", str(out), "--part_rows", "50"]
    process = subprocess.Popen(
        [sys.executable, "-m", "entrotune", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=hears_ctrl_c,
    )
    until = time.monotonic() + 120
    while len(list(out.glob("scores/part-*"))) < 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted; what is complete is kept" in err
    parts = {path.name: path.stat().st_mtime_ns for path in out.glob("scores/part-*")}
    assert 3 <= len(parts) < 80

    ended = command(*arguments)
    assert ended.code == 0, ended.err
    assert read_scores(out).table.num_rows == 4000
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("scores/part-*")} | parts == {
        path.name: path.stat().st_mtime_ns for path in out.glob("scores/part-*")
    }
