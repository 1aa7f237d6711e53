"""Checkpoints that are either complete or absent."""

import shutil
from typing import Any

from entrotune.models.quiet import quiet_transformers
from entrotune.training.entropic_trainer import EntropicTrainer
from entrotune.training.run_folder import RunFolder


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

    def _check_head(self, model: Any) -> None:
        """Nothing: the run checks its model before it touches the folder."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run writes its own card."""

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.folder.partial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        written = self.folder.partial / f"checkpoint-{step}"
        try:
            with self.folder.writing(f"the checkpoint of step {step}"):
                with quiet_transformers():
                    super()._save_checkpoint(model, trial)
                # Every process has its random state in there before it is renamed, and none begins the next before.
                self.accelerator.wait_for_everyone()
                if self.args.should_save:
                    shutil.rmtree(self.folder.checkpoint(step), ignore_errors=True)
                    written.rename(self.folder.checkpoint(step))
                self.accelerator.wait_for_everyone()
        finally:
            if self.args.should_save:
                shutil.rmtree(self.folder.partial, ignore_errors=True)
        if self.args.should_save:
            self._drop_old(step)

    def _drop_old(self, step: int) -> None:
        saved = self.folder.steps()
        kept = {*saved[-self.keep :], step}
        if self.keep_best:
            best = best_step(self.state.log_history, among=set(saved))
            kept |= set() if best is None else {best}
        for old in set(saved) - kept:
            shutil.rmtree(self.folder.checkpoint(old))

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        self._go_on_in_window()
        # A checkpoint may be that of the last step, or of the one where the run stopped early; `Trainer` would go on.
        if self.state.global_step >= self.state.max_steps or self.control.should_training_stop:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def load_step(self, step: int) -> None:
        """Put the weights of a kept checkpoint into the model."""
        self._load_from_checkpoint(str(self.folder.checkpoint(step)))


def best_step(history: list[dict[str, Any]], *, among: set[int] | None = None) -> int | None:
    """The trained step with the lowest validation NLL in a trainer's log history; None before the first validation."""
    found = [
        (entry["eval_nll"], entry["step"])
        for entry in history
        if "eval_nll" in entry and entry["step"] > 0 and (among is None or entry["step"] in among)
    ]
    return min(found)[1] if found else None
