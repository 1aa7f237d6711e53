from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.errors import UserError
from entrotune.measures import CheckResult, check, last_number, majority_correct, parse_checker


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 42.", "42"),
        ("first 1, then 2", "2"),
        ("1,234,567", "1234567"),
        ("1,23,456 rupees", "123456"),
        ("10\u202f000 m", "10000"),
        ("1_000 or 2'000", "2000"),
        ("$1,234.50", "2469/2"),
        ("-$5.50", "-11/2"),
        ("$-5", "-5"),
        ("x = −3", "-3"),
        ("5-3", "3"),
        ("from 10-20", "20"),
        ("is .5", "1/2"),
        ("0.75", "3/4"),
        ("3/4", "3/4"),
        ("-3/4.", "-3/4"),
        ("1 3/4 cups", "7/4"),
        (r"$\frac{3}{4}$", "3/4"),
        ("12.5%", "25/2%"),
        ("50 percent", "50%"),
        ("1e5", "100000"),
        ("1.5E-3", "3/2000"),
        ("3 × 10^5", "300000"),
        (r"3 \times 10^{-2}", "3/100"),
        ("3 × 10⁻²", "3/100"),
        ("20 * 10 = 200", "200"),
        ("So 6*7.\n#### 42\nThat took 3 steps", "42"),
        ("#### 1,000", "1000"),
        ("#### 3. Third step\nso it is 8", "8"),
        ("答案是42。", "42"),
        ("２３", "23"),
        ("H2O", None),
        ("none", None),
        ("", None),
        ("5/0", "0"),
        ("1e999999999", None),
        ("9" * 5000, None),
    ],
)
def test_last_number(text: str, expected: str | None) -> None:
    number = last_number(text)
    assert (None if number is None else str(number)) == expected


@given(st.integers(-(10**12), 10**12), st.sampled_from(["", ",", "_", "\u00a0"]))
def test_whole_numbers_are_read_as_written(number: int, separator: str) -> None:
    written = f"{number:,}".replace(",", separator)
    assert str(last_number(f"The answer is {written}.")) == str(number)


@given(st.decimals(-(10**6), 10**6, places=4))
def test_decimals_are_read_exactly(number: Any) -> None:
    found = last_number(f"about {number}")
    assert found is not None
    assert found.value == Fraction(number)


@given(st.text(alphabet="0123456789.,/-+%$e× ^#\n") | st.text())
def test_any_text_can_be_searched_for_a_number(text: str) -> None:
    number = last_number(text)
    assert number is None or str(last_number(str(number))) == str(number)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("unit", "found"),
    [
        ("11,", "11"),
        ("111,", None),  # one number of more digits than any has
        ("9", None),
        ("1 ", "1"),
        ("1/", "1"),
        ("-", None),
        ("#### 1 ", "1"),
        ("1e", "10"),
        ("1" + " " * 99, "1"),
    ],
)
def test_long_texts_are_searched_in_linear_time(unit: str, found: str | None) -> None:
    number = last_number(unit * 20_000)
    assert found == (None if number is None else str(number))


EXACT = {"kind": "exact", "answer": "New  York"}
SET = {"kind": "set", "answers": ["1", "two"], "ignore_case": True}
REGEX = {"kind": "regex", "pattern": r"^\d+$"}
NUMERIC = {"kind": "numeric", "answer": 0.1, "tolerance": 0}


@pytest.mark.parametrize(
    ("output", "checker", "expected"),
    [
        (" New\nYork ", EXACT, CheckResult(True, "New York")),
        ("new york", EXACT, CheckResult(False, "new york")),
        ("new york", {**EXACT, "ignore_case": True}, CheckResult(True, "new york")),
        ("New York.", EXACT, CheckResult(False, "New York.")),
        ("cafe\u0301", {"kind": "exact", "answer": "café"}, CheckResult(True, "café")),
        ("  ", EXACT, CheckResult(False, None)),
        ("TWO", SET, CheckResult(True, "two")),
        ("3", SET, CheckResult(False, "3")),
        (" 42\n", REGEX, CheckResult(True, "42")),
        ("forty", REGEX, CheckResult(False, "forty")),
        ("", REGEX, CheckResult(False, None)),
        ("YES", {"kind": "regex", "pattern": "yes", "ignore_case": True}, CheckResult(True, "YES")),
        # Exact: as floats 0.1 would equal 0.1000000000000000055.
        ("0.10", NUMERIC, CheckResult(True, "1/10")),
        ("0.1000000000000000055", NUMERIC, CheckResult(False, "200000000000000011/2000000000000000000")),
        ("3.15", {"kind": "numeric", "answer": "3.14", "tolerance": 0.01}, CheckResult(True, "63/20")),
        ("3.151", {"kind": "numeric", "answer": "3.14", "tolerance": 0.01}, CheckResult(False, "3151/1000")),
        ("1,234,567", {"kind": "numeric", "answer": 1234567}, CheckResult(True, "1234567")),
        ("0.75", {"kind": "numeric", "answer": "3/4"}, CheckResult(True, "3/4")),
        ("no idea", {"kind": "numeric", "answer": 0}, CheckResult(False, None)),
        ("50%", {"kind": "numeric", "answer": 50}, CheckResult(True, "50%")),
        ("50%", {"kind": "numeric", "answer": 0.5}, CheckResult(True, "50%")),
        ("0.5", {"kind": "numeric", "answer": "50%"}, CheckResult(True, "1/2")),
        ("0.5%", {"kind": "numeric", "answer": "50%"}, CheckResult(False, "1/2%")),
    ],
)
def test_check(output: str, checker: dict, expected: CheckResult) -> None:
    assert check(output, checker) == expected
    assert parse_checker(checker).check(output) == expected


def test_a_pattern_that_never_ends_is_undecided() -> None:
    assert check("a" * 60 + "b", {"kind": "regex", "pattern": "(a|aa)+$"}) == CheckResult(None, "a" * 60 + "b")


def test_equal_parses_are_judged_equal_so_that_they_can_be_voted_on() -> None:
    checker = parse_checker({"kind": "numeric", "answer": 1000})
    results = [checker.check(output) for output in ("1,000", "1e3", "1000.0", "dunno", "12")]
    assert majority_correct([r.parsed for r in results], [r.correct for r in results]) == 1


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("exact", "must be a mapping"),
        ({}, "one of exact, regex, set, numeric; got None"),
        ({"kind": "fuzzy"}, "got 'fuzzy'"),
        ({"kind": ["exact"]}, r"got \['exact'\]"),
        ({"kind": "exact"}, "needs 'answer'; got 'kind'"),
        ({"kind": "exact", "answer": 42}, "compares text; got 42: put it in quotes, or use kind numeric"),
        ({"kind": "exact", "answer": " "}, "not blank"),
        ({"kind": "exact", "answer": "a", "tolerance": 1}, "knows kind, answer and ignore_case; got 'tolerance'"),
        ({"kind": "exact", "answer": "a", "ignore_case": "no"}, "true or false; got 'no'"),
        ({"kind": "set", "answers": []}, "at least one answer"),
        ({"kind": "set", "answers": "abc"}, "a list of at least one answer; got 'abc'"),
        ({"kind": "set", "answers": ["a", None]}, "got None"),
        ({"kind": "regex", "pattern": "(a"}, r"'\(a' is not a regular expression: missing \)"),
        ({"kind": "regex", "pattern": 3}, "pattern as text; got 3"),
        ({"kind": "numeric", "answer": "many"}, "needs a number as its answer; got 'many'"),
        ({"kind": "numeric", "answer": True}, "needs a number as its answer; got True"),
        ({"kind": "numeric", "answer": float("nan")}, "needs a number as its answer; got nan"),
        ({"kind": "numeric", "answer": 1, "tolerance": -0.1}, "0 or more; got -0.1"),
        ({"kind": "numeric", "answer": 1, "tolerance": "5%"}, "0 or more; got '5%'"),
        ({"kind": "numeric", "answer": 1, "tolerance": float("inf")}, "needs a number as its tolerance; got inf"),
    ],
)
def test_bad_checkers_are_told_in_a_sentence(mapping: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_checker(mapping)
