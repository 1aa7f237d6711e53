"""`entrotune perplexity`: how well models predict a text, in units that compare."""

import dataclasses
import datetime
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from entrotune import provenance
from entrotune.data import Row, RowSet, load_rows
from entrotune.data.rejects import Rejects, RowError, first_reasons
from entrotune.errors import UserError
from entrotune.experiments.perplexity_files import check_out, write_perplexity
from entrotune.experiments.perplexity_record import Measured, differences, model_record, warnings_of
from entrotune.scoring.identity import tokenizer_fingerprint
from entrotune.scoring.perplexity.encoding import BOS, Encoded
from entrotune.scoring.perplexity.job import Reader, Work, measure, reader, work_of
from entrotune.scoring.perplexity.measured import Floats, Sums, passage_sums, row_sums
from entrotune.scoring.perplexity.texts import Parts, Text, check_column, column, reject, texts_of
from entrotune.scoring.perplexity.uses import Uses, anomalies_of, drift_of, kept, parse_date
from entrotune.scoring.progress import Shown

SCHEMA_VERSION = 1
PRECISIONS = ("auto", "float32", "bfloat16", "float16", "float64")
CONVENTIONS = {
    "nll": "nats per token: −log p of each scored token given what is before it in its window",
    "pseudo": "of a masked model: given all other tokens, it alone masked; compares with masked models only",
    "perplexity": "exp(nats per token); compares models of one tokenizer only",
    "word_perplexity": "exp(nats / words), a word being a run without white space",
    "byte_perplexity": "exp(nats / bytes of the scored text as UTF-8)",
    "character_perplexity": "exp(nats / characters of the scored text)",
    "bits_per_byte": "nats / ln 2 / bytes; compares models of any tokenizer",
    "windows": "each token is scored once, from all before it or at least max_length − stride + 1 tokens",
    "spans": "a token counts if any of its characters is in a span; bytes, words and characters are those of the spans",
    "context": "read, not scored; context and text are tokenized as one (by an encoder-decoder apart)",
    "intervals": "95% bootstrap over rows, or over passages of one text; differences are paired over them",
}


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
    rejects = Rejects(on_bad_row)
    material = _material(rows.rows, parts, uses, readers, rejects)
    counts = _counts(rows, material, rejects)
    if uses.any and len(material.texts) < 2:
        raise UserError(
            f"rank, at_least, at_most, anomalies and drift are about rows, and {data} is one text; give text_unit "
            "line or paragraph, or a file of rows"
        )
    precision = _precision(precision, device)
    record = _header(data, seed) | {
        "data": {"source": rows.source, "format": rows.format, "text_unit": text_unit, **counts},
        "options": {"precision": precision, "bos": bos, **dataclasses.asdict(parts)},
    }
    if dry_run:
        plans = [_plan(one, own) for one, own in zip(readers, material.encoded, strict=True)]
        return record | {"kind": "plan", "models": plans}
    found = [
        _measure(one, material, own, precision, device, batch_tokens, passage, progress)
        for one, own in zip(readers, material.encoded, strict=True)
    ]
    record |= {
        "units": "rows" if len(material.texts) > 1 else f"passages of {passage:,} characters",
        "models": [model_record(one, seed=seed) for one in found],
        "differences": differences(found, seed=seed),
        "warnings": warnings_of(found),
    }
    used, z = _use(material, found[0].sums, uses, seed)
    record |= used
    all_rejects = [*rows.rejects, *rejects.found]
    record["rejects"] = first_reasons(all_rejects) if all_rejects else None
    record["seconds"] = round(time.perf_counter() - started, 1)
    if folder is not None:
        write_perplexity(folder, record, material.texts, found, uses, all_rejects, z)
    return record


def _header(data: str, seed: int) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "perplexity",
        "title": f"Perplexity of {data}",
        "created": provenance.now(),
        "command": provenance.command_line(),
        "versions": provenance.versions(),
        "git_revision": provenance.git_revision(),
        "conventions": CONVENTIONS,
        "seed": seed,
    }


@dataclasses.dataclass(frozen=True)
class _Material:
    """Texts that all models can score, their tokens for each model, and their dates where drift is followed."""

    texts: list[Text]
    encoded: list[list[Encoded]]
    dates: list[datetime.datetime]


def _material(rows: Sequence[Row], parts: Parts, uses: Uses, readers: Sequence[Reader], rejects: Rejects) -> _Material:
    texts = texts_of(rows, parts, rejects)
    if uses.drift is not None:
        check_column(rows, uses.drift)
    encoded = [one.encode(texts) for one in readers]
    kept_texts, kept_encoded, dates = [], [], []
    for text, *own in zip(texts, *encoded, strict=True):
        try:
            date = parse_date(column(text.row, uses.drift)) if uses.drift is not None else None
            for one in own:
                if isinstance(one, RowError):
                    raise one
        except RowError as error:
            rejects.add(reject(text.row, text.id, str(error)))
            continue
        kept_texts.append(text)
        kept_encoded.append(own)
        if date is not None:
            dates.append(date)
    if not kept_texts:
        raise UserError(f"nothing to score among {len(rows):,} rows: {first_reasons(rejects.found)}")
    return _Material(kept_texts, [list(of_model) for of_model in zip(*kept_encoded, strict=True)], dates)


def _counts(rows: RowSet, material: _Material, rejects: Rejects) -> dict[str, int]:
    """Rows read = rows scored + rows rejected; a row with several answers counts as scored if one of them is."""
    scored = len({id(text.row) for text in material.texts})
    return {
        "rows_read": rows.read,
        "rows_scored": scored,
        "rows_rejected": rows.read - scored,
        "texts": len(material.texts),
        "texts_rejected": len(rows.rejects) + len(rejects.found),
    }


def _measure(
    one: Reader,
    material: _Material,
    encoded: Sequence[Encoded],
    precision: str,
    device: str | None,
    batch_tokens: int | None,
    passage: int,
    progress: Progress | None,
) -> Measured:
    work = work_of(one, encoded)
    shown = Shown(progress, sum(len(own.targets) for own in encoded), f"scoring tokens: {one.name}")
    described: dict[str, Any] = {}

    def loaded(model: Any) -> None:
        described["device"] = provenance.device_name(torch.device(model.device))
        described["parameters"] = sum(parameter.numel() for parameter in model.parameters())

    began = time.perf_counter()
    nll = measure(
        one,
        encoded,
        work,
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
        advance=lambda tokens: shown.advance(tokens, tokens),
        loaded=loaded,
    )
    texts = material.texts
    sums = row_sums(texts, encoded, nll)
    units = sums if len(texts) > 1 else passage_sums(texts[0], encoded[0], nll[0], passage=passage)
    return Measured(
        reader=one,
        work=work,
        sums=sums,
        units=units,
        unscored=sum(own.unscored for own in encoded),
        unknown=sum(own.unknown for own in encoded),
        tokenizer=tokenizer_fingerprint(one.described.tokenizer),
        parameters=described["parameters"],
        device=described["device"],
        seconds=round(time.perf_counter() - began, 1),
    )


def _use(material: _Material, sums: Sums, uses: Uses, seed: int) -> tuple[dict[str, Any], Floats | None]:
    """What the first model's values are used for, and each row's robust z where anomalies are flagged."""
    found: dict[str, Any] = {}
    z = None
    ids = [text.id for text in material.texts]
    if uses.anomalies is not None:
        found["anomalies"], z = anomalies_of(ids, sums, uses)
    if uses.filters:
        keeps = int(kept(sums.values(uses.by), uses).sum())
        bounds = {"by": uses.by, "at_least": uses.at_least, "at_most": uses.at_most}
        found["filter"] = bounds | {"kept": keeps, "dropped": len(ids) - keeps}
    if uses.drift is not None:
        found["drift"] = drift_of(material.dates, sums, uses, seed=seed)
    return found, z


def _plan(one: Reader, encoded: Sequence[Encoded]) -> dict[str, Any]:
    work: Work = work_of(one, encoded)
    return {
        "name": one.name,
        "family": one.described.family,
        "max_length": one.max_length,
        "stride": one.stride or None,
        "tokens_scored": sum(len(own.targets) for own in encoded),
        "sequences": work.sequences,
        "tokens_read": work.tokens_read,
    }


def _names(model: Sequence[str] | str) -> list[str]:
    names = [model] if isinstance(model, str) else list(model)
    if not names or len(set(names)) != len(names):
        raise UserError(f"model is {names}; expected one or several different models")
    return names


def _check(*, bos: str, precision: str, passage: int, batch_tokens: int | None) -> None:
    for name, value, known in (("bos", bos, BOS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise UserError(f"{name} is {value!r}; expected one of {', '.join(known)}")
    for name, number in (("passage", passage), ("batch_tokens", batch_tokens)):
        if number is not None and number < 1:
            raise UserError(f"{name} is {number}; expected at least 1")


def _precision(asked: str, device: str | None) -> str:
    if asked != "auto":
        return asked
    kind = torch.device(device).type if device else getattr(torch.accelerator.current_accelerator(), "type", "cpu")
    return "bfloat16" if kind == "cuda" else "float32"
