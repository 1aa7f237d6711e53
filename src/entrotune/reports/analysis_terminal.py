"""An analysis in a terminal: a short table, and what was found in sentences."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from entrotune.reports.analysis_wording import analysis_sentences, effect_size, format_p
from entrotune.reports.numbers import format_number, read_estimate
from entrotune.reports.samples import visible

Record = Mapping[str, Any]


def analysis_table(record: Record) -> Table:
    """Models by their scores and correlations, or scores by how they tell right from wrong."""
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, title_justify="left", caption_justify="left"
    )
    table.title = Text(visible(record["title"]))
    return _models(record, table) if record["analysis"] == "models" else _correctness(record, table)


def analysis_findings(record: Record) -> Table:
    """What was found, a line each."""
    block = Table.grid(padding=(0, 1))
    for sentence in analysis_sentences(record):
        block.add_row("•", Text(visible(sentence)))
    return block


def _models(record: Record, table: Table) -> Table:
    name, found = next(iter(record["metrics"].items()))
    table.add_column("model")
    for heading in ("mean", "sd", *(f"ρ with {at + 1}" for at in range(len(record["models"])))):
        table.add_column(heading, justify="right", no_wrap=True)
    for at, model in enumerate(record["models"]):
        numbers = [found["models"][at][key] for key in ("mean", "sd")]
        numbers += [entry["value"] for entry in found["spearman"][at]]
        table.add_row(Text(visible(f"{at + 1} {model['label']}")), *(format_number(number) for number in numbers))
    table.caption = Text(f"{visible(found['label'])} ({name}), {found['unit']}. ρ: Spearman's correlation over rows.")
    return table


def _correctness(record: Record, table: Table) -> Table:
    table.add_column("score", no_wrap=True)
    for heading in ("right", "wrong", "AUC", "d", "p", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, found in record["predictors"].items():
        regime = next(one for one in record["regimes"] if one["predictors"] == [name])
        table.add_row(
            Text(visible(found["label"])),
            format_number(found["mean_right"]),
            format_number(found["mean_wrong"]),
            _estimate(found["auc"]),
            format_number(found["cohens_d"]["value"]),
            format_p(regime["p_holm"]).removeprefix("p ").removeprefix("= "),
            effect_size(found, record["thresholds"]),
        )
    table.caption = Text(
        "Means of right and wrong rows, nats. d: Cohen's. Below AUC: its 95% interval. p: of the likelihood-ratio "
        f"test, corrected (Holm) for {len(record['regimes'])} regressions."
    )
    return table


def _estimate(entry: Record) -> Text:
    shown = read_estimate(entry)
    assert shown is not None  # effect sizes of two classes always have a value
    text = Text(shown.text)
    if shown.has_interval:
        text.append(f"\n{shown.interval_text.replace(' to ', '–')}", style="dim")
    return text
