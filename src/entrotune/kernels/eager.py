"""Keep a function out of `torch.compile`, without importing the compiler where nothing is compiled."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def eager(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, before and after which a compiled graph breaks."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # Importing the compiler takes more than a second; what is not imported compiles nothing.
        compiler = sys.modules.get("torch._dynamo")
        return function(*args, **kwargs) if compiler is None else compiler.disable(function)(*args, **kwargs)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]
    return call
