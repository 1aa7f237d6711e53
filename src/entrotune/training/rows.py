"""The rows of a run: read, split, encoded, counted."""

from dataclasses import dataclass
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
    split_rows,
)
from entrotune.errors import UserError
from entrotune.training.config import TrainConfig


@dataclass(frozen=True)
class TrainingRows:
    """Both sides of the split, as rows and as token sequences, and what was left out."""

    train_rows: list[Row]
    validation_rows: list[Row]
    train: list[Example]
    validation: list[Example]
    rejects: list[Reject]
    counts: dict[str, Any]
    told: str


def read_rows(config: TrainConfig, tokenizer: Any) -> TrainingRows:
    """Read, split and encode the rows a recipe names.

    Raises:
        UserError: no usable row on one of the sides, or a bad row where the recipe says to stop.
    """
    options: dict[str, Any] = {"format": config.format, "columns": config.columns, "on_bad_row": config.on_bad_row}
    read = load_rows(config.data, limit=config.limit, **options)
    rejects, told = list(read.rejects), read.describe()
    if isinstance(config.validation, str):
        held = load_rows(config.validation, **options)
        rejects, told = rejects + held.rejects, f"{told}\n{held.describe()}"
        train_rows, validation_rows = read.rows, held.rows
    else:
        train_rows, validation_rows = split_rows(read.rows, validation=config.validation, seed=config.split_seed)
    train = _encode(train_rows, tokenizer, config, "training")
    validation = _encode(validation_rows, tokenizer, config, "validation")
    rejects = [*rejects, *train.rejects, *validation.rejects]
    statistics = describe_examples(train.examples)
    counts = {
        "source": config.data,
        "format": read.format,
        "rows_read": read.read,
        "rows_rejected": len(rejects),
        "train_rows": len(train_rows),
        "validation_rows": len(validation_rows),
        "train_examples": len(train.examples),
        "validation_examples": len(validation.examples),
        "train_tokens": statistics.tokens,
        "supervised_tokens": statistics.supervised_tokens,
        "longest": statistics.longest,
        "fingerprint": fingerprint([*train_rows, *validation_rows]),
    }
    return TrainingRows(train_rows, validation_rows, train.examples, validation.examples, rejects, counts, told)


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
