"""Sliding windows over a sequence: which tokens are read together, and which of them are scored there."""

from collections.abc import Iterator
from dataclasses import dataclass

from entrotune.errors import UserError

DEFAULT_STRIDE = 512
# The cost of a token grows with max_length / stride: a context of 100,000 tokens is for those who ask for it.
DEFAULT_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens `start` to `stop` (exclusive) are read, which predict the tokens `first` to `stop` (inclusive)."""

    start: int
    stop: int
    first: int


def sliding_windows(tokens: int, *, first: int, max_length: int, stride: int) -> Iterator[Window]:
    """Windows that score each of the tokens `first` … `tokens` − 1 once, with the longest context there is.

    A window reads at most `max_length` tokens and moves on by `stride`; so a token is predicted from all before it, or
    from at least `max_length` − `stride` + 1. The last window reaches back as far as the others. With `stride` equal to
    `max_length` these are the windows of a rolling likelihood.

    Args:
        tokens: of the sequence, what is put before the text included.
        first: the first token to score, at least 1: nothing predicts token 0.
    """
    scored = first - 1
    while scored < tokens - 1:
        whole = max_length if scored < max_length else scored + stride
        stop = min(tokens - 1, whole)
        yield Window(max(0, stop - max_length), stop, scored + 1)
        scored = stop


def window_lengths(max_length: int | None, stride: int | None, *, context: int | None, model: str) -> tuple[int, int]:
    """The longest window and the stride, with what is meant where they are not given.

    Raises:
        UserError: they are out of range, or the model does not reach so far.
    """
    for name, value in (("max_length", max_length), ("stride", stride)):
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}; expected at least 1 token")
    if max_length is not None and context is not None and max_length > context:
        raise UserError(f"max_length is {max_length:,}, but model '{model}' reaches to {context:,} tokens")
    length = max_length or min(DEFAULT_LENGTH, context or DEFAULT_LENGTH)
    if stride is not None and stride > length:
        raise UserError(
            f"stride is {stride:,}, more than the {length:,} tokens of a window (max_length): tokens between windows "
            f"would never be scored; give a stride of at most {length:,}"
        )
    return length, stride or min(DEFAULT_STRIDE, length)
