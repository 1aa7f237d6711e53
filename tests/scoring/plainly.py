"""Scores by their definitions: one row at a time, full logits, float64. Shares no code with what it checks."""

import math
from typing import Any

import numpy as np
import torch

# Nats: more than float32 is off by in a log-probability of these models, less than most neighbours are apart.
ROUNDING = 5e-5


def plain_scores(model: Any, ids: list[int], counted: list[int], followed: list[bool]) -> dict[str, Any]:
    """The statistics of one sequence.

    Args:
        ids: its tokens.
        counted: the positions that count.
        followed: for each of them, whether a token follows that has an nll.
    """
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    log_p = torch.log_softmax(logits, -1).numpy()
    p = np.exp(log_p)
    entropy = -(p * log_p).sum(-1)
    varentropy = (p * (log_p + entropy[:, None]) ** 2).sum(-1)
    h, v = entropy[counted], varentropy[counted]
    at = [place for place, follows in zip(counted, followed, strict=True) if follows]
    nll = np.array([-log_p[place, ids[place + 1]] for place in at])
    rank = [int((log_p[place] > log_p[place, ids[place + 1]]).sum()) for place in at]
    found = {
        "tokens": len(counted),
        "nll_tokens": len(at),
        "entropy_mean": h.mean(),
        "entropy_sum": h.sum(),
        "entropy_last": h[-1],
        "varentropy_mean": v.mean(),
        "varentropy_sum": v.sum(),
        "varentropy_last": v[-1],
        "sqrt_varentropy_mean": np.sqrt(v).mean(),
        "renyi2_mean": np.mean([-math.log((p[place] ** 2).sum()) for place in counted]),
        "token_entropy": h,
        "token_varentropy": v,
    }
    found |= {f"entropy_q{q:02d}": np.quantile(h, q / 100) for q in (5, 25, 50, 75, 95)}
    if at:
        found |= {"nll_mean": nll.mean(), "nll_sum": nll.sum(), "perplexity": math.exp(nll.mean())}
        found |= {"top1": np.mean([r == 0 for r in rank]), "token_nll": nll, "token_rank": rank}
    return found


def rank_bounds(model: Any, ids: list[int]) -> tuple[Any, Any]:
    """The least and the greatest rank of each token but the first, as rounding may change neighbours about."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    above = logits - logits.gather(1, torch.tensor(ids[1:])[:, None])
    return (above > ROUNDING).sum(-1).numpy(), (above > -ROUNDING).sum(-1).numpy() - 1
