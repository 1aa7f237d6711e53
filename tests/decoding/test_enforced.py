"""Templates as grammars: whatever is drawn by them is valid, and what cannot be kept is named."""

import dataclasses
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entrotune.decoding.enforced import MOST_CHARACTERS, enforced, whole_numbers
from entrotune.decoding.fields import Field, Template, read_template
from entrotune.errors import UserError
from tiny import byte_tokenizer

ROOT = Path(__file__).parents[2]
TOKENIZER = byte_tokenizer()
PEOPLE = read_template(ROOT / "recipes" / "fields" / "people.yaml")
ODD = Template(
    "x",
    "lines",
    (
        Field("free text"),
        Field("né", pattern="[a-c/]+|x\\/y|\n|[*_` ]+"),
        Field("count", "integer", pattern=r"\d\d|-.*", min=-20, max=30.5),
        Field("open", "integer", min=7),
        Field("size", "number"),
        Field("kind", choices=("C*", "A/B", "x y", '"z"\\', "4")),
    ),
)


def walks(template: Template, count: int) -> list[str]:
    """Texts of tokens drawn from all that are left, each as likely."""
    limits = enforced(template).limits(TOKENIZER)
    found = []
    for seed in range(count):
        chance, processor, ids = random.Random(seed), limits.processor(0), []
        while TOKENIZER.eos_token_id not in ids:
            scores = processor(torch.tensor([ids], dtype=torch.long), torch.zeros(1, len(TOKENIZER)))
            ids.append(chance.choice(np.flatnonzero(scores[0].isfinite()).tolist()))
        found.append(TOKENIZER.decode(ids[:-1]))
    return found


@pytest.mark.parametrize("format", ["lines", "json"])
@pytest.mark.parametrize("template", [PEOPLE, ODD], ids=["people", "odd"])
def test_whatever_is_drawn_is_valid(template: Template, format: str) -> None:
    template = dataclasses.replace(template, format=format)
    kinds = set()
    for text in walks(template, 12):
        parsed = template.parse(text)
        assert parsed.problems == (), text
        assert list(parsed.values) == [field.name for field in template.fields]
        assert all(len(str(value)) <= MOST_CHARACTERS for value in parsed.values.values())
        kinds.add(parsed.values.get("kind"))
    if template.fields == ODD.fields:  # emphasis is no part of a value in lines
        assert kinds == {"C*", "A/B", "x y", '"z"\\', "4"} - ({"C*"} if format == "lines" else set())


@given(st.integers(-2500, 2500), st.integers(0, 2500))
def test_whole_numbers_from_low_to_high(low: int, more: int) -> None:
    high = low + more
    pattern = re.compile(whole_numbers(low, high))
    near = {end + step for end in (low, high, 0, 9, 99, 999, -9, -99) for step in (-11, -10, -1, 0, 1, 10, 11)}
    for number in near | set(range(low, high, 37)):
        assert bool(pattern.fullmatch(str(number))) == (low <= number <= high)
    for text in ("", "-", "-0", "00", "007", f"0{high}", "1.5"):
        assert not pattern.fullmatch(text) or text == str(high)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([Field("a", pattern="(?=a)b")], "field a cannot be enforced .*look-around"),
        ([Field("a", pattern="[0-9]{41}")], "field a cannot be enforced with at most 40 characters: nothing matches"),
        ([Field("ok"), Field("a", "integer", pattern="[a-z]+")], "field a cannot be enforced: nothing matches"),
        ([Field("a", "number", min=3)], "field a cannot be enforced: min and max of a number"),
        ([Field("a", "integer", min=0.2, max=0.8)], "no whole number is from 1 to 0"),
        ([Field("a", choices=("b", "c*"), pattern="c.")], "none of its choices is valid"),
        ([Field("a: b")], "field a: b cannot be enforced: its name is not read back"),
        ([Field("a b"), Field("A_b")], "field A_b cannot be enforced: its name is not read back"),
    ],
)
def test_rules_that_cannot_be_kept_are_named(fields: list[Field], message: str) -> None:
    with pytest.raises(UserError, match=message):
        enforced(Template("x", "lines", tuple(fields)))
