"""Checkers: whether an output is correct, said by a small mapping that can stand in a data row."""

import math
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import regex

from entrotune.errors import UserError
from entrotune.measures.numbers import Number, last_number

# A pattern that backtracks for ever is given up after so many seconds; real ones take microseconds.
_REGEX_SECONDS = 1.0


@dataclass(frozen=True)
class CheckResult:
    """What a checker says of one output.

    Attributes:
        correct: None where it could not be decided (a regular expression that took too long).
        parsed: the answer in a form that can be voted on; None where the output holds none.
    """

    correct: bool | None
    parsed: str | None


class Checker(ABC):
    """A validated checker; `parse_checker` makes one of a mapping."""

    @abstractmethod
    def check(self, output: str) -> CheckResult:
        """Judge one output. Outputs with one `parsed` are all correct or all wrong."""


@dataclass(frozen=True)
class _Membership(Checker):
    answers: frozenset[str]
    ignore_case: bool

    def check(self, output: str) -> CheckResult:
        parsed = _plain(output, ignore_case=self.ignore_case)
        return CheckResult(parsed in self.answers, parsed or None)


@dataclass(frozen=True)
class _Regex(Checker):
    pattern: regex.Pattern

    def check(self, output: str) -> CheckResult:
        stripped = output.strip()
        try:
            correct = self.pattern.search(stripped, timeout=_REGEX_SECONDS) is not None
        except TimeoutError:
            return CheckResult(None, stripped or None)
        return CheckResult(correct, stripped or None)


@dataclass(frozen=True)
class _Numeric(Checker):
    answer: Number
    tolerance: Fraction

    def check(self, output: str) -> CheckResult:
        number = last_number(output)
        if number is None:
            return CheckResult(False, None)
        return CheckResult(self.answer.equals(number, self.tolerance), str(number))


def check(output: str, checker: Mapping[str, Any] | Checker) -> CheckResult:
    """Judge one output by a checker; parse the checker once with `parse_checker` where there are many outputs.

    Raises:
        UserError: if a mapping is not a valid checker.
    """
    return (checker if isinstance(checker, Checker) else parse_checker(checker)).check(output)


def parse_checker(mapping: Mapping[str, Any]) -> Checker:
    """A checker of one of these mappings:

    - `{"kind": "exact", "answer": text}`: the output is the answer, apart from runs of white space and at the ends;
    - `{"kind": "set", "answers": [text, ...]}`: the output is one of the answers, compared likewise;
    - `{"kind": "regex", "pattern": text}`: the pattern is found in the output without white space at its ends;
    - `{"kind": "numeric", "answer": number or text, "tolerance": 0}`: the last number of the output (or that of its
      last line "#### number") differs from the answer by at most the tolerance; see `Number.equals` for percentages.

    The first three take `"ignore_case": true`. Numbers are compared exactly, not as floats.

    Raises:
        UserError: for anything else, saying what was got and what was expected.
    """
    if not isinstance(mapping, Mapping):
        raise UserError(f"a checker must be a mapping such as {{'kind': 'exact', 'answer': '…'}}, got {mapping!r:.80}")
    kind = mapping.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UserError(f"a checker's kind must be one of {', '.join(_KINDS)}; got {kind!r:.80}")
    needed, optional, parse = _KINDS[kind]
    if needed not in mapping:
        raise UserError(f"a checker of kind {kind} needs {needed!r}; got {_listed(mapping)}")
    unknown = set(mapping) - {"kind", needed, optional}
    if unknown:
        raise UserError(f"a checker of kind {kind} knows kind, {needed} and {optional}; got {_listed(unknown)} too")
    return parse(mapping)


def _parse_exact(mapping: Mapping[str, Any]) -> Checker:
    ignore_case = _ignore_case(mapping)
    return _Membership(frozenset([_answer(mapping["answer"], "exact", ignore_case)]), ignore_case)


def _parse_set(mapping: Mapping[str, Any]) -> Checker:
    answers, ignore_case = mapping["answers"], _ignore_case(mapping)
    if isinstance(answers, str | Mapping) or not hasattr(answers, "__iter__") or not list(answers):
        raise UserError(f"a checker of kind set needs a list of at least one answer; got {answers!r:.80}")
    return _Membership(frozenset(_answer(answer, "set", ignore_case) for answer in answers), ignore_case)


def _parse_regex(mapping: Mapping[str, Any]) -> Checker:
    pattern = mapping["pattern"]
    if not isinstance(pattern, str):
        raise UserError(f"a checker of kind regex needs its pattern as text; got {pattern!r:.80}")
    try:
        return _Regex(regex.compile(pattern, regex.IGNORECASE if _ignore_case(mapping) else 0))
    except regex.error as error:
        raise UserError(f"the pattern {pattern!r:.80} is not a regular expression: {error}") from None


def _parse_numeric(mapping: Mapping[str, Any]) -> Checker:
    tolerance = _number(mapping.get("tolerance", 0), "tolerance")
    if tolerance.value < 0 or tolerance.percent:
        raise UserError(f"a checker's tolerance must be a number, 0 or more; got {mapping['tolerance']!r}")
    return _Numeric(_number(mapping["answer"], "answer"), tolerance.value)


def _number(given: Any, name: str) -> Number:
    if isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given):
        # A float means the decimal that was written, not the nearest binary fraction.
        return Number(Fraction(repr(given)), percent=False)
    number = last_number(given) if isinstance(given, str) else None
    if number is None:
        raise UserError(f"a checker of kind numeric needs a number as its {name}; got {given!r:.80}")
    return number


def _answer(given: Any, kind: str, ignore_case: bool) -> str:
    if not isinstance(given, str):
        raise UserError(
            f"a checker of kind {kind} compares text; got {given!r:.80}: put it in quotes, or use kind numeric"
        )
    answer = _plain(given, ignore_case=ignore_case)
    if not answer:
        raise UserError(f"a checker of kind {kind} needs an answer that is not blank; got {given!r:.80}")
    return answer


def _plain(text: str, *, ignore_case: bool) -> str:
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    return plain.casefold() if ignore_case else plain


def _ignore_case(mapping: Mapping[str, Any]) -> bool:
    given = mapping.get("ignore_case", False)
    if not isinstance(given, bool):
        raise UserError(f"a checker's ignore_case must be true or false; got {given!r:.80}")
    return given


def _listed(keys: Any) -> str:
    return ", ".join(sorted(map(repr, keys)))


_KINDS: dict[str, tuple[str, str, Callable[[Mapping[str, Any]], Checker]]] = {
    "exact": ("answer", "ignore_case", _parse_exact),
    "regex": ("pattern", "ignore_case", _parse_regex),
    "set": ("answers", "ignore_case", _parse_set),
    "numeric": ("answer", "tolerance", _parse_numeric),
}
