"""The number that a text ends with, as people and language models write it."""

from dataclasses import dataclass
from fractions import Fraction

import regex

# More digits than any float has: such a "number" is text, and arithmetic with it could take for ever.
_MOST_DIGITS = 308

_SIGN = r"[-+−]"
# Groups are bounded so that a long list of short numbers is not searched through from each of its members.
_WHOLE = r"""(?:
    \d{1,3}(?:,\d{3}){1,99} | \d{1,2}(?:,\d{2}){1,9},\d{3} | \d{1,3}(?:[\u00a0\u2009\u202f'’_]\d{3}){1,99} | \d+
)(?!\d)"""
_NUMBER = rf"""
    (?<sign> (?<![\w)\]}}%]){_SIGN} )?  (?: \\?[$€£¥₹] \s? )?  (?<inner> (?<![\w)\]}}%]){_SIGN} )?
    (?:
        \\[dt]?frac \s* \{{ \s* (?<numerator> \d+ ) \s* \}} \s* \{{ \s* (?<denominator> 0*[1-9]\d* ) \s* \}}
      | (?<![A-Za-z0-9_])
        (?: (?<mixed> \d{{1,3}} )[ ] )?  (?<numerator> {_WHOLE} ) \s?/\s?
        (?<denominator> 0*[1-9]\d* ) (?! \d | [./,]\d )
      | (?<![A-Za-z0-9_])
        (?<mantissa> {_WHOLE} (?:\.\d+)? | \.\d+ )
        (?: [eE](?<exponent> {_SIGN}?\d+ )
          | \s* (?: [×x*·] | \\times | \\cdot ) \s* 10 (?: \s* (?:\^|\*\*) \s* \{{? (?<exponent> {_SIGN}?\d+ ) \}}?
                                                         | (?<exponent> [⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+ ) )
        )?
    )
    (?<percent> \s? (?: \\?% | percent\b | per[ ]cent\b ) )?
"""
_ANY_NUMBER = regex.compile(_NUMBER, regex.VERBOSE)
# The line that ends a solution in the style of GSM8K; "#### 3. Then" is a heading.
_FINAL_LINE = regex.compile(rf"\#\#\#\# \s* {_NUMBER} \s* \.? \s* $", regex.VERBOSE | regex.MULTILINE)

_PLAIN = str.maketrans("−⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹", "--+0123456789", ",\u00a0\u2009\u202f'’_+")


@dataclass(frozen=True)
class Number:
    """A number read from text, exactly.

    Attributes:
        value: the number as written; 50 for 50%.
        percent: whether it was written as a percentage.
    """

    value: Fraction
    percent: bool

    def __str__(self) -> str:
        return f"{self.value}{'%' if self.percent else ''}"

    def equals(self, other: "Number", tolerance: Fraction) -> bool:
        """Whether the two differ by at most `tolerance`.

        If one of them is a percentage it may stand for its number or for its hundredth: data sets write both 50
        and 0.5 where a model writes 50%.
        """
        readings = [self.value - other.value]
        if self.percent and not other.percent:
            readings.append(self.value / 100 - other.value)
        if other.percent and not self.percent:
            readings.append(self.value - other.value / 100)
        return any(abs(reading) <= tolerance for reading in readings)


def last_number(text: str) -> Number | None:
    """The number of the last line "#### number", else the last number of the text; None where there is none.

    Read are signs, decimals, thousands separated by commas, apostrophes, underscores or no-break and thin spaces (a
    comma is never a decimal point), currency signs, percentages, fractions (3/4, 1 3/4, \\frac{3}{4}) and powers of
    ten (1e5, 3 × 10^5). Digits after a letter (H2O) are no number; numbers in words are not read. None too for a
    number of over 308 digits.
    """
    matches = list(_FINAL_LINE.finditer(text)) or list(_ANY_NUMBER.finditer(text))
    return _number(matches[-1]) if matches else None


def _number(match: regex.Match) -> Number | None:
    part = {name: (found or "").translate(_PLAIN) for name, found in match.groupdict().items()}
    exponent = int(part["exponent"] or 0) if len(part["exponent"]) < 8 else _MOST_DIGITS + 1
    if len(match.group()) > _MOST_DIGITS or abs(exponent) > _MOST_DIGITS:
        return None
    if part["mantissa"]:
        value = Fraction(part["mantissa"]) * Fraction(10) ** exponent
    else:
        value = Fraction(int(part["numerator"]), int(part["denominator"]))
        # "1 3/4" is a mixed number, "2 7/4" two numbers side by side.
        value += int(part["mixed"] or 0) if value < 1 else 0
    negative = "-" in part["sign"] + part["inner"]
    return Number(-value if negative else value, percent=bool(part["percent"]))
