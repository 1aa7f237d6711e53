"""The rows of a run: read, split, encoded, counted."""

import warnings
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from entrotune.data import (
    EncodedSet,
    Example,
    Reject,
    Row,
    describe_examples,
    encode_rows,
    fingerprint,
    load_rows,
    prompt_key,
    split_rows,
)
from entrotune.data.curriculum import Order
from entrotune.data.rejects import first_reasons
from entrotune.errors import UserError
from entrotune.objectives import Groups, NamedCoefficients, Objective
from entrotune.training.config import TrainConfig
from entrotune.training.curriculum import follow
from entrotune.training.groups import check_columns, count_groups, unmatched


@dataclass(frozen=True)
class TrainingRows:
    """Both sides of the split, as rows and as token sequences, what was left out, the order to train in, and the groups
    that coefficients by columns make of rows.
    """

    train_rows: list[Row]
    validation_rows: list[Row]
    train: list[Example]
    validation: list[Example]
    rejects: list[Reject]
    counts: dict[str, Any]
    told: str
    order: Order | None = None
    groups: Groups | None = None


def read_rows(config: TrainConfig, tokenizer: Any) -> TrainingRows:
    """Read, split and encode the rows a recipe names.

    Raises:
        UserError: no usable row on one of the sides, a bad row where the recipe says to stop, or a curriculum of
            other rows.
    """
    options: dict[str, Any] = {"format": config.format, "columns": config.columns, "on_bad_row": config.on_bad_row}
    read = load_rows(config.data, limit=config.limit, **options)
    rejects, told = list(read.rejects), read.describe()
    rows = [_with_fewer_answers(row, config.max_answers) for row in read.rows]
    if isinstance(config.validation, str):
        held = load_rows(config.validation, **options)
        rejects, told = rejects + held.rejects, f"{told}\n{held.describe()}"
        train_rows, validation_rows = rows, [_with_fewer_answers(row, config.max_answers) for row in held.rows]
        records = read.read + held.read
    else:
        records = read.read
        train_rows, validation_rows = _split(rows, rejects, config)
    left_out = len(train_rows)
    train_rows = _first_of_each_prompt(train_rows, config.max_answers)
    left_out -= len(train_rows)
    if left_out:
        told += (
            f"\n  {left_out:,} training rows left out: their prompts have max_answers={config.max_answers} before them."
        )
    train = _encode(train_rows, tokenizer, config, "training")
    validation = _encode(validation_rows, tokenizer, config, "validation")
    encoded = len(train_rows) + len(validation_rows)
    train_rows, validation_rows = _usable(train_rows, train), _usable(validation_rows, validation)
    rows_rejected = len(rejects) + encoded - len(train_rows) - len(validation_rows)
    both_sides = _seen_in_training(train_rows, validation_rows)
    if both_sides:
        told += f"\n  {both_sides:,} of {len(validation_rows):,} validation rows have a prompt that is trained on."
    rejects = [*rejects, *train.rejects, *validation.rejects]
    statistics = describe_examples(train.examples)
    counts = {
        "source": config.data,
        "format": read.format,
        "rows_read": records,
        "rows_rejected": rows_rejected,
        "rejects": len(rejects),
        "rows_left_out": left_out,
        "train_rows": len(train_rows),
        "validation_rows": len(validation_rows),
        **({"validation_rows_in_training": both_sides} if both_sides else {}),
        "train_examples": len(train.examples),
        "validation_examples": len(validation.examples),
        "train_tokens": statistics.tokens,
        "supervised_tokens": statistics.supervised_tokens,
        "longest": statistics.longest,
        "fingerprint": fingerprint([*train_rows, *validation_rows]),
    }
    groups = NamedCoefficients(Objective(config.objective), config.coefficients).groups
    if groups is not None:
        check_columns(groups)
        both = [*train_rows, *validation_rows]
        sides = [(train.examples, train_rows), (validation.examples, validation_rows)]
        counts["groups"] = count_groups(groups, sides)
        for line in unmatched(groups, both):
            warnings.warn(line, UserWarning, stacklevel=2)
    order = None
    if config.curriculum is not None:
        order, followed = follow(config.curriculum, train.examples, held_out=validation_rows, rejects=rejects)
        counts["curriculum"] = followed
    return TrainingRows(
        train_rows, validation_rows, train.examples, validation.examples, rejects, counts, told, order, groups
    )


def _split(rows: list[Row], rejects: list[Reject], config: TrainConfig) -> tuple[list[Row], list[Row]]:
    """Both sides; where there are too few rows, what became of others is told."""
    assert not isinstance(config.validation, str)
    try:
        return split_rows(rows, validation=config.validation, seed=config.split_seed)
    except UserError as error:
        told = f" ({len(rejects):,} rejects: {first_reasons(rejects)})" if rejects else ""
        raise UserError(f"{error}{told}") from None


def _seen_in_training(train_rows: list[Row], validation_rows: list[Row]) -> int:
    """Validation rows whose prompt (of plain text: whose text) is trained on; a split makes none, two sources may."""
    trained = {prompt_key(row) for row in train_rows}
    return sum(prompt_key(row) in trained for row in validation_rows)


def _with_fewer_answers(row: Row, count: int | None) -> Row:
    """A row with its first `count` answers."""
    return row if count is None else replace(row, answers=row.answers[:count])


def _first_of_each_prompt(rows: list[Row], count: int | None) -> list[Row]:
    """Rows until their prompt has `count` answers; a row that would only repeat a prompt beyond that is left out."""
    if count is None:
        return rows
    answers: Counter[str] = Counter()
    kept = []
    for row in rows:
        key = prompt_key(row)
        if answers[key] < count:
            kept.append(replace(row, answers=row.answers[: count - answers[key]]))
            answers[key] += max(1, len(kept[-1].answers))
    return kept


def _usable(rows: list[Row], encoded: EncodedSet) -> list[Row]:
    """The rows with at least one example; the others stand among the rejects."""
    found = {example.row_id for example in encoded.examples}
    return [row for row in rows if row.id in found]


def _encode(rows: list[Row], tokenizer: Any, config: TrainConfig, side: str) -> EncodedSet:
    encoded = encode_rows(
        rows,
        tokenizer,
        max_length=config.max_length,
        system=config.system,
        supervise=config.supervise,
        on_bad_row=config.on_bad_row,
    )
    try:
        encoded.check_usable()
    except UserError as error:
        raise UserError(f"no usable {side} row in {Path(config.data).name}: {error}") from None
    return encoded
