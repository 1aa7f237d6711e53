"""How rows are reduced: the fused linear objective and its backends."""

from entrotune.kernels.linear import BACKENDS, linear_objective

__all__ = ["BACKENDS", "linear_objective"]
