import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.measures import distinct_n, self_bleu, words
from entrotune.measures.words import ngrams, normalised


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The CAT, the cat!", ["the", "cat", "the", "cat"]),
        ("Don't; it’s fine…", ["don't", "it’s", "fine"]),
        ("pi is 3.14, not 1,234.", ["pi", "is", "3.14", "not", "1,234"]),
        ("你好吗", ["你", "好", "吗"]),
        # The vowel signs of Devanagari are marks, which the standard library's \w would split at.
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 CAFÉ ＡＢ", ["café", "café", "ab"]),
        ("ok 😀👍", ["ok", "😀", "👍"]),
        (" \n ?! ", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_hold_no_space_and_do_not_depend_on_what_stands_around(text: str) -> None:
    found = words(text)
    assert all(word and not any(character.isspace() for character in word) for word in found)
    assert words(f"  {text}\n") == found


def test_ngrams() -> None:
    assert list(ngrams(["a", "b", "c"], 2)) == [("a", "b"), ("b", "c")]
    assert list(ngrams(["a"], 2)) == []


def test_normalised_collapses_space_and_case_but_keeps_punctuation() -> None:
    assert normalised("  Yes,\n SIR. ") == "yes, sir."


def test_one_text_is_not_taken_for_its_characters() -> None:
    with pytest.raises(ValueError, match=r"got one text 'abc': put it in a list"):
        distinct_n("abc", 1)
    with pytest.raises(ValueError, match=r"got NoneType None at position 1"):
        self_bleu(["a", None])  # type: ignore[list-item]
