"""What commands print of what they made; each function returns the exit code."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def print_json(record: Any) -> int:
    """Print a record as JSON."""
    print(json.dumps(record, indent=2, ensure_ascii=False, default=str))
    return 0


def _console() -> "Console":
    from rich.console import Console  # only where something is shown

    return Console()


def show_run(record: Mapping[str, Any]) -> int:
    """A run in a line."""
    from entrotune.experiments.compare_train import nll_story

    print(f"{record['status']} in {record['seconds']:.0f} s: {nll_story(record)}")
    return 0


def show_comparison(record: Mapping[str, Any]) -> int:
    """A comparison: its table, what was found, and what was kept of other abilities."""
    from entrotune.reports import comparison_findings, comparison_table, retention_table

    console = _console()
    console.print(comparison_table(record, width=console.width))
    console.print(comparison_findings(record))
    kept = retention_table(record)
    if kept is not None:
        console.print(kept)
    out = record["recipe"]["out"]
    console.print(f"{record['seconds']['total']:.0f} s in all. Open {out}/report.html", markup=False, highlight=False)
    return 0


def show_sweep(record: Mapping[str, Any]) -> int:
    """A sweep: its table, what was found and what to use."""
    from entrotune.reports import sweep_findings, sweep_table

    console = _console()
    console.print(sweep_table(record))
    for sentence in sweep_findings(record):
        console.print(sentence, markup=False, highlight=False)
    out = record["recipe"]["out"]
    console.print(f"{record['seconds']:.0f} s. Open {out}/report.html", markup=False, highlight=False)
    return 0


def show_evaluation(record: Mapping[str, Any]) -> int:
    """An evaluation: its table, MAUVE and standard tasks where they were measured."""
    from entrotune.reports import evaluation_table, mauve_sentences, task_table, unshown

    console = _console()
    table = evaluation_table(record, width=console.width)
    console.print(table)
    if others := unshown(record, table):
        console.print(f"Also measured (in evaluation.json, with --out): {', '.join(others)}", markup=False)
    for sentence in mauve_sentences(record):
        console.print(sentence, markup=False, highlight=False)
    tasks = task_table(record)
    if tasks is not None:
        console.print(tasks)
    return 0


def show_scores(record: Mapping[str, Any]) -> int:
    """Scores in a table, and where they are."""
    from entrotune.reports import score_table

    _console().print(score_table(record))
    print(f"wrote {record['out']}{f' and {html}' if (html := record['html']) else ''}")
    return 0


def show_order(record: Mapping[str, Any]) -> int:
    """An order: how often rows are used, and which are not."""
    counts, left = record["counts"], ("filtered", "never_drawn", "not_scored")
    without = ", ".join(f"{counts[key]:,} {key.replace('_', ' ')}" for key in left if counts[key])
    uses = ", ".join(f"{rows:,} × {times}" for times, rows in counts["rows_by_uses"].items())
    print(f"wrote {record['out']}: {counts['steps']:,} steps; rows by uses: {uses}{without and f'; {without}'}")
    if stream := record.get("stream"):
        print(f"wrote {stream['folder']}: {stream['tokens']:,} tokens as {stream['dtype']}")
    return 0


def show_curriculum(record: Mapping[str, Any]) -> int:
    """A study of orders in a table."""
    from entrotune.reports import curriculum_table

    _console().print(curriculum_table(record))
    print(f"{record['seconds']:.0f} s. Open {record['recipe']['out']}/report.html")
    return 0


def show_diffuse(record: Mapping[str, Any]) -> int:
    """Distributions before and after, in a table."""
    from entrotune.reports import diffuse_table, group_tables

    console = _console()
    console.print(diffuse_table(record))
    for table in group_tables(record):
        console.print(table)
    print(f"{record['seconds']['total']:.0f} s. Open {record['recipe']['out']}/report.html")
    return 0


def show_analysis(record: Mapping[str, Any]) -> int:
    """An analysis: its table and what was found."""
    from entrotune.reports import analysis_findings, analysis_table

    console = _console()
    console.print(analysis_table(record))
    console.print(analysis_findings(record))
    console.print(f"Open {record['out']}/report.html", markup=False, highlight=False, soft_wrap=True)
    return 0


def show_perplexity(record: Mapping[str, Any]) -> int:
    """Perplexities in tables."""
    from entrotune.reports import perplexity_view

    _console().print(perplexity_view(record))
    return 0


def show_new_model(record: Mapping[str, Any]) -> int:
    """A new model in a sentence."""
    rejected = f", {record['rejected']:,} rows rejected" if record["rejected"] else ""
    print(
        f"wrote {record['out']}: {record['kind']} with {record['parameters']:,} parameters and "
        f"{record['vocabulary']:,} tokens, from {record['words']:,} words in {record['rows']:,} rows{rejected}; "
        f"{record['unknown_share']:.1%} of the words are unknown"
    )
    return 0


def show_generation(record: Mapping[str, Any], *, streamed: bool) -> int:
    """Responses, unless they were printed as they came; of strategies compared the table."""
    from entrotune.reports import generation_table, generation_view

    if "variants" in record:
        _console().print(generation_table(record))
        print(f"{record['seconds']['total']:.0f} s. Open {record['recipe']['out']}/report.html")
    elif not streamed:
        _console().print(generation_view(record), soft_wrap=True)
    if html := record.get("html"):
        print(f"wrote {html}", file=sys.stderr)
    return 0


def show_merge(record: Mapping[str, Any]) -> int:
    """A line a model."""
    for made in record["models"]:
        print(f"{made['out']}: {made['interpolate']:g} of the tuned model, {made['parameters']:,} parameters")
    return 0


def show_closed(url: str) -> int:
    """The page that was."""
    print(f"the page at {url} is closed")
    return 0


def show_written(path: Path) -> int:
    """The file that was written."""
    print(f"wrote {path}")
    return 0


def show_checks(found: Mapping[str, Any]) -> int:
    """A line a check, and what to do about those that are not well; 1 where there are any."""
    for check in found["checks"]:
        print(f"{'ok ' if check['ok'] else 'BAD'}  {check['name']}: {check['found']}")
        if not check["ok"]:
            print(f"     → {check['remedy']}")
    return 0 if found["ok"] else 1
