"""Token-weighted running sums of row statistics, kept on the device and read only when something is logged."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from entrotune.objectives import RowStats

# Bins of the entropy histogram between 0 and ln V: 0.005 nats wide for a vocabulary of 50,000.
BINS = 2048
GROUP = "group/"
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q95": 0.95}
# What is summed up for each group of rows.
OF_GROUPS = ("tokens", "nll", "entropy")
SUMS = ("supervised", "loss", "nll", "entropy", "varentropy", "correct", "tokens", "aux_loss", "batches")


class Meter:
    """Sums over the tokens seen since the last reading.

    Means are over supervised tokens, however they were split into batches and ranks. Quantiles of the token entropy
    come from a histogram, so they are exact to its bin width, ln V / 2048 nats.
    """

    def __init__(self, vocabulary: int, groups: Sequence[str] = ()) -> None:
        self.limit = math.log(vocabulary)
        self.groups = groups
        # Sums in the order of SUMS, the histogram, and the sums of each group; None where nothing was added.
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None

    def update(
        self,
        stats: RowStats,
        *,
        tokens: Tensor,
        aux_loss: Tensor | None = None,
        blank: bool = False,
        groups: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            stats: of its rows.
            tokens: how many tokens the model read, padding not counted; a scalar.
            aux_loss: of a mixture of experts.
            blank: the batch has no row, only what keeps this process in step with others: nothing of it counts.
            groups: the group of each target, where rows have groups.
        """
        mask = stats.mask
        sums, histogram, of_groups = self._seen or self._nothing(mask.device)
        values = [
            mask.sum(),
            *(values.sum(dtype=torch.float64) for values in (stats.loss, stats.nll, stats.entropy, stats.varentropy)),
            stats.is_top1.sum(),
            tokens,
            mask.new_zeros((), dtype=torch.float64) if aux_loss is None else aux_loss.detach(),
            mask.new_ones((), dtype=torch.float64),
        ]
        if not blank:
            sums += torch.stack([v.to(device=mask.device, dtype=torch.float64) for v in values])
        bins = (stats.entropy.float() * (BINS / self.limit)).long().clamp(0, BINS - 1)
        histogram.scatter_add_(0, bins.view(-1), mask.view(-1).double())
        if groups is not None:
            of_groups += sums_of_groups(stats, groups, len(self.groups))
        self._seen = sums, histogram, of_groups

    def clear(self) -> None:
        """Forget what was added since the last `read`."""
        self._seen = None

    def _nothing(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        shapes = ((len(SUMS),), (BINS,), (len(self.groups), len(OF_GROUPS)))
        sums, histogram, groups = (torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes)
        return sums, histogram, groups

    def read(self, reduce: Callable[[Tensor], Tensor] = lambda t: t) -> dict[str, float]:
        """Means and quantiles since the last call, then start again; empty where nothing was added.

        What belongs to a group is called `group/<label>/tokens`, `…/nll` and `…/entropy`, the latter two where it has
        tokens.

        Args:
            reduce: sums a tensor over ranks; called the same number of times on every rank.
        """
        if self._seen is None:
            return {}
        sums = dict(zip(SUMS, reduce(self._seen[0]).tolist(), strict=True))
        histogram = reduce(self._seen[1])
        of_groups = reduce(self._seen[2]).tolist() if self.groups else []
        self._seen = None
        count = max(sums["supervised"], 1.0)
        found = {name: sums[name] / count for name in ("loss", "nll", "entropy", "varentropy")}
        found["mean_token_accuracy"] = sums["correct"] / count
        found |= {f"entropy_{name}": self._quantile(histogram, level) for name, level in QUANTILES.items()}
        found["aux_loss"] = sums["aux_loss"] / max(sums["batches"], 1.0)
        for label, (tokens, *values) in zip(self.groups, of_groups, strict=True):
            found[f"{GROUP}{label}/tokens"] = tokens
            if tokens:  # without any there is no mean
                found |= {f"{GROUP}{label}/{name}": v / tokens for name, v in zip(OF_GROUPS[1:], values, strict=True)}
        return found | {"supervised_tokens": sums["supervised"], "tokens": sums["tokens"]}

    def _quantile(self, histogram: Tensor, level: float) -> float:
        total = histogram.cumsum(0)
        if total[-1] == 0:
            return 0.0
        bin_index = int(torch.searchsorted(total, level * total[-1]).clamp(max=BINS - 1))
        return (bin_index + 0.5) * self.limit / BINS

    def state(self, reduce: Callable[[Tensor], Tensor] = lambda t: t) -> dict[str, Any]:
        """What `restore` needs to go on in the middle of a logging window.

        Args:
            reduce: as of `read`.
        """
        if self._seen is None:
            return {}
        sums, histogram = (reduce(values.clone()).tolist() for values in self._seen[:2])
        groups = reduce(self._seen[2].clone()).tolist() if self.groups else []
        return {"sums": sums, "histogram": histogram, "groups": groups}

    def restore(self, state: dict[str, Any], device: torch.device, *, share: float = 1.0) -> None:
        """Go on from `share` of `state`."""
        if state:
            names = ("sums", "histogram", "groups")
            kept = (torch.tensor(state[name], dtype=torch.float64).to(device) for name in names)
            sums, histogram, groups = (values * share for values in kept)
            self._seen = sums, histogram, groups.view(len(self.groups), len(OF_GROUPS))


def sums_of_groups(stats: RowStats, groups: Tensor, count: int) -> Tensor:
    """Supervised tokens, and the sums of their nll and entropy, in each group, [count, 3]."""
    values = torch.stack([stats.mask, stats.nll, stats.entropy], -1).double().view(-1, len(OF_GROUPS))
    return values.new_zeros(count, len(OF_GROUPS)).index_add_(0, groups.reshape(-1).to(values.device), values)
