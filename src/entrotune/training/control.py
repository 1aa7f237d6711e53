"""The objective of each optimiser step, where its coefficients follow the run or the entropy."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from entrotune.errors import UserError
from entrotune.objectives import Moment, NamedCoefficients, Objective, RowStats

STATE = "entrotune_coefficients"
# Entropy has won where its mean rose from below one of these shares of ln V to above the other.
INFORMED, UNIFORM = 0.5, 0.9

# Above any entropy, nats; unlike infinity it is a number of JSON.
NOT_SEEN = 1e9

WhenEntropyWins = Literal["warn", "stop"]


class CoefficientControl(TrainerCallback):
    """Gives the objective of the next step, and learns from the entropy of the last.

    A controller takes the mean entropy of all supervised tokens of an optimiser step, over its micro-batches and ranks.
    What it has come to is kept in the trainer's state, which is part of every checkpoint.

    Args:
        coefficients: of the objective.
        vocabulary: tokens of a row.
        sum_over_ranks: of a tensor.
        when_entropy_wins: whether to warn or to stop.

    Raises:
        UserError: a target no prediction can have, or entropy wins and is to stop the run.
    """

    def __init__(
        self,
        coefficients: NamedCoefficients,
        *,
        vocabulary: int,
        sum_over_ranks: Callable[[Tensor], Tensor],
        when_entropy_wins: WhenEntropyWins = "warn",
    ) -> None:
        self.coefficients = coefficients
        self.limit = math.log(vocabulary)
        self.sum_over_ranks = sum_over_ranks
        self.when_entropy_wins = when_entropy_wins
        self.lowest = NOT_SEEN
        self.used: dict[str, float] = {}
        # Sum of the entropies and number of the supervised tokens of this step so far, on the device.
        self._seen: Tensor | None = None
        parts = [part for objective in coefficients.extremes() for part in objective.parts]
        self.watches = bool(coefficients.controllers) or any(number < 0 for number, _ in parts)
        self._wins = coefficients.check_vocabulary(vocabulary)

    def objective(self, state: TrainerState, *, training: bool) -> Objective:
        """The objective of the next step, or of a validation before it."""
        moment = Moment(state.global_step, state.max_steps, int(state.epoch or 0), state.num_train_epochs)
        objective = self.coefficients.at(moment)
        if training:
            self.used = self.coefficients.values(moment) | objective.coefficient_values()
        return objective

    def update(self, stats: RowStats, *, blank: bool) -> None:
        """Add a micro-batch; a `blank` one counts for nothing."""
        if not self.watches or blank:
            return
        seen = torch.stack([stats.entropy.sum(dtype=torch.float64), stats.mask.sum().double()])
        self._seen = seen if self._seen is None else self._seen + seen

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        states: Any = state.stateful_callbacks
        if STATE in states:
            kept = states[STATE]["attributes"]
            self.coefficients.restore(kept["controllers"])
            self.lowest = kept["lowest"]
        for told in self._wins:
            self._tell(told, state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not self.watches:
            return
        nothing = torch.zeros(2, dtype=torch.float64, device=args.device)
        entropy, tokens = self.sum_over_ranks(nothing if self._seen is None else self._seen).tolist()
        self._seen = None
        if tokens and math.isfinite(entropy):
            self._learn(entropy / tokens, state)
        kept = {"controllers": self.coefficients.state(), "lowest": self.lowest}
        states: Any = state.stateful_callbacks
        states[STATE] = {"args": {}, "attributes": kept}

    def _learn(self, entropy: float, state: TrainerState) -> None:
        step = state.global_step
        for told in self.coefficients.observe(entropy, step):
            _warn(f"step {step}: {told}", state)
        self.lowest = min(self.lowest, entropy)
        if self.lowest < INFORMED * self.limit and entropy > UNIFORM * self.limit:
            self.lowest = NOT_SEEN  # told once
            weights = ", ".join(f"{name} {value:.4g}" for name, value in self.used.items())
            told = (
                f"entropy wins: at step {step} the mean entropy is {entropy:.4g} nats of at most {self.limit:.4g}, so "
                f"predictions are nearly uniform ({weights}); lower what is subtracted, or the learning rate"
            )
            self._tell(told, state)

    def _tell(self, told: str, state: TrainerState) -> None:
        if self.when_entropy_wins == "stop":
            raise UserError(f"{told} (stopped, as when_entropy_wins is stop)")
        _warn(told, state)


def _warn(told: str, state: TrainerState) -> None:
    """Warn on one of several processes, which all know the same."""
    if state.is_world_process_zero:
        warnings.warn(told, UserWarning, stacklevel=2)
