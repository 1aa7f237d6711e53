"""Comparisons as a page of Markdown: what was run, what was measured with which uncertainty, what was found."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from entrotune.reports.curves import curve_points, mean_by_epoch
from entrotune.reports.epochs import epoch_table
from entrotune.reports.evidence_summary import summary
from entrotune.reports.markdown import code, fenced, inline, table
from entrotune.reports.numbers import MISSING, Shown, format_count, format_number, format_seconds, read_number
from entrotune.reports.retention import LABELS as RETENTION_LABELS
from entrotune.reports.retention import read_retained
from entrotune.reports.views import Metric, Variant, front_axes, read_metrics, read_variants
from entrotune.reports.wording import findings

# Fewer seeds make a small run; from so many comparisons on, some are expected to be found by chance.
ENOUGH_SEEDS = 3
ENOUGH_TO_WARN = 10
_LEFT_OUT = frozenset({"samples", "conventions"})
_LEFT_OUT_OF_VARIANTS = frozenset({"curve", "runs", "best_step", "last_step", "best_nll", "last_nll"})
_USUAL = ("entropy", "base_nll", "vendi", "ngram_coverage", "reference_coverage")
_DIGITS = 6

_OPENING = """# Evidence

What fine-tuning with each objective did, as measured. `entrotune evidence` makes this page from the records of
comparisons; nothing here is written by hand.

Values stand with their 95% intervals in brackets: over prompts for what is measured of a model (a bootstrap; of several
seeds the mean for each prompt), over seeds where a table says so (Student's t). An interval over prompts says nothing
about another seed, so of several seeds a difference is shown only where both its intervals are clear of zero. NLL and
entropy are in nats a token; T is the sampling temperature."""


def trimmed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison without samples, its curves as a line an epoch, and of its measures those that the page shows."""
    kept = {metric.name for metric in _chosen(record, read_metrics(record, read_variants(record)))}
    metrics = {
        name: {key: value for key, value in told.items() if key != "explain"}
        for name, told in (record.get("metrics") or {}).items()
        if name in kept
    }
    whole = {key: value for key, value in record.items() if key not in _LEFT_OUT} | {
        "variants": [_trimmed_variant(variant, kept) for variant in record["variants"]],
        "metrics": metrics,
        "comparisons": [
            {key: value for key, value in entry.items() if key != "sentence"}
            for entry in record.get("comparisons") or []
            if entry.get("metric") in kept
        ],
    }
    rounded: dict[str, Any] = _rounded(whole)
    return rounded


def _trimmed_variant(variant: Mapping[str, Any], kept: set[str]) -> dict[str, Any]:
    left = {key: value for key, value in variant.items() if key not in _LEFT_OUT_OF_VARIANTS}
    measured = {
        part: [
            dict(entry)
            | {"metrics": {name: value for name, value in (entry.get("metrics") or {}).items() if name in kept}}
            for entry in variant.get(part) or []
        ]
        for part in ("settings", "epochs")
    }
    return left | measured | {"course": _course(variant)}


def evidence_page(
    records: Sequence[Mapping[str, Any]], pictures: Sequence[str | None], forest: str | None = None
) -> str:
    """The page of trimmed comparisons, in their order.

    Args:
        records: the comparisons.
        pictures: the relative path of each one's picture, or None.
        forest: that of the picture of all gains at equal diversity, or None.
    """
    sections = [_section(record, picture) for record, picture in zip(records, pictures, strict=True)]
    opening = [part for part in (_OPENING, summary(records, quote(forest) if forest else None)) if part]
    return "\n\n".join([*opening, *("\n\n".join(section) for section in sections)]) + "\n"


def _section(record: Mapping[str, Any], picture: str | None) -> list[str]:
    title = inline(record.get("title") or "Comparison")
    shown = f"![{title}: fronts, and NLL over epochs]({quote(picture)})" if picture else ""
    parts = [_size(record), _facts(record), shown, *(part(record) for part in _PARTS)]
    return [f"## {title}", *(part for part in parts if part)]


def _size(record: Mapping[str, Any]) -> str:
    """What is small about a run, said before its numbers."""
    seeds, device = len(record.get("seeds") or []), str(record.get("device") or "")
    small = [
        *(["on a CPU"] if device.startswith("cpu") else []),
        *([f"with {seeds} {'seed' if seeds == 1 else 'seeds'}"] if seeds < ENOUGH_SEEDS else []),
    ]
    return f"**A small run {' '.join(small)}, not the full study.**" if small else ""


def _facts(record: Mapping[str, Any]) -> str:
    model, data, recipe = (record.get(key) or {} for key in ("model", "data", "recipe"))
    run = recipe.get("train") or {}
    seconds = read_number((record.get("seconds") or {}).get("total"))
    parameters, prompts = read_number(model.get("parameters")), read_number(data.get("prompts"))
    facts = [
        ("Model", f"{code(model.get('name'))}, {format_count(parameters)} parameters" if parameters else None),
        ("Data", f"{code(data['source'])}, {_counts(data)}" if data.get("source") else None),
        ("Training", _training(run)),
        ("Sampling", _sampling(recipe, prompts)),
        ("Seeds", ", ".join(str(seed) for seed in record.get("seeds") or [])),
        ("Made", ", ".join([str(record.get("created")), inline(record.get("device") or ""), format_seconds(seconds)])),
        ("Versions", _versions(record)),
    ]
    command = record.get("command")
    told = [fenced(str(command), "text")] if command else []
    return "\n\n".join(["\n".join(f"- {term}: {value}" for term, value in facts if value), *told])


def _counts(data: Mapping[str, Any]) -> str:
    names = {"train_rows": "training rows", "validation_rows": "validation rows", "supervised_tokens": "tokens learnt"}
    known = [f"{format_count(data[key])} {name}" for key, name in names.items() if read_number(data.get(key))]
    return ", ".join([*known, f"{format_count(data.get('rows_rejected'))} rows rejected"])


def _training(run: Mapping[str, Any]) -> str:
    rate = read_number(run.get("learning_rate"))
    parts = [
        run.get("method"),
        f"{run['epochs']:g} epochs" if read_number(run.get("epochs")) else None,
        f"batches of {run.get('batch_size')}",
        f"learning rate {rate:g} ({run.get('schedule')})" if rate else None,
    ]
    return ", ".join(str(part) for part in [*parts, _halved(run.get("precision"))] if part) if run else ""


def _sampling(recipe: Mapping[str, Any], prompts: float | None) -> str | None:
    if not prompts:
        return None
    told = [f"{recipe.get('samples')} answers to each of {prompts:.0f} prompts", _halved(recipe.get("dtype"))]
    return ", ".join(part for part in told if part)


def _halved(precision: Any) -> str | None:
    return f"in {precision}" if precision in ("bfloat16", "float16") else None


def _versions(record: Mapping[str, Any]) -> str:
    versions = record.get("versions") or {}
    named = [f"{name} {versions[name]}" for name in ("entrotune", "torch", "transformers", "trl") if name in versions]
    revision = record.get("git_revision")
    return ", ".join([*named, *([f"revision {revision}"] if revision else [])])


def _variants(record: Mapping[str, Any]) -> str:
    told = [[code(one.label), code(one.differs)] for one in read_variants(record) if one.differs]
    return f"### What the variants change\n\n{table(['variant', 'differs from `ce` in'], told)}" if told else ""


def _measurements(record: Mapping[str, Any]) -> str:
    variants = read_variants(record)
    shown = _chosen(record, read_metrics(record, variants))
    rows = [
        [code(variant.label), setting.temperature_text, *(_cell(setting.numbers.get(metric.name)) for metric in shown)]
        for variant in variants
        for setting in variant.settings
    ]
    if not rows or not shown:
        return ""
    return f"### Quality and diversity\n\n{table(['variant', 'T', *map(_heading, shown)], rows)}"


def _chosen(record: Mapping[str, Any], metrics: Sequence[Metric]) -> list[Metric]:
    """Measures of quality but those that follow from others, the diversity of the front, and a few more."""
    _, diversity = front_axes(record, metrics)
    passes = [metric.name for metric in metrics if metric.name.startswith("pass@")]
    derived = {"perplexity", "accuracy", *passes[:-1]}
    wanted = {metric.name for metric in diversity[:1]} | set(_USUAL)
    return [one for one in metrics if (one.kind == "quality" and one.name not in derived) or one.name in wanted]


def _stops(record: Mapping[str, Any]) -> str:
    rows = [
        [code(variant.label), *(_cell(variant.stops.get(name)) for name in ("epoch", "nll", "rise"))]
        for variant in read_variants(record)
        if variant.stops
    ]
    head = ["variant", "epoch", "least validation NLL", "rise until the end"]
    told = "The epoch after which validation NLL was least; intervals over seeds."
    return f"### Where each stops generalising\n\n{told}\n\n{table(head, rows)}" if rows else ""


def _over_epochs(record: Mapping[str, Any]) -> str:
    """NLL of training and validation rows and entropy after each epoch, means over seeds."""
    blocks = []
    for key, title in (
        ("validation_nll", "Validation NLL"),
        ("train_nll", "Training NLL"),
        ("validation_entropy", "Entropy on validation rows"),
    ):
        courses = {
            str(variant.get("label") or variant["name"]): mean_by_epoch(variant.get("course") or [], key)
            for variant in record["variants"]
        }
        epochs = sorted({epoch for course in courses.values() for epoch in course if epoch > 0})
        rows = [
            [code(label), *(format_number(course[epoch]) if epoch in course else MISSING for epoch in epochs)]
            for label, course in courses.items()
            if course
        ]
        if rows and epochs:
            blocks.append(f"{title} after each epoch, mean over seeds:\n\n{_epochs_table(epochs, rows)}")
    found = _diversity_over_epochs(read_variants(record), record)
    blocks += [found] if found else []
    return "\n\n".join(["### Over epochs", *blocks]) if blocks else ""


def _diversity_over_epochs(variants: Sequence[Variant], record: Mapping[str, Any]) -> str:
    _, diversity = front_axes(record, read_metrics(record, variants))
    found = epoch_table(variants, diversity)
    if found is None:
        return ""
    rows = [[code(variant.label), *map(_cell, values)] for variant, values in found.rows]
    told = f"{found.metric.title} of samples at temperature {found.temperature_text}"
    return f"{told} (epoch 0 is the untouched model):\n\n{_epochs_table(found.epochs, rows)}"


def _epochs_table(epochs: Sequence[float], rows: Sequence[Sequence[str]]) -> str:
    return table(["variant", *(f"{epoch:g}" for epoch in epochs)], rows)


def _differences(record: Mapping[str, Any]) -> str:
    shown, not_shown = findings(record)
    parts = [
        "\n".join([f"{heading}:", "", *(f"- {inline(sentence)}" for sentence in sentences)])
        for heading, sentences in (("Shown", shown), ("Not shown, as zero is within an interval", not_shown))
        if sentences
    ]
    count = len(record.get("comparisons") or [])
    chance = f"Of {count} comparisons at 95%, about {count / 20:.0f} would appear as a difference by chance alone."
    return "\n\n".join(["### Differences", *parts, *([chance] if count >= ENOUGH_TO_WARN else [])]) if parts else ""


def _retention(record: Mapping[str, Any]) -> str:
    """What was kept of other abilities, and what that is against the untouched model and `ce`."""
    found = read_retained(record)
    if found is None:
        return ""
    rows = [[code(row.label), *(_cell(row.numbers.get(name)) for name in found.measures)] for row in found.rows]
    told = table(["variant", *(RETENTION_LABELS[name] for name in found.measures)], rows)
    sentences = "\n".join(f"- {inline(sentence)}" for sentence in found.sentences)
    parts = ["### Other abilities", inline(found.described), told, *([f"Shown:\n\n{sentences}"] if sentences else [])]
    return "\n\n".join(parts)


_PARTS: tuple[Callable[[Mapping[str, Any]], str], ...] = (
    _variants,
    _measurements,
    _stops,
    _over_epochs,
    _differences,
    _retention,
)


def _heading(metric: Metric) -> str:
    arrow = {"higher": " ↑", "lower": " ↓"}.get(metric.better or "", "")
    return inline(metric.label) + arrow


def _cell(shown: Shown | None) -> str:
    if shown is None:
        return MISSING
    return f"{shown.text} [{shown.interval_text}]" if shown.has_interval else shown.text


def _course(variant: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each validation of each seed: its epoch, NLL and entropy there, and the training NLL since the one before."""
    rows = variant.get("curve") or []
    return [
        {
            "seed": seed,
            "epoch": point.epoch,
            "train_nll": point.train_nll,
            "validation_nll": point.validation_nll,
            "validation_entropy": point.validation_entropy,
        }
        for seed in dict.fromkeys(row.get("seed") for row in rows)
        for point in curve_points([row for row in rows if row.get("seed") == seed])
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
