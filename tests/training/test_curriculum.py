"""Rows pass through the model in the sequence of the order, each as often as the plan says."""

import json
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from trl import SFTConfig

from entrotune.data.curriculum import Order, OrderOptions, plan_order, write_order
from entrotune.errors import UserError
from entrotune.models import describe_model
from entrotune.training import EntropicTrainer, TrainConfig, plan_training, read_rows, run_training
from entrotune.training.curriculum import pack_in_order
from stopped_runs import metrics, run_stopped, weights
from tiny import byte_tokenizer, tiny_llama

Recipe = Callable[..., TrainConfig]
IDS = [f"rows.jsonl:{line}" for line in range(1, 25)]


def make_order(path: Path, *, ids: list[str] = IDS, **options: Any) -> Path:
    """An order of rows by a made-up score, with repetitions where it is paced."""
    plan = plan_order(np.cos(np.arange(len(ids))), OrderOptions(**({"bins": 4} | options)))
    left_out = {"filtered": [ids[i] for i in np.flatnonzero(~plan.kept)]}
    left_out["never drawn"] = [ids[i] for i in np.flatnonzero(plan.kept & (plan.uses == 0))]
    write_order(path, plan, ids=ids, positions=range(len(ids)), left_out=left_out, metadata={"options": {}})
    return path


def row(index: int) -> dict[str, Any]:
    """A row of tokens that no other row has: its first token is 100 + its index."""
    tokens = [100 + index, *range(10, 12 + index % 5)]
    return {"id": f"r{index}", "input_ids": tokens, "labels": [-100, *tokens[1:]]}


class Seen:
    """Remembers the rows of each forward pass in training, by their first token, with how many tokens they had."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.batches: list[list[tuple[int, int]]] = []
        model.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, model: torch.nn.Module, args: Any, given: dict[str, Any]) -> None:
        if not model.training:
            return
        ids, positions = given["input_ids"], given.get("position_ids")
        if positions is None:
            lengths = given["attention_mask"].sum(1).tolist()
            starts = ids[:, 0].tolist()
        else:
            first = (positions[0] == 0).nonzero().flatten()
            lengths = torch.diff(first, append=torch.tensor([ids.shape[1]])).tolist()
            starts = ids[0, first].tolist()
        self.batches.append([(start - 100, length) for start, length in zip(starts, lengths, strict=True)])

    @property
    def rows(self) -> list[int]:
        return [index for batch in self.batches for index, _ in batch]


def trainer_of(tmp_path: Path, order: Any, count: int = 11, **options: Any) -> tuple[EntropicTrainer, Seen]:
    model = tiny_llama(vocab_size=300)
    arguments = {"per_device_train_batch_size": 3, "num_train_epochs": 1, "report_to": "none", "bf16": False}
    trainer = EntropicTrainer(
        model=model,
        curriculum=order,
        train_dataset=options.pop("rows", None) or Dataset.from_list([row(index) for index in range(count)]),
        processing_class=byte_tokenizer(),
        args=SFTConfig(output_dir=str(tmp_path), use_cpu=True, save_strategy="no", **(arguments | options)),
    )
    return trainer, Seen(trainer.model)  # type: ignore[arg-type]


STEPS = [3, 1, 1, 10, 0, 9, 3, 2, 4, 8, 7, 6, 5, 3, 10]
ORDER = Order([f"r{index}" for index in STEPS])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_accumulation_steps": 4},
        {"packing": True, "max_length": 16, "per_device_train_batch_size": 2},
        {"padding_free": True, "max_length": None},
        {"num_train_epochs": 2},
    ],
)
def test_rows_pass_in_exactly_the_order_given(tmp_path: Path, options: dict[str, Any]) -> None:
    trainer, seen = trainer_of(tmp_path, ORDER, **options)
    trainer.train()
    assert seen.rows == STEPS * options.get("num_train_epochs", 1)
    # Whole rows: none is cut or parted.
    assert all(length == len(row(index)["input_ids"]) for batch in seen.batches for index, length in batch)
    if options.get("packing"):
        assert max(len(batch) for batch in seen.batches) > 2


def test_packing_puts_consecutive_rows_together() -> None:
    assert pack_in_order([5, 5, 5, 11, 16, 1], 16) == [3, 4, 5, 6]
    assert pack_in_order([], 16) == []
    for seed in range(20):
        lengths = np.random.default_rng(seed).integers(1, 17, size=50)
        ends = pack_in_order(lengths.tolist(), 16)
        parts = np.split(lengths, ends[:-1])
        assert np.concatenate(parts).tolist() == lengths.tolist()
        assert all(part.sum() <= 16 for part in parts)
        # No row would have fitted into the sequence before it.
        assert all(one.sum() + other[0] > 16 for one, other in pairwise(parts))
    with pytest.raises(UserError, match="17 tokens, more than a packed sequence of max_length 16"):
        pack_in_order([3, 17], 16)


@pytest.mark.parametrize(
    ("order", "options", "message"),
    [
        (Order([*ORDER.ids, "r77"]), {}, "names 1 of 12 rows that the training data lacks \\('r77'\\)"),
        (Order(ORDER.ids[:5]), {}, "does not know 7 of 11 training examples"),
        (ORDER, {"shuffle_dataset": True}, "shuffle_dataset=True would not keep"),
        (ORDER, {"dataloader_drop_last": True}, "dataloader_drop_last"),
        (ORDER, {"packing": True, "packing_strategy": "wrapped", "max_length": 16}, "packing_strategy='wrapped'"),
        (ORDER, {"packing": True, "max_length": 5}, "more than a packed sequence"),
        (ORDER, {"dataset_kwargs": {"skip_prepare_dataset": True}}, "skip_prepare_dataset"),
        (ORDER, {"rows": Dataset.from_list([row(0), row(0)])}, "'r0' occurs twice"),
        (ORDER, {"rows": Dataset.from_list([row(0)]).remove_columns("id")}, "a column 'id'"),
        ("missing.parquet", {}, "no order missing.parquet"),
    ],
)
def test_what_cannot_be_followed_is_refused(tmp_path: Path, order: Any, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        trainer_of(tmp_path, order, **options)


def test_rows_that_the_order_left_out_are_not_used(tmp_path: Path) -> None:
    order = Order([f"r{index}" for index in range(9)], {"filtered": ["r9", "r10"]})
    trainer, seen = trainer_of(tmp_path, order)
    trainer.train()
    assert seen.rows == list(range(9))


def test_a_run_counts_what_the_order_lost(recipe: Recipe, tmp_path: Path) -> None:
    path = make_order(tmp_path / "order.parquet", drop_top=10, epochs=2)
    config = recipe(curriculum=str(path))
    assert config.epochs == 2
    assert recipe(curriculum=str(path), epochs=None).epochs == 1
    rows = read_rows(config, byte_tokenizer(template=None))
    held = {row.id for row in rows.validation_rows}
    assert rows.order is not None
    ids, found = rows.order.ids, rows.counts["curriculum"]
    assert not held & set(ids)
    assert found["steps"] == 44
    assert found["steps_used"] + found["steps_removed"]["held out for validation"] == 44
    assert found["examples_used"] + found["examples_left_out"]["filtered"] == rows.counts["train_examples"] == 20
    assert found["most_uses_of_an_example"] == 2
    lengths = {example.id: len(example.input_ids) for example in rows.train}
    assert found["train_tokens"] == sum(lengths[id] for id in ids)


def test_a_plan_says_what_a_run_does(recipe: Recipe, tmp_path: Path) -> None:
    path = make_order(tmp_path / "order.parquet", pacing="root", epochs=2)
    for changes in ({}, {"packing": True, "batch_size": 1}):
        config = recipe(f"run-{len(changes)}", curriculum=str(path), epochs=1, **changes)
        plan = plan_training(config, describe_model(config.model))
        record = run_training(config)
        assert plan["steps"] == record["steps"]
        assert plan["tokens_to_train"] == record["tokens"] == plan["data"]["curriculum"]["train_tokens"]
        assert record["data"]["curriculum"] == plan["data"]["curriculum"]


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulation": 3, "epochs": 1.5, "method": "full"},
        {"packing": True, "batch_size": 1, "epochs": 1},
    ],
)
def test_a_killed_run_goes_on_where_it_stopped(recipe: Recipe, tmp_path: Path, changes: dict[str, Any]) -> None:
    path = make_order(tmp_path / "order.parquet", pacing="linear", epochs=3)
    options = {"curriculum": str(path), "save_every": 2, "log_every": 3, **changes}
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    run_training(whole)
    for step in (3, 6):
        assert run_stopped(stopped, "kill", step, tmp_path)[0] == -signal.SIGKILL
        stopped = stopped.replace(resume=True)
    run_training(stopped)
    found, expected = (weights(Path(config.out) / "model") for config in (stopped, whole))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert metrics(stopped.out) == metrics(whole.out)


def test_another_order_is_not_gone_on_with(recipe: Recipe, tmp_path: Path) -> None:
    path = make_order(tmp_path / "order.parquet")
    config = recipe(curriculum=str(path), save_every=1)
    assert run_stopped(config, "kill", 3, tmp_path)[0] == -signal.SIGKILL
    make_order(path, schedule="decreasing")
    with pytest.raises(UserError, match="changed since"):
        run_training(config.replace(resume=True))
    make_order(path)
    assert run_training(config.replace(resume=True))["status"] == "finished"


def test_answers_follow_their_row(recipe: Recipe, tmp_path: Path) -> None:
    data = tmp_path / "answers.jsonl"
    lines = [{"id": f"q{i}", "prompt": f"question {i}", "answers": [f"yes {i}", f"no {i}"]} for i in range(6)]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = make_order(tmp_path / "order.parquet", ids=[f"q{i}" for i in range(6)], bins="sorted")
    config = recipe(data=str(data), curriculum=str(path), validation=1, epochs=1)
    rows = read_rows(config, byte_tokenizer(template=None))
    assert rows.order is not None
    assert len(rows.order.ids) == 10
    assert all(id.endswith(f"#{place % 2}") for place, id in enumerate(rows.order.ids))
