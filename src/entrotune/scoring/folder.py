"""The score folder: which columns a part has, and how a finished folder is read."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrotune.errors import UserError

if TYPE_CHECKING:
    import pyarrow

SCHEMA_VERSION = 1
KIND = "scores"
METADATA_KEY = b"entrotune"
KEPT = "kept_"
QUANTILES = (5, 25, 50, 75, 95)

_ROW = {
    "id": "string",
    "position": "int64",
    "source": "string",
    "line": "int64",
    "text_hash": "string",
    "tokens": "int32",
    "tokens_cut": "int32",
    "tokens_unknown": "int32",
    "bytes": "int64",
    "nll_tokens": "int32",
    "nll_bytes": "int64",
}
# Nats; float64.
STATISTICS = (
    *(f"{name}_{part}" for name in ("entropy", "varentropy") for part in ("mean", "sum", "last")),
    "sqrt_varentropy_mean",
    "nll_mean",
    "nll_sum",
    "perplexity",
    "bits_per_byte",
    *(f"entropy_q{percent:02d}" for percent in QUANTILES),
    "renyi2_mean",
    "top1",
)
TOPK_STATISTICS = ("entropy_topk_mean", "varentropy_topk_mean", "topk_mass_mean")
PER_TOKEN = {
    "token_ids": "int32",
    "token_entropy": "float32",
    "token_varentropy": "float32",
    "token_nll": "float32",
    "token_rank": "int32",
}
TOPK_LISTS = {"topk_ids": "int32", "topk_logprobs": "float32"}


@dataclass(frozen=True)
class Scores:
    """A finished score folder.

    Attributes:
        path: the folder.
        manifest: the content of `manifest.json`.
        table: a row a scored row, in the order of the input.
    """

    path: Path
    manifest: dict[str, Any]
    table: "pyarrow.Table"


def read_scores(path: str | Path, *, columns: Sequence[str] | None = None, finished: bool = True) -> Scores:
    """Read a score folder.

    Args:
        path: what `entrotune score` was given as `--out`.
        columns: which to read; by default all. Kept columns are called `kept_<name>`.
        finished: whether a folder that is still being written is refused; else what it has is read.

    Raises:
        UserError: it is no score folder, it is not finished, its files cannot be read, or it lacks a column.
    """
    import pyarrow

    folder = Path(path)
    manifest = read_manifest(folder)
    if finished and manifest["status"] != "finished":
        raise UserError(f"{folder} is not finished: its scores are still being written; start the same command again")
    parts = part_paths(folder)
    if not parts:
        raise UserError(f"{folder} holds no scores; start the same command again")
    tables = [_read_part(part, columns) for part in parts]
    table = pyarrow.concat_tables(tables, promote_options="permissive")
    scored = manifest["counts"]["scored"]
    if manifest["status"] == "finished" and table.num_rows != scored:
        raise UserError(f"{folder} should hold {scored:,} rows and holds {table.num_rows:,}: parts of it are missing")
    return Scores(folder, manifest, _with_kept_values(table))


def first_rows(folder: Path, most: int) -> list[tuple[int, str]]:
    """Position and id of the first scored rows, read from no more parts than needed."""
    found: list[tuple[int, str]] = []
    for part in part_paths(folder):
        table = _read_part(part, ["position", "id"]).slice(0, most - len(found))
        found += zip(table["position"].to_pylist(), table["id"].to_pylist(), strict=True)
        if len(found) >= most:
            break
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a score folder.

    Raises:
        UserError: there is no such folder, or it is not a score folder of this version.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        found = "is a file" if folder.exists() else "does not exist"
        what = "is no score folder (it has no manifest.json)" if folder.is_dir() else found
        raise UserError(f"{folder} {what}; give the folder that entrotune score wrote")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise UserError(f"{path} is not the manifest of a score folder; give the folder that entrotune score wrote")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {manifest.get('schema_version')}, expected {SCHEMA_VERSION}; "
            "read it with the version of entrotune that wrote it"
        )
    return manifest


def part_path(folder: Path, number: int) -> Path:
    """Where the scores of a block of rows are."""
    return folder / "scores" / f"part-{number:05d}.parquet"


def part_paths(folder: Path) -> list[Path]:
    """The parts that exist, in the order of the input."""
    found = (folder / "scores").glob("part-*.parquet")
    return sorted(found, key=lambda path: int(path.stem.removeprefix("part-")))


def schema(*, per_token: bool, top_k: int, kept: Iterable[str] = ()) -> "pyarrow.Schema":
    """The columns of a part. Kept columns are JSON texts: a part does not know the types of the others."""
    import pyarrow

    types = {"string": pyarrow.string(), "int64": pyarrow.int64(), "int32": pyarrow.int32()}
    types |= {"float32": pyarrow.float32(), "float64": pyarrow.float64()}
    fields = [pyarrow.field(name, types[kind]) for name, kind in _ROW.items()]
    fields += [pyarrow.field(name, types["float64"]) for name in STATISTICS]
    if top_k:
        fields += [pyarrow.field(name, types["float64"]) for name in TOPK_STATISTICS]
    if per_token:
        fields += [pyarrow.field(name, pyarrow.list_(types[kind])) for name, kind in PER_TOKEN.items()]
    if per_token and top_k:
        fields += [pyarrow.field(name, pyarrow.list_(pyarrow.list_(types[kind]))) for name, kind in TOPK_LISTS.items()]
    fields += [pyarrow.field(f"{KEPT}{name}", types["string"]) for name in kept]
    return pyarrow.schema(fields)


def _read_part(path: Path, columns: Sequence[str] | None) -> "pyarrow.Table":
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            missing = [name for name in columns or () if name not in file.schema_arrow.names]
            if missing:
                raise UserError(f"{path.parent.parent} has no column {missing[0]!r}; {_has(file.schema_arrow)}")
            return file.read(columns=None if columns is None else list(columns)).replace_schema_metadata(None)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None


def _with_kept_values(table: "pyarrow.Table") -> "pyarrow.Table":
    """Kept columns, written as JSON, as values of their own type; JSON stays where there is no type that holds all."""
    import pyarrow

    for index, name in enumerate(table.column_names):
        if name.startswith(KEPT):
            values = [None if text is None else json.loads(text) for text in table.column(index).to_pylist()]
            try:
                table = table.set_column(index, name, pyarrow.array(values))
            except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError):
                continue
    return table


def _has(schema: "pyarrow.Schema") -> str:
    return f"it has {', '.join(schema.names)}"
