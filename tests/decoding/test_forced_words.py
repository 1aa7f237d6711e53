"""Responses that must have given words: the best there is where nothing is cut off, and never one without them."""

import itertools
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from entrotune.decoding import ForcedWords, Strategy, draw, stream
from entrotune.decoding.forced_words import missing_words
from entrotune.errors import UserError
from tiny import byte_tokenizer, llama_saying

PROMPTS = [(5, 6, 7), (8,), (9, 4, 3, 5, 8), (7, 6)]
END, SAID = 2, range(2, 10)


@pytest.fixture(scope="module")
def model() -> Any:
    """It can only say the tokens 2 (the end) to 9."""
    return llama_saying(SAID)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Token n is the word "wn", but 9, which is "s": a token that goes on with the word before it."""
    names = {"<pad>": 0, "<s>": 1, "</s>": END, **{f"w{n}": n for n in range(3, 9)}, "##s": 9}
    inner = Tokenizer(models.WordPiece(names, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", pad_token="<pad>", bos_token="<s>")


def found(model: Any, tokenizer: Any, words: list[str], text: str, tokens: int, prompts: Any = PROMPTS) -> list[Any]:
    return draw(
        model, tokenizer, prompts, [stream(0, str(ids), 0) for ids in prompts],
        strategy=Strategy.of(text), max_new_tokens=tokens, words=ForcedWords(words, tokenizer),
    )  # fmt: skip


@torch.no_grad()
def best(model: Any, tokenizer: Any, ids: tuple[int, ...], words: list[str], tokens: int, power: float) -> Any:
    """Of all responses of at most so many tokens that have the words, the one of highest score."""
    scores = {}
    for new in itertools.product(SAID, repeat=tokens):
        end = new.index(END) + 1 if END in new else tokens
        response = new[:end]
        if response in scores or missing_words(tokenizer.decode(response, skip_special_tokens=True), words):
            continue
        log_p = model(torch.tensor([[*ids, *response]])).logits[0].log_softmax(-1)
        score = sum(float(log_p[len(ids) - 1 + at, token]) for at, token in enumerate(response))
        scores[response] = score / len(response) ** power
    return max(scores, key=scores.__getitem__)


@pytest.mark.parametrize(
    ("words", "power"), [(["w5"], 0), (["w5"], 1), (["w5", "w3"], 0), (["w4 w6"], 1), (["w7s"], 0)]
)
def test_without_a_cut_it_is_the_best_of_all(model: Any, tokenizer: Any, words: list[str], power: float) -> None:
    expected = [best(model, tokenizer, ids, words, 3, power) for ids in PROMPTS[1:3]]
    together = found(model, tokenizer, words, f"beam(200, {power})", 3, PROMPTS[1:3])
    assert [one.token_ids for one in together] == expected
    for ids, one in zip(PROMPTS[1:3], together, strict=True):
        with torch.no_grad():
            log_p = model(torch.tensor([[*ids, *one.token_ids]])).logits[0].log_softmax(-1)
        nll = -sum(float(log_p[len(ids) - 1 + at, token]) for at, token in enumerate(one.token_ids))
        assert one.nll == pytest.approx(nll, rel=1e-10)


@pytest.mark.parametrize("beams", [2, 5])
def test_few_beams_find_all_words(model: Any, tokenizer: Any, beams: int) -> None:
    words = ["w5", "w3 w8", "w6s"]
    together = found(model, tokenizer, words, f"beam({beams})", 12)
    assert [missing_words(one.text, words) for one in together] == [[]] * len(PROMPTS)
    alone = [found(model, tokenizer, words, f"beam({beams})", 12, [ids])[0] for ids in PROMPTS]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    plain = draw(
        model, tokenizer, PROMPTS, [stream(0, str(ids), 0) for ids in PROMPTS],
        strategy=Strategy.of(f"beam({beams})"), max_new_tokens=12,
    )  # fmt: skip
    assert all(missing_words(one.text, words) for one in plain)


def test_where_there_is_no_room_most_of_the_words_are_there(model: Any, tokenizer: Any) -> None:
    words = ["w5", "w3 w8", "w6s"]
    for one in found(model, tokenizer, words, "beam(8)", 4):
        assert len(missing_words(one.text, words)) == 1
        assert not one.finished


def test_other_parts_of_the_strategy_count(model: Any, tokenizer: Any) -> None:
    answers = found(model, tokenizer, ["w5", "w3"], "beam(4) + no_repeat_ngram(1)", 12)
    for ids, one in zip(PROMPTS, answers, strict=True):
        said = [token for token in one.token_ids if token != END]
        assert len(set(said)) == len(said)  # nor what the prompt said
        assert one.finished  # where all that can be said was said, too
        assert {3, 5} - set(ids) <= set(said)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("an art", []),
        ("a party", ["art"]),
        ("a cart", ["art"]),
        ("arts", ["art"]),
        ("Art", ["art"]),
        ("art.", []),
        ("the art, of war", []),
        ("", ["art"]),
    ],
)
def test_what_counts_as_a_word(text: str, missing: list[str]) -> None:
    assert missing_words(text, ["art"]) == missing


def test_phrases_signs_and_scripts_without_spaces() -> None:
    words = ["red car", "C++", "东京", "3"]
    assert missing_words("In 东京站 a red car costs 3. C++", words) == []
    assert missing_words("In 东 a red  car costs 3.5, C+, 13", words) == ["red car", "C++", "东京"]


def test_a_word_is_written_alone_and_within_a_sentence() -> None:
    tokenizer = byte_tokenizer()
    ((alone, within),) = [sorted(ways, key=len) for ways in ForcedWords(["ab"], tokenizer).ways]
    assert [tokenizer.decode(ids) for ids in (alone, within)] == ["ab", " ab"]
    forced = ForcedWords(["ab", "c"], tokenizer)
    encode = tokenizer.encode
    assert forced.progress(encode("x"), frozenset()) == 0
    assert forced.progress(encode("x a"), frozenset()) == 2
    assert forced.progress(encode("x ab"), forced.met(encode("x ab"))) == 3
    assert set(encode(" abc")) >= forced.next_tokens(encode("x a"), frozenset()) >= set(encode("b c"))


WRONG = {"is empty": [], "empty word": ["a", " "], "twice": ["a", "a"], "leave the space": ["a "]}


@pytest.mark.parametrize("told", WRONG)
def test_words_that_cannot_be_forced(tokenizer: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        ForcedWords(WRONG[told], tokenizer)


def test_words_need_beams(model: Any, tokenizer: Any) -> None:
    with pytest.raises(UserError, match="need a beam search"):
        found(model, tokenizer, ["w5"], "temperature(1)", 4)
