"""Input that cannot be used: exit code 2, one message, nothing written."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import command, command_here
from tiny_files import write_rows


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a bad command is run: a folder with `rows.jsonl`, a model, and `out`, which is not there yet."""

    folder: Path
    model: Path

    def write(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def flags(self, command: str, changes: dict[str, str]) -> list[str]:
        """A command that would run, with some flags changed."""
        prefix = "train." if command == "compare" else ""
        short = {"max_length": "128"} if command != "evaluate" else {"prompts": "2", "samples": "2"}
        flags = {"data": str(self.folder / "rows.jsonl"), "model": str(self.model), **short}
        named = {prefix + key: value for key, value in flags.items()} | {"out": str(self.folder / "out")}
        if command == "compare":
            named |= {"prompts": "2", "samples": "2", "max_new_tokens": "3"}
        changes = {prefix + key if prefix + key in named else key: value for key, value in changes.items()}
        return [command, *(part for key, value in (named | changes).items() for part in (f"--{key}", value))]


@pytest.fixture
def place(tmp_path: Path, model: Path) -> Place:
    write_rows(tmp_path / "rows.jsonl")
    return Place(tmp_path, model)


Changes = Callable[[Place], dict[str, str]]
ROW = '{"prompt": "p", "completion": "c"}\n'

# name: (commands, changed flags, words of the message)
BAD: dict[str, tuple[tuple[str, ...], Changes, str]] = {
    "no such model": (("train", "compare", "evaluate"), lambda p: {"model": str(p.folder / "no-model")}, "no-model"),
    "hub id offline": (("train", "evaluate"), lambda _: {"model": "nobody/no-such-model"}, "nobody/no-such-model"),
    "empty model folder": (("train", "compare", "evaluate"), lambda p: {"model": str(p.folder)}, "config.json"),
    "unreadable gguf": (("train", "evaluate"), lambda p: {"model": p.write("bad.gguf", b"GGUF nonsense")}, "bad.gguf"),
    "no such file": (("train", "compare", "evaluate"), lambda _: {"data": "no/rows.jsonl"}, "no/rows.jsonl"),
    "no such column": (("train", "evaluate"), lambda _: {"columns": '{"prompt": "question"}'}, "question"),
    "objective with a typo": (("train",), lambda _: {"objective": "ce - 0.1*entrpy"}, "did you mean 'entropy'"),
    "objectives with a typo": (("compare",), lambda _: {"objectives": '["entrpy"]'}, "did you mean 'entropy'"),
    "not a number": (("train",), lambda _: {"objective": "ce - nan*entropy"}, "nan"),
    "infinite coefficient": (("train",), lambda _: {"objective": "1e999*ce"}, "finite"),
    "negative ce": (("train",), lambda _: {"objective": "-1*ce"}, "ce"),
    "beta of 0": (("train",), lambda _: {"objective": "gem(beta=0)"}, "beta"),
    "negative beta": (("train",), lambda _: {"objective": "gem(beta=-1)"}, "beta"),
    "beta that is no number": (("train",), lambda _: {"objective": "gem(beta=nan)"}, "nan"),
    "empty file": (("train", "compare", "evaluate"), lambda p: {"data": p.write("empty.jsonl", "")}, "empty.jsonl"),
    "empty array": (("train", "evaluate"), lambda p: {"data": p.write("none.json", "[]")}, "none.json"),
    "all rows bad": (
        ("train", "evaluate"),
        lambda p: {"data": p.write("bad.jsonl", '{"prompt": "p", "completion": ""}\n' * 3)},
        "bad.jsonl",
    ),
    "one bad row and stop": (
        ("train",),
        lambda p: {"data": p.write("mixed.jsonl", ROW * 4 + "{oops\n" + ROW), "on_bad_row": "stop"},
        "mixed.jsonl:5",
    ),
    "one row": (("train", "compare"), lambda p: {"data": p.write("one.jsonl", ROW)}, "row"),
    "binary file": (("train", "evaluate"), lambda p: {"data": p.write("x.jsonl", b"\xff\xfe\x00")}, "x.jsonl"),
    "rows longer than the limit": (("train", "compare"), lambda _: {"max_length": "5"}, "no usable training row"),
    "limit beyond the context": (("train", "compare"), lambda _: {"max_length": "513"}, "512"),
    "prompt longer than the context": (
        ("evaluate",),
        lambda p: {"data": p.write("long.jsonl", '{"prompt": "' + "long " * 200 + '", "completion": "c"}\n')},
        "context",
    ),
    "no room for new tokens": (("evaluate", "compare"), lambda _: {"max_new_tokens": "510"}, "prompt"),
    "learning rate that is no number": (("train",), lambda _: {"learning_rate": "nan"}, "learning_rate"),
    "no epochs": (("train",), lambda _: {"epochs": "0"}, "epochs"),
    "temperature below 0": (("evaluate", "compare"), lambda _: {"temperatures": "[-1.0]"}, "temperature"),
    "no samples": (("evaluate", "compare"), lambda _: {"samples": "0"}, "samples"),
}
CASES = [pytest.param(name, command, id=f"{command}: {name}") for name in BAD for command in BAD[name][0]]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _check(code: int, out: str, err: str, words: str) -> None:
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    assert words in err
    assert err.count("entrotune train: ") + err.count("entrotune compare: ") + err.count("entrotune evaluate: ") == 1


@pytest.mark.parametrize(("name", "which"), CASES)
def test_told_in_a_sentence_and_nothing_written(
    place: Place, capsys: pytest.CaptureFixture[str], name: str, which: str
) -> None:
    _, changes, words = BAD[name]
    arguments = place.flags(which, changes(place))
    before = _files(place.folder)
    ended = command_here(capsys, *arguments)
    _check(ended.code, ended.out, ended.err, words)
    assert not (place.folder / "out").exists()
    assert _files(place.folder) == before


@pytest.mark.parametrize("name", ["objective with a typo", "unreadable gguf", "empty file"])
def test_through_a_real_process(place: Place, name: str) -> None:
    _, changes, words = BAD[name]
    ended = command(*place.flags("train", changes(place)))
    _check(ended.code, ended.out, ended.err, words)
    assert not (place.folder / "out").exists()


@pytest.mark.parametrize("which", ["train", "compare", "evaluate"])
@pytest.mark.parametrize("held", ["run", "other files"])
def test_an_occupied_folder_is_left_alone(
    place: Place, capsys: pytest.CaptureFixture[str], which: str, held: str
) -> None:
    out = place.folder / "out"
    if held == "run":
        first = command_here(capsys, *place.flags(which, {"max_steps": "1"} if which == "train" else {}))
        assert first.code == 0, first.err
    else:
        out.mkdir()
        (out / "evaluation.json").write_text("mine", encoding="utf-8")
    before = _files(out)
    ended = command_here(capsys, *place.flags(which, {}))
    _check(ended.code, ended.out, ended.err, "holds")
    if held == "run":
        assert "resume" in ended.err
        assert "overwrite" in ended.err
    assert _files(out) == before


def test_a_folder_that_cannot_be_written(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write("file", "words")
    for which in ("train", "compare", "evaluate"):
        ended = command_here(capsys, *place.flags(which, {"out": str(place.folder / "file" / "out")}))
        _check(ended.code, ended.out, ended.err, "file")
    assert (place.folder / "file").read_text(encoding="utf-8") == "words"
