"""In which precision a study measures what it trained."""

from typing import Literal, get_args

from entrotune.errors import UserError

Precision = Literal["float32", "bfloat16", "float16"]


def check_precision(dtype: str) -> None:
    """Raise `UserError` where the option `dtype` is no precision that models are measured in."""
    if dtype not in get_args(Precision):
        raise UserError(f"dtype is {dtype!r}; expected one of {', '.join(get_args(Precision))}")
