"""Words that a response must have, whatever else it says: which tokens lead to them, and which of them a text has."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from entrotune.errors import UserError

# What stands before a word, so that it is tokenized as within a sentence.
_BEFORE = "a"


class ForcedWords:
    """Words or phrases over the tokens of a tokenizer.

    A text has a word where it stands as it is written, in its case. Letters with case and digits at its ends must not
    be within a longer word: "art" is not in "party". Other scripts do not tell where a word ends.

    Args:
        words: none empty or twice.
        tokenizer: the model's.

    Raises:
        UserError: no words, or empty or equal ones.
    """

    def __init__(self, words: Sequence[str], tokenizer: Any) -> None:
        check_words(words)
        self._tokenizer = tokenizer
        self._patterns = [_pattern(word) for word in words]
        # A word is written in two ways: at the beginning of a text, and within a sentence.
        self.ways = [sorted({_alone(word, tokenizer), _within(word, tokenizer)}) for word in words]
        self._sizes = [max(map(len, ways)) for ways in self.ways]

    def met(self, tokens: Sequence[int]) -> frozenset[int]:
        """Which of the words a response has, by their places."""
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return frozenset(at for at, pattern in enumerate(self._patterns) if pattern.search(text))

    def progress(self, tokens: Sequence[int], met: frozenset[int]) -> int:
        """Tokens of the words that are there, the beginnings that a response ends with included."""
        return sum(
            size if at in met else max(_begun(tokens, way) for way in ways)
            for at, (ways, size) in enumerate(zip(self.ways, self._sizes, strict=True))
        )

    def next_tokens(self, tokens: Sequence[int], met: frozenset[int]) -> set[int]:
        """Tokens that begin a word that is missing, or go on with one."""
        missing = [way for at, ways in enumerate(self.ways) if at not in met for way in ways]
        return {way[at] for way in missing for at in {0, _begun(tokens, way)}}

    def __len__(self) -> int:
        return len(self.ways)


def check_words(words: Sequence[str]) -> None:
    """Raise a `UserError` where words to force are none, empty or equal."""
    for word in words:
        if not word.strip():
            raise UserError("force_words has an empty word; leave it out")
        if word != word.strip():
            raise UserError(f"force_words has {word!r} with a space at its end; leave the space out")
        if list(words).count(word) > 1:
            raise UserError(f"force_words has {word!r} twice; give each word once")
    if not words:
        raise UserError("force_words is empty; give the words that a response must have")


def missing_words(text: str, words: Sequence[str]) -> list[str]:
    """The words that a text has not, as `ForcedWords` tells it."""
    return [word for word in words if not _pattern(word).search(text)]


def _pattern(word: str) -> re.Pattern[str]:
    before, after = (r"(?<!\w)" if _ends_a_word(word[0]) else "", r"(?!\w)" if _ends_a_word(word[-1]) else "")
    return re.compile(before + re.escape(word) + after)


def _ends_a_word(character: str) -> bool:
    return unicodedata.category(character) in ("Lu", "Ll", "Nd")


def _alone(word: str, tokenizer: Any) -> tuple[int, ...]:
    return tuple(tokenizer.encode(word, add_special_tokens=False))


def _within(word: str, tokenizer: Any) -> tuple[int, ...]:
    before = len(_alone(_BEFORE, tokenizer))
    return _alone(f"{_BEFORE} {word}", tokenizer)[before:]


def _begun(tokens: Sequence[int], way: Sequence[int]) -> int:
    """How many tokens of a word, not all of them, the tokens end with."""
    longest = min(len(way) - 1, len(tokens))
    return next((n for n in range(longest, 0, -1) if tuple(tokens[-n:]) == tuple(way[:n])), 0)
