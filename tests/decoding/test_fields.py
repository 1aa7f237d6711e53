"""Templates of fields: what is asked, what is read from an answer, and what is counted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.decoding.fields import Field, Parsed, Template, read_template
from entrotune.errors import UserError

ROOT = Path(__file__).parents[2]
PEOPLE = read_template(ROOT / "recipes" / "fields" / "people.yaml")
GOOD = "first name: Ada\nlast name: Lovelace\ngender: female\nbirth year: 1915\nbirthplace: London\ncareer: programmer"


def test_the_request_names_every_field() -> None:
    for line in ("first name: <text>", "birth year: <a whole number>", "gender: <female or male or nonbinary>"):
        assert line in PEOPLE.prompt


def test_a_valid_answer() -> None:
    parsed = PEOPLE.parse(GOOD)
    assert parsed.problems == ()
    assert parsed.values["birth year"] == 1915
    assert parsed.values["gender"] == "female"


@pytest.mark.parametrize(
    "answer",
    [
        "Sure! Here it is:\n\n" + GOOD,
        "\n".join(f"- **{line.replace(': ', ':** ')}" for line in GOOD.splitlines()),
        "\n".join(f"{i}. {line}" for i, line in enumerate(GOOD.splitlines(), 1)),
        GOOD.upper().replace("FIRST NAME", "First_Name"),
        GOOD + "\ngender: male",
    ],
)
def test_what_models_put_around_lines_does_not_matter(answer: str) -> None:
    parsed = PEOPLE.parse(answer)
    assert parsed.problems == ()
    assert parsed.values["birth year"] == 1915
    assert parsed.values["gender"] == "female"
    assert str(parsed.values["last name"]).casefold() == "lovelace"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("1915", "a while ago", "birth year: expected integer"),
        ("1915", "1715", "birth year: 1715 is outside of 1900 to 2025"),
        ("female", "unknown", "gender: 'unknown' is none of"),
        ("Ada", "4da", "first name: '4da' does not match"),
        ("career: programmer", "", "career: missing"),
        ("Lovelace", "", "last name: empty"),
    ],
)
def test_each_field_is_checked(old: str, new: str, problem: str) -> None:
    (found,) = PEOPLE.parse(GOOD.replace(old, new)).problems
    assert found.startswith(problem)


def test_json_answers() -> None:
    template = Template("Go.", "json", (Field("name"), Field("age", type="integer", min=0)))
    assert template.parse('Here: {"Name": "Bo", "age": 7} done').values == {"name": "Bo", "age": 7}
    assert template.parse("{broken").problems == ("no JSON object in the answer",)
    assert template.parse('{"name": "Bo"}').problems == ("age: missing",)


def test_summary_by_hand() -> None:
    template = Template("Go.", "lines", (Field("a"), Field("b"), Field("c", type="integer")))
    texts = [("x", "y", 1), ("x", "y", 2), ("X", "y", 1), ("p", "q", 3), ("p", "r", 4), ("x", "y", "no")]
    found = template.summary([template.parse(f"a: {a}\nb: {b}\nc: {c}") for a, b, c in texts])
    assert (found["answers"], found["valid"], found["distinct"]) == (6, 5, 5)
    # The second agrees with the first in a and b, the third in all but case; the fifth with the fourth in a alone.
    assert found["near_duplicates"] == 2
    assert found["fields"]["a"]["distinct"] == 3
    assert found["fields"]["c"]["invalid"] == 1
    assert found["fields"]["b"]["commonest"][0] == ["y", 3]


@given(st.lists(st.text(max_size=30), max_size=6))
def test_any_text_is_read_without_an_error(lines: list[str]) -> None:
    parsed = PEOPLE.parse("\n".join(lines))
    assert isinstance(parsed, Parsed)
    assert PEOPLE.summary([parsed])["answers"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("fields: {a: {}}", "request must be"),
        ("request: x\nfields: {}", "at least one name"),
        ("request: x\nfields: {a: {type: date}}", "field a: type must be one of"),
        ("request: x\nfields: {a: {min: low}}", "min must be a number"),
        ("request: x\nfields: {a: {pattern: '['}}", "not a regular expression"),
        ("request: x\nfields: {a: {choice: [1]}}", "unknown choice"),
        ("request: x\nfields: {a: {choices: one}}", "choices must be a list"),
        ("request: x\nformat: xml\nfields: {a: {}}", "format must be lines or json"),
        ("- x", "must be a mapping"),
        ("request: [", "is not YAML"),
    ],
)
def test_a_wrong_template_is_told(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_template(path)
    assert message in str(error.value)
    assert "template.yaml" in str(error.value)
