"""The objective of each optimiser step, where its coefficients follow the run or the entropy."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from entrotune.errors import UserError
from entrotune.objectives import GroupedObjective, Moment, NamedCoefficients, Objective, RowStats
from entrotune.training.meter import sums_of_groups
from entrotune.training.objective_head import GradientProbe

STATE = "entrotune_coefficients"
# Entropy has won where its mean rose by the one of these shares of ln V to above the other.
RISE, UNIFORM = 0.15, 0.9

# Above any entropy, nats; unlike infinity it is a number of JSON.
NOT_SEEN = 1e9

WhenEntropyWins = Literal["warn", "stop"]


class CoefficientControl(TrainerCallback):
    """Gives the objective of the next step, and learns from the entropy of the last.

    A controller takes the mean entropy of all supervised tokens of an optimiser step, over its micro-batches and ranks;
    one of a group of rows, of their tokens. Balanced coefficients take the inner products of the gradients, likewise.
    What they have come to is kept in the trainer's state, which is part of every checkpoint.

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
        # Number of the supervised tokens of this step so far, sums of their nll and entropy, in each group of rows.
        self._seen: Tensor | None = None
        self._probe: GradientProbe | None = None
        parts = [part for objective in coefficients.extremes() for part in objective.parts]
        self.watches = bool(coefficients.controllers) or any(number < 0 for number, _ in parts)
        self.keeps = self.watches or coefficients.balance is not None
        self._wins = coefficients.check_vocabulary(vocabulary)

    def objective(self, state: TrainerState, *, training: bool) -> Objective | GroupedObjective:
        """The objective of the next step, or of a validation before it."""
        moment = _moment(state)
        objective = self.coefficients.at(moment)
        if training:
            self.used = self.coefficients.values(moment) | objective.coefficient_values()
        return objective

    def probe(self, state: TrainerState) -> GradientProbe | None:
        """What measures gradients in the micro-batches of this step; None where nothing does."""
        balance = self.coefficients.balance
        if balance is None or not balance.measures(state.global_step):
            return None
        if self._probe is None:
            self._probe = GradientProbe(self.coefficients.grouped(_moment(state)), balance.names, balance.tokens)
        return self._probe

    def update(self, stats: RowStats, *, blank: bool, groups: Tensor | None = None) -> None:
        """Add a micro-batch; a `blank` one counts for nothing.

        Args:
            groups: the group of each target, where rows have groups.
        """
        if not self.watches or blank:
            return
        where = torch.zeros_like(stats.mask, dtype=torch.long) if groups is None else groups
        seen = sums_of_groups(stats, where, self._groups)
        self._seen = seen if self._seen is None else self._seen + seen

    @property
    def _groups(self) -> int:
        return len(self.coefficients.groups) if self.coefficients.groups is not None else 1

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        states: Any = state.stateful_callbacks
        if STATE in states:
            kept = states[STATE]["attributes"]
            self.coefficients.restore(kept["controllers"])
            self.lowest = kept["lowest"]
        self._seen = self._probe = None  # of a step that was broken off
        for told in self._wins:
            self._tell(told, state)
        for told in self.coefficients.unreached(state.max_steps, state.num_train_epochs):
            _warn(told, state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not self.keeps:
            return
        if self.watches:
            self._watch(args, state)
        if self._probe is not None:
            self._balance(args)
        kept = {"controllers": self.coefficients.state(), "lowest": self.lowest}
        states: Any = state.stateful_callbacks
        states[STATE] = {"args": {}, "attributes": kept}

    def _watch(self, args: TrainingArguments, state: TrainerState) -> None:
        """Take the entropy of the step."""
        nothing = torch.zeros(self._groups, 3, dtype=torch.float64, device=args.device)
        seen = self.sum_over_ranks(nothing if self._seen is None else self._seen).tolist()
        self._seen = None
        tokens, entropy = (sum(row[at] for row in seen) for at in (0, 2))
        if tokens and math.isfinite(entropy):
            self._learn(entropy / tokens, state, [(row[2], row[0]) for row in seen])

    def _balance(self, args: TrainingArguments) -> None:
        """Take the inner products of the step's gradients."""
        assert self._probe is not None
        assert self.coefficients.balance is not None
        count = len(self._probe.names)
        total = torch.zeros(count * count + 1, dtype=torch.float64, device=args.device)
        for gram, tokens in self._probe.found:
            total[:-1] += gram.view(-1).to(total)
            total[-1] += tokens
        total = self.sum_over_ranks(total)
        self._probe = None
        if total[-1] and bool(total.isfinite().all()):
            self.coefficients.balance.observe((total[:-1] / total[-1]).view(count, count))

    def _learn(self, entropy: float, state: TrainerState, groups: list[tuple[float, float]]) -> None:
        step = state.global_step
        for told in self.coefficients.observe(entropy, step, groups):
            _warn(f"step {step}: {told}", state)
        self.lowest = min(self.lowest, entropy)
        if entropy > max(UNIFORM * self.limit, self.lowest + RISE * self.limit):
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


def _moment(state: TrainerState) -> Moment:
    return Moment(state.global_step, state.max_steps, int(state.epoch or 0), state.num_train_epochs)


def _warn(told: str, state: TrainerState) -> None:
    """Warn on one of several processes, which all know the same."""
    if state.is_world_process_zero:
        warnings.warn(told, UserWarning, stacklevel=2)
