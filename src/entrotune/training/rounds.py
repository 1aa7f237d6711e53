"""Rows shared out among processes that train together: each row once, and as many batches on every process."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import BatchSampler, Dataset

from entrotune.data.examples import IGNORED

BLANK = "is_blank"


@dataclass(frozen=True)
class Blank:
    """Stands for a batch without rows.

    Attributes:
        row: an example the model can read, of which nothing is learned and nothing counted.
    """

    row: Any


class RowsOrBlank(Dataset[Any]):
    """A data set that answers a batch of indices with their rows, or with a `Blank` where all of them are None."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index]

    def __getitems__(self, indices: Sequence[int | None]) -> list[Any]:
        wanted = [index for index in indices if index is not None]
        if not wanted:
            return [Blank(self.rows[0])]
        fetch = getattr(self.rows, "__getitems__", None)
        return fetch(wanted) if fetch is not None else [self.rows[index] for index in wanted]


class FullRounds(BatchSampler):
    """Batches of indices, the last round filled up with None until every process has a batch of the same size.

    Left to itself accelerate fills up with the first rows, which would be trained on and validated twice.

    Args:
        batches: of indices; only the last may be smaller.
        processes: how many share them, taking turns.
    """

    def __init__(self, batches: BatchSampler, processes: int) -> None:
        self.batches = batches
        self.processes = processes
        self.batch_size = batches.batch_size
        self.drop_last = False

    @property
    def sampler(self) -> Any:  # type: ignore[override]
        """Where the order comes from; accelerate tells it the epoch."""
        return self.batches.sampler

    def __iter__(self) -> Iterator[list[Any]]:
        count = 0
        for batch in self.batches:
            count += 1
            yield [*batch, *[None] * (self.batch_size - len(batch))]
        for _ in range(-count % self.processes):
            yield [None] * self.batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.batches) / self.processes) * self.processes


class BlankCollator:
    """A collator that makes of a `Blank` a batch of one row without labels, marked as blank."""

    def __init__(self, collator: Any) -> None:
        self.collator = collator

    def __call__(self, examples: list[Any]) -> Any:
        if not isinstance(examples[0], Blank):
            return self.collator(examples)
        batch = self.collator([examples[0].row])
        labels = {name: torch.full_like(batch[name], IGNORED) for name in ("labels", "shift_labels") if name in batch}
        return {**batch, **labels, BLANK: True}


def fill_rounds(loader: Any) -> None:
    """Let accelerate's loader of `RowsOrBlank` share out each row once, where it would repeat rows."""
    shard = loader.batch_sampler
    shard.batch_sampler = FullRounds(shard.batch_sampler, shard.num_processes)


def with_rows(values: torch.Tensor, rows: int, fill: float) -> torch.Tensor:
    """[R, …] → [rows, …], the missing rows filled, so that processes can gather them."""
    missing = values.new_full((rows - values.shape[0], *values.shape[1:]), fill)
    return torch.cat([values, missing]) if missing.shape[0] else values
