"""The card of a model made by interpolating or merging: what it was made of."""

from collections.abc import Mapping
from typing import Any

from entrotune.reports.markdown import code, front_matter, inline, literal


def merge_card(merged: Mapping[str, Any]) -> str:
    """The `README.md` of a merged model.

    Args:
        merged: `out`, `interpolate`, `parameters`, `dtype`, `created`, `versions`, and `tuned` and `start` with `name`,
            `source` and `fingerprint`.
    """
    start, tuned = merged["start"], merged["tuned"]
    entries = {
        "base_model": [str(tuned["name"])] if start is None else [str(start["name"]), str(tuned["name"])],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["entrotune", "merge"],
    }
    facts = [
        *(_model("Start", start) if start is not None else []),
        *_model("Tuned model", tuned),
        f"- Parameters: {merged['parameters']:,}, {merged['dtype']}",
        f"- Made: {inline(merged['created'])}",
        "- Versions: " + ", ".join(f"{inline(key)} {inline(value)}" for key, value in merged["versions"].items()),
    ]
    parts = [
        front_matter(entries),
        f"# {inline(merged['out'])}",
        _opening(merged),
        "\n".join(["## Made of", "", *facts]),
        "## Use",
        f"```python\nimport entrotune\n\nmodel, tokenizer = entrotune.load_model({literal(str(merged['out']))})\n```",
        "## Licence\n\nThat of the models it was made of; entrotune adds no terms.",
    ]
    return "\n\n".join(parts) + "\n"


def _opening(merged: Mapping[str, Any]) -> str:
    share, tuned = merged["interpolate"], code(merged["tuned"]["name"])
    if merged["start"] is None:
        return f"This is {tuned} with its adapter merged into the weights of its base."
    start = code(merged["start"]["name"])
    return (
        f"Each weight is {1 - share:g} times that of {start} and {share:g} times that of {tuned}: "
        "weights between a model and a tuned copy of it (WiSE-FT, arXiv 2109.01903 and 2504.10478)."
    )


def _model(term: str, model: Mapping[str, Any]) -> list[str]:
    return [f"- {term}: {code(model['name'])} ({inline(model['source'])}, SHA-256 {code(model['fingerprint'])})"]
