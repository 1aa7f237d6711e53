"""The study: which settings were tried, kept by Optuna in sqlite so that a kill at any moment loses none."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from entrotune.errors import UserError
from entrotune.experiments.sweep_config import SweepConfig, better
from entrotune.experiments.sweeping.space import Dimension, grid

NAME = "entrotune-sweep"
# A third of the settings are drawn at random before TPE follows them, but no more than Optuna's default.
STARTUP_SHARE, STARTUP_MOST = 3, 10
BUSY_SECONDS = 60


class SweepStudy:
    """An Optuna study in `sweep.db` that asks for settings in an order that a resumed sweep repeats.

    The sampler is seeded anew for each trial by the sweep's seed and the trial's number, so that a setting depends on
    these and on the trials that were over before it, not on how often the sweep was started.

    Args:
        path: the sqlite file.
        config: of the sweep.

    Raises:
        UserError: the file is no study, or one with another space.
    """

    def __init__(self, path: Path, config: SweepConfig) -> None:
        self.config = config
        self.space = config.space
        self.points = list(grid(self.space)) if config.method == "grid" else []
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        aims = (config.quality, config.diversity)
        directions = [StudyDirection.MAXIMIZE if better(aim) > 0 else StudyDirection.MINIMIZE for aim in aims]
        try:
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}}
            )
            self.study = optuna.create_study(
                storage=storage, study_name=NAME, directions=directions, load_if_exists=True
            )
        except Exception as error:  # sqlalchemy, alembic and optuna each have their own
            told = str(error).splitlines()[0]
            raise UserError(f"{path} cannot be read as a study ({told}); restore it, or use --overwrite") from error
        self._check_space(path)

    def _check_space(self, path: Path) -> None:
        now = {dimension.name: dimension.to_dict() for dimension in self.space}
        then = self.study.user_attrs.get("space")
        if then is None:
            self.study.set_user_attr("space", now)
            return
        if differences := differing(then, now):
            raise UserError(f"{path} is a study of another search space ({differences}); use it, or another folder")

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that have a setting, in order."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    @property
    def left(self) -> int:
        """How many settings are still to be asked for."""
        return max(0, self.config.number - len(self.trials))

    def begun(self) -> list[int]:
        """Numbers of the trials that were begun and are not over, as after a kill."""
        return [trial.number for trial in self.trials if trial.state == TrialState.RUNNING]

    def ask(self) -> int:
        """Begin the next trial; return its number."""
        number = len(self.trials)
        self.study.sampler = self._sampler(number)
        # A kill may have come between giving a point and asking for it.
        if self.points and not self.study.get_trials(states=(TrialState.WAITING,)):
            point = zip(self.space, self.points[number].values(), strict=True)
            self.study.enqueue_trial({dimension.name: _choice(value) for dimension, value in point})
        self._suggest(self.study.ask())
        return number

    def point(self, number: int) -> dict[str, Any]:
        """The setting of a trial; completed where a kill came between two of its values."""
        frozen = self.trials[number]
        params = dict(frozen.params)
        if len(params) < len(self.space):
            self.study.sampler = self._sampler(number)
            params = self._suggest(optuna.trial.Trial(self.study, frozen._trial_id))
        return {dimension.name: _value(dimension, params[dimension.name]) for dimension in self.space}

    def tell(self, number: int, state: str, values: Sequence[float] | None) -> None:
        """Say what came of a trial; nothing where it was said before.

        What failed, or has no value on the prompts that the search looks at, is told as pruned: TPE takes a pruned
        trial for a bad one and forgets a failed one, so that it would try the same again.
        """
        found = values if state == "complete" else None
        told = TrialState.PRUNED if found is None else TrialState.COMPLETE
        self.study.tell(number, found, told, skip_if_finished=True)

    def _suggest(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return {dimension.name: _suggested(trial, dimension) for dimension in self.space}

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = (self.config.sampling_seed * 1_000_003 + number) % 2**32
        if self.config.method == "optuna":
            startup = min(STARTUP_MOST, max(1, self.config.number // STARTUP_SHARE))
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
        return optuna.samplers.RandomSampler(seed=seed)


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two mappings, in words."""
    return "; ".join(
        f"{name}: {_told(then, name)} before, {_told(now, name)} now"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    )


def _told(mapping: Mapping[str, Any], name: str) -> str:
    if name not in mapping:
        return "nothing"
    value = mapping[name]
    if isinstance(value, Mapping) and "numeric" in value:  # a dimension of a record
        value = value.get("values") or {key: value[key] for key in ("low", "high", "log", "int")}
    return json.dumps(value)


def _suggested(trial: optuna.trial.Trial, dimension: Dimension) -> Any:
    if dimension.values:
        return trial.suggest_categorical(dimension.name, [_choice(value) for value in dimension.values])
    if dimension.whole:
        return trial.suggest_int(dimension.name, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(dimension.name, dimension.low, dimension.high, log=dimension.log)


def _choice(value: Any) -> Any:
    """A value as Optuna takes it: what is no scalar goes as JSON."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value, sort_keys=True)


def _value(dimension: Dimension, choice: Any) -> Any:
    if not dimension.values:
        return choice
    return next(
        value for value in dimension.values if _choice(value) == choice and type(_choice(value)) is type(choice)
    )
