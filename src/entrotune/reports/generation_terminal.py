"""What was generated, for a terminal: texts, what was rejected and why, and how varied it is."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from entrotune.reports.numbers import read_estimate
from entrotune.reports.samples import visible

_SHOWN = 20


def generation_view(record: Mapping[str, Any]) -> Group:
    """The chosen responses, or all where none were chosen (the first 20), then counts and varieties."""
    lines = [*_texts(record), *_counts(record), *_fields(record)]
    if record.get("out"):
        lines.append(Text(f"wrote {record['out']}", style="dim"))
    return Group(*lines)


def _texts(record: Mapping[str, Any]) -> Iterator[Text]:
    shown = record["selected"] or record["outputs"]
    single = record["counts"]["prompts"] == 1 and record["counts"]["responses"] == 1
    for line in shown[:_SHOWN]:
        if single:
            yield Text(visible(line["text"]))
            continue
        score = f" · {line['score']:.4g}" if isinstance(line.get("score"), int | float) else ""
        yield Text(f"{visible(line['prompt_id'])} [{line['index']}{score}]", style="bold")
        yield Text(visible(line["text"]))
    if len(shown) > _SHOWN:
        where = "--out keeps them" if not record.get("out") else f"all are in {record['out']}"
        yield Text(f"… and {len(shown) - _SHOWN:,} more; {where}", style="dim")


def _counts(record: Mapping[str, Any]) -> Iterator[Text]:
    counts = record["counts"]
    if counts["rejected"]:
        reasons = ", ".join(f"{name} {count:,}" for name, count in counts["rejected_for"].items())
        yield Text(f"{counts['rejected']:,} of {counts['responses']:,} responses rejected: {reasons}", style="yellow")
    if counts["prompts_rejected"]:
        yield Text(f"{counts['prompts_rejected']:,} rows of the prompts file could not be used", style="yellow")
    if counts["unfinished"]:
        yield Text(f"{counts['unfinished']:,} of {counts['responses']:,} reached the limit of new tokens", style="dim")
    if diversity := record.get("diversity"):
        told = ", ".join(
            f"{name} {diversity[name]:.3g}" for name in ("distinct_2", "self_bleu", "vendi") if name in diversity
        )
        yield Text(f"diversity: {told}; {diversity['distinct_outputs']:.0f} different", style="dim")


def _fields(record: Mapping[str, Any]) -> Iterator[Text]:
    fields = record.get("fields")
    if not fields:
        return
    yield Text(
        f"{fields['valid']:,} of {fields['answers']:,} answers valid, {fields['distinct']:,} different, "
        f"{fields['near_duplicates']:,} near-duplicates (alike in all fields but at most one)"
    )
    width = max(map(len, fields["fields"]))
    for name, told in fields["fields"].items():
        commonest = ", ".join(f"{visible(value)} {count}" for value, count in told["commonest"])
        yield Text(f"  {name:<{width}}  {told['distinct']:>6,} different, {told['invalid']:,} invalid; {commonest}")
    if other := fields.get("beside"):
        yield Text(
            f"times as many different values as {visible(other['file'])}, among {other['at']:,} responses of each:"
        )
        for name, ratio in other["ratios"].items():
            shown = read_estimate(ratio)
            if shown is not None:
                interval = f" [{shown.interval_text}]" if shown.has_interval else ""
                yield Text(f"  {name:<{width}}  {shown.value:>6.2f}{interval}")
