"""How long a text is: characters, words and bytes of it, or of marked characters.

C: characters of a text.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
# Every character that ends a word; none lies above these.
_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype=np.uint32)
UNITS = ("characters", "words", "bytes")


@dataclass(frozen=True)
class Sizes:
    """[P] sizes of the parts of a text."""

    characters: NDArray[np.int64]
    words: NDArray[np.int64]
    bytes: NDArray[np.int64]


def sizes(text: str, marked: Mask, part: NDArray[np.int64]) -> Sizes:
    """Sizes of the marked characters of each part of a text.

    A word is a run of marked characters without white space, of the part where it begins. Bytes are of UTF-8.

    Args:
        marked: [C] which characters count.
        part: [C] the number of the part that each character is in, ascending from 0.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    width = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    inside = marked & ~np.isin(codes, _SPACES)
    begins = inside & ~np.append(False, inside[:-1])[: len(inside)]
    count = int(part[-1]) + 1 if len(part) else 1

    def total(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(part, weights=values, minlength=count).astype(np.int64)

    return Sizes(total(marked.astype(np.int64)), total(begins.astype(np.int64)), total(np.where(marked, width, 0)))
