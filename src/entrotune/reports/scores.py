"""What a score folder holds, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

_MEANS = {
    "entropy": ("mean entropy", "nats/token"),
    "varentropy": ("mean varentropy", "nats²/token"),
    "perplexity": ("perplexity", ""),
    "bits_per_byte": ("bits per byte", ""),
    "entropy_topk": ("entropy, top-k only", "nats/token"),
}


def score_table(record: Mapping[str, Any]) -> Table:
    """Counts and means over all positions.

    Args:
        record: the content of a score folder's `manifest.json`.
    """
    counts, means = record["counts"], record["means"]
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("rows read", f"{counts['read']:,}", "")
    table.add_row("scored", f"{counts['scored']:,}", f"mode {record['options']['mode']}")
    table.add_row("rejected", f"{counts['rejected']:,}", "rejects.jsonl has the reasons" if counts["rejected"] else "")
    table.add_row("tokens", f"{counts['tokens']:,}", "")
    if counts["tokens_cut"]:
        told = f"of {counts['rows_cut']:,} rows longer than {record['options']['max_length']:,}"
        table.add_row("tokens cut", f"{counts['tokens_cut']:,}", told)
    if counts["tokens_unknown"]:
        share = counts["tokens_unknown"] / counts["nll_tokens"]
        known = f"{share:.1%} of {counts['nll_tokens']:,} with a likelihood"
        told = f"{known}: perplexity and bits per byte are not those of the text"
        table.add_row("tokens unknown", f"{counts['tokens_unknown']:,}", told)
    for name, (label, unit) in _MEANS.items():
        if means.get(name) is not None:
            table.add_row(label, f"{means[name]:.4g}", unit)
    table.add_row("seconds", f"{record['seconds']:,.1f}", "")
    return table
