"""Every tolerance that comparisons of floating-point numbers use, with its reason."""

import torch

# float64 against float64: the same sums in another order; a few hundred roundings of size 1e-16.
EXACT = {"rtol": 1e-10, "atol": 1e-12}

# float32 against float64: sums over a few hundred numbers, each rounded at 6e-8, then differences of them.
SINGLE = {"rtol": 2e-5, "atol": 2e-6}

# Central differences at step 1e-5 in float64: truncation 1e-10 times a third derivative, rounding 1e-16 / 1e-5.
FINITE_DIFFERENCE = {"rtol": 1e-6, "atol": 1e-8}


def error_against(truth: torch.Tensor, value: torch.Tensor) -> float:
    """Relative error in norm against a float64 truth."""
    return float((value.double() - truth).norm() / truth.norm().clamp(min=1e-30))
