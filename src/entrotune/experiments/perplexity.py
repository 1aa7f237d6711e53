"""`entrotune perplexity`: how well models predict a text, in units that compare."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.seeds import check_seed

PRECISIONS = ("auto", "float32", "bfloat16", "float16", "float64")


def perplexity(
    data: str,
    *,
    model: Sequence[str] | str = "smollm2-135m",
    stride: int | None = None,
    max_length: int | None = None,
    bos: str = "auto",
    text_unit: str = "file",
    context: str | None = None,
    context_column: str | None = None,
    separator: str = "",
    spans: list[list[int]] | None = None,
    spans_column: str | None = None,
    by: str = "perplexity",
    rank: str | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    anomalies: float | None = None,
    drift: str | None = None,
    period: str = "month",
    passage: int = 1000,
    out: str | Path | None = None,
    overwrite: bool = False,
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    split: str = "train",
    limit: int | None = None,
    on_bad_row: str = "skip",
    precision: str = "auto",
    device: str | None = None,
    batch_tokens: int | None = None,
    seed: int = 0,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure how well one or several models predict a text or the rows of a data set.

    Causal models read a sliding window; masked ones predict each token from all others; of an encoder-decoder the
    decoder's likelihood is taken, given a context.

    Args:
        data: a .txt file, which is one text, or anything `train` reads. See `load_rows` for `format`, `columns`,
            `split`, `limit` and `on_bad_row`.
        model: one or several: folders, runs, adapters, GGUF files, hub ids or `smollm2-135m`.
        stride: tokens by which the window moves on; by default 512, or `max_length` where that is less. The lower,
            the longer the shortest context, and the slower.
        max_length: tokens of a window; by default 2,048, or what the model reaches to where that is less.
        bos: what stands before a text: `auto` as the tokenizer does it, `none`, `always` its BOS, `eos` its
            end-of-sequence token. Without any the first token is not scored.
        text_unit: what a row of a .txt file is: `file`, `line` or `paragraph`.
        context: a text that is read before each text and not scored.
        context_column: the same, from a column of each row; `prompt` for that of rows with answers.
        separator: between context and text.
        spans: score only these characters of each text, such as `[[0, 120]]`.
        spans_column: the same, from a column of each row.
        by: what rows are ranked and filtered by: `perplexity` or `bits_per_byte`, of the first model.
        rank: write the rows in order, `low` or `high` ones first.
        at_least: keep only rows of at least this value.
        at_most: keep only rows of at most this value.
        anomalies: flag rows whose robust z (median and median absolute deviation) is beyond this, such as 3.5.
        drift: a column of dates to follow the value over.
        period: of the table of drift: `year`, `month` or `day`.
        passage: characters of a passage, by which the interval of a single text is found.
        out: a folder for `perplexity.json`, `rows.jsonl` and files of rows; nothing is written without one.
        overwrite: replace what `out` holds.
        precision: of the model's weights: `float32`, `bfloat16`, `float16`, `float64`, or `auto`: bfloat16 on CUDA,
            else float32.
        device: see `load_model`.
        batch_tokens: tokens that go through the model at once; by default 4,096 on a CPU, else 65,536.
        seed: of the intervals.
        dry_run: load no weights, write nothing; return what would be done.

    Returns:
        The content of `perplexity.json`; with `dry_run` the plan.

    Raises:
        UserError: bad input, or `out` holds a result and `overwrite` is not given.
    """
    started = time.perf_counter()
    check_seed("seed", seed)
    # They bring torch, for which --help must not wait.
    from entrotune.data import load_rows
    from entrotune.experiments import perplexity_run as run
    from entrotune.experiments.perplexity_files import check_out, write_perplexity
    from entrotune.scoring.perplexity.job import reader
    from entrotune.scoring.perplexity.texts import Parts
    from entrotune.scoring.perplexity.uses import Uses

    parts = Parts(
        context=context,
        context_column=context_column,
        separator=separator,
        spans=spans,
        spans_column=spans_column,
    )
    uses = Uses(by=by, rank=rank, at_least=at_least, at_most=at_most, anomalies=anomalies, drift=drift, period=period)
    folder = Path(out) if out is not None else None
    _check(bos=bos, precision=precision, passage=passage, batch_tokens=batch_tokens)
    parts.check()
    uses.check(out=folder is not None)
    check_out(folder, overwrite=overwrite)
    readers = [reader(name, parts, bos=bos, max_length=max_length, stride=stride) for name in _names(model)]
    rows = load_rows(
        data, format=format, columns=columns, on_bad_row=on_bad_row, limit=limit, split=split, text_unit=text_unit
    )
    material = run.encode(rows, parts, uses, readers, on_bad_row=on_bad_row)
    precision = run.precision_of(precision, device)
    record = run.header(data, seed) | {
        "data": {"source": rows.source, "format": rows.format, "text_unit": text_unit, **material.counts},
        "options": {"precision": precision, "bos": bos, **dataclasses.asdict(parts)},
    }
    if dry_run:
        return record | {"kind": "plan", "models": run.plans(readers, material)}
    found = run.measure_all(
        readers,
        material,
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
        passage=passage,
        progress=progress,
    )
    used, z = run.use(material, found[0].sums, uses, seed)
    record |= run.compared(found, material, passage=passage, seed=seed) | used
    record["rejects"] = material.told_rejects
    record["seconds"] = round(time.perf_counter() - started, 1)
    if folder is not None:
        write_perplexity(folder, record, material.texts, found, uses, material.rejects, z)
    return record


def _names(model: Sequence[str] | str) -> list[str]:
    names = [model] if isinstance(model, str) else list(model)
    if not names or len(set(names)) != len(names):
        raise UserError(f"model is {names}; expected one or several different models")
    return names


def _check(*, bos: str, precision: str, passage: int, batch_tokens: int | None) -> None:
    from entrotune.scoring.perplexity.encoding import BOS

    for name, value, known in (("bos", bos, BOS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise UserError(f"{name} is {value!r}; expected one of {', '.join(known)}")
    for name, number in (("passage", passage), ("batch_tokens", batch_tokens)):
        if number is not None and number < 1:
            raise UserError(f"{name} is {number}; expected at least 1")
