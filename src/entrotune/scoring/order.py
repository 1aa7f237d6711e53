"""`entrotune order`: scores → the sequence in which training uses the rows."""

from pathlib import Path
from typing import Any, Literal

from entrotune.data.curriculum.options import OrderOptions, Pacing, Regression, Schedule, Within
from entrotune.errors import UserError


def order(
    scores: str,
    *,
    out: str = "order.parquet",
    by: str = "entropy_mean",
    schedule: Schedule = "increasing",
    bins: int | Literal["sorted"] = 10,
    within: Within = "shuffled",
    periods: int = 4,
    pacing: Pacing = "none",
    start: float = 0.2,
    full_at: float = 0.8,
    stairs: int = 4,
    epochs: int = 1,
    keep: list[float] | None = None,
    drop_top: float = 0.0,
    residual: str | None = None,
    regression: Regression = "rank",
    seed: int = 0,
    overwrite: bool = False,
    bin: str | None = None,
    data: str | None = None,
    model: str | None = None,
    format: str = "auto",
    columns: dict[str, str] | None = None,
    text_unit: Literal["line", "paragraph", "file"] = "line",
    shard_tokens: int = 100_000_000,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Turn the scores of a data set into an order of its rows, for `train --curriculum` or as a stream of tokens.

    Args:
        scores: the folder that entrotune score wrote.
        out: the parquet file to write.
        by: the column of the scores that says how hard a row is.
        schedule: increasing, decreasing, periodic (several climbs), hill (easy, hard, easy), interleaved (a row of each
            bin in turn) or random (the control).
        bins: equal shares of the rows by rank, or sorted for an order row by row.
        within: rows of a bin come shuffled, anew every epoch, or in the order of the input.
        periods: climbs of the periodic schedule.
        pacing: admit bins as training goes on (linear, root or step) and draw from those admitted; none uses every row
            once an epoch.
        start: share of the bins admitted at the start.
        full_at: share of training at which all bins are admitted.
        stairs: steps of pacing step.
        epochs: the order has so many steps for each row that is kept.
        keep: use only rows between two quantiles of the score, such as [0.1, 0.9].
        drop_top: leave out so many percent of the rows, those with the highest scores.
        residual: a column, such as tokens, whose influence is regressed out first.
        regression: of ranks or linear.
        seed: of shuffles and draws.
        overwrite: replace the file in `out`.
        bin: a folder to write the data to as tokens in this order (nanoGPT's layout).
        data: the scored data, for `bin`.
        model: whose tokenizer to use, for `bin`; by default that of the scores.
        format: of the data, for `bin`.
        columns: our column name to the file's, for `bin`.
        text_unit: what of a plain text file is a row, for `bin`: line, paragraph or file.
        shard_tokens: a file of `bin` ends with the document that reaches so many tokens.
        dry_run: write nothing; return what would be written.

    Returns:
        Counts, options and the scores' identity: the metadata of the file.

    Raises:
        UserError: scores or options that cannot be used.
    """
    options = OrderOptions(
        by=by,
        schedule=schedule,
        bins=bins,
        within=within,
        periods=periods,
        pacing=pacing,
        start=start,
        full_at=full_at,
        stairs=stairs,
        epochs=epochs,
        keep=(0.0, 1.0) if keep is None else tuple(keep),  # type: ignore[arg-type]
        drop_top=drop_top,
        residual=residual,
        regression=regression,
        seed=seed,
    )
    _check_targets(out, bin, data, shard_tokens, overwrite=overwrite)
    # They bring pyarrow and transformers, for which --help must not wait.
    from entrotune.scoring.ordering import Ordered, write_tokens

    ordered = Ordered.of(scores, options)
    if dry_run:
        return {"kind": "plan", "out": out, **ordered.metadata}
    ordered.write(out)
    result = {"kind": "order", "out": out, **ordered.metadata}
    if bin is None:
        return result
    assert data is not None  # checked with the targets
    reading = {"format": format, "columns": columns, "text_unit": text_unit}
    made = write_tokens(out, data, reading, model=model or ordered.model, folder=bin, shard_tokens=shard_tokens)
    return result | {"stream": {"folder": bin, **made}}


def _check_targets(out: str, bin: str | None, data: str | None, shard_tokens: int, *, overwrite: bool) -> None:
    path = Path(out)
    if path.is_dir():
        raise UserError(f"out is {out}, a folder; give the name of a .parquet file to write the order to")
    if path.exists() and not overwrite:
        raise UserError(f"{out} already exists; give another --out, or add --overwrite to replace it")
    if shard_tokens < 1:
        raise UserError(f"shard_tokens must be at least 1, not {shard_tokens}")
    if bin is None:
        return
    if data is None:
        raise UserError("bin writes the tokens of the data, so it needs --data: the same as was scored")
    from entrotune.data.curriculum.token_stream import check_stream_folder

    check_stream_folder(Path(bin))
