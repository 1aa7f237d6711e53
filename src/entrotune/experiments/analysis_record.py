"""The records of analyses: several models compared, or one whose scores are asked whether they predict correctness."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from entrotune import provenance
from entrotune.data import Reject, write_rejects
from entrotune.errors import UserError
from entrotune.experiments.analysis_inputs import sources_of, texts_of
from entrotune.experiments.choice_labels import Answered
from entrotune.experiments.display import say, showing
from entrotune.files import atomic_write_json
from entrotune.reports import write_report
from entrotune.scoring.analysis.columns import PER_BYTE, column_values, lengths, refuse_nan
from entrotune.scoring.analysis.correctness import PREDICTORS, predict_correctness
from entrotune.scoring.analysis.joining import join_scores
from entrotune.scoring.analysis.labels import labels_for
from entrotune.scoring.analysis.models import compare_models
from entrotune.scoring.folder import Scores

SCHEMA_VERSION = 1
# Scores made with other values of these say other things of the same text.
_SAME = ("mode", "bos", "system")
CONVENTIONS = {
    "entropy": "nats per token; varentropy nats²; of the model's predictions, as the scores' own manifest says",
    "intervals": "95%; of Pearson's r by its influence function, of Spearman's ρ by Bonett and Wright, of an AUC by "
    "DeLong, of a spread and of the first component by bootstrap over rows, of a share by Wilson",
    "ranks": "within a model, 0 to 1, ties with their mean; spread is the standard deviation over models",
    "null of agreement": "rows from a Gaussian copula with the models' own rank correlations",
    "distances": "Euclidean over rows, divided by the root of their number",
}
CORRECTNESS_CONVENTIONS = {
    "sign": "above 0 (AUC above 0.5): higher in rows answered right",
    "intervals": "95%; of an AUC by DeLong, of d by Hedges and Olkin, of r by Fisher, of coefficients by Wald",
    "p": "of likelihood-ratio tests; p_holm is corrected for the number of regimes",
    "length": "tokens and their logarithm, both held fixed",
    "auc of a regime": "of its fitted probabilities on the rows it was fitted to",
}


def models_record(
    read: Sequence[Scores],
    metrics: Sequence[str],
    showing_text: Mapping[str, Any],
    *,
    title: str,
    seed: int,
    progress: Progress | bool,
) -> dict[str, Any]:
    """The record of models compared; `showing_text` says where the texts of rows are read (see `texts_of`)."""
    _check_options(read)
    names = _names(read)
    joined = join_scores(names, [one.table for one in read])
    hashes = dict(zip(joined.ids, joined.hashes, strict=True))
    texts = texts_of(read[0], hashes, **showing_text)
    groups = _tokenizer_groups(names, read)
    metrics = list(dict.fromkeys([*metrics, *(["entropy_per_byte"] if len(groups) > 1 else [])]))
    record = {
        **_header("models", title, seed, {**read[0].manifest.get("conventions", {}), **CONVENTIONS}),
        "models": [_model(name, one) for name, one in zip(names, read, strict=True)],
        "data": {**read[0].manifest.get("data", {}), **joined.counts},
        "tokenizers": groups,
        "comparable": {name: len(groups) == 1 or name in PER_BYTE for name in metrics},
        "metrics": {},
    }
    with showing(progress) as display:
        for name in metrics:
            say(display, f"comparing {len(names)} models by {name} on {len(joined.ids):,} rows")
            record["metrics"][name] = compare_models(joined, name, seed=seed)
    told = [row for found in record["metrics"].values() for rows in found["rows"].values() for row in rows]
    for row in told:
        row["text"] = texts.get(row["id"])
    return record


def correctness_record(
    read: Scores,
    values: Mapping[str, Any],
    *,
    column: str,
    source: str | None,
    answered: Answered | None,
    title: str,
    seed: int,
) -> dict[str, Any]:
    """The record of labelled rows, without what is told of answers."""
    ids = read.table.column("id").to_pylist()
    labels = labels_for(ids, values, column=column)
    kept = np.array([at for at, label in enumerate(labels) if label is not None])
    right = np.array([labels[at] for at in kept], dtype=bool)
    kept_ids = [ids[at] for at in kept]
    predictors = {name: column_values(read.table, name)[kept] for name in PREDICTORS}
    for name, found in predictors.items():
        refuse_nan(found, kept_ids, name)
    sources = sources_of(read, kept_ids, source, answered.extra if answered else {})
    numbers = predict_correctness(right, predictors, lengths(read.table)[kept], sources)
    return {
        **_header("correctness", title, seed, {**read.manifest.get("conventions", {}), **CORRECTNESS_CONVENTIONS}),
        "models": [_model(_names([read])[0], read)],
        "data": {
            **_part(read, "data"),
            "label": column,
            "source_column": source if source is not None else ("file" if sources is not None else None),
            "scored": len(ids),
            "rows": len(kept),
            "without_label": len(ids) - len(kept),
            "labels_without_scores": len(set(values) - set(ids)),
            "right": int(right.sum()),
            "wrong": int((~right).sum()),
        },
        **numbers,
    }


def _check_options(read: Sequence[Scores]) -> None:
    """Raise `UserError` where scores were made in ways that say other things of the same text."""
    for name in _SAME:
        found = [_part(one, "options").get(name) for one in read]
        if len({str(value) for value in found}) > 1:
            told = ", ".join(f"{one.path} with {value}" for one, value in zip(read, found, strict=True))
            raise UserError(f"the scores differ in {name}: {told}; score the rows in the same way with each model")


def _names(read: Sequence[Scores]) -> list[str]:
    """What models are called: by name, with the folder where a name is not theirs alone."""
    names = [str(_part(one, "model").get("name") or one.path.name) for one in read]
    names = [Path(name).name if "/" in name and Path(name).exists() else name for name in names]
    return [
        name if names.count(name) == 1 else f"{name} ({one.path.name})" for name, one in zip(names, read, strict=True)
    ]


def _model(name: str, one: Scores) -> dict[str, Any]:
    options = _part(one, "options")
    return {
        **_part(one, "model"),
        "label": name,
        "folder": str(one.path),
        "options": options,
        "counts": _part(one, "counts"),
    }


def _tokenizer_groups(names: Sequence[str], read: Sequence[Scores]) -> list[list[str]]:
    """Models that cut text into the same tokens, together."""
    groups: dict[str, list[str]] = {}
    for name, one in zip(names, read, strict=True):
        groups.setdefault(str(_part(one, "model").get("tokenizer_fingerprint")), []).append(name)
    return list(groups.values())


def _header(analysis: str, title: str, seed: int, conventions: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "analysis",
        "analysis": analysis,
        "title": title,
        "created": provenance.now(),
        "command": provenance.command_line(),
        "seeds": [seed],
        "versions": provenance.versions(),
        "git_revision": provenance.git_revision(),
        "conventions": dict(conventions),
    }


def _part(one: Scores, name: str) -> dict[str, Any]:
    return dict(one.manifest.get(name) or {})


def counts_of(one: Scores) -> dict[str, Any]:
    """Where scores are, and of how many rows."""
    return {"path": str(one.path), "rows": one.table.num_rows}


def write_rejected(folder: Path, rejects: Sequence[Reject]) -> None:
    """Write the rows that could not be used, or remove those of an earlier analysis."""
    if rejects:
        write_rejects(folder / "rejects.jsonl", rejects)
    else:
        (folder / "rejects.jsonl").unlink(missing_ok=True)


def write_analysis(folder: Path, record: dict[str, Any], began: float) -> dict[str, Any]:
    """Write record and report; returns the record."""
    record["out"] = str(folder)
    record["seconds"] = {"total": round(time.perf_counter() - began, 1)}
    atomic_write_json(folder / "analysis.json", record)
    write_report(folder / "analysis.json")
    return record
