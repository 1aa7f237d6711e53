"""What all passes over logits share: products and what becomes of them, what −inf becomes, how large a block is."""

import torch
from torch import Tensor

from entrotune.kernels.plan import Head

# exp() of it is 0, its square is finite, and 0 times either is 0: what a logit of −inf and the logarithm of 0 become.
IMPOSSIBLE = -1e18
# A block of rows is sized to stay in a processor's cache between passes; a GPU takes a chunk at once.
CPU_BLOCK_BYTES = 4 << 20


def product(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """left · right into `out`, which may be of higher precision."""
    if out.dtype == left.dtype:
        return torch.mm(left, right, out=out)
    if left.device.type == "cpu":  # has no product with a wider result
        return torch.mm(left.to(out.dtype), right.to(out.dtype), out=out)
    return torch.mm(left, right, out_dtype=out.dtype, out=out)


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


def block_rows(vocabulary: int, itemsize: int, chunk: int, device: torch.device) -> int:
    """Rows of a chunk whose statistics are taken together; at least 1."""
    return chunk if device.type != "cpu" else min(chunk, max(1, CPU_BLOCK_BYTES // (vocabulary * itemsize)))
