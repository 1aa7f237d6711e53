"""Coefficients by a column in training: which token gets which, what is logged, packing, resume and bad input."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import PromptTuningConfig
from transformers import TrainerCallback
from trl import SFTConfig

from entrotune import EntropicTrainer, Objective
from entrotune.data.curriculum import Order
from entrotune.errors import UserError
from entrotune.models import describe_model
from entrotune.training import TrainConfig, plan_training, run_training
from entrotune.training.groups import GROUPS
from stopped_runs import metrics, weights
from tiny import byte_tokenizer, tiny_llama

Recipe = Callable[..., TrainConfig]
# The completion of a row has one letter, q or s, that tells its task.
LETTERS = {"qa": "q", "story": "s"}
BY_TASK = {"alpha": {"by": "task", "qa": 0.02, "story": 0.4}}
EDM = "ce - alpha*entropy"


def task_of(number: int) -> str:
    return "story" if number % 3 == 1 else "qa"


def rows_of(count: int = 24) -> list[dict[str, Any]]:
    return [
        {"id": f"r{i}", "prompt": f"{i}: ", "completion": LETTERS[task_of(i)] * (i % 5 + 2), "task": task_of(i)}
        for i in range(count)
    ]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A file of rows with a column `task`."""
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of()))
    return path


@pytest.fixture
def calm(tmp_path: Path) -> str:
    """A tiny model without dropout."""
    tiny_llama().save_pretrained(tmp_path / "calm")
    byte_tokenizer(template=None).save_pretrained(tmp_path / "calm")
    return str(tmp_path / "calm")


def trainer_of(
    folder: Path,
    *,
    rows: Any = None,
    held: Any = None,
    order: Any = None,
    peft_config: Any = None,
    coefficients: Any = BY_TASK,
    **options: Any,
) -> EntropicTrainer:
    arguments: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 6,
        "max_length": None,
        "report_to": "none",
        "bf16": False,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return EntropicTrainer(
        model=tiny_llama(),
        args=SFTConfig(**(arguments | options)),
        objective=EDM,
        coefficients=coefficients,
        curriculum=order,
        peft_config=peft_config,
        train_dataset=Dataset.from_list(rows or rows_of()),
        eval_dataset=held,
        processing_class=byte_tokenizer(template=None),
    )


def trained(config: TrainConfig) -> list[dict[str, Any]]:
    run_training(config)
    return [row for row in metrics(config.out) if row["split"] == "train"]


@pytest.mark.parametrize(
    ("options", "in_order"),
    [
        ({}, False),
        ({"padding_free": True}, False),
        ({"packing": True, "padding_free": True, "max_length": 40}, False),
        ({"packing": True, "packing_strategy": "wrapped", "max_length": 24, "shuffle_dataset": True}, False),
        ({"packing": True, "padding_free": True, "max_length": 40}, True),
        ({"pad_to_multiple_of": 8, "max_length": 9}, False),
    ],
    ids=["padded", "padding-free", "packed", "wrapped", "in order", "cut"],
)
def test_every_token_has_the_group_of_its_row(tmp_path: Path, options: dict[str, Any], in_order: bool) -> None:
    order = Order([f"r{i}" for i in reversed(range(24))]) if in_order else None
    trainer = trainer_of(tmp_path, order=order, **options)
    letters = {byte_tokenizer()(letter)["input_ids"][0]: number for number, letter in enumerate(LETTERS.values())}
    seen = {0: 0, 1: 0}
    for batch in trainer.get_train_dataloader():
        assert batch[GROUPS].shape == batch["input_ids"].shape
        for label, group in zip(batch["labels"].view(-1).tolist(), batch[GROUPS].view(-1).tolist(), strict=True):
            if label in letters:
                assert group == letters[label]
                seen[group] += 1
    expected = {number: sum(row["completion"].count(letter) for row in rows_of()) for number, letter in enumerate("qs")}
    is_cut = "max_length" in options and not options.get("packing")
    assert seen == expected or is_cut
    assert min(seen.values()) > 10


def test_the_loss_is_the_sum_over_the_groups(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    groups = batch[GROUPS]
    assert trainer.model is not None
    trainer.model.train()
    parameters = list(trainer.model.parameters())
    found = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=7)
    ours = torch.autograd.grad(found, parameters)
    model: Any = trainer.model
    losses = []
    for number, alpha in enumerate((0.02, 0.4)):
        labels = torch.where(groups == number, batch["labels"], -100)
        inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}
        objective = Objective(EDM).with_coefficients({"alpha": alpha})
        losses.append(model(**inputs, objective=objective, num_items=7).loss)
    torch.testing.assert_close(found, losses[0] + losses[1])
    for gradient, expected in zip(ours, torch.autograd.grad(losses[0] + losses[1], parameters), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_tokens_of_a_learned_prompt_have_no_group(tmp_path: Path) -> None:
    prompt = PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    same = {"alpha": {"by": "task", "qa": 0.1, "story": 0.1}}
    losses = []
    for coefficients in ({"alpha": 0.1}, same):
        trainer = trainer_of(tmp_path, peft_config=prompt, coefficients=coefficients, max_steps=2, logging_steps=1)
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "nll" in entry])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    of_groups = sum(trainer.state.log_history[0][f"group/{name}/tokens"] for name in LETTERS)
    assert of_groups == trainer.state.log_history[0]["supervised_tokens"]


def test_what_is_logged(recipe: Recipe, tasks: Path, calm: str) -> None:
    given = {"alpha": {"by": "task", "qa": {"linear": [0, 0.1]}, "default": 0.2}}
    options = {"data": str(tasks), "model": calm, "objective": EDM, "coefficients": given, "method": "full"}
    config = recipe(**options, max_steps=2, evaluate_every=2, batch_size=20)
    rows = trained(config)
    assert [row["coefficients"] for row in rows] == [
        {"alpha.qa": pytest.approx(value), "alpha.default": 0.2, "ce": 1.0} for value in (0, 0.1)
    ]
    for row in [*rows, *(row for row in metrics(config.out) if row["split"] == "validation")]:
        groups = row["groups"]
        assert set(groups) == {"qa", "default"}
        tokens = [group["tokens"] for group in groups.values()]
        assert min(tokens) > 0
        assert sum(tokens) == row["supervised_tokens"]
        for name in ("entropy", "nll"):
            total = sum(group["tokens"] * group[name] for group in groups.values())
            assert total / sum(tokens) == pytest.approx(row[name], rel=1e-6)
    record = json.loads((Path(config.out) / "run.json").read_text())["data"]["groups"]
    assert record["columns"] == ["task"]
    assert sum(group["examples"] for group in record["counts"].values()) == 24
    split = trained(recipe("split", **options, max_steps=2, evaluate_every=2, batch_size=5, accumulation=4))
    for row, other in zip(split, rows, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert row["groups"]["qa"] == pytest.approx(other["groups"]["qa"], rel=1e-4)


def test_one_value_in_all_branches_is_a_number(recipe: Recipe, tasks: Path) -> None:
    options = {"data": str(tasks), "method": "full", "max_steps": 2, "lora_dropout": 0.0}
    by_task = {"alpha": {"by": "task", "qa": 0.1, "story": 0.1}}
    found = recipe("by", objective=EDM, coefficients=by_task, **options)
    plain = recipe("plain", objective="ce - 0.1*entropy", **options)
    for row, other in zip(trained(found), trained(plain), strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-6)


def test_several_answers_of_a_row_share_its_task(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    rows = [{"prompt": f"{i}: ", "answers": ["yes", "no", "so"], "task": task_of(i)} for i in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = recipe(data=str(path), objective=EDM, coefficients=BY_TASK, validation=1, max_answers=2)
    counts = plan_training(config, describe_model(config.model))["data"]["groups"]["counts"]
    assert {label: group["examples"] for label, group in counts.items()} == {"qa": 12, "story": 6}


class StopAt(TrainerCallback):
    """Ends a run in the middle of a step's callbacks."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("objective", "coefficients"),
    [
        (EDM, {"alpha": {"by": "task", "qa": {"target_entropy": 5.5, "start": 0.1}, "story": {"cosine": [0.2, 0]}}}),
        ("a*ce + b*z_loss", {"a": {"balanced": "mgda", "every": 2, "tokens": 30}, "b": "balanced"}),
    ],
    ids=["by a column", "balanced"],
)
def test_a_stopped_run_goes_on_exactly(
    recipe: Recipe, tasks: Path, objective: str, coefficients: Mapping[str, Any]
) -> None:
    """Logs and measurements do not fall together with the checkpoint."""
    options = {
        "data": str(tasks),
        "objective": objective,
        "coefficients": coefficients,
        "save_every": 3,
        "log_every": 2,
        "evaluate_every": 4,
        "max_steps": 6,
    }
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    rows = trained(whole)
    moving = "alpha.qa" if objective == EDM else "a"
    assert len({row["coefficients"][moving] for row in rows}) == len(rows) == 3
    with pytest.raises(KeyboardInterrupt):
        run_training(stopped, callbacks=[StopAt(5)])
    run_training(stopped.replace(resume=True))
    assert metrics(stopped.out) == metrics(whole.out)
    found, expected = (weights(Path(config.out) / "model") for config in (stopped, whole))
    assert all((found[name] == value).all() for name, value in expected.items())


def test_other_tasks_are_another_run(recipe: Recipe, tasks: Path) -> None:
    config = recipe(data=str(tasks), objective=EDM, coefficients=BY_TASK, max_steps=4, save_every=2)
    with pytest.raises(KeyboardInterrupt):
        run_training(config, callbacks=[StopAt(3)])
    tasks.write_text(tasks.read_text().replace('"task": "story"', '"task": "qa"', 1))
    with pytest.raises(UserError, match=r"the column task of .*tasks.jsonl, by which coefficients go, changed since"):
        run_training(config.replace(resume=True))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "poem"}, r"tasks.jsonl:3: task is 'poem', and coefficients.alpha has values for qa, story"),
        ({"task": None}, r"tasks.jsonl:3: the row has no task, by which coefficients.alpha goes"),
        ({"task": {"name": "qa"}}, r"tasks.jsonl:3: task is a dict, but coefficients go by it"),
    ],
)
def test_a_row_without_a_coefficient_is_named(recipe: Recipe, tasks: Path, change: dict[str, Any], says: str) -> None:
    lines = tasks.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | change)
    tasks.write_text("\n".join(lines) + "\n")
    config = recipe(data=str(tasks), objective=EDM, coefficients=BY_TASK)
    with pytest.raises(UserError, match=says):
        plan_training(config, describe_model(config.model))


def test_a_column_that_is_not_there(recipe: Recipe, tasks: Path, data: Path) -> None:
    given = {"alpha": {"by": "kind", "default": 0.1}}
    for path, there in ((tasks, "beside what is trained on they have task"), (data, "they have no other column")):
        config = recipe(data=str(path), objective=EDM, coefficients=given)
        with pytest.raises(UserError, match=f"by the column 'kind', which no row of .* has; {there}"):
            plan_training(config, describe_model(config.model))


def test_a_branch_that_no_row_has_is_told(recipe: Recipe, tasks: Path) -> None:
    given = {"alpha": {"by": "task", "storry": 0.1, "default": 0}}
    config = recipe(data=str(tasks), objective=EDM, coefficients=given)
    told = r"a value for task 'storry', which no row has; the rows have qa \(16\), story \(8\)"
    with pytest.warns(UserWarning, match=told):
        plan_training(config, describe_model(config.model))


def test_rows_of_the_trainer_need_the_column(tmp_path: Path) -> None:
    bare = [{k: v for k, v in row.items() if k != "task"} for row in rows_of(6)]
    with pytest.raises(UserError, match="'task', which the train dataset has not; it has"):
        trainer_of(tmp_path, rows=bare)
    with pytest.raises(UserError, match="row 2 of the train dataset: task is 'poem'"):
        trainer_of(tmp_path, rows=[rows_of()[0], rows_of()[1] | {"task": "poem"}])


def test_rows_that_are_not_prepared_are_refused(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, held=Dataset.from_list(rows_of(6)))
    assert trainer.evaluate()["eval_group/qa/tokens"] > 0
    bare = [{"input_ids": [3, 4, 5], "labels": [3, 4, 5]}]
    with pytest.raises(UserError, match="'task', which the eval dataset has not; it has input_ids, labels"):
        trainer.evaluate(Dataset.from_list(bare))
    with pytest.raises(UserError, match="packing needs a max_length"):
        trainer_of(tmp_path, packing=True)
    trainer = trainer_of(tmp_path, rows=bare, dataset_kwargs={"skip_prepare_dataset": True})
    with pytest.raises(UserError, match="let the trainer prepare the data set"):
        trainer.train()


@pytest.mark.parametrize("column", ["labels", "id"])
def test_columns_of_token_sequences_tell_no_rows_apart(recipe: Recipe, tasks: Path, column: str) -> None:
    config = recipe(data=str(tasks), objective=EDM, coefficients={"alpha": {"by": column, "default": 1e-2}})
    with pytest.raises(UserError, match=f"coefficients go by {column}, which is no column of the data"):
        plan_training(config, describe_model(config.model))
