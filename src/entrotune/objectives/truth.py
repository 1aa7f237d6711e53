"""Row statistics the slow and exact way, from whole rows of logits."""

import torch
from torch import Tensor

from entrotune.objectives.rows import Needs, Rows
from entrotune.objectives.term import log_probabilities
from entrotune.objectives.terms.divergences import tempered_pair


def exact_rows(logits: Tensor, targets: Tensor, needs: Needs, *, reference: Tensor | None = None) -> Rows:
    """The statistics of [N, V] logits in the logits' own precision.

    Args:
        logits: [N, V]; −inf marks a token that cannot be.
        targets: [N].
        needs: which statistics beyond the common ones.
        reference: [N, V] logits of the reference, where one is needed.
    """
    if not logits.shape[0]:
        # amax has no identity: an empty batch gets empty statistics from one made-up row.
        one = logits.new_zeros(1, logits.shape[1])
        return _head(exact_rows(one, targets.new_zeros(1), needs, reference=one), 0)
    top = logits.amax(-1)
    shifted = logits - top[:, None]
    gap = shifted.gather(-1, targets[:, None]).squeeze(-1)
    p, log_p = log_probabilities(logits)
    entropy = -(p * log_p).sum(-1)
    extra: dict[str, Tensor] = {}
    if needs.temperature is not None:
        q = torch.softmax(shifted / needs.temperature, -1)
        possible = shifted.masked_fill(q == 0, 0.0)
        extra["tempered_log_mass"] = torch.logsumexp(shifted / needs.temperature, -1)
        if needs.tempered_mean:
            extra["tempered_gap"] = (q * possible).sum(-1)
        if needs.sigmoid_weights:
            weight = torch.sigmoid(0.01 * (shifted - gap[:, None]))
            extra["weighted_mass"] = (q * weight).sum(-1)
            extra["weighted_gap"] = (q * weight * (possible - gap[:, None]).masked_fill(q == 0, 0.0)).sum(-1)
    if needs.logit_sum:
        extra["logit_sum"] = logits.sum(-1)
    if needs.logit_squares:
        extra["logit_squares"] = (logits**2).sum(-1)
    if needs.reference:
        assert reference is not None
        extra |= _divergences(logits, reference, needs)
    return Rows(
        vocabulary=logits.shape[-1],
        max_logit=top,
        log_mass=torch.logsumexp(shifted, -1),
        target_gap=gap,
        entropy=entropy,
        varentropy=(p * (log_p + entropy[:, None]) ** 2).sum(-1),
        **extra,
    )


def _divergences(logits: Tensor, reference: Tensor, needs: Needs) -> dict[str, Tensor]:
    assert needs.reference_temperature is not None
    log_p, log_r = tempered_pair(logits, reference, needs.reference_temperature)
    p, r = log_p.exp(), log_r.exp()
    top = reference.amax(-1)
    found = {
        "reference_max": top,
        "reference_log_mass": torch.logsumexp((reference - top[:, None]) / needs.reference_temperature, -1),
    }
    if needs.forward_kl:
        found["forward_kl"] = (r * (log_r - log_p)).sum(-1)
    if needs.reverse_kl:
        found["reverse_kl"] = (p * (log_p - log_r)).sum(-1)
    if needs.mixture is not None:
        log_m = (needs.mixture * r + (1 - needs.mixture) * p).log().clamp(min=-1e18)
        found["mixture_kl"] = (p * (log_p - log_m)).sum(-1)
        found["reference_mixture_kl"] = (r * (log_r - log_m)).sum(-1)
    if needs.power is not None:
        found["power_sum"] = (needs.power * log_r + (1 - needs.power) * log_p).exp().sum(-1)
    return found


def _head(rows: Rows, count: int) -> Rows:
    return Rows(rows.vocabulary, *(getattr(rows, name)[:count] for name in Rows.__slots__ if name != "vocabulary"))
