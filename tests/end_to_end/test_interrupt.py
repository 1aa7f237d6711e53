"""Ctrl-C, and going on afterwards."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from commands import command, hears_ctrl_c


def test_ctrl_c_says_how_to_go_on(model: Path, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = {"data": rows, "model": model, "out": out, "max_length": 128, "method": "full", "save_every": 5}
    arguments = ["train", *(f"--{key}={value}" for key, value in flags.items()), "--max_steps=200"]
    process = subprocess.Popen(
        [sys.executable, "-m", "entrotune", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,
    )
    until = time.monotonic() + 120
    while not list(out.glob("checkpoints/step-*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Add --resume to go on" in err
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["status"] == "interrupted"

    ended = command(*arguments, "--resume")
    assert ended.code == 0, ended.err
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert (record["status"], record["steps"]) == ("finished", 200)
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in steps if row["split"] == "train"] == list(range(1, 201))
