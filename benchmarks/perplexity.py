"""Perplexity of one text: tokens a second of ours beside the plain sliding window, each in a process of its own.

    python benchmarks/perplexity.py [--tokens 4000] [--device cpu] [--max_length 256] [--stride 128]
    python benchmarks/perplexity.py --device cuda --precision bfloat16 --tokens 500000 --max_length 2048 --stride 512

Prints JSON lines. The plain way takes one window at a time, computes all its logits and asks the model for the loss
of the tokens that are new. Ours is what `entrotune perplexity` does after loading: windows in batches, hidden states
of new tokens only, statistics without full logits. Both begin with model and tokens in memory, and score the same
tokens of the same windows; `nats` says that they agree. The model has the shape of SmolLM2-135M and random weights,
the text random tokens, unless --model and --text name others. The first pass over a tenth of the text warms up and is
not timed.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from entrotune import provenance
from entrotune.scoring.perplexity.windows import Window, sliding_windows


def made_model(device: str, precision: str, layers: int) -> Any:
    """A model of SmolLM2-135M's shape (but for its layers, where told) with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).to(device=device, dtype=getattr(torch, precision)).eval()


def material(args: argparse.Namespace) -> tuple[Any, np.ndarray]:
    """The model and the tokens of the text."""
    if args.model is None:
        drawn = np.random.default_rng(0).integers(100, 49_000, size=args.tokens)
        return made_model(args.device, args.precision, args.layers), drawn
    from entrotune.models import load_model

    model, tokenizer = load_model(args.model, dtype=args.precision, device=args.device)
    ids = tokenizer(Path(args.text).read_text(encoding="utf-8"), verbose=False)["input_ids"]
    return model, np.array(ids[: args.tokens])


@torch.no_grad()
def plain(model: Any, ids: np.ndarray, windows: list[Window], _: int) -> float:
    """One window after another, all logits; nats."""
    total = 0.0
    for window in windows:
        read = torch.from_numpy(ids[window.start : window.stop + 1]).to(model.device)[None]
        logits = model(input_ids=read[:, :-1], use_cache=False).logits
        new = window.stop - window.first + 1
        loss = torch.nn.functional.cross_entropy(logits[0, -new:].float(), read[0, -new:], reduction="sum")
        total += float(loss)
    return total


def ours(model: Any, ids: np.ndarray, windows: list[Window], batch_tokens: int) -> float:
    """Batches of windows, statistics of new tokens; nats."""
    from entrotune.scoring.perplexity.causal import causal_nll
    from entrotune.scoring.perplexity.encoding import Encoded

    targets = np.arange(1, windows[-1].stop + 1)
    one = Encoded(
        ids=ids,
        targets=targets,
        starts=targets,
        unscored=1,
        scored=np.ones(len(ids), dtype=bool),
        source=np.empty(0, dtype=np.int64),
    )
    found = causal_nll(
        model, [one], [(0, window) for window in windows], padding=0, batch_tokens=batch_tokens, advance=lambda _: None
    )
    return float(found[0].sum())


WAYS = {"plain": plain, "ours": ours}


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """One way, timed."""
    from entrotune.scoring.scorer import default_batch_tokens

    model, ids = material(args)
    size = args.batch_tokens or default_batch_tokens(model.device)

    def run(tokens: int) -> float:
        windows = list(sliding_windows(tokens, first=1, max_length=args.max_length, stride=args.stride))
        return WAYS[args.way](model, ids[:tokens], windows, size)

    run(max(2, len(ids) // 10))
    if model.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    nats = run(len(ids))  # a number on the host: the device is done
    seconds = time.perf_counter() - began
    found = {
        "benchmark": "perplexity",
        "way": args.way,
        "tokens": len(ids) - 1,
        "max_length": args.max_length,
        "stride": args.stride,
        "precision": args.precision,
        "device": provenance.device_name(model.device),
        "nats": nats,
        "seconds": seconds,
        "tokens_per_second": (len(ids) - 1) / seconds,
    }
    if model.device.type == "cuda":
        found["peak_bytes"] = torch.cuda.max_memory_allocated()
    return found


def main() -> None:
    """Run every way in a process of its own, and print what each says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--max_length", type=int, default=256)
    parser.add_argument("--stride", type=int, default=128)
    parser.add_argument("--batch_tokens", type=int, default=None)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--model", default=None, help="a model's name, with --text")
    parser.add_argument("--text", default=None, help="a text file")
    parser.add_argument("--way", choices=WAYS, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if (args.model is None) != (args.text is None):
        parser.error("--model and --text belong together")
    if args.way is not None:
        print(json.dumps(measured(args)), flush=True)
        return
    print(json.dumps({"benchmark": "perplexity", "versions": provenance.versions()}), flush=True)
    for way in WAYS:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--way", way], check=True)


if __name__ == "__main__":
    main()
