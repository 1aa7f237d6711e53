"""How a record came to be: model, data, time and place, versions, command and recipe, as lists of term and value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from entrotune.reports.numbers import format_count, format_seconds, read_number
from entrotune.reports.rendering import as_yaml

Facts = Sequence[tuple[str, str]]

_DATA_COUNTS = {
    "rows_read": "Rows read",
    "rows_rejected": "Rows rejected",
    "train_rows": "Training rows",
    "validation_rows": "Validation rows",
    "prompts": "Prompts",
    "train_tokens": "Tokens in training rows",
    "supervised_tokens": "Supervised tokens",
}


@dataclass(frozen=True)
class Provenance:
    """The header of a report and the section that says how it was made; empty parts are left out of the page."""

    title: str
    dateline: str
    model: Facts
    data: Facts
    rejected: str
    circumstances: Facts
    versions: Facts
    command: str
    recipe: str
    conventions: Facts


def read_provenance(record: Mapping[str, Any], default_title: str) -> Provenance:
    """The provenance of a comparison, an evaluation or a run; any of its parts may be absent or null."""
    model, data = _mapping(record.get("model")), _mapping(record.get("data"))
    command = record.get("command") or ""
    return Provenance(
        title=str(record.get("title") or default_title),
        dateline=" · ".join(str(part) for part in (model.get("name"), _moment(record.get("created"))) if part),
        model=_known(
            ("Name", model.get("name")),
            ("Source", model.get("source")),
            ("Parameters", _count(model, "parameters")),
            ("Fingerprint", model.get("fingerprint")),
        ),
        data=_known(
            ("Source", data.get("source")),
            ("Format", data.get("format")),
            *((term, _count(data, key)) for key, term in _DATA_COUNTS.items()),
            ("Fingerprint", data.get("fingerprint")),
        ),
        rejected=_rejected(data),
        circumstances=_circumstances(record),
        versions=[(str(name), str(version)) for name, version in _mapping(record.get("versions")).items()],
        command=command if isinstance(command, str) else " ".join(str(part) for part in command),
        recipe=as_yaml(record["recipe"]) if record.get("recipe") else "",
        conventions=[(str(name), str(told)) for name, told in _mapping(record.get("conventions")).items()],
    )


def _circumstances(record: Mapping[str, Any]) -> Facts:
    seeds = record.get("seeds") or [seed for seed in (record.get("seed"),) if seed is not None]
    seconds = record.get("seconds")
    times = seconds if isinstance(seconds, Mapping) else {"total": seconds}
    return _known(
        ("Created", _moment(record.get("created"))),
        ("Device", record.get("device")),
        ("Seeds" if len(seeds) > 1 else "Seed", ", ".join(str(seed) for seed in seeds)),
        *(
            (term, format_seconds(times[key]))
            for key, term in (("train", "Training"), ("evaluate", "Evaluation"), ("total", "In all"))
            if read_number(times.get(key)) is not None
        ),
        ("Git revision", record.get("git_revision")),
    )


def _moment(created: Any) -> str:
    """An ISO time as `4 March 2026, 10:20 UTC`; any other text as it is."""
    text = str(created or "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = f" {moment.tzname()}" if moment.tzinfo else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"


def _rejected(data: Mapping[str, Any]) -> str:
    rejected = read_number(data.get("rows_rejected"))
    if not rejected:
        return ""
    of_all = f" of {format_count(data['rows_read'])}" if read_number(data.get("rows_read")) else ""
    return f"{format_count(rejected)}{of_all} rows were rejected"


def _count(part: Mapping[str, Any], key: str) -> str | None:
    return None if read_number(part.get(key)) is None else format_count(part[key])


def _known(*pairs: tuple[str, Any]) -> Facts:
    return [(term, str(value)) for term, value in pairs if value is not None and value != ""]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
