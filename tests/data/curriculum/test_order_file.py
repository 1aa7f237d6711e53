"""`order.parquet` is read back as it was written, or refused with the reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.data.curriculum import Order, OrderOptions, join_order, plan_order, read_order, write_order
from entrotune.data.curriculum.order_file import METADATA, SCHEMA
from entrotune.errors import UserError

IDS = ["a", "b#0", "b#1", "c 1", "ü"]


def written(path: Path) -> Path:
    plan = plan_order(np.array([3.0, 1.0, 2.0, 5.0, 4.0]), OrderOptions(bins="sorted", drop_top=20))
    write_order(
        path, plan, ids=IDS, positions=range(5), left_out={"filtered": ["c 1"]}, metadata={"options": {"by": "x"}}
    )
    return path


def test_round_trip(tmp_path: Path) -> None:
    order = read_order(written(tmp_path / "order.parquet"))
    assert order.ids == ["b#0", "b#1", "a", "ü"]
    assert order.left_out == {"filtered": ["c 1"]}
    assert order.describe()["by"] == "x"
    assert order.fingerprint != Order(order.ids[::-1]).fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["order.parquet"]


def changed(path: Path, *, metadata: dict[str, Any] | None = None, **columns: Any) -> None:
    table = pq.read_table(written(path))
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    if metadata is not None:
        found = json.loads(table.schema.metadata[METADATA]) | metadata
        table = table.replace_schema_metadata({METADATA: json.dumps(found).encode()})
    pq.write_table(table, path)


BAD: dict[str, tuple[Any, str]] = {
    "absent": (lambda path: None, "no order"),
    "a folder": (lambda path: path.mkdir(), "no order"),
    "no parquet": (lambda path: path.write_text("id\na\n"), "cannot be read as parquet"),
    "another table": (lambda path: pq.write_table(pa.table({"id": ["a"]}), path), "no order of entrotune"),
    "another kind": (lambda path: changed(path, metadata={"kind": "scores"}), "no order of entrotune"),
    "another version": (lambda path: changed(path, metadata={"schema_version": 9}), "schema_version 9"),
    "steps with a gap": (lambda path: changed(path, step_position=[0, 1, 3, 4]), "step_position must count"),
    "a step without id": (lambda path: changed(path, id=["a", None, "b#0", "ü"]), "1 steps without an id"),
    "no step": (
        lambda path: pq.write_table(
            SCHEMA.with_metadata({METADATA: b'{"kind": "order", "schema_version": 1}'}).empty_table(), path
        ),
        "over at least one row",
    ),
    "no column": (lambda path: pq.write_table(pq.read_table(written(path)).drop(["id"]), path), "lacks the column id"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    make(tmp_path / "order.parquet")
    with pytest.raises(UserError, match=message):
        read_order(tmp_path / "order.parquet")


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.sets(st.integers(0, 6)))
def test_join(steps: list[int], held_out: set[int]) -> None:
    order = Order([f"r{index}" for index in steps], {"filtered": [f"r{index}" for index in range(7)]})
    ids = [f"r{index}" for index in range(6, -1, -1) if index not in held_out]
    left = [index for index in steps if index not in held_out]
    absent = {"held out": {f"r{index}" for index in held_out}}
    if not left:
        with pytest.raises(UserError, match="no step of the order is left"):
            join_order(order, ids, absent=absent)
        return
    joined = join_order(order, ids, absent=absent)
    assert [ids[index] for index in joined.indices] == [f"r{index}" for index in left]
    assert joined.removed == ({"held out": len(steps) - len(left)} if len(left) < len(steps) else {})
    assert sum(joined.unused.values()) == len(ids) - len(set(left))


def test_a_row_stands_for_its_answers() -> None:
    joined = join_order(Order(["q2", "q1", "q2"]), ["q1", "q2#0", "q2#1"])
    assert joined.indices.tolist() == [1, 2, 0, 1, 2]
    # An answer of a row that is held out is held out too.
    joined = join_order(Order(["q2#1", "q1"]), ["q1"], absent={"held out": ["q2"]})
    assert (joined.indices.tolist(), joined.removed) == ([0], {"held out": 1})
