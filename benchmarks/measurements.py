"""Files of JSON lines that measurements append to."""

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    """Every whole line of a file; none where it does not exist yet. A last line that was cut off is left out."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def outcomes(path: Path) -> dict[str, str]:
    """The last status of each case."""
    return {record["case"]: record["status"] for record in read_records(path) if record["part"] == "case"}


def settled(path: Path, *, retry: bool) -> set[str]:
    """Cases that need not be run again: those with an outcome, or with a good one where the rest is retried."""
    return {case for case, status in outcomes(path).items() if status == "ok" or not retry}
