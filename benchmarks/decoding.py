"""What choosing tokens costs: each part against plain sampling, and batches against a loop over prompts.

    python benchmarks/decoding.py --device cuda --out benchmarks/decoding-h100.jsonl
    python benchmarks/decoding.py --tiny                              # that it runs at all
    python benchmarks/decoding.py --generate smollm2-135m             # batches against a loop, with a real model

Prints JSON lines. `processor` lines: milliseconds a step over [batch, vocabulary] random logits about as sharp as a
model's, for plain sampling alone (softmax and draw) and with the part before it, measured in turn because a card's
clock drifts; `overhead` is what the part adds, as a share of plain sampling, and, with `--step`, as a share of a
model step of so many milliseconds, which is what a user waits for.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from entrotune.data import Row, prompts_of
from entrotune.decoding import Strategy, draw, stream
from entrotune.models import load_model

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
    parser.add_argument("--generate", metavar="MODEL", help="batches against a loop over prompts, with this model")
    parser.add_argument("--out", type=Path, help="append the lines to a file too")
    options = parser.parse_args()
    if options.tiny:
        options.batch, options.vocabulary, options.repeats = 4, 1000, 3
    about = {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
        "torch": torch.__version__,
    }
    measured = batches(options) if options.generate else processors(options)
    for line in measured:
        text = json.dumps(line | about)
        print(text, flush=True)
        if options.out:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(text + "\n")


def processors(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A line a strategy."""
    torch.manual_seed(0)
    logits = torch.randn(options.batch, options.vocabulary, device=options.device) * 3
    ids = torch.zeros((options.batch, 8), dtype=torch.long, device=options.device)
    lines = []
    for text in STRATEGIES:
        made = Strategy.of(text).processors()
        plain, ours = in_turn(lambda: sampled(logits), lambda made=made: sampled(made(ids, logits)), options)
        lines.append(
            {
                "case": "processor",
                "strategy": text,
                "batch": options.batch,
                "vocabulary": options.vocabulary,
                "plain_ms": plain,
                "with_part_ms": ours,
                "overhead": (ours - plain) / plain,
            }
            | ({"overhead_of_step": (ours - plain) / (options.step + plain)} if options.step else {})
        )
    return lines


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


def batches(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Tokens a second of one batch of prompts of several lengths, and of the same prompts one after the other."""
    model, tokenizer = load_model(options.generate, device=options.device, dtype="auto")
    count = 4 if options.tiny else options.batch
    rows = [
        Row(id=str(i), source="", prompt=f"Tell me about {'very ' * (i % 12)}big number {i}.") for i in range(count)
    ]
    prompts = [prompt.input_ids for prompt in prompts_of(rows, tokenizer)]
    tokens = 8 if options.tiny else 64
    lines = []
    for size in (1, count):
        for _ in ("to warm up", "measured"):
            _wait(options.device)
            started = time.perf_counter()
            made = 0
            for start in range(0, count, size):
                batch = prompts[start : start + size]
                streams = [stream(0, "", start + i) for i in range(len(batch))]
                found = draw(
                    model, tokenizer, batch, streams, strategy=Strategy.of("temperature(0.8)"), max_new_tokens=tokens
                )
                made += sum(len(one.token_ids) for one in found)
            _wait(options.device)
            seconds = time.perf_counter() - started
        case = {"case": "generate", "model": options.generate, "batch": size, "prompts": count, "tokens": made}
        lines.append(case | {"seconds": seconds, "tokens_per_second": made / seconds})
    return lines


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
