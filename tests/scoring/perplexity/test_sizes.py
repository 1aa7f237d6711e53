"""Characters, words and bytes of marked characters equal those that Python's own strings have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from entrotune.scoring.perplexity.sizes import sizes


@given(st.text(min_size=1))
def test_whole_texts(text: str) -> None:
    found = sizes(text, np.ones(len(text), dtype=bool), np.zeros(len(text), dtype=np.int64))
    size = len(text.encode("utf-8", "surrogatepass"))
    assert [found.characters[0], found.words[0], found.bytes[0]] == [len(text), len(text.split()), size]


@given(st.text(min_size=1), st.integers(1, 9), st.randoms())
def test_parts_of_marked_characters_add_up(text: str, length: int, random: object) -> None:
    marked = np.array([random.random() < 0.7 for _ in text])  # type: ignore[attr-defined]
    part = np.arange(len(text)) // length
    found = sizes(text, marked, part)
    assert len(found.words) == part[-1] + 1
    only = "".join(char for char, counts in zip(text, marked, strict=True) if counts)
    assert found.characters.sum() == len(only)
    assert found.bytes.sum() == len(only.encode("utf-8", "surrogatepass"))
    apart = "".join(char if counts else " " for char, counts in zip(text, marked, strict=True))
    assert found.words.sum() == len(apart.split())


def test_by_hand() -> None:
    text = "né 💡 a\u3000b"
    found = sizes(text, np.ones(8, dtype=bool)[: len(text)], np.array([0, 0, 0, 1, 1, 1, 1, 1]))
    assert found.characters.tolist() == [3, 5]
    assert found.words.tolist() == [1, 3]
    assert found.bytes.tolist() == [4, 10]
