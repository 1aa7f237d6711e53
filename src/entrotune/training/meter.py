"""Token-weighted running sums of row statistics, kept on the device and read only when something is logged."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Bins of the entropy histogram between 0 and ln V: 0.005 nats wide for a vocabulary of 50,000.
BINS = 2048
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q95": 0.95}
SUMS = ("supervised", "loss", "nll", "entropy", "varentropy", "correct", "tokens", "aux_loss", "batches")


class Meter:
    """Sums over the tokens seen since the last reading.

    Means are over supervised tokens, however they were split into batches and ranks. Quantiles of the token entropy
    come from a histogram, so they are exact to its bin width, ln V / 2048 nats.
    """

    def __init__(self, vocabulary: int) -> None:
        self.limit = math.log(vocabulary)
        # Sums in the order of SUMS, and the histogram; None where nothing was added.
        self._seen: tuple[Tensor, Tensor] | None = None

    def update(self, outputs: Any, *, tokens: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: with the fields of `RowStats` (`loss`, `nll`, … in one shape) and an `aux_loss` or None.
            tokens: how many tokens the model read, padding not counted; a scalar.
        """
        mask = outputs.mask
        sums, histogram = self._seen or self._nothing(mask.device)
        aux = outputs.aux_loss
        values = [
            mask.sum(),
            *(getattr(outputs, name).detach().sum(dtype=torch.float64) for name in ("row_loss", "nll", "entropy")),
            outputs.varentropy.detach().sum(dtype=torch.float64),
            outputs.is_top1.sum(),
            tokens,
            mask.new_zeros((), dtype=torch.float64) if aux is None else aux.detach(),
            mask.new_ones((), dtype=torch.float64),
        ]
        sums += torch.stack([v.to(device=mask.device, dtype=torch.float64) for v in values])
        bins = (outputs.entropy.detach().float() * (BINS / self.limit)).long().clamp(0, BINS - 1)
        histogram.scatter_add_(0, bins.view(-1), mask.view(-1).double())
        self._seen = sums, histogram

    def _nothing(self, device: torch.device) -> tuple[Tensor, Tensor]:
        sums = torch.zeros(len(SUMS), dtype=torch.float64, device=device)
        return sums, torch.zeros(BINS, dtype=torch.float64, device=device)

    def read(self, reduce: Callable[[Tensor], Tensor] = lambda t: t) -> dict[str, float]:
        """Means and quantiles since the last call, then start again; empty where nothing was added.

        Args:
            reduce: sums a tensor over ranks; called the same number of times on every rank.
        """
        if self._seen is None:
            return {}
        sums = dict(zip(SUMS, reduce(self._seen[0]).tolist(), strict=True))
        histogram = reduce(self._seen[1])
        self._seen = None
        count = max(sums["supervised"], 1.0)
        found = {name: sums[name] / count for name in ("loss", "nll", "entropy", "varentropy")}
        found["mean_token_accuracy"] = sums["correct"] / count
        found |= {f"entropy_{name}": self._quantile(histogram, level) for name, level in QUANTILES.items()}
        found["aux_loss"] = sums["aux_loss"] / max(sums["batches"], 1.0)
        return found | {"supervised_tokens": sums["supervised"], "tokens": sums["tokens"]}

    def _quantile(self, histogram: Tensor, level: float) -> float:
        total = histogram.cumsum(0)
        if total[-1] == 0:
            return 0.0
        bin_index = int(torch.searchsorted(total, level * total[-1]).clamp(max=BINS - 1))
        return (bin_index + 0.5) * self.limit / BINS

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on in the middle of a logging window."""
        if self._seen is None:
            return {}
        return {"sums": self._seen[0].tolist(), "histogram": self._seen[1].tolist()}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from `state`."""
        if state:
            sums, histogram = (torch.tensor(state[name], dtype=torch.float64) for name in ("sums", "histogram"))
            self._seen = sums.to(device), histogram.to(device)
