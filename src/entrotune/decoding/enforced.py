"""What a template of fields calls valid, as a grammar: the names as they are, and a rule for each value."""

import json
import math
import re
from dataclasses import replace

from entrotune.decoding.fields import Field, Template
from entrotune.decoding.grammar import Grammar
from entrotune.errors import UserError

MOST_CHARACTERS = 40
"""Of a value of free text."""
MOST_DIGITS = 15
"""Of a whole number without a bound, and before the point of any other."""

# What is read differently at the edges of a value, or anywhere in it: spaces, emphasis, ends of lines, escapes.
_EDGE = {"lines": r"[^\s\p{C}\p{Z}*_`]", "json": r"[^\s\p{C}\p{Z}\"\\]"}
_INSIDE = {"lines": r"[^\p{Cc}\p{Zl}\p{Zp}]", "json": r"[^\p{Cc}\p{Zl}\p{Zp}\"\\]"}
_NUMBER = rf"-?(?:0|[1-9][0-9]{{0,{MOST_DIGITS - 1}}})(?:\.[0-9]{{1,6}})?"


def enforced(template: Template) -> Grammar:
    """Answers in the template's order of fields and nothing around them, each value valid by its rules.

    Values of free text have at most 40 characters; with `format: json` none that JSON escapes.

    Raises:
        UserError: a field has a rule that cannot be kept token by token, or that nothing keeps.
    """
    _check_names(template)
    is_json = template.format == "json"
    before, start, rules = "{" if is_json else "", [], []
    for at, field in enumerate(template.fields):
        value = _value(field, template.format)
        limit = f" with at most {MOST_CHARACTERS} characters" if field.type == "text" and not field.choices else ""
        Grammar.of_rules(f"start: F\nF: {value}", f"field {field.name} cannot be enforced{limit}")
        quote = '"' if is_json and field.type == "text" and not field.choices else ""
        name = f"{json.dumps(field.name, ensure_ascii=False)}: {quote}" if is_json else f"{field.name}: "
        start.append(f"{_literal(before + name)} F{at}")
        rules.append(f"F{at}: {value}")
        before = f"{quote}, " if is_json else "\n"
    # A model ends its last line with a line break more often than with an end mark.
    end = [_literal(f"{quote}}}")] if is_json else [r"/\n{0,2}/"]
    return Grammar.of_rules("\n".join([f"start: {' '.join(start + end)}", *rules]), "the template cannot be enforced")


def whole_numbers(low: int, high: int) -> str:
    """A regular expression for the whole numbers from `low` to `high`, without zeros before them."""
    parts = []
    if low < 0:
        parts.append(f"-(?:{whole_numbers(max(1, -high), -low)})")
    if high >= 0:
        low = max(low, 0)
        for digits in range(len(str(low)), len(str(high)) + 1):
            least = 0 if digits == 1 else 10 ** (digits - 1)
            parts.append(_between(str(max(low, least)), str(min(high, 10**digits - 1))))
    return "|".join(parts)


def _between(low: str, high: str) -> str:
    """Of as many digits as both."""
    if not low:
        return ""
    rest = len(low) - 1
    if low[0] == high[0]:
        return low[0] + _between(low[1:], high[1:])
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        return f"[{low[0]}-{high[0]}]" + (f"[0-9]{{{rest}}}" if rest else "")
    parts = [low[0] + _between(low[1:], "9" * rest)]
    if int(high[0]) - int(low[0]) > 1:
        parts.append(_between(f"{int(low[0]) + 1}{'0' * rest}", f"{int(high[0]) - 1}{'9' * rest}"))
    parts.append(high[0] + _between("0" * rest, high[1:]))
    return f"(?:{'|'.join(parts)})"


def _value(field: Field, format: str) -> str:
    """A terminal: regular expressions that all hold."""
    if field.choices:
        return _regex(_choices(field, format))
    if field.type == "integer":
        rules = [_integer(field)]
    elif field.type == "number":
        if math.isfinite(field.min) or math.isfinite(field.max):
            raise UserError(
                f"field {field.name} cannot be enforced: min and max of a number that need not be whole; "
                "use type: integer, or leave them out"
            )
        rules = [_NUMBER]
    else:
        edge, inside = _EDGE[format], _INSIDE[format]
        rules = [f"{inside}{{1,{MOST_CHARACTERS}}}", f"{edge}(?:(?s:.)*{edge})?"]
    rules += [field.pattern] if field.pattern else []
    return " & ".join(map(_regex, rules))


def _choices(field: Field, format: str) -> str:
    """Those that the template itself calls valid."""
    alone = Template("", "json" if format == "json" else "lines", (field,))
    valid = []
    for choice in field.choices:
        answer = json.dumps({field.name: choice}) if format == "json" else f"{field.name}: {choice}"
        parsed = alone.parse(answer)
        if not parsed.problems and parsed.values == {field.name: choice}:
            valid.append(json.dumps(choice, ensure_ascii=False) if format == "json" else choice)
    if not valid:
        raise UserError(f"field {field.name} cannot be enforced: none of its choices is valid by its other rules")
    return "|".join(map(re.escape, valid))


def _integer(field: Field) -> str:
    most = 10**MOST_DIGITS - 1
    low = math.ceil(field.min) if math.isfinite(field.min) else -most
    high = math.floor(field.max) if math.isfinite(field.max) else most
    if low > high:
        raise UserError(f"field {field.name} cannot be enforced: no whole number is from {low} to {high}")
    return whole_numbers(low, high)


def _check_names(template: Template) -> None:
    """Every name must be read back from an answer as it is written."""
    plain = replace(template, fields=tuple(Field(field.name) for field in template.fields))
    values = {field.name: f"v{at}" for at, field in enumerate(template.fields)}
    lines = "\n".join(f"{name}: {value}" for name, value in values.items())
    found = plain.parse(json.dumps(values) if template.format == "json" else lines).values
    if wrong := [name for name, value in values.items() if found.get(name) != value]:
        raise UserError(
            f"field {wrong[0]} cannot be enforced: its name is not read back from an answer, as another is like it "
            "or it has marks; use words"
        )


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _regex(pattern: str) -> str:
    """Between slashes, those within and line ends escaped."""
    changes = {"/": r"\/", "\n": r"\n", "\\\n": r"\n"}
    inner = re.sub(r"\\.|/|\n", lambda found: changes.get(found[0], found[0]), pattern, flags=re.DOTALL)
    return f"/{inner}/"
