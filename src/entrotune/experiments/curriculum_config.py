"""What a study of curricula is made of."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from entrotune.data.curriculum.options import OrderOptions
from entrotune.errors import UserError
from entrotune.experiments.folders import tidy
from entrotune.seeds import check_seeds

CONTROL = "random"


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """Train a small model from scratch in several orders of the same rows, each with the same seeds and steps.

    A random order is always among them: it is what the others are compared with, seed by seed from one initialisation.

    Args:
        data: text or chats: a file, a folder, a hub id or chitchat.
        out: the folder to make: curriculum.json, report.html, scores, orders, a run folder a schedule and seed.
        title: of the report.
        schedules: orders to compare: a schedule of entrotune order, or increasing or decreasing with a pacing, such as
            increasing+root.
        seeds: initialisation, shuffles and control; each schedule is trained once with each.
        scorer: the model whose scores order the rows.
        by: the column of the scores.
        residual: a column, such as tokens, whose influence is regressed out first.
        bins: equal shares of the rows by score.
        periods: climbs of the periodic schedule.
        start: of pacing, the share of bins admitted at the start.
        full_at: of pacing, the share of training at which all are admitted.
        epochs: steps of an order for each row.
        format: of the data.
        columns: our column name to the file's, such as {"text": "ref"}.
        limit: read only so many rows of the data.
        row_bytes: texts are cut at line ends, then spaces, into rows of at most so many bytes.
        validation: share of the rows held out.
        vocabulary: tokens of the byte-level BPE that is trained on the training rows.
        layers: of the model.
        width: of the model.
        heads: of attention.
        context: positions of the model; a row with more tokens is rejected.
        batch_size: rows a step.
        learning_rate: peak.
        decay: of the learning rate after warm-up; with constant, late rows count as much as early ones.
        warmup: share of the steps over which the learning rate rises.
        weight_decay: of AdamW.
        validations: of a run, evenly over its steps.
        precision: float32, bfloat16 or auto.
        resume: go on with what `out` holds.
        overwrite: replace the study in `out`.
    """

    data: str = "chitchat"
    out: str = "runs/curriculum"
    title: str = "Orders of training compared"
    schedules: list[str] = field(
        default_factory=lambda: ["increasing", "decreasing", "hill", "periodic", "interleaved", "increasing+root"]
    )
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    scorer: str = "smollm2-135m"
    by: str = "entropy_mean"
    residual: str | None = None
    bins: int = 10
    periods: int = 4
    start: float = 0.2
    full_at: float = 0.8
    epochs: int = 1
    format: str = "auto"
    columns: dict[str, str] | None = None
    limit: int | None = None
    row_bytes: int = 320
    validation: float = 0.1
    vocabulary: int = 1024
    layers: int = 4
    width: int = 128
    heads: int = 4
    context: int = 256
    batch_size: int = 16
    learning_rate: float = 2e-3
    decay: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: float = 0.05
    weight_decay: float = 0.1
    validations: int = 10
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", tidy(self.out))
        named = [name for name in dict.fromkeys(self.schedules) if name != CONTROL]
        if not named:
            raise UserError(f"schedules must name at least one order beside {CONTROL}")
        object.__setattr__(self, "schedules", [CONTROL, *named])
        for name in named:
            self.order(name, 0)
        object.__setattr__(self, "seeds", list(self.seeds))
        check_seeds("seeds", self.seeds)
        counts = ("row_bytes", "layers", "width", "heads", "context", "batch_size", "validations")
        for name in counts:
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.vocabulary < 300:
            raise UserError(f"vocabulary must be at least 300 (256 bytes and some merges), not {self.vocabulary}")
        if self.width % self.heads or self.width // self.heads % 2:
            raise UserError(f"width {self.width} must give each of {self.heads} heads an even share")
        if not 0 < self.validation < 1:
            raise UserError(f"validation must be a share between 0 and 1, not {self.validation}")
        if self.resume and self.overwrite:
            raise UserError("resume and overwrite contradict each other; give one")

    def order(self, name: str, seed: int) -> dict[str, Any]:
        """The options of `order` for a schedule with a seed.

        Raises:
            UserError: no such schedule.
        """
        schedule, _, pacing = name.partition("+")
        options: dict[str, Any] = {
            "by": self.by,
            "schedule": schedule,
            "pacing": pacing or "none",
            "bins": self.bins,
            "periods": self.periods,
            "start": self.start,
            "full_at": self.full_at,
            "epochs": self.epochs,
            "residual": self.residual,
            "seed": seed,
        }
        OrderOptions(**options)
        return options

    def recipe(self) -> dict[str, Any]:
        """Every field but those that say how the study is started."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in ("resume", "overwrite")}

    def replace(self, **changes: Any) -> "CurriculumConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)
