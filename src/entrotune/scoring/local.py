"""Scoring in this process: reading, the model and writing at the same time."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from entrotune.data import RowBlock
from entrotune.scoring.scorer import Encoded, Scorer
from entrotune.scoring.table import Measured, ScoredBlock

# Blocks whose numbers are on their way from the device to the disk while the model goes on.
_BEHIND = 2


def score_here(
    scorer: Scorer,
    blocks: Iterator[tuple[int, RowBlock | None]],
    write: Callable[[int, ScoredBlock | None], None],
) -> None:
    """Score blocks; the next one is tokenized while the model works, and the last ones are written.

    Args:
        scorer: with the model.
        blocks: numbers, and rows where there is something to do; read in another thread, one ahead.
        write: called in another thread with each number, in order, and what was scored.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as finisher:
        finishing: deque[Future[None]] = deque()

        def read() -> tuple[int, Encoded | None] | None:
            found = next(blocks, None)
            return None if found is None else (found[0], None if found[1] is None else scorer.encode(found[1]))

        def finish(number: int, measured: Measured | None) -> None:
            write(number, None if measured is None else scorer.finish(measured))

        ahead = reader.submit(read)
        while (encoded := ahead.result()) is not None:
            ahead = reader.submit(read)
            measured = None if encoded[1] is None else scorer.measure(encoded[1])
            finishing.append(finisher.submit(finish, encoded[0], measured))
            if len(finishing) > _BEHIND:
                finishing.popleft().result()
        for future in finishing:
            future.result()
