"""The row kernel: one program a row takes statistics, works out coefficients and writes the gradient.

The row is read twice, for the statistics from memory and for the gradient from the cache, as far as that still has it.
With a mixture of a reference it is read once more in between. u = z − max z.

A lane holds ENTRIES neighbouring columns of a block, what a thread loads at once, and keeps sums over all its columns
about a running maximum of its own. So nothing in the loop waits for other threads; lanes meet once, at its end.
"""

import triton
import triton.language as tl

from entrotune.kernels.triton_lanes import (
    LOWEST,
    columns,
    load_logits,
    log_mixture,
    raised,
    raised_pair,
    raised_tempered,
)
from entrotune.kernels.triton_math import LOG2_E, exp, maximum


# How many rows there are, and where a chunk of them begins, must not compile it anew. In this order numbers
# that are read together lie in pairs of 8 bytes, which one load takes.
@triton.jit(do_not_specialize=["stats_stride"], do_not_specialize_on_alignment=["targets", "stats", "weights"])
def row_kernel(
    products,
    grads,
    head,
    reference,
    reference_head,
    targets,
    stats,
    row_stride,
    grad_stride,
    reference_stride,
    stats_stride,
    vocabulary,
    width,
    inverse,
    inverse_tempered,
    inverse_pair,
    mixture,
    power,
    weights,
    SCALARS: tl.constexpr,
    ROW_WEIGHTS: tl.constexpr,
    RAGGED: tl.constexpr,
    TEMPERED: tl.constexpr,
    WEIGHTED: tl.constexpr,
    MOMENTS: tl.constexpr,
    PAIR_TEMPERED: tl.constexpr,
    FORWARD: tl.constexpr,
    REVERSE: tl.constexpr,
    MIXTURE: tl.constexpr,
    POWER: tl.constexpr,
    GRADIENT: tl.constexpr,
    HINTS: tl.constexpr,
    USE_P: tl.constexpr,
    USE_LOG_P: tl.constexpr,
    USE_SQUARE: tl.constexpr,
    USE_Q: tl.constexpr,
    USE_K: tl.constexpr,
    USE_M: tl.constexpr,
    USE_D: tl.constexpr,
    USE_E: tl.constexpr,
    USE_F: tl.constexpr,
    USE_G: tl.constexpr,
    BLOCK: tl.constexpr,
    ENTRIES: tl.constexpr,
):
    """Statistics of a row into `stats`, and its gradient with respect to the products into `grads`.

    `head` and `reference_head` are `KernelHead`s; without a reference it and its head are None. `inverse` is 1 / the
    temperature of the logits, `inverse_tempered` 1 / that of q, `inverse_pair` 1 / that of the comparison with the
    reference. P is p, or q where PAIR_TEMPERED. `weights` are those of the objective's terms: a tuple, or where to find
    ROW_WEIGHTS of them a row.
    """
    FIRST: tl.constexpr = "evict_last" if HINTS and GRADIENT else ""
    LAST: tl.constexpr = "evict_first" if HINTS else ""
    row = tl.program_id(0).to(tl.int64)
    products += row * row_stride
    grads += row * grad_stride
    if ROW_WEIGHTS > 0:
        weights += row * ROW_WEIGHTS
    if reference is not None:
        reference += row * reference_stride
    lanes = columns(BLOCK, ENTRIES)
    target = tl.load(targets + row)
    at_target = target + tl.zeros([1], tl.int32)
    target_z, _target_bent = load_logits(products, head, inverse, at_target, vocabulary, width, RAGGED, "")
    target_z = tl.sum(target_z, 0)

    tops = tl.full([BLOCK // ENTRIES], LOWEST, tl.float32)
    mass = tl.zeros([BLOCK // ENTRIES], tl.float32)
    first = mass
    second = mass
    tempered = mass
    tempered_first = mass
    weighted = mass
    weighted_first = mass
    total = mass
    squares = mass
    other_tops = tops
    other_mass = mass
    forward = mass
    backward = mass
    powers = mass

    for start in range(0, vocabulary, BLOCK):
        cols = start + lanes
        z, bent = load_logits(products, head, inverse, cols, vocabulary, width, RAGGED, FIRST)
        if MOMENTS:
            inside = tl.where(cols < vocabulary, tl.where(z > LOWEST, z, float("-inf")), 0.0)
            total += tl.sum(inside, 1)
            squares += tl.sum(inside * inside, 1)
        new_tops = tl.maximum(tops, tl.max(z, 1))
        rise = new_tops - tops
        tops = new_tops
        u = z - tops[:, None]
        e = exp(u)
        pair = e
        own = mass
        if PAIR_TEMPERED:
            own = tempered
        mass, first, second = raised(rise, mass, first, second)
        eu = e * u
        mass += tl.sum(e, 1)
        first += tl.sum(eu, 1)
        second += tl.sum(eu * u, 1)
        if TEMPERED:
            q = tl.exp2(u * (inverse_tempered * LOG2_E))
            tempered, tempered_first, weighted, weighted_first = raised_tempered(
                rise, tempered, tempered_first, weighted, weighted_first, inverse_tempered
            )
            tempered += tl.sum(q, 1)
            tempered_first += tl.sum(q * u, 1)
            if WEIGHTED:
                gap = z - target_z
                qw = q / (1 + exp(-0.01 * gap))
                weighted += tl.sum(qw, 1)
                weighted_first += tl.sum(qw * gap, 1)
            if PAIR_TEMPERED:
                pair = q
        if reference is not None:
            y, _other_bent = load_logits(reference, reference_head, inverse, cols, vocabulary, width, RAGGED, FIRST)
            new_others = tl.maximum(other_tops, tl.max(y, 1))
            other_mass, forward, backward, powers = raised_pair(
                rise, new_others - other_tops, own, other_mass, forward, backward, powers, inverse_pair, power
            )
            other_tops = new_others
            v = y - other_tops[:, None]
            r = exp(v * inverse_pair)
            other_mass += tl.sum(r, 1)
            if FORWARD:
                forward += tl.sum(r * (v - u), 1)
            if REVERSE:
                backward += tl.sum(pair * (u - v), 1)
            if POWER:
                powers += tl.sum(exp((power * v + (1 - power) * u) * inverse_pair), 1)

    top = tl.max(tops, 0)
    rise = top - tops
    own = mass
    if PAIR_TEMPERED:
        own = tempered
    mass, first, second = raised(rise, mass, first, second)
    other_top = tl.max(other_tops, 0)
    if TEMPERED:
        tempered, tempered_first, weighted, weighted_first = raised_tempered(
            rise, tempered, tempered_first, weighted, weighted_first, inverse_tempered
        )
    if reference is not None:
        other_mass, forward, backward, powers = raised_pair(
            rise, other_top - other_tops, own, other_mass, forward, backward, powers, inverse_pair, power
        )
    mass_sum = tl.sum(mass, 0)
    log_mass = tl.log(mass_sum)
    mean = tl.sum(first, 0) / mass_sum
    entropy = log_mass - mean
    varentropy = maximum(tl.sum(second, 0) / mass_sum - mean * mean, 0.0)
    target_gap = tl.where(target_z > LOWEST, target_z - top, float("-inf"))
    zero = 0.0 * entropy
    tempered_log_mass = zero
    tempered_gap = zero
    weighted_mass = zero
    weighted_gap = zero
    if TEMPERED:
        tempered_sum = tl.sum(tempered, 0)
        tempered_log_mass = tl.log(tempered_sum)
        tempered_gap = tl.sum(tempered_first, 0) / tempered_sum
        if WEIGHTED:
            weighted_mass = tl.sum(weighted, 0) / tempered_sum
            weighted_gap = tl.sum(weighted_first, 0) / tempered_sum
    other_log_mass = zero
    forward_kl = zero
    backward_kl = zero
    mixture_kl = zero
    other_mixture_kl = zero
    power_sum = zero
    pair_log_mass = log_mass
    if PAIR_TEMPERED:
        pair_log_mass = tempered_log_mass
    if reference is not None:
        other_sum = tl.sum(other_mass, 0)
        other_log_mass = tl.log(other_sum)
        ratio = pair_log_mass - other_log_mass
        if FORWARD:
            forward_kl = maximum(tl.sum(forward, 0) / other_sum * inverse_pair + ratio, 0.0)
        if REVERSE:
            pair_sum = exp(pair_log_mass)
            backward_kl = maximum(tl.sum(backward, 0) / pair_sum * inverse_pair - ratio, 0.0)
        if POWER:
            power_sum = tl.sum(powers, 0) * exp(-power * other_log_mass - (1 - power) * pair_log_mass)
    if MIXTURE:
        own = tl.zeros([BLOCK // ENTRIES], tl.float32)
        others = own
        for start in range(0, vocabulary, BLOCK):
            cols = start + lanes
            z, bent = load_logits(products, head, inverse, cols, vocabulary, width, RAGGED, FIRST)
            y, _other_bent = load_logits(reference, reference_head, inverse, cols, vocabulary, width, RAGGED, FIRST)
            log_p = (z - top) * inverse_pair - pair_log_mass
            log_r = (y - other_top) * inverse_pair - other_log_mass
            log_m = log_mixture(log_p, log_r, mixture)
            own += tl.sum(exp(log_p) * (log_p - log_m), 1)
            others += tl.sum(exp(log_r) * (log_r - log_m), 1)
        mixture_kl = maximum(tl.sum(own, 0), 0.0)
        other_mixture_kl = maximum(tl.sum(others, 0), 0.0)

    value, a0, a1, a2, b, bw, c, k, m, d, e_, f, g_ = SCALARS(
        top,
        log_mass,
        target_gap,
        entropy,
        varentropy,
        tempered_log_mass,
        tempered_gap,
        weighted_mass,
        weighted_gap,
        tl.sum(total, 0),
        tl.sum(squares, 0),
        other_top,
        other_log_mass,
        forward_kl,
        backward_kl,
        mixture_kl,
        other_mixture_kl,
        power_sum,
        weights,
    )
    stats += row
    tl.store(stats, value)
    tl.store(stats + stats_stride, top)
    tl.store(stats + 2 * stats_stride, log_mass)
    tl.store(stats + 3 * stats_stride, target_gap)
    tl.store(stats + 4 * stats_stride, entropy)
    tl.store(stats + 5 * stats_stride, varentropy)

    if GRADIENT:
        blocks = tl.cdiv(vocabulary, BLOCK)
        for index in range(blocks):
            # Backwards: the end of the row was read last, so it is still near.
            cols = (blocks - 1 - index) * BLOCK + lanes
            z, bent = load_logits(products, head, inverse, cols, vocabulary, width, RAGGED, LAST)
            u = z - top
            grad = tl.zeros([BLOCK // ENTRIES, ENTRIES], tl.float32)
            if USE_P:
                p = tl.exp2(u * LOG2_E - log_mass * LOG2_E)
                grad = p * a0
                if USE_LOG_P:
                    log_p = u - log_mass
                    slope = a1
                    if USE_SQUARE:
                        # Where p is 0 its logarithm may be that of an impossible token: a finite one keeps 0 from inf.
                        slope = a1 + a2 * maximum(log_p, -1e4)
                    grad = p * (a0 + log_p * slope)
            if USE_Q:
                share = b
                if WEIGHTED:
                    share = b + bw / (1 + exp(-0.01 * (z - target_z)))
                grad += tl.exp2(u * (inverse_tempered * LOG2_E) - tempered_log_mass * LOG2_E) * share
            if USE_D or USE_E or USE_F or USE_G:
                y, _other_bent = load_logits(reference, reference_head, inverse, cols, vocabulary, width, RAGGED, LAST)
                log_r = (y - other_top) * inverse_pair - other_log_mass
                log_pair = u * inverse_pair - pair_log_mass
                if USE_D:
                    grad += d * exp(log_r)
                if USE_E:
                    grad += e_ * exp(log_pair) * (log_pair - log_r)
                if USE_F:
                    grad += f * exp(log_pair) * (log_pair - log_mixture(log_pair, log_r, mixture))
                if USE_G:
                    grad += g_ * exp(power * log_r + (1 - power) * log_pair)
            if USE_K:
                grad += k
            if USE_M:
                grad += m * z
            if target // BLOCK == blocks - 1 - index:
                grad -= tl.where(cols == target, c, 0.0)
            if head.softcap is not None:
                grad *= 1 - bent * bent
            if head.scale is not None:
                grad *= head.scale * inverse
            tl.store(grads + cols, grad.to(grads.dtype.element_ty), mask=cols < width, eviction_policy=LAST)
