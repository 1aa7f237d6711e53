"""What all passes over logits share: products and what becomes of them, what −inf becomes, how large a block is."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from entrotune.kernels.plan import Head

# exp() of it is 0, its square is finite, and 0 times either is 0: what a logit of −inf and the logarithm of 0 become.
IMPOSSIBLE = -1e18
# A block of rows is sized to stay in a processor's cache between passes; a GPU takes a chunk at once.
CPU_BLOCK_BYTES = 4 << 20
_SLAB_BYTES = 8 << 20


def product(left: Tensor, right: Tensor, out: Tensor, *, add: bool = False) -> Tensor:
    """left · right into `out`, or added to it; `out` may be of higher precision. [M, K] · [K, N] → [M, N]."""
    if out.dtype == left.dtype:
        return torch.addmm(out, left, right, out=out) if add else torch.mm(left, right, out=out)
    if left.device.type == "cpu":
        return _wide_product(left, right, out, add=add)
    if add:
        return torch.addmm(out, left, right, out_dtype=out.dtype, out=out)
    return torch.mm(left, right, out_dtype=out.dtype, out=out)


def _wide_product(left: Tensor, right: Tensor, out: Tensor, *, add: bool) -> Tensor:
    """A CPU has no product with a wider result, so the factors are widened, the longer one slab by slab."""
    rows, columns = out.shape
    slab = max(128, _SLAB_BYTES // (left.shape[1] * out.itemsize))
    with _exact_bfloat16(left.dtype == right.dtype == torch.bfloat16):
        if columns >= rows:
            wide = left.to(out.dtype)
            for low in range(0, columns, slab):
                part = slice(low, low + slab)
                product(wide, right[:, part].to(out.dtype), out[:, part], add=add)
        else:
            wide = right.to(out.dtype)
            for low in range(0, rows, slab):
                part = slice(low, low + slab)
                product(left[part].to(out.dtype), wide, out[part], add=add)
    return out


@contextmanager
def _exact_bfloat16(factors_are: bool) -> Iterator[None]:
    """Let oneDNN multiply float32 by its bfloat16 instructions, where all factors are bfloat16 numbers.

    Nothing is lost then, as the products are summed in float32, and processors with AMX are several times as fast. The
    setting is the process's: other threads that multiply at this moment get it too.
    """
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # torch makes it at run time
    before = matmul.fp32_precision
    try:
        if factors_are:
            matmul.fp32_precision = "bf16"
        yield
    finally:
        matmul.fp32_precision = before


def to_logits(products: Tensor, bias: Tensor | None, head: Head, *, with_slope: bool = False) -> Tensor | None:
    """Turn products [B, V] into logits, in place; return the slope of the soft cap where asked for and there is one."""
    if bias is not None:
        products.add_(bias)
    if head.scale != 1.0:
        products.mul_(head.scale)
    slope = None
    if head.softcap is not None:
        products.div_(head.softcap).tanh_()
        slope = 1 - products.square() if with_slope else None
        products.mul_(head.softcap)
    if head.temperature != 1.0:
        products.div_(head.temperature)
    return slope


def block_rows(
    vocabulary: int, itemsize: int, chunk: int, device: torch.device, *, budget: int = CPU_BLOCK_BYTES
) -> int:
    """Rows of a chunk whose statistics are taken together, of at most `budget` bytes on a CPU; at least 1."""
    return chunk if device.type != "cpu" else min(chunk, max(1, budget // (vocabulary * itemsize)))
