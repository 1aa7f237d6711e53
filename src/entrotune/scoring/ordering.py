"""Scores → an order of their rows, and the rows' tokens in that order."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entrotune import provenance
from entrotune.data import Row
from entrotune.data.curriculum import OrderOptions, OrderPlan, plan_order, read_order, write_order, write_token_stream
from entrotune.data.stream import RowStream, stream_rows
from entrotune.errors import UserError
from entrotune.models import load_tokenizer
from entrotune.scoring.folder import Scores, read_scores

# What of the scores' manifest says which numbers an order was made of.
_IDENTITY = ("model", "data", "options", "conventions", "counts", "created")
_BLOCK = 1024


@dataclass(frozen=True)
class Ordered:
    """An order of scored rows.

    Attributes:
        read: the scores.
        ids: of their rows.
        plan: which rows are used, and when.
        left_out: reason → ids of rows that are not in the order, so that training can tell them from unknown ones.
        metadata: of the file: options, counts and the scores' identity.
    """

    read: Scores
    ids: list[str]
    plan: OrderPlan
    left_out: dict[str, list[str]]
    metadata: dict[str, Any]

    @classmethod
    def of(cls, scores: str, options: OrderOptions) -> "Ordered":
        """Order the rows of a folder of scores.

        Raises:
            UserError: nothing was scored, or a column that is no number.
        """
        read = _read(scores, options)
        ids: list[str] = read.table["id"].to_pylist()
        lengths = None if options.residual is None else _column(read, options.residual)
        plan = plan_order(_column(read, options.by), options, lengths=lengths, ids=ids)
        left_out = _left_out(read, plan, ids)
        return cls(read, ids, plan, left_out, _metadata(read, plan, options, left_out))

    @property
    def model(self) -> str:
        """The name of the model whose scores these are."""
        return str(self.read.manifest["model"]["name"])

    def write(self, path: str) -> None:
        """Write the parquet file that training follows."""
        positions = self.read.table["position"].to_pylist()
        write_order(path, self.plan, ids=self.ids, positions=positions, left_out=self.left_out, metadata=self.metadata)


def write_tokens(
    path: str, data: str, reading: Mapping[str, Any], *, model: str, folder: str, shard_tokens: int
) -> dict[str, Any]:
    """Write the tokens of the scored data in the order of a file; return what was written.

    Args:
        path: of the order.
        data: that was scored.
        reading: further arguments of `stream_rows`.
        model: whose tokenizer to use.
        folder: to write to.
        shard_tokens: a file ends with the document that reaches so many tokens.
    """
    stream = stream_rows(data, **reading)
    described = {"data": data, "tokenizer": model}
    tokenizer = load_tokenizer(model)
    return write_token_stream(
        read_order(path), _rows(stream), tokenizer, folder, shard_tokens=shard_tokens, described=described
    )


def _rows(stream: RowStream) -> Iterator[Row]:
    """The usable rows; those that are not are in the rejects of the scores."""
    for block in stream.blocks(_BLOCK):
        yield from block.rows


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
