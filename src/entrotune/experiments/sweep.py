"""`entrotune sweep`: search settings for quality and diversity, beside plain cross-entropy at every temperature."""

import json
import time
import warnings
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.experiments.display import say, showing
from entrotune.experiments.folders import opened_alone, study_in
from entrotune.experiments.rows_told import rows_to_know
from entrotune.experiments.sweep_config import BASELINE, NOT_PART_OF_THE_SWEEP, SweepConfig
from entrotune.experiments.sweeping.choice import Finished, search_values
from entrotune.experiments.sweeping.measuring import Bench
from entrotune.experiments.sweeping.plan import check_settings, plan_sweep
from entrotune.experiments.sweeping.record import TriedSetting, sweep_record
from entrotune.experiments.sweeping.study import SweepStudy, differing
from entrotune.experiments.sweeping.trial import Trial, run_trial
from entrotune.experiments.sweeping.workers import Here, Workers
from entrotune.files import atomic_write_json
from entrotune.models import resolve_model
from entrotune.reports import write_sweep_report
from entrotune.training.config import NOT_PART_OF_THE_RUN


def sweep(
    config: SweepConfig | None = None, *, dry_run: bool = False, progress: Progress | bool = True, **options: Any
) -> dict[str, Any]:
    """Try settings, measure each over temperatures, and write `sweep.json` and `report.html`.

    Args:
        config: the recipe; or its fields as keyword arguments.
        dry_run: load no weights and write nothing; return what would be done.
        progress: show a display, or the display to use.
        **options: fields of `SweepConfig`.

    Returns:
        The content of `sweep.json`; with `dry_run`, the plan.

    Raises:
        ValueError: input that cannot be used; the message says what to do.
    """
    config = config.replace(**options) if config is not None else SweepConfig(**options)
    began = time.monotonic()
    folder = Path(config.out)
    if not dry_run:
        _check_folder(folder, config)
    # All input is read before anything is written, replaced or trained.
    bench = Bench(config)
    if not bench.held.prompts:
        raise UserError(f"no held-out row of {config.train.data} has a prompt to sample from, so there is no diversity")
    for told in check_settings(config, bench.described):
        warnings.warn(told, UserWarning, stacklevel=2)
    if dry_run:
        return plan_sweep(config, bench)
    with opened_alone(folder, config.recipe(), overwrite=config.overwrite), showing(progress) as display:
        study = SweepStudy(folder / "sweep.db", config)
        _check_unchanged(study, bench)
        for line in rows_to_know(bench.data, "rejects.jsonl in the folder of each run"):
            say(display, line)
        search = _Search(config, folder, bench, study, display)
        search.measure_baselines()
        search.run()
        record = sweep_record(config, bench, search.base, search.ce, search.tried())
        record["seconds"] = round(time.monotonic() - began, 1)
        atomic_write_json(folder / "sweep.json", record)
        write_sweep_report(record, folder / "report.html")
    return record


class _Search:
    """A sweep that is under way."""

    def __init__(
        self, config: SweepConfig, folder: Path, bench: Bench, study: SweepStudy, display: Progress | None
    ) -> None:
        self.config = config
        self.folder = folder
        self.bench = bench
        self.study = study
        self.display = display
        self.plain = Trial(None, None, folder / BASELINE)
        self.outcomes: dict[int, dict[str, Any]] = {}
        self.first_of: dict[str, int | None] = {self._key(None): None}

    def measure_baselines(self) -> None:
        """The untouched model, which also shows whether the measures can be had, and plain `ce`."""
        untouched = self.bench.measure(self.config.train.model, self.folder / "base", self.display)
        self.base = Finished("base", "untouched model", [untouched])
        outcome = run_trial(self.config, self.plain, self.bench, finished=[], progress=self.display)
        if outcome["state"] != "complete":
            raise UserError(f"plain ce, which everything is compared with, could not be trained: {outcome['reason']}")
        self.ce = self._measured(self.plain, BASELINE)

    def run(self) -> None:
        """Try settings until there are as many as were asked for; those that a kill left first."""
        waiting = self.study.begun()
        total = max(self.config.number, len(self.study.trials))
        over = len(self.study.trials) - len(waiting)
        task = self.display.add_task("settings", total=total, completed=over) if self.display else None
        self._remember()
        with self._runner() as runner:
            while waiting or self.study.left or runner.busy:
                while runner.free and (waiting or self.study.left):
                    number = waiting.pop(0) if waiting else self.study.ask()
                    first = self.first_of.setdefault(self._key(number), number)
                    if first == number:
                        runner.start(self.trial(number))
                    elif first is None or first in self.outcomes:
                        self._repeat(number, first)
                    else:  # the same setting is being tried right now
                        waiting.append(number)
                        break
                if runner.busy:
                    trial, outcome = runner.wait()
                    self._over(trial, outcome)
                if self.display and task is not None:
                    done = sum(1 for one in self.study.trials if one.state.is_finished())
                    self.display.update(task, completed=done)

    def tried(self) -> list[TriedSetting]:
        """Every trial with its outcome, and what was measured where it is complete and not a repetition."""
        found = []
        for frozen in self.study.trials:
            trial = self.trial(frozen.number)
            first = self.first_of[self._key(frozen.number)]
            again = first != frozen.number
            outcome = self.outcomes[frozen.number]
            complete = outcome["state"] == "complete" and not again
            name = f"trial-{frozen.number}"
            measured = self._measured(trial, name) if complete else None
            found.append(TriedSetting(trial, outcome, again, first, measured))
        return found

    def trial(self, number: int) -> Trial:
        """A trial of the study."""
        return Trial(number, self.study.point(number), self.folder / "trials" / f"{number:04d}")

    def _runner(self) -> Here | Workers:
        if self.config.jobs > 1:
            return Workers(self.config, self._finished)
        return Here(
            lambda trial: run_trial(self.config, trial, self.bench, finished=self._finished(), progress=self.display)
        )

    def _finished(self) -> list[Trial]:
        """Settings whose validation curves are known, plain `ce` first."""
        done = [number for number, outcome in self.outcomes.items() if outcome["state"] == "complete"]
        return [self.plain, *(self.trial(n) for n in done if self.first_of[self._key(n)] == n)]

    def _remember(self) -> None:
        """What an earlier start brought to an end, said to the study where a kill came before that."""
        for frozen in self.study.trials:
            number = frozen.number
            first = self.first_of.setdefault(self._key(number), number)
            if first == number:
                outcome = self.trial(number).outcome()
                if outcome is not None:
                    self._keep(number, outcome)
            elif frozen.state.is_finished():
                self.outcomes[number] = self._outcome_of(first)

    def _over(self, trial: Trial, outcome: dict[str, Any]) -> None:
        assert trial.number is not None
        self._keep(trial.number, outcome)
        state = outcome["state"]
        told = f"{outcome['seconds']:.0f} s" if state == "complete" else outcome["reason"]
        say(self.display, f"{trial.label}: {state}, {told}")

    def _repeat(self, number: int, first: int | None) -> None:
        """A setting that was tried before is not run twice."""
        self._keep(number, self._outcome_of(first))
        like = "plain ce" if first is None else f"trial {first}"
        say(self.display, f"{self.trial(number).label}: the same as {like}, not run again")

    def _outcome_of(self, first: int | None) -> dict[str, Any]:
        outcome = self.plain.outcome() if first is None else self.outcomes[first]
        assert outcome is not None
        return outcome

    def _keep(self, number: int, outcome: dict[str, Any]) -> None:
        values = None
        if outcome["state"] == "complete":
            first = self.first_of[self._key(number)]
            trial = self.plain if first is None else self.trial(first)
            values = search_values(self.config, self.ce, self._measured(trial, str(number)))
        self.outcomes[number] = outcome
        self.study.tell(number, outcome["state"], values)

    def _measured(self, trial: Trial, name: str) -> Finished:
        """What was measured of a setting that is complete, read from its folder."""
        by_seed = [self.bench.read(run) for run in trial.runs(self.config.seeds)]
        return Finished(name, "ce" if trial.point is None else trial.label.partition(": ")[2], by_seed)

    def _key(self, number: int | None) -> str:
        """What a setting computes: equal for settings that are the same run."""
        point = None if number is None else self.study.point(number)
        return json.dumps(self.config.run(point, 0, "").to_dict(), sort_keys=True)


def _check_folder(folder: Path, config: SweepConfig) -> None:
    """See that the folder is free, or holds this sweep, or one that may be replaced."""
    before = study_in(folder, "sweep", "search", resume=config.resume, overwrite=config.overwrite)
    if before is not None and config.resume:
        _check_same(folder, before, config)


def _check_same(folder: Path, before: dict[str, Any], config: SweepConfig) -> None:
    now = config.recipe()
    if before.get("search") != now["search"]:
        told = differing(before.get("search") or {}, now["search"])
        raise UserError(f"{folder} holds a sweep of another search space ({told}); use it, or another folder")
    changed = {key: value for key, value in now.items() if key not in NOT_PART_OF_THE_SWEEP}
    then = before.get("train") or {}
    fields = {key: value for key, value in changed.pop("train").items() if key not in NOT_PART_OF_THE_RUN}
    told = differing({key: before.get(key) for key in changed}, changed)
    inner = differing({f"train.{k}": then.get(k) for k in fields}, {f"train.{k}": v for k, v in fields.items()})
    if told or inner:
        both = "; ".join(part for part in (told, inner) if part)
        raise UserError(f"{folder} holds a sweep with another recipe ({both}); use it, or another folder")


def _check_unchanged(study: SweepStudy, bench: Bench) -> None:
    """Refuse to go on with rows or a model that are not those the sweep began with."""
    train = bench.config.train
    now = {"data": bench.data["fingerprint"], "model": resolve_model(train.model).fingerprint}
    then = study.study.user_attrs
    for what, name in (("data", train.data), ("model", train.model)):
        if what in then and then[what] != now[what]:
            raise UserError(
                f"the {what} {name} changed since {bench.config.out} was begun; restore it, or use another folder"
            )
        study.study.set_user_attr(what, now[what])
