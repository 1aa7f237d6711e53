"""One block of rows in plain PyTorch: statistics, then the gradient written over the logits.

Shapes: B rows of the block, V vocabulary. Buffers are reused from block to block; u = z − max z, e = exp(u).
"""

import torch
from torch import Tensor

from entrotune.kernels.divergence_pass import DivergencePass, dot, present
from entrotune.kernels.products import IMPOSSIBLE
from entrotune.objectives import Coefficients, Needs, Objective, Rows


class RowPass:
    """Statistics and gradient of blocks of logits for one objective.

    Args:
        objective: what is minimised.
        vocabulary: V.
        rows: the largest block.
        like: a tensor with the dtype (float32 or float64) and device of the statistics.
        has_impossible: whether logits may be −inf.
    """

    def __init__(self, objective: Objective, vocabulary: int, rows: int, like: Tensor, *, has_impossible: bool) -> None:
        self.objective = objective
        self.needs: Needs = objective.needs
        self.has_impossible = has_impossible
        own = self.buffers_needed(self.needs) - (DivergencePass.BUFFERS if self.needs.reference else 0)
        self.buffers = [like.new_empty(rows, vocabulary) for _ in range(own)]
        self.divergences = DivergencePass(self.needs, vocabulary, rows, like) if self.needs.reference else None

    @staticmethod
    def buffers_needed(needs: Needs) -> int:
        """How many [rows, V] buffers a pass holds."""
        own = 4 + (needs.temperature is not None) + needs.sigmoid_weights
        return own + (DivergencePass.BUFFERS if needs.reference else 0)

    def statistics(self, logits_BV: Tensor, targets_B: Tensor, reference_BV: Tensor | None = None) -> Rows:
        """Fill the buffers from the logits (read only) and return the block's statistics.

        Args:
            reference_BV: the reference's logits (read only), where the objective compares with one.
        """
        count, vocabulary = logits_BV.shape
        needs = self.needs
        u, e, eu, work = (buffer[:count] for buffer in self.buffers[:4])
        top = logits_BV.amax(-1).to(u.dtype)
        torch.sub(logits_BV, top[:, None], out=u)
        sums: dict[str, Tensor] = {}
        if needs.logit_sum:
            sums["logit_sum"] = u.sum(-1) + vocabulary * top
        if needs.logit_squares:
            sums["logit_squares"] = torch.mul(logits_BV, logits_BV, out=e).sum(-1)
        gap = u.gather(-1, targets_B[:, None]).squeeze(-1)
        if self.has_impossible:
            u.clamp_(min=IMPOSSIBLE)
        torch.exp(u, out=e)
        torch.mul(e, u, out=eu)
        mass = e.sum(-1)
        mean = eu.sum(-1) / mass
        centred = torch.sub(u, mean[:, None], out=work)
        varentropy = centred.mul_(centred).mul_(e).sum(-1) / mass
        log_mass = mass.log()
        if needs.temperature is not None:
            sums |= self._tempered(u, gap)
        if self.divergences is not None:
            assert reference_BV is not None
            own_mass = log_mass if needs.reference_temperature == 1 else sums["tempered_log_mass"]
            sums |= self.divergences.statistics(u, own_mass, reference_BV)
        return Rows(
            vocabulary=vocabulary,
            max_logit=top,
            log_mass=log_mass,
            target_gap=gap,
            entropy=log_mass - mean,
            varentropy=varentropy,
            **sums,
        )

    def _tempered(self, u: Tensor, gap: Tensor) -> dict[str, Tensor]:
        """Statistics of q; its unnormalised values stay in buffer 4, times w in buffer 5."""
        needs = self.needs
        assert needs.temperature is not None
        work, q = (buffer[: u.shape[0]] for buffer in self.buffers[3:5])
        torch.mul(u, 1 / needs.temperature, out=q)
        q.exp_()
        mass = q.sum(-1)
        found = {"tempered_log_mass": mass.log()}
        if needs.tempered_mean:
            found["tempered_gap"] = dot(q, u, work) / mass
        if needs.sigmoid_weights:
            qw = self.buffers[5][: u.shape[0]]
            torch.sub(u, gap[:, None], out=qw)
            qw.mul_(0.01).sigmoid_().mul_(q)
            weighted = qw.sum(-1) / mass
            found["weighted_mass"] = weighted
            found["weighted_gap"] = dot(qw, u, work) / mass - gap * weighted
        return found

    def gradient(self, rows: Rows, targets_B: Tensor, out: Tensor, weights: Tensor | None = None) -> None:
        """Write ∂(objective)/∂(logits) of the block that `statistics` saw last into `out`, [B, V].

        Args:
            weights: [terms, B], where rows do not share the objective's coefficients.
        """
        count = targets_B.shape[0]
        u, grad, eu = (buffer[:count] for buffer in self.buffers[:3])
        s = self.objective.coefficients(rows, weights)
        self._spread(s, rows, u, grad, eu)
        if present(s.b) or present(s.bw):
            inverse = torch.exp(-rows.tempered_log_mass)
            for scalar, buffer in ((s.b, 4), (s.bw, 5)):
                if present(scalar):
                    grad.addcmul_(self.buffers[buffer][:count], (scalar * inverse)[:, None])
        if self.divergences is not None:
            self.divergences.add_gradient(s, grad)
        if present(s.m):
            # m z = m u + m max
            grad.add_(u, alpha=s.m) if isinstance(s.m, float) else grad.addcmul_(u, s.m[:, None])
            grad.add_((s.m * rows.max_logit)[:, None])
        if present(s.k):
            grad.add_(s.k if isinstance(s.k, float) else s.k[:, None])
        if present(s.c):
            minus = -s.c if isinstance(s.c, Tensor) else torch.full_like(rows.entropy, -s.c)
            grad.scatter_add_(-1, targets_B[:, None], minus[:, None])
        out.copy_(grad)

    @staticmethod
    def _spread(s: Coefficients, rows: Rows, u: Tensor, e: Tensor, eu: Tensor) -> None:
        """Turn e into p (a0 + a1 log p + a2 log² p), written in powers of u = log p + log_mass."""
        mass, inverse = rows.log_mass, torch.exp(-rows.log_mass)
        constant = s.a0 - s.a1 * mass + s.a2 * mass**2
        linear = s.a1 - 2 * s.a2 * mass
        if not any(map(present, (s.a0, s.a1, s.a2))):
            e.zero_()
            return
        e.mul_((constant * inverse)[:, None])
        if present(s.a1) or present(s.a2):
            e.addcmul_(eu, (linear * inverse)[:, None])
        if present(s.a2):
            e.addcmul_(eu.mul_(u), (s.a2 * inverse)[:, None])
