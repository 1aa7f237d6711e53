"""What every trial is measured on, and what was measured, kept beside each run."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.evaluation import Column, SettingRecord, measure
from entrotune.experiments.held_out_rows import held_out_rows
from entrotune.experiments.seeds import over_seeds
from entrotune.experiments.sweep_config import SweepConfig
from entrotune.files import atomic_write_json
from entrotune.models import describe_model, load_model, resolve_model

SCHEMA_VERSION = 1
MEASURES = "measures.json"


@dataclass(frozen=True)
class Measured:
    """One model, or the mean over seeds of several, at one temperature.

    Attributes:
        record: the values of each prompt, without the samples.
        samples: how many responses were drawn.
        unfinished: those that were cut off at the limit of new tokens.
    """

    record: SettingRecord
    samples: int
    unfinished: int

    @property
    def temperature(self) -> float:
        """Of sampling and of the scored distribution."""
        return self.record.temperature

    def mean(self, metric: str) -> float | None:
        """The mean over prompts; None where the measure is defined for none."""
        value = self.record.columns[metric].mean() if metric in self.record.columns else math.nan
        return None if math.isnan(value) else value

    def only(self, ids: frozenset[str]) -> "Measured":
        """The same of some of the prompts."""
        columns = {name: _only(column, ids) for name, column in self.record.columns.items()}
        return dataclasses.replace(self, record=dataclasses.replace(self.record, columns=columns))

    def to_dict(self, *, seed: int, reference: bool) -> dict[str, Any]:
        """The setting as it stands in a record."""
        counts = {"samples": self.samples, "unfinished": self.unfinished}
        return self.record.to_dict(seed=seed, reference=reference) | counts


class Bench:
    """The held-out rows and prompts, and how a model is measured on them.

    Args:
        config: of the sweep.

    Raises:
        UserError: input that cannot be used.
    """

    def __init__(self, config: SweepConfig) -> None:
        self.config = config
        self.described = describe_model(config.train.model)
        rows, self.held = held_out_rows(config, self.described)
        self.data = rows.counts
        self._judge: Any = None

    def measure(
        self, model: str, folder: Path, progress: Progress | None, *, temperatures: Sequence[float] | None = None
    ) -> list[Measured]:
        """Measure a model at each temperature, or read what was measured before.

        Args:
            model: its name or folder.
            folder: where samples and values are kept.
            progress: a display.
            temperatures: by default those of the recipe.

        Raises:
            UserError: the measure of quality or of diversity is undefined for it.
        """
        made_by = {"model": resolve_model(model).fingerprint, "data": self.data["fingerprint"]}
        if (folder / MEASURES).exists() and self._kept(folder)["made_by"] == made_by:
            return self.read(folder)
        config = self.config
        loaded, tokenizer = load_model(model, dtype=config.dtype)
        found = measure(
            loaded,
            tokenizer,
            examples=self.held.examples,
            prompts=self.held.prompts,
            groups=self.held.groups,
            temperatures=temperatures or config.temperatures,
            samples=config.samples,
            max_new_tokens=config.max_new_tokens,
            seed=config.sampling_seed,
            batch_size=config.sampling_batch,
            judge=self._base() if config.quality == "base_nll" else None,
            path=folder / "samples.jsonl",
            made_by={"model": made_by["model"]},
            progress=progress,
        )
        measured = [
            Measured(dataclasses.replace(record, samples=()), len(record.samples), record.unfinished)
            for record in found
        ]
        _check(config, measured)
        settings = [_written(one) for one in measured]
        atomic_write_json(
            folder / MEASURES, {"schema_version": SCHEMA_VERSION, "made_by": made_by, "settings": settings}
        )
        return measured

    def read(self, folder: Path) -> list[Measured]:
        """What was measured before."""
        return [_read(setting) for setting in self._kept(folder)["settings"]]

    def _kept(self, folder: Path) -> Any:
        return json.loads((folder / MEASURES).read_text(encoding="utf-8"))

    def _base(self) -> Any:
        if self._judge is None:
            self._judge, _ = load_model(self.config.train.model, dtype=self.config.dtype)
        return self._judge


def _check(config: SweepConfig, measured: Sequence[Measured]) -> None:
    """See that the measures of quality and of diversity are defined for what the model wrote."""
    for kind in ("quality", "diversity"):
        name = getattr(config, kind)
        if any(one.mean(name) is None for one in measured):
            known = [metric for metric in measured[0].record.columns if measured[0].mean(metric) is not None]
            raise UserError(
                f"{kind} is {name}, which is defined for none of the samples (runs of words need long enough "
                f"responses); raise max_new_tokens, or choose one of {', '.join(known)}"
            )


def of_all_seeds(by_seed: Sequence[Sequence[Measured]]) -> list[Measured]:
    """One a temperature: values averaged over seeds for each prompt, samples counted together."""
    return [
        Measured(
            over_seeds([one.record for one in group]),
            sum(one.samples for one in group),
            sum(one.unfinished for one in group),
        )
        for group in zip(*by_seed, strict=True)
    ]


def _only(column: Column, ids: frozenset[str]) -> Column:
    kept = np.array([name in ids for name in column.ids], dtype=bool)
    names = tuple(name for name in column.ids if name in ids)
    return Column(names, column.values[kept], None if column.weights is None else column.weights[kept])


def _written(measured: Measured) -> dict[str, Any]:
    columns = {
        name: {
            "ids": list(column.ids),
            "values": [None if np.isnan(value) else float(value) for value in column.values],
            "weights": None if column.weights is None else [float(weight) for weight in column.weights],
        }
        for name, column in measured.record.columns.items()
    }
    return {
        "temperature": measured.temperature,
        "samples_per_prompt": measured.record.samples_per_prompt,
        "samples": measured.samples,
        "unfinished": measured.unfinished,
        "columns": columns,
    }


def _read(setting: Mapping[str, Any]) -> Measured:
    columns = {
        name: Column(
            tuple(kept["ids"]),
            np.array([np.nan if value is None else value for value in kept["values"]]),
            None if kept["weights"] is None else np.array(kept["weights"]),
        )
        for name, kept in setting["columns"].items()
    }
    record = SettingRecord(
        temperature=setting["temperature"],
        samples_per_prompt=setting["samples_per_prompt"],
        columns=columns,
        samples=(),
    )
    return Measured(record, setting["samples"], setting["unfinished"])
