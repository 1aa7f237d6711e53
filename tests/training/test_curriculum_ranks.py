"""Two processes follow one order: together each step has the rows that one process would have."""

import itertools
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig

from entrotune.data.curriculum import Order
from entrotune.training import EntropicTrainer
from several_processes import on_processes
from tiny import byte_tokenizer, tiny_llama

STEPS = [3, 1, 1, 10, 0, 9, 3, 2, 4, 8, 7, 6, 5, 3, 10, 0, 2]


def row(index: int) -> dict[str, Any]:
    tokens = [100 + index, *range(10, 12 + index % 5)]
    return {"id": f"r{index}", "input_ids": tokens, "labels": [-100, *tokens[1:]]}


def train(folder: Path, **options: Any) -> tuple[list[list[int]], dict[str, torch.Tensor]]:
    """Train on the order; return the rows with labels of each optimiser step, and the weights."""
    trainer = EntropicTrainer(
        model=tiny_llama(vocab_size=300),
        curriculum=Order([f"r{index}" for index in STEPS]),
        train_dataset=Dataset.from_list([row(index) for index in range(11)]),
        processing_class=byte_tokenizer(),
        args=SFTConfig(
            output_dir=str(folder),
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
            num_train_epochs=1,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            **options,
        ),
    )
    steps: dict[int, list[int]] = {}
    assert trainer.model is not None

    def see(model: torch.nn.Module, args: Any, given: dict[str, Any]) -> None:
        # A process for which no row is left in the last step reads one without labels: that is no use of it.
        labels, ids = given["labels"], given["input_ids"]
        if "position_ids" in given:
            first = (given["position_ids"][0] == 0).nonzero().flatten().tolist()
            rows = [(ids[0, i], labels[0, i:j]) for i, j in zip(first, [*first[1:], ids.shape[1]], strict=True)]
        else:
            rows = list(zip(ids[:, 0], labels, strict=True))
        used = [int(start) - 100 for start, own in rows if bool((own != -100).any())]
        steps.setdefault(trainer.state.global_step, []).extend(used)

    trainer.model.register_forward_pre_hook(see, with_kwargs=True)
    trainer.train()
    weights = {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}
    return [steps[step] for step in sorted(steps)], weights


CASES: list[dict[str, Any]] = [
    {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
    {"per_device_train_batch_size": 2, "packing": True, "max_length": 16},
]


def train_all(folder: str) -> list[Any]:
    """`train` of every case."""
    return [train(Path(folder) / str(number), **options) for number, options in enumerate(CASES)]


def test_two_ranks_do_what_one_does(tmp_path: Path) -> None:
    ranks = on_processes(2, "training.test_curriculum_ranks:train_all", str(tmp_path / "out"), tmp_path)
    for options, first, second in zip(CASES, *ranks, strict=True):
        found = [sorted(one + other) for one, other in zip(first[0], second[0], strict=True)]
        alone, expected = train(tmp_path / "alone", **(options | {"per_device_train_batch_size": 4}))
        assert found == [sorted(step) for step in alone]
        assert sorted(itertools.chain(*found)) == sorted(STEPS)
        for name, value in expected.items():
            assert torch.equal(first[1][name], second[1][name])
            # AdamW divides by the root of the second moment: it enlarges the rounding of small gradients.
            assert torch.allclose(first[1][name], value, rtol=1e-3, atol=1e-4), name
