"""Responses limited by a pattern, a JSON schema or an enforced template, through the command."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from commands import Ended, command_here
from tiny_files import write_model

SCHEMA = """{"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "maximum": 99}}, "required": ["a"],
"additionalProperties": false}"""
WORDS = "request: x\nfields: {word: {pattern: '[a-z]+'}, count: {type: integer, min: 1, max: 12}}\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def asked(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command in a folder with a schema and a template, with responses in out.jsonl."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schema.json").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "words.yaml").write_text(WORDS, encoding="utf-8")

    def run(*options: str, prompt: tuple[str, ...] = ("--prompt", "hi")) -> Ended:
        fixed = ("--model", model, "--out", "out.jsonl", "--strategy", "sample", "-n", "5", "--max_new_tokens", "70")
        return command_here(capsys, "generate", *fixed, *prompt, *options)

    return run


def kept() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out.jsonl").read_bytes().splitlines()]


def test_every_response_matches_the_pattern(asked: Any) -> None:
    pattern = r"[a-f]{2,5} (yes|no)\."
    assert asked("--pattern", pattern).code == 0
    assert all(re.fullmatch(pattern, line["text"]) and line["finished"] for line in kept())
    assert len({line["text"] for line in kept()}) == 5
    again = asked("--pattern", "[a-f]")
    assert again.code == 2
    assert f"was made with pattern {pattern!r}, not '[a-f]'" in again.err
    assert "was made with pattern" in asked().err


def test_every_response_is_json_of_the_schema(asked: Any) -> None:
    assert asked("--json_schema", "schema.json").code == 0
    assert all(1 <= json.loads(line["text"])["a"] <= 99 and line["finished"] for line in kept())
    Path("schema.json").write_text(SCHEMA.replace("99", "98"), encoding="utf-8")
    again = asked("--json_schema", "schema.json")
    assert again.code == 2
    assert "was made with json_schema" in again.err


@pytest.mark.parametrize("format", ["lines", "json"])
def test_every_answer_is_valid(asked: Any, format: str) -> None:
    template = Path("words.yaml")
    template.write_text(f"format: {format}\n{WORDS}", encoding="utf-8")
    ended = asked("--enforce", prompt=("--fields", "words.yaml"))
    assert ended.code == 0, ended.err
    assert len(kept()) == 5
    assert not Path("out.rejects.jsonl").exists()
    for line in kept():
        assert re.fullmatch("[a-z]{1,40}", line["fields"]["word"])
        assert 1 <= line["fields"]["count"] <= 12
    again = asked(prompt=("--fields", "words.yaml"))
    assert "was made with enforce True, not None" in again.err


def test_what_was_cut_off_is_a_reject(asked: Any) -> None:
    assert asked("--enforce", "--max_new_tokens", "12", prompt=("--fields", "words.yaml")).code == 0
    rejects = [json.loads(line) for line in Path("out.rejects.jsonl").read_bytes().splitlines()]
    assert len(rejects) == 5
    assert not any(line["finished"] for line in rejects)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pattern", "a("), "unclosed group"),
        (("--pattern", ""), "pattern is empty"),
        (("--json_schema", "none.json"), "cannot read the JSON schema 'none.json'"),
        (("--json_schema", "words.yaml"), "cannot read the JSON schema 'words.yaml'"),
        (("--json_schema", "list.json"), "must be a JSON object"),
        (("--json_schema", "wrong.json"), "'wrong.json': Invalid type: objec"),
        (("--pattern", "a", "--choices", "a", "b"), "choices and pattern exclude each other"),
        (("--pattern", "a", "--json_schema", "schema.json"), "pattern and json_schema exclude each other"),
        (("--pattern", "a", "--endpoint", "http://x"), "pattern and endpoint exclude each other"),
        (("--json_schema", "schema.json", "--bench"), "json_schema and bench exclude each other"),
        (("--pattern", "a", "--strategy", "no_repeat_ngram(2)"), "pattern and no_repeat_ngram exclude each other"),
        (("--pattern", "a", "--prompting", "verbalised"), "prompting: verbalised exclude each other"),
        (("--enforce",), "enforce belongs to fields"),
    ],
)
def test_what_cannot_be_is_told_before_weights_are_loaded(asked: Any, options: tuple[str, ...], message: str) -> None:
    Path("list.json").write_text("[1]", encoding="utf-8")
    Path("wrong.json").write_text('{"type": "objec"}', encoding="utf-8")
    for ended in (asked(*options), asked(*options, "--dry-run")):
        assert ended.code == 2
        assert message in ended.err
        assert ended.err.count("\n") == 1
    assert not Path("out.settings.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--enforce",), "words.yaml: field count cannot be enforced: min and max of a number"),
        (("--pattern", "a"), "pattern and fields exclude each other"),
        (("--enforce", "--endpoint", "http://x"), "enforce and endpoint exclude each other"),
    ],
)
def test_templates_that_cannot_be_enforced(asked: Any, options: tuple[str, ...], message: str) -> None:
    Path("words.yaml").write_text(WORDS.replace("integer", "number"), encoding="utf-8")
    ended = asked(*options, prompt=("--fields", "words.yaml"))
    assert ended.code == 2
    assert message in ended.err
    assert not Path("out.settings.json").exists()


def test_values_are_compared_with_those_of_another_file(asked: Any) -> None:
    ends = "within\u2028a\x85text"
    rows = [{"text": ends, "fields": {"word": "same", "count": number % 2 + 1}} for number in range(10)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    Path("base.jsonl").write_text("\n".join(lines), encoding="utf-8")
    ended = asked("--enforce", "--beside", "base.jsonl", prompt=("--fields", "words.yaml"))
    assert ended.code == 0, ended.err
    found = json.loads(Path("out.summary.json").read_text(encoding="utf-8"))["fields"]["beside"]
    assert (found["file"], found["responses"], found["at"]) == ("base.jsonl", 10, 2)
    assert len({line["fields"]["word"] for line in kept()}) == 5
    assert found["ratios"]["word"]["value"] == pytest.approx(2.0)  # of 2, 2 differ here and 1 there
    assert "among 2 responses of each" in " ".join(ended.out.split())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ('{"fields": {"word": "a", "count": 1}}\n', "expected at least 2"),
        ('{"fields": {"word": "a"}}\n', "line 1: no count"),
        ('{"text": "a"}\n', "line 1: no response with fields"),
    ],
)
def test_a_file_that_cannot_be_compared_with_is_refused_first(asked: Any, content: str | None, told: str) -> None:
    if content is not None:
        Path("base.jsonl").write_text(content, encoding="utf-8")
    ended = asked("--beside", "base.jsonl", prompt=("--fields", "words.yaml"))
    assert ended.code == 2
    assert told in ended.err
    assert not Path("out.jsonl").exists()


def test_every_response_has_the_words(asked: Any) -> None:
    forced = ("--strategy", "beam(beams=6)", "--max_new_tokens", "12", "-n", "1", "--html", "page.html")
    assert asked("--force_words", "cat", "ox", *forced).code == 0
    (line,) = kept()
    assert re.search(r"\bcat\b", line["text"])
    assert re.search(r"\box\b", line["text"])
    assert "“cat”, “ox”" in Path("page.html").read_text(encoding="utf-8")
    assert "was made with force_words ['cat', 'ox'], not ['cat']" in asked("--force_words", "cat", *forced).err


def test_responses_without_room_for_the_words_are_rejected(asked: Any) -> None:
    forced = ("--strategy", "beam(beams=6)", "--max_new_tokens", "2", "-n", "1")
    ended = asked("--force_words", "cat", "a", *forced)
    rejects = [json.loads(line) for line in Path("out.rejects.jsonl").read_bytes().splitlines()]
    assert rejects[0]["reason"] == "force_words: 'cat' missing"
    assert rejects[0]["missing"] == ["cat"]
    assert "force_words" in ended.out + ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--force_words", "a"), "force_words needs a beam search, not sample; give strategy beam(beams=8)"),
        (("--force_words", "a", "a", "--strategy", "beam"), "force_words has 'a' twice"),
        (("--force_words", "a", "--choices", "b", "c", "--strategy", "beam"), "force_words and choices exclude"),
        (("--force_words", "a", "--strategy", "diverse_beam"), "not diverse_beam("),
    ],
)
def test_words_that_cannot_be_forced(asked: Any, options: tuple[str, ...], told: str) -> None:
    ended = asked(*options)
    assert ended.code == 2
    assert told in ended.err
    assert not Path("out.jsonl").exists()
