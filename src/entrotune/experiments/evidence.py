"""`entrotune evidence`: comparisons → a page of Markdown with pictures, and the small records it is made from."""

import json
import os
from pathlib import Path
from typing import Any

from entrotune.errors import UserError
from entrotune.files import atomic_write_text
from entrotune.reports import evidence_page, evidence_picture, forest_picture, read_record, trimmed

FOREST = "equal-diversity.svg"


def evidence(sources: list[str], *, out: str = "evidence.md", keep: str | None = None) -> Path:
    """Write tables and pictures of comparisons, with intervals, seeds, model, data, date and command, as Markdown.

    Args:
        sources: folders of comparisons, their comparison.json, or folders of records that were kept.
        out: the page to write. Pictures (SVG) are written beside the kept records, else into a folder beside the page
            that has its name.
        keep: a folder for the records of the sources, without samples and small enough to be committed; the page is
            then made from all records in it.

    Returns:
        The page.

    Raises:
        ValueError: nothing to make a page of, a record that cannot be read, or two that would share a name.
    """
    found = {path: read_record(path, "comparison") for source in sources for path in _records(Path(source))}
    if not found:
        raise UserError("no comparison was given; name the folder of one")
    named = [_name(path) for path in found]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two of the comparisons are named {twice}, and so would be their files; rename a folder")
    small = {_name(path): _small(record) for path, record in found.items()}
    if keep is not None:
        for name, record in small.items():
            text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            atomic_write_text(Path(keep) / f"{name}.json", text)
        small = {_name(path): _small(read_record(path, "comparison")) for path in _records(Path(keep))}
    folder = Path(keep) if keep is not None else Path(out).with_suffix("")
    records, page = list(small.values()), Path(out)
    pictures = [_written(evidence_picture(record), folder / f"{name}.svg", page) for name, record in small.items()]
    forest = _written(forest_picture(records), folder / FOREST, page)
    atomic_write_text(out, evidence_page(records, pictures, forest))
    return page


def _written(picture: str | None, path: Path, page: Path) -> str | None:
    """The path from the page of a picture that was written; None where nothing can be drawn."""
    if picture is None:
        return None
    atomic_write_text(path, picture)
    return Path(os.path.relpath(path, page.parent)).as_posix()


def _records(source: Path) -> list[Path]:
    """A record, that of a comparison's folder, or those of a folder of records, by name."""
    if source.is_file():
        return [source]
    if (source / "comparison.json").is_file():
        return [source / "comparison.json"]
    kept = sorted(source.glob("*.json")) if source.is_dir() else []
    if not kept:
        raise UserError(f"{source} is neither a comparison nor a folder of records of comparisons")
    return kept


def _name(path: Path) -> str:
    return path.resolve().parent.name if path.name == "comparison.json" else path.stem


def _small(record: dict[str, Any]) -> dict[str, Any]:
    """What a page needs of a comparison; one that was kept is small already."""
    return trimmed(record) if "samples" in record else record
