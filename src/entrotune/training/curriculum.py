"""Training in the order of a curriculum: rows found by id, packed without reordering."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from entrotune.data import Example, Reject, Row, to_dataset
from entrotune.data.curriculum import Order, join_order, read_order
from entrotune.errors import UserError
from entrotune.training.groups import GROUPS

if TYPE_CHECKING:
    from datasets import Dataset


def follow(
    path: str, examples: Sequence[Example], *, held_out: Sequence[Row], rejects: Sequence[Reject]
) -> tuple[Order, dict[str, Any]]:
    """The order of a run's training examples, and what a record says about it.

    Steps whose row is held out for validation, or was rejected, are taken out and counted; the rest keep their
    sequence.

    Args:
        path: of `order.parquet`.
        examples: to train on.
        held_out: the validation rows.
        rejects: rows that could not be used.

    Raises:
        UserError: the order cannot be read, or is that of other rows.
    """
    order = read_order(path)
    absent = {
        "held out for validation": {row.id for row in held_out},
        "rejected": {reject.id for reject in rejects if reject.id is not None},
    }
    joined = join_order(order, [example.id for example in examples], absent=absent)
    steps = joined.indices.tolist()
    tokens = sum(len(examples[index].input_ids) for index in steps)
    counts = order.describe() | joined.counts() | {"train_tokens": tokens}
    return Order([examples[index].id for index in steps], order.left_out, order.metadata, order.path), counts


def with_ids(examples: Sequence[Example]) -> "Dataset":
    """Examples as a data set with the columns input_ids, labels and id."""
    return to_dataset(examples).add_column("id", [example.id for example in examples])


def check_arguments(args: Any) -> None:
    """Refuse what would shuffle, cut or drop rows of a curriculum.

    Raises:
        UserError: such an argument is set.
    """
    refused = {
        "shuffle_dataset": args.shuffle_dataset,
        "dataloader_drop_last": args.dataloader_drop_last,
        "train_sampling_strategy": args.train_sampling_strategy in ("group_by_length", "batch_rebalance"),
        "packing_strategy": args.packing and args.packing_strategy == "wrapped",
    }
    for name, is_set in refused.items():
        if is_set:
            raise UserError(
                f"{name}={getattr(args, name)!r} would not keep each row as the curriculum has it; leave {name} out"
            )


def without_cutting(args: Any) -> Any:
    """A copy of the arguments with which TRL prepares rows to be packed here: nothing packed, cut or moved."""
    changed = copy.copy(args)
    changed.max_length = None
    changed.shuffle_dataset = False
    return changed


def in_order(dataset: Any, order: Order, args: Any) -> "Dataset":
    """Prepared rows (columns input_ids, labels, id) in the sequence of an order, as the arguments batch them.

    Raises:
        UserError: ids that do not match, a row that is longer than a packed sequence, no column `id`.
    """
    if "id" not in (getattr(dataset, "column_names", None) or ()):
        raise UserError("a curriculum joins rows by id: give the train_dataset a column 'id', as scored")
    if not hasattr(dataset, "select"):
        raise UserError("a curriculum looks rows up by id; a streamed train_dataset cannot be followed, load it whole")
    joined = join_order(order, [str(id) for id in dataset["id"]])
    ordered = dataset.select_columns(_columns(dataset)).select(joined.indices)
    return _packed(ordered, args.max_length) if args.packing else ordered


def pack_in_order(lengths: Sequence[int], max_length: int) -> list[int]:
    """Where each packed sequence ends: consecutive rows go into one while they fit; none is moved or cut.

    Raises:
        UserError: a row is longer than `max_length`.
    """
    ends: list[int] = []
    used = 0
    for index, length in enumerate(lengths):
        if length > max_length:
            raise UserError(
                f"a row has {length} tokens, more than a packed sequence of max_length {max_length}; raise it, "
                "or leave such rows out before ordering"
            )
        if used and used + length > max_length:
            ends.append(index)
            used = 0
        used += length
    return [*ends, len(lengths)] if lengths else ends


def _columns(dataset: Any) -> list[str]:
    """The columns that have an entry for each token."""
    return [name for name in ("input_ids", "labels", GROUPS) if name in dataset.column_names]


def _packed(dataset: Any, max_length: int) -> "Dataset":
    """Pack as TRL does, with `seq_lengths` for the positions, but in order."""
    from datasets import Dataset

    table = dataset.with_format("arrow")[:]
    columns = {name: table[name].combine_chunks() for name in _columns(dataset)}
    lengths = pc.list_value_length(columns["input_ids"]).to_numpy(zero_copy_only=False)
    starts = np.array([0, *pack_in_order(lengths.tolist(), max_length)])
    rows = np.concatenate([[0], np.cumsum(lengths)])
    offsets = pa.array(rows[starts], pa.int64())
    packed = {name: pa.LargeListArray.from_arrays(offsets, column.flatten()) for name, column in columns.items()}
    packed["seq_lengths"] = pa.LargeListArray.from_arrays(pa.array(starts, pa.int64()), pa.array(lengths, pa.int64()))
    return Dataset(pa.table(packed))
