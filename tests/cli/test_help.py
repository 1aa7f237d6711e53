"""What the command says of itself."""

import pytest

from commands import command, command_here
from entrotune import __version__
from entrotune.cli.words import EXAMPLES, SUMMARIES


def test_no_arguments_gives_the_overview_and_an_error_code() -> None:
    ended = command()
    assert ended.code == 2
    for name in SUMMARIES:
        assert f"  {name} " in ended.out
    assert command("--help").out == ended.out
    assert command("--help").code == 0


def test_version() -> None:
    ended = command("--version")
    assert (ended.code, ended.out) == (0, f"entrotune {__version__}\n")


def test_unknown_command_names_the_nearest() -> None:
    ended = command("trian")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "entrotune: no command 'trian'; did you mean train?\n"
    assert "there are demo, train" in command("xyzzy").err


def test_help_in_a_process_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("evaluate", "--help") == command_here(capsys, "evaluate", "--help")


@pytest.mark.parametrize("name", SUMMARIES)
def test_help_of_a_command_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = command_here(capsys, name, "--help")
    assert ended.code == 0, ended.err
    assert ended.err == ""
    examples = [line.strip() for line in EXAMPLES[name].strip().splitlines()]
    assert examples
    for example in examples:
        assert example.startswith(f"entrotune {name}")
        assert example in ended.out
    assert "--config" in ended.out
