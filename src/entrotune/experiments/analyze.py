"""`entrotune analyze`: compare models by their scores; ask whether a score predicts that a row is answered right."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.experiments.display import showing
from entrotune.seeds import check_seed

_OURS = frozenset({"analysis.json", "report.html", "answers.jsonl", "answers.settings.json", "rejects.jsonl"})


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
    check_seed("seed", seed)
    if len(scores) < 2 or len({str(Path(path).resolve()) for path in scores}) < len(scores):
        raise UserError(f"expected two or more different score folders, got {', '.join(map(str, scores)) or 'none'}")
    # They bring torch, for which --help must not wait.
    from entrotune.experiments.analysis_inputs import read_numbers
    from entrotune.experiments.analysis_record import models_record, write_analysis
    from entrotune.scoring.analysis.joining import check_metrics

    check_metrics(metrics)
    folder = _check_out(out, overwrite=overwrite)
    read = [read_numbers(path) for path in scores]
    showing_text = {"data": data, "text": text, "format": format, "columns": columns}
    record = models_record(read, metrics, showing_text, title=title, seed=seed, progress=progress)
    return write_analysis(folder, record, began)


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
    check_seed("seed", seed)
    if (label is None) == (choices is None):
        raise UserError("give either label (a column that says what was answered right) or choices (rows to answer)")
    # They bring torch, for which --help must not wait.
    from entrotune.experiments import analysis_record as records
    from entrotune.experiments.analysis_inputs import read_label_column, read_numbers
    from entrotune.experiments.choice_labels import answer

    folder = _check_out(out, overwrite=overwrite)
    read = read_numbers(scores)
    with showing(progress if not dry_run else False) as display:
        if choices is not None:
            answered = answer(
                read,
                choices,
                model=model or str((read.manifest.get("model") or {}).get("name")),
                limit=limit,
                folder=folder,
                overwrite=overwrite,
                dry_run=dry_run,
                options={"batch_tokens": batch_tokens, "dtype": dtype, "device": device},
                progress=display,
            )
            if dry_run:
                return {"kind": "plan", "scores": records.counts_of(read), **answered.plan}
            values: Mapping[str, Any] = answered.right(normalise)
        else:
            answered = None
            values = read_label_column(read, str(label))
    column = label if label is not None else "the answers"
    record = records.correctness_record(
        read, values, column=column, source=source, answered=answered, title=title, seed=seed
    )
    if dry_run:
        return {"kind": "plan", "scores": records.counts_of(read), "data": record["data"]}
    if answered is not None:
        record["answers"] = answered.describe(normalise)
        records.write_rejected(folder, answered.rejects)
    return records.write_analysis(folder, record, began)


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
