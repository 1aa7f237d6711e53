"""Checkpoints that are either complete or absent."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from entrotune.errors import UserError
from entrotune.training.entropic_trainer import EntropicTrainer
from entrotune.training.run_folder import RunFolder

METER_FILE = "meter.json"


class RunTrainer(EntropicTrainer):
    """An `EntropicTrainer` that keeps its checkpoints in a run folder as `checkpoints/step-N`.

    A checkpoint is written under another name and renamed when it is complete, so a kill or a full disk never costs
    the last good one.

    Args:
        folder: of the run.
        keep: how many of the last checkpoints stay.
        keep_best: whether the checkpoint with the lowest validation NLL stays too.
        *args: of `EntropicTrainer`.
        **kwargs: of `EntropicTrainer`.
    """

    def __init__(self, *args: Any, folder: RunFolder, keep: int, keep_best: bool, **kwargs: Any) -> None:
        self.folder = folder
        self.keep = keep
        self.keep_best = keep_best
        super().__init__(*args, **kwargs)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run writes its own card."""

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.folder.partial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        written = self.folder.partial / f"checkpoint-{step}"
        try:
            super()._save_checkpoint(model, trial)
            if self.args.should_save:
                meter = self._meters["train"].state() | {"num_tokens": self._total_train_tokens}
                (written / METER_FILE).write_text(json.dumps(meter), encoding="utf-8")
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(self.folder.partial, ignore_errors=True)
            last = self.folder.last_checkpoint()
            kept = f"the last good one is {last}" if last else "there is none before it"
            raise UserError(
                f"the checkpoint of step {step} could not be written ({error}); {kept}. "
                "Make room and run the same command with --resume"
            ) from error
        if self.args.should_save:
            final = self.folder.checkpoints / f"step-{step}"
            shutil.rmtree(final, ignore_errors=True)
            written.rename(final)
            shutil.rmtree(self.folder.partial, ignore_errors=True)
            self._drop_old(step)

    def _drop_old(self, step: int) -> None:
        saved = sorted(int(path.name.removeprefix("step-")) for path in self.folder.checkpoints.glob("step-*"))
        kept = set(saved[-self.keep :]) | {step}
        if self.keep_best:
            best = best_step(self.state.log_history, among=set(saved))
            kept |= set() if best is None else {best}
        for old in set(saved) - kept:
            shutil.rmtree(self.folder.checkpoints / f"step-{old}")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        meter = Path(resume_from_checkpoint) / METER_FILE
        if model is None and meter.exists():
            state = json.loads(meter.read_text(encoding="utf-8"))
            self._total_train_tokens = state.pop("num_tokens")
            self._meters["train"].restore(state, self.accelerator.device)

    def load_step(self, step: int) -> None:
        """Put the weights of a kept checkpoint into the model."""
        super()._load_from_checkpoint(str(self.folder.checkpoints / f"step-{step}"))


def best_step(history: list[dict[str, Any]], *, among: set[int] | None = None) -> int | None:
    """The trained step with the lowest validation NLL in a trainer's log history; None before the first validation."""
    found = [
        (entry["eval_nll"], entry["step"])
        for entry in history
        if "eval_nll" in entry and entry["step"] > 0 and (among is None or entry["step"] in among)
    ]
    return min(found)[1] if found else None
