"""Model cards: Markdown with YAML front matter, as hubs read it."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.reports.curves import CurvePoint, curve_points
from entrotune.reports.markdown import code, fenced, front_matter, inline, literal, table
from entrotune.reports.numbers import MISSING, format_count, format_number
from entrotune.reports.rendering import as_yaml
from entrotune.reports.samples import visible
from entrotune.reports.views import read_metrics, read_variants


def model_card(
    *,
    name: str,
    base_model: str,
    objective: str,
    method: str,
    data: Mapping[str, Any],
    seeds: Sequence[int],
    curve: Sequence[Mapping[str, Any]],
    best_step: int | None = None,
    saved_step: int | None = None,
    evaluation: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
) -> str:
    """The `README.md` of a fine-tuned model.

    Args:
        name: what to call the model; the folder it is in, to load it from.
        base_model: hub id or path of the model that was fine-tuned.
        objective: the objective as text, such as `ce - 0.1*entropy`.
        method: `"full"` or `"lora"`; with lora the card tells how to load the adapter with PEFT.
        data: what the comparison record's `data` holds; all keys optional.
        seeds: seeds of initialisation, order, dropout and sampling.
        curve: lines of `metrics.jsonl`.
        best_step: the step with the lowest validation NLL; found in `curve` when None.
        saved_step: the step whose weights these are, where known.
        evaluation: the content of `evaluation.json`, for the quality and diversity table.
        recipe: the resolved configuration.
        versions: package versions.
    """
    parts = [
        _front_matter(base_model, method),
        f"# {inline(name)}",
        _opening(base_model, objective, method),
        _data_section(data, seeds),
        _training_section(curve_points(curve, best_step), saved_step),
        _measured_section(evaluation),
        _loading_section(name, base_model, method),
        _recipe_section(recipe, versions),
        f"## Licence\n\nThat of the base model, {code(base_model)}, and of the data; entrotune adds no terms.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(base_model: str, method: str) -> str:
    library = "peft" if method == "lora" else "transformers"
    entries: dict[str, Any] = {
        "base_model": visible(base_model),
        "library_name": library,
        "pipeline_tag": "text-generation",
        "tags": ["entrotune", *(["lora"] if method == "lora" else [])],
    }
    return front_matter(entries)


def _opening(base_model: str, objective: str, method: str) -> str:
    how = "a LoRA adapter for" if method == "lora" else "a fine-tuned copy of"
    return f"This is {how} {code(base_model)}, trained with entrotune on the objective {code(objective)}."


def _data_section(data: Mapping[str, Any], seeds: Sequence[int]) -> str:
    facts = {
        "Source": code(data["source"]) if data.get("source") else None,
        "Format": inline(data["format"]) if data.get("format") else None,
        "Rows read": _known_count(data, "rows_read"),
        "Rows rejected": _known_count(data, "rows_rejected"),
        "Training rows": _known_count(data, "train_rows"),
        "Validation rows": _known_count(data, "validation_rows"),
        "Supervised tokens": _known_count(data, "supervised_tokens"),
        "Fingerprint": code(data["fingerprint"]) if data.get("fingerprint") else None,
        "Seeds": ", ".join(str(seed) for seed in seeds) or None,
    }
    lines = [f"- {key}: {value}" for key, value in facts.items() if value is not None]
    return "\n".join(["## Data and seeds", "", *lines])


def _training_section(points: Sequence[CurvePoint], saved_step: int | None) -> str:
    if not points:
        return ""
    rows = [
        [
            MISSING if point.epoch is None else f"{point.epoch:g}",
            f"{point.step:,}" + (" (best)" if point.is_best else ""),
            _number(point.train_nll),
            _number(point.validation_nll),
            _number(point.train_entropy),
            _number(point.validation_entropy),
        ]
        for point in points
    ]
    head = ["epoch", "step", "training NLL", "validation NLL", "training entropy", "validation entropy"]
    told = "NLL and entropy in nats a supervised token; training figures are means since the row above."
    best = next((point for point in points if point.is_best), None)
    if best is not None:
        told += f" The lowest validation NLL, {_number(best.validation_nll)}, was at step {best.step:,}."
    if saved_step is not None:
        told += f" The weights here are those of step {saved_step:,}."
    return f"## Training\n\n{table(head, rows)}\n\n{told}"


def _measured_section(evaluation: Mapping[str, Any] | None) -> str:
    if not evaluation:
        return ""
    variants = read_variants(evaluation)
    metrics = read_metrics(evaluation, variants)
    settings = [setting for variant in variants for setting in variant.settings]
    if not metrics:
        return ""
    rows = []
    for metric in metrics:
        shown = [setting.numbers.get(metric.name) for setting in settings]
        cells = [MISSING if one is None else f"{one.text} [{one.interval_text}]".replace(" []", "") for one in shown]
        rows.append([inline(metric.title), metric.direction or MISSING, *cells])
    head = ["measure", "direction", *(f"T = {setting.temperature_text}" for setting in settings)]
    told = "In brackets: 95% intervals. T is the sampling temperature; diversity is measured on the answers only."
    return f"## Quality and diversity\n\n{table(head, rows)}\n\n{told}"


def _loading_section(name: str, base_model: str, method: str) -> str:
    blocks = [
        "## Use",
        f"```python\nimport entrotune\n\nmodel, tokenizer = entrotune.load_model({literal(name)})\n```",
    ]
    if method == "lora":
        lines = ["from peft import PeftModel"]
        if "/" in base_model:
            lines += ["from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
            lines += [f"base = AutoModelForCausalLM.from_pretrained({literal(base_model)})"]
            lines += [f"tokenizer = AutoTokenizer.from_pretrained({literal(name)})"]
        else:  # a short name of ours is neither a hub id nor a path
            lines += ["", f"base, tokenizer = entrotune.load_model({literal(base_model)})"]
        lines += [f"model = PeftModel.from_pretrained(base, {literal(name)})"]
        blocks += ["or with PEFT:", "```python\n" + "\n".join(lines) + "\n```"]
    return "\n\n".join(blocks)


def _recipe_section(recipe: Mapping[str, Any] | None, versions: Mapping[str, str] | None) -> str:
    parts = []
    if recipe:
        parts.append(f"## Recipe\n\n{fenced(as_yaml(recipe), 'yaml')}")
    if versions:
        parts.append(
            "Versions: " + ", ".join(f"{inline(key)} {inline(value)}" for key, value in versions.items()) + "."
        )
    return "\n\n".join(parts)


def _number(value: float | None) -> str:
    return MISSING if value is None else format_number(value)


def _known_count(data: Mapping[str, Any], key: str) -> str | None:
    return None if data.get(key) is None else format_count(data[key])
