"""How rows are reduced: the fused linear objective and its backends."""

from entrotune.kernels.checks import BACKENDS
from entrotune.kernels.gram import gradient_gram
from entrotune.kernels.linear import Reference, linear_objective
from entrotune.kernels.row_statistics import RowStatistics, row_statistics, truncated

__all__ = [
    "BACKENDS",
    "Reference",
    "RowStatistics",
    "gradient_gram",
    "linear_objective",
    "row_statistics",
    "truncated",
]
