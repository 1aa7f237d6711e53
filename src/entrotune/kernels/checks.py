"""What a call of `linear_objective` must be like."""

import math

import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.kernels.plan import Head

BACKENDS = ("auto", "reference", "torch", "triton")


def check_call(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None,
    head: Head,
    backend: str,
    chunk_bytes: int | None,
) -> None:
    """Raise a `UserError` where shapes, dtypes, numbers or the backend's name do not fit."""
    if backend not in BACKENDS:
        raise UserError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)}")
    if weight.dim() != 2 or hidden.shape[-1:] != weight.shape[1:]:
        raise UserError(f"hidden {tuple(hidden.shape)} and weight {tuple(weight.shape)} need [..., D] and [V, D]")
    if hidden.shape[:-1] != targets.shape:
        raise UserError(
            f"hidden {tuple(hidden.shape)} needs targets {tuple(hidden.shape[:-1])}, got {tuple(targets.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise UserError(f"bias {tuple(bias.shape)} needs the shape {tuple(weight.shape[:1])} of the vocabulary")
    if targets.dtype not in (torch.int64, torch.int32, torch.int16):
        raise UserError(f"targets are token ids (int64, int32 or int16), not {targets.dtype}")
    if not hidden.is_floating_point() or not weight.is_floating_point():
        raise UserError(f"hidden and weight are floating-point tensors, not {hidden.dtype} and {weight.dtype}")
    for name, value in (("logit_scale", head.scale), ("softcap", head.softcap), ("temperature", head.temperature)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"{name} must be a number above 0, not {value}")
    if chunk_bytes is not None and chunk_bytes < 1:
        raise UserError(f"chunk_bytes must be at least 1, not {chunk_bytes}")


def check_targets(targets_M: Tensor, vocabulary: int) -> None:
    """Raise a `UserError` where a target is no token; on an accelerator the device checks, so that nothing waits."""
    if not targets_M.numel():
        return
    if targets_M.device.type == "cuda":
        torch._assert_async(((targets_M >= 0) & (targets_M < vocabulary)).all())
        return
    low, high = int(targets_M.min()), int(targets_M.max())
    if low < 0 or high >= vocabulary:
        raise UserError(f"targets reach from {low} to {high}, outside the vocabulary of {vocabulary} tokens")
