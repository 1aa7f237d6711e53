"""What was compared and what was found, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.reports.numbers import format_count, read_estimate, read_number, signed
from entrotune.reports.views import Variant, temperature_text

NO_DIFFERENCE = "no difference shown"

_SMALL_NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


def findings(comparison: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Differences that were shown, and those that were not: one sentence a pair of variants, with 95% intervals.

    First every objective against `ce` at one temperature, then against `ce` where it is about as diverse, then what
    tuning did to the untouched model; within a sentence the measures of the front come first.
    """
    parts: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})
    for entry in _ordered(comparison):
        has_difference = entry.get("verdict") in ("higher", "lower")
        name = _metric_name(entry, comparison)
        found = f"{entry['verdict']} {name}" if has_difference else name
        parts[not has_difference].setdefault(_pair(entry, comparison), []).append(found + _in_brackets(entry))
    shown, not_shown = ([f"{pair}: {', '.join(found)}." for pair, found in part.items()] for part in parts)
    return shown, not_shown


def untrained_sentences(comparison: Mapping[str, Any]) -> list[str]:
    """Which variants are missing because they could not be trained, and why."""
    several = len(comparison.get("seeds") or []) > 1
    told = []
    for one in comparison.get("failed") or []:
        seed = f" (seed {one['seed']})" if several else ""
        told.append(f"{one['name']} was not trained{seed}, so it is missing here: {one['reason']}.")
    return told


def comparison_sentence(entry: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """What one comparison found."""
    name = _metric_name(entry, comparison)
    first, second = (_label(entry.get(side), comparison) for side in ("a", "b"))
    at, other = (_temperature(entry.get(side)) for side in ("a", "b"))
    if entry.get("matched_on"):
        where, first, second = f"where {second} is {_as_diverse(entry)}", first + _at(at), "it"
    elif at == other:
        where = f"at temperature {at}" if at else ""
    else:
        where, first, second = "", first + _at(at), second + _at(other)
    if entry.get("verdict") in ("higher", "lower"):
        claim = f"{first} has a {entry['verdict']} {name} than {second}"
    else:
        claim = f"{NO_DIFFERENCE} in {name} between {first} and {second}"
    sentence = (f"{where}, {claim}" if where else claim) + _difference(entry) + "."
    # A label that begins a sentence keeps its letters: `gem`, not `Gem`.
    return sentence if sentence.startswith(first) else sentence[0].upper() + sentence[1:]


def compared_sentences(record: Mapping[str, Any], variants: Sequence[Variant]) -> list[str]:
    """What was compared: which models, on which data, how they were sampled; only what the record says."""
    sentences = [_subject(record, variants)]
    data = record.get("data") or {}
    rows = read_number(data.get("train_rows"))
    if rows and any(variant.tuned for variant in variants) and record.get("kind") != "evaluation":
        source = f" of {data['source']}" if data.get("source") else ""
        sentences.append(f"Tuning used {_counted(int(rows), 'row')}{source}.")
    sentences += _sampling(data, variants)
    seeds = record.get("seeds") or []
    if seeds:
        listed = _listed([str(seed) for seed in seeds])
        sentences.append(f"The random seed was {listed}." if len(seeds) == 1 else f"The random seeds were {listed}.")
    return sentences


def _subject(record: Mapping[str, Any], variants: Sequence[Variant]) -> str:
    name = (record.get("model") or {}).get("name")
    model = str(name or "The model")  # at the head of a sentence
    if record.get("kind") == "evaluation":
        return f"{model} was measured for quality and diversity."
    tuned = [variant.label for variant in variants if variant.tuned]
    beside = " beside the untouched base model" if len(tuned) < len(variants) else ""
    if not variants:
        return "This record holds no variants."
    if not tuned:
        return f"{model}, untouched, was measured."
    if len(tuned) == 1:
        return f"{model} was fine-tuned on the objective {tuned[0]} and measured{beside}."
    count = _in_words(len(tuned)).capitalize()
    return f"{count} ways to fine-tune {name or 'the model'} were compared{beside}: {_listed(tuned)}."


def _sampling(data: Mapping[str, Any], variants: Sequence[Variant]) -> list[str]:
    settings = [setting for variant in variants for setting in variant.settings]
    if not settings:
        return ["No samples were drawn."]
    temperatures = sorted({setting.temperature for setting in settings if setting.temperature is not None})
    counts = {setting.samples_per_prompt for setting in settings if setting.samples_per_prompt}
    answers = _counted(min(counts), "answer") if len(counts) == 1 else "several answers"
    prompts = read_number(data.get("prompts"))
    to_prompts = f" to each of {_counted(int(prompts), 'prompt')}" if prompts else ""
    who = "Each model" if len(variants) > 1 else "It"
    if not temperatures:
        return [f"{who} wrote {answers}{to_prompts}."]
    listed = _listed([temperature_text(temperature) for temperature in temperatures])
    word = "temperature" if len(temperatures) == 1 else "temperatures"
    together = all(len(variant.settings) == len(temperatures) for variant in variants if variant.settings)
    spread = "at" if len(temperatures) == 1 else "at each of the" if together else "at one or more of the"
    return [f"{who} wrote {answers}{to_prompts} {spread} {word} {listed}."]


def _ordered(comparison: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = [entry for entry in comparison.get("comparisons") or [] if isinstance(entry, Mapping)]
    front = list((comparison.get("front") or {}).values())
    untouched = [variant["name"] for variant in comparison.get("variants") or [] if not variant.get("tuned")]

    def place(entry: Mapping[str, Any]) -> tuple[int, int]:
        metric = entry.get("metric")
        pair = 2 if (entry.get("b") or {}).get("variant") in untouched else int(bool(entry.get("matched_on")))
        return pair, front.index(metric) if metric in front else len(front)

    return sorted(entries, key=place)


def _pair(entry: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """`gem(beta=0.7) against ce, both at temperature 1`."""
    first, second = (_label(entry.get(side), comparison) for side in ("a", "b"))
    at, other = (_temperature(entry.get(side)) for side in ("a", "b"))
    if entry.get("matched_on"):
        return f"{first}{_at(at)} against {second} where that is {_as_diverse(entry)}"
    if at == other:
        return f"{first} against {second}{_at(at, ', both at ')}"
    return f"{first}{_at(at)} against {second}{_at(other)}"


def _as_diverse(entry: Mapping[str, Any]) -> str:
    """`as diverse (between temperatures 1 and 1.3)`, or `(temperature 1.12)` where it was measured next to it.

    `about as diverse (temperature 1.3)` where it is nowhere as diverse.
    """
    side = entry.get("b") or {}
    numbers = [number for value in side.get("between") or () if (number := read_number(value)) is not None]
    if len(numbers) == 2:
        about = read_number(side.get("about"))
        if about is not None:
            return f"as diverse (temperature {temperature_text(about)})"
        low, high = (temperature_text(number) for number in sorted(numbers))
        return f"as diverse (between temperatures {low} and {high})"
    return f"about as diverse{_at(_temperature(side), ' (', ')')}"


def _label(side: Any, comparison: Mapping[str, Any]) -> str:
    name = (side or {}).get("variant")
    described: Mapping[str, Any] = next((v for v in comparison.get("variants") or [] if v.get("name") == name), {})
    label = str(described.get("label") or name or "one variant")
    return label if described.get("tuned", True) or label.startswith("the ") else f"the {label}"


def _temperature(side: Any) -> str | None:
    value = read_number((side or {}).get("temperature"))
    return None if value is None else temperature_text(value)


def _at(temperature: str | None, before: str = " at ", after: str = "") -> str:
    return "" if temperature is None else f"{before}temperature {temperature}{after}"


def _metric_name(entry: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """The label of a measure as it stands within a sentence: a capital stays where it begins a name."""
    described = (comparison.get("metrics") or {}).get(entry.get("metric")) or {}
    label = str(described.get("label") or entry.get("metric") or "measure")
    return label if label[1:2].isupper() or label.startswith("Vendi") else label[0].lower() + label[1:]


def _in_brackets(entry: Mapping[str, Any]) -> str:
    shown = read_estimate(entry.get("difference"))
    if shown is None:
        return ""
    seeds = over_seeds(entry)
    interval = f" [{shown.interval_text}{f'; {seeds}' if seeds else ''}]" if shown.has_interval else ""
    return f" {signed(shown.value)}{interval}"


def _difference(entry: Mapping[str, Any]) -> str:
    shown = read_estimate(entry.get("difference"))
    if shown is None:
        return ""
    seeds = over_seeds(entry)
    interval = f", 95% interval {shown.interval_text}{f', {seeds}' if seeds else ''}" if shown.has_interval else ""
    return f" (difference {signed(shown.value)}{interval})"


def over_seeds(entry: Mapping[str, Any]) -> str:
    """`over seeds 0.001 to 0.041`; empty where there is one seed."""
    seeds = read_estimate(entry.get("seeds"))
    return f"over seeds {seeds.interval_text}" if seeds is not None and seeds.has_interval else ""


def _counted(count: int, noun: str) -> str:
    return f"{format_count(count)} {noun}" + ("" if count == 1 else "s")


def _in_words(count: int) -> str:
    return _SMALL_NUMBERS[count] if count < len(_SMALL_NUMBERS) else str(count)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))
