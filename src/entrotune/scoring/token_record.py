"""A text's tokens as plain values, for pages that show them. K: of the likeliest tokens."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.scoring.examined import Examined, Token

FLAT = 2.0
"""The second temperature at which the mass of the tokens that are not listed is recorded."""

# A mass below it, as a share of all, is rounding of float32.
_LEAST = 1e-6


def text_record(
    examined: Examined, *, id: str, counted: Sequence[int] | None = None, facts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """All that a page says of one text.

    `entropy`, `varentropy`, `top` and `tails` have an entry a prediction, the first for the token of index 1, the last
    for what would follow the text; `nll`, `rank` and `place` (of the token in `top`, if it is there) lack the last.

    Args:
        id: of the text.
        counted: indices of the tokens whose predictions are summarised, `len(tokens)` for what would follow; by
            default the tokens that are not given.
        facts: what else to say of it.
    """
    tokens = examined.tokens
    if counted is None:
        counted = [token.index for token in tokens[1:] if not token.given]
    statistics = examined.statistics
    top_ids, top_logprobs = statistics.topk_ids.tolist(), statistics.topk_logprobs.double().tolist()
    return {
        "id": id,
        "facts": dict(facts or {}),
        "vocabulary": examined.vocabulary,
        "tokens_cut": examined.tokens_cut,
        "tokens": [token.text for token in tokens],
        "token_ids": [token.id for token in tokens],
        "given": [token.given for token in tokens],
        "entropy": statistics.entropy.tolist(),
        "varentropy": statistics.varentropy.tolist(),
        "nll": [token.nll for token in tokens[1:]],
        "rank": [token.rank for token in tokens[1:]],
        "place": [ids.index(one.id) if one.id in ids else None for one, ids in zip(tokens[1:], top_ids, strict=False)],
        "top": [
            list(zip(map(examined.text_of, ids), row, strict=True))
            for ids, row in zip(top_ids, top_logprobs, strict=True)
        ],
        "tails": _tails(examined, top_logprobs),
        "summary": _summary(examined, tokens, counted),
    }


def _summary(examined: Examined, tokens: Sequence[Token], counted: Sequence[int]) -> dict[str, float | int | None]:
    """Means over the predictions that count, and over those of a token."""
    entropy, varentropy = (
        [values[index - 1] for index in counted]
        for values in (examined.statistics.entropy.tolist(), examined.statistics.varentropy.tolist())
    )
    chosen = [tokens[index] for index in counted if index < len(tokens)]
    nll = _mean([token.nll for token in chosen if token.nll is not None])
    return {
        "tokens": len(tokens),
        "counted": len(counted),
        "entropy": _mean(entropy),
        "varentropy": _mean(varentropy),
        "nll": nll,
        "perplexity": math.exp(nll) if nll is not None and nll < 700 else None,
        "top1": _mean([float(token.rank == 0) for token in chosen]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _tails(examined: Examined, top_logprobs: Sequence[Sequence[float]]) -> list[list[float | None]] | None:
    """What is known of the tokens beyond the K likeliest; None where there are none.

    A row a prediction: log T(1), its slope, log T(1/2), its slope, where T(a) = Σ p^a over these tokens: their mass
    without a temperature, and unnormalised at temperature 2. As log T is convex in a, these bound it in between. A
    slope is None where the mass is too small to have one.
    """
    if examined.statistics.topk_ids.shape[1] == examined.vocabulary:
        return None
    flat = examined.at_temperature(FLAT)
    rows = zip(
        top_logprobs,
        examined.statistics.entropy.double().tolist(),
        flat.topk_logprobs[:, 0].double().tolist(),
        flat.entropy.double().tolist(),
        strict=True,
    )
    found = []
    for top, entropy, first, flat_entropy in rows:
        log_total = top[0] / FLAT - first  # of p^(1/2) over all tokens
        found.append([*_tail(top, 1.0, 0.0, entropy), *_tail(top, 1 / FLAT, log_total, flat_entropy)])
    return found


def _tail(top: Sequence[float], power: float, log_total: float, entropy: float) -> tuple[float, float | None]:
    """log T(power) and its slope, from the whole: log Σ p^power, and the entropy of p^power normalised."""
    total = math.exp(log_total)
    mass = total - math.fsum(math.exp(power * one) for one in top)
    if mass < _LEAST * total:
        return math.log(_LEAST * total), None
    mean = (log_total - entropy) / power  # of log p under p^power
    weighted = total * mean - math.fsum(math.exp(power * one) * one for one in top)
    return math.log(mass), min(weighted / mass, top[-1])
