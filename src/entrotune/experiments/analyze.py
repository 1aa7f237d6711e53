"""`entrotune analyze`: compare models by their scores; ask whether a score predicts that a row is answered right."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.progress import Progress

from entrotune import provenance
from entrotune.data import Reject, write_rejects
from entrotune.errors import UserError
from entrotune.experiments.analysis_inputs import read_label_column, read_numbers, sources_of, texts_of
from entrotune.experiments.choice_labels import Answered, answer
from entrotune.experiments.display import say, showing
from entrotune.files import atomic_write_json
from entrotune.reports import write_report
from entrotune.scoring.analysis.columns import PER_BYTE, column_values, lengths, refuse_nan
from entrotune.scoring.analysis.correctness import PREDICTORS, predict_correctness
from entrotune.scoring.analysis.joining import check_metrics, join_scores
from entrotune.scoring.analysis.labels import labels_for
from entrotune.scoring.analysis.models import compare_models
from entrotune.scoring.folder import Scores

SCHEMA_VERSION = 1
_OURS = frozenset({"analysis.json", "report.html", "answers.jsonl", "answers.settings.json", "rejects.jsonl"})
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


def analyze_models(
    scores: Sequence[str],
    *,
    out: str = "runs/analysis",
    metrics: Sequence[str] = ("entropy_mean",),
    data: str | None = None,
    text: str | None = None,
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    title: str = "Models compared by their scores",
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | bool = True,
) -> dict[str, Any]:
    """Compare models by the scores they gave to the same rows: correlations, distances, components, agreement.

    Args:
        scores: two or more folders that `entrotune score` wrote.
        out: the folder for `analysis.json` and `report.html`.
        metrics: numbers of a row to compare models by; where tokenizers differ, `entropy_per_byte` is added.
        data: the rows that were scored, so that the report can show their text; joined by id, checked by hash.
        text: a column kept with the scores that holds the text, in place of `data`.
        format: of `data`; see `load_rows`.
        columns: of `data`; see `load_rows`.
        title: of the report.
        seed: of resamples and simulations.
        overwrite: replace the analysis that `out` holds.
        progress: say what is being done.

    Returns:
        The content of `analysis.json`.

    Raises:
        UserError: folders that hold no finished scores, other rows, or scores that cannot be compared.
    """
    began = time.perf_counter()
    if len(scores) < 2 or len({str(Path(path).resolve()) for path in scores}) < len(scores):
        raise UserError(f"expected two or more different score folders, got {', '.join(map(str, scores)) or 'none'}")
    check_metrics(metrics)
    folder = _check_out(out, overwrite=overwrite)
    read = [read_numbers(path) for path in scores]
    _check_options(read)
    names = _names(read)
    joined = join_scores(names, [one.table for one in read])
    hashes = dict(zip(joined.ids, joined.hashes, strict=True))
    texts = texts_of(read[0], hashes, data=data, text=text, format=format, columns=columns)
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
    return _write(folder, record, began)


def analyze_correctness(
    scores: str,
    *,
    out: str = "runs/analysis",
    label: str | None = None,
    choices: str | None = None,
    model: str | None = None,
    normalise: Literal["bytes", "tokens"] = "bytes",
    source: str | None = None,
    limit: int | None = None,
    batch_tokens: int = 4096,
    dtype: str = "float32",
    device: str | None = None,
    title: str = "Does entropy predict correctness?",
    seed: int = 0,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | bool = True,
) -> dict[str, Any]:
    """Ask whether entropy and varentropy of a row predict that it is answered right, and whether length or source do.

    Args:
        scores: a folder that `entrotune score` wrote.
        out: the folder for `analysis.json`, `report.html` and, with `choices`, the answers.
        label: was the row answered right? A column kept with the scores, or `FILE:COLUMN`; joined by id.
        choices: multiple-choice rows (`ctx`, `endings`, `label`) to be answered, in place of `label`.
        model: answers `choices`; by default the model of the scores.
        normalise: an ending's NLL is divided by its `bytes` or `tokens`; both are recorded.
        source: a column (of the scores, the labels' file or `choices`) that says where a row is from, held fixed;
            by default the data file, where there are several.
        limit: answer only so many of the `choices`.
        batch_tokens: tokens answered at once.
        dtype: of the weights; see `load_model`.
        device: see `load_model`.
        title: of the report.
        seed: recorded; nothing here is drawn at random.
        overwrite: replace the analysis that `out` holds; answers of the same model to the same rows are kept.
        dry_run: load no weights, write nothing; return what would be done.
        progress: a display, True for one of its own, False for none.

    Returns:
        The content of `analysis.json`.

    Raises:
        UserError: no labels, one class, too few rows, scores that are no numbers, or rows that do not fit the scores.
    """
    began = time.perf_counter()
    if (label is None) == (choices is None):
        raise UserError("give either label (a column that says what was answered right) or choices (rows to answer)")
    folder = _check_out(out, overwrite=overwrite)
    read = read_numbers(scores)
    with showing(progress if not dry_run else False) as display:
        if choices is not None:
            answered = answer(
                read,
                choices,
                model=model or str(_part(read, "model").get("name")),
                limit=limit,
                folder=folder,
                overwrite=overwrite,
                dry_run=dry_run,
                options={"batch_tokens": batch_tokens, "dtype": dtype, "device": device},
                progress=display,
            )
            if dry_run:
                return {"kind": "plan", "scores": _counts(read), **answered.plan}
            values: Mapping[str, Any] = answered.right(normalise)
        else:
            answered = None
            values = read_label_column(read, str(label))
    column = label if label is not None else "the answers"
    record = _correctness(read, values, column, source, answered, title, seed)
    if dry_run:
        return {"kind": "plan", "scores": _counts(read), "data": record["data"]}
    if answered is not None:
        record["answers"] = answered.describe(normalise)
        _write_rejects(folder, answered.rejects)
    return _write(folder, record, began)


def _correctness(
    read: Scores,
    values: Mapping[str, Any],
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


def _check_out(out: str, *, overwrite: bool) -> Path:
    """The folder, if nothing of the user's would be replaced in it."""
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output '{folder}' is a file; expected a folder")
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if others := [name for name in held if name not in _OURS]:
        raise UserError(f"output folder '{folder}' holds other files ({others[0]}); give a folder of its own as out")
    if "analysis.json" in held and not overwrite:
        raise UserError(f"output folder '{folder}' holds an analysis already; use overwrite, or another folder")
    return folder


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


def _counts(one: Scores) -> dict[str, Any]:
    return {"path": str(one.path), "rows": one.table.num_rows}


def _write_rejects(folder: Path, rejects: Sequence[Reject]) -> None:
    if rejects:
        write_rejects(folder / "rejects.jsonl", rejects)
    else:
        (folder / "rejects.jsonl").unlink(missing_ok=True)


def _write(folder: Path, record: dict[str, Any], began: float) -> dict[str, Any]:
    """Write record and report; returns the record."""
    record["out"] = str(folder)
    record["seconds"] = {"total": round(time.perf_counter() - began, 1)}
    atomic_write_json(folder / "analysis.json", record)
    write_report(folder / "analysis.json")
    return record
