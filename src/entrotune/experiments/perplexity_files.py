"""The folder of a perplexity: the record, a line for each text, and rows in order or divided by a filter."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrotune.data import Reject, write_rejects
from entrotune.data.rows import row_content
from entrotune.errors import UserError
from entrotune.experiments.perplexity_record import Measured
from entrotune.files import atomic_write_json, check_writable, open_atomic
from entrotune.scoring.perplexity.texts import Text
from entrotune.scoring.perplexity.uses import Uses, finite, kept, ranked

RECORD = "perplexity.json"
FILES = (RECORD, "rows.jsonl", "rejects.jsonl", "ranked.jsonl", "kept.jsonl", "dropped.jsonl", "anomalies.jsonl")


def check_out(folder: Path | None, *, overwrite: bool) -> None:
    """Raise `UserError` where `out` cannot be written to."""
    if folder is None:
        if overwrite:
            raise UserError("overwrite needs an output folder; give one as out")
        return
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output '{folder}' is a file; expected a folder")
    held = [name for name in FILES if (folder / name).exists()]
    if held and not overwrite:
        raise UserError(f"output folder '{folder}' holds {held[0]} already; give another folder, or overwrite")
    check_writable(folder)


def write_perplexity(
    folder: Path,
    record: dict[str, Any],
    texts: Sequence[Text],
    found: Sequence[Measured],
    uses: Uses,
    rejects: Sequence[Reject],
    z: NDArray[np.float64] | None,
) -> None:
    """Write the record last: its presence says that all is complete."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    _write_lines(folder / "rows.jsonl", _lines(texts, found, z))
    values = found[0].sums.values(uses.by)

    def rows(name: str, numbers: Iterable[int]) -> None:
        _write_lines(folder / name, (_row(texts[at], uses.by, float(values[at])) for at in numbers))

    if uses.rank is not None:
        rows("ranked.jsonl", ranked(values, uses.rank))
    if uses.filters:
        keeps = kept(values, uses)
        rows("kept.jsonl", map(int, np.flatnonzero(keeps)))
        rows("dropped.jsonl", map(int, np.flatnonzero(~keeps)))
    if uses.anomalies is not None and z is not None:
        rows("anomalies.jsonl", map(int, np.flatnonzero(np.abs(z) > uses.anomalies)))
    if rejects:
        write_rejects(folder / "rejects.jsonl", rejects)
    atomic_write_json(folder / RECORD, record)


def _lines(texts: Sequence[Text], found: Sequence[Measured], z: NDArray[np.float64] | None) -> Iterator[dict[str, Any]]:
    values = [{name: one.sums.values(name) for name in ("perplexity", "bits_per_byte")} for one in found]
    for at, text in enumerate(texts):
        models = {
            one.reader.name: {
                "tokens": int(one.sums.tokens[at]),
                "bytes": int(one.sums.bytes[at]),
                "nll_sum": float(one.sums.nll[at]),
                **{name: finite(of_model[at]) for name, of_model in own.items()},
            }
            for one, own in zip(found, values, strict=True)
        }
        line = {"id": text.id, "source": text.row.source, "line": text.row.line, "models": models}
        yield line if z is None else {**line, "z": float(z[at])}


def _row(text: Text, by: str, value: float) -> dict[str, Any]:
    """The row as it was read, with the value beside; of a row with several answers, the one that was measured."""
    row = {**row_content(text.row), **text.row.extra}
    if len(text.row.answers) > 1:
        row["answers"] = [text.row.answers[int(text.id.rpartition("#")[2])]]
    name = by
    while name in row:
        name += "_measured"
    return {"id": text.id, **row, name: finite(value)}


def _write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    with open_atomic(path, "wb") as file:
        for line in lines:
            text = json.dumps(line, ensure_ascii=False, default=str)
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")
