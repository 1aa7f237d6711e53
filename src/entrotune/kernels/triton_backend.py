"""Whether the Triton backend can run, without importing Triton where it is not asked for."""

import contextlib
import functools
import importlib.util
import os
from typing import Any

import torch

from entrotune.errors import UserError
from entrotune.kernels.plan import Plan


def triton_runs(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `auto` may choose Triton: on CUDA, where it is installed, for statistics in less than float64."""
    return device.type == "cuda" and dtype != torch.float64 and _installed()


def check_triton(device: torch.device, dtype: torch.dtype) -> None:
    """Raise a `UserError` where Triton is not installed, or cannot work on the device or in the precision."""
    if not _installed():
        raise UserError("the triton backend needs Triton: pip install triton (Linux), or use backend='torch'")
    if dtype == torch.float64:
        raise UserError("the triton backend has no float64; use backend='torch' or 'reference'")
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise UserError(
            f"the triton backend needs CUDA, not {device.type}; use backend='torch' "
            "(TRITON_INTERPRET=1 runs the kernels in Triton's interpreter, for tests)"
        )


def padded(vocabulary: int) -> int:
    """`vocabulary` rounded up to a multiple of 16, by which Triton knows that rows of so many entries stay aligned."""
    return -(-vocabulary // 16) * 16


def on_device(device: torch.device) -> Any:
    """Launches go to the current device, which need not be that of the tensors."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def triton_rows(plan: Plan) -> Any:
    """The Triton backend's class of row kernels.

    Raises:
        UserError: Triton is not installed, or cannot do what the plan asks.
    """
    check_triton(plan.device, plan.stats_dtype)
    from entrotune.kernels.triton_rows import TritonRows

    return TritonRows


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None
