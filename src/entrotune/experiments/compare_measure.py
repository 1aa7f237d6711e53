"""How each model of a comparison is measured: the same way, whatever it was trained with."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.evaluation import HeldOut, SettingRecord, measure
from entrotune.evaluation.distribution import RetentionRows
from entrotune.experiments.compare_config import CompareConfig
from entrotune.experiments.compare_epochs import EpochRecord, measure_epochs
from entrotune.experiments.compare_results import FinishedRun, Measured, Variant
from entrotune.experiments.compare_retention import measure_retained
from entrotune.experiments.compare_variants import UNTOUCHED, Plan
from entrotune.models import interpolate_into, load_model, resolve_model, without_adapter


@dataclass
class Measuring:
    """Measures models on the held-out rows and prompts that all variants share.

    Attributes:
        config: of the comparison.
        held: rows to score and prompts to sample from.
        base: the untouched model, also the judge.
        tokenizer: of the model.
        display: where progress is shown.
        retained: rows outside of the task.
    """

    config: CompareConfig
    held: HeldOut
    base: Any
    tokenizer: Any
    display: Progress | None
    retained: RetentionRows | None = None
    fingerprint: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.fingerprint = resolve_model(self.config.train.model).fingerprint

    def model(self, model: Any, folder: Path, fingerprint: str | None) -> Measured:
        """Measure a model at every temperature; samples are kept in `folder`, and reused where `fingerprint` is."""
        settings = self._settings(model, folder, fingerprint, self.config.temperatures)
        if self.retained is None:
            return Measured(settings)
        kept = measure_retained(
            model,
            self.tokenizer,
            self.retained,
            base=self.base,
            folder=folder,
            fingerprint=fingerprint,
            progress=self.display,
        )
        return Measured(settings, kept)

    def untouched(self) -> Variant:
        """The untouched model, as a variant."""
        folder = Path(self.config.out) / UNTOUCHED
        return Variant(UNTOUCHED, None, [], [self.model(self.base, folder, self.fingerprint)])

    def load(self, name: str | Path, **more: Any) -> Any:
        """A model, in the precision that is measured in."""
        return load_model(name, dtype=self.config.dtype, **more)[0]

    def trained(self, plan: Plan, runs: list[FinishedRun]) -> Variant:
        """A trained variant: the model of each of its runs."""
        found = []
        for run in runs:
            model = self.load(run.folder.path)
            found.append(self.model(model, run.folder.path, resolve_model(run.folder.path).fingerprint))
        return Variant(plan.name, plan, runs, found)

    def also_at(self, variant: Variant, temperatures: Sequence[float]) -> Variant:
        """A trained variant, measured at more temperatures."""
        found = []
        for run, measured in zip(variant.runs, variant.by_seed, strict=True):
            model = self.load(run.folder.path)
            fingerprint = resolve_model(run.folder.path).fingerprint
            more = self._settings(model, run.folder.path, fingerprint, temperatures)
            found.append(replace(measured, settings=sorted([*measured.settings, *more], key=_temperature)))
        return replace(variant, by_seed=found)

    def merged(self, plan: Plan, runs: list[FinishedRun]) -> Variant:
        """A merged variant: the start and the model of each of its source's runs."""
        assert plan.interpolate is not None
        # Weights are merged before they are rounded to the precision that is measured in.
        start = self.base if self.config.dtype == "float32" else load_model(self.config.train.model)[0]
        found = []
        for run in runs:
            adapted, _ = load_model(run.folder.path)
            model = without_adapter(adapted)
            interpolate_into(model, start, plan.interpolate)
            if model.dtype != self.base.dtype:  # loaded so, as `to` would round the angles of positions too
                whole, model = model, without_adapter(self.load(run.folder.path))
                model.load_state_dict(whole.state_dict())
            tuned = resolve_model(run.folder.path).fingerprint
            made_of = f"{plan.interpolate!r} of {tuned} and {self.fingerprint}"
            folder = Path(self.config.folder(plan, run.seed))
            found.append(self.model(model, folder, hashlib.sha256(made_of.encode()).hexdigest()))
        return Variant(plan.name, plan, [], found)

    def epochs(self, run: FinishedRun) -> list[EpochRecord]:
        """Measure samples at the ends of the epochs that the recipe names; nothing where it names none."""
        wanted = self.config.measure_at
        if wanted is None:
            return []

        def samples_of(checkpoint: Path, path: Path) -> SettingRecord:
            lora = (checkpoint / "adapter_config.json").exists()
            found = (self.config.train.model, checkpoint) if lora else (checkpoint, None)
            model = self.load(found[0], adapter=found[1])
            temperature = self.config.reference_temperature
            return measure(
                model,
                self.tokenizer,
                prompts=self.held.prompts,
                temperatures=[temperature],
                path=path,
                made_by={"model": resolve_model(checkpoint).fingerprint},
                **self._sampling(),
            )[0]

        keep = self.config.train.keep_checkpoints
        return measure_epochs(run.folder, None if wanted == "epoch" else wanted, samples_of, keep=keep)

    def _settings(
        self, model: Any, folder: Path, fingerprint: str | None, temperatures: Sequence[float]
    ) -> list[SettingRecord]:
        return measure(
            model,
            self.tokenizer,
            examples=self.held.examples,
            prompts=self.held.prompts,
            groups=self.held.groups,
            temperatures=temperatures,
            judge=self.base if self.config.judge else None,
            path=folder / "samples.jsonl",
            made_by={"model": fingerprint},
            **self._sampling(),
        )

    def _sampling(self) -> dict[str, Any]:
        return {
            "samples": self.config.samples,
            "max_new_tokens": self.config.max_new_tokens,
            "seed": self.config.sampling_seed,
            "batch_size": self.config.sampling_batch,
            "progress": self.display,
        }


def _temperature(setting: SettingRecord) -> float:
    return setting.temperature
