"""A tensor times a number on its device, in another precision, by Triton: one pass at the speed of memory."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from entrotune.kernels.triton_backend import on_device

BLOCK, WARPS = 4096, 4


@triton.jit
def scaling_kernel(values, factor, out, count, BLOCK: tl.constexpr):
    """`out` = `values` · `factor`, in float32 until it is stored."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    scaled = tl.load(values + at, mask=inside).to(tl.float32) * tl.load(factor)
    tl.store(out + at, scaled.to(out.dtype.element_ty), mask=inside)


def triton_scaled(values: Tensor, factor: Tensor, dtype: torch.dtype) -> Tensor:
    """`values`, contiguous, times a float32 scalar, in `dtype`.

    PyTorch's own product of these three precisions takes twice as long on an H100 and rounds the factor to that of
    `values`.
    """
    out = torch.empty_like(values, dtype=dtype)
    count = values.numel()
    if count:
        with on_device(values.device):
            grid = (triton.cdiv(count, BLOCK),)
            scaling_kernel[grid](values, factor, out, count, BLOCK=BLOCK, num_warps=WARPS, enable_fp_fusion=True)
    return out
