"""What happens beside the training loop: metrics on disk, a progress bar, stopping early."""

import json
import math
import time
from typing import Any

from rich.progress import Progress
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from entrotune.errors import UserError
from entrotune.training.checkpoints import best_step
from entrotune.training.meter import GROUP
from entrotune.training.run_folder import RunFolder

QUANTILES = ("entropy_q05", "entropy_q25", "entropy_q50", "entropy_q75", "entropy_q95")
PREFIX = "coefficient/"


class MetricsWriter(TrainerCallback):
    """Appends a line to `metrics.jsonl` for every logged step and every validation.

    Args:
        folder: of the run.
        spent: seconds of the run before it was resumed.

    Raises:
        UserError: the run diverged, or the disk is full.
    """

    def __init__(self, folder: RunFolder, *, spent: float = 0.0) -> None:
        self.folder = folder
        self.last_time = time.monotonic()
        self.started = self.last_time - spent
        self.last_tokens: int | None = None

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        logs: dict[str, Any] = given["logs"]
        if not state.is_world_process_zero:
            return
        if "eval_loss" in logs:
            self._append(self._row(state, "validation", {k.removeprefix("eval_"): v for k, v in logs.items()}))
            self.last_time = time.monotonic()  # validation does not count against training speed
        elif "loss" in logs and "nll" in logs:
            self._append(self._row(state, "train", logs) | self._training(logs))

    def _row(self, state: TrainerState, split: str, logs: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": state.global_step,
            "epoch": state.epoch,
            "tokens": logs["num_tokens"],
            "split": split,
            "loss": logs["loss"],
            "nll": logs["nll"],
            "entropy": logs["entropy"],
            **{name: logs[name] for name in QUANTILES},
            "varentropy": logs["varentropy"],
            "accuracy": logs["mean_token_accuracy"],
            "supervised_tokens": logs["supervised_tokens"],
            **_groups(logs),
            "seconds": round(time.monotonic() - self.started, 3),
        }

    def _training(self, logs: dict[str, Any]) -> dict[str, Any]:
        moment, tokens = time.monotonic(), logs["num_tokens"]
        # The first row after a start or a resume has no earlier one to be compared with.
        speed = None if self.last_tokens is None else (tokens - self.last_tokens) / max(moment - self.last_time, 1e-9)
        self.last_time, self.last_tokens = moment, tokens
        return {
            "coefficients": {k.removeprefix(PREFIX): v for k, v in logs.items() if k.startswith(PREFIX)},
            "learning_rate": logs.get("learning_rate"),
            "grad_norm": logs.get("grad_norm"),
            "tokens_per_second": speed,
            **({"aux_loss": logs["aux_loss"]} if "aux_loss" in logs else {}),
        }

    def _append(self, row: dict[str, Any]) -> None:
        if not (math.isfinite(row["nll"]) and math.isfinite(row["loss"])):
            raise UserError(
                f"the run diverged: at step {row['step']} the {row['split']} loss is {row['loss']} and the NLL "
                f"{row['nll']}; lower learning_rate or the coefficients"
            )
        with self.folder.writing(str(self.folder.metrics)), self.folder.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _groups(logs: dict[str, Any]) -> dict[str, Any]:
    """`group/qa/tokens` and its like as `{"groups": {"qa": {"tokens": …}}}`."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in logs.items():
        if key.startswith(GROUP):
            label, name = key.removeprefix(GROUP).rsplit("/", 1)
            found.setdefault(label, {})[name] = int(value) if name == "tokens" else value
    return {"groups": found} if found else {}


class ProgressBar(TrainerCallback):
    """Shows steps, time left, and the last training and validation NLL on a shared `rich` progress display."""

    def __init__(self, progress: Progress, label: str) -> None:
        self.progress = progress
        self.label = label
        self.seen: dict[str, float] = {}
        self.task: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.task = self.progress.add_task(self.label, total=state.max_steps, completed=state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.progress.update(self.task, completed=state.global_step)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.progress.remove_task(self.task)
        self.task = None

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        logs: dict[str, Any] = given["logs"]
        for key, name in (("nll", "train"), ("eval_nll", "validation")):
            if key in logs:
                self.seen[name] = logs[key]
        shown = " · ".join(f"{name} NLL {value:.3f}" for name, value in self.seen.items())
        if self.task is not None:
            self.progress.update(self.task, description=f"{self.label}  {shown}")


class StepEnd(TrainerCallback):
    """What else is due after a step, in an order that a resumed run can repeat.

    With intervals in steps, the last step is logged, validated and saved too. Each validation has a training row beside
    it. A checkpoint comes after the log and the validation of its step: what comes later would be lost on resume.
    """

    def __init__(self) -> None:
        self.save_at_epoch_end = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        last = state.global_step >= state.max_steps
        control.should_evaluate |= last and args.eval_strategy == "steps"
        control.should_save |= last and args.save_strategy == "steps"
        control.should_log |= last or control.should_evaluate
        if control.should_save and args.eval_strategy == "epoch" and (last or float(state.epoch or 0).is_integer()):
            control.should_save, self.save_at_epoch_end = False, True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_log |= control.should_evaluate
        control.should_save |= self.save_at_epoch_end
        self.save_at_epoch_end = False


class EarlyStopping(TrainerCallback):
    """Stops after `patience` validations without a lower NLL; counts in the history, so a resumed run agrees."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._judge(state, control)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._judge(state, control)

    def _judge(self, state: TrainerState, control: TrainerControl) -> None:
        best = best_step(state.log_history)
        since = [e for e in state.log_history if "eval_nll" in e and best is not None and e["step"] > best]
        if len(since) >= self.patience:
            control.should_training_stop = True
