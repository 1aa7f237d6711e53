"""Run the command: in a process of its own, as a user would, or here, which is faster."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrotune.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def command(*arguments: str, cwd: Path | None = None) -> Ended:
    """Run `entrotune` in a process."""
    line = [sys.executable, "-m", "entrotune", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def command_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """Run `entrotune` in this process."""
    capsys.readouterr()
    try:
        code = main(list(arguments))
    except SystemExit as end:  # from --help and --print_config
        code = int(end.code or 0)
    said = capsys.readouterr()
    return Ended(code, said.out, said.err)


def hears_ctrl_c() -> None:
    """`preexec_fn` of a process that is to be interrupted: one started in the background may ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
