"""Results of standard tasks and MAUVE of an evaluation, as a report and a terminal show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from entrotune.reports.numbers import MISSING, Shown, format_count, format_number, read_estimate, read_number
from entrotune.reports.samples import visible
from entrotune.reports.views import temperature_text


@dataclass(frozen=True)
class TaskRow:
    """One metric of one task."""

    task: str
    version: str
    shots: str
    documents: str
    metric: str
    shown: Shown


def read_tasks(evaluation: Mapping[str, Any]) -> list[TaskRow]:
    """A row a task and metric, in the order of the record; none where no standard task was run."""
    rows = []
    for task in (evaluation.get("lm_eval") or {}).get("tasks") or []:
        documents = format_count(task.get("n"))
        if task.get("of") not in (None, task.get("n")):
            documents += f" of {format_count(task['of'])}"
        version = MISSING if task.get("version") is None else f"{task['version']}"
        for name, value in (task.get("metrics") or {}).items():
            shown = read_estimate(value)
            if shown is not None:
                title = visible(str(task.get("title") or task["task"]))
                rows.append(TaskRow(title, version, format_count(task.get("shots")), documents, name, shown))
    return rows


def task_table(evaluation: Mapping[str, Any]) -> Table | None:
    """Standard tasks as a table for a terminal; None where none was run."""
    rows = read_tasks(evaluation)
    if not rows:
        return None
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, title_justify="left", caption_justify="left")
    table.title = Text(f"Standard tasks, by lm-eval {evaluation['lm_eval'].get('version', '')}")
    table.caption = Text("95% intervals: 1.96 standard errors of lm-eval.")
    for heading in ("task", "version", "shots", "n", "metric", "value", "95% interval"):
        table.add_column(heading, justify="left" if heading in ("task", "metric") else "right")
    for row in rows:
        interval = row.shown.interval_text.replace(" to ", "–")
        table.add_row(row.task, row.version, row.shots, row.documents, row.metric, row.shown.text, interval)
    return table


def mauve_sentences(evaluation: Mapping[str, Any]) -> list[str]:
    """MAUVE at each temperature, beside what equal distributions would score; none where it was not measured."""
    sentences = []
    for setting in evaluation.get("settings") or []:
        found = setting.get("mauve")
        value = read_number(found.get("value")) if isinstance(found, Mapping) else None
        if value is None:
            continue
        same = found.get("same") or {}
        at = temperature_text(read_number(setting.get("temperature")))
        sampled, people, buckets = (format_count(found.get(name)) for name in ("sampled", "people", "buckets"))
        bounds = [read_number(same.get(name)) for name in ("low", "high")]
        told = " to ".join(format_number(bound) for bound in bounds if bound is not None)
        note = f"; {found['note']}" if found.get("note") else ""
        sentences.append(
            f"MAUVE at temperature {at}: {format_number(value)} ({sampled} samples against {people} answers of people, "
            f"{buckets} buckets; equal distributions would score {told}{note})."
        )
    return sentences
