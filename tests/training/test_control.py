"""Schedules and controllers in training: their values at each step, on disk, over a resume and on a small model."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import command_here
from entrotune.errors import UserError
from entrotune.training import TrainConfig, run_training
from stopped_runs import metrics, run_stopped, weights
from tiny import byte_tokenizer, tiny_llama

Recipe = Callable[..., TrainConfig]
# 20 rows in one batch, so that what moves the entropy is the model and not the choice of rows.
WHOLE: dict[str, Any] = {"batch_size": 20, "method": "full", "objective": "ce - alpha*entropy", "lora_dropout": 0.0}


@pytest.fixture
def calm(tmp_path: Path) -> str:
    """A tiny model without dropout."""
    tiny_llama().save_pretrained(tmp_path / "calm")
    byte_tokenizer(template=None).save_pretrained(tmp_path / "calm")
    return str(tmp_path / "calm")


def trained(config: TrainConfig) -> list[dict[str, Any]]:
    """The training rows of a run's metrics."""
    run_training(config)
    return [row for row in metrics(config.out) if row["split"] == "train"]


def test_a_schedule_goes_by_optimiser_steps(recipe: Recipe) -> None:
    config = recipe(
        objective="ce - 2*alpha*entropy + beta*z_loss",
        coefficients={"alpha": {"linear": [0, 0.4]}, "beta": {"step": {0: 0.01, 3: 0}}},
        accumulation=2,
        max_steps=5,
    )
    found = [row["coefficients"] for row in trained(config)]
    assert [row["alpha"] for row in found] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [row["entropy"] for row in found] == pytest.approx([0, -0.2, -0.4, -0.6, -0.8])
    assert [row["z_loss"] for row in found] == [0.01, 0.01, 0.01, 0, 0]


def test_a_schedule_by_epochs(recipe: Recipe) -> None:
    given = {"alpha": {"linear": [0.1, 0.3], "per": "epoch"}}
    rows = trained(recipe(objective="ce - alpha*entropy", coefficients=given, epochs=3))
    found = [row["coefficients"]["alpha"] for row in rows]
    assert found == pytest.approx([0.1] * 5 + [0.2] * 5 + [0.3] * 5)


def test_a_constant_name_is_the_number(recipe: Recipe) -> None:
    named = recipe("named", objective="ce - alpha*entropy", coefficients={"alpha": 0.1})
    plain = recipe("plain", objective="ce - 0.1*entropy")
    rows = [trained(config) for config in (named, plain)]
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]
    found, expected = (weights(Path(config.out) / "model") for config in (named, plain))
    assert all((found[name] == value).all() for name, value in expected.items())


def test_the_controller_reaches_and_holds_its_target(recipe: Recipe, calm: str) -> None:
    target = 1.0
    options = WHOLE | {"model": calm, "learning_rate": 2e-3, "schedule": "constant", "max_steps": 300}
    rows = trained(recipe(coefficients={"alpha": {"target_entropy": target}}, **options, evaluate_every=300))
    alphas = [row["coefficients"]["alpha"] for row in rows]
    assert alphas[0] == 0.0
    assert all(0 <= alpha <= 1 for alpha in alphas)
    last = [row["entropy"] for row in rows[-100:]]
    assert abs(sum(last) / len(last) - target) < 0.05 * target
    # Without it the entropy is far below by then.
    plain = trained(recipe("plain", coefficients={"alpha": 0}, **options, evaluate_every=300))
    assert plain[-1]["entropy"] < 0.5 * target


def test_the_controller_sees_the_whole_step(recipe: Recipe, calm: str) -> None:
    """However a batch is split, the mean entropy of its tokens is the same, and so is what follows from it."""
    given = {"alpha": {"target_entropy": 5.0, "gain": 0.1}}
    options = WHOLE | {"model": calm, "coefficients": given, "max_steps": 4}
    whole = trained(recipe("whole", **options))
    split = trained(recipe("split", **(options | {"batch_size": 5, "accumulation": 4})))
    found, expected = ([row["coefficients"]["alpha"] for row in rows] for rows in (split, whole))
    assert found == pytest.approx(expected, rel=1e-4)
    # By hand from the logged entropies: integral + 0.1 e + 0.05 e, within 0 and 1.
    integral = 0.0
    for row, after in zip(whole, expected[1:], strict=False):
        error = 5.0 - row["entropy"]
        assert after == pytest.approx(min(max(integral + 0.15 * error, 0.0), 1.0), abs=1e-6)
        integral = min(max(integral + 0.1 * error, 0.0), 1.0)
    assert expected[0] == 0.0


def test_a_killed_run_resumes_its_controller_exactly(recipe: Recipe, tmp_path: Path) -> None:
    options = {
        "objective": "ce - alpha*entropy + beta*z_loss",
        "coefficients": {"alpha": {"target_entropy": 5.6, "start": 0.1}, "beta": {"cosine": [0.01, 0], "warmup": 2}},
        "save_every": 3,
        "log_every": 1,
        "epochs": 2.4,
    }
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    rows = trained(whole)
    assert len({row["coefficients"]["alpha"] for row in rows}) > 8
    assert run_stopped(stopped, "kill", 8, tmp_path)[0] == -signal.SIGKILL
    run_training(stopped.replace(resume=True))
    assert metrics(stopped.out) == metrics(whole.out)
    found, expected = (weights(Path(config.out) / "model") for config in (stopped, whole))
    assert all((found[name] == value).all() for name, value in expected.items())


def test_where_entropy_wins_the_user_is_warned(recipe: Recipe) -> None:
    with pytest.warns(UserWarning, match="keep the weight of entropy below 1"):
        run_training(recipe(objective="ce - 1.5*entropy", max_steps=1))


def test_where_entropy_wins_a_run_stops_on_request(recipe: Recipe) -> None:
    config = recipe(
        objective="ce - alpha*entropy",
        coefficients={"alpha": {"linear": [0, 3]}},
        when_entropy_wins="stop",
    )
    with pytest.raises(
        UserError, match=r"keep the weight of entropy below 1 \(stopped, as when_entropy_wins is stop\)"
    ):
        run_training(config)
    record = json.loads((Path(config.out) / "run.json").read_text())
    assert record["status"] == "failed"
    assert "entropy wins" in record["error"]


def test_predictions_that_become_uniform_stop_the_run(recipe: Recipe, calm: str) -> None:
    """The objective itself may be sound: here a step in alpha comes too late to be learnt from."""
    options = WHOLE | {"model": calm, "learning_rate": 1e-2, "schedule": "constant", "max_steps": 120}
    given = {"alpha": {"step": {0: 0, 40: 0.99}}}
    config = recipe(coefficients=given, when_entropy_wins="stop", **options, evaluate_every=120)
    with pytest.raises(UserError, match="predictions are nearly uniform") as caught:
        run_training(config)
    step = int(str(caught.value).split("at step ")[1].split()[0])
    assert 40 < step < 120
    last = [row for row in metrics(config.out) if row["split"] == "train"][-1]
    assert last["entropy"] < math.log(300)


def test_a_target_beyond_the_vocabulary_is_refused(recipe: Recipe) -> None:
    config = recipe(objective="ce - alpha*entropy", coefficients={"alpha": {"target_entropy": 20}})
    with pytest.raises(UserError, match="target_entropy is 20 nats, but predictions over"):
        run_training(config)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "the coefficient alpha of the objective ce - alpha*entropy has no value"),
        (["--coefficients", '{"alpha": 0.1, "beta": 1}'], "names 'beta', which is no coefficient"),
        (
            ["--coefficients", '{"alpha": {"linear": [0.2]}}'],
            "coefficients.alpha: linear is [0.2]; expected two numbers",
        ),
        (["--coefficients", '{"alpha": {"target_entropy": -2}}'], "target_entropy is -2; expected nats above 0"),
        (["--coefficients", "0.1"], "--coefficients: expected a mapping"),
    ],
)
def test_the_command_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], data: Path, base: Path, given: list[str], says: str
) -> None:
    line = ["train", "--data", str(data), "--model", str(base), "--objective", "ce - alpha*entropy", *given]
    ended = command_here(capsys, *line)
    assert ended.code == 2
    assert says in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_the_command_takes_coefficients(capsys: pytest.CaptureFixture[str], data: Path, base: Path) -> None:
    line = [
        "train",
        "--data",
        str(data),
        "--model",
        str(base),
        "--objective",
        "ce - alpha*entropy",
        "--max-length",
        "64",
    ]
    ended = command_here(capsys, *line, "--dry-run", "--coefficients", '{"alpha": {"linear": [0.0, 0.2]}}')
    assert ended.code == 0, ended.err
