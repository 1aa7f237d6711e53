"""Scalar and elementwise functions for the Triton kernels, float32."""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def exp(x):
    """e to the x; below 1e-38 it is 0, which spares a test and two products an entry."""
    return tl.exp2(x * LOG2_E)


@triton.jit
def log(x):
    """Natural logarithm."""
    return tl.log(x)


@triton.jit
def sqrt(x):
    """Square root."""
    return tl.sqrt(x)


@triton.jit
def expm1(x):
    """exp(x) − 1; a series where the difference would cancel."""
    series = x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5 * (1 + x / 6)))))
    return tl.where(tl.abs(x) < 0.25, series, exp(x) - 1)


@triton.jit
def log1p(x):
    """log(1 + x); a series where the sum would round x away."""
    series = x * (1 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x * (1 / 5 - x * (1 / 6 - x / 7))))))
    return tl.where(tl.abs(x) < 0.1, series, tl.log(1 + x))


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(−x))."""
    return 1 / (1 + exp(-x))


@triton.jit
def tanh(x):
    """Hyperbolic tangent, to an absolute error of float32's rounding."""
    t = exp(-2 * tl.abs(x))
    size = (1 - t) / (1 + t)
    return tl.where(x < 0, -size, size)


@triton.jit
def maximum(x, y):
    """The larger; as in PyTorch, what is not a number stays so."""
    return tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def minimum(x, y):
    """The smaller; as in PyTorch, what is not a number stays so."""
    return tl.minimum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def absolute(x):
    """Without its sign."""
    return tl.abs(x)


@triton.jit
def where(condition, x, y):
    """`x` where the condition holds, else `y`."""
    return tl.where(condition, x, y)
