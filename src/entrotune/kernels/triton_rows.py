"""The rows of a chunk by one Triton kernel.

Shapes: C rows of the chunk, T terms, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from entrotune.kernels.plan import Plan, Stream
from entrotune.kernels.triton_backend import on_device, padded
from entrotune.kernels.triton_kernels import row_kernel
from entrotune.kernels.triton_launch import kernel_head, launch_options
from entrotune.kernels.triton_scalars import compile_scalars
from entrotune.kernels.triton_scaling import triton_scaled

# Whether the caches are told to keep what is read again, and to let go of what was read and written for the last time.
HINTS = False


class TritonRows:
    """Statistics and gradient of a chunk, one program a row.

    Args:
        plan: of the call.
        stream: the model's; its head says what happens to the products.
        reference: the reference's, where there is one.
        chunk: rows of the largest chunk.
    """

    def __init__(self, plan: Plan, stream: Stream, reference: Stream | None, chunk: int) -> None:
        vocabulary, needs = stream.weight.shape[0], plan.objective.needs
        self.head = kernel_head(stream.bias, stream.head)
        self.reference_head = None if reference is None else kernel_head(reference.bias, reference.head)
        terms, by_row = plan.objective.terms, plan.weights is not None
        scalars = compile_scalars(terms, vocabulary, by_row=by_row)
        used = scalars.used
        pair = needs.reference_temperature or 1.0
        self.options: dict[str, Any] = {
            "SCALARS": scalars.function,
            "ROW_WEIGHTS": len(terms) if by_row else 0,
            "TEMPERED": needs.temperature is not None,
            "WEIGHTED": needs.sigmoid_weights,
            "MOMENTS": needs.logit_sum or needs.logit_squares,
            "PAIR_TEMPERED": pair != 1.0,
            "FORWARD": needs.forward_kl,
            "REVERSE": needs.reverse_kl,
            "MIXTURE": needs.mixture is not None,
            "POWER": needs.power is not None,
            "GRADIENT": plan.any_grad,
            "HINTS": HINTS,
            "USE_P": bool(used & {"a0", "a1", "a2"}),
            "USE_LOG_P": bool(used & {"a1", "a2"}),
            "USE_SQUARE": "a2" in used,
            "USE_Q": bool(used & {"b", "bw"}),
            **{f"USE_{name.upper()}": name in used for name in "kmdefg"},
            **launch_options(vocabulary, plan.logits_dtype.itemsize, twice=plan.any_grad),
        }
        self.numbers = (
            1 / stream.head.temperature,
            1 / (needs.temperature or 1.0),
            1 / pair,
            needs.mixture or 0.0,
            needs.power or 0.0,
        )
        self.weights = tuple(weight for weight, _ in plan.objective.parts)

    @staticmethod
    def width(vocabulary: int) -> int:
        """Columns that buffers have, so that all rows begin where 16 bytes can be loaded at once."""
        return padded(vocabulary)

    @staticmethod
    def beside(plan: Plan) -> int:
        """No buffers of its own."""
        return 0

    @staticmethod
    def scaled(tensor: Tensor, factor: Tensor, dtype: torch.dtype) -> Tensor:
        """In one pass, with nothing as large beside it."""
        return triton_scaled(tensor, factor, dtype)

    def __call__(
        self,
        products_CV: Tensor,
        reference_CV: Tensor | None,
        targets_C: Tensor,
        weights_TC: Tensor | None,
        stats: Tensor,
        grad_CV: Tensor,
    ) -> None:
        """Statistics [6, C] and, where wanted, the gradient with respect to the products."""
        count, vocabulary = products_CV.shape
        with on_device(products_CV.device):
            row_kernel[(count,)](
                products_CV,
                grad_CV,
                self.head,
                reference_CV,
                self.reference_head,
                targets_C.contiguous(),
                stats,
                products_CV.stride(0),
                grad_CV.stride(0),
                0 if reference_CV is None else reference_CV.stride(0),
                stats.stride(0),
                vocabulary,
                self.width(vocabulary),
                *self.numbers,
                self.weights if weights_TC is None else weights_TC.T.contiguous(),
                **self.options,
            )
