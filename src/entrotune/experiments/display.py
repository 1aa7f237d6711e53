"""A progress display for work that takes longer than a moment."""

import contextlib
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class _Display(Progress):
    """Appears with its first task, so that nothing stands above the message of an error before that."""

    def add_task(self, description: str, **options: Any) -> TaskID:  # type: ignore[override]
        """Add a task, and show the display."""
        self.start()
        return super().add_task(description, **options)


@contextlib.contextmanager
def showing(progress: Progress | bool) -> Iterator[Progress | None]:
    """Yield a display: the one given, a new one on standard error for True, None for False."""
    if isinstance(progress, Progress):
        yield progress
        return
    if not progress:
        yield None
        return
    display = _Display(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    try:
        yield display
    finally:
        if display.live.is_started:
            display.stop()


@contextlib.contextmanager
def ending_rows(progress: Progress | None) -> Iterator[None]:
    """Where the block ends with an error, remove the rows that it added: nothing moves them any more."""
    if progress is None:
        yield
        return
    before = set(progress.task_ids)
    try:
        yield
    except BaseException:
        for task in set(progress.task_ids) - before:
            progress.remove_task(task)
        raise


def say(progress: Progress | None, text: str) -> None:
    """Print a line above the display; nothing where there is none."""
    if progress is not None:
        progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
