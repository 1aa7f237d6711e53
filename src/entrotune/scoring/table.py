"""The scores of a block as a table, and what they add up to.

N: rows, M: positions of all of them, K: of the likeliest tokens.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from entrotune.data import Reject, Row, RowBlock
from entrotune.data.examples import IGNORED
from entrotune.data.records import is_unicode
from entrotune.data.rejects import Rejects
from entrotune.data.rows import row_content
from entrotune.kernels import RowStatistics, truncated
from entrotune.scoring.folder import KEPT, PER_TOKEN, STATISTICS, TOPK_LISTS, schema
from entrotune.scoring.options import ScoreOptions
from entrotune.scoring.sequences import Scorable, reject_of
from entrotune.scoring.statistics import Floats, row_scores, row_starts, topk_scores

if TYPE_CHECKING:
    import pyarrow

_OF_TOKENS = ("entropy", "varentropy", "nll")
_OF_POSITIONS = (*_OF_TOKENS, "renyi2", "is_top1")
_OF_LIKELIEST = ("topk_ids", "topk_logprobs")


@dataclass(frozen=True)
class Measured:
    """A block's sequences in the order in which they went through the model, and the statistics of their positions.

    `order` are the places of the sequences in the block.
    """

    block: RowBlock
    sequences: list[Scorable]
    order: list[int]
    rejects: list[Reject]
    statistics: list[RowStatistics]


@dataclass(frozen=True)
class ScoredBlock:
    """A part of a score folder: its rows in the order of the input, and the rejects of the same block.

    `totals` add up over blocks.
    """

    number: int
    digest: str
    table: "pyarrow.Table"
    rejects: list[Reject]
    totals: dict[str, float]


def scored_block(measured: Measured, options: ScoreOptions, rejects: Rejects) -> ScoredBlock:
    """The table of a block; rows whose scores are not finite go to `rejects`."""
    tokens = _on_host(measured.statistics, options)
    lengths = np.array([len(one.places) for one in measured.sequences], dtype=np.int64)
    tokens["targets"] = np.concatenate([np.empty(0, np.int32), *(one.targets for one in measured.sequences)])
    finite_N = _finite_rows(tokens, lengths, measured.sequences, rejects)
    sequences = [one for one, kept in zip(measured.sequences, finite_N, strict=True) if kept]
    finite_M = np.repeat(finite_N, lengths)
    tokens = {name: values[finite_M] for name, values in tokens.items()}
    table, totals = _table(sequences, tokens, lengths[finite_N], options)
    table = table.take(np.argsort(np.array(measured.order, dtype=np.int64)[finite_N]))
    found = [*measured.block.rejects, *measured.rejects, *rejects.found]
    totals |= {"read": measured.block.read, "scored": len(sequences), "rejected": len(found)}
    return ScoredBlock(measured.block.number, measured.block.digest, table, found, totals)


def _on_host(statistics: Sequence[RowStatistics], options: ScoreOptions) -> dict[str, NDArray[Any]]:
    """Statistics of all batches by name, those that were asked for; of no batch they are empty."""
    ranks, likeliest = ("rank",) if options.per_token else (), _OF_LIKELIEST if options.top_k else ()
    if not statistics:
        empty = {name: np.empty(0, np.float32) for name in (*_OF_POSITIONS, *ranks)}
        return empty | {name: np.empty((0, options.top_k), np.float32) for name in likeliest}
    names = (*_OF_POSITIONS, *ranks, *likeliest)
    return {name: torch.cat([getattr(one, name) for one in statistics]).cpu().numpy() for name in names}


def _finite_rows(
    tokens: dict[str, NDArray[Any]], lengths: NDArray[np.int64], sequences: Sequence[Scorable], rejects: Rejects
) -> NDArray[np.bool_]:
    """[N] whether all numbers of a row are finite; the others are rejected with the first that is not."""
    fit = {name: np.isfinite(tokens[name]) for name in _OF_TOKENS}
    fit["nll"] |= tokens["targets"] == IGNORED
    starts = row_starts(lengths)
    finite_N = np.ones(len(lengths), dtype=bool)
    for row in np.unique(np.searchsorted(starts, np.flatnonzero(~np.all([*fit.values()], axis=0)), side="right") - 1):
        finite_N[row] = False
        part = slice(starts[row], starts[row] + lengths[row])
        name = next(name for name in _OF_TOKENS if not fit[name][part].all())
        at = int(np.flatnonzero(~fit[name][part])[0])
        value = float(tokens[name][part][at])
        rejects.add(reject_of(sequences[row], f"not a finite score: {name} is {value} at position {at} that counts"))
    return finite_N


def _table(
    sequences: Sequence[Scorable], tokens: dict[str, NDArray[Any]], lengths: NDArray[np.int64], options: ScoreOptions
) -> tuple["pyarrow.Table", dict[str, float]]:
    import pyarrow

    follows = tokens["targets"] != IGNORED
    nll_bytes = np.array([one.nll_bytes for one in sequences], dtype=np.float64)
    found = row_scores(tokens, lengths, follows, nll_bytes)
    totals = _totals(sequences, found, lengths)
    if options.top_k:
        shown = truncated(torch.from_numpy(tokens["topk_logprobs"]))
        found |= topk_scores({"mass": shown.mass, "entropy": shown.entropy, "varentropy": shown.varentropy}, lengths)
        totals["entropy_topk_sum"] = float((found["entropy_topk_mean"] * lengths).sum())
    fields = schema(per_token=options.per_token, top_k=options.top_k, kept=options.keep)
    columns = _row_columns(sequences, lengths, found) | {name: found[name] for name in STATISTICS}
    if options.top_k:
        columns |= {name: values for name, values in found.items() if "topk" in name}
    arrays = {name: _array(values, fields.field(name).type) for name, values in columns.items()}
    if options.per_token:
        arrays |= _lists(tokens, follows, lengths, options.top_k, fields)
    for name in options.keep:
        arrays[KEPT + name] = pyarrow.array([kept_json(one.row, name) for one in sequences], type=pyarrow.string())
    return pyarrow.table([arrays[name] for name in fields.names], schema=fields), totals


def _array(values: Any, kind: Any) -> "pyarrow.Array":
    """An array in which NaN is null."""
    import pyarrow

    return pyarrow.array(values, from_pandas=True, type=kind)


def _row_columns(sequences: Sequence[Scorable], lengths: NDArray[np.int64], found: dict[str, Floats]) -> dict[str, Any]:
    return {
        "id": [one.id for one in sequences],
        "position": [one.position for one in sequences],
        "source": [one.row.source for one in sequences],
        "line": [one.row.line for one in sequences],
        "text_hash": [one.text_hash for one in sequences],
        "tokens": lengths.astype(np.int32),
        "tokens_cut": [one.tokens_cut for one in sequences],
        "tokens_unknown": [one.tokens_unknown for one in sequences],
        "bytes": [one.bytes for one in sequences],
        "nll_tokens": found["nll_tokens"].astype(np.int32),
        "nll_bytes": [one.nll_bytes for one in sequences],
    }


def _totals(sequences: Sequence[Scorable], found: dict[str, Floats], lengths: NDArray[np.int64]) -> dict[str, float]:
    """What adds up over rows, and so over blocks."""
    counted = {
        "tokens": int(lengths.sum()),
        "tokens_cut": sum(one.tokens_cut for one in sequences),
        "tokens_unknown": sum(one.tokens_unknown for one in sequences),
        "rows_cut": sum(one.tokens_cut > 0 for one in sequences),
        "bytes": sum(one.bytes for one in sequences),
        "nll_tokens": int(found["nll_tokens"].sum()),
        "nll_bytes": sum(one.nll_bytes for one in sequences),
    }
    summed = {name: float(np.nansum(found[name])) for name in ("entropy_sum", "varentropy_sum", "nll_sum")}
    return counted | summed


def _lists(
    tokens: dict[str, NDArray[Any]], follows: NDArray[np.bool_], lengths: NDArray[np.int64], top_k: int, fields: Any
) -> dict[str, Any]:
    """The columns that hold a number for each position of a row."""
    import pyarrow

    ends = pyarrow.array(np.concatenate([[0], np.cumsum(lengths)]), type=pyarrow.int32())
    values = {
        "token_ids": pyarrow.array(tokens["targets"], mask=~follows),
        "token_entropy": pyarrow.array(tokens["entropy"]),
        "token_varentropy": pyarrow.array(tokens["varentropy"]),
        "token_nll": pyarrow.array(tokens["nll"], mask=~follows),
        "token_rank": pyarrow.array(tokens["rank"].astype(np.int32), mask=~follows),
    }
    lists = {name: pyarrow.ListArray.from_arrays(ends, values[name]) for name in PER_TOKEN}
    found = {name: array.cast(fields.field(name).type) for name, array in lists.items()}
    if top_k:
        inner = pyarrow.array(np.arange(0, len(follows) * top_k + 1, top_k), type=pyarrow.int32())
        for name in TOPK_LISTS:
            rows = pyarrow.ListArray.from_arrays(inner, pyarrow.array(tokens[name].reshape(-1)))
            found[name] = pyarrow.ListArray.from_arrays(ends, rows).cast(fields.field(name).type)
    return found


def kept_json(row: Row, name: str) -> str | None:
    """A column of the input as JSON; None where the row does not have it, or has null."""
    value = row.extra.get(name, row_content(row).get(name))
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if is_unicode(text) else json.dumps(value, default=str)
