"""What a training run is made of: one dataclass, which is the recipe, the flags and the arguments of `train`."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from entrotune.errors import UserError
from entrotune.seeds import check_seed

DEFAULT_LEARNING_RATE = {"lora": 2e-4, "full": 2e-5}
# Fields that say where a run is, how it is watched or started, not what it computes: they may change on resume.
NOT_PART_OF_THE_RUN = ("out", "resume", "overwrite", "report_to", "keep_checkpoints")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Fine-tune a model on supervised rows with any objective.

    Args:
        data: a .jsonl, .json, .csv, .tsv or .parquet file, a folder of them, a hub id, or chitchat[:pairs|:openers].
        model: a hub id, a folder, a GGUF file, a run folder, or the embedded smollm2-135m.
        objective: what to minimise, such as "ce - 0.1*entropy" or "gem(beta=0.7)".
        coefficients: for each name in the objective a number, schedule or controller, {"alpha": {"linear": [0, 0.2]}},
            these by a column, {"alpha": {"by": "task", "qa": 0.02, "default": 0.1}}, or balanced.
        when_entropy_wins: warn or stop where the objective prefers uniform predictions, or they nearly are uniform.
        reference: the model that terms such as kl(ref) compare with; by default the model as it was before training.
        method: lora trains a small adapter, full trains every weight.
        out: the run folder to make.
        seed: fixes initialisation, order and dropout.
        resume: go on from the last checkpoint in `out`, or start where there is none.
        overwrite: replace the run in `out`.
        validation: a share of the rows, a number of rows, or another data source.
        split_seed: fixes which rows are held out, so that runs of several seeds share them.
        format: of the rows; auto looks at them.
        columns: our column name to the file's, such as {"prompt": "question"}.
        limit: use only so many rows.
        max_answers: of each prompt, use only so many.
        system: a system message for every chat; "" for an empty one; none leaves the template's default.
        supervise: completion (last answer), assistant (every answer), all (whole text), or auto by format.
        max_length: longer sequences are rejected, never cut, tokens.
        on_bad_row: skip counts bad rows and writes them to rejects.jsonl, stop ends at the first.
        curriculum: an order.parquet whose sequence of rows training follows; none shuffles them every epoch.
        epochs: passes over the training rows, 3 by default; with a curriculum over its order, 1 by default.
        max_steps: stop after so many optimiser steps.
        batch_size: sequences in a micro-batch on each device.
        accumulation: micro-batches in an optimiser step.
        learning_rate: peak; by default 2e-4 for lora and 2e-5 for full.
        schedule: of the learning rate after warm-up.
        warmup: share of the steps over which the learning rate rises.
        weight_decay: of AdamW.
        max_grad_norm: longer gradients are scaled down to it.
        neftune_noise_alpha: uniform noise on the embeddings while training, such as 5 (NEFTune, arXiv 2310.05914).
        lora_rank: of each update.
        lora_alpha: updates are scaled by alpha / rank.
        lora_dropout: on the adapter's input.
        lora_targets: all-linear, or module names separated by commas.
        precision: float32, bfloat16 (autocast; a frozen base is loaded in it), or auto: bfloat16 on a GPU that has it.
        gradient_checkpointing: recompute activations in the backward pass to save memory.
        packing: put several rows into one sequence of max_length, kept apart by their positions.
        backend: of the fused linear objective.
        evaluate_every: validate every epoch or every so many steps.
        save_every: write a checkpoint every epoch or every so many steps.
        log_every: steps between training rows of metrics.jsonl.
        keep_checkpoints: how many of the last checkpoints stay (the best one always does with keep=best).
        early_stopping: stop after so many validations without a better NLL.
        keep: which weights become the model: those of the last or of the best validated step.
        report_to: trackers, such as tensorboard or wandb.
    """

    data: str
    model: str = "smollm2-135m"
    objective: str | dict[str, float] = "ce"
    coefficients: dict[str, Any] | None = None
    when_entropy_wins: Literal["warn", "stop"] = "warn"
    reference: str | None = None
    method: Literal["lora", "full"] = "lora"
    out: str = "runs/train"
    seed: int = 0
    resume: bool = False
    overwrite: bool = False

    validation: int | float | str = 0.1
    split_seed: int = 0
    format: str = "auto"
    columns: dict[str, str | list[str]] | None = None
    limit: int | None = None
    max_answers: int | None = None
    system: str | None = None
    supervise: Literal["auto", "completion", "assistant", "all"] = "auto"
    max_length: int = 1024
    on_bad_row: Literal["skip", "stop"] = "skip"

    curriculum: str | None = None
    epochs: float | None = None
    max_steps: int | None = None
    batch_size: int = 8
    accumulation: int = 1
    learning_rate: float | None = None
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: float = 0.03
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    neftune_noise_alpha: float | None = None
    lora_rank: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    lora_targets: str = "all-linear"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    packing: bool = False
    backend: Literal["auto", "reference", "torch", "triton"] = "auto"

    evaluate_every: Literal["epoch"] | int = "epoch"
    save_every: Literal["epoch"] | int = "epoch"
    log_every: int = 1
    keep_checkpoints: int = 2
    early_stopping: int | None = None
    keep: Literal["last", "best"] = "last"
    report_to: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        from entrotune.objectives import NamedCoefficients, Objective  # brings torch, for which --help must not wait

        try:
            object.__setattr__(self, "objective", str(Objective(self.objective)))
        except (ValueError, TypeError) as error:
            raise UserError(f"objective cannot be read: {error}") from error
        NamedCoefficients(Objective(self.objective), self.coefficients)
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", DEFAULT_LEARNING_RATE.get(self.method))
        if self.epochs is None:
            object.__setattr__(self, "epochs", 3.0 if self.curriculum is None else 1.0)
        self._check_choices()
        self._check_counts()
        self._check_numbers()
        if self.keep == "best" and self.save_every != self.evaluate_every:
            object.__setattr__(self, "save_every", self.evaluate_every)
        if self.resume and self.overwrite:
            raise UserError("resume and overwrite contradict each other; give one")

    def _check_choices(self) -> None:
        for name in (
            "method",
            "supervise",
            "on_bad_row",
            "schedule",
            "precision",
            "backend",
            "keep",
            "when_entropy_wins",
        ):
            value, choices = getattr(self, name), get_args(get_type_hints(TrainConfig)[name])
            if value not in choices:
                raise UserError(f"{name} is {value!r}; expected {', '.join(choices[:-1])} or {choices[-1]}")

    def _check_counts(self) -> None:
        check_seed("seed", self.seed)
        check_seed("split_seed", self.split_seed)
        for name in (
            "max_length",
            "batch_size",
            "accumulation",
            "lora_rank",
            "lora_alpha",
            "log_every",
            "keep_checkpoints",
        ):
            if not _is_count(getattr(self, name)):
                raise UserError(f"{name} must be a whole number of at least 1, not {getattr(self, name)!r}")
        for name in ("max_steps", "limit", "max_answers", "early_stopping"):
            if getattr(self, name) is not None and not _is_count(getattr(self, name)):
                raise UserError(f"{name} must be a whole number of at least 1 or nothing, not {getattr(self, name)!r}")
        for name in ("evaluate_every", "save_every"):
            if getattr(self, name) != "epoch" and not _is_count(getattr(self, name)):
                raise UserError(
                    f"{name} must be 'epoch' or a number of steps of at least 1, not {getattr(self, name)!r}"
                )

    def _check_numbers(self) -> None:
        for name in ("epochs", "learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            if not (_is_number(value) and value > 0):
                raise UserError(f"{name} must be a number above 0, not {value!r}")
        noise = self.neftune_noise_alpha
        if noise is not None and not (_is_number(noise) and noise > 0):
            raise UserError(f"neftune_noise_alpha must be a number above 0 or nothing, not {noise!r}")
        for name in ("warmup", "weight_decay", "lora_dropout"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value < 1):
                raise UserError(f"{name} must be a number of at least 0 and below 1, not {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for YAML."""
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> "TrainConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
