"""`entrotune evidence`: comparisons → a page of Markdown, and the small records it is made from."""

import json
from pathlib import Path

from entrotune.errors import UserError
from entrotune.files import atomic_write_text
from entrotune.reports import evidence_page, read_record, trimmed


def evidence(sources: list[str], *, out: str = "evidence.md", keep: str | None = None) -> Path:
    """Write tables of comparisons, with intervals, seeds, model, data, date and command, as Markdown.

    Args:
        sources: folders of comparisons, their comparison.json, or folders of records that were kept.
        out: the page to write.
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
    if keep is not None:
        named = [_name(path) for path in found]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"two of the comparisons would be kept as {twice}.json; rename one of their folders")
        for path, record in found.items():
            text = json.dumps(trimmed(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            atomic_write_text(Path(keep) / f"{_name(path)}.json", text)
        found = {path: read_record(path, "comparison") for path in _records(Path(keep))}
    page = evidence_page([trimmed(record) if _is_whole(record) else record for record in found.values()])
    atomic_write_text(out, page)
    return Path(out)


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


def _is_whole(record: dict[str, object]) -> bool:
    return "samples" in record
