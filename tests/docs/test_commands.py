"""The shell lines of the pages are understood by the real parser, and so are the examples of `--help`."""

import shlex
from pathlib import Path

import pytest
import yaml

from docs.pages import PAGES, ROOT, commands, name
from entrotune.cli.arguments import parse
from entrotune.cli.commands import load, named
from entrotune.cli.main import main
from entrotune.cli.words import EXAMPLES, PARTS, SUMMARIES
from entrotune.training import TrainConfig

LINES = [(name(page), line, text) for page in PAGES for line, text in commands(page)]
LINES += [
    ("--help", 0, text.strip()) for examples in EXAMPLES.values() for text in examples.splitlines() if text.strip()
]


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has the recipes the lines name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    run = tmp_path / "runs" / "chats" / "recipe.yaml"
    run.parent.mkdir(parents=True)
    run.write_text(yaml.safe_dump(TrainConfig(data="chats.jsonl").to_dict()), encoding="utf-8")


@pytest.mark.usefixtures("recipes")
@pytest.mark.parametrize("text", [line[2] for line in LINES], ids=[f"{place}:{line}" for place, line, _ in LINES])
def test_command_parses(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = shlex.split(text, comments=True)
    assert program == "entrotune"
    if arguments[0].startswith("--"):
        assert main(arguments) == 0
        return
    assert arguments[0] in SUMMARIES
    which, rest = named(arguments)
    if which in PARTS:
        assert main(arguments) == 0
        return
    if "--help" in arguments or "--print_config" in arguments:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code in (0, None)
        assert capsys.readouterr().out
        return
    command = load(which)
    values = parse(
        which,
        command.target,
        rest,
        description="",
        positional=command.positional is not None,
        plans=command.plans,
        prints_json=command.prints_json,
    )
    assert values.get("dry_run", False) == ("--dry-run" in arguments)
    for key in ("data", "out", "objective"):
        if f"--{key}" in arguments:
            assert str(values[key]) == arguments[arguments.index(f"--{key}") + 1]


def test_every_command_is_shown() -> None:
    shown = {named(shlex.split(text, comments=True)[1:])[0] for _, _, text in LINES}
    parts = {f"{name} {part}" for name, own in PARTS.items() for part in own}
    assert (set(SUMMARIES) | parts) <= shown | set(PARTS)
