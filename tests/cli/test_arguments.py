"""Options, recipes and what is said about those that cannot be used."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from commands import command, command_here
from entrotune.cli.arguments import expected, parse
from entrotune.errors import UserError

Here = pytest.CaptureFixture[str]


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Within.

    Args:
        data: rows.
        epochs: passes.
    """

    data: str
    epochs: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of a made-up command.

    Args:
        inner: a recipe within.
        name: text.
        count: whole.
        rate: a number or nothing.
        kind: one of two.
        resume: a switch.
        temperatures: a list.
        columns: a mapping.
    """

    inner: Inner
    name: str = "x"
    count: int = 1
    rate: float | None = None
    kind: Literal["one", "two"] = "one"
    resume: bool = False
    temperatures: list[float] = field(default_factory=lambda: [1.0])
    columns: dict[str, str] | None = None


def _parsed(*arguments: str) -> dict[str, Any]:
    return parse("made-up", Options, ["--inner.data", "d", *arguments], description="x", plans=True)


def _refused(*arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        _parsed(*arguments)
    return str(caught.value)


def test_values_of_every_kind() -> None:
    values = _parsed(
        *["--count", "3", "--rate=0.5", "--kind", "two", "--temperatures", "[0.7, 1]", "--columns", '{"prompt": "q"}'],
        *["--inner.epochs", "2"],
    )
    assert values["inner"] == Inner(data="d", epochs=2.0)
    assert (values["count"], values["rate"], values["kind"]) == (3, 0.5, "two")
    assert values["temperatures"] == [0.7, 1]
    assert values["columns"] == {"prompt": "q"}
    assert _parsed("--name", "-0.1*entropy + ce")["name"] == "-0.1*entropy + ce"
    assert _parsed("--rate", "-2")["rate"] == -2
    assert _parsed("--temperatures+", "1.3")["temperatures"] == [1.0, 1.3]
    for given in (["0.7", "1"], ["0.7,1"], ["0.7,", "1"], ["[0.7, 1]"]):
        assert _parsed("--temperatures", *given, "--count", "3")["temperatures"] == [0.7, 1.0], given
    assert _parsed("--temperatures", "0.7")["temperatures"] == [0.7]
    assert _parsed("--columns.prompt", "q")["columns"] == {"prompt": "q"}


@pytest.mark.parametrize(
    ("arguments", "resume", "planned"),
    [
        ([], False, False),
        (["--resume"], True, False),
        (["--resume", "true"], True, False),
        (["--resume=True"], True, False),
        (["--resume", "false"], False, False),
        (["--resume", "--dry-run"], True, True),
        (["--dry_run", "--resume"], True, True),
        (["--dry-run", "false"], False, False),
        (["--dry-run=true", "--name", "true"], False, True),
        (["--dry-run", "true", "--resume=false"], False, True),
    ],
)
def test_switches_stand_alone_or_with_a_value(arguments: list[str], resume: bool, planned: bool) -> None:
    values = _parsed(*arguments)
    assert (values["resume"], values["dry_run"]) == (resume, planned)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rate", "abc"], "--rate: expected a number or null, got abc"),
        (["--count", "1.5"], "--count: expected a whole number, got 1.5"),
        (["--kind", "three"], "--kind: expected one or two, got three"),
        (["--temperatures", "warm"], "--temperatures: expected a list such as '[0.7, 1.0]', got "),
        (["--columns", "abc"], '--columns: expected a mapping such as {"prompt": "question"} or null, got abc'),
        (["--resume=maybe"], "--resume: expected true or false, got maybe"),
        (["--dry-run=maybe"], "--dry-run: expected true or false, got maybe"),
        (["--inner.epochs", "x"], "--inner.epochs: expected a number, got x"),
        (["--count"], "--count needs a value: a whole number"),
        (["--inner", "nowhere.yaml"], "--inner: expected the name of a recipe, or options such as --inner.data"),
        (["--cuont", "1"], "there is no option --cuont; did you mean --count?"),
        (["--cou", "1"], "there is no option --cou; did you mean --count?"),
        (["--epochs", "1"], "there is no option --epochs; did you mean --inner.epochs?"),
        (["--zzz"], "there is no option --zzz"),
        (["stray"], "did not expect stray; values follow the name of an option"),
        (["--config", "nowhere.yaml"], "nowhere.yaml; give the name of a YAML file"),
    ],
)
def test_bad_options_are_told_in_one_sentence(arguments: list[str], told: str) -> None:
    said = _refused(*arguments)
    assert told in said
    assert said.endswith(" (entrotune made-up --help lists the options)") or "--dry-run" in said
    assert "\n" not in said
    assert "class" not in said


def test_a_missing_option_is_named() -> None:
    with pytest.raises(UserError, match=r"^missing: inner.data"):
        parse("made-up", Options, [], description="x")


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("foo: 3", "the recipe has a field foo that does not exist"),
        ("cuont: 3", "the recipe has a field cuont that does not exist; did you mean count?"),
        ("inner: {data: d, epoch: 3}", "a field inner.epoch that does not exist; did you mean inner.epochs?"),
        ("innre: {data: d}", "the recipe has a field innre.data that does not exist; did you mean inner?"),
        ("rate: abc", "rate in the recipe: expected a number or null, got abc"),
        ("inner: {data: d, epochs: three}", "inner.epochs in the recipe: expected a number, got three"),
        ("- a", "the recipe is not a YAML mapping"),
        ("a: [", "the recipe is not YAML"),
        ("count: 3\ninner: {data: d}\ncount: 4", "count stands in line 1 and again in line 3"),
        ("inner:\n  data: d\n  epochs: 1\n  data: e", "data stands in line 2 and again in line 4"),
        ("\udcff", "is no recipe: it is not UTF-8 text (byte 0)"),
    ],
)
def test_bad_recipes_are_told_in_one_sentence(tmp_path: Path, recipe: str, told: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe, encoding="utf-8", errors="surrogateescape")
    said = _refused("--config", str(path))
    assert told in said
    assert "\n" not in said
    assert "class" not in said


@pytest.mark.parametrize("joined", [False, True])
def test_a_name_that_is_given_twice_is_refused(joined: bool) -> None:
    twice = '{"a": "b", "c": {"d": 1, "d": 2}}'
    said = _refused(*([f"--columns={twice}"] if joined else ["--columns", twice]))
    assert said == f"d is given twice in {twice}; all but the last would be lost: give it once"


def test_a_text_may_say_a_name_twice() -> None:
    assert _parsed("--name", '{"a": 1, "a": 2}')["name"] == '{"a": 1, "a": 2}'


def test_the_example_of_a_mapping_is_that_of_its_option() -> None:
    assert expected(dict[str, Any], "search") == 'a mapping such as {"alpha": [0, 0.1]}'
    assert expected(dict[str, Any] | None, "train.coefficients") == 'a mapping such as {"alpha": 0.1} or null'


def test_types_in_words() -> None:
    assert expected(float | int | str) == "a number or a whole number or text"
    assert expected(Literal["a"] | None) == "a or null"


@pytest.mark.parametrize("name", ["train", "compare", "evaluate"])
def test_print_config_round_trip(capsys: Here, tmp_path: Path, name: str) -> None:
    data = "--train.data" if name == "compare" else "--data"
    flags = [data, "rows.jsonl", "--out", "somewhere", *(["--train.epochs", "7"] if name == "compare" else [])]
    first = command_here(capsys, name, *flags, "--print_config")
    assert first.code == 0, first.err
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(first.out, encoding="utf-8")
    again = command_here(capsys, name, "--config", str(recipe), "--print-config")
    assert again.out == first.out
    assert yaml.safe_load(first.out)["out"] == "somewhere"


def test_flags_override_the_recipe(capsys: Here, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: a.jsonl\nlearning_rate: 0.1\nseed: 4\n", encoding="utf-8")
    for spelling in ("--learning_rate", "--learning-rate"):
        ended = command_here(capsys, "train", "--config", str(recipe), spelling, "0.2", "--print_config")
        values = yaml.safe_load(ended.out)
        assert (values["data"], values["learning_rate"], values["seed"]) == ("a.jsonl", 0.2, 4)


def test_through_a_real_process() -> None:
    ended = command("train", "--data", "x", "--learning-rate", "abc")
    assert (ended.code, ended.out) == (2, "")
    told = "entrotune train: --learning_rate: expected a number or null, got abc (entrotune train --help"
    assert ended.err.startswith(told)
    assert ended.err.count("\n") == 1


def test_numbers_that_no_computer_counts_to_are_refused() -> None:
    huge = 10**30
    assert f"--count is {huge}; expected a whole number of at most" in _refused("--count", str(huge))
    assert f"--count is -{huge}" in _refused("--count", f"-{huge}")
    assert _parsed("--count", "9000000000")["count"] == 9_000_000_000


def test_an_empty_argument_is_told(capsys: Here) -> None:
    assert "did not expect ''; values follow the name of an option" in command_here(capsys, "train", "").err
