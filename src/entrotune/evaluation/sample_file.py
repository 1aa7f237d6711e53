"""`samples.jsonl`: samples appended batch by batch, with the settings that made them in a file beside it."""

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entrotune.errors import UserError
from entrotune.evaluation.records import SampleRecord
from entrotune.line_files import append_lines, beside, claim, read_lines

SCHEMA_VERSION = 1


class SampleFile:
    """An append-only file of samples that survives being killed at any moment.

    Opening it drops a last batch that was not written to its end.

    Raises:
        UserError: the file was made with other settings (the first that differs is named) or is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        claim(path, beside(path, "settings.json"), {"schema_version": SCHEMA_VERSION, **settings})
        self._records = read_lines(path, SampleRecord.from_dict)

    def batches(self, temperature: float, sizes: Sequence[int]) -> dict[int, list[SampleRecord]]:
        """The complete batches held for a temperature, given how many records each batch must have."""
        held: dict[int, list[SampleRecord]] = {}
        for record in self._records:
            if record.temperature == temperature:
                held.setdefault(record.batch, []).append(record)
        partial = [number for number, records in held.items() if len(records) != sizes[number]]
        if partial:
            self._drop(temperature, partial[0])
            del held[partial[0]]
        return held

    def append(self, records: Sequence[SampleRecord]) -> None:
        """Add one batch, in one write that is on the disk when this returns."""
        append_lines(self.path, [record.to_dict() for record in records])
        self._records += records

    def _drop(self, temperature: float, batch: int) -> None:
        """Cut off the last batch; only the last can be partial, as each is on the disk before the next is drawn."""
        kept = list(
            itertools.takewhile(lambda one: (one.temperature, one.batch) != (temperature, batch), self._records)
        )
        if any((one.temperature, one.batch) != (temperature, batch) for one in self._records[len(kept) :]):
            raise UserError(f"'{self.path}' is damaged: batch {batch} is incomplete in its middle; use overwrite")
        content = self.path.read_bytes().splitlines(keepends=True)
        os.truncate(self.path, sum(map(len, content[: len(kept)])))
        self._records = kept
