"""`samples.jsonl`: samples appended batch by batch, with the settings that made them in a file beside it."""

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entrotune.errors import UserError
from entrotune.evaluation.records import SampleRecord
from entrotune.files import atomic_write_json

SCHEMA_VERSION = 1


def settings_path(path: Path) -> Path:
    """The file that tells how the samples in `path` were made: `samples.settings.json`."""
    return path.with_suffix(".settings.json")


class SampleFile:
    """An append-only file of samples that survives being killed at any moment.

    Opening it drops a last batch that was not written to its end.

    Raises:
        UserError: the file was made with other settings (the first that differs is named) or is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = {"schema_version": SCHEMA_VERSION, **settings}
        if not settings_path(path).exists():
            if path.exists():
                raise UserError(f"'{path}' exists without '{settings_path(path).name}': move it away or use overwrite")
            atomic_write_json(settings_path(path), settings)
        self._check_settings(settings)
        self._records = self._read()

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
        lines = "".join(json.dumps(record.to_dict(), ensure_ascii=False) + "\n" for record in records)
        with self.path.open("ab") as file:
            file.write(lines.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
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

    def _read(self) -> list[SampleRecord]:
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # the process was killed within a line
            os.truncate(self.path, whole)
        records = []
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                records.append(SampleRecord.from_dict(json.loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(f"'{self.path}' line {number} is not a sample; use overwrite to start anew") from error
        return records

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        path = settings_path(self.path)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"'{path}' is not JSON; use overwrite to start anew") from error
        for name in dict.fromkeys([*settings, *found]):
            if found.get(name) != settings.get(name):
                raise UserError(
                    f"'{self.path}' was made with {name} = {found.get(name)}, not {settings.get(name)}; "
                    "use the same settings to continue it, another folder, or overwrite"
                )
