"""The fused objective on a GPU beside its floor and beside other ways, one process a way.

    python benchmarks/linear_objective.py --out benchmarks/h100.jsonl            # ours and every peer
    python benchmarks/linear_objective.py --out benchmarks/h100.jsonl --tests    # the tests of kernels and objectives
    python benchmarks/linear_objective.py --out benchmarks/h100.jsonl --profile  # where our time goes
    python benchmarks/linear_objective.py --out benchmarks/h100.jsonl --tune     # block, warps and chunk bytes
    python benchmarks/linear_objective.py --out toy.jsonl --device cpu --toy     # that it runs at all

Appends JSON lines as they come, and ends each case (a way at a shape) with a line of its outcome. Cases that the file
has an outcome of are left out, so a stopped run goes on where it was; `--retry` repeats those that failed or could not
run. `--dry-run` prints what would be measured and for how long. A way that fails, hangs or runs out of
memory costs its own case only. Ours and their floors are measured in turn within one process, because a card's clock
drifts.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from measurements import settled
from peers import PEERS
from problems import SHAPES, TOY_SHAPES, Shape

# Seconds until a process has imported what it needs and holds the device, and what a large product reaches.
STARTING, FLOPS = 15.0, 5.5e14
OURS = ("ours", "ours: reference, frozen head, no gradient", "ours: other terms")


@dataclass(frozen=True)
class Case:
    """One way at one shape: its key in the file, and the seconds it should take."""

    job: str
    shape: Shape
    estimate: float

    @property
    def key(self) -> str:
        return f"{self.job} @ {self.shape}"

    @property
    def limit(self) -> float:
        """Seconds after which it is stopped; the first case of a process compiles and imports."""
        return STARTING + 60 + 4 * self.estimate


def plan(options: argparse.Namespace) -> list[list[Case]]:
    """Cases by process, in the order in which they run."""
    shapes = TOY_SHAPES if options.toy else SHAPES
    if options.shapes:
        shapes = tuple(shape for shape in shapes if str(shape) in options.shapes)
    jobs = [name for name in ("tests", "profile", "tune") if getattr(options, name)] or [*OURS, *PEERS]
    jobs = [job for job in jobs if not options.only or any(part in job for part in options.only)]
    done = settled(options.out, retry=options.retry)
    cases = [[Case(job, shape, _estimate(job, shape, options)) for shape in shapes] for job in jobs]
    if "tests" in jobs:
        cases[0] = cases[0][:1]
    return [left for group in cases if (left := [case for case in group if case.key not in done])]


def _estimate(job: str, shape: Shape, options: argparse.Namespace) -> float:
    once = shape.flops(3) / FLOPS
    if job == "tests":
        return 90.0
    if job == "tune":
        return 25 + 12 * 10 * once
    if job == "profile":
        return 10 + 20 * once
    if job == OURS[0]:
        return 8 + 8 * once * 8 + options.seconds * 6
    if job == OURS[1]:
        return 8 + 12 * 8 * once + options.seconds * 5
    if job == OURS[2]:
        return 10 + 14 * 8 * once + options.seconds * 2
    peer = PEERS[job]
    call = shape.flops(peer.products) / FLOPS * peer.slowness
    return 3 + peer.preparing + 3 * call + max(5 * call, options.seconds) + 4 * once


def show_plan(groups: list[list[Case]]) -> None:
    """Each process with its cases, and the sum."""
    total = 0.0
    for group in groups:
        seconds = STARTING + sum(case.estimate for case in group)
        total += seconds
        print(f"{seconds:6.0f} s  {group[0].job}: {', '.join(str(case.shape) for case in group)}")
    print(f"{total:6.0f} s  in all, {len(groups)} processes, {sum(map(len, groups))} cases")


class TimeOverError(Exception):
    """The time for the whole run is over."""


def run(groups: list[list[Case]], options: argparse.Namespace) -> None:
    """Every case, until the time for all of them is over."""
    ends = time.monotonic() + options.budget
    with options.out.open("a", encoding="utf-8") as out:
        for group in groups:
            left = list(group)
            while left:
                if time.monotonic() + STARTING + left[0].estimate > ends:
                    print(f"left for another run: {left[0].key} and what follows", flush=True)
                    return
                try:
                    left = _run_process(left, options, out, ends)
                except TimeOverError:
                    print(f"stopped at the end of {options.budget:.0f} s during {group[0].job}", flush=True)
                    return


def _run_process(cases: list[Case], options: argparse.Namespace, out: IO[str], ends: float) -> list[Case]:
    """Run cases of one job in one process; give back those that it left when it died, without the one it died of."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            _command(cases, options), stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        left, began = list(cases), time.monotonic()
        try:
            while left:
                wait = min(began + left[0].limit, ends) - time.monotonic()
                try:
                    line = lines.get(timeout=max(0.0, wait))
                except queue.Empty:
                    if time.monotonic() >= ends:
                        raise TimeOverError from None
                    case = left.pop(0)
                    _outcome(out, case, "timeout", f"no outcome within {case.limit:.0f} s")
                    return left
                if line is None:
                    _outcome(out, left.pop(0), "error", _died(process, errors))
                    return left
                _write(out, line)
                if json.loads(line)["part"] == "case":
                    left.pop(0)
                    began = time.monotonic()
        finally:
            _end(process)
    return []


def _command(cases: list[Case], options: argparse.Namespace) -> list[str]:
    command = [sys.executable, str(Path(__file__).with_name("worker.py")), cases[0].job]
    command += ["--shapes", *(str(case.shape) for case in cases), "--device", options.device]
    return [*command, "--seconds", str(options.seconds)]


def _read(stream: IO[str], lines: "queue.Queue[str | None]") -> None:
    """JSON lines of a process, then None; what libraries print beside them goes to our stderr."""
    for line in stream:
        if line.startswith("{"):
            lines.put(line.rstrip("\n"))
        else:
            print(line, end="", file=sys.stderr)
    lines.put(None)


def _died(process: "subprocess.Popen[str]", errors: IO[str]) -> str:
    code = process.wait(timeout=30)
    errors.seek(0)
    return f"exit status {code}: {errors.read()[-1500:]}"


def _end(process: "subprocess.Popen[str]") -> None:
    """Stop a process and what it started."""
    if process.poll() is None:
        try:
            process.wait(timeout=10)  # it may be on its way out
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _outcome(out: IO[str], case: Case, status: str, message: str) -> None:
    record: dict[str, Any] = {"part": "case", "case": case.key, "job": case.job, "shape": str(case.shape)}
    _write(out, json.dumps(record | {"status": status, "message": message}))


def _write(out: IO[str], line: str) -> None:
    print(line[:400], flush=True)
    out.write(line + "\n")
    out.flush()


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, required=True, help="file of JSON lines, appended to")
    made.add_argument("--device", default="cuda")
    made.add_argument("--toy", action="store_true", help="one tiny shape")
    made.add_argument("--shapes", nargs="*", metavar="NxDxV", help="some of the shapes")
    made.add_argument("--only", nargs="*", metavar="PART", help="ways whose name contains one of these")
    made.add_argument("--seconds", type=float, default=1.5, help="of repeated measuring for a way at a shape")
    made.add_argument("--budget", type=float, default=570.0, help="seconds after which no process goes on")
    made.add_argument("--retry", action="store_true", help="repeat cases that failed or were skipped")
    made.add_argument("--dry-run", action="store_true")
    for name, text in (
        ("tests", "run the tests of kernels and objectives on the device instead"),
        ("profile", "split our time into products and rows instead"),
        ("tune", "sweep block, warps and chunk bytes instead"),
    ):
        made.add_argument(f"--{name}", action="store_true", help=text)
    return made


def main() -> None:
    options = parser().parse_args()
    groups = plan(options)
    if options.dry_run:
        show_plan(groups)
    else:
        run(groups, options)


if __name__ == "__main__":
    main()
