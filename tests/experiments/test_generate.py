"""`entrotune generate`: what is drawn does not depend on how, goes on after a kill, and is judged and counted."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import command, command_here
from entrotune import GenerateConfig, generate
from entrotune.errors import UserError
from entrotune.experiments.generation.bench import repetition
from entrotune.models import resolve_model
from entrotune.models.loading import model_folder
from tiny_files import write_model

SERVER_SECONDS = 90


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    rows = [
        {"prompt": f"question {'and more ' * i}?", "id": f"q{i}", "checker": {"kind": "regex", "pattern": "[a-m]"}}
        for i in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def made(model: str, **options: Any) -> dict[str, Any]:
    return generate(GenerateConfig(**{"model": model, "max_new_tokens": 8, "strategy": "sample", **options}))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(record: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(line["prompt_id"], line["index"], line["text"]) for line in record["outputs"]]


def test_batches_change_nothing(model: str, prompts: str) -> None:
    found = [texts(made(model, prompts=prompts, n=3, batch_size=size)) for size in (1, 5, 12)]
    assert found[0] == found[1] == found[2]
    assert [(id, index) for id, index, _ in found[0]] == [(f"q{i}", j) for i in range(4) for j in range(3)]
    assert len({text for _, _, text in found[0]}) == 12
    assert texts(made(model, prompts=prompts, n=3, seed=1)) != found[0]


def test_a_killed_command_goes_on(model: str, prompts: str, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    expected = made(model, prompts=prompts, n=4, out=str(whole), batch_size=3)
    made(model, prompts=prompts, n=2, out=str(cut), batch_size=5)
    content = cut.read_bytes().splitlines(keepends=True)
    cut.write_bytes(b"".join(content[:5]) + content[5][:20])  # killed within a line
    again = made(model, prompts=prompts, n=4, out=str(cut))
    assert texts(again) == texts(expected)
    assert [(x["prompt_id"], x["index"], x["text"]) for x in lines(cut)] == texts(expected)
    before = cut.stat().st_mtime_ns
    assert texts(made(model, prompts=prompts, n=1, out=str(cut))) == [one for one in texts(expected) if one[1] == 0]
    assert len(lines(cut)) == 16, "fewer responses asked for later do not throw others away"
    assert cut.stat().st_mtime_ns >= before


def test_kept_lines_are_not_drawn_again(model: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    made(model, prompt="hi", n=3, out=str(out))
    kept = lines(out)
    kept[1]["text"] = "as it was"
    out.write_text("".join(json.dumps(line) + "\n" for line in kept[:2]), encoding="utf-8")
    assert [line["text"] for line in made(model, prompt="hi", n=3, out=str(out))["outputs"]][1] == "as it was"


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 1}, "seed 0, not 1"), ({"strategy": "greedy"}, "strategy"), ({"prompt": "bye"}, "prompts")],
)
def test_other_settings_are_refused(model: str, tmp_path: Path, change: dict[str, Any], named: str) -> None:
    options = {"prompt": "hi", "n": 2, "out": str(tmp_path / "out.jsonl")}
    made(model, **options)
    with pytest.raises(UserError, match=named):
        made(model, **{**options, **change})
    assert made(model, **{**options, **change, "overwrite": True})["counts"]["usable"] == 2


def test_a_filter_keeps_and_counts_what_it_removes(model: str, prompts: str, tmp_path: Path) -> None:
    rules = tmp_path / "filter.yaml"
    rules.write_text("categories: {vowels: ['/[aeiou]/'], digits: ['/\\d/']}\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    plain = made(model, prompts=prompts, n=6)
    found = made(model, prompts=prompts, n=6, content_filter=str(rules), out=str(out))
    bad = {key for *key_, text in texts(plain) if set(text) & set("aeiou0123456789") for key in [tuple(key_)]}
    assert 0 < len(bad) < 24
    assert {(line["prompt_id"], line["index"]) for line in found["rejects"]} == bad
    assert found["counts"]["rejected"] == len(bad) == sum(found["counts"]["rejected_for"].values())
    assert set(found["counts"]["rejected_for"]) <= {"vowels", "digits"}
    assert found["counts"]["usable"] + len(bad) == 24
    assert all(line["reason"].startswith("content: ") for line in lines(tmp_path / "out.rejects.jsonl"))
    assert len(lines(out)) == found["counts"]["usable"]


def test_fields_are_checked_and_summed_up(model: str, tmp_path: Path) -> None:
    template = tmp_path / "word.yaml"
    template.write_text("request: Say a word.\nfields: {word: {pattern: '[a-z]+'}}\n", encoding="utf-8")
    out = tmp_path / "words.jsonl"
    found = made(model, fields=str(template), n=5, out=str(out))
    assert found["counts"] | {"tokens": 0, "unfinished": 0} == {
        "prompts": 1, "prompts_rejected": 0, "responses": 5, "usable": 0, "rejected": 5,
        "rejected_for": {"fields": 5}, "unfinished": 0, "tokens": 0,
    }  # fmt: skip
    assert found["fields"]["valid"] == 0
    assert lines(tmp_path / "words.rejects.jsonl")[0]["reason"] == "fields: word: missing"
    assert json.loads((tmp_path / "words.summary.json").read_text())["fields"]["answers"] == 5


@pytest.mark.parametrize("rerank", ["likelihood", "majority", "checker", "diverse"])
def test_choosing(model: str, prompts: str, tmp_path: Path, rerank: str) -> None:
    out = tmp_path / "out.jsonl"
    found = made(model, prompts=prompts, n=6, rerank=rerank, keep=2, out=str(out))
    assert found["selected"] == lines(tmp_path / "out.selected.jsonl")
    assert [(line["prompt_id"], line["rank"]) for line in found["selected"]] == [
        (f"q{i}", r) for i in range(4) for r in (0, 1)
    ]
    for i in range(4):
        own = [line for line in found["outputs"] if line["prompt_id"] == f"q{i}"]
        first = next(line for line in found["selected"] if line["prompt_id"] == f"q{i}")
        if rerank in ("likelihood", "diverse"):
            assert first["score"] == max(line["mean_logprob"] for line in own)
        if rerank == "checker" and any(set(line["text"]) & set("abcdefghijklm") for line in own):
            assert first["score"] is True


def test_another_answer_is_asked_for_with_those_before(model: str) -> None:
    plain = texts(made(model, prompt="hi", n=3))
    found = made(model, prompt="hi", n=3, prompting="another")
    assert texts(found)[0] == plain[0]
    assert texts(found)[1:] != plain[1:]
    # Shown answers that do not fit into 512 positions are left out, the oldest first, instead of failing.
    assert made(model, prompt="x" * 250, n=3, prompting="another", max_new_tokens=100)["counts"]["usable"] == 3


def test_verbalised_answers_without_responses_are_rejects(model: str) -> None:
    found = made(model, prompt="hi", n=2, prompting="verbalised")
    assert found["counts"]["rejected_for"] == {"verbalised": 2}
    assert found["rejects"][0]["verbalised"]["problems"] == ["0 usable responses of 5"]


def test_text_streams_where_one_is_wanted(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("generate", "--model", model, "--prompt", "hi", "--max_new_tokens", "8", "--seed", "3")
    ended = command_here(capsys, *arguments)
    as_json = command_here(capsys, *arguments, "--json")
    (line,) = json.loads(as_json.out)["outputs"]
    assert (ended.code, as_json.code) == (0, 0)
    assert ended.out.strip() == line["text"].strip()
    several = command_here(capsys, *arguments, "-n", "2")
    assert "prompt [0]" in several.out
    assert "prompt [1]" in several.out


def test_a_text_file_holds_a_prompt_a_line(model: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("one\n\ntwo\n", encoding="utf-8")
    assert made(model, prompts=str(path))["counts"]["prompts"] == 2


def test_a_plan_writes_nothing(model: str, prompts: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    config = GenerateConfig(model=model, prompts=prompts, n=5, out=str(tmp_path / "new" / "out.jsonl"))
    plan = generate(config, dry_run=True)
    assert (plan["responses"], plan["new_tokens_at_most"]) == (20, 20 * 128)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to answer"),
        ({"prompt": "a", "prompts": "b"}, "exclude each other"),
        ({"prompt": "a", "out": "x.txt"}, "ends in .jsonl"),
        ({"prompt": "a", "n": 0}, "n must be at least 1"),
        ({"prompt": "a", "strategy": "hot"}, "unknown part 'hot'"),
        ({"prompt": "a", "rerank": "likelihood"}, "n of at least 2"),
        ({"prompt": "a", "n": 3, "rerank": "reward"}, "needs reward_model"),
        ({"prompt": "a", "n": 3, "rerank": "diverse"}, "keep at least 2"),
        ({"prompt": "a", "n": 3, "rerank": "best"}, "expected one of"),
        ({"prompt": "a", "endpoint": "http://x", "n": 2, "rerank": "likelihood"}, "servers do not tell"),
        ({"bench": True}, "bench writes a folder"),
        ({"prompt": "a", "strategies": ["greedy"]}, "belong to bench"),
    ],
)
def test_what_cannot_be_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        GenerateConfig(**options)


def test_what_does_not_fit_is_told(model: str, prompts: str) -> None:
    with pytest.raises(UserError, match="context has 512"):
        made(model, prompt="hi", max_new_tokens=600)
    with pytest.raises(UserError, match="tokens, more than"):
        made(model, prompt="hi" * 300)
    with pytest.raises(UserError, match="needs a checker in every prompt; 'prompt'"):
        made(model, prompt="hi", n=2, rerank="checker")


def test_strategies_side_by_side(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench"
    chosen = ["greedy", "beam(2)", "top_p(0.8)", "target_entropy(1)", "contrastive_search(3)", "diverse_beam(4, 4)"]
    options = ["--bench", "--n", "3", "--max_new_tokens", "6", "--model", model, "--out", str(out), "--strategies"]
    options += chosen
    ended = command_here(capsys, "generate", *options)
    assert ended.code == 0, ended.err
    record = json.loads((out / "bench.json").read_text(encoding="utf-8"))
    assert [variant["name"] for variant in record["variants"]][0:3:2] == ["greedy", "top_p(0.8)"]
    assert [variant["label"] for variant in record["variants"]] == [*chosen[:-1], "diverse_beam"]
    greedy, _, _, target, contrastive, grouped = (v["settings"][0]["metrics"] for v in record["variants"])
    assert greedy["distinct_outputs"]["value"] == contrastive["distinct_outputs"]["value"] == 1
    assert grouped["distinct_outputs"]["value"] == 3
    assert target["own_perplexity"]["value"] > greedy["own_perplexity"]["value"]
    samples = lines(out / "samples.jsonl")
    assert len(samples) == 6 * 7 * 3
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "target_entropy(1)" in page
    assert "temperature –" not in page
    assert "target_entropy" in ended.out
    assert command_here(capsys, "report", str(out), "--out", str(tmp_path / "again.html")).code == 0


def test_a_bench_of_more_than_memory_holds_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"7,000,000,000,000 responses are wanted \(n 1,000,000,000,000, prompts 7\)"):
        made(model, bench=True, n=10**12, out=str(tmp_path / "bench"))
    assert not list(tmp_path.iterdir())


def test_a_killed_bench_goes_on_strategy_by_strategy(model: str, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    options = {"bench": True, "n": 2, "max_new_tokens": 5, "out": str(out), "strategies": ["greedy", "sample"]}
    first = made(model, **options)
    kept = (out / "drawn.jsonl").read_bytes().splitlines(keepends=True)
    for name in ("bench.json", "report.html", "samples.jsonl"):
        (out / name).unlink()
    greedy = json.loads(kept[0])
    greedy["responses"][0]["text"] = "as it was"
    # Killed within the second strategy's line.
    (out / "drawn.jsonl").write_bytes(json.dumps(greedy).encode() + b"\n" + kept[1][:50])
    again = made(model, **options)
    assert "as it was" in (out / "samples.jsonl").read_text(encoding="utf-8")
    assert [one["outputs"][1] for one in again["samples"]] == [one["outputs"][1] for one in first["samples"]]
    more = made(model, **{**options, "strategies": ["top_k(3)", "greedy"]})
    assert [variant["name"] for variant in more["variants"]] == ["top_k(3)", "greedy"]
    assert more["variants"][1] == again["variants"][0]
    with pytest.raises(UserError, match="was made with n 2, not 3"):
        made(model, **{**options, "n": 3})
    assert len(made(model, **{**options, "n": 1, "overwrite": True})["samples"][0]["outputs"][0]["texts"]) == 1


def test_repetition_by_hand() -> None:
    assert repetition(["a b c a b c", "a b"]) == pytest.approx(1 / 4)
    assert repetition(["a b c d"]) == 0


def test_a_process_of_its_own_is_interrupted_and_goes_on(model: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    options = [
        "generate",
        "--model",
        model,
        "--prompt",
        "hi",
        "-n",
        "60",
        "--batch_size",
        "1",
        "--max_new_tokens",
        "60",
    ]
    line = [sys.executable, "-m", "entrotune", *options, "--out", str(out)]
    running = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while time.monotonic() < until and not (out.exists() and out.read_bytes().count(b"\n") >= 3):
        time.sleep(0.02)
    running.kill()
    running.wait()
    assert 3 <= out.read_bytes().count(b"\n") < 60
    ended = command(*options, "--out", str(out))
    assert ended.code == 0, ended.err
    expected = made(
        model, prompt="hi", n=60, max_new_tokens=60, strategy="temperature(0.8) + top_p(0.95)", batch_size=30
    )
    assert [one["text"] for one in lines(out)] == [one["text"] for one in expected["outputs"]]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """`transformers serve` with the embedded model on a free port of loopback: its address and the model's name."""
    program = shutil.which("transformers", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no transformers command beside this Python")
    folder = str(model_folder(resolve_model("smollm2-135m")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [program, "serve", folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    running = subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    until = time.monotonic() + SERVER_SECONDS
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert running.poll() is None, "the server ended"
                assert time.monotonic() < until, f"the server did not answer within {SERVER_SECONDS} s"
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        running.kill()
        running.wait()


@pytest.mark.embedded
def test_a_real_server_answers(server: tuple[str, str], tmp_path: Path) -> None:
    url, name = server
    out = tmp_path / "out.jsonl"
    options = {"endpoint": url, "prompt": "Name a fruit.", "max_new_tokens": 6, "strategy": "temperature(0.7)"}
    found = made(name, n=3, concurrency=2, out=str(out), **options)
    assert found["counts"]["usable"] == 3
    assert all(line["text"].strip() and line["nll"] is None for line in found["outputs"])
    out.write_text("".join(json.dumps(line) + "\n" for line in lines(out)[:2]), encoding="utf-8")
    again = made(name, n=3, out=str(out), **options)
    assert texts(again)[:2] == texts(found)[:2]
    greedy = {**options, "strategy": "greedy"}
    served = made(name, **greedy)["outputs"][0]["text"]
    local = made("smollm2-135m", **{**greedy, "endpoint": None})["outputs"][0]["text"]
    assert served == local
    with pytest.raises(UserError, match=r"HTTP 422.*top_k"):
        made(name, **{**options, "strategy": "top_k(5)"})
