"""What the kernels over rows are launched with: how many columns and warps a program has, and the head of the products.

This is one definition for the row kernel and the one that only takes statistics.
"""

from typing import Any, NamedTuple

from torch import Tensor

from entrotune.kernels.plan import Head
from entrotune.kernels.triton_backend import padded

# Bytes that a thread loads at once.
LOAD_BYTES = 16
# Warps of a program whose row is read once, and of one whose row is read twice: the fewer rows are under way at a time,
# the more of their second reads the second-level cache answers (`benchmarks/linear_objective.py --tune`).
ONCE_WARPS, TWICE_WARPS = 16, 32


class KernelHead(NamedTuple):
    """What makes logits of products, as one argument of a kernel; what is None is compiled away.

    Attributes:
        bias: [V], contiguous.
        scale: None where products (with the bias) are the logits.
        softcap: None where there is none.
    """

    bias: Tensor | None
    scale: float | None
    softcap: float | None


def kernel_head(bias: Tensor | None, head: Head) -> KernelHead:
    """The argument of a head. Its numbers are floats, as whole ones would each compile a kernel of their own."""
    changed = head.softcap is not None or head.scale != head.temperature
    return KernelHead(
        bias=None if bias is None else bias.contiguous(),
        scale=float(head.scale) if changed else None,
        softcap=None if head.softcap is None else float(head.softcap),
    )


def launch_options(vocabulary: int, itemsize: int, *, twice: bool = False) -> dict[str, Any]:
    """Columns that a program holds at a time, those of a lane, its warps, and that a product and a sum become one.

    RAGGED says whether rows have room for more columns than the vocabulary.

    Args:
        itemsize: bytes of an entry of the products.
        twice: whether rows are read twice.
    """
    entries = LOAD_BYTES // itemsize
    largest = 32 * entries * (TWICE_WARPS if twice else ONCE_WARPS)
    block = min(largest, max(32 * entries, 1 << (vocabulary - 1).bit_length()))
    return {
        "RAGGED": padded(vocabulary) != vocabulary,
        "BLOCK": block,
        "ENTRIES": entries,
        "num_warps": block // (32 * entries),
        "enable_fp_fusion": True,
    }
