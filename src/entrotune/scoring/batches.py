"""Sequences of like length together, so that little of a batch is padding."""

from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield indices of sequences that make a batch, longest first: one that does not fit memory shows at once.

    Args:
        lengths: tokens of each sequence.
        batch_tokens: of a batch, padding included; a longer sequence is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size
