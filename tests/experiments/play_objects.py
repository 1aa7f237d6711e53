"""What `Worker` keeps in a process in its tests: something quick to make that says little, much or nothing."""

import time
from collections.abc import Callable
from typing import Any


class Speaker:
    """Made after a while; says what it is asked to.

    Args:
        made_after: seconds.
    """

    def __init__(self, made_after: float = 0.0) -> None:
        time.sleep(made_after)

    def echo(self, said: Any) -> Any:
        """The same."""
        return said

    def count(self, to: int, each: float, tell: Callable[[Any], None]) -> None:
        """Tell the numbers below one, some seconds apart."""
        for number in range(to):
            tell(number)
            time.sleep(each)

    def shout(self, size: int, tell: Callable[[Any], None]) -> None:
        """Tell something short, then something long."""
        tell(0)
        tell(b"x" * size)
