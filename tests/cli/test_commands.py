"""What commands print, and their exit codes."""

import json
from pathlib import Path

import pytest
import torch

from commands import command_here

Here = pytest.CaptureFixture[str]


def _train(model: Path, rows: Path, out: Path) -> list[str]:
    flags = {"--data": rows, "--model": model, "--out": out, "--epochs": 1, "--max_length": 128, "--method": "full"}
    return ["train", *(str(part) for pair in flags.items() for part in pair)]


def test_train_report_evaluate(capsys: Here, model: Path, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    planned = command_here(capsys, *_train(model, rows, out), "--dry-run")
    assert planned.code == 0
    assert json.loads(planned.out)["data"]["rows_read"] == 24
    assert not out.exists()

    ended = command_here(capsys, *_train(model, rows, out))
    assert ended.code == 0, ended.err
    assert "finished in" in ended.out
    assert "validation NLL" in ended.out

    page = tmp_path / "page.html"
    assert command_here(capsys, "report", str(out), "--out", str(page)).out == f"wrote {page}\n"
    assert page.exists()

    sampling = ["--samples", "2", "--prompts", "2", "--max-new-tokens", "3", "--temperatures", "[1.0, 1.3]"]
    measured = command_here(capsys, "evaluate", "--model", str(out), "--data", str(rows), *sampling)
    assert measured.code == 0, measured.err
    assert "Validation" in measured.out
    plan = command_here(capsys, "evaluate", "--model", str(out), "--data", str(rows), *sampling, "--dry_run=true")
    assert json.loads(plan.out)["responses"] == 8


def test_compare_prints_table_and_findings(capsys: Here, model: Path, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "comparison"
    options = {
        "--train.data": rows,
        "--train.model": model,
        "--train.max_length": 128,
        "--train.method": "full",
        "--train.validation": 0.25,
        "--train.learning_rate": 1e-3,
        "--objectives": '["gem(beta=0.7)"]',
        "--temperatures": "[1.0]",
        "--samples": 2,
        "--prompts": 2,
        "--max-new-tokens": 3,
        "--out": out,
    }
    arguments = ["compare", *(str(part) for pair in options.items() for part in pair)]
    planned = command_here(capsys, *arguments, "--dry-run")
    assert json.loads(planned.out)["runs"] == 2
    ended = command_here(capsys, *arguments)
    assert ended.code == 0, ended.err
    table, _, findings = ended.out.partition("Differences shown [95% interval]")
    assert "untouched" in table
    assert "ce against the untouched model, both at temperature 1: lower validation NLL" in " ".join(findings.split())
    assert "No difference shown (zero is within an interval)" in findings
    assert findings.count("•") <= 10
    assert f"Open {out}/report.html" in "".join(ended.out.split("\n")) or "report.html" in ended.out
    again = command_here(capsys, *arguments)
    assert again.code == 2
    assert "add --resume to go on, --overwrite to replace it" in again.err


def test_doctor(capsys: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = command_here(capsys, "doctor", "--objective", "ce - 0.1*entrpy")
    assert (bad.code, bad.out) == (2, "")
    assert "did you mean 'entropy'?" in bad.err
    monkeypatch.setenv("ENTROTUNE_CACHE", "/proc")
    if Path("/proc").is_dir():
        failing = command_here(capsys, "doctor")
        assert failing.code == 1
        assert "BAD  disk: 0.0 GiB free at /proc" in failing.out
        assert "→ free some space" in failing.out


def test_commands_that_use_one_process_refuse_several(capsys: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    ended = command_here(capsys, "doctor")
    assert (ended.code, ended.out) == (2, "")
    told = (
        "entrotune doctor [process 1]: started on 2 processes, of which it could use one; start it without a launcher"
    )
    assert ended.err == f"{told}\n"


def test_only_the_first_process_shows_what_was_made(capsys: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    ended = command_here(capsys, "doctor")
    assert (ended.code, ended.out) == (0, "")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_a_lack_of_memory_is_told(capsys: Here, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def without_memory(*_: object) -> int:
        raise error

    monkeypatch.setattr("entrotune.cli.main.run", without_memory)
    ended = command_here(capsys, "doctor")
    assert ended.code == 2
    assert ended.err.startswith("entrotune doctor: there is not enough memory (")
    assert "use a smaller model" in ended.err
    error = RuntimeError("another matter")
    with pytest.raises(RuntimeError, match="another matter"):
        command_here(capsys, "doctor")
