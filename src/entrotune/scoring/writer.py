"""The folder that is being written: parts that appear whole, one writer at a time, and going on after a stop."""

import contextlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from entrotune import provenance
from entrotune.data import write_rejects
from entrotune.errors import UserError
from entrotune.files import LOCK, alone, atomic_write_json, open_atomic
from entrotune.scoring.folder import KIND, METADATA_KEY, SCHEMA_VERSION, part_path, part_paths, read_manifest
from entrotune.scoring.table import ScoredBlock

# In the order in which they are removed: as long as there is anything, it is known to be ours.
ENTRIES = ("scores", "rejects", "rejects.jsonl", "manifest.json")


class ScoreWriter:
    """Writes a score folder; `open` it first.

    Args:
        folder: where; made where it does not exist.
        identity: what a folder's scores depend on, JSON: model, data and options. A folder of another is refused.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder, self.identity = folder, identity
        self.done: dict[int, dict[str, Any]] = {}
        """Number of a block whose part is complete → what its part says of it."""

    @contextlib.contextmanager
    def open(self, *, overwrite: bool = False) -> Iterator[None]:
        """Hold the folder for the block, so that no other process writes to it; find the parts that it has.

        Raises:
            UserError: another process writes to it, or it holds other files or scores of something else.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is a file; give the name of a folder to write the scores to")
        with alone(self.folder):
            self._find(overwrite)
            yield

    @property
    def finished(self) -> bool:
        """Whether the folder is complete."""
        return bool(self.done) and read_manifest(self.folder)["status"] == "finished"

    def start(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest of a folder that is not finished."""
        atomic_write_json(self.folder / "manifest.json", {**self._head("scoring"), **manifest})

    def write(self, scored: ScoredBlock) -> None:
        """Write a block's part; it is there, with its rejects, or it is not."""
        from pyarrow import parquet

        rejects = self._rejects(scored.number)
        rejects.unlink(missing_ok=True)
        if scored.rejects:
            write_rejects(rejects, scored.rejects)
        told = {"block": scored.number, "digest": scored.digest, "totals": scored.totals}
        about = {"schema_version": SCHEMA_VERSION, "kind": KIND, **self.identity, **told}
        table = scored.table.replace_schema_metadata({METADATA_KEY: json.dumps(about)})
        with open_atomic(part_path(self.folder, scored.number), "wb") as file:
            parquet.write_table(table, file, compression="zstd")
        self.done[scored.number] = told

    def finish(self, manifest: Mapping[str, Any], blocks: int) -> dict[str, Any]:
        """Write the rejects of all parts and the manifest with all counts.

        Raises:
            UserError: the folder has parts beyond the last block: the data has become shorter.
        """
        beyond = [number for number in self.done if number >= blocks]
        if beyond:
            raise UserError(
                f"the data has changed since {self.folder} was begun: it has {blocks:,} blocks of rows, and block "
                f"{beyond[0] + 1:,} was scored; give another folder, or --overwrite to score all anew"
            )
        self._join_rejects(blocks)
        record = {**self._head("finished"), **manifest, **self._totals()}
        # Last: its status says that the folder is complete.
        atomic_write_json(self.folder / "manifest.json", record)
        self._drop_rejects()
        return record

    def totals(self) -> dict[str, float]:
        """What the parts add up to."""
        parts = [told["totals"] for told in self.done.values()]
        names = dict.fromkeys(name for totals in parts for name in totals)
        return {name: sum(totals[name] for totals in parts) for name in names}

    def _find(self, overwrite: bool) -> None:
        held = [path.name for path in self.folder.iterdir() if path.name != LOCK]
        if (self.folder / "manifest.json").exists():
            manifest = read_manifest(self.folder)
            if overwrite:
                self._clear()
            elif part_paths(self.folder):  # without one, nothing was scored that could differ
                self._check_same(manifest)
        elif held and not all(name.startswith(".manifest.json.") for name in held):
            raise UserError(f"{self.folder} holds other files and no scores; give the name of another folder")
        for left in [*self.folder.glob(".*.partial"), *self.folder.glob("*/.*.partial")]:
            left.unlink()
        self.done = {told["block"]: told for told in map(read_part_metadata, part_paths(self.folder))}
        if self.finished:
            self._check_whole()
            self._drop_rejects()

    def _check_whole(self) -> None:
        """Raise `UserError` where parts of a finished folder are gone: their rejects are no longer known apart."""
        wanted, held = read_manifest(self.folder)["counts"]["read"], self.totals()["read"]
        if wanted != held:
            raise UserError(
                f"{self.folder} is finished, and should hold what came of {wanted:,} rows, but parts of it are missing "
                f"and {held:,} are left; give another folder, or --overwrite to score all anew"
            )

    def _check_same(self, manifest: Mapping[str, Any]) -> None:
        found = differences({name: manifest.get(name) for name in self.identity}, self.identity)
        if found:
            raise UserError(
                f"{self.folder} holds scores of something else: {'; '.join(found)}; give another folder, or "
                "--overwrite to replace them"
            )

    def _clear(self) -> None:
        for name in ENTRIES:
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _rejects(self, number: int) -> Path:
        return self.folder / "rejects" / f"part-{number:05d}.jsonl"

    def _drop_rejects(self) -> None:
        """Remove the rejects of the parts; those of a folder that is finished are in one file."""
        shutil.rmtree(self.folder / "rejects", ignore_errors=True)

    def _join_rejects(self, blocks: int) -> None:
        parts = [path for path in map(self._rejects, range(blocks)) if path.exists()]
        if not parts:
            (self.folder / "rejects.jsonl").unlink(missing_ok=True)
            return
        with open_atomic(self.folder / "rejects.jsonl", "wb") as file:
            for path in parts:
                file.write(path.read_bytes())

    def _head(self, status: str) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "status": status,
            **self.identity,
            "created": provenance.now(),
            "command": provenance.command_line(),
            "versions": provenance.versions(),
            "git_revision": provenance.git_revision(),
        }

    def _totals(self) -> dict[str, Any]:
        totals = self.totals()
        counts = {name: value for name, value in totals.items() if isinstance(value, int)}
        return {"counts": counts, "means": _means(totals)}


def _means(totals: Mapping[str, float]) -> dict[str, float | None]:
    """Means over all positions of the data, not over rows."""
    tokens, nll_tokens, size = totals["tokens"], totals["nll_tokens"], totals["nll_bytes"]
    nll = totals["nll_sum"] / nll_tokens if nll_tokens else None
    found = {
        "entropy": totals["entropy_sum"] / tokens if tokens else None,
        "varentropy": totals["varentropy_sum"] / tokens if tokens else None,
        "nll": nll,
        "perplexity": math.exp(nll) if nll is not None and nll < 700 else None,
        "bits_per_byte": totals["nll_sum"] / math.log(2) / size if size else None,
    }
    if "entropy_topk_sum" in totals and tokens:
        found["entropy_topk"] = totals["entropy_topk_sum"] / tokens
        found["entropy_topk_error"] = (totals["entropy_topk_sum"] - totals["entropy_sum"]) / tokens
    return found


def read_part_metadata(path: Path) -> dict[str, Any]:
    """What a part says of itself.

    Raises:
        UserError: it is not a part of a score folder.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        about = parquet.read_schema(path).metadata or {}
        return dict(json.loads(about[METADATA_KEY]))
    except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
        told = str(error).splitlines()[0]
        raise UserError(f"{path} is not a part of a score folder ({told}); remove it, and it is scored again") from None


def differences(old: Mapping[str, Any], new: Mapping[str, Any], under: str = "") -> list[str]:
    """Fields that differ, as `options.mode: all → predicted`."""
    found = []
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{under}{name}.")
        elif before != after:
            found.append(f"{under}{name}: {_short(before)} → {_short(after)}")
    return found


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
