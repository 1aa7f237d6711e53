"""Run a function on several processes that train together, on CPU with gloo, as `torchrun` would start them.

The processes are those of one launch, which takes seconds: give one function many cases.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

TESTS = Path(__file__).parent


def launcher(processes: int) -> list[str]:
    """The command line that starts what follows on so many processes of this machine."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]


def environment(**changes: str) -> dict[str, str]:
    """The variables of such a process: one thread, no accelerator, no network, the tests importable."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    fixed = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "PYTHONPATH": path}
    return os.environ | fixed | changes


def on_processes(
    processes: int,
    function: str,
    given: Any,
    folder: Path,
    *,
    variables: Mapping[str, str] | None = None,
    seconds: float = 300,
) -> list[Any]:
    """What `function(given)` returned on each process, in the order of their ranks.

    Args:
        processes: how many.
        function: as `module.path:name`, importable from the tests' folder.
        given: its argument, ready for JSON.
        folder: where the answers are exchanged.
        variables: of the environment, beside the usual ones.
        seconds: until it counts as hung.
    """
    done = launch(processes, function, given, folder, variables=variables, seconds=seconds)
    assert done.returncode == 0, done.stderr[-8000:]
    return [torch.load(_answer(folder, rank), weights_only=False) for rank in range(processes)]


def launch(
    processes: int,
    function: str,
    given: Any,
    folder: Path,
    *,
    variables: Mapping[str, str] | None = None,
    seconds: float = 300,
) -> subprocess.CompletedProcess[str]:
    """As `on_processes`, for a function that may fail: how the launch ended."""
    folder.mkdir(parents=True, exist_ok=True)
    return run_line(
        [*launcher(processes), __file__, function, json.dumps(given), str(folder)],
        variables=variables,
        seconds=seconds,
    )


def run_line(
    line: list[str], *, variables: Mapping[str, str] | None = None, seconds: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a command line in the environment of such processes; all of them are ended where it takes too long."""
    with subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**(variables or {})),
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(line, process.returncode, out, err)


def _answer(folder: Path, rank: int) -> Path:
    return folder / f"answer-{rank}.pt"


def _main(function: str, given: str, folder: str) -> None:
    module, name = function.split(":")
    answer = getattr(importlib.import_module(module), name)(json.loads(given))
    torch.save(answer, _answer(Path(folder), int(os.environ["RANK"])))


if __name__ == "__main__":
    _main(*sys.argv[1:])
