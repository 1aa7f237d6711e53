"""Statistics of rows in one pass over them, by Triton: one program a row.

Shapes: B rows, V vocabulary.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from entrotune.kernels.plan import Head
from entrotune.kernels.triton_backend import on_device, padded
from entrotune.kernels.triton_lanes import LOWEST, columns, load_logits, raised
from entrotune.kernels.triton_launch import kernel_head, launch_options
from entrotune.kernels.triton_math import exp, maximum


# How many rows there are, and where a chunk of them begins, must not compile it anew.
@triton.jit(do_not_specialize=["stats_stride"], do_not_specialize_on_alignment=["targets", "stats", "above"])
def statistics_kernel(
    products,
    head,
    targets,
    stats,
    above,
    row_stride,
    stats_stride,
    vocabulary,
    width,
    inverse,
    RAGGED: tl.constexpr,
    BLOCK: tl.constexpr,
    ENTRIES: tl.constexpr,
):
    """Maximum, log mass, target gap, entropy, varentropy and Rényi-2 into `stats`, tokens above the target in `above`.

    As in the row kernel, each lane keeps sums about a running maximum of its own.
    """
    row = tl.program_id(0).to(tl.int64)
    products += row * row_stride
    lanes = columns(BLOCK, ENTRIES)
    target = tl.load(targets + row)
    at_target = target + tl.zeros([1], tl.int32)
    target_z, _target_bent = load_logits(products, head, inverse, at_target, vocabulary, width, RAGGED, "")
    target_z = tl.sum(target_z, 0)
    tops = tl.full([BLOCK // ENTRIES], LOWEST, tl.float32)
    mass = tl.zeros([BLOCK // ENTRIES], tl.float32)
    first = mass
    second = mass
    squares = mass
    larger = tl.zeros([BLOCK // ENTRIES], tl.int32)
    for start in range(0, vocabulary, BLOCK):
        z, _bent = load_logits(products, head, inverse, start + lanes, vocabulary, width, RAGGED, "")
        larger += tl.sum((z > target_z).to(tl.int32), 1)
        new_tops = tl.maximum(tops, tl.max(z, 1))
        rise = new_tops - tops
        tops = new_tops
        mass, first, second = raised(rise, mass, first, second)
        u = z - tops[:, None]
        e = exp(u)
        eu = e * u
        mass += tl.sum(e, 1)
        first += tl.sum(eu, 1)
        second += tl.sum(eu * u, 1)
        squares = exp(-2 * rise) * squares + tl.sum(e * e, 1)
    top = tl.max(tops, 0)
    rise = top - tops
    mass, first, second = raised(rise, mass, first, second)
    squares = exp(-2 * rise) * squares
    mass_sum = tl.sum(mass, 0)
    log_mass = tl.log(mass_sum)
    mean = tl.sum(first, 0) / mass_sum
    # About the row's mean, lane by lane: from the maximum, a square of some tens would be taken from a like number.
    centred = second - 2 * mean * first + mean * mean * mass
    stats += row
    tl.store(stats, top)
    tl.store(stats + stats_stride, log_mass)
    tl.store(stats + 2 * stats_stride, tl.where(target_z > LOWEST, target_z - top, float("-inf")))
    tl.store(stats + 3 * stats_stride, log_mass - mean)
    tl.store(stats + 4 * stats_stride, maximum(tl.sum(centred, 0) / mass_sum, 0.0))
    tl.store(stats + 5 * stats_stride, 2 * log_mass - tl.log(tl.sum(squares, 0)))
    tl.store(above + row, tl.sum(larger, 0))


def triton_statistics(products_BV: Tensor, targets_B: Tensor, bias: Tensor | None, head: Head) -> tuple[Tensor, Tensor]:
    """Statistics [6, B] of products (read only) in the order of the kernel, and tokens above the target's [B].

    Rows of the products have room for `padded(V)` columns.
    """
    count, vocabulary = products_BV.shape
    stats = torch.empty(6, count, dtype=torch.float32, device=products_BV.device)
    above = torch.empty(count, dtype=torch.int32, device=products_BV.device)
    if count:
        with on_device(products_BV.device):
            statistics_kernel[(count,)](
                products_BV,
                kernel_head(bias, head),
                targets_B,
                stats,
                above,
                products_BV.stride(0),
                stats.stride(0),
                vocabulary,
                padded(vocabulary),
                1 / head.temperature,
                **launch_options(vocabulary, products_BV.element_size()),
            )
    return stats, above
