"""The course of one training run as a short table: a line for each time the validation rows were measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.reports.numbers import read_number

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class CurvePoint:
    """Validation figures at one step beside the mean of the training figures since the point before; nats a token."""

    step: int
    epoch: float | None
    train_nll: float | None
    validation_nll: float | None
    train_entropy: float | None
    validation_entropy: float | None
    is_best: bool = False


def curve_points(rows: Rows, best_step: int | None = None) -> list[CurvePoint]:
    """One point for each validation row, or for each epoch of training rows where nothing was validated.

    Args:
        rows: lines of `metrics.jsonl`, or a variant's curve.
        best_step: the step kept as best; the lowest validation NLL when None.
    """
    train = _split(rows, "train")
    validation = _split(rows, "validation")
    best = best_step if best_step is not None else lowest_step(rows)
    points, start = [], -math.inf
    for mark in validation or _epoch_ends(train):
        end = mark["step"]
        between = [row for row in train if start < row["step"] <= end]
        start = end
        points.append(
            CurvePoint(
                step=int(end),
                epoch=read_number(mark.get("epoch")),
                train_nll=_mean(between, "nll"),
                validation_nll=read_number(mark.get("nll")) if validation else None,
                train_entropy=_mean(between, "entropy"),
                validation_entropy=read_number(mark.get("entropy")) if validation else None,
                is_best=bool(validation) and end == best,
            )
        )
    return points


def mean_by_epoch(course: Rows, key: str) -> dict[float, float]:
    """{epoch: mean over seeds} of a trimmed variant's `course`; entries without a finite number are left out."""
    found: dict[float, list[float]] = {}
    for row in course:
        value, epoch = read_number(row.get(key)), read_number(row.get("epoch"))
        if value is not None and epoch is not None:
            found.setdefault(round(epoch, 2), []).append(value)
    return {epoch: sum(values) / len(values) for epoch, values in found.items()}


def lowest_step(rows: Rows) -> int | None:
    """The step of the lowest validation NLL, the first of equals; None without validation rows."""
    measured = [
        (nll, row["step"]) for row in _split(rows, "validation") if (nll := read_number(row.get("nll"))) is not None
    ]
    return int(min(measured)[1]) if measured else None


def _split(rows: Rows, split: str) -> list[Mapping[str, Any]]:
    """Rows of one split that have a step, one a step (the mean over seeds is left to the figures), ascending."""
    chosen = [row for row in rows if row.get("split", "train") == split and read_number(row.get("step")) is not None]
    return sorted({row["step"]: row for row in chosen}.values(), key=lambda row: row["step"])


def _epoch_ends(train: Rows) -> list[Mapping[str, Any]]:
    """The last row of each epoch; the last row alone where rows carry no epoch."""
    ends = {math.ceil(read_number(row.get("epoch")) or 0): row for row in train}
    return list(ends.values())


def _mean(rows: Rows, key: str) -> float | None:
    values = [value for row in rows if (value := read_number(row.get(key))) is not None]
    return sum(values) / len(values) if values else None
