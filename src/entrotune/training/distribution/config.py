"""What training towards target distributions is made of: one dataclass, which is the recipe and the flags."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from entrotune.errors import UserError
from entrotune.seeds import check_seed, check_seeds

DEFAULT_LEARNING_RATE = {"lora": 3e-4, "full": 2e-5}


@dataclass(frozen=True, kw_only=True)
class DiffuseConfig:
    """Train a model to spread its probability over sets of wanted outputs, and measure exactly whether it does.

    Args:
        targets: files (.json, .yaml, .txt), folders of them, mimesis:NAME such as mimesis:fruits, or range(1,100).
        request: what the model is asked, for targets that come without a request.
        mixture: set or group to how often it is used relative to the others, such as {"numbers": 2}.
        eos: whether an output ends after its target, for sets that do not say; yes by default.
        fix: where targets begin others, end each (eos) or put each into braces.
        conflicts: what to do where targets still begin others: stop, or allow it (the shorter are then unlearnt).
        system: a system message for every request; "" for an empty one; none leaves the template's default.
        hold_out_targets: a share of each set's targets that is not trained on, only measured.
        leave_out: groups or sets that are not trained on, only measured.
        leave_one_out: for each group, train on the others and measure it.
        leave_one_in: for each group, train on it alone and measure the others.
        seeds: of leave_one_out or leave_one_in: each group's run is made once with each; by default `seed` alone.
        model: a hub id, a folder, a GGUF file, a run folder, or the embedded smollm2-135m.
        method: lora trains a small adapter, full trains every weight.
        out: the run folder to make.
        seed: fixes initialisation, order, held-out targets and samples.
        resume: go on from the last checkpoint in `out`, or start where there is none.
        overwrite: replace the run in `out`.
        passes: over the sets at most; each is used once, or as often as its mixture weight says.
        sets_per_step: sets whose losses are averaged in an optimiser step.
        stop_gap: stop after a pass whose loss is at most (1 + stop_gap) times the floor; null runs all passes.
        learning_rate: of AdamW; by default 3e-4 for lora and 2e-5 for full.
        weight_decay: of AdamW.
        max_grad_norm: longer gradients are scaled down to it.
        lora_rank: of each update.
        lora_alpha: updates are scaled by alpha / rank.
        lora_targets: all-linear, or module names separated by commas.
        precision: float32, bfloat16 (autocast; a frozen base is loaded in it), or auto: bfloat16 on a GPU that has it.
        rows_per_part: positions of a set that are computed at once; larger sets are split, to bound memory.
        save_every: passes between checkpoints.
        keep_checkpoints: how many of the last checkpoints stay.
        samples: drawn of each set before and after, beside the exact measures; 0 for none.
        retention: ordinary chats on which the loss of other abilities is measured; "" for none.
        retention_rows: how many of them.
        choices: a file of multiple-choice rows (HellaSwag's format) to answer before and after.
        choices_limit: how many of them.
    """

    targets: list[str]
    request: str | None = None
    mixture: dict[str, float] | None = None
    eos: bool | None = None
    fix: Literal["eos", "braces"] | None = None
    conflicts: Literal["stop", "allow"] = "stop"
    system: str | None = None
    hold_out_targets: float | None = None
    leave_out: list[str] = dataclasses.field(default_factory=list)
    leave_one_out: bool = False
    leave_one_in: bool = False
    seeds: list[int] | None = None

    model: str = "smollm2-135m"
    method: Literal["lora", "full"] = "lora"
    out: str = "runs/diffuse"
    seed: int = 0
    resume: bool = False
    overwrite: bool = False

    passes: int = 50
    sets_per_step: int = 1
    stop_gap: float | None = 0.004
    learning_rate: float | None = None
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lora_rank: int = 4
    lora_alpha: int = 8
    lora_targets: str = "all-linear"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    rows_per_part: int = 1024
    save_every: int = 5
    keep_checkpoints: int = 1

    samples: int = 1000
    retention: str = "chitchat:pairs"
    retention_rows: int = 64
    choices: str | None = None
    choices_limit: int | None = None

    def __post_init__(self) -> None:
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", DEFAULT_LEARNING_RATE.get(self.method))
        if not isinstance(self.targets, list) or not all(isinstance(one, str) for one in self.targets):
            raise UserError(f"targets must be a list of files, lists or ranges, not {self.targets!r}")
        self._check_choices()
        self._check_counts()
        self._check_numbers()
        if self.resume and self.overwrite:
            raise UserError("resume and overwrite contradict each other; give one")
        if self.leave_one_out and self.leave_one_in:
            raise UserError("leave_one_out and leave_one_in are two studies; give one, and the other another folder")
        if self.leave_out and self.is_study:
            raise UserError(
                "leave_out names what one run leaves out, a study goes through all groups; give one of them"
            )

    @property
    def is_study(self) -> bool:
        """Whether there is a run for each group."""
        return self.leave_one_out or self.leave_one_in

    @property
    def each_seed(self) -> list[int]:
        """The seeds of all runs."""
        return [self.seed] if self.seeds is None else self.seeds

    def _check_choices(self) -> None:
        for name in ("fix", "conflicts", "method", "precision"):
            value, kind = getattr(self, name), get_type_hints(DiffuseConfig)[name]
            choices = [one for part in (kind, *get_args(kind)) for one in get_args(part) if isinstance(one, str)]
            if value not in choices and not (value is None and name == "fix"):
                raise UserError(f"{name} is {value!r}; expected {' or '.join(choices)}")

    def _check_counts(self) -> None:
        check_seed("seed", self.seed)
        self._check_seeds()
        least_one = ("passes", "sets_per_step", "lora_rank", "lora_alpha", "rows_per_part", "save_every")
        for name in (*least_one, "keep_checkpoints", "retention_rows"):
            if not _is_count(getattr(self, name)):
                raise UserError(f"{name} must be a whole number of at least 1, not {getattr(self, name)!r}")
        if not _is_count(self.samples, least=0):
            raise UserError(f"samples must be a whole number, 0 for none, not {self.samples!r}")
        if self.choices_limit is not None and not _is_count(self.choices_limit):
            raise UserError(
                f"choices_limit must be a whole number of at least 1 or nothing, not {self.choices_limit!r}"
            )

    def _check_seeds(self) -> None:
        if self.seeds is None:
            return
        if not self.is_study:
            raise UserError("seeds are for leave_one_out and leave_one_in; give one run its seed with seed")
        check_seeds("seeds", self.seeds)

    def _check_numbers(self) -> None:
        for name in ("learning_rate", "max_grad_norm"):
            if not (_is_number(getattr(self, name)) and getattr(self, name) > 0):
                raise UserError(f"{name} must be a number above 0, not {getattr(self, name)!r}")
        if not (_is_number(self.weight_decay) and 0 <= self.weight_decay < 1):
            raise UserError(f"weight_decay must be at least 0 and below 1, not {self.weight_decay!r}")
        if self.stop_gap is not None and not (_is_number(self.stop_gap) and self.stop_gap >= 0):
            raise UserError(f"stop_gap must be a number of at least 0 or null, not {self.stop_gap!r}")
        share = self.hold_out_targets
        if share is not None and not (_is_number(share) and 0 < share < 1):
            raise UserError(f"hold_out_targets must be a share above 0 and below 1, not {share!r}")

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for YAML."""
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> "DiffuseConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def _is_count(value: Any, *, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
