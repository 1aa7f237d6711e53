"""The rows of a chunk in plain PyTorch, on any device.

Shapes: C rows of the chunk, B rows of a block, T terms, V vocabulary.
"""

import torch
from torch import Tensor

from entrotune.kernels.plan import Plan, Stream
from entrotune.kernels.products import block_rows, to_logits
from entrotune.kernels.row_pass import RowPass
from entrotune.objectives import Rows


class TorchRows:
    """Statistics and gradient of a chunk, block by block.

    Args:
        plan: of the call.
        stream: the model's; its head says what happens to the products.
        reference: the reference's, where there is one.
        chunk: rows of the largest chunk.
    """

    def __init__(self, plan: Plan, stream: Stream, reference: Stream | None, chunk: int) -> None:
        self.plan, self.stream, self.reference = plan, stream, reference
        vocabulary, device = stream.weight.shape[0], stream.hidden.device
        self.block = block_rows(vocabulary, 4, chunk, device)
        impossible = stream.bias is not None and bool(torch.isneginf(stream.bias).any())
        like = torch.empty(0, dtype=plan.stats_dtype, device=device)
        self.row_pass = RowPass(plan.objective, vocabulary, self.block, like, has_impossible=impossible)

    @staticmethod
    def width(vocabulary: int) -> int:
        """Columns that buffers have."""
        return vocabulary

    @staticmethod
    def beside(plan: Plan) -> int:
        """Bytes an entry of a row takes in buffers of this backend; on a CPU those are a block's and do not count."""
        on_gpu = torch.float32.itemsize * RowPass.buffers_needed(plan.objective.needs)
        return 0 if plan.device.type == "cpu" else on_gpu

    @staticmethod
    def scaled(tensor: Tensor, factor: Tensor, dtype: torch.dtype) -> Tensor:
        """In one pass, with nothing as large beside it where `tensor` is float32 or better."""
        if tensor.device.type != "cpu" and tensor.itemsize < factor.itemsize:
            # Elsewhere than on a CPU the factor would be rounded to half precision, and all entries with it one way.
            tensor = tensor.to(factor.dtype)
        return torch.mul(tensor, factor, out=torch.empty_like(tensor, dtype=dtype))

    def __call__(
        self,
        products_CV: Tensor,
        reference_CV: Tensor | None,
        targets_C: Tensor,
        weights_TC: Tensor | None,
        stats: Tensor,
        grad_CV: Tensor,
    ) -> None:
        """Statistics [6, C] and the gradient with respect to the products, which are overwritten."""
        for low in range(0, products_CV.shape[0], self.block):
            rows = slice(low, low + self.block)
            other = None if reference_CV is None else reference_CV[rows]
            weights = None if weights_TC is None else weights_TC[:, rows]
            self._block(products_CV[rows], other, targets_C[rows], weights, stats[:, rows], grad_CV[rows])

    def _block(
        self,
        logits_BV: Tensor,
        reference_BV: Tensor | None,
        targets_B: Tensor,
        weights_TB: Tensor | None,
        stats: Tensor,
        grad_BV: Tensor,
    ) -> None:
        head = self.stream.head
        slope = to_logits(logits_BV, self.stream.bias, head, with_slope=self.plan.any_grad)
        if reference_BV is not None:
            assert self.reference is not None
            to_logits(reference_BV, self.reference.bias, self.reference.head)
        rows = self.row_pass.statistics(logits_BV, targets_B, reference_BV)
        value = self.plan.objective.value(rows, weights_TB)
        torch.stack(_kept(value, rows), out=stats)
        if not self.plan.any_grad:
            return
        self.row_pass.gradient(rows, targets_B, grad_BV, weights_TB)
        if slope is not None:
            grad_BV.mul_(slope)
        if head.scale != head.temperature:
            grad_BV.mul_(head.scale / head.temperature)


def _kept(value: Tensor, rows: Rows) -> list[Tensor]:
    return [value, rows.max_logit, rows.log_mass, rows.target_gap, rows.entropy, rows.varentropy]
