"""A pass over a target set as one tree of tokens, side by side with one forward and backward for each target.

    python benchmarks/diffuse.py [--targets 200] [--repeats 3] [--model smollm2-135m] [--device cuda]

Prints JSON lines. A pass is the loss and the gradient of a LoRA adapter (rank 4, all linear layers) for first names of
the package mimesis, float32. The plain way reads the request again for each name, and is spared the logits of the
request. Both ways are measured in turn after one unmeasured round; the ratio is of medians.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from entrotune import load_model, provenance
from entrotune.data.targets import EncodedTargets, encode_targets, read_target_sets, select
from entrotune.models import attach_lora
from entrotune.training.distribution import StepMeter, backward_set


def names(count: int, tokenizer: Any) -> EncodedTargets:
    """First names, evenly over the alphabet."""
    (whole,) = read_target_sets(["mimesis:first_names"])
    step = len(whole.targets) / count
    chosen = select(whole, [int(at * step) for at in range(count)])
    return encode_targets([chosen], tokenizer)[0][0]


def plain_pass(model: Any, encoded: EncodedTargets) -> float:
    """One ordinary forward and backward for each target with its prompt."""
    total, prompt = 0.0, encoded.prompt.input_ids
    for sequence, weight in zip(encoded.sequences, encoded.of.weights, strict=True):
        ids = torch.tensor([[*prompt, *sequence]], device=model.device)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(sequence) + 1).logits[0, :-1]
        loss = weight * torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :], reduction="sum")
        loss.backward()
        total += float(loss.detach())
    return total


def gradient(model: Any) -> torch.Tensor:
    """All gradients as one vector, cleared."""
    parts = [value.grad.flatten() for value in model.parameters() if value.grad is not None]
    model.zero_grad(set_to_none=True)
    return torch.cat(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--device", default=None)
    options = parser.parse_args()
    model, tokenizer = load_model(options.model, device=options.device)
    torch.manual_seed(0)
    model = attach_lora(model, rank=4, alpha=8)
    for name, value in model.named_parameters():
        if "lora_B" in name:  # else half of the gradient is zero
            torch.nn.init.normal_(value, std=0.02)
    encoded = names(options.targets, tokenizer)
    trie = encoded.trie
    ways: dict[str, Callable[[], float]] = {
        "tree": lambda: backward_set(model, encoded, StepMeter(), rows_per_part=1024),
        "plain": lambda: plain_pass(model, encoded),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses, gradients = {}, {}
    for number in range(options.repeats + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            losses[name] = way()
            gradients[name] = gradient(model)
            if number:
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    difference = (gradients["tree"] - gradients["plain"]).norm() / gradients["plain"].norm()
    made = {"device": provenance.device_name(model.device), "versions": provenance.versions(), "model": options.model}
    print(json.dumps({"kind": "made", **made}))
    counts = {
        "targets": options.targets,
        "prompt_tokens": len(encoded.prompt.input_ids),
        "tokens_of_tree": len(encoded.prompt.input_ids) + len(trie.tokens),
        "tokens_of_plain": sum(len(encoded.prompt.input_ids) + len(sequence) for sequence in encoded.sequences),
    }
    print(json.dumps({"kind": "set", **counts}))
    for name, times in seconds.items():
        print(
            json.dumps({"kind": "pass", "way": name, "seconds": times, "median": medians[name], "loss": losses[name]})
        )
    same = {
        "loss_difference": abs(losses["tree"] - losses["plain"]),
        "relative_loss_difference": abs(losses["tree"] - losses["plain"]) / losses["plain"],
        "relative_gradient_difference": float(difference),
    }
    print(json.dumps({"kind": "ratio", "tree_over_plain": medians["tree"] / medians["plain"], **same}))


if __name__ == "__main__":
    main()
