"""Choosing by a reward model, and responses limited to choices, through the command."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, LlamaConfig, LlamaForSequenceClassification

from commands import Ended, command_here
from tiny import SHAPE, byte_tokenizer
from tiny_files import write_model

QUESTIONS = ["say something", "and again"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("model")))


def write_judge(folder: Path, *, labels: int = 1, vocabulary: int = 300) -> Path:
    """A classifier with random weights, none of them tiny, so that rewards differ."""
    torch.manual_seed(5)
    shape = {**SHAPE, "num_labels": labels, "vocab_size": vocabulary, "initializer_range": 0.3}
    LlamaForSequenceClassification(LlamaConfig(**shape)).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def asked(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `generate` on two questions into `out.jsonl`."""
    prompts = tmp_path / "questions.txt"
    prompts.write_text("\n".join(QUESTIONS), encoding="utf-8")

    def run(*options: str) -> Ended:
        fixed = ["--model", model, "--prompts", str(prompts), "--max_new_tokens", "8"]
        return command_here(capsys, "generate", *fixed, "--out", str(tmp_path / "out.jsonl"), *options)

    return run


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_reward_model_chooses(asked: Any, tmp_path: Path) -> None:
    judge = write_judge(tmp_path / "judge")
    ended = asked("-n", "4", "--rerank", "reward", "--reward_model", str(judge), "--keep", "2")
    assert ended.code == 0, ended.err
    tokenizer, scorer = byte_tokenizer(), AutoModelForSequenceClassification.from_pretrained(judge)
    kept, selected = lines(tmp_path / "out.jsonl"), lines(tmp_path / "out.selected.jsonl")
    ids = list(dict.fromkeys(line["prompt_id"] for line in kept))
    for prompt_id, question in zip(ids, QUESTIONS, strict=True):
        own = [line["text"] for line in kept if line["prompt_id"] == prompt_id]
        rewards = {}
        for text in own:
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": text}]
            encoded = tokenizer.apply_chat_template(turns, return_dict=True, return_tensors="pt")
            with torch.no_grad():
                rewards[text] = float(scorer(encoded["input_ids"]).logits[0, 0])
        best = sorted(rewards, key=lambda text: -rewards[text])[:2]
        chosen = [line for line in selected if line["prompt_id"] == prompt_id]
        assert [line["text"] for line in chosen] == best
        assert [line["score"] for line in chosen] == pytest.approx([rewards[text] for text in best], abs=1e-5)
        assert len(set(rewards.values())) == 4


def broken_judge(folder: Path, kind: str) -> Path:
    if kind == "several labels":
        return write_judge(folder, labels=3)
    if kind == "another tokenizer":
        return write_judge(folder, vocabulary=120)
    if kind == "no classifier":
        return write_model(folder)
    if kind == "no tokenizer":
        write_judge(folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            (folder / name).unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("several labels", "has 3 labels; expected one number"),
        ("another tokenizer", "has 259 tokens, but the model knows 120"),
        ("no classifier", "is a LlamaForCausalLM, expected one for sequence classification"),
        ("no tokenizer", "tokenizer"),
        ("missing", "judge"),
    ],
)
def test_a_wrong_reward_model_is_told_before_anything_is_generated(
    asked: Any, tmp_path: Path, kind: str, message: str
) -> None:
    judge = broken_judge(tmp_path / "judge", kind)
    ended = asked("-n", "2", "--rerank", "reward", "--reward_model", str(judge))
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out.jsonl").exists()


def test_every_response_is_a_choice(asked: Any, tmp_path: Path) -> None:
    options = ("-n", "6", "--strategy", "temperature(2)", "--choices", "yes", "no", "a, b")
    assert asked(*options).code == 0
    kept = lines(tmp_path / "out.jsonl")
    assert {line["text"] for line in kept} <= {"yes", "no", "a, b"}
    assert len({line["text"] for line in kept}) > 1
    assert all(line["finished"] for line in kept)
    again = asked(*options[:-1], "a")
    assert again.code == 2
    assert "was made with choices ['yes', 'no', 'a, b']" in again.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--choices", "yes"), "at least two texts"),
        (("--choices", "[]"), "at least two texts to choose from, got []"),
        (("--force_words", "[]"), "force_words is empty; give the words"),
        (("-n", "1000000000000"), "2,000,000,000,000 responses are wanted (n 1,000,000,000,000, prompts 2)"),
        (("--choices", "yes", "definitely not"), "a choice has 15 tokens with its end; raise max_new_tokens"),
        (("--choices", "a", "b", "--prompting", "verbalised"), "prompting: verbalised exclude each other"),
        (("--choices", "a", "b", "--endpoint", "http://x"), "choices and endpoint exclude each other"),
        (("--choices", "a", "b", "--strategy", "no_repeat_ngram(2)"), "choices and no_repeat_ngram exclude"),
    ],
)
def test_choices_that_cannot_be_are_told(asked: Any, options: tuple[str, ...], message: str) -> None:
    ended = asked(*options)
    assert ended.code == 2
    assert message in ended.err


@pytest.mark.parametrize("strategy", ["contrastive_search(3)", "diverse_beam(4, 4)"])
def test_searches_of_our_own(asked: Any, tmp_path: Path, strategy: str) -> None:
    assert asked("-n", "4", "--strategy", strategy, "--batch_size", "3").code == 0
    kept = lines(tmp_path / "out.jsonl")
    ids = {line["prompt_id"] for line in kept}
    different = [len({line["text"] for line in kept if line["prompt_id"] == one}) for one in ids]
    assert different == ([1, 1] if strategy.startswith("contrastive") else [4, 4])
