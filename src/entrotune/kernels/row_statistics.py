"""Statistics of a model's predictions, from hidden states and head, without gradients and without all the logits.

Shapes: N rows, C rows of a chunk, B rows of a block, D width, V vocabulary, K of the most likely tokens.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.kernels.checks import check_call, check_targets
from entrotune.kernels.plan import CPU_CHUNK_BYTES, GPU_CHUNK_BYTES, Head
from entrotune.kernels.products import IMPOSSIBLE, block_rows, product, to_logits
from entrotune.kernels.triton_backend import check_triton, padded, triton_runs

NO_TARGET = -100
_ABSENT = torch.empty(0)
# Of a block, for each thread of a CPU: it and its two buffers stay in the thread's own cache.
_BLOCK_BYTES = 512 << 10


@dataclass(frozen=True, slots=True)
class RowStatistics:
    """What the predictions of N rows are like, [N] each; what was not asked for is an empty tensor.

    Attributes:
        entropy: −Σ p log p, nats.
        varentropy: Σ p (log p + entropy)², nats².
        nll: −log p of the target, nats; NaN where there is no target.
        is_top1: whether no token is more likely than the target; False where there is none.
        renyi2: −log Σ p², nats.
        rank: how many tokens are more likely than the target, so 0 for the likeliest; tokens that are as likely as it
            do not count. −1 where there is no target.
        topk_ids: [N, K] the likeliest tokens, likeliest first.
        topk_logprobs: [N, K] their log-probabilities.
    """

    entropy: Tensor
    varentropy: Tensor
    nll: Tensor
    is_top1: Tensor
    renyi2: Tensor = _ABSENT
    rank: Tensor = _ABSENT
    topk_ids: Tensor = _ABSENT
    topk_logprobs: Tensor = _ABSENT


@dataclass(frozen=True, slots=True)
class Truncated:
    """What of a distribution the K likeliest tokens show, [N] each; probabilities are the true ones, not rescaled.

    Attributes:
        mass: Σ p.
        entropy: −Σ p log p, never more than the exact entropy.
        varentropy: Σ p (log p + entropy)², with this entropy.
    """

    mass: Tensor
    entropy: Tensor
    varentropy: Tensor


def truncated(topk_logprobs: Tensor) -> Truncated:
    """The moments over the likeliest tokens only, as from an interface that tells no others; [N, K] → [N]."""
    p = topk_logprobs.exp()
    # Where p is 0, log p may be −inf; such a token adds nothing.
    log_p = topk_logprobs.clamp(min=IMPOSSIBLE)
    entropy = -(p * log_p).sum(-1)
    return Truncated(p.sum(-1), entropy, (p * (log_p + entropy[:, None]) ** 2).sum(-1))


@dataclass(frozen=True)
class _Wanted:
    """Which statistics, from what, and whether by Triton."""

    head: Head
    bias: Tensor | None
    renyi2: bool
    rank: bool
    top_k: int
    triton: bool


@torch.no_grad()
def row_statistics(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    renyi2: bool = True,
    rank: bool = False,
    top_k: int = 0,
    backend: str = "auto",
    chunk_bytes: int | None = None,
) -> RowStatistics:
    """Statistics of softmax(softcap((hidden @ weight.T + bias) * logit_scale) / temperature), a row each.

    The [N, V] logits never exist: chunks of rows pass through one buffer. Products are in the precision of `weight`;
    logits and statistics are float32 (float64 for float64 input), measured from the row's maximum.

    Args:
        hidden: [N, D].
        weight: [V, D].
        targets: [N], token ids; −100 where the row has none.
        bias: [V]; −inf marks a token that cannot be.
        renyi2: whether to take the entropy of order 2.
        rank: whether to rank the target.
        top_k: how many of the likeliest tokens to return.
        backend: `"torch"`, `"triton"` (CUDA: one pass over the logits) or `"auto"`, which takes triton where it can.
        chunk_bytes: memory for the logits of a chunk; by default 64 MiB on a CPU, else 1 GiB.

    Raises:
        UserError: shapes, dtypes, targets, numbers or backend do not fit.
    """
    head = Head(logit_scale, softcap, temperature)
    check_call(hidden, weight, targets, bias=bias, head=head, backend=backend, chunk_bytes=chunk_bytes)
    vocabulary = weight.shape[0]
    if not 0 <= top_k <= vocabulary:
        raise UserError(f"top_k is {top_k}; expected 0 to {vocabulary}, the size of the vocabulary")
    has_target = targets != NO_TARGET
    safe = torch.where(has_target, targets, 0)
    check_targets(safe, vocabulary)
    count, on_cpu = hidden.shape[0], hidden.device.type == "cpu"
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    by_triton = _by_triton(backend, hidden.device, dtype)
    wanted = _Wanted(head, bias, renyi2, rank, top_k, by_triton)
    budget = chunk_bytes or (CPU_CHUNK_BYTES if on_cpu else GPU_CHUNK_BYTES)
    chunk = _chunk_rows(vocabulary, dtype.itemsize, budget, on_cpu or by_triton, count)
    block = block_rows(vocabulary, dtype.itemsize, chunk, hidden.device, budget=torch.get_num_threads() * _BLOCK_BYTES)
    if on_cpu and hidden.dtype != weight.dtype:
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    logits_CV = hidden.new_empty(chunk, padded(vocabulary) if by_triton else vocabulary, dtype=dtype)[:, :vocabulary]
    rows = _Blocks(wanted, hidden.new_empty(2, 0 if by_triton else block, vocabulary, dtype=dtype))
    found = []
    for start in range(0, count, chunk):
        hidden_CD = hidden[start : start + chunk]
        products = product(hidden_CD, weight.T, logits_CV[: hidden_CD.shape[0]])
        for low in range(0, products.shape[0], block):
            part = slice(start + low, start + min(low + block, products.shape[0]))
            found.append(rows(products[low : low + block], safe[part], has_target[part]))
    if not found:
        found.append(rows(logits_CV[:0], safe, has_target))
    return RowStatistics(**{f.name: torch.cat([getattr(s, f.name) for s in found]) for f in fields(RowStatistics)})


def _by_triton(backend: str, device: torch.device, dtype: torch.dtype) -> bool:
    if backend == "reference":
        raise UserError("row_statistics has the backends torch and triton; float64 input makes torch exact")
    if backend == "triton":
        check_triton(device, dtype)
    return backend == "triton" or (backend == "auto" and triton_runs(device, dtype))


def _chunk_rows(vocabulary: int, itemsize: int, budget: int, alone: bool, count: int) -> int:
    """Rows of a chunk; where not `alone`, two more buffers are as large as that of the logits."""
    entry = vocabulary * itemsize * (1 if alone else 3)
    rows = max(1, budget // entry)
    return min(rows if rows < 128 else rows - rows % 128, max(1, count))


class _Blocks:
    """Statistics of blocks of products, which are overwritten.

    Args:
        wanted: what to take.
        buffers: [2, B, V] for the largest block.
    """

    def __init__(self, wanted: _Wanted, buffers: Tensor) -> None:
        self.wanted, self.buffers = wanted, buffers
        self.impossible = not wanted.triton and wanted.bias is not None and bool(torch.isneginf(wanted.bias).any())

    def __call__(self, u_BV: Tensor, targets_B: Tensor, has_target_B: Tensor) -> RowStatistics:
        wanted = self.wanted
        if wanted.triton:
            return self._by_triton(u_BV, targets_B, has_target_B)
        to_logits(u_BV, wanted.bias, wanted.head)
        e, eu = (buffer[: u_BV.shape[0]] for buffer in self.buffers)
        u_BV.sub_(u_BV.amax(-1, keepdim=True))
        gap = u_BV.gather(-1, targets_B[:, None]).squeeze(-1)
        more: dict[str, Tensor] = {}
        if wanted.rank:
            above = torch.gt(u_BV, gap[:, None]).sum(-1)
            more["rank"] = torch.where(has_target_B, above, -1)
        if self.impossible:
            u_BV.clamp_(min=IMPOSSIBLE)
        torch.exp(u_BV, out=e)
        mass = e.sum(-1)
        # Products are summed pairwise: a dot product of rows so wide is off by 1e-4 of its value in float32.
        mean, log_mass = torch.mul(e, u_BV, out=eu).sum(-1) / mass, mass.log()
        if wanted.top_k:
            values, more["topk_ids"] = u_BV.topk(wanted.top_k, dim=-1)
            more["topk_logprobs"] = values - log_mass[:, None]
        # From the mean: from the maximum, the square of a mean of some tens would be taken from a like number.
        torch.mul(e, u_BV.sub_(mean[:, None]), out=eu)
        varentropy = eu.mul_(u_BV).sum(-1) / mass
        if wanted.renyi2:
            more["renyi2"] = 2 * log_mass - e.square_().sum(-1).log()
        return RowStatistics(
            entropy=log_mass - mean,
            varentropy=varentropy,
            nll=torch.where(has_target_B, log_mass - gap, torch.nan),
            is_top1=has_target_B & (gap == 0),
            **more,
        )

    def _by_triton(self, products_BV: Tensor, targets_B: Tensor, has_target_B: Tensor) -> RowStatistics:
        from entrotune.kernels.triton_statistics import triton_statistics

        wanted = self.wanted
        stats, above = triton_statistics(products_BV, targets_B, wanted.bias, wanted.head)
        top, log_mass, gap, entropy, varentropy, renyi2 = stats.unbind(0)
        more: dict[str, Tensor] = {}
        if wanted.rank:
            more["rank"] = torch.where(has_target_B, above.long(), -1)
        if wanted.renyi2:
            more["renyi2"] = renyi2
        if wanted.top_k:
            to_logits(products_BV, wanted.bias, wanted.head)
            values, more["topk_ids"] = products_BV.topk(wanted.top_k, dim=-1)
            more["topk_logprobs"] = values - (top + log_mass)[:, None]
        return RowStatistics(
            entropy=entropy,
            varentropy=varentropy,
            nll=torch.where(has_target_B, log_mass - gap, torch.nan),
            is_top1=has_target_B & (gap == 0),
            **more,
        )
