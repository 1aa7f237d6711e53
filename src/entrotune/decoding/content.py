"""A filter of outputs: lists of words and patterns by category, and a classifier; it says what it found."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from entrotune.decoding.settings_file import check_keys, read_mapping
from entrotune.errors import UserError

# A pattern that backtracks for ever is given up after so many seconds; real ones take microseconds.
_REGEX_SECONDS = 1.0

Classifier = Callable[[str], Mapping[str, float]]
"""A text to the probability of each label."""


@dataclass(frozen=True)
class Removal:
    """Why an output was removed.

    Attributes:
        category: the category of the list, or the classifier's label.
        rule: the entry of the list, or the limit that was passed.
        found: what it matched, or the probability.
    """

    category: str
    rule: str
    found: str

    @property
    def reason(self) -> str:
        """In one phrase."""
        return f"content: {self.category} ({self.rule} found {self.found!r})"


class ContentFilter:
    """Removes outputs that hold an entry of a list, or that a classifier gives a label's limit or more.

    Args:
        categories: category → entries. An entry is words, found as whole words in any case and with any white space
            between them; or a regular expression between slashes, `/\\d{3}-\\d{4}/`. Both are looked for in the output
            as it is and in its compatible form (Unicode NFKC) without invisible characters.
        classifier: asked where no entry was found.
        limits: label of the classifier → the probability from which an output is removed.

    Raises:
        UserError: an entry is empty or not a regular expression, or only one of classifier and limits is given.
    """

    def __init__(
        self,
        categories: Mapping[str, Sequence[str]] | None = None,
        *,
        classifier: Classifier | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self._patterns = [
            (category, str(entry), _pattern(category, entry))
            for category, entries in (categories or {}).items()
            for entry in _entries(category, entries)
        ]
        if (classifier is None) != (not limits):
            raise UserError("a content filter's classifier and limits belong together; give both or neither")
        self._classifier = classifier
        self._limits = dict(limits or {})

    def find(self, text: str) -> Removal | None:
        """What is wrong with an output; None where nothing is.

        Raises:
            UserError: the classifier has no such label, or a pattern takes too long on this text.
        """
        for category, rule, pattern in self._patterns:
            try:
                matches = (pattern.search(form, timeout=_REGEX_SECONDS) for form in dict.fromkeys((text, _plain(text))))
                match = next(filter(None, matches), None)
            except TimeoutError:
                raise UserError(
                    f"the pattern {rule} of category {category} takes too long; write a simpler one"
                ) from None
            if match:
                return Removal(category, rule, match[0])
        if self._classifier is None:
            return None
        given = self._classifier(text)
        for label, limit in self._limits.items():
            if label not in given:
                raise UserError(f"the classifier has no label {label!r}; it has {', '.join(given)}")
            if given[label] >= limit:
                return Removal(label, f"limit {limit:g}", f"{given[label]:.3f}")
        return None


def read_filter(path: str | Path, load_classifier: Callable[[str], Classifier]) -> ContentFilter:
    """The filter of a YAML file with `categories`, and `classifier: {model: NAME, limits: {label: probability}}`.

    Args:
        load_classifier: makes a classifier of the name of a model.

    Raises:
        UserError: the file cannot be read, or a part of it is wrong.
    """
    given = read_mapping(path, "content filter")
    check_keys(given, ("categories", "classifier"), str(path))
    categories, asked = given.get("categories") or {}, given.get("classifier") or {}
    if not isinstance(categories, Mapping) or not isinstance(asked, Mapping) or not given:
        raise UserError(f"{path}: expected categories: {{name: [words, /pattern/]}}, classifier: {{model, limits}}")
    check_keys(asked, ("model", "limits"), f"{path}: classifier")
    limits: Any = asked.get("limits") or {}
    for label, limit in limits.items():
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1:
            raise UserError(f"{path}: the limit of {label} must be a probability from 0 to 1, got {limit!r}")
    classifier = load_classifier(str(asked["model"])) if "model" in asked else None
    return ContentFilter(categories, classifier=classifier, limits=limits)


def _entries(category: str, entries: Sequence[str]) -> Sequence[str]:
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        raise UserError(f"category {category}: expected a list of words and /patterns/, got {entries!r:.60}")
    return entries


def _pattern(category: str, entry: Any) -> regex.Pattern:
    text = str(entry).strip()
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        try:
            return regex.compile(text[1:-1])
        except regex.error as error:
            raise UserError(f"category {category}: {text} is not a regular expression: {error}") from None
    words = _plain(text).split()
    if not words:
        raise UserError(f"category {category} has an empty entry; it would remove everything")
    inner = r"\s+".join(map(regex.escape, words))
    return regex.compile(rf"(?<!\w){inner}(?!\w)", regex.IGNORECASE)


def _plain(text: str) -> str:
    """The compatible form of a text, without what shows nothing: zero-width spaces and joiners, soft hyphens."""
    return unicodedata.normalize("NFKC", regex.sub(r"\p{Default_Ignorable_Code_Point}+", "", text))
