"""`entrotune report`: rebuild the report of a folder."""

from pathlib import Path

from entrotune.reports import write_report


def report(source: str, *, out: str | None = None) -> Path:
    """Write the HTML report of what a folder holds: a comparison, a run, an evaluation or an analysis.

    Args:
        source: a folder, or a comparison.json, evaluation.json or analysis.json.
        out: the file to write; by default report.html beside the record.

    Returns:
        The file written.
    """
    return write_report(source, out)
