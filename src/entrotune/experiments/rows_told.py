"""What must not go unseen about the rows of a command that worked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def rows_to_know(data: Mapping[str, Any], rejects: str | Path) -> list[str]:
    """Sentences about rejected rows, and about validation prompts that are trained on; none where all is well.

    Args:
        data: the counts of the rows.
        rejects: the file that says which rows were rejected.
    """
    told = []
    if data["rejects"]:
        rows = f"{data['rows_rejected']:,} of {data['rows_read']:,} rows rejected"
        if data["rejects"] > data["rows_rejected"]:
            rows += f", and single answers of others ({data['rejects']:,} rejects in all)"
        told.append(f"{rows}; {rejects} says which and why")
    if seen := data.get("validation_rows_in_training"):
        told.append(
            f"{seen:,} of {data['validation_rows']:,} validation rows have a prompt that is trained on: validation "
            "tells less of new prompts than it seems to"
        )
    return told
