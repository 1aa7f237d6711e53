"""The loss of a target set, −Σ w log P(target | request), and what a step shows of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from entrotune.data.targets import EncodedTargets, build_trie, split_sequences
from entrotune.models import tree_loss

QUANTILES = {"entropy_q05": 0.05, "entropy_q25": 0.25, "entropy_q50": 0.5, "entropy_q75": 0.75, "entropy_q95": 0.95}


@dataclass
class StepMeter:
    """Sums over the sets of a step. A prediction weighs as much as the targets that pass through it."""

    loss: float = 0.0
    floor: float = 0.0
    correct: float = 0.0
    tokens: int = 0
    edges: int = 0
    masses: list[Tensor] = field(default_factory=list)
    entropies: list[Tensor] = field(default_factory=list)
    varentropies: list[Tensor] = field(default_factory=list)

    def read(self, sets: int) -> dict[str, Any]:
        """The fields of a line of `metrics.jsonl` that do not depend on time."""
        mass, entropy, varentropy = (torch.cat(one) for one in (self.masses, self.entropies, self.varentropies))
        total = mass.sum()
        order = entropy.argsort()
        below = mass[order].cumsum(0) / total
        return {
            "loss": self.loss / sets,
            "floor": self.floor / sets,
            "gap": (self.loss - self.floor) / sets,
            "nll": self.loss / float(total),
            "entropy": float((mass * entropy).sum() / total),
            **{
                name: float(entropy[order[int((below < level).sum().clamp(max=len(order) - 1))]])
                for name, level in QUANTILES.items()
            },
            "varentropy": float((mass * varentropy).sum() / total),
            "accuracy": self.correct / float(total),
            "supervised_tokens": self.edges,
        }


def backward_set(
    model: Any, encoded: EncodedTargets, meter: StepMeter, *, rows_per_part: int, scale: float = 1.0
) -> float:
    """Add the gradient of scale · loss to the parameters' own; return the loss, nats.

    A large tree is computed in parts that have some of the targets each, so memory does not grow with the set: the
    loss is a sum over targets, so parts add up.
    """
    total = 0.0
    for indices in split_sequences(encoded.sequences, rows_per_part):
        trie = build_trie([encoded.sequences[at] for at in indices], [encoded.of.weights[at] for at in indices])
        found = tree_loss(model, encoded.prompt.input_ids, trie)
        (found.loss * scale).backward()
        total += float(found.loss.detach())
        _add(meter, trie.rows, trie.children, trie.masses, found)
        meter.tokens += len(encoded.prompt.input_ids) + len(trie.tokens)
    meter.loss += total
    meter.floor += encoded.of.floor
    return total


def _add(meter: StepMeter, rows: Sequence[int], children: Sequence[int], masses: Sequence[float], found: Any) -> None:
    at, mass = torch.tensor(rows), torch.tensor(masses, dtype=torch.float64)
    entropy = found.entropy.double().cpu()
    meter.masses.append(torch.zeros_like(entropy).index_add_(0, at, mass))
    meter.entropies.append(entropy)
    meter.varentropies.append(found.varentropy.double().cpu())
    is_top = found.top.cpu()[at] == torch.tensor(children)
    meter.correct += math.fsum(mass[is_top].tolist())
    meter.edges += len(rows)
