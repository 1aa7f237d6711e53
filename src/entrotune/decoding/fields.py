"""Structured output: a template of named fields, what a model is asked, and what its answer holds."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import regex

from entrotune.decoding.settings_file import check_keys, read_mapping
from entrotune.errors import UserError
from entrotune.measures import count_entropy

_TYPES = ("text", "integer", "number")
_REGEX_SECONDS = 1.0
# What models put around a line: bullets, numbers, emphasis.
_LINE = regex.compile(
    r"^[\s>*#\-–•]*(?:\d+[.)]\s+)?[*_`\"]*(?P<name>[^:*`\"]+?)[*_`\"]*\s*:[*_`\s]*(?P<value>.*?)[*_`\s]*$"
)


@dataclass(frozen=True)
class Field:
    """A named field and what its value must be."""

    name: str
    type: str = "text"
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    min: float = -math.inf
    max: float = math.inf

    def read(self, written: Any) -> tuple[Any, str | None]:
        """The value of what was written, and what is wrong with it."""
        text = str(written).strip()
        if not text:
            return text, f"{self.name}: empty"
        value: Any = text
        if self.type != "text":
            plain = text.replace(",", "").replace(" ", "")
            try:
                value = int(plain) if self.type == "integer" else float(plain)
            except ValueError:
                return text, f"{self.name}: expected {self.type}, got {text!r:.60}"
            if not self.min <= value <= self.max:
                return value, f"{self.name}: {value} is outside of {self.min:g} to {self.max:g}"
        if self.choices:
            chosen = {choice.casefold(): choice for choice in self.choices}.get(text.casefold())
            if chosen is None:
                return text, f"{self.name}: {text!r:.60} is none of {', '.join(self.choices)}"
            value = chosen
        if self.pattern and not regex.fullmatch(self.pattern, text, timeout=_REGEX_SECONDS):
            return value, f"{self.name}: {text!r:.60} does not match {self.pattern}"
        return value, None


@dataclass(frozen=True)
class Parsed:
    """The values of one answer by field, and what is wrong with it; nothing where it is valid."""

    values: dict[str, Any]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Template:
    """A request and the fields that its answer must have."""

    request: str
    format: Literal["lines", "json"]
    fields: tuple[Field, ...]

    @property
    def prompt(self) -> str:
        """The request, with how to answer."""
        names = [field.name for field in self.fields]
        if self.format == "json":
            return (
                f"{self.request}\nAnswer with one JSON object that has the keys {', '.join(names)}, and nothing else."
            )
        lines = "\n".join(f"{field.name}: <{_hint(field)}>" for field in self.fields)
        return f"{self.request}\nAnswer with exactly these lines, and nothing else:\n{lines}"

    def parse(self, text: str) -> Parsed:
        """The first value written for each field; other lines are ignored, as are case and spaces in names."""
        written = _json_object(text) if self.format == "json" else _lines(text)
        if written is None:
            return Parsed({}, ("no JSON object in the answer",))
        values: dict[str, Any] = {}
        problems = []
        for field in self.fields:
            if (key := _plain(field.name)) not in written:
                problems.append(f"{field.name}: missing")
                continue
            values[field.name], problem = field.read(written[key])
            problems += [problem] if problem else []
        return Parsed(values, tuple(problems))

    def summary(self, answers: Sequence[Parsed]) -> dict[str, Any]:
        """How many answers are valid, how varied each field is among these, and how many are near-duplicates.

        A near-duplicate agrees with an earlier valid answer in all fields but at most one.
        """
        valid = [answer.values for answer in answers if not answer.problems]
        told = {}
        for field in self.fields:
            counts = Counter(str(values[field.name]) for values in valid)
            told[field.name] = {
                "distinct": len(counts),
                "entropy": count_entropy(list(counts.values())) if counts else None,
                "commonest": [[value, count] for value, count in counts.most_common(5)],
                "invalid": sum(any(p.startswith(f"{field.name}: ") for p in answer.problems) for answer in answers),
            }
        return {
            "answers": len(answers),
            "valid": len(valid),
            "distinct": len({tuple(map(str, values.values())) for values in valid}),
            "near_duplicates": self._near_duplicates(valid),
            "fields": told,
        }

    def _near_duplicates(self, valid: Sequence[Mapping[str, Any]]) -> int:
        names = [field.name for field in self.fields]
        # With one field, all but one is nothing: equal answers are meant then.
        left_out: list[str | None] = [None] if len(names) == 1 else list(names)
        seen: set[tuple[Any, ...]] = set()
        found = 0
        for values in valid:
            keys = {(out, *(str(values[name]).casefold() for name in names if name != out)) for out in left_out}
            found += not keys.isdisjoint(seen)
            seen |= keys
        return found


def read_template(path: str | Path) -> Template:
    """The template of a YAML file: `request`, `format` (lines or json) and `fields`, a mapping of names to
    `type` (text, integer, number), `choices`, `pattern`, `min`, `max`.

    Raises:
        UserError: the file cannot be read or a part of it is wrong; file and field are named.
    """
    given = read_mapping(path, "template")
    check_keys(given, ("request", "format", "fields"), str(path))
    request, format, fields = given.get("request"), given.get("format", "lines"), given.get("fields")
    if not isinstance(request, str) or not request.strip():
        raise UserError(f"{path}: request must be the text that the model is asked, got {request!r:.60}")
    if format not in ("lines", "json"):
        raise UserError(f"{path}: format must be lines or json, got {format!r}")
    if not isinstance(fields, Mapping) or not fields:
        raise UserError(f"{path}: fields must be a mapping of at least one name to what its value must be")
    return Template(request.strip(), format, tuple(_field(path, str(name), spec) for name, spec in fields.items()))


def _field(path: str | Path, name: str, spec: Any) -> Field:
    where = f"{path}: field {name}"
    spec = {} if spec is None else spec
    if not isinstance(spec, Mapping):
        raise UserError(f"{where}: expected a mapping such as {{type: integer, min: 1900}}, got {spec!r:.60}")
    check_keys(spec, ("type", "choices", "pattern", "min", "max"), where)
    if (type := spec.get("type", "text")) not in _TYPES:
        raise UserError(f"{where}: type must be one of {', '.join(_TYPES)}, got {type!r}")
    for bound in ("min", "max"):
        if bound in spec and (isinstance(spec[bound], bool) or not isinstance(spec[bound], int | float)):
            raise UserError(f"{where}: {bound} must be a number, got {spec[bound]!r}")
    choices = spec.get("choices", [])
    if not isinstance(choices, list):
        raise UserError(f"{where}: choices must be a list, got {choices!r:.60}")
    pattern = spec.get("pattern")
    try:
        regex.compile(str(pattern or ""))
    except regex.error as error:
        raise UserError(f"{where}: {pattern!r:.60} is not a regular expression: {error}") from None
    return Field(
        name,
        type,
        tuple(map(str, choices)),
        pattern,
        float(spec.get("min", -math.inf)),
        float(spec.get("max", math.inf)),
    )


def _hint(field: Field) -> str:
    if field.choices:
        return " or ".join(field.choices)
    return {"text": "text", "integer": "a whole number", "number": "a number"}[field.type]


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _lines(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := _LINE.match(line):
            found.setdefault(_plain(match["name"]), match["value"])
    return found


def _json_object(text: str) -> dict[str, Any] | None:
    decoder = json.JSONDecoder()
    for start in (place for place, character in enumerate(text) if character == "{"):
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        return {_plain(str(key)): item for key, item in value.items()}
    return None
