"""What a lane of a program reads and how its sums move with its maximum. A maximum starts at LOWEST; u = z − max z."""

import triton
import triton.language as tl

from entrotune.kernels.triton_math import exp, maximum, tanh

# Where maxima start and what −inf becomes: exp() of it is 0, its square is finite, and 0 times either is 0. A lane's
# entries that stand before its first possible one count 1 each, until the maximum rises from here and wipes them out.
LOWEST = tl.constexpr(-1e18)


@triton.jit
def load_logits(products, head, inverse, cols, vocabulary, width, RAGGED: tl.constexpr, POLICY: tl.constexpr):
    """Logits of some columns, LOWEST beyond the vocabulary and for −inf, and what the soft cap bends them to in −1 … 1.

    `head` is a `KernelHead`: softcap(x) = cap·tanh(x / cap) of (products + bias)·scale, times the inverse temperature.
    Rows have room for `width` columns, which is more than the vocabulary where that is RAGGED. POLICY says what the
    caches are told.
    """
    inside = cols < vocabulary
    z = tl.load(products + cols, mask=cols < width, other=LOWEST, eviction_policy=POLICY).to(tl.float32)
    if head.bias is not None:
        z += tl.load(head.bias + cols, mask=inside, other=0.0).to(tl.float32)
    bent = z
    if head.softcap is not None:
        bent = tanh(z * head.scale / head.softcap)
        z = bent * head.softcap * inverse
    elif head.scale is not None:
        z *= head.scale * inverse
    # float16 has no LOWEST.
    if RAGGED or head.bias is not None or head.scale is not None or products.dtype.element_ty == tl.float16:
        z = tl.where(inside, maximum(z, LOWEST), LOWEST)
    return z, bent


@triton.jit
def columns(BLOCK: tl.constexpr, ENTRIES: tl.constexpr):
    """[lanes, ENTRIES], from the start of a block."""
    return tl.arange(0, BLOCK // ENTRIES)[:, None] * ENTRIES + tl.arange(0, ENTRIES)[None, :]


@triton.jit
def raised(rise, mass, first, second):
    """Σ e, Σ e u and Σ e u² about a maximum that rose."""
    keep = exp(-rise)
    mass = keep * mass
    first = keep * first
    # By steps, as the square of a rise from LOWEST times a count is beyond float32.
    second = keep * second - rise * (2 * first - rise * mass)
    return mass, first - rise * mass, second


@triton.jit
def raised_tempered(rise, mass, first, weighted, weighted_first, inverse):
    """The same of a tempered copy, and of its weighted sums, which are not about a maximum."""
    keep = exp(-rise * inverse)
    mass = keep * mass
    return mass, keep * first - rise * mass, keep * weighted, keep * weighted_first


@triton.jit
def raised_pair(rise, other_rise, own, mass, forward, backward, powers, inverse, power):
    """Σ r, Σ r (v − u), Σ P (u − v) and Σ r^a P^(1−a) about maxima that rose; `own` is Σ P before it did."""
    keep = exp(-rise * inverse)
    keep_r = exp(-other_rise * inverse)
    mass = keep_r * mass
    forward = keep_r * forward - (other_rise - rise) * mass
    backward = keep * backward - (rise - other_rise) * (keep * own)
    return mass, forward, backward, exp(-(power * other_rise + (1 - power) * rise) * inverse) * powers


@triton.jit
def log_mixture(log_p, log_r, weight):
    """log (w r + (1 − w) P), not −inf."""
    return maximum(tl.log(weight * exp(log_r) + (1 - weight) * exp(log_p)), LOWEST)
