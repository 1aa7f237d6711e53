"""A block of rows against a reference's, in plain PyTorch: divergences, then what they add to the gradient.

Shapes: B rows of the block, V vocabulary. P is the prediction and r the reference, both at the reference's temperature.
"""

import math

import torch
from torch import Tensor

from entrotune.kernels.products import IMPOSSIBLE
from entrotune.objectives import Coefficients, Needs


class DivergencePass:
    """Statistics and gradient of blocks of logits against a reference's.

    Args:
        needs: of the objective.
        vocabulary: V.
        rows: the largest block.
        like: a tensor with the dtype (float32 or float64) and device of the statistics.
    """

    BUFFERS = 5

    def __init__(self, needs: Needs, vocabulary: int, rows: int, like: Tensor) -> None:
        assert needs.reference_temperature is not None
        self.needs = needs
        self.temperature = needs.reference_temperature
        self.buffers = [like.new_empty(rows, vocabulary) for _ in range(self.BUFFERS)]

    def statistics(self, u_BV: Tensor, log_mass_B: Tensor, reference_BV: Tensor) -> dict[str, Tensor]:
        """Divergences of the block; log P and log r stay in the first two buffers.

        Args:
            u_BV: logits from their maximum, none −inf.
            log_mass_B: logsumexp(u / temperature).
            reference_BV: the reference's logits.
        """
        needs, (log_p, log_r, p, work, spare) = self.needs, (buffer[: u_BV.shape[0]] for buffer in self.buffers)
        torch.mul(u_BV, 1 / self.temperature, out=log_p).sub_(log_mass_B[:, None])
        top = reference_BV.amax(-1).to(log_r.dtype)
        torch.sub(reference_BV, top[:, None], out=log_r)
        log_r.clamp_(min=IMPOSSIBLE).mul_(1 / self.temperature)
        reference_log_mass = torch.exp(log_r, out=work).sum(-1).log()
        log_r.sub_(reference_log_mass[:, None])
        found = {"reference_max": top, "reference_log_mass": reference_log_mass}
        torch.exp(log_p, out=p)
        if needs.forward_kl:
            r = torch.exp(log_r, out=work)
            found["forward_kl"] = (dot(r, log_r, spare) - dot(r, log_p, spare)).clamp_(min=0)
        if needs.reverse_kl:
            found["reverse_kl"] = (dot(p, log_p, spare) - dot(p, log_r, spare)).clamp_(min=0)
        if needs.mixture is not None:
            log_m = self._log_mixture(log_p, log_r, work)
            found["mixture_kl"] = (dot(p, log_p, spare) - dot(p, log_m, spare)).clamp_(min=0)
            r = torch.exp(log_r, out=p)
            found["reference_mixture_kl"] = (dot(r, log_r, spare) - dot(r, log_m, spare)).clamp_(min=0)
        if needs.power is not None:
            found["power_sum"] = self._powers(log_p, log_r, work).sum(-1)
        return found

    def add_gradient(self, s: Coefficients, grad_BV: Tensor) -> None:
        """Add the terms d, e, f and g of the gradient of the block that `statistics` saw last."""
        log_p, log_r, first, second, _ = (buffer[: grad_BV.shape[0]] for buffer in self.buffers)
        if present(s.d):
            _add(grad_BV, s.d, torch.exp(log_r, out=first))
        if present(s.e):
            _add(grad_BV, s.e, torch.exp(log_p, out=first).mul_(torch.sub(log_p, log_r, out=second)))
        if present(s.f):
            self._log_mixture(log_p, log_r, second)
            _add(grad_BV, s.f, torch.exp(log_p, out=first).mul_(torch.sub(log_p, second, out=second)))
        if present(s.g):
            _add(grad_BV, s.g, self._powers(log_p, log_r, first))

    def _log_mixture(self, log_p: Tensor, log_r: Tensor, out: Tensor) -> Tensor:
        """log (w r + (1 − w) P)."""
        assert self.needs.mixture is not None
        shift = math.log(self.needs.mixture) - math.log1p(-self.needs.mixture)
        torch.add(log_r, shift, out=out)
        return torch.logaddexp(log_p, out, out=out).add_(math.log1p(-self.needs.mixture))

    def _powers(self, log_p: Tensor, log_r: Tensor, out: Tensor) -> Tensor:
        """r^a P^(1−a)."""
        assert self.needs.power is not None
        return torch.mul(log_r, self.needs.power, out=out).add_(log_p, alpha=1 - self.needs.power).exp_()


def present(scalar: float | Tensor) -> bool:
    """Whether a scalar of the gradient is anything but a plain 0."""
    return isinstance(scalar, Tensor) or scalar != 0.0


def _add(grad: Tensor, scalar: float | Tensor, values: Tensor) -> None:
    if isinstance(scalar, Tensor):
        grad.addcmul_(values, scalar[:, None])
    else:
        grad.add_(values, alpha=scalar)


def dot(a: Tensor, b: Tensor, work: Tensor) -> Tensor:
    """Σ a b over the last axis, [B], by way of a buffer: a product of matrices adds in a row, and so rounds more."""
    return torch.mul(a, b, out=work).sum(-1)
