"""The tokenizer: whole words of the texts, the rarest left out."""

import pytest

from entrotune.data import Row, encode_rows
from entrotune.errors import UserError
from entrotune.models.lstm import word_tokenizer
from models.lstm.texts import TEXTS


def test_words_and_marks_come_back() -> None:
    tokenizer = word_tokenizer(TEXTS)
    ids = tokenizer("Don't panic, the dog sat!").input_ids
    assert tokenizer.decode(ids) == "don't panic , the dog sat !"
    assert tokenizer(tokenizer.decode(ids)).input_ids == ids
    assert tokenizer.convert_tokens_to_ids(["<pad>", "<eos>", "<unk>"]) == [0, 1, 2]


def test_unknown_words_are_one_token_each() -> None:
    tokenizer = word_tokenizer(TEXTS)
    assert tokenizer.decode(tokenizer("The zebra sat.").input_ids) == "the <unk> sat ."


def test_the_most_frequent_stay_and_ties_go_by_the_alphabet() -> None:
    tokenizer = word_tokenizer(["b a c c", "a b d"], vocabulary=5)
    assert set(tokenizer.get_vocab()) == {"<pad>", "<eos>", "<unk>", "a", "b"}


@pytest.mark.parametrize(("lowercase", "words"), [(True, {"new", "york"}), (False, {"New", "new", "York"})])
def test_capitals(lowercase: bool, words: set[str]) -> None:
    tokenizer = word_tokenizer(["New York", "new"], lowercase=lowercase)
    assert set(tokenizer.get_vocab()) == {"<pad>", "<eos>", "<unk>"} | words


def test_special_tokens_in_the_texts_are_special() -> None:
    tokenizer = word_tokenizer(["<eos> a b <eos>"])
    assert tokenizer("a <eos>").input_ids == [tokenizer.convert_tokens_to_ids("a"), tokenizer.eos_token_id]


def test_a_prompt_is_begun_and_the_answer_closes_the_text() -> None:
    """No token stands between them, so a seed text is simply gone on with."""
    tokenizer = word_tokenizer(TEXTS)
    row = Row(id="1", source="rows", prompt="The cat", answers=("ran too.",))
    example = encode_rows([row], tokenizer, max_length=20).examples[0]
    assert tokenizer.decode(example.input_ids) == "the cat ran too . <eos>"
    assert example.labels[:2] == (-100, -100)
    assert example.labels[2:] == example.input_ids[2:]


@pytest.mark.parametrize(
    ("texts", "vocabulary", "told"),
    [([], 10, "no word"), ([" \n", ""], 10, "no word"), (["a b"], 4, "at least 5")],
)
def test_what_cannot_be_used_is_refused(texts: list[str], vocabulary: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        word_tokenizer(texts, vocabulary=vocabulary)
