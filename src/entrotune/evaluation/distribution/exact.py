"""How a model spreads its probability over a target set, without sampling: the probability of every target."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from entrotune.data.targets import EncodedTargets, build_trie, split_sequences
from entrotune.measures import expected_coverage
from entrotune.models import evaluation_mode, tree_loss

COVERAGE_DRAWS = (10, 100, 1000)


def target_log_probs(model: Any, encoded: EncodedTargets, *, rows_per_part: int = 1024) -> list[float]:
    """log P(target | request) of each target, nats, in their order; its end mark counts where outputs end.

    Args:
        rows_per_part: positions computed at once; larger trees are split.
    """
    found = [0.0] * len(encoded.sequences)
    with evaluation_mode(model):
        for indices in split_sequences(encoded.sequences, rows_per_part):
            trie = build_trie([encoded.sequences[at] for at in indices], [1.0] * len(indices))
            edges = tree_loss(model, encoded.prompt.input_ids, trie).log_probs.double().tolist()
            for at, path in zip(indices, trie.paths, strict=True):
                found[at] = math.fsum(edges[edge] for edge in path)
    return found


def exact_measures(log_probs: ArrayLike, weights: ArrayLike) -> dict[str, Any]:
    """Measures of how probability is spread over targets.

    `valid_mass` Σ P; `kl` Σ w ln(w/P) and `kl_renormalised`, the same of P/ΣP, nats; `entropy` of P/ΣP, nats, and
    `evenness`, that over ln n; `loss` −Σ w ln P and its `floor`, the entropy of w; `coverage`, the expected number of
    different targets among 10, 100 and 1,000 draws; `highest` and `lowest` P.

    Args:
        log_probs: ln P of each target.
        weights: what P should be; they sum to 1.
    """
    log_p, w = np.asarray(log_probs, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    log_mass = float(np.logaddexp.reduce(log_p))
    normal = log_p - log_mass
    q = np.exp(normal)
    # Where q is 0 in floating point, q ln q is 0.
    entropy = max(0.0, -float(np.sum(q * np.where(q > 0, normal, 0.0))))
    floor, loss = -float(np.sum(w * np.log(w))), -float(np.sum(w * log_p))
    p = np.exp(log_p)
    # Where targets begin others their probabilities overlap, and their sum is no probability.
    shown = p / max(1.0, float(p.sum()))
    return {
        "targets": len(p),
        "valid_mass": float(p.sum()),
        "kl": loss - floor,
        "kl_renormalised": loss - floor + log_mass,
        "entropy": entropy,
        "evenness": entropy / math.log(len(p)) if len(p) > 1 else None,
        "loss": loss,
        "floor": floor,
        "coverage": {str(draws): expected_coverage(shown, draws) for draws in COVERAGE_DRAWS},
        "highest": float(p.max()),
        "lowest": float(p.min()),
    }


def exact_parts(log_probs: Sequence[float], weights: Sequence[float], trained: Sequence[int]) -> dict[str, Any]:
    """The measures of the targets that were trained on and of those held out, each with its weights rescaled."""
    held_out = [at for at in range(len(log_probs)) if at not in set(trained)]
    return {
        name: exact_measures(
            [log_probs[at] for at in indices],
            [weights[at] / math.fsum(weights[other] for other in indices) for at in indices],
        )
        for name, indices in (("trained", list(trained)), ("held_out", held_out))
    }
