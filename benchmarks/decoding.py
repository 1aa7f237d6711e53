"""What choosing tokens costs: each part against plain sampling, and batches against a loop over prompts.

    python benchmarks/decoding.py --device cuda --out benchmarks/decoding-h100.jsonl
    python benchmarks/decoding.py --tiny                              # that it runs at all
    python benchmarks/decoding.py --generate smollm2-135m --batch 8 --new_tokens 32 --budget 180   # with a real model

Prints JSON lines. `processor` lines: milliseconds a step over [batch, vocabulary] random logits about as sharp as a
model's, for plain sampling alone (softmax and draw) and with the part before it, measured in turn because a card's
clock drifts; `overhead` is what the part adds, as a share of plain sampling, and, with `--step`, as a share of a
model step of so many milliseconds, which is what a user waits for.

`--generate` draws with a model: `generate` lines, prompts in one batch and one after the other; `real` lines, each part
on that batch against plain sampling measured just before it, in milliseconds a step (a token of the longest response).
Every line is printed when it is measured. No new one begins after `--budget` seconds, which the last line says; a
second call with the same `--out` measures what is missing there.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from entrotune.data import Row, prompts_of
from entrotune.decoding import Strategy, draw, stream
from entrotune.models import load_model

PLAIN = "temperature(1)"
STRATEGIES = (
    "temperature(0.8)",
    "top_k(40)",
    "top_p(0.9)",
    "min_p(0.1)",
    "typical(0.9)",
    "eta(0.002)",
    "top_n_sigma(1)",
    "annealed",
    "entropy_temperature",
    "entropy_switch",
    "target_entropy(1)",
    "target_entropy(4)",
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=128_256)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--step", type=float, help="milliseconds of a model's own step, to compare with")
    parser.add_argument("--tiny", action="store_true", help="a few small steps, to see that it runs")
    parser.add_argument("--generate", metavar="MODEL", help="batches against a loop, and each part, with this model")
    parser.add_argument("--new_tokens", type=int, default=64, help="of a response, with --generate")
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds after which nothing new begins")
    parser.add_argument("--out", type=Path, help="append the lines to a file too, and skip what it holds")
    options = parser.parse_args()
    if options.tiny:
        options.batch, options.vocabulary, options.repeats, options.new_tokens = 4, 1000, 3, 8
    about = {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
    }
    measured = generated(options) if options.generate else processors(options)
    for line in measured:
        text = json.dumps(line | about)
        print(text, flush=True)
        if options.out:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(text + "\n")


def processors(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A line a strategy."""
    torch.manual_seed(0)
    logits = torch.randn(options.batch, options.vocabulary, device=options.device) * 3
    ids = torch.zeros((options.batch, 8), dtype=torch.long, device=options.device)
    for text in STRATEGIES:
        made = Strategy.of(text).processors()
        plain, ours = in_turn(lambda: sampled(logits), lambda made=made: sampled(made(ids, logits)), options)
        yield {
            "case": "processor",
            "strategy": text,
            "batch": options.batch,
            "vocabulary": options.vocabulary,
            "plain_ms": plain,
            "with_part_ms": ours,
            "overhead": (ours - plain) / plain,
        } | ({"overhead_of_step": (ours - plain) / (options.step + plain)} if options.step else {})


def sampled(scores: Tensor) -> Tensor:
    """Plain sampling, as `generate` does it."""
    return torch.multinomial(torch.softmax(scores, dim=-1), 1)


def in_turn(one: Callable[[], Any], other: Callable[[], Any], options: argparse.Namespace) -> tuple[float, float]:
    """Median milliseconds of two functions, called alternately after three calls of each to warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(options.repeats + 3):
        for function, taken in zip((one, other), times, strict=True):
            _wait(options.device)
            started = time.perf_counter()
            function()
            _wait(options.device)
            if repeat >= 3:
                taken.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times[0]), statistics.median(times[1])


def generated(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A line for the batch, one for the loop over its prompts, and one a strategy; those the file has are left out."""
    began = time.perf_counter()
    model, tokenizer = load_model(options.generate, device=options.device, dtype="auto")
    rows = [
        Row(id=str(i), source="", prompt=f"Tell me about {'very ' * (i % 12)}big number {i}.")
        for i in range(options.batch)
    ]
    prompts = [prompt.input_ids for prompt in prompts_of(rows, tokenizer)]
    about = {"model": options.generate, "prompts": options.batch, "new_tokens": options.new_tokens}

    def timed(strategy: str, size: int) -> tuple[float, int, int]:
        """Seconds, tokens and steps of all prompts, so many at a time."""
        made = steps = 0
        _wait(options.device)
        started = time.perf_counter()
        for start in range(0, options.batch, size):
            batch = prompts[start : start + size]
            streams = [stream(0, "", start + i) for i in range(len(batch))]
            chosen = Strategy.of(strategy)
            found = draw(model, tokenizer, batch, streams, strategy=chosen, max_new_tokens=options.new_tokens)
            made += sum(len(one.token_ids) for one in found)
            steps += max(len(one.token_ids) for one in found)
        _wait(options.device)
        return time.perf_counter() - started, made, steps

    def throughput(size: int) -> dict[str, Any]:
        seconds, made, _ = timed(PLAIN, size)
        return {"tokens": made, "seconds": seconds, "tokens_per_second": made / seconds}

    def overhead(strategy: str) -> dict[str, Any]:
        (plain, _, plain_steps), (ours, _, steps) = timed(PLAIN, options.batch), timed(strategy, options.batch)
        plain_ms, ours_ms = 1e3 * plain / plain_steps, 1e3 * ours / steps
        return {"plain_ms": plain_ms, "with_part_ms": ours_ms, "overhead": ours_ms / plain_ms - 1}

    work = [({"case": "generate", "batch": size}, partial(throughput, size)) for size in (options.batch, 1)]
    work += [({"case": "real", "strategy": text}, partial(overhead, text)) for text in STRATEGIES]
    left = [(case | about, measure) for case, measure in work if not _has(options.out, case | about)]
    timed(PLAIN, options.batch)  # to warm up
    for number, (case, measure) in enumerate(left):
        if time.perf_counter() - began > options.budget:
            yield {"case": "budget", "seconds": options.budget, "left": len(left) - number}
            return
        print(f"{number + 1} of {len(left)}: {case}", file=sys.stderr, flush=True)
        yield case | measure()


def _has(path: Path | None, case: dict[str, Any]) -> bool:
    """Whether a file has a line about a case."""
    if path is None or not path.exists():
        return False
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return any(case.items() <= line.items() for line in lines)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
