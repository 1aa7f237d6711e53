"""Groups of rows with coefficients of their own: from a column of the data to one number a token."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from trl import pack_dataset

from entrotune.data import Example, Row
from entrotune.errors import UserError
from entrotune.objectives import Groups

if TYPE_CHECKING:
    from datasets import Dataset

# A column of token sequences, and an entry of batches: the group of each token.
GROUPS = "coefficient_groups"
_TAKEN = ("input_ids", "labels", "id", GROUPS)


def check_columns(groups: Groups) -> None:
    """Raise a `UserError` where coefficients go by a column that token sequences have for themselves."""
    for column in groups.columns:
        if column in _TAKEN:
            raise UserError(f"coefficients go by {column}, which is no column of the data that tells rows apart")


def count_groups(groups: Groups, sides: Sequence[tuple[Sequence[Example], Sequence[Row]]]) -> dict[str, Any]:
    """Examples and supervised tokens of each group, and a digest of which row is of which.

    Args:
        groups: of the coefficients.
        sides: the examples of training and of validation, each with the rows that they come from: rows of two
            sources may have the same id.

    Raises:
        UserError: no row has a column, or a coefficient has no value for a row.
    """
    rows = [row for _, of_side in sides for row in of_side]
    for column in groups.columns:
        if not any(column in row.extra for row in rows):
            names = sorted({name for row in rows for name in row.extra})
            there = f"beside what is trained on they have {', '.join(names)}" if names else "they have no other column"
            raise UserError(f"coefficients go by the column {column!r}, which no row of {rows[0].source} has; {there}")
    found: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    order = []
    for examples, of_side in sides:
        numbers = {row.id: groups.number(row.extra, f"{row.source}:{row.line}") for row in of_side}
        order += [numbers[row.id] for row in of_side]
        for example in examples:
            found[numbers[example.row_id]] += 1
            tokens[numbers[example.row_id]] += example.supervised_tokens
    counts = {
        label: {"examples": found[number], "supervised_tokens": tokens[number]}
        for number, label in enumerate(groups.labels)
    }
    told = json.dumps([groups.labels, order])
    digest = hashlib.sha256(told.encode()).hexdigest()
    return {"columns": list(groups.columns), "fingerprint": digest, "counts": counts}


def unmatched(groups: Groups, rows: Sequence[Row]) -> list[str]:
    """What is told of branches that no row has, with the values that there are."""
    told = []
    for b in groups.branches:
        values = Counter(groups.text(row.extra, b.column, row.id) for row in rows)
        shown = ", ".join(f"{value} ({count:,})" for value, count in values.most_common(8) if value is not None)
        told += [
            f"coefficients.{b.name} has a value for {b.column} {branch!r}, which no row has; the rows have {shown}"
            for branch in b.courses
            if branch not in values and branch != "default"
        ]
    return told


def add_columns(
    dataset: "Dataset", examples: Sequence[Example], rows: Sequence[Row], groups: Groups | None
) -> "Dataset":
    """Examples as a data set, with the columns that coefficients go by."""
    if groups is None:
        return dataset
    by_id = {row.id: row for row in rows}
    for column in groups.columns:
        values = [groups.text(by_id[example.row_id].extra, column, example.row_id) for example in examples]
        dataset = dataset.add_column(column, values)
    return dataset


def with_groups(dataset: Any, groups: Groups, name: str) -> Any:
    """Prepared rows with the group of each of their tokens, from the columns that coefficients go by.

    Raises:
        UserError: a column is not there, or a coefficient has no value for a row.
    """
    there = getattr(dataset, "column_names", None) or []
    for column in groups.columns:
        if there and column not in there:
            raise UserError(
                f"coefficients go by the column {column!r}, which the {name} dataset has not; it has {', '.join(there)}"
            )

    def number(row: Mapping[str, Any], index: int) -> dict[str, list[int]]:
        group = groups.number(row, f"row {index + 1} of the {name} dataset")
        return {GROUPS: [group] * len(row["input_ids"])}

    return dataset.map(number, with_indices=True)


def packed_with_groups(dataset: Any, args: Any) -> Any:
    """Rows packed as TRL does, the group of each token with them."""
    dataset = dataset.select_columns(["input_ids", "labels", GROUPS])
    if args.shuffle_dataset:
        dataset = dataset.shuffle(seed=args.seed)
    packed = pack_dataset(dataset, args.max_length, args.packing_strategy)
    return packed.shuffle(seed=args.seed) if args.shuffle_dataset else packed


def behind_prompt(groups: Tensor, targets: Tensor) -> Tensor:
    """The groups as long as the targets: prompt learning puts tokens of its own, of which none is learned, in front."""
    return torch.nn.functional.pad(groups, (targets.shape[-1] - groups.shape[-1], 0))


class GroupCollator:
    """A collator whose batches say of which group each token is.

    Args:
        collator: of everything else.
    """

    def __init__(self, collator: Any) -> None:
        self.collator = collator

    def __call__(self, examples: list[Any]) -> Any:
        if GROUPS not in examples[0]:
            raise UserError(
                f"coefficients go by a column, but rows have no {GROUPS}; let the trainer prepare the data set "
                "(train_dataset or eval_dataset, without skip_prepare_dataset)"
            )
        groups = [torch.tensor(example[GROUPS]) for example in examples]
        batch = self.collator([{k: v for k, v in example.items() if k != GROUPS} for example in examples])
        return {**batch, GROUPS: _placed(groups, batch)}


def _placed(groups: list[Tensor], batch: Mapping[str, Any]) -> Tensor:
    """The groups where their tokens are in the batch; 0 at padding."""
    out = torch.zeros_like(batch["input_ids"])
    mask = batch.get("attention_mask")
    if mask is None:  # padding-free: one row, padded at its end
        mask = torch.zeros_like(out)
        mask[0, : sum(map(len, groups))] = 1
    out[mask.bool()] = torch.cat(groups)
    return out


def of_targets(groups: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    """The group of each target: position t predicts token t + 1.

    Raises:
        UserError: labels came shifted and as a part of each sequence, as in context parallelism.
    """
    shifted = inputs.get("shift_labels")
    if shifted is None:
        return groups[:, 1:]
    if shifted.shape != groups.shape:
        raise UserError("coefficients by a column do not go with sequences that are split among processes")
    return groups.roll(-1, dims=1)
