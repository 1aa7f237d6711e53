"""Real data: the embedded chats, and shared data sets read as they are."""

from collections import Counter
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from entrotune.data import describe_examples, encode_rows, load_rows, merge_answers, prompt_key, split_rows
from entrotune.errors import UserError


def test_chitchat_conversations_alternate() -> None:
    loaded = load_rows("chitchat")
    assert (loaded.format, len(loaded.rows), loaded.read, loaded.rejects) == ("messages", 4017, 4017, [])
    for row in loaded.rows:
        roles = [message["role"] for message in row.messages or ()]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
    first = loaded.rows[0].messages or ()
    assert first[0]["content"] == "Hello\nHow are you doing today?"
    assert first[1]["content"] == "whats up MD\nim doing good\nhow are you doing?"


def test_chitchat_pairs_merge_the_answers_to_a_prompt() -> None:
    loaded = load_rows("chitchat:pairs")
    assert (loaded.format, loaded.read) == ("answers", len(loaded.rows))
    keys = Counter(prompt_key(row) for row in loaded.rows)
    assert max(keys.values()) == 1
    answers = {row.prompt: row.answers for row in loaded.rows}
    assert loaded.rows[0].prompt == "Hello\nHow are you doing today?"
    assert len(answers["Hello!"]) > 200
    assert len(set(answers["Hello!"])) > 100
    assert sum(len(given) for given in answers.values()) == 131_290
    assert "131,290 answers" in loaded.describe()


def test_chitchat_openers_are_the_first_pairs() -> None:
    openers = load_rows("chitchat:openers")
    conversations = load_rows("chitchat")
    assert sum(len(row.answers) for row in openers.rows) == len(conversations.rows)
    assert all(row.id.endswith(":0") for row in openers.rows)
    assert load_rows("chitchat:openers", limit=5).rows == openers.rows[:5]


@pytest.mark.shared_data
def test_oasst_has_several_answers_a_prompt(shared_data: Path) -> None:
    loaded = load_rows(shared_data / "oasst1" / "en-validation.multi_answer.jsonl")
    assert (loaded.format, len(loaded.rows), loaded.rejects) == ("answers", 475, [])
    assert sum(len(row.answers) for row in loaded.rows) == 1213
    assert sum(len(row.answers) > 1 for row in loaded.rows) == 418
    with pytest.raises(UserError, match="last turn not from the assistant"):
        load_rows(shared_data / "oasst1" / "en-validation.preference.jsonl")


@pytest.mark.shared_data
@pytest.mark.embedded
def test_e2e_is_read_merged_and_split_by_meaning(shared_data: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    loaded = load_rows(shared_data / "e2e_nlg" / "devset.csv", columns={"prompt": "mr", "completion": "ref"})
    assert (loaded.format, len(loaded.rows), loaded.rejects) == ("prompt_completion", 4672, [])
    merged = merge_answers(loaded.rows)
    assert (len(merged), sum(len(row.answers) for row in merged)) == (547, 4672)
    training, validation = split_rows(loaded.rows, validation=0.1, seed=0)
    assert abs(len(validation) - 467) <= 3
    assert not {row.prompt for row in training} & {row.prompt for row in validation}
    encoded = encode_rows(merged[:20], tokenizer, max_length=512, system="")
    told = describe_examples(encoded.examples)
    texts = [answer for row in merged[:20] for answer in row.answers]
    assert told.examples == len(texts)
    assert told.supervised_tokens == sum(len(ids) + 1 for ids in tokenizer(texts)["input_ids"])


@pytest.mark.shared_data
def test_word_problems_are_read_by_mapping(shared_data: Path) -> None:
    gsm8k = load_rows(shared_data / "gsm8k", columns={"prompt": "question", "completion": "answer"})
    assert (len(gsm8k.rows), gsm8k.rejects) == (482, [])
    assert all("####" in row.answers[0] for row in gsm8k.rows)
    svamp = load_rows(
        shared_data / "svamp" / "SVAMP.json",
        columns={"id": "ID", "prompt": ["Body", "Question"], "references": "Answer"},
    )
    assert (svamp.format, len(svamp.rows), svamp.rejects) == ("prompt", 1000, [])
    first = svamp.rows[0]
    assert (first.id, first.line, first.references) == ("chal-1", 2, ("51",))
    assert set(first.extra) == {"Equation", "Type"}
    assert str(first.prompt).endswith("on each pack\nHow much do you have to pay to buy each pack?")


@pytest.mark.shared_data
def test_files_without_known_columns_say_what_they_have(shared_data: Path) -> None:
    with pytest.raises(UserError, match="'ctx', 'label', 'endings', which fit no format"):
        load_rows(shared_data / "hellaswag")
    with pytest.raises(UserError, match="no ending that is known"):
        load_rows(shared_data / "tinyshakespeare" / "SOURCE.md")
