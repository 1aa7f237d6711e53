"""What a sweep found, in sentences."""

import re
from collections.abc import Mapping
from typing import Any

from entrotune.reports.numbers import format_count, format_number, read_estimate
from entrotune.reports.views import temperature_text

# Fewer prompts that all lean one way may do so by chance.
FEWEST_PROMPTS = 6


def recommendation_sentence(record: Mapping[str, Any]) -> str:
    """What to use, and why: a setting whose advantage was confirmed, else plain `ce` with what was found instead."""
    found = record["recommendation"]
    at = temperature_text(found["temperature"])
    if found.get("chosen") is None:
        return (
            f"Use plain ce at temperature {at}: no setting could be compared with it at equal "
            f"{_name(record, 'diversity')}."
        )
    chosen = found["chosen"]
    place = f"{chosen['label']} at temperature {temperature_text(chosen['temperature'])}"
    prompts, seeds = found["prompts"]["confirming"], found["seeds"]
    size = f"{_counted(prompts, 'prompt')}, {_counted(seeds, 'seed')}"
    among = f"chosen from {_counted(found['candidates'], 'point')} on {found['prompts']['choosing']} other prompts"
    if found["shown"]:
        lean = (
            "one seed was trained, and another may differ" if seeds == 1 else f"its interval over {seeds} seeds agrees"
        )
        return (
            f"Use {place}. {_where(record)} its {_name(record, 'quality')} is {_gap(record, 'confirming')} "
            f"({size}; it was {among}); {lean}.{_confound(record)}"
        )
    head = f"Use plain ce at temperature {at}{_standing(found, size)}"
    told = f"{head} The setting that looked best, {place} ({among})"
    if found.get("confirming") is None:
        return f"{told}, could not be measured on the rest."
    told += f", has on the rest a {_name(record, 'quality')} {_gap(record, 'confirming')}. {_why(found)}"
    return told.rstrip()


def _confound(record: Mapping[str, Any]) -> str:
    """That a setting which changes more of the recipe than the objective may owe its advantage to that."""
    recipe, chosen = record.get("recipe") or {}, record["recommendation"]["chosen"]["variant"]
    base = recipe.get("train") or {}
    point = next((one.get("point") or {} for one in record.get("trials") or [] if one.get("variant") == chosen), {})
    objective = str(point.get("objective") or recipe.get("objective") or base.get("objective"))
    words = set(re.findall(r"\w+", objective)) | {"objective"}
    fields = [name for name in point if name in base and name not in words and point[name] != base[name]]
    if not fields or objective == "ce":
        return ""
    told = " and ".join(f"{name} {base[name]}" for name in fields)
    names = " and ".join(fields)
    return f" Plain ce was trained with {told}: {names} may be what helps, so try plain ce with this {names} too."


def _standing(found: Mapping[str, Any], size: str) -> str:
    """How plain `ce` stands against the setting that looked best."""
    if found["prompts"]["confirming"] < FEWEST_PROMPTS:
        return (
            f" until more is known: {size} can show no setting's advantage; give at least {2 * FEWEST_PROMPTS} prompts."
        )
    if (found.get("confirming") or {}).get("verdict") == "worse":
        return ": it is better than the setting that looked best."
    return f", which does as well as far as these data tell: no setting's advantage is shown ({size})."


def _why(found: Mapping[str, Any]) -> str:
    disagree = not found.get("seeds_agree") and found["confirming"]["verdict"] == "better"
    return "Its seeds do not agree." if disagree else ""


def _where(record: Mapping[str, Any]) -> str:
    """Where plain `ce` is as diverse."""
    compared, diversity = record["recommendation"]["confirming"], _name(record, "diversity")
    low, high = sorted(compared["temperatures"])
    if compared["side"] == "more diverse":
        return f"It is more diverse than plain ce at any temperature measured, and beside ce at temperature {low:g}"
    if low == high:
        return f"Beside plain ce at temperature {low:g}, which has at least the same {diversity},"
    return f"Where plain ce has the same {diversity}, between temperatures {low:g} and {high:g},"


def _gap(record: Mapping[str, Any], part: str) -> str:
    """`0.120 nats/token lower [95% interval 0.051 to 0.190]`, or without an interval where there is none."""
    compared = record["recommendation"][part]
    shown = read_estimate(compared["difference"])
    if shown is None:
        return "that is unknown"
    unit = (record["metrics"].get(record["front"]["quality"]) or {}).get("unit")
    word = "higher" if shown.value > 0 else "lower"
    size = f"{format_number(abs(shown.value))}{f' {unit}' if unit else ''}"
    if shown.low is None or shown.high is None:
        interval = ""
    else:
        ends = (shown.low, shown.high) if shown.value > 0 else (-shown.high, -shown.low)
        interval = f" [95% interval {format_number(ends[0])} to {format_number(ends[1])}]"
    than = "" if record["recommendation"]["shown"] else " than that of ce at that diversity or more"
    return f"{size} {word}{than}{interval}"


def counts_sentence(record: Mapping[str, Any]) -> str:
    """How many settings were tried, and what became of them."""
    counts = record.get("counts") or {}
    total = sum(counts.values())
    seeds = len(record.get("seeds") or [])
    words = {"complete": "measured", "pruned": "pruned", "failed": "failed", "repeated": "tried before"}
    parts = [f"{format_count(counts[state])} {word}" for state, word in words.items() if counts.get(state)]
    how = {"grid": "on a grid", "random": "drawn at random", "optuna": "chosen by Optuna (multi-objective TPE)"}
    return (
        f"{_counted(total, 'setting')} {how.get(str(record.get('method')), '')}, {_counted(seeds, 'seed')} each: "
        f"{', '.join(parts) or 'none'}."
    )


def _name(record: Mapping[str, Any], axis: str) -> str:
    """The label of a measure of the front within a sentence."""
    metric = record["front"][axis]
    label = str((record["metrics"].get(metric) or {}).get("label") or metric)
    return label if label[1:2].isupper() or label.startswith("Vendi") else label[0].lower() + label[1:]


def _counted(count: int, noun: str) -> str:
    return f"{format_count(count)} {noun}" + ("" if count == 1 else "s")
