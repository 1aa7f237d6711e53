"""What is known about a row of logits, and what an objective asks for in return.

Legend: N rows (supervised tokens), V vocabulary, z a row of logits, p = softmax(z), q = softmax(z / temperature),
y the target. Of a second model, the reference: r = softmax(its logits / T), P = softmax(z / T), which is p where T = 1
and q elsewhere, m = w r + (1 − w) P. Everything here is a vector over rows; nothing is as wide as the vocabulary.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

Scalar = float | Tensor
# A statistic that no term asked for.
ABSENT = torch.empty(0)


@dataclass(frozen=True, slots=True)
class Needs:
    """The statistics an objective needs beyond those every row has (maximum, mass, target, entropy, varentropy).

    Attributes:
        temperature: of the one tempered copy q of p; None where no term has one.
        tempered_mean: E_q[z].
        sigmoid_weights: Σ q w and Σ q w (z − z_y) with w = sigmoid(0.01 (z − z_y)).
        logit_sum: Σ z.
        logit_squares: Σ z².
        reference_temperature: T; None where no term has a reference.
        forward_kl: KL(r ‖ P).
        reverse_kl: KL(P ‖ r).
        mixture: w of the mixture m whose divergences from P and r are wanted; None where no term has one.
        power: a of Σ r^a P^(1−a); None where no term has one.
    """

    temperature: float | None = None
    tempered_mean: bool = False
    sigmoid_weights: bool = False
    logit_sum: bool = False
    logit_squares: bool = False
    reference_temperature: float | None = None
    forward_kl: bool = False
    reverse_kl: bool = False
    mixture: float | None = None
    power: float | None = None

    @property
    def reference(self) -> bool:
        """Whether a second model's rows are needed."""
        return self.reference_temperature is not None

    def __or__(self, other: Self) -> Self:
        """Both; a `ValueError` where the two ask for different numbers of which a row has one."""
        for name, told in _ONE_OF_EACH.items():
            both = (getattr(self, name), getattr(other, name))
            if None not in both and both[0] != both[1]:
                raise ValueError(f"two {told[0]} in one objective: {both[0]:g} and {both[1]:g}. {told[1]}")
        merged = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)}
        return replace(self, **merged)


_ONE_OF_EACH = {
    "temperature": ("temperatures", "A row has one tempered copy; tsallis(q) and renyi(q) use temperature 1/q"),
    "reference_temperature": ("temperatures of the reference", "Its rows are taken at one"),
    "mixture": ("mixture weights", "A row has one mixture with the reference"),
    "power": ("powers", "A row has one sum of powers with the reference"),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Statistics of N rows, each a [N] tensor. Logits are measured from the row's maximum, which keeps them exact.

    Attributes:
        vocabulary: V.
        max_logit: max z.
        log_mass: logsumexp(z) − max z.
        target_gap: z_y − max z, at most 0.
        entropy: H = −Σ p log p, nats.
        varentropy: Σ p (log p + H)², nats².
        tempered_log_mass: (this and the rest only where asked for) logsumexp((z − max z) / temperature).
        tempered_gap: E_q[z] − max z.
        weighted_mass: Σ q w.
        weighted_gap: Σ q w (z − z_y).
        logit_sum: Σ z.
        logit_squares: Σ z².
        reference_max: (this and the rest only with a reference) its largest logit.
        reference_log_mass: logsumexp((its logits − their maximum) / T).
        forward_kl: KL(r ‖ P), nats.
        reverse_kl: KL(P ‖ r), nats.
        mixture_kl: KL(P ‖ m), nats.
        reference_mixture_kl: KL(r ‖ m), nats.
        power_sum: Σ r^a P^(1−a).
    """

    vocabulary: int
    max_logit: Tensor
    log_mass: Tensor
    target_gap: Tensor
    entropy: Tensor
    varentropy: Tensor
    tempered_log_mass: Tensor = ABSENT
    tempered_gap: Tensor = ABSENT
    weighted_mass: Tensor = ABSENT
    weighted_gap: Tensor = ABSENT
    logit_sum: Tensor = ABSENT
    logit_squares: Tensor = ABSENT
    reference_max: Tensor = ABSENT
    reference_log_mass: Tensor = ABSENT
    forward_kl: Tensor = ABSENT
    reverse_kl: Tensor = ABSENT
    mixture_kl: Tensor = ABSENT
    reference_mixture_kl: Tensor = ABSENT
    power_sum: Tensor = ABSENT

    @property
    def nll(self) -> Tensor:
        """−log p_y, nats."""
        return self.log_mass - self.target_gap

    @property
    def lse(self) -> Tensor:
        """logsumexp(z)."""
        return self.max_logit + self.log_mass

    @property
    def target_logit(self) -> Tensor:
        """z_y."""
        return self.max_logit + self.target_gap

    @property
    def is_top1(self) -> Tensor:
        """Whether no logit is above the target's."""
        return self.target_gap == 0


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The per-row scalars of the one gradient shape every objective has.

    ∂ℓ/∂z_j = p_j (a0 + a1 log p_j + a2 log² p_j) + q_j (b + bw w_j) − c 1[j=y] + k + m z_j
              + d r_j + e P_j log(P_j / r_j) + f P_j log(P_j / m_j) + g r_j^a P_j^(1−a)

    A scalar is a float where it is the same for every row (0.0: the term is absent and costs nothing) or a [N] tensor.
    """

    a0: Scalar = 0.0
    a1: Scalar = 0.0
    a2: Scalar = 0.0
    b: Scalar = 0.0
    bw: Scalar = 0.0
    c: Scalar = 0.0
    k: Scalar = 0.0
    m: Scalar = 0.0
    d: Scalar = 0.0
    e: Scalar = 0.0
    f: Scalar = 0.0
    g: Scalar = 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __rmul__(self, factor: Scalar) -> Self:
        return type(self)(**{f.name: _scaled(factor, getattr(self, f.name)) for f in fields(self)})


def _scaled(factor: Scalar, scalar: Scalar) -> Scalar:
    return 0.0 if isinstance(scalar, float) and scalar == 0.0 else factor * scalar  # what is absent stays so


def row_weight(weight: Scalar) -> Coefficients:
    """The coefficients of `weight` times cross-entropy."""
    return Coefficients(a0=weight, c=weight)


@dataclass(frozen=True, slots=True)
class RowStats:
    """Per-token statistics in the shape of `targets`, without gradient; zero where a target is ignored.

    Attributes:
        loss: value of the objective, before division by the number of tokens.
        nll: −log p_y, nats.
        entropy: entropy of the prediction, nats.
        varentropy: variance of the surprisal under the prediction, nats².
        lse: logsumexp of the logits.
        target_logit: z_y.
        is_top1: whether no logit is above the target's.
        mask: which positions are supervised.
    """

    loss: Tensor
    nll: Tensor
    entropy: Tensor
    varentropy: Tensor
    lse: Tensor
    target_logit: Tensor
    is_top1: Tensor
    mask: Tensor

    @classmethod
    def scatter(cls, rows: Rows, loss: Tensor, mask: Tensor) -> Self:
        """Put the statistics of the supervised rows back where they came from.

        Args:
            rows: statistics of the M supervised rows.
            loss: [M].
            mask: any shape with M true entries.
        """
        names = ("nll", "entropy", "varentropy", "lse", "target_logit", "is_top1")
        packed = cls(loss=loss, **{name: getattr(rows, name) for name in names}, mask=torch.ones_like(rows.is_top1))
        return packed.placed(mask)

    def placed(self, mask: Tensor) -> Self:
        """Statistics of M rows moved to the M true places of `mask`, zero elsewhere."""

        def place(values: Tensor) -> Tensor:
            if values.numel() == mask.numel():
                return values.detach().view(mask.shape)
            # An assignment to out[mask] would wait for the device to count.
            return values.new_zeros(mask.shape).masked_scatter_(mask, values.detach())

        values = {f.name: place(getattr(self, f.name)) for f in fields(self) if f.name != "mask"}
        return type(self)(**values, mask=mask)

    def mean(self, name: str) -> Tensor:
        """Mean of a statistic over the supervised tokens; 0 where there is none."""
        return getattr(self, name).sum(dtype=torch.float64) / self.mask.sum().clamp(min=1)
