"""Times, memory and the state of the machine."""

import importlib.metadata
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import torch

from entrotune import provenance

Way = Callable[[], object]
WARM_UPS, MOST_ROUNDS, FEWEST_ROUNDS = 3, 30, 5
# On a CPU calls show that they run; nobody reads their times.
CPU_WARM_UPS, CPU_ROUNDS = 0, 1
# More than the second-level cache of any card (an H100 has 50 MB).
FLUSHED_BYTES = 256 << 20
PEER_PACKAGES = ("triton", "liger-kernel", "cut-cross-entropy", "nvidia-cutlass-dsl")


class Clock:
    """Times a call between two events of the device, with its caches flushed before; on a CPU by the wall clock."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self.flushed = torch.empty(FLUSHED_BYTES, dtype=torch.uint8, device=device) if self.on_gpu else None

    def milliseconds(self, way: Way) -> float:
        """Of one call."""
        if self.flushed is None:
            began = time.perf_counter()
            way()
            return 1e3 * (time.perf_counter() - began)
        self.flushed.zero_()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        way()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)


def in_turn(ways: dict[str, Way], device: torch.device, *, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each way, in turn, round after round, so that a drift of the card's clock meets all alike.

    After warm-ups as many rounds as fit into `seconds`, at least 5 and at most 30; on a CPU one round.
    """
    clock = Clock(device)
    warm_ups, fewest = (WARM_UPS, FEWEST_ROUNDS) if clock.on_gpu else (CPU_WARM_UPS, CPU_ROUNDS)
    for _ in range(warm_ups):
        for way in ways.values():
            way()
    found: dict[str, list[float]] = {name: [] for name in ways}
    began, done = time.perf_counter(), 0
    while done < fewest or (done < MOST_ROUNDS and time.perf_counter() - began < seconds):
        for name, way in ways.items():
            found[name].append(clock.milliseconds(way))
        done += 1
    return found


def summary(times: list[float]) -> dict[str, float]:
    """Median, extremes and number of milliseconds."""
    return {
        "median": round(statistics.median(times), 4),
        "min": round(min(times), 4),
        "max": round(max(times), 4),
        "count": len(times),
    }


def ratio(times: list[float], base: list[float]) -> float:
    """Median over rounds of what was measured in the same round."""
    return round(statistics.median(a / b for a, b in zip(times, base, strict=True)), 4)


def peak_bytes(way: Way, device: torch.device) -> int | None:
    """What a call needs at its peak beyond what was there before; None on a CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    way()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def card(device: torch.device) -> dict[str, str]:
    """Clocks, temperature and power of the GPU now; empty where they cannot be read."""
    if device.type != "cuda" or shutil.which("nvidia-smi") is None:
        return {}
    fields = "clocks.sm,clocks.mem,temperature.gpu,power.draw"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    values = done.stdout.strip().split("\n")[0].split(", ")
    return dict(zip(("sm_mhz", "memory_mhz", "celsius", "watt"), values, strict=False)) if done.returncode == 0 else {}


def setting(device: torch.device) -> dict[str, Any]:
    """What stands at the head of a file of measurements."""
    return {
        "device": provenance.device_name(device),
        "versions": provenance.versions() | _versions_of(PEER_PACKAGES),
        "cuda": torch.version.cuda,
        "revision": provenance.git_revision(),
        "date": provenance.now(),
        "caches": f"flushed by writing {FLUSHED_BYTES >> 20} MiB before each call" if device.type == "cuda" else "",
        "clock": "CUDA events" if device.type == "cuda" else "wall clock",
        "warm_ups": WARM_UPS if device.type == "cuda" else CPU_WARM_UPS,
        "card": card(device),
    }


def _versions_of(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
