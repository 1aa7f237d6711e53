"""The process of one way: measures it at each shape and prints JSON lines. `linear_objective.py` starts it."""

import argparse
import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

if "cpu" in sys.argv:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported

import torch

from measuring import Way, card, in_turn, peak_bytes, ratio, setting, summary
from ours import (
    MAIN,
    OTHERS,
    WITH_REFERENCE,
    chunk_rows,
    floor,
    frozen_head,
    make_reference,
    whole,
    without_gradient,
)
from peers import PEERS
from problems import Inputs, Shape, error, make_inputs, mean_entropy, truth

Record = dict[str, Any]


class NotHereError(Exception):
    """What cannot be measured here, and why."""


class Worker:
    """Measures one job at one shape after another.

    Args:
        device: to measure on.
        seconds: of repeated measuring.
    """

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device, self.seconds = device, seconds
        # Float32 on a CPU, where half precision is emulated.
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.jobs = {
            "ours": self.ours,
            "ours: reference, frozen head, no gradient": self.other_calls,
            "ours: other terms": self.other_terms,
        }

    def run(self, job: str, shape: Shape) -> Iterator[Record]:
        """Records of a job at a shape."""
        if job in ("tests", "profile", "tune"):
            import examine

            yield from getattr(examine, job)(self.device, self.dtype, shape, self.seconds)
        elif job in self.jobs:
            yield from self.jobs[job](make_inputs(shape, self.device, self.dtype))
        else:
            yield from self.peer(job, shape)

    def peer(self, name: str, shape: Shape) -> Iterator[Record]:
        """Time, memory and accuracy of a way of others."""
        peer = PEERS[name]
        if peer.cuda_only and self.device.type != "cuda":
            raise NotHereError(peer.cuda_only)
        try:
            loss = peer.build()
        except ImportError as missing:
            raise NotHereError(f"cannot be imported: {missing}") from missing
        inputs = make_inputs(shape, self.device, self.dtype)

        def call() -> None:
            inputs.forget()
            loss(inputs.hidden, inputs.weight, inputs.targets).backward()

        times = in_turn({"floor": floor(inputs), name: call}, self.device, seconds=self.seconds)
        yield {
            "part": "time",
            "objective": peer.objective,
            "backend": name,
            "calls": "forward and backward",
            "ms": summary(times[name]),
            "floor_ms": summary(times["floor"]),
            "ratio_to_floor": ratio(times[name], times["floor"]),
        }
        yield self.memory(call, inputs, peer.objective, wide_sum=peer.wide_sum)
        yield self.accuracy(call, inputs, peer.objective)

    def ours(self, inputs: Inputs) -> Iterator[Record]:
        """The main objectives on both backends in turn with the floor."""
        ways = {"floor": floor(inputs)}
        ways |= {f"triton: {text}": whole(inputs, text, backend="triton") for text in MAIN}
        yield from self._against_floor(ways, "floor", products=3, rows=chunk_rows(inputs, "ce"))
        ways = {"floor": floor(inputs)} | {f"torch: {text}": whole(inputs, text, backend="torch") for text in MAIN}
        yield from self._against_floor(ways, "floor", products=3, rows=chunk_rows(inputs, "ce"))
        for backend in ("triton", "torch"):
            for text in MAIN:
                call = whole(inputs, text, backend=backend)
                yield self.memory(call, inputs, text, wide_sum=True) | {"backend": backend}
                yield self.accuracy(call, inputs, text) | {"backend": backend}
        call = whole(inputs, MAIN[1], backend="triton", logits_dtype=torch.float32)
        yield self.accuracy(call, inputs, MAIN[1]) | {"backend": "triton", "logits": "float32"}
        yield self.waits(whole(inputs, MAIN[1], backend="triton"))

    def other_calls(self, inputs: Inputs) -> Iterator[Record]:
        """Against a reference (4 products), with a frozen head (2) and without gradient (1), each over its floor."""
        reference = make_reference(inputs)
        ways: dict[str, Way] = {"floor": floor(inputs, "kl(ref)", products=4, reference=reference)}
        for text in WITH_REFERENCE:
            ways[f"triton: {text}"] = whole(inputs, text, backend="triton", reference=reference)
        yield from self._against_floor(ways, "floor", products=4, rows=chunk_rows(inputs, "kl(ref)"))
        call = whole(inputs, "kl(ref)", backend="triton", reference=reference)
        yield self.memory(call, inputs, "kl(ref)", wide_sum=True) | {"backend": "triton"}
        del reference, call
        for make, products, calls in (
            (frozen_head, 2, "forward and backward, frozen head"),
            (without_gradient, 1, "forward without gradient"),
        ):
            ways = {"floor": floor(inputs, products=products)}
            ways |= {f"triton: {text}": make(inputs, text, backend="triton") for text in MAIN}
            found = self._against_floor(ways, "floor", products=products, rows=chunk_rows(inputs, "ce"))
            yield from (record | {"calls": calls} for record in found)

    def other_terms(self, inputs: Inputs) -> Iterator[Record]:
        """One objective of each other kind in turn with our own ce."""
        ways = {f"triton: {text}": whole(inputs, text, backend="triton") for text in ("ce", *OTHERS)}
        yield from self._against_floor(ways, "triton: ce", products=3, rows=chunk_rows(inputs, "ce"))

    def _against_floor(self, ways: dict[str, Way], base: str, *, products: int, rows: int) -> Iterator[Record]:
        times = in_turn(ways, self.device, seconds=self.seconds * len(ways) / 2)
        for name, found in times.items():
            backend, _, objective = name.partition(": ")
            yield {
                "part": "time",
                "objective": objective or f"{products} products alone",
                "backend": backend,
                "calls": "forward and backward",
                "ms": summary(found),
                "products": products,
                "chunk_rows": rows,
                f"ratio_to_{base.rpartition(' ')[2]}": ratio(found, times[base]),
            }

    def memory(self, call: Way, inputs: Inputs, objective: str, *, wide_sum: bool) -> Record:
        """Bytes at the peak beyond the inputs, and beyond what every way gives back or sums in."""
        inputs.forget()
        peak = peak_bytes(call, self.device)
        returned = sum(t.numel() * t.element_size() for t in (inputs.hidden, inputs.weight))
        summed = 4 * inputs.weight.numel() if wide_sum else 0
        inputs.forget()
        extra = {} if peak is None else {"beyond_gradients": peak - returned, "extra": peak - returned - summed}
        return {"part": "memory", "objective": objective, "bytes": {"peak": peak, "returned": returned} | extra}

    def accuracy(self, call: Way, inputs: Inputs, objective: str) -> Record:
        """Relative errors of the gradients against float64."""
        inputs.forget()
        call()
        d_hidden, d_weight = inputs.hidden.grad, inputs.weight.grad
        exact_hidden, exact_weight = truth(inputs, objective)
        return {
            "part": "accuracy",
            "objective": objective,
            "relative_error": {"hidden": error(d_hidden, exact_hidden), "weight": error(d_weight, exact_weight)},
            "mean_entropy": mean_entropy(inputs),
            "inputs": "see make_inputs: spread 2, one token raised to a half",
        }

    def waits(self, call: Way) -> Record:
        """Where a call waits for the device: once, to find the supervised positions."""
        if self.device.type != "cuda":
            return {"part": "waits", "places": None}
        call()
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        places = [f"{w.filename.rpartition('/')[2]}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]
        return {"part": "waits", "places": places}


def _shape(text: str) -> Shape:
    return Shape(*map(int, text.split("x")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job")
    parser.add_argument("--shapes", nargs="+", type=_shape)
    parser.add_argument("--device", type=torch.device)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    worker = Worker(options.device, options.seconds)
    head = {"job": options.job}
    _show({"part": "setting"} | head | setting(options.device))
    for shape in options.shapes:
        _one(worker, head | {"shape": str(shape)}, shape)


def _one(worker: Worker, head: Record, shape: Shape) -> None:
    """A case, whatever becomes of it: an error is its outcome, and the next one goes on."""
    began, status, message = time.perf_counter(), "ok", ""
    try:
        for record in worker.run(head["job"], shape):
            _show({"part": record["part"]} | head | record)
    except NotHereError as reason:
        status, message = "skipped", str(reason)
    except Exception as problem:
        status, message = "error", f"{type(problem).__name__}: {problem}"[:1500]
    gc.collect()
    if worker.device.type == "cuda":
        torch.cuda.empty_cache()
    took = round(time.perf_counter() - began, 2)
    outcome = {"case": f"{head['job']} @ {head['shape']}", "status": status, "message": message, "seconds": took}
    _show({"part": "case"} | head | outcome | {"card": card(worker.device)})


def _show(record: Record) -> None:
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
