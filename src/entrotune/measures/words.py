"""Text to words: the one tokenisation that every diversity measure of this room uses."""

import unicodedata
from collections.abc import Iterator, Sequence

import regex

# Scripts written without spaces give one word a character (with its marks): a whole sentence would else be one word.
# Elsewhere a word is a run of letters, marks, digits and underscores, held together by an inner apostrophe ("don't")
# and, between digits, by a point or comma ("3.14", "1,234"). An emoji is a word; other symbols and punctuation are not.
_WORD = regex.compile(
    r"""
      [\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}--\p{M}]\p{M}*
    | \d+ (?: [.,]\d+ )+
    | [\w--[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]+
      (?: ['’] [\w--[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]+ )*
    | \p{Extended_Pictographic}
    """,
    regex.VERSION1 | regex.VERBOSE,
)


def words(text: str) -> list[str]:
    """The words of a text: Unicode words in lower case, without punctuation, after NFKC normalisation.

    A character is a word of its own in scripts that use no spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese),
    and so is an emoji.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def normalised(text: str) -> str:
    """The text in NFKC and lower case with every run of white space as one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def ngrams(tokens: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """Every run of `n` neighbouring tokens, in order; none where there are fewer than `n` tokens."""
    return zip(*(tokens[start:] for start in range(n)), strict=False)


def require_texts(texts: Sequence[str]) -> None:
    """Raise a `ValueError` unless `texts` is a sequence of strings; one string would be read as its characters."""
    if isinstance(texts, str):
        raise ValueError(f"expected a sequence of texts, got one text {texts!r:.60}: put it in a list")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"expected a sequence of texts, got {type(text).__name__} {text!r:.60} at position {index}"
            )


def require_order(n: int) -> None:
    """Raise a `ValueError` unless the n-gram order `n` is at least 1."""
    if n < 1:
        raise ValueError(f"n-grams need n of at least 1, got {n}")
