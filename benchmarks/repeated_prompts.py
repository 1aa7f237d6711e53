"""Several answers to each prompt: prompts read once, as `sample` does, beside transformers' `num_return_sequences`.

    python benchmarks/repeated_prompts.py --dtype bfloat16
    python benchmarks/repeated_prompts.py --device cuda --prompts 64 --samples 64 --lengths 64 512 2048

Prints a JSON line for each length of prompt: seconds of either, measured in turn, medians, and their ratio. No answer
ends before `--new_tokens`, so both write as much.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers

from entrotune.data import Prompt
from entrotune.decoding import nothing_inherited
from entrotune.evaluation import sample
from entrotune.models import load_model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--new_tokens", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model, tokenizer = load_model(options.model, device=options.device, dtype=options.dtype)
    model.get_output_embeddings().register_forward_hook(_never(tokenizer, model))
    for length in options.lengths:
        asked = _prompts(options.prompts, length, len(tokenizer))
        ours, theirs = in_turn(
            partial(_ours, model, tokenizer, asked, options), partial(_theirs, model, asked, options), options
        )
        line = {
            "case": "repeated prompts",
            "model": options.model,
            "dtype": options.dtype,
            "prompts": options.prompts,
            "samples": options.samples,
            "length": length,
            "new_tokens": options.new_tokens,
            "batch": options.batch,
            "entrotune_s": ours,
            "transformers_s": theirs,
            "ratio": theirs / ours,
            "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "threads": torch.get_num_threads(),
        }
        print(json.dumps(line), flush=True)


def in_turn(one: Callable[[], Any], other: Callable[[], Any], options: argparse.Namespace) -> tuple[float, float]:
    """Median seconds of two functions, called alternately after one call of each to warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(options.rounds + 1):
        for function, taken in zip((one, other), times, strict=True):
            _wait(options.device)
            started = time.perf_counter()
            function()
            _wait(options.device)
            if turn:
                taken.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def _prompts(count: int, length: int, vocabulary: int) -> list[Prompt]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(100, vocabulary, (count, length), generator=generator).tolist()
    return [
        Prompt(id=str(at), messages=(), text="", input_ids=tuple(row), references=(), checker=None)
        for at, row in enumerate(ids)
    ]


def _ours(model: Any, tokenizer: Any, asked: list[Prompt], options: argparse.Namespace) -> None:
    settings: dict[str, Any] = {"samples": options.samples, "max_new_tokens": options.new_tokens, "seed": 0}
    sample(model, tokenizer, asked, temperature=1.0, batch_size=options.batch, **settings)


def _theirs(model: Any, asked: list[Prompt], options: argparse.Namespace) -> None:
    """As many answers at a time, without an attention mask to build as all prompts are of one length."""
    at_once = max(1, options.batch // options.samples)
    settings = transformers.GenerationConfig(
        max_new_tokens=options.new_tokens, do_sample=True, top_k=0, num_return_sequences=options.samples, pad_token_id=0
    )
    for start in range(0, len(asked), at_once):
        ids = torch.tensor([one.input_ids for one in asked[start : start + at_once]], device=options.device)
        with torch.no_grad(), nothing_inherited(model):
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)


def _never(tokenizer: Any, model: Any) -> Callable[..., None]:
    """A hook that takes the end marks away from the logits."""
    given = model.generation_config.eos_token_id
    ends = list({tokenizer.eos_token_id, *(given if isinstance(given, list) else [given])} - {None})

    def hook(_module: Any, _inputs: Any, logits: torch.Tensor) -> None:
        logits[..., ends] = -torch.inf

    return hook


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
