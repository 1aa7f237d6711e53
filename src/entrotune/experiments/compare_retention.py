"""What each model of a comparison kept of its other abilities: ordinary other texts and multiple-choice rows."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from entrotune.evaluation import Column, SettingRecord, difference
from entrotune.evaluation.distribution import Kept, RetentionRows, measure_kept, read_retention
from entrotune.experiments.compare_variants import BASELINE, UNTOUCHED
from entrotune.experiments.retention_config import Retention
from entrotune.experiments.seeds import difference_entry, differences_by_seed, over_seeds
from entrotune.files import atomic_write_json
from entrotune.reports import retention_sentence

SCHEMA_VERSION = 1
# What is compared between models; divergence from the untouched one is a comparison already.
_COMPARED = ("nll", "choice_accuracy")


def read_retained(wanted: Retention, tokenizer: Any, context: int | None) -> RetentionRows:
    """Read and encode the rows; see `read_retention`."""
    return read_retention(
        tokenizer,
        chats=wanted.data or "",
        rows=wanted.limit,
        choices=wanted.choices,
        choices_limit=wanted.limit,
        context=context,
        columns=wanted.columns,
    )


def measure_retained(
    model: Any,
    tokenizer: Any,
    rows: RetentionRows,
    *,
    base: Any,
    folder: Path,
    fingerprint: str | None,
    progress: Progress | None,
) -> SettingRecord:
    """Measure a model on the rows; sums are kept in `folder`, and reused where model and rows are the same.

    Args:
        base: the untouched model, for divergence and agreement; the model itself where that is what is measured.
        fingerprint: of the model.
    """
    path = folder / "retention.json"
    made_by = {"schema_version": SCHEMA_VERSION, "model": fingerprint, "rows": _digest(rows)}
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if fingerprint is not None and found.get("made_by") == made_by:
        return _record(Kept(**found["kept"]))

    @contextlib.contextmanager
    def as_base() -> Iterator[Any]:
        yield base

    kept = measure_kept(model, tokenizer, rows, as_base=None if model is base else as_base, progress=progress)
    atomic_write_json(path, {"made_by": made_by, "kept": asdict(kept)})
    return _record(kept)


def _digest(rows: RetentionRows) -> str:
    told = hashlib.sha256()
    for example in rows.chats:
        told.update(repr((example.id, example.input_ids, example.labels)).encode())
    for choice in rows.choices:
        told.update(repr((choice.row.id, choice.row.label, choice.sequences)).encode())
    return told.hexdigest()


def _record(kept: Kept) -> SettingRecord:
    """The sums as columns: rows are always measured in one order, so their places pair them."""
    texts = tuple(f"row {place}" for place in range(len(kept.tokens)))
    tokens = np.array(kept.tokens, dtype=np.float64)
    sums = {"nll": kept.nll, "entropy": kept.entropy, "kl_to_base": kept.kl, "top1_agreement": kept.agreeing}
    columns = {name: Column(texts, np.array(own, dtype=np.float64), tokens) for name, own in sums.items() if own}
    if kept.right:
        tasks = tuple(f"task {place}" for place in range(len(kept.right)))
        columns["choice_accuracy"] = Column(tasks, np.array(kept.right, dtype=np.float64))
    return SettingRecord(temperature=1.0, samples_per_prompt=0, columns=columns, samples=())


def retained_entry(measured: SettingRecord, *, seed: int) -> dict[str, Any]:
    """The `retention` part of a variant's entry: an estimate a measure."""
    return {name: column.estimate(seed=seed).to_dict() for name, column in measured.columns.items()}


def retention_record(
    measured: Mapping[str, Sequence[SettingRecord]], rows: RetentionRows, *, seed: int
) -> dict[str, Any]:
    """The `retention` part of `comparison.json`: the rows, and each variant against the untouched model and `ce`.

    Args:
        measured: variant → a record for each seed; of the untouched model one.
        rows: what was measured on.
        seed: of the bootstrap.
    """
    pairs = [(name, UNTOUCHED) for name in measured if name != UNTOUCHED]
    pairs += [(name, BASELINE) for name in measured if name not in (UNTOUCHED, BASELINE)]
    found = []
    for name, other in pairs:
        a, b = over_seeds(measured[name]), over_seeds(measured[other])
        for metric in _COMPARED:
            if metric in a.columns:
                entry = {"metric": metric, "a": {"variant": name}, "b": {"variant": other}} | difference_entry(
                    difference(a, b, metric, seed=seed), differences_by_seed(measured[name], measured[other], metric)
                )
                found.append(entry | {"sentence": retention_sentence(entry)})
    return {"rows": rows.described, "comparisons": found}
