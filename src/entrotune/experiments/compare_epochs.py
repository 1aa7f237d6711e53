"""Samples at the ends of epochs: how diversity goes over a run."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entrotune.evaluation import Column, SettingRecord
from entrotune.files import atomic_write_json
from entrotune.training import RunFolder

SCHEMA_VERSION = 1
FILE = "epochs.json"
Measure = Callable[[Path, Path], SettingRecord]


@dataclass(frozen=True)
class EpochRecord:
    """What was measured of the model at the end of an epoch, or where its run stopped within one."""

    epoch: float
    step: int
    setting: SettingRecord


def measure_epochs(run: RunFolder, wanted: Sequence[int] | None, measure: Measure, *, keep: int) -> list[EpochRecord]:
    """Measure the checkpoints of a finished run, once: what was found is kept in `epochs.json` of the run folder.

    Afterwards only the last checkpoints stay, as in any run.

    Args:
        wanted: epochs; None for every checkpoint.
        measure: a checkpoint, and where to keep its samples → its record.
        keep: how many of the last checkpoints stay.
    """
    file = run.path / FILE
    if file.exists():
        return [_read(entry) for entry in json.loads(file.read_text(encoding="utf-8"))["epochs"]]
    found = []
    for step in run.steps():
        checkpoint = run.checkpoint(step)
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        epoch = round(state["epoch"], 3)
        if wanted is None or epoch in wanted:
            samples = run.path / "epochs" / f"step-{step}" / "samples.jsonl"
            found.append(EpochRecord(epoch, step, measure(checkpoint, samples)))
    atomic_write_json(
        file, {"schema_version": SCHEMA_VERSION, "kind": "epochs", "epochs": [_entry(one) for one in found]}
    )
    for step in run.steps()[:-keep]:
        shutil.rmtree(run.checkpoint(step))
    return found


def _entry(record: EpochRecord) -> dict[str, Any]:
    setting = record.setting
    return {
        "epoch": record.epoch,
        "step": record.step,
        "temperature": setting.temperature,
        "samples_per_prompt": setting.samples_per_prompt,
        "columns": {
            name: {"ids": column.ids, "values": [None if math.isnan(value) else value for value in column.values]}
            for name, column in setting.columns.items()
        },
    }


def _read(entry: dict[str, Any]) -> EpochRecord:
    columns = {
        name: Column(tuple(told["ids"]), np.array([math.nan if v is None else v for v in told["values"]]))
        for name, told in entry["columns"].items()
    }
    setting = SettingRecord(
        temperature=entry["temperature"], samples_per_prompt=entry["samples_per_prompt"], columns=columns, samples=()
    )
    return EpochRecord(entry["epoch"], entry["step"], setting)
