"""Multiple-choice rows: reading them, likelihoods of endings, and answers that outlive a kill."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, MambaConfig, MambaForCausalLM, PreTrainedTokenizerFast

from entrotune.errors import UserError
from entrotune.evaluation.choice_answers import AnswerFile, answer_choices
from entrotune.evaluation.choice_likelihood import ChoiceAnswer, ChoiceReader, encode_choices
from entrotune.evaluation.choices import ChoiceRow, load_choices
from entrotune.models import load_model
from tiny import byte_tokenizer, tiny_llama

ENDINGS = (("runs away.", "é!"), ("sits", "goes home now", "x"), ("a", "bb", "ccc", "dddd"))


def _row(number: int, context: str | None = None) -> ChoiceRow:
    context = context or f"Dog {number % 4}: a dog {'very ' * (number % 3)}slowly"
    endings = ENDINGS[number % 3]
    return ChoiceRow(id=f"r{number}", source="x", line=number, context=context, endings=endings, label=0)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer(template=None)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return tiny_llama()


def _answers(reader: ChoiceReader, rows: list[ChoiceRow], tokenizer: Any) -> dict[str, ChoiceAnswer]:
    return {one.id: one for batch in reader.answers(encode_choices(rows, tokenizer)) for one in batch}


def _plain_nll(model: Any, tokenizer: Any, context: str, ending: str) -> float:
    """From full float64 logits of one sequence."""
    start = len(tokenizer(context)["input_ids"])
    ids = torch.tensor([tokenizer(f"{context} {ending}")["input_ids"]])
    with torch.no_grad():
        log_p = model(input_ids=ids).logits[0].double().log_softmax(-1)
    return -sum(log_p[at - 1, ids[0, at]].item() for at in range(start, ids.shape[1]))


@pytest.mark.parametrize("batch_tokens", [1, 200, 4096])
def test_likelihoods_are_those_of_full_logits(model: Any, tokenizer: Any, batch_tokens: int) -> None:
    rows = [_row(number) for number in range(9)]
    reader = ChoiceReader(model, tokenizer, batch_tokens=batch_tokens)
    found = _answers(reader, rows, tokenizer)
    assert reader.shares_context is True
    assert len(found) == 9
    for row in rows:
        answer = found[row.id]
        assert answer.bytes == tuple(len(ending.encode()) for ending in row.endings)
        assert answer.tokens == tuple(size + 1 for size in answer.bytes)  # the space before the ending
        wanted = [_plain_nll(model, tokenizer, row.context, ending) for ending in row.endings]
        assert answer.nll == pytest.approx(wanted, rel=2e-5)


def test_models_without_a_cache_of_keys_read_whole_sequences(tokenizer: Any) -> None:
    torch.manual_seed(0)
    mamba = MambaForCausalLM(
        MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1, state_size=4, pad_token_id=0)
    ).eval()
    reader, rows = ChoiceReader(mamba, tokenizer), [_row(number) for number in range(3)]
    found = _answers(reader, rows, tokenizer)
    assert reader.shares_context is False
    assert found["r1"].nll == pytest.approx(
        [_plain_nll(mamba, tokenizer, rows[1].context, ending) for ending in rows[1].endings], rel=2e-5
    )


def test_choice_by_bytes_and_by_tokens() -> None:
    answer = ChoiceAnswer("a", nll=(6.0, 5.0, 6.0), tokens=(3, 2, 3), bytes=(4, 5, 4))
    assert answer.choice("tokens") == 0  # 2, 2.5, 2: the first of equals
    assert answer.choice("bytes") == 1


def test_a_context_that_ends_in_space_gets_no_second_one(tokenizer: Any) -> None:
    encoded = encode_choices([_row(0, "a dog ")], tokenizer)[0]
    assert tokenizer.decode(encoded.sequences[0]) == "a dog runs away."
    assert tokenizer.decode(encoded.sequences[0][encoded.starts[0] :]) == "runs away."
    assert encoded.prefix == 6


def _kept(path: Path, **changes: Any) -> AnswerFile:
    return AnswerFile(path, {"model": "m", "rows": "r", **changes})


def test_answers_go_on_where_they_stopped(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    rows, path = [_row(number) for number in range(7)], tmp_path / "answers.jsonl"
    whole = _kept(tmp_path / "whole.jsonl")
    assert answer_choices(ChoiceReader(model, tokenizer), tokenizer, rows, whole) == []
    answer_choices(ChoiceReader(model, tokenizer), tokenizer, rows[:4], _kept(path))
    with path.open("ab") as file:
        file.write(b'{"id": "r5", "nll": [1.0')  # killed while writing
    going_on = _kept(path)
    assert set(going_on.answers) == {"r0", "r1", "r2", "r3"}
    answer_choices(ChoiceReader(model, tokenizer), tokenizer, rows, going_on)
    again = _kept(path)
    assert len(path.read_bytes().splitlines()) == 7
    assert set(again.answers) == set(whole.answers)
    for id, answer in whole.answers.items():
        assert again.answers[id].nll == pytest.approx(answer.nll, rel=1e-5)
        assert (again.answers[id].tokens, again.answers[id].bytes) == (answer.tokens, answer.bytes)


def test_answers_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    _kept(path).append([ChoiceAnswer("a", (1.0,), (1,), (1,))])
    with pytest.raises(UserError, match="was made with model 'm', not 'other'"):
        _kept(path, model="other")
    path.write_text('{"id": "a"}\n')
    with pytest.raises(UserError, match=r"answers\.jsonl:1 is damaged"):
        _kept(path)
    path.with_suffix(".settings.json").unlink()
    with pytest.raises(UserError, match=r"exists without 'answers\.settings\.json'"):
        _kept(path)


def test_rows_that_do_not_fit_are_rejected(tokenizer: Any, tmp_path: Path) -> None:
    reader = ChoiceReader(tiny_llama(max_position_embeddings=32), tokenizer)
    rows = [_row(0, "short"), _row(1, "long " * 8)]
    kept = _kept(tmp_path / "answers.jsonl")
    (reject,) = answer_choices(reader, tokenizer, rows, kept)
    assert reject.id == "r1"
    assert reject.reason == "too long: 53 tokens, and the model reads 32"
    assert set(kept.answers) == {"r0"}


GOOD = {"ctx": "a dog", "endings": ["runs", "sits"], "label": 1}


def _written(path: Path, *rows: Any) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def test_rows_and_rejects_add_up(tmp_path: Path) -> None:
    bad = [
        ({**GOOD, "label": 2}, "wrong label"),
        ({**GOOD, "label": True}, "wrong label"),
        ({**GOOD, "ctx": "  "}, "empty: ctx"),
        ({**GOOD, "endings": ["one"]}, "two or more"),
        ({**GOOD, "endings": ["one", ""]}, "two or more"),
        ({**GOOD, "endings": "one"}, "no JSON list"),
        ({"text": "x"}, "missing column"),
        ({**GOOD, "id": "mine"}, "duplicate id"),
        ("{oops", "invalid JSON"),
    ]
    good = [
        {**GOOD, "id": "mine"},
        GOOD,
        {**GOOD, "label": "0", "source_id": "wiki"},
        {**GOOD, "label": ""},
        {**GOOD, "endings": '["x", "y"]'},
    ]
    found = load_choices(_written(tmp_path / "rows.jsonl", *good, *(row for row, _ in bad)))
    assert (found.read, len(found.rows), len(found.rejects)) == (14, 5, 9)
    assert [row.id for row in found.rows] == ["mine", *(f"rows.jsonl:{line}" for line in range(2, 6))]
    assert [row.label for row in found.rows] == [1, 1, 0, None, 1]
    assert found.rows[2].extra == {"source_id": "wiki"}
    assert found.rows[4].endings == ("x", "y")
    for reject, (_, reason) in zip(found.rejects, bad, strict=True):
        assert reason in reject.reason
    limited = load_choices(str(tmp_path / "rows.jsonl"), limit=2)
    assert (limited.read, len(limited.rows)) == (2, 2)
    assert limited.fingerprint != found.fingerprint


def test_no_usable_row(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no usable multiple-choice row: .*missing column"):
        load_choices(_written(tmp_path / "rows.jsonl", {"text": "x"}))


@pytest.mark.embedded
def test_the_embedded_model_prefers_sense() -> None:
    model, tokenizer = load_model("smollm2-135m")
    rows = [
        ChoiceRow(id="a", source="x", line=1, context="The capital of France is", label=0, endings=("Paris.", "blue.")),
        ChoiceRow(id="b", source="x", line=2, context="He drank a cup of", label=1, endings=("stones.", "tea.")),
    ]
    reader = ChoiceReader(model, tokenizer)
    found = _answers(reader, rows, tokenizer)
    assert reader.shares_context is True
    for row in rows:
        wanted = [_plain_nll(model, tokenizer, row.context, ending) for ending in row.endings]
        assert found[row.id].nll == pytest.approx(wanted, rel=1e-4)
        assert found[row.id].choice("bytes") == found[row.id].choice("tokens") == row.label


@pytest.mark.shared_data
def test_hellaswag_is_read_whole(shared_data: Path) -> None:
    found = load_choices(str(shared_data / "hellaswag" / "hellaswag_val_prefix.jsonl"))
    assert (found.read, len(found.rows), found.rejects) == (3345, 3345, [])
    assert {len(row.endings) for row in found.rows} == {4}
    assert {row.label for row in found.rows} == {0, 1, 2, 3}
