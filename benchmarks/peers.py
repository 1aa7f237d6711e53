"""Other ways to get the same gradients: each a name, what it minimises, and a function of hidden, weight and targets.

A way is built in the process that measures it; what cannot be imported or run there is reported, not replaced.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from problems import PLAIN

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

# Columns of a tile, as TRL's trainers set them.
TRL_CHUNK = 32768


@dataclass(frozen=True)
class Peer:
    """A way of others.

    Attributes:
        objective: what it minimises, in the words of the algebra.
        build: gives the loss, a mean over tokens, of hidden [N, D], weight [V, D] and targets [N].
        wide_sum: dWeight is summed over chunks in a float32 matrix, which does not count as extra memory.
        cuda_only: why it cannot run elsewhere, or nothing.
        products: matrix products that a call takes, for the plan's estimate.
        slowness: its expected time over that of its products, for the same.
        preparing: seconds that compilation takes for a shape, for the same.
    """

    objective: str
    build: Callable[[], Loss]
    wide_sum: bool
    cuda_only: str = ""
    products: int = 3
    slowness: float = 1.6
    preparing: float = 1.0


def _plain(objective: str, *, compiled: bool = False) -> Callable[[], Loss]:
    def loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        return PLAIN[objective]((hidden @ weight.T).float(), targets)

    return lambda: torch.compile(loss, dynamic=False) if compiled else loss


def _torch_fused() -> Loss:
    if not hasattr(F, "linear_cross_entropy"):
        raise ImportError(f"torch {torch.__version__} has no linear_cross_entropy; 2.13 has")
    return lambda hidden, weight, targets: F.linear_cross_entropy(hidden, weight, targets)


def _liger(chunks: int, accumulate: torch.dtype | None) -> Callable[[], Loss]:
    def build() -> Loss:
        from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction

        def loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            # bias, ce_weight, ignore_index, lse_square_scale, label_smoothing, reduction, softcap, return_z_loss
            settings = (None, None, -100, 0.0, 0.0, "mean", None, False)
            # accum_dtype, use_token_scaling, two outputs, ce_impl, ce_mode, chunk_mem_const
            more = (accumulate, False, False, False, None, None, chunks)
            return LigerFusedLinearCrossEntropyFunction.apply(hidden, weight, targets, *settings, *more)[0]

        return loss

    return build


def _liger_scaled(*, portable: bool) -> Callable[[], Loss]:
    def build() -> Loss:
        from liger_kernel.ops import fused_linear_scaled_cross_entropy as scaled

        def loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            if portable:
                function = scaled._FusedLinearPPOFallbackFunction
                nll, entropy = function.apply(hidden, weight, targets, 1.0, -100, True)
            else:  # chooses by the device; on compute capability 9.0 it needs nvidia-cutlass-dsl
                function = scaled.LigerFusedLinearScaledCrossEntropyFunction
                nll, entropy = function.apply(hidden, weight, targets, return_entropy=True)
            return (nll.float() - 0.1 * entropy.float()).mean()

        return loss

    return build


def _cce(filter_eps: str | None) -> Callable[[], Loss]:
    def build() -> Loss:
        from cut_cross_entropy import linear_cross_entropy

        def loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            return linear_cross_entropy(hidden, weight, targets, filter_eps=filter_eps)

        return loss

    return build


def _trl(*, entropy: bool) -> Callable[[], Loss]:
    """The head that TRL's trainers put on a model, called as they call it."""

    def build() -> Loss:
        # Imported here once, as the backward pass imports it: it needs the rest of TRL's requirements.
        import trl.trainer.utils
        from trl.kernels import ChunkedLogProbFunction

        assert trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE == TRL_CHUNK

        def loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            wanted = ("entropy",) if entropy else ("entropy", "is_top1")  # what `SFTTrainer` asks for, for its metrics
            found = ChunkedLogProbFunction.apply(hidden, weight, None, targets, 1.0, TRL_CHUNK, None, 1.0, wanted)
            rows = -found[0] - 0.1 * found[1] if entropy else -found[0]
            return rows.mean()

        return loss

    return build


_NEEDS_TRITON = "its Triton kernels run on CUDA only"

PEERS: dict[str, Peer] = {
    "trl entropy": Peer("ce - 0.1*entropy", _trl(entropy=True), True, products=4, slowness=1.2),
    "liger chunks 16, float32": Peer("ce", _liger(16, torch.float32), True, _NEEDS_TRITON, slowness=1.3),
    "liger": Peer("ce", _liger(1, None), False, _NEEDS_TRITON, slowness=2.0),
    "pytorch ce": Peer("ce", _plain("ce"), False, slowness=2.3),
    "pytorch entropy": Peer("ce - 0.1*entropy", _plain("ce - 0.1*entropy"), False, slowness=3.5),
    "pytorch gem": Peer("gem(beta=0.7)", _plain("gem(beta=0.7)"), False, slowness=3.5),
    "torch.compile ce": Peer("ce", _plain("ce", compiled=True), False, slowness=1.5, preparing=15),
    "torch.compile entropy": Peer(
        "ce - 0.1*entropy", _plain("ce - 0.1*entropy", compiled=True), False, slowness=1.8, preparing=15
    ),
    "trl": Peer("ce", _trl(entropy=False), True, products=4, slowness=1.2),
    "liger scaled entropy": Peer(
        "ce - 0.1*entropy", _liger_scaled(portable=False), False, _NEEDS_TRITON, products=4, slowness=1.5, preparing=10
    ),
    "liger scaled entropy, portable": Peer(
        "ce - 0.1*entropy", _liger_scaled(portable=True), False, products=4, slowness=4
    ),
    "cce": Peer("ce", _cce("high"), False, _NEEDS_TRITON, products=4, slowness=4, preparing=5),
    "cce exact": Peer("ce", _cce(None), False, _NEEDS_TRITON, products=4, slowness=5, preparing=5),
    "torch linear_cross_entropy": Peer("ce", _torch_fused, False, slowness=2),
}
