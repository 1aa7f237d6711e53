"""How far scoring is, for the one who waits."""

import time

from rich.progress import Progress


class Shown:
    """A line of a display with rows and tokens a second; nothing without a display.

    Args:
        display: where to show it.
        rows: how many there are, None where that is not known.
        what: is being done.
    """

    def __init__(self, display: Progress | None, rows: int | None, what: str = "scoring rows") -> None:
        self.display, self.what = display, what
        self.task = display.add_task(what, total=rows) if display else None
        self.tokens, self.began = 0, time.perf_counter()

    def advance(self, rows: int, tokens: int = 0) -> None:
        """More rows are done; those that were done before bring no tokens."""
        if self.display is None or self.task is None:
            return
        self.tokens += tokens
        rate = self.tokens / max(time.perf_counter() - self.began, 1e-9)
        told = f"{self.what} · {rate:,.0f} tokens/s" if self.tokens else self.what
        self.display.update(self.task, advance=rows, description=told)

    def say(self, text: str) -> None:
        """A line above the display."""
        if self.display is not None:
            self.display.console.print(text, markup=False, highlight=False, soft_wrap=True)
