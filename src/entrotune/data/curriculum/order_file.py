"""`order.parquet`: a row a step, and in the schema's metadata how it was made."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from entrotune.data.curriculum.plan import OrderPlan
from entrotune.errors import UserError
from entrotune.files import open_atomic

SCHEMA_VERSION = 1
METADATA = b"entrotune"
SCHEMA = pa.schema(
    [
        pa.field("step_position", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("bin", pa.int64(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Order:
    """A sequence of row ids.

    Attributes:
        ids: the row of each step; a row may come several times.
        left_out: reason → ids of rows that were scored or read and are not in the order.
        metadata: options, counts, identity of the scores.
        path: the file it was read from, for messages.
    """

    ids: list[str]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    path: str = "the order"

    @property
    def fingerprint(self) -> str:
        """A hash of the sequence of ids, 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for id in self.ids:
            digest.update(json.dumps(id).encode() + b"\n")
        return digest.hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """What a record of a run says about the order it followed."""
        options = self.metadata.get("options", {})
        named = {key: options[key] for key in ("by", "schedule", "pacing", "bins", "epochs", "seed") if key in options}
        return {"path": self.path, "fingerprint": self.fingerprint, "steps": len(self.ids), **named}


def write_order(
    path: str | Path,
    plan: OrderPlan,
    *,
    ids: Sequence[str],
    positions: Sequence[int],
    left_out: dict[str, list[str]],
    metadata: dict[str, Any],
) -> None:
    """Write an order; the file appears whole or not at all.

    Args:
        path: of the parquet file.
        plan: the order.
        ids: [N] of the rows.
        positions: [N] number of each row in the input.
        left_out: reason → ids of the rows that are not in the order.
        metadata: what else the schema's metadata says.
    """
    names, places = np.asarray(ids, dtype=object), np.asarray(positions, dtype=np.int64)
    columns = {
        "step_position": np.arange(len(plan.rows)),
        "id": names[plan.rows],
        "position": places[plan.rows],
        "bin": plan.bins[plan.rows],
        "epoch": plan.epoch.astype(np.int32),
        "score": plan.values[plan.rows],
    }
    content = {"schema_version": SCHEMA_VERSION, "kind": "order", "left_out": left_out, **metadata}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    table = pa.table(columns, schema=SCHEMA.with_metadata({METADATA: text.encode("utf-8")}))
    with open_atomic(path, "wb") as file:
        pq.write_table(table, file, compression="zstd")


def read_order(path: str | Path) -> Order:
    """Read `order.parquet`.

    Raises:
        UserError: no such file, no order, another schema version, or steps that are not 0, 1, 2, ….
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no order {path}: give the file that `entrotune order --out` wrote")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None
    metadata = _metadata(table, path)
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise UserError(f"{path} lacks the column {missing[0]}; make the order again with `entrotune order`")
    steps = table["step_position"].to_numpy()
    if not len(steps) or not np.array_equal(steps, np.arange(len(steps))):
        raise UserError(f"{path} is no complete order: step_position must count 0, 1, 2, … over at least one row")
    if table["id"].null_count:
        raise UserError(f"{path} has {table['id'].null_count:,} steps without an id; make the order again")
    left_out = metadata.pop("left_out", {})
    return Order(table["id"].to_pylist(), left_out, metadata, str(path))


def _metadata(table: pa.Table, path: Path) -> dict[str, Any]:
    raw = (table.schema.metadata or {}).get(METADATA)
    try:
        metadata = json.loads(raw) if raw else {}
    except ValueError:
        metadata = {}
    if metadata.get("kind") != "order":
        raise UserError(f"{path} is a parquet file, but no order of entrotune; make one with `entrotune order SCORES`")
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema_version {metadata.get('schema_version')!r}, but this entrotune reads {SCHEMA_VERSION}: "
            "make the order again"
        )
    return metadata
