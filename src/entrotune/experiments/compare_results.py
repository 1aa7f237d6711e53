"""What came of a comparison's variants, before it becomes a record: runs, and measurements for each seed."""

from dataclasses import dataclass, field
from typing import Any

from entrotune.evaluation import SettingRecord
from entrotune.experiments.compare_epochs import EpochRecord
from entrotune.experiments.compare_variants import Plan
from entrotune.experiments.seeds import each_over_seeds, over_seeds
from entrotune.training import RunFolder


@dataclass(frozen=True)
class FinishedRun:
    """One trained variant and seed, and what was measured at the ends of its epochs."""

    variant: str
    seed: int
    folder: RunFolder
    record: dict[str, Any]
    epochs: list[EpochRecord] = field(default_factory=list)


@dataclass(frozen=True)
class Untrained:
    """A variant that could not be trained: with which seed it ended, and why."""

    plan: Plan
    seed: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As it stands in `comparison.json`."""
        plan = self.plan
        return {
            "name": plan.name,
            "objective": plan.objective,
            "differs": dict(plan.differs),
            "seed": self.seed,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Measured:
    """What was measured of one model: a record a temperature, and what it kept of its other abilities."""

    settings: list[SettingRecord]
    retention: SettingRecord | None = None


@dataclass(frozen=True)
class Variant:
    """One thing compared: the untouched model, or a variant with what was measured for each seed.

    Attributes:
        name: `base` for the untouched model.
        plan: what it was made by; None for the untouched model.
        runs: of a trained variant, one a seed.
        by_seed: of each seed; of the untouched model once.
    """

    name: str
    plan: Plan | None
    runs: list[FinishedRun]
    by_seed: list[Measured]

    @property
    def settings(self) -> list[SettingRecord]:
        """One record a temperature; values of several seeds are averaged for each prompt."""
        return each_over_seeds([one.settings for one in self.by_seed])

    @property
    def retention(self) -> list[SettingRecord]:
        """What was kept of other abilities, for each seed; empty where it was not measured."""
        return [one.retention for one in self.by_seed if one.retention is not None]

    @property
    def epochs(self) -> list[EpochRecord]:
        """One record an epoch that every seed came to, its values averaged likewise."""
        by_epoch = [{one.epoch: one for one in run.epochs} for run in self.runs]
        return [
            EpochRecord(epoch, first.step, over_seeds([found[epoch].setting for found in by_epoch]))
            for epoch, first in (by_epoch[0] if by_epoch else {}).items()
            if all(epoch in found for found in by_epoch)
        ]
