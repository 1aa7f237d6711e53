"""What was compared and what was found, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.reports.numbers import format_count, format_number, read_estimate, read_number
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


def comparison_sentences(comparison: Mapping[str, Any]) -> list[str]:
    """One sentence a comparison, those on the measures of the front first; a record's own sentence where it has one."""
    return [comparison_sentence(entry, comparison) for entry in _ordered(comparison)]


def findings(comparison: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Sentences of differences that were shown, and of those that were not."""
    shown: list[str] = []
    not_shown: list[str] = []
    for entry in _ordered(comparison):
        has_difference = entry.get("verdict") in ("higher", "lower")
        (shown if has_difference else not_shown).append(comparison_sentence(entry, comparison))
    return shown, not_shown


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
    return sorted(entries, key=lambda entry: entry.get("metric") not in front)


def comparison_sentence(entry: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """What one comparison found; its own sentence where it has one."""
    if entry.get("sentence"):
        return str(entry["sentence"])
    described = (comparison.get("metrics") or {}).get(entry.get("metric")) or {}
    label = described.get("label") or entry.get("metric") or "The measure"
    first, second = (_side(entry.get(side) or {}, comparison) for side in ("a", "b"))
    if entry.get("verdict") in ("higher", "lower"):
        claim = f"{label} is {entry['verdict']} for {first} than for {second}"
    else:
        claim = f"{label}: {NO_DIFFERENCE} between {first} and {second}"
    return claim + _difference(entry.get("difference")) + "."


def _side(side: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    labels = {variant.get("name"): variant.get("label") for variant in comparison.get("variants") or []}
    name = str(labels.get(side.get("variant")) or side.get("variant") or "one variant")
    temperature = read_number(side.get("temperature"))
    return name if temperature is None else f"{name} at temperature {temperature_text(temperature)}"


def _difference(entry: Any) -> str:
    shown = read_estimate(entry)
    if shown is None:
        return ""
    value = ("+" if shown.value > 0 else "") + format_number(shown.value)
    return (
        f" (difference {value}, 95% interval {shown.interval_text})" if shown.has_interval else f" (difference {value})"
    )


def _counted(count: int, noun: str) -> str:
    return f"{format_count(count)} {noun}" + ("" if count == 1 else "s")


def _in_words(count: int) -> str:
    return _SMALL_NUMBERS[count] if count < len(_SMALL_NUMBERS) else str(count)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))
