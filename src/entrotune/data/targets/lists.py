"""Target sets that need no file: lists of words from the mimesis package, and ranges of numbers."""

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator
from typing import Any

from entrotune.errors import UserError

# Name → where it is in mimesis's English data, and what an item of it is called in a request.
NAMED = {
    "academic_degrees": (("person.academic_degree",), "an academic degree"),
    "banks": (("finance.banks",), "a bank"),
    "cities": (("address.city",), "a city"),
    "colors": (("text.color",), "a colour"),
    "companies": (("finance.company.name",), "a company"),
    "continents": (("address.continent",), "a continent"),
    "countries": (("address.country.name",), "a country"),
    "days": (("datetime.day.name",), "a day of the week"),
    "dishes": (("food.dishes",), "a dish"),
    "drinks": (("food.drinks",), "a drink"),
    "female_names": (("person.names.female",), "a woman's first name"),
    "first_names": (("person.names.female", "person.names.male"), "a first name"),
    "fruits": (("food.fruits",), "a fruit"),
    "languages": (("person.language",), "a language"),
    "male_names": (("person.names.male",), "a man's first name"),
    "months": (("datetime.month.name",), "a month"),
    "nationalities": (("person.nationality",), "a nationality"),
    "occupations": (("person.occupation",), "an occupation"),
    "spices": (("food.spices",), "a spice"),
    "states": (("address.state.name",), "a state of the USA"),
    "streets": (("address.street.name",), "a street name"),
    "surnames": (("person.surnames",), "a surname"),
    "universities": (("person.university",), "a university"),
    "vegetables": (("food.vegetables",), "a vegetable"),
    "words": (("text.words",), "a word"),
}
_RANGE = re.compile(r"range\(\s*(-?\d+)\s*,\s*(-?\d+)\s*(?:,\s*(\d+)\s*)?\)")
_MOST_NUMBERS = 100_000


def mimesis_list(name: str) -> tuple[list[str], str, int]:
    """A list of mimesis's English data, each item once; what an item is called; and how many duplicates there were.

    Args:
        name: a name of `NAMED`, or the path of a list such as `food.spices`.

    Raises:
        UserError: no such list; the message names those there are.
    """
    key = name.replace("-", "_").lower()
    paths, called = NAMED.get(key, ((name,), f"one of: {name.rpartition('.')[2].replace('_', ' ')}"))
    lists = _lists()
    if missing := [path for path in paths if path not in lists]:
        raise UserError(
            f"there is no list {missing[0]!r} in mimesis; expected one of {', '.join(NAMED)}, or a path of its data "
            f"such as {', '.join(sorted(set(lists) - {path for paths, _ in NAMED.values() for path in paths})[:4])}"
        )
    items = [item for path in paths for item in lists[path]]
    once = list(dict.fromkeys(items))
    return once, called, len(items) - len(once)


def parse_range(text: str) -> tuple[list[str], str] | None:
    """`range(1,100)` → the numbers, the last one included, and what one is called; None for any other text.

    A third number is the step.

    Raises:
        UserError: it ends before it begins, its step is 0, or it is too long to be enumerated.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        return None
    first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
    if last < first or step < 1:
        raise UserError(f"{text} holds no number; expected range(FIRST,LAST) or range(FIRST,LAST,STEP), LAST included")
    count = (last - first) // step + 1
    if count > _MOST_NUMBERS:
        raise UserError(f"{text} holds {count:,} numbers, more than the {_MOST_NUMBERS:,} that can be targets")
    steps = "" if step == 1 else f", in steps of {step}"
    return [str(number) for number in range(first, last + 1, step)], f"a number from {first} to {last}{steps}"


@functools.cache
def _lists() -> dict[str, list[str]]:
    """Path → list, such as `person.names.female`."""
    folder = importlib.resources.files("mimesis") / "datasets" / "en"
    found: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            content = json.loads(file.read_text(encoding="utf-8"))
            found |= dict(_walk(content, file.name.removesuffix(".json")))
    return found


def _walk(value: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, f"{path}.{key}")
