"""A progress display for work that takes longer than a moment."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextlib.contextmanager
def showing(progress: Progress | bool) -> Iterator[Progress | None]:
    """Yield a running display: the one given, a new one on standard error for True, None for False."""
    if isinstance(progress, Progress):
        yield progress
    elif not progress:
        yield None
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as display:
            yield display


def say(progress: Progress | None, text: str) -> None:
    """Print a line above the display; nothing where there is none."""
    if progress is not None:
        progress.console.print(text, markup=False, highlight=False)
