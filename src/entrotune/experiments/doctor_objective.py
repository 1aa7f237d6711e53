"""What `entrotune doctor` asks of an objective: its gradients against float64, and whether a toy model learns by it."""

import importlib.util

import torch

from entrotune.kernels import Reference, linear_objective
from entrotune.objectives import Objective


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


def gradient(objective: Objective) -> str:
    """How far the fused gradient is from the reference; `ValueError` where that is too far."""
    return _error(objective, "torch", "cpu", torch.float64, limit=1e-9)


def gpu_gradient(objective: Objective) -> str:
    """The same of the Triton kernel, where there is a device for it."""
    if not torch.cuda.is_available():
        return "no CUDA device: the torch backend is used"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed: the torch backend is used"
    return _error(objective, "triton", "cuda", torch.float32, limit=1e-4)


def training(objective: Objective) -> str:
    """What 60 steps make of the objective on a toy model; `ValueError` where it is no less."""
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
