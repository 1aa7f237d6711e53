"""`entrotune score`: how uncertain a model is about each row of a data set."""

import functools
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.files import check_page


def score(
    data: str | Path,
    *,
    model: str = "smollm2-135m",
    out: str | Path = "runs/scores",
    mode: str = "all",
    max_length: int | None = None,
    bos: str = "auto",
    system: str | None = None,
    per_token: bool = False,
    top_k: int = 0,
    keep: Sequence[str] | str = (),
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    text_unit: str = "line",
    split: str = "train",
    limit: int | None = None,
    on_bad_row: str = "skip",
    precision: str = "auto",
    device: str | None = None,
    batch_tokens: int | None = None,
    part_rows: int = 1024,
    overwrite: bool = False,
    engine: str = "local",
    workers: int | None = None,
    gpus_per_worker: float = 0.0,
    address: str | None = None,
    html: str | Path | None = None,
    html_rows: int = 50,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score each row of a data set under a model: entropy, varentropy, likelihood. Rows of any number fit in memory.

    Parts of `out` appear whole. Stopped at any moment and started again with the same arguments, it goes on.

    Args:
        data: what to score: anything `train` reads, .txt files too. See `load_rows` for `format`, `columns`,
            `text_unit`, `split`, `limit` and `on_bad_row`.
        model: a folder, run, adapter, GGUF file, hub id or `smollm2-135m`.
        out: the folder for scores, manifest and rejects.
        mode: `all` (every position of the raw text), `predicted` (those that predict a token of the text) or
            `response` (those that predict the response, in the model's chat format).
        max_length: tokens of a row; the rest is cut off and counted. By default what the model reaches to.
        bos: whether raw text begins with the tokenizer's BOS: `always`, `none`, or `auto`: as the tokenizer does it in
            mode `predicted`, none in mode `all`.
        system: in mode response, a system message for conversations without one.
        per_token: keep the numbers of every position.
        top_k: also take the moments over so many likeliest tokens only; with per_token, keep those tokens.
        keep: columns of the data to carry along, such as `label,source_id`.
        precision: of the model's weights and products: `float32`, `bfloat16`, or `auto`: bfloat16 on CUDA, else
            float32. Statistics are float32.
        device: see `load_model`.
        batch_tokens: tokens that go through the model at once, padding included; by default 4,096 on a CPU, else
            65,536.
        part_rows: rows of the input in one parquet part, the work that a stop can lose.
        overwrite: replace the scores that `out` holds.
        engine: `local`, or `ray`: on a Ray cluster, with the same numbers to float32 rounding.
        workers: of the ray engine, each with a model of its own; by default 2.
        gpus_per_worker: of the ray engine; may be a fraction.
        address: of the Ray cluster, such as `auto`; by default one is started here.
        html: an HTML file to write in the end: rows token by token, with the predictions that each token came from.
            The rows go through the model once more for it, here, also where their scores were there already.
        html_rows: rows on that page at most, the first that were scored; the page says how many it leaves out.
        dry_run: load no weights, write nothing; return what would be done.

    Returns:
        The content of `manifest.json`, `out` and `html`; with `dry_run` the plan.

    Raises:
        UserError: bad input, `out` holds scores of something else, or another process writes to it.
    """
    started = time.perf_counter()
    # They bring torch, for which --help must not wait.
    from entrotune.scoring.cluster import Cluster
    from entrotune.scoring.job import Job
    from entrotune.scoring.options import check_options, kept_names
    from entrotune.scoring.plan import plan_scoring
    from entrotune.scoring.run import describe, resolve_options, run_scoring

    check_options(
        mode=mode,
        bos=bos,
        precision=precision,
        engine=engine,
        text_unit=text_unit,
        system=system,
        max_length=max_length,
        top_k=top_k,
        batch_tokens=batch_tokens,
        part_rows=part_rows,
        workers=workers,
        html_rows=html_rows,
    )
    _check_engine(engine, device, workers, gpus_per_worker, address)
    check_page(html)
    cluster = None
    if engine == "ray":
        cluster = Cluster(workers=workers or 2, gpus_per_worker=gpus_per_worker, address=address)
        device = "cuda" if gpus_per_worker else "cpu"
    described = describe(model)
    options = resolve_options(
        described,
        device,
        max_length=max_length,
        precision=precision,
        mode=mode,
        bos=bos,
        system=system,
        per_token=per_token,
        top_k=top_k,
        keep=kept_names(keep),
        part_rows=part_rows,
    )
    reading = {"format": format, "columns": columns, "text_unit": text_unit, "split": split, "limit": limit}
    reading["on_bad_row"] = on_bad_row
    job = Job(data=str(data), reading=reading, model=model, device=device, batch_tokens=batch_tokens, options=options)
    if dry_run:
        return plan_scoring(job, job.stream(), described, progress)
    load = functools.cache(job.scorer)
    record = run_scoring(
        job, described, Path(out), load=load, cluster=cluster, overwrite=overwrite, progress=progress, began=started
    )
    if html is not None:
        from entrotune.scoring.page import write_score_page

        write_score_page(html, Path(out), job, load(), record, rows=html_rows, progress=progress)
    return {"out": str(out), "html": None if html is None else str(html), **record}


def _check_engine(
    engine: str, device: str | None, workers: int | None, gpus_per_worker: float, address: str | None
) -> None:
    if engine == "ray" and device is not None:
        raise UserError(f"device is {device!r}, but with engine ray it follows from gpus_per_worker; leave it out")
    if engine == "local" and (workers is not None or gpus_per_worker or address is not None):
        raise UserError(
            "workers, gpus_per_worker and address belong to engine ray; add --engine ray, or leave them out"
        )
    if not 0 <= gpus_per_worker < math.inf:
        raise UserError(f"gpus_per_worker is {gpus_per_worker}; expected 0 or a number above it, such as 0.5")
