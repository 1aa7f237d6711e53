"""Where our time goes, which settings are best, and whether the tests hold on this device."""

import importlib.util
import itertools
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from measuring import in_turn, ratio, summary
from ours import MAIN, Chunk, chunk_rows, floor, whole
from problems import Shape, make_inputs

ROOT = Path(__file__).parents[1]
TEST_FOLDERS = ("tests/kernels", "tests/objectives")
# Seconds after which no further test starts, and after which the rest is given up.
TEST_SECONDS, MOST_TEST_SECONDS = 240, 300
PRODUCTS = re.compile(r"gemm|nvjet|cutlass|xmma|wgmma|cublas", re.IGNORECASE)
# More than 64 entries a thread would not stay in its registers, and take minutes to compile.
BLOCKS, WARPS = (4096, 8192, 16384), (8, 16, 32)
CHUNK_BYTES = tuple(1 << power for power in (28, 29, 30, 31, 32))
TOY_BLOCKS, TOY_WARPS, TOY_CHUNK_BYTES = (128, 256), (4,), (1 << 14, 1 << 16)

Record = dict[str, Any]


def tests(device: torch.device, dtype: torch.dtype, shape: Shape, seconds: float) -> Iterator[Record]:
    """The tests of kernels and objectives, on the GPU where there is one."""
    folders = TEST_FOLDERS if device.type == "cuda" else ("tests/objectives/test_algebra.py",)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *folders]
        if importlib.util.find_spec("pytest_timeout"):
            command += [f"--session-timeout={TEST_SECONDS}"]
        if device.type == "cuda" and importlib.util.find_spec("xdist"):  # most of the time is compilation
            command += ["-n", str(min(12, os.cpu_count() or 1))]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=MOST_TEST_SECONDS, check=False
        )
        if not report.exists():
            raise RuntimeError(f"pytest made no report: {(done.stdout + done.stderr)[-1200:]}")
        suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = [
        f"{case.get('classname')}::{case.get('name')}: {(problem.get('message') or '')[:300]}"
        for case in suite
        for problem in case
        if problem.tag in ("failure", "error")
    ]
    yield {"part": "tests", "folders": folders, "counts": counts, "seconds": suite.get("time"), "failed": failed}


def profile(device: torch.device, dtype: torch.dtype, shape: Shape, seconds: float) -> Iterator[Record]:
    """Device time of a call by kernel, and what products and rows reach of the device."""
    inputs = make_inputs(shape, device, dtype)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    for objective in MAIN:
        call = whole(inputs, objective, backend="triton")
        base = floor(inputs)
        times = in_turn({"call": call, "floor": base}, device, seconds=seconds)
        with torch.profiler.profile(activities=activities, record_shapes=True) as measured:
            call()
            if device.type == "cuda":
                torch.cuda.synchronize()
        yield {
            "part": "profile",
            "objective": objective,
            "ms": summary(times["call"]),
            "floor_ms": summary(times["floor"]),
            "chunk_rows": chunk_rows(inputs, objective),
            **_split(measured, shape, device),
        }


def _split(measured: Any, shape: Shape, device: torch.device) -> Record:
    """Milliseconds of products, row kernel and the rest; the products by shape."""
    on_gpu = device.type == "cuda"
    kernels: dict[str, list[float]] = {}
    for event in measured.events():
        if not on_gpu or event.device_type == torch.autograd.DeviceType.CUDA:
            spent = event.time_range.elapsed_us() if on_gpu else event.self_cpu_time_total
            kernels.setdefault(event.name, []).append(spent)
    sums = {"products": 0.0, "rows": 0.0, "rest": 0.0}
    for name, times in kernels.items():
        part = "rows" if "row_kernel" in name else "products" if PRODUCTS.search(name) else "rest"
        sums[part] += sum(times) / 1e3
    longest = sorted(kernels.items(), key=lambda item: -sum(item[1]))[:10]
    found: Record = {"device_ms": {part: round(value, 4) for part, value in sums.items()}}
    if sums["products"]:
        found["products_tflops"] = round(shape.flops(3) / sums["products"] / 1e9, 1)
    if sums["rows"]:
        # Read from memory once and written once; the second read is mostly served by the cache.
        entries = shape.tokens * shape.vocabulary
        found["rows_gigabytes_per_second"] = round(2 * 2 * entries / sums["rows"] / 1e6, 1)
    found["kernels"] = [{"name": n[:90], "count": len(t), "ms": round(sum(t) / 1e3, 4)} for n, t in longest]
    found["by_operation"] = [_operation(event, on_gpu) for event in _products(measured)]
    return found


def _products(measured: Any) -> list[Any]:
    events = measured.key_averages(group_by_input_shape=True)
    return [event for event in events if event.key in ("aten::mm", "aten::addmm")]


def _operation(event: Any, on_gpu: bool) -> Record:
    """A product of one kind and shape: its time and rate."""
    spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
    shapes = [list(s) for s in event.input_shapes if len(s) == 2]
    left, right = shapes[1:3] if event.key == "aten::addmm" else shapes[:2]
    flops = 2 * event.count * left[0] * left[1] * right[1]
    record: Record = {"name": event.key, "shapes": [left, right], "count": event.count, "ms": round(spent / 1e3, 4)}
    return record | ({"tflops": round(flops / spent / 1e6, 1)} if spent else {})


def tune(device: torch.device, dtype: torch.dtype, shape: Shape, seconds: float) -> Iterator[Record]:
    """The row kernel alone by block, warps and cache hints, whole calls with and without hints, and by chunk bytes."""
    inputs = make_inputs(shape, device, dtype)
    toy = device.type == "cpu"
    swept = (TOY_BLOCKS, TOY_WARPS) if toy else (BLOCKS, WARPS)
    for objective in MAIN[1:]:
        ways, failed = {}, {}
        chunk = Chunk(inputs, objective)
        for block, warps, hints in itertools.product(*swept, (False, True)):
            call, name = chunk.call(block=block, warps=warps, hints=hints), f"{block}x{warps}{' hints' * hints}"
            try:
                call()
            except Exception as problem:  # what Triton raises where a kernel needs too much is no one kind
                failed[name] = f"{type(problem).__name__}: {problem}"[:200]
            else:
                ways[name] = call
        if not ways:
            raise RuntimeError(f"no block and warps could run: {failed}")
        times = in_turn(ways, device, seconds=2 * seconds)
        medians = {name: summary(found)["median"] for name, found in times.items()}
        best = min(medians, key=medians.__getitem__)
        yield {
            "part": "tune rows",
            "objective": objective,
            "rows": chunk_rows(inputs, objective),
            "ms_by_block_and_warps": medians,
            "failed": failed,
            "best": best,
        }
    yield _tune_hints(inputs, device, seconds)
    yield from _tune_chunks(inputs, device, seconds, TOY_CHUNK_BYTES if toy else CHUNK_BYTES)


def _tune_hints(inputs: Any, device: torch.device, seconds: float) -> Record:
    """Whole calls with and without cache hints, which may cost the products what they spare the rows."""
    from entrotune.kernels import triton_rows

    call, before = whole(inputs, MAIN[1], backend="triton"), triton_rows.HINTS

    def told(hints: bool) -> None:
        triton_rows.HINTS = hints
        call()

    try:
        ways = {"floor": floor(inputs), "without": lambda: told(False), "with": lambda: told(True)}
        times = in_turn(ways, device, seconds=2 * seconds)
    finally:
        triton_rows.HINTS = before
    ratios = {name: ratio(found, times["floor"]) for name, found in times.items()}
    return {"part": "tune hints", "objective": MAIN[1], "ratio_to_floor": ratios}


def _tune_chunks(inputs: Any, device: torch.device, seconds: float, sizes: tuple[int, ...]) -> Iterator[Record]:
    objective = MAIN[1]
    found: dict[str, Record] = {}
    for size in sizes:
        ways = {
            "floor": floor(inputs, chunk_bytes=size),
            "ours": whole(inputs, objective, backend="triton", chunk_bytes=size),
        }
        times = in_turn(ways, device, seconds=seconds)
        found[str(size)] = {
            "rows": chunk_rows(inputs, objective, chunk_bytes=size),
            "ms": summary(times["ours"])["median"],
            "floor_ms": summary(times["floor"])["median"],
            "ratio_to_floor": ratio(times["ours"], times["floor"]),
        }
    best = min(found, key=lambda size: found[size]["ms"])
    yield {"part": "tune chunks", "objective": objective, "by_chunk_bytes": found, "best": best}
