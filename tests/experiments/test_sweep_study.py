"""The study: an order of settings that stops and starts do not change."""

import os
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from transformers import TrainerControl, TrainerState, TrainingArguments

from entrotune import SweepConfig, TrainConfig
from entrotune.errors import UserError
from entrotune.experiments.sweeping.pruning import PrunedRunError, StopBadRun
from entrotune.experiments.sweeping.study import SweepStudy
from entrotune.experiments.sweeping.trial import Trial
from entrotune.experiments.sweeping.workers import outcome_of_worker, share_of

RANGES = {"alpha": {"low": 0.01, "high": 0.3, "log": True}, "epochs": {"low": 1, "high": 3, "int": True}}
LISTS = {"alpha": [0, 0.03, {"linear": [0, 0.1]}], "packing": [True, False]}


def config(method: str, search: dict[str, Any], **changes: Any) -> SweepConfig:
    train = TrainConfig(data="rows.jsonl")
    return SweepConfig(train=train, objective="ce - alpha*entropy", method=method, search=search, **changes)  # type: ignore[arg-type]


def walk(path: Path, aim: SweepConfig, *, reopen: bool) -> list[dict[str, Any]]:
    """All points in order; with `reopen` by a new study for one trial, before and after its outcome is told."""
    study = SweepStudy(path, aim)
    points = []
    while study.left:
        number = study.ask()
        study = SweepStudy(path, aim) if reopen and number == 2 else study
        assert study.begun() == [number]
        points.append(study.point(number))
        state = {3: "pruned", 4: "failed"}.get(number, "complete")
        study.tell(number, state, [float(number % 3), 0.1 * number])
        study.tell(number, state, [9.0, 9.0])  # said before
        assert study.begun() == []
        study = SweepStudy(path, aim) if reopen and number == 2 else study
    assert study.trials[0].values == [0.0, 0.0]
    return points


@pytest.mark.parametrize(("method", "search", "number"), [("grid", LISTS, 6), ("optuna", RANGES, 6)])
def test_stops_change_nothing(tmp_path: Path, method: str, search: dict[str, Any], number: int) -> None:
    aim = config(method, search, trials=number)
    points = walk(tmp_path / "one.db", aim, reopen=False)
    assert walk(tmp_path / "two.db", aim, reopen=True) == points
    assert len(points) == number
    if method == "grid":
        assert points[0] == {"alpha": 0, "packing": True}
        assert points[-1] == {"alpha": {"linear": [0, 0.1]}, "packing": False}
    else:
        assert all(0.01 <= point["alpha"] <= 0.3 and point["epochs"] in (1, 2, 3) for point in points)
        assert len({point["alpha"] for point in points}) == number


def test_a_kill_between_a_point_and_its_trial_or_between_two_values(tmp_path: Path) -> None:
    path, aim = tmp_path / "sweep.db", config("grid", LISTS)
    study = SweepStudy(path, aim)
    study.ask()
    # Given to the study, but not asked for.
    study.study.enqueue_trial({"alpha": 0, "packing": False})
    study = SweepStudy(path, aim)
    assert len(study.trials) == 1
    assert study.ask() == 1
    assert study.point(1) == {"alpha": 0, "packing": False}
    assert study.ask() == 2
    assert study.point(2) == {"alpha": 0.03, "packing": True}
    # Asked for, but with only one of its values.
    path, aim = tmp_path / "other.db", config("random", RANGES, trials=2)
    whole = SweepStudy(tmp_path / "whole.db", aim)
    whole.ask()
    study = SweepStudy(path, aim)
    study.study.sampler = study._sampler(0)
    study.study.ask().suggest_float("alpha", 0.01, 0.3, log=True)
    point = SweepStudy(path, aim).point(0)
    assert point["alpha"] == whole.point(0)["alpha"]
    assert SweepStudy(path, aim).point(0) == point
    assert point["epochs"] in (1, 2, 3)


def test_a_setting_without_a_value_counts_as_bad_for_the_search(tmp_path: Path) -> None:
    study = SweepStudy(tmp_path / "sweep.db", config("grid", LISTS))
    study.tell(study.ask(), "complete", None)
    assert study.trials[0].state == TrialState.PRUNED


def test_the_search_keeps_away_from_settings_that_fail(tmp_path: Path) -> None:
    """Half of the range fails; of the rest no setting is better than another in both measures."""
    search = {"alpha": {"low": 0.0, "high": 1.0}}
    study = SweepStudy(tmp_path / "sweep.db", config("optuna", search, trials=40))
    failed = []
    while study.left:
        number = study.ask()
        alpha = study.point(number)["alpha"]
        failed.append(alpha > 0.5)
        study.tell(number, "failed" if failed[-1] else "complete", None if failed[-1] else [alpha, alpha])
    assert sum(failed[10:]) <= 8  # 4; told as failed 25


def test_more_trials_go_on_with_the_same_study(tmp_path: Path) -> None:
    path = tmp_path / "sweep.db"
    first = walk(path, config("random", RANGES, trials=3), reopen=False)
    study = SweepStudy(path, config("random", RANGES, trials=5))
    assert study.left == 2
    assert [study.point(number) for number in range(3)] == first


def at(epoch: float, step: int) -> TrainerState:
    return TrainerState(epoch=epoch, global_step=step, max_steps=10)


def test_the_rule_of_pruning(tmp_path: Path) -> None:
    curves = [{1.0: 2.0}, {1.0: 2.1}, {1.0: 2.2}, {1.0: 3.0}, {2.0: 1.0}]
    watch = StopBadRun(curves, after=4)
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True)

    def told(nll: float, state: TrainerState) -> None:
        watch.on_evaluate(arguments, state, TrainerControl(), metrics={"eval_nll": nll})

    told(2.4, at(1.0, 5))  # the upper quartile of the four is 2.4
    told(9.0, at(2.0, 8))  # only one has been there
    told(9.0, at(1.0, 10))  # the last step: nothing is left to be saved
    told(9.0, at(0.0, 0))  # nothing is learnt yet
    with pytest.raises(PrunedRunError, match=r"at epoch 1 its validation NLL is 2.41, above 2.4, .* 4 finished"):
        told(2.41, at(1.0, 5))


def test_a_worker_that_was_killed_is_a_failed_trial_and_a_full_disk_stops_all(tmp_path: Path) -> None:
    trial = Trial(3, {"alpha": 0.1}, tmp_path)
    (tmp_path / "log.txt").write_text("loading\nthe model could not be written (no space); make room\n")
    with pytest.raises(UserError, match=r"trial 3: alpha = 0.1 stopped, and so would others: the model could not be"):
        outcome_of_worker(trial, 2)
    outcome = outcome_of_worker(trial, -9)
    assert outcome["state"] == "failed"
    assert "ended by signal 9, as where memory runs out" in outcome["reason"]
    assert trial.outcome() == outcome
    with pytest.raises(UserError, match="is of another setting"):
        Trial(3, {"alpha": 0.2}, tmp_path).outcome()


def test_workers_share_cores_and_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    cores = len(os.sched_getaffinity(0))
    assert int(share_of(0, 1)["OMP_NUM_THREADS"]) == cores
    assert share_of(0, 10 * cores)["OMP_NUM_THREADS"] == "1"
    assert [share_of(slot, 3)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["4", "7", "4"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert share_of(0, 1)["OMP_NUM_THREADS"] == "1"
