"""`entrotune order`: scores → the sequence in which training uses the rows."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from entrotune import provenance
from entrotune.data import Row
from entrotune.data.curriculum import OrderOptions, OrderPlan, plan_order, read_order, write_order, write_token_stream
from entrotune.data.curriculum.options import Pacing, Regression, Schedule, Within
from entrotune.data.curriculum.token_stream import check_stream_folder
from entrotune.data.stream import RowStream, stream_rows
from entrotune.errors import UserError
from entrotune.models import load_tokenizer
from entrotune.scoring.folder import Scores, read_scores

# What of the scores' manifest says which numbers an order was made of.
_IDENTITY = ("model", "data", "options", "conventions", "counts", "created")
_BLOCK = 1024


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
    read = _read(scores, options)
    ids: list[str] = read.table["id"].to_pylist()
    lengths = None if residual is None else _column(read, residual)
    plan = plan_order(_column(read, by), options, lengths=lengths, ids=ids)
    left_out = _left_out(read, plan, ids)
    metadata = _metadata(read, plan, options, left_out)
    if dry_run:
        return {"kind": "plan", "out": out, **metadata}
    positions = read.table["position"].to_pylist()
    write_order(out, plan, ids=ids, positions=positions, left_out=left_out, metadata=metadata)
    result = {"kind": "order", "out": out, **metadata}
    if bin is None:
        return result
    assert data is not None  # checked with the targets
    name = model or str(read.manifest["model"]["name"])
    stream = stream_rows(data, format=format, columns=columns, text_unit=text_unit)
    described = {"data": data, "tokenizer": name}
    tokenizer = load_tokenizer(name)
    made = write_token_stream(
        read_order(out), _rows(stream), tokenizer, bin, shard_tokens=shard_tokens, described=described
    )
    return result | {"stream": {"folder": bin, **made}}


def _rows(stream: RowStream) -> Iterator[Row]:
    """The usable rows; those that are not are in the rejects of the scores."""
    for block in stream.blocks(_BLOCK):
        yield from block.rows


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
    check_stream_folder(Path(bin))


def _read(scores: str, options: OrderOptions) -> Scores:
    columns = dict.fromkeys(["id", "position", options.by, *([options.residual] if options.residual else [])])
    read = read_scores(scores, columns=list(columns))
    if not read.table.num_rows:
        raise UserError(f"{scores} holds no scored row; there is nothing to order")
    return read


def _column(read: Scores, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = read.table[name].to_pylist()
    wrong = next((value for value in values if not isinstance(value, int | float | None)), None)
    if wrong is not None:
        raise UserError(f"the column {name} of {read.path} holds {type(wrong).__name__}, expected numbers to order by")
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _left_out(read: Scores, plan: OrderPlan, ids: Sequence[str]) -> dict[str, list[str]]:
    """Reason → ids of rows that are not in the order, so that training can tell them from unknown ones."""
    uses = plan.uses
    found = {
        "filtered": [ids[index] for index in np.flatnonzero(~plan.kept)],
        "never drawn": [ids[index] for index in np.flatnonzero(plan.kept & (uses == 0))],
        "not scored": _rejected(read.path / "rejects.jsonl"),
    }
    return {reason: names for reason, names in found.items() if names}


def _rejected(path: Path) -> list[str]:
    if not path.exists():
        return []
    rejects = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [reject["id"] for reject in rejects if reject.get("id") is not None]


def _metadata(read: Scores, plan: OrderPlan, options: OrderOptions, left_out: dict[str, list[str]]) -> dict[str, Any]:
    identity = {key: read.manifest[key] for key in _IDENTITY if key in read.manifest}
    return {
        "options": options.to_dict(),
        "counts": plan.counts() | {"not_scored": len(left_out.get("not scored", []))},
        "scores": {"path": str(read.path), **identity},
        "created": provenance.now(),
        "versions": provenance.versions(),
    }
