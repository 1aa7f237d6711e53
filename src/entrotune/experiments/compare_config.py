"""What a comparison is made of."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from entrotune.errors import UserError
from entrotune.experiments.compare_variants import BASELINE, Plan, read_plans, slug
from entrotune.experiments.folders import tidy
from entrotune.experiments.precision import Precision, check_precision
from entrotune.experiments.retention_config import Retention
from entrotune.responses import check_responses
from entrotune.seeds import check_seed, check_seeds
from entrotune.temperatures import check_temperatures
from entrotune.training.config import TrainConfig

OBJECTIVES = (BASELINE, "ce - 0.1*entropy", "gem(beta=0.7)")
Diversity = Literal[
    "distinct_1", "distinct_2", "distinct_3", "distinct_4", "ead", "vendi", "distinct_outputs", "ngram_coverage"
]
Quality = Literal["nll", "correct", "majority", "slots", "bleu", "chrf", "rouge_1", "rouge_2", "rouge_l", "f1"]


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Train in several ways from one start, on the same rows in the same order; measure quality against diversity.

    The untouched model and plain `ce` are always among the variants, each at every temperature: a flatter
    distribution can be had by sampling alone, so an objective has to beat that.

    Args:
        train: the recipe all variants share; its objective (which must be a variant's), seed and out are set for each.
        objectives: each a variant; by default ce, ce - 0.1*entropy and gem(beta=0.7), or ce alone beside `variants`.
        variants: by name, what else is compared: {"decay": {"objective": "ce", "weight_decay": 0.1}} is trained with
            other fields, {"wise": {"interpolate": 0.5, "from": "ce"}} merged from the start and a tuned variant.
        coefficients: a number, schedule or controller for each name in objectives; a variant's own come first.
        out: the folder to make: comparison.json, report.html, a run folder a variant and seed.
        title: of the report.
        seeds: each objective is trained once with each.
        temperatures: at which every variant is scored and sampled.
        samples: responses to each prompt at each temperature.
        prompts: held-out prompts to sample from.
        max_new_tokens: of a response.
        sampling_batch: responses drawn at once.
        dtype: of the weights when measuring: float32, bfloat16 or float16; train.precision is that of training.
        sampling_seed: fixes samples, choice of prompts and bootstrap.
        diversity: the measure that fronts are drawn against and by which "about as diverse" is meant.
        match_diversity: measure ce also at the temperatures where it is as diverse as the other variants, which takes
            one or two more for each.
        judge: score the samples under the untouched model (base_nll).
        quality: the measure that fronts are drawn against; choose one that the data allows.
        retention: rows outside of the task, to measure what each model kept: data, choices, limit, columns.
        measure_at: epoch, or a list of epochs: also sample at the ends of these, at the temperature nearest to 1.
        resume: go on with what `out` holds.
        overwrite: replace the comparison in `out`.
    """

    train: TrainConfig
    objectives: list[str] | None = None
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    coefficients: dict[str, Any] | None = None
    out: str = "runs/compare"
    title: str = "Objectives compared"
    seeds: list[int] = field(default_factory=lambda: [0])
    temperatures: list[float] = field(default_factory=lambda: [0.7, 1.0, 1.3])
    samples: int = 8
    prompts: int = 32
    max_new_tokens: int = 48
    sampling_batch: int = 64
    dtype: Precision = "float32"
    sampling_seed: int = 0
    diversity: Diversity = "distinct_2"
    match_diversity: bool = True
    judge: bool = True
    quality: Quality = "nll"
    retention: Retention | None = None
    measure_at: Literal["epoch"] | list[int] | None = None
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        from entrotune.objectives import Objective  # brings torch, for which --help must not wait

        object.__setattr__(self, "out", tidy(self.out))
        default = (BASELINE,) if self.variants else OBJECTIVES
        named = [str(Objective(text)) for text in (default if self.objectives is None else self.objectives)]
        object.__setattr__(self, "objectives", list(dict.fromkeys([BASELINE, *named])))
        for name in ("seeds", "temperatures"):
            if isinstance(getattr(self, name), Sequence):
                object.__setattr__(self, name, list(getattr(self, name)))
        check_seeds("seeds", self.seeds)
        check_temperatures(self.temperatures, greedy=False)
        for name in ("samples", "prompts", "max_new_tokens", "sampling_batch"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, allowed in (("diversity", get_args(Diversity)), ("quality", get_args(Quality))):
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}")
        object.__setattr__(self, "retention", Retention.of(self.retention))
        check_precision(self.dtype)
        check_responses("samples", self.samples, self.prompts)
        check_seed("sampling_seed", self.sampling_seed)
        if self.resume and self.overwrite:
            raise UserError("resume and overwrite contradict each other; give one")
        self._check_epochs()

    def _check_epochs(self) -> None:
        """See that each run has the epochs to measure at, and keeps checkpoints there."""
        trained = self.trained  # read here, so that a variant that cannot be used is refused at once
        if self.measure_at is None:
            return
        for plan in trained:
            run = self.run(plan, self.seeds[0])
            if run.save_every != "epoch":
                raise UserError(
                    f"measure_at needs a checkpoint after every epoch, but save_every of {plan.name} is "
                    f"{run.save_every!r}; set it to epoch"
                )
            last = math.floor(run.epochs or 0)
            if self.measure_at != "epoch" and not all(0 < epoch <= last for epoch in self.measure_at or [0]):
                raise UserError(f"measure_at must be epochs from 1 to the {last} of {plan.name}, not {self.measure_at}")

    @functools.cached_property
    def plans(self) -> list[Plan]:
        """The variants in their order, `ce` first; the untouched model is not among them."""
        return read_plans(self.train, self.objectives or [], self.variants, self.coefficients)

    @property
    def trained(self) -> list[Plan]:
        """The variants that are trained; the others are merged from these."""
        return [plan for plan in self.plans if plan.interpolate is None]

    @property
    def reference_temperature(self) -> float:
        """The temperature nearest to 1, at which variants are compared with each other."""
        return min(self.temperatures, key=lambda t: abs(math.log(t)))

    def folder(self, plan: Plan, seed: int) -> str:
        """Where the run of a variant and seed is, or the samples of a merged one."""
        return f"{self.out}/{slug(plan.name)}/seed-{seed}"

    def run(self, plan: Plan, seed: int) -> TrainConfig:
        """The recipe of one variant and seed; it goes on where an earlier one stopped."""
        run = self.train.replace(**plan.changes, seed=seed, out=self.folder(plan, seed), resume=True, overwrite=False)
        if self.measure_at is None:
            return run
        return run.replace(keep_checkpoints=max(run.keep_checkpoints, math.ceil(run.epochs or 0)))

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for YAML."""
        return dataclasses.asdict(self)

    def recipe(self) -> dict[str, Any]:
        """Every field but those that say how the comparison is started."""
        return {key: value for key, value in self.to_dict().items() if key not in ("resume", "overwrite")}

    def replace(self, **changes: Any) -> "CompareConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)
