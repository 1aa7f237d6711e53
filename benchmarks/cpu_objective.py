"""The fused objective on a CPU, side by side with plain PyTorch and with TRL, in one run.

    python benchmarks/cpu_objective.py [--tokens 1024] [--repeats 5]

Prints JSON lines. Shapes are those of SmolLM2-135M with random weights. What is compared is measured in turn, again and
again, so that a drift of the machine meets all alike; ratios are of medians.

- step: forward, backward and AdamW of a whole model, by objective.
- memory: what the loss part adds to the resident memory at its peak, beyond the gradients that it returns.
- trainer: seconds a step of `EntropicTrainer` and of TRL's `SFTTrainer` on the same rows.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from entrotune import provenance

WIDTH, VOCABULARY = 576, 49152
OBJECTIVES = ("ce", "ce - 0.1*entropy", "gem(beta=0.7)")
MEMORY_WAYS = ("plain", *OBJECTIVES)


def smollm2_shape() -> Any:
    """SmolLM2-135M with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            tie_word_embeddings=True,
            max_position_embeddings=8192,
        )
    )


def in_turn(ways: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each way, measured in turn after one unmeasured round."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                found[name].append(time.perf_counter() - began)
    return found


def steps(tokens: int, repeats: int) -> dict[str, list[float]]:
    """Whole training steps, by objective."""
    from entrotune.models import find_head
    from entrotune.objectives import Objective
    from entrotune.training.objective_head import add_objective_head

    model = smollm2_shape()
    add_objective_head(model)
    find_head(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    ids = torch.randint(VOCABULARY, (8, tokens // 8), generator=torch.Generator().manual_seed(1))

    def step(objective: Objective) -> None:
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids, objective=objective).loss.backward()
        optimizer.step()

    return in_turn({text: partial(step, Objective(text)) for text in OBJECTIVES}, repeats)


def memory(way: str, tokens: int, trained_head: bool) -> int:
    """Peak bytes that one forward and backward of the loss part adds, beyond the gradients it returns."""
    from entrotune import linear_objective

    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(tokens, WIDTH, generator=generator).requires_grad_()
    weight = (0.05 * torch.randn(VOCABULARY, WIDTH, generator=generator)).requires_grad_(trained_head)
    targets = torch.randint(VOCABULARY, (tokens,), generator=generator)
    linear_objective(hidden[:8], weight, targets[:8], "ce")[0].backward()  # loads libraries and thread pools
    hidden.grad = weight.grad = None
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # starts the high-water mark again
    if way == "plain":
        logits = (hidden @ weight.T).float()
        p = torch.softmax(logits, -1)
        log_p = torch.log(p)
        entropy = -(p * log_p).sum(-1)
        nll = -log_p.gather(-1, targets[:, None]).squeeze(-1)
        (nll - 0.1 * entropy).mean().backward()
    else:
        linear_objective(hidden, weight, targets, way)[0].backward()
    returned = sum(t.numel() * t.element_size() for t in (hidden.grad, weight.grad) if t is not None)
    return _status("VmHWM") - before - returned


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def trainers(repeats: int) -> dict[str, list[float]]:
    """Seconds a step of both trainers on the same rows, cross-entropy."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from entrotune import EntropicTrainer
    from entrotune.models import load_tokenizer

    generator = torch.Generator().manual_seed(3)
    rows = [torch.randint(100, VOCABULARY, (64,), generator=generator).tolist() for _ in range(32)]
    data = Dataset.from_dict({"input_ids": rows, "labels": rows})
    tokenizer = load_tokenizer("smollm2-135m")
    number = 4
    built = {}
    for cls in (EntropicTrainer, SFTTrainer):
        arguments = SFTConfig(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=8,
            max_steps=number,
            report_to="none",
            save_strategy="no",
            bf16=False,
            use_cpu=True,
            disable_tqdm=True,
            logging_steps=1,
            max_length=None,
            learning_rate=1e-5,
        )
        trainer = cls(model=smollm2_shape(), args=arguments, train_dataset=data, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        built[cls.__name__] = trainer.train
    return {name: [s / number for s in found] for name, found in in_turn(built, repeats).items()}


def ratios(found: dict[str, list[float]], base: str) -> dict[str, float]:
    """Medians as multiples of that of `base`."""
    return {name: round(statistics.median(v) / statistics.median(found[base]), 3) for name, v in found.items()}


def rounded(found: dict[str, list[float]]) -> dict[str, list[float]]:
    """Every measurement, to three digits after the point."""
    return {name: [round(value, 3) for value in values] for name, values in found.items()}


def show(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", nargs=2, metavar=("WAY", "HEAD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        way, head = options.memory
        print(memory(way, options.tokens, head == "trained"))
        return
    show(
        part="setting",
        tokens=options.tokens,
        width=WIDTH,
        vocabulary=VOCABULARY,
        device=provenance.device_name(torch.device("cpu")),
        versions=provenance.versions(),
        date=provenance.now(),
    )
    found = steps(options.tokens, options.repeats)
    show(part="step", seconds=rounded(found), ratio_to_ce=ratios(found, "ce"))
    for head in ("trained", "frozen"):
        used = {way: [_measured_apart(way, head, options.tokens) / 2**20] for way in MEMORY_WAYS}
        show(part="memory", head=head, mib=rounded(used), ratio_to_plain=ratios(used, "plain"))
    found = trainers(options.repeats)
    show(part="trainer", seconds=rounded(found), ratio_to_trl=ratios(found, "SFTTrainer"))


def _measured_apart(way: str, head: str, tokens: int) -> int:
    """`memory` in a process of its own, where nothing was freed before that could be used again unseen."""
    command = [sys.executable, __file__, "--memory", way, head, "--tokens", str(tokens)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
