"""Cross-entropy of soft targets that are few of a row's vocabulary, without the logits of all rows at once.

R: rows, C: rows of a chunk, E: edges (a row and a token it should predict), D: hidden size, V: vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from entrotune.errors import UserError
from entrotune.kernels.plan import CPU_CHUNK_BYTES, GPU_CHUNK_BYTES
from entrotune.kernels.products import IMPOSSIBLE

# Buffers as wide as the vocabulary that are alive at once: logits, log-probabilities, their gradient, the softmax.
_BUFFERS = 4


@dataclass(frozen=True)
class SoftTargets:
    """The loss, and what the rows predict; only `loss` has a gradient.

    Attributes:
        loss: −Σ mass · log p(token | row), a scalar, nats.
        log_probs: [E] log p(token | row).
        entropy: [R] of each row's prediction, nats.
        varentropy: [R] nats².
        top: [R] each row's likeliest token.
    """

    loss: Tensor
    log_probs: Tensor
    entropy: Tensor
    varentropy: Tensor
    top: Tensor


def soft_target_loss(
    hidden: Tensor,
    weight: Tensor,
    rows: Tensor,
    tokens: Tensor,
    masses: Tensor,
    *,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    chunk_bytes: int | None = None,
) -> SoftTargets:
    """−Σ_e masses[e] · log softmax(softcap((hidden @ weight.T + bias) · logit_scale))[rows[e], tokens[e]].

    Logits exist for a chunk of rows at a time and are computed again in the backward pass. They and what follows are
    float32 (float64 for float64 weights).

    Args:
        hidden: [R, D].
        weight: [V, D].
        rows: [E] ascending; each edge's row.
        tokens: [E] what it should predict.
        masses: [E] how much.
        chunk_bytes: memory for what is as wide as the vocabulary; by default 64 MiB on a CPU, else 1 GiB.

    Raises:
        UserError: the edges do not fit the rows or each other.
    """
    if not (rows.shape == tokens.shape == masses.shape) or rows.dim() != 1:
        raise UserError(f"rows, tokens and masses must be lists of one length, got {rows.shape}, {tokens.shape}")
    if len(rows) and (int(rows[0]) < 0 or int(rows[-1]) >= len(hidden) or bool((rows.diff() < 0).any())):
        raise UserError(f"rows must be ascending and from 0 to {len(hidden) - 1}")
    scale = (logit_scale, softcap)
    found = [
        _in_chunk(hidden[a:b], weight, bias, scale, rows[e:f] - a, tokens[e:f], masses[e:f])
        for a, b, e, f in _chunks(hidden, weight, rows, chunk_bytes)
    ]
    losses, *others = zip(*found, strict=True)
    return SoftTargets(torch.stack(losses).sum(), *(torch.cat(values) for values in others))


def _in_chunk(hidden_CD: Tensor, *given: object) -> tuple[Tensor, ...]:
    found = (
        checkpoint(_chunk, hidden_CD, *given, use_reentrant=False)
        if torch.is_grad_enabled()
        else _chunk(hidden_CD, *given)  # type: ignore[arg-type]
    )
    return tuple(found)


def _chunk(
    hidden_CD: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: tuple[float, float | None],
    rows: Tensor,
    tokens: Tensor,
    masses: Tensor,
) -> tuple[Tensor, ...]:
    logits = torch.nn.functional.linear(hidden_CD.to(weight.dtype), weight, bias)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    logits = logits * scale[0] if scale[0] != 1 else logits
    logits = logits if scale[1] is None else scale[1] * torch.tanh(logits / scale[1])
    log_p = torch.log_softmax(logits, dim=-1)
    picked = log_p[rows, tokens]
    with torch.no_grad():
        p = log_p.exp()
        finite = log_p.clamp(min=IMPOSSIBLE)  # 0 · log 0 is 0
        entropy = -(p * finite).sum(-1)
        varentropy = (p * (finite + entropy[:, None]) ** 2).sum(-1)
    loss = -(masses.to(picked.dtype) * picked).sum()
    return loss, picked.detach(), entropy, varentropy, log_p.argmax(-1)


def _chunks(
    hidden: Tensor, weight: Tensor, rows: Tensor, chunk_bytes: int | None
) -> Iterator[tuple[int, int, int, int]]:
    """Rows [a, b) and their edges [e, f)."""
    entry = weight.shape[0] * max(4, weight.element_size()) * _BUFFERS
    budget = chunk_bytes or (CPU_CHUNK_BYTES if hidden.device.type == "cpu" else GPU_CHUNK_BYTES)
    size = max(1, budget // entry)
    starts = range(0, len(hidden), size)
    bounds = torch.searchsorted(rows.cpu(), torch.tensor([*starts, len(hidden)])).tolist()
    for number, start in enumerate(starts):
        yield start, min(start + size, len(hidden)), bounds[number], bounds[number + 1]
