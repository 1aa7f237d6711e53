"""The fused backends, each in the precision it has, and where it runs here."""

from dataclasses import dataclass
from typing import Any

import torch

from tolerances import EXACT, SINGLE

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Way:
    """A backend with the best precision it offers, and how near that comes to the truth."""

    backend: str
    dtype: torch.dtype
    tolerance: dict[str, Any]

    def __str__(self) -> str:
        return self.backend


# The kernels of `triton` run in its interpreter where there is no GPU (`conftest.py` sees to that).
FUSED = [Way("torch", torch.float64, EXACT), Way("triton", torch.float32, SINGLE)]
EVERY = [Way("reference", torch.float64, EXACT), *FUSED]
