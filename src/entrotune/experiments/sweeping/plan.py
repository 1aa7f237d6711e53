"""What a sweep would do, told before weights are loaded."""

import itertools
import json
from typing import Any

from entrotune.errors import UserError
from entrotune.experiments.sweep_config import SweepConfig
from entrotune.experiments.sweeping.measuring import Bench
from entrotune.experiments.sweeping.space import grid
from entrotune.experiments.train import check_vocabulary
from entrotune.models import ModelDescription
from entrotune.training import TrainConfig, plan_training

MOST_CHECKED = 200
# What the number of steps and tokens of a run follows from.
OF_LENGTH = ("epochs", "max_steps", "batch_size", "accumulation", "packing", "curriculum")


def plan_sweep(config: SweepConfig, bench: Bench) -> dict[str, Any]:
    """Counts of a sweep: exact for a grid; else at most, as if every setting were the longest corner of the space."""
    lengths = _Lengths(bench)
    plain = lengths.of(config.run(None, 0, config.out))
    corners = list(itertools.islice(grid(config.space), config.number if config.method == "grid" else None))
    each = [lengths.of(config.run(point, 0, config.out)) for point in corners]
    if config.method != "grid":
        each = [max(each, key=lambda one: int(one["steps"]))] * config.number
    seeds = len(config.seeds)
    prompts = len(bench.held.prompts)
    settings = (1 + seeds * config.number) * len(config.temperatures) + seeds * len(config.baseline_temperatures)
    responses = settings * config.samples * prompts
    return {
        "kind": "plan",
        "data": bench.data | {"prompts": prompts},
        "settings": config.number,
        "runs": seeds * (1 + config.number),
        "counts_are": "exact" if config.method == "grid" and not config.prune else "at most",
        "steps": seeds * (plain["steps"] + sum(one["steps"] for one in each)),
        "tokens_to_train": seeds * (plain["tokens_to_train"] + sum(one["tokens_to_train"] for one in each)),
        "responses": responses,
        "new_tokens_at_most": responses * config.max_new_tokens,
        "jobs": config.jobs,
        "memory_bytes_a_job": max(one["memory_bytes"]["total"] for one in (plain, *each)),
    }


def check_settings(config: SweepConfig, described: ModelDescription) -> list[str]:
    """Settings of a grid, or corners of ranges, in which entropy wins, so that their trials would fail; in words.

    Raises:
        UserError: a target entropy that no prediction over the model's tokens has, or entropy wins in all settings.
    """
    points = list(itertools.islice(grid(config.space), MOST_CHECKED))
    told = []
    for point in points:
        label = ", ".join(f"{name} = {value}" for name, value in point.items())
        try:
            told += [f"{label}: {one}" for one in check_vocabulary(config.run(point, 0, config.out), described)]
        except UserError as error:
            raise UserError(f"{label}: {error}") from None
    if len(told) >= len(points) and all(dimension.values for dimension in config.space) and len(points) < MOST_CHECKED:
        raise UserError(f"no setting can be trained: {told[0]}")
    return told


class _Lengths:
    """Plans of runs, each made once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.known: dict[str, dict[str, Any]] = {}

    def of(self, recipe: TrainConfig) -> dict[str, Any]:
        """The plan of a run."""
        key = json.dumps([getattr(recipe, name) for name in (*OF_LENGTH, "lora_rank", "method", "reference")])
        if key not in self.known:
            self.known[key] = plan_training(recipe, self.bench.described)
        return self.known[key]
