"""Fine-tune language models without collapsing their output distributions, and measure honestly whether it worked."""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Nothing this package uses may report home; users who want it can set this themselves.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # TRL honours it too

if TYPE_CHECKING:
    from entrotune.errors import UserError
    from entrotune.kernels import linear_objective
    from entrotune.objectives import Objective

# Public name → module. Loaded on first use, so that `entrotune --help` does not wait for torch.
_PUBLIC = {
    "Objective": "entrotune.objectives",
    "UserError": "entrotune.errors",
    "linear_objective": "entrotune.kernels",
}

__all__ = ["Objective", "UserError", "linear_objective"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'entrotune' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
