"""Samples follow the model's distribution, and a restarted run draws the same ones."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import GenerationConfig

from entrotune.data import Prompt
from entrotune.errors import UserError
from entrotune.evaluation import SampleRecord, sample
from entrotune.evaluation.sampling import batch_seed


def prompt(name: str, *ids: int) -> Prompt:
    return Prompt(id=name, messages=(), text="", input_ids=ids, references=(), checker=None)


PROMPTS = [prompt("a", 5, 6, 7), prompt("b", 8), prompt("c", 9, 10, 11, 12, 13), prompt("d", 14, 15)]
SETTINGS: dict[str, Any] = {"samples": 3, "temperature": 1.0, "max_new_tokens": 6, "seed": 4, "batch_size": 5}


def narrow(model: Any, tokens: int) -> None:
    """Leave the model only the tokens 3, 4, … to choose from: a distribution small enough to count."""
    with torch.no_grad():
        bias = torch.full((300,), -torch.inf)
        bias[3 : 3 + tokens] = 0.0
        model.lm_head.bias = torch.nn.Parameter(bias)


def next_token_distribution(model: Any, ids: tuple[int, ...], temperature: float) -> np.ndarray:
    with torch.no_grad():
        return (model(input_ids=torch.tensor([ids])).logits[0, -1].double() / temperature).softmax(-1).numpy()


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.0])
def test_samples_follow_the_tempered_distribution(model: Any, tokenizer: Any, temperature: float) -> None:
    narrow(model, 5)
    drawn = sample(
        model, tokenizer, PROMPTS[:2], samples=800, temperature=temperature, max_new_tokens=1, seed=7, batch_size=500
    )
    for asked in PROMPTS[:2]:
        counts = Counter(record.token_ids[0] for record in drawn if record.prompt_id == asked.id)
        expected = 800 * next_token_distribution(model, asked.input_ids, temperature)[3:8]
        # A fixed seed: it either passes always or never; 1e-3 would refuse one correct sampler in a thousand.
        assert chisquare([counts[token] for token in range(3, 8)], expected).pvalue > 1e-3


def test_second_token_follows_too_under_padding(model: Any, tokenizer: Any) -> None:
    narrow(model, 3)
    drawn = sample(
        model,
        tokenizer,
        [PROMPTS[1], PROMPTS[2]],
        samples=600,
        temperature=1.0,
        max_new_tokens=2,
        seed=1,
        batch_size=600,
    )
    # "b" is padded by four tokens in the batch where it meets "c".
    assert {record.batch for record in drawn if record.prompt_id == "b"} == {1}
    mixed = sample(
        model,
        tokenizer,
        [PROMPTS[1], PROMPTS[2]],
        samples=600,
        temperature=1.0,
        max_new_tokens=2,
        seed=1,
        batch_size=1200,
    )
    counts = Counter(record.token_ids for record in mixed if record.prompt_id == "b")
    expected = []
    for first in range(3, 6):
        p = next_token_distribution(model, (8,), 1.0)[first]
        expected += [600 * p * q for q in next_token_distribution(model, (8, first), 1.0)[3:6]]
    pairs = [(first, second) for first in range(3, 6) for second in range(3, 6)]
    assert chisquare([counts[pair] for pair in pairs], expected).pvalue > 1e-3


def test_greedy_is_argmax_and_repeated(model: Any, tokenizer: Any) -> None:
    drawn = sample(model, tokenizer, PROMPTS, **{**SETTINGS, "temperature": 0})
    for asked in PROMPTS:
        ids = list(asked.input_ids)
        for _ in range(6):
            ids.append(int(next_token_distribution(model, tuple(ids), 1.0).argmax()))
            if ids[-1] == 2:
                break
        mine = [record for record in drawn if record.prompt_id == asked.id]
        assert [record.index for record in mine] == [0, 1, 2]
        assert {record.token_ids for record in mine} == {tuple(ids[len(asked.input_ids) :])}


def test_the_models_own_generation_settings_play_no_part(model: Any, tokenizer: Any) -> None:
    expected = sample(model, tokenizer, PROMPTS, **SETTINGS)
    own = GenerationConfig(
        do_sample=True, temperature=0.01, top_k=1, top_p=0.1, repetition_penalty=9.0, min_new_tokens=6, min_p=0.5
    )
    own.eos_token_id = 2
    model.generation_config = own
    assert sample(model, tokenizer, PROMPTS, **SETTINGS) == expected
    assert model.generation_config is own


def test_top_k_and_top_p(model: Any, tokenizer: Any) -> None:
    p = next_token_distribution(model, PROMPTS[0].input_ids, 1.0)
    order = np.argsort(-p)
    many = {"samples": 200, "temperature": 1.0, "max_new_tokens": 1, "seed": 0}
    first = sample(model, tokenizer, PROMPTS[:1], **many, top_k=4)
    assert {record.token_ids[0] for record in first} == set(order[:4].tolist())
    nucleus = sample(model, tokenizer, PROMPTS[:1], **many, top_p=0.3)
    kept = order[: int(np.searchsorted(np.cumsum(p[order]), 0.3)) + 1]
    assert {record.token_ids[0] for record in nucleus} <= set(kept.tolist())
    # All tokens are open by default: transformers alone would keep the 50 likeliest.
    assert len({record.token_ids[0] for record in sample(model, tokenizer, PROMPTS[:1], **many)}) > 50


def test_end_marks(model: Any, tokenizer: Any) -> None:
    model.lm_head.bias = torch.nn.Parameter(torch.zeros(300))
    with torch.no_grad():
        model.lm_head.bias[2] = 4.0
        model.lm_head.bias[40] = 4.0
    model.generation_config.eos_token_id = [2, 40]
    drawn = sample(model, tokenizer, PROMPTS, **{**SETTINGS, "samples": 20})
    finished = [record for record in drawn if record.finished]
    assert {record.token_ids[-1] for record in finished} == {2, 40}
    for record in drawn:
        assert not {2, 40} & set(record.token_ids[: record.tokens])
        assert record.tokens == len(record.token_ids) - record.finished
        assert record.text == tokenizer.decode(record.token_ids[: record.tokens], skip_special_tokens=True)
        if not record.finished:
            assert record.tokens == 6


def test_seed_fixes_everything_and_leaves_the_callers_random_state(model: Any, tokenizer: Any) -> None:
    torch.manual_seed(1)
    first = sample(model, tokenizer, PROMPTS, **SETTINGS)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1) == after
    assert sample(model, tokenizer, PROMPTS, **SETTINGS) == first
    assert sample(model, tokenizer, PROMPTS, **{**SETTINGS, "seed": 5}) != first
    assert {record.seed == batch_seed(4, 1.0, record.batch) for record in first} == {True}
    assert [(record.prompt_id, record.index) for record in first] == [(p.id, i) for p in PROMPTS for i in range(3)]


def test_batch_seeds_are_stable_and_differ() -> None:
    # Written down: a change would make every kept samples.jsonl unrepeatable.
    assert batch_seed(0, 1.0, 0) == int.from_bytes(bytes.fromhex(SHA_OF_0_1_0), "big") >> 1
    assert batch_seed(0, 1, 0) == batch_seed(0, 1.0, 0)
    seeds = {batch_seed(s, t, b) for s in range(5) for t in (0.5, 1.0) for b in range(5)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)


SHA_OF_0_1_0 = "079571615e40be7a"


def test_a_file_killed_anywhere_resumes_to_the_same_samples(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "samples.jsonl"
    expected = sample(model, tokenizer, PROMPTS, **SETTINGS, path=whole)
    content, settings = whole.read_bytes(), whole.with_suffix(".settings.json").read_bytes()
    assert expected == sample(model, tokenizer, PROMPTS, **SETTINGS)
    assert sorted(map(json.dumps, (record.to_dict() for record in expected))) == sorted(
        json.dumps(json.loads(line)) for line in content.splitlines()
    )
    lines = content.splitlines(keepends=True)
    cuts = [0, 1, len(content) // 2, len(content) - 1, len(content), len(b"".join(lines[:5])), len(b"".join(lines[:7]))]
    for cut in cuts:
        path = tmp_path / str(cut) / "samples.jsonl"
        path.parent.mkdir()
        path.write_bytes(content[:cut])
        path.with_suffix(".settings.json").write_bytes(settings)
        assert sample(model, tokenizer, PROMPTS, **SETTINGS, path=path) == expected
        assert path.read_bytes() == content


def test_complete_batches_are_not_drawn_again(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    expected = sample(model, tokenizer, PROMPTS, **SETTINGS, path=path)
    with torch.no_grad():
        model.lm_head.weight.zero_()  # another model: whatever is drawn now differs
    assert sample(model, tokenizer, PROMPTS, **SETTINGS, path=path) == expected
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]))
    mixed = sample(model, tokenizer, PROMPTS, **SETTINGS, path=path)
    same = {(record.prompt_id, record.index) for record in mixed if record in expected}
    assert same == {(r.prompt_id, r.index) for r in expected if r.batch == 0}


def test_one_file_holds_several_temperatures(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    cold, hot = ({**SETTINGS, "temperature": temperature} for temperature in (0, 1.3))
    first = sample(model, tokenizer, PROMPTS, **cold, path=path)
    lines = len(path.read_bytes().splitlines())
    second = sample(model, tokenizer, PROMPTS, **hot, path=path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: lines + 7]))
    assert sample(model, tokenizer, PROMPTS, **cold, path=path) == first
    assert sample(model, tokenizer, PROMPTS, **hot, path=path) == second


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 5}, r"was made with seed 4, not 5"),
        ({"samples": 4}, r"was made with samples 3, not 4"),
        ({"max_new_tokens": 7}, r"was made with max_new_tokens 6, not 7"),
        ({"top_p": 0.9}, r"was made with top_p 1.0, not 0.9"),
        ({"made_by": {"model": "other"}}, r"was made with model 'mine', not 'other'"),
        ({"made_by": {}}, r"was made with model 'mine', not None"),
    ],
)
def test_a_file_of_other_settings_is_refused(
    model: Any, tokenizer: Any, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    path = tmp_path / "samples.jsonl"
    settings = {**SETTINGS, "made_by": {"model": "mine"}}
    sample(model, tokenizer, PROMPTS, **settings, path=path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=message):
        sample(model, tokenizer, PROMPTS, **{**settings, **changed}, path=path)
    assert path.read_bytes() == before


def test_other_prompts_and_damaged_files_are_refused(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    sample(model, tokenizer, PROMPTS, **SETTINGS, path=path)
    with pytest.raises(UserError, match="was made with prompts "):
        sample(model, tokenizer, PROMPTS[:2], **SETTINGS, path=path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    with pytest.raises(UserError, match="batch 0 is incomplete in its middle"):
        sample(model, tokenizer, PROMPTS, **SETTINGS, path=path)
    path.write_bytes(b"hello\n" + b"".join(lines))
    with pytest.raises(UserError, match=r"samples\.jsonl:1 is damaged"):
        sample(model, tokenizer, PROMPTS, **SETTINGS, path=path)
    path.with_suffix(".settings.json").unlink()
    with pytest.raises(UserError, match=r"exists without 'samples\.settings\.json'"):
        sample(model, tokenizer, PROMPTS, **SETTINGS, path=path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"samples": 10**12}, r"responses are wanted \(samples 1,000,000,000,000, prompts 4\), and at most 10,000,000"),
        ({"temperature": -0.1}, "temperature must be 0 or more, got -0.1"),
        ({"temperature": float("nan")}, "temperature must be 0 or more, got nan"),
        ({"top_k": -1}, r"top_k must be 0 \(all tokens\) or more, got -1"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, got 0.0"),
        (
            {"max_new_tokens": 252},
            r"prompt 'c' has 5 tokens, which with 252 new ones exceed the model's context of 256",
        ),
    ],
)
def test_bad_settings(model: Any, tokenizer: Any, tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sample(model, tokenizer, PROMPTS, **{**SETTINGS, **changed}, path=tmp_path / "samples.jsonl")
    assert not list(tmp_path.iterdir())


def test_prompts_need_ids_and_tokens(model: Any, tokenizer: Any) -> None:
    with pytest.raises(UserError, match="two prompts have the id 'a'"):
        sample(model, tokenizer, [prompt("a", 5), prompt("a", 6)], **SETTINGS)
    with pytest.raises(UserError, match="prompt 'a' has no token"):
        sample(model, tokenizer, [prompt("a")], **SETTINGS)


def test_record_round_trip() -> None:
    record = SampleRecord(
        prompt_id="ä",
        index=1,
        temperature=0.5,
        text="\n\u2028",
        token_ids=(3, 4),
        tokens=2,
        finished=False,
        seed=9,
        batch=0,
    )
    assert SampleRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record
