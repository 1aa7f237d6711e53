"""From a recipe to the arguments of TRL's trainer."""

from typing import Any

import torch
from transformers.integrations import get_available_reporting_integrations
from trl import SFTConfig

from entrotune.errors import UserError
from entrotune.objectives import Objective
from entrotune.training.config import TrainConfig
from entrotune.training.run_folder import RunFolder


def trainer_arguments(config: TrainConfig, folder: RunFolder, *, resumed: bool) -> SFTConfig:
    """The recipe in the trainer's words; the untouched model is validated unless the run is resumed."""
    assert config.learning_rate is not None  # the recipe chose a default
    assert config.epochs is not None  # here too
    arguments = SFTConfig(
        output_dir=str(folder.partial),
        seed=config.seed,
        data_seed=config.seed,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant_with_warmup" if config.schedule == "constant" else config.schedule,
        warmup_steps=config.warmup,
        weight_decay=config.weight_decay,
        neftune_noise_alpha=config.neftune_noise_alpha,
        max_grad_norm=config.max_grad_norm,
        bf16=precision_of(config) == "bfloat16",
        # Without this, bfloat16 is refused where there is no accelerator.
        use_cpu=on_cpu(),
        gradient_checkpointing=config.gradient_checkpointing,
        packing=config.packing,
        max_length=config.max_length if config.packing else None,
        logging_steps=config.log_every,
        eval_on_start=not resumed,
        report_to=config.report_to or "none",
        run_name=folder.path.name,
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        shuffle_dataset=False,
        **_every(config.evaluate_every, "eval"),
        **_every(config.save_every, "save"),
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # a process uses one device; `Trainer` would take all of them for DataParallel
    return arguments


def _every(interval: str | int, name: str) -> dict[str, Any]:
    if interval == "epoch":
        return {f"{name}_strategy": "epoch"}
    return {f"{name}_strategy": "steps", f"{name}_steps": interval}


def on_cpu() -> bool:
    """Whether there is no accelerator."""
    return torch.accelerator.current_accelerator(check_available=True) is None


def precision_of(config: TrainConfig) -> str:
    """`float32` or `bfloat16`."""
    if config.precision != "auto":
        return config.precision
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def weights_precision(config: TrainConfig) -> str:
    """What the base is loaded in: weights that are trained stay in float32."""
    return "bfloat16" if config.method == "lora" and precision_of(config) == "bfloat16" else "float32"


def reference_name(config: TrainConfig) -> str | None:
    """The model that is loaded as a reference beside the trained one; None where there is none or it is the base.

    Raises:
        UserError: a reference is named, and the objective compares with none.
    """
    if not Objective(config.objective).needs.reference:
        if config.reference is not None:
            raise UserError(
                f"reference is {config.reference!r}, but the objective {config.objective} compares with none; leave it "
                "out, or add a term such as 0.05*kl(ref)"
            )
        return None
    if config.reference is None and config.method == "full":
        return config.model
    return config.reference


def check_trackers(config: TrainConfig) -> None:
    """Raise `UserError` where a tracker of the recipe is not installed."""
    for tracker in config.report_to:
        there = get_available_reporting_integrations()
        if tracker not in there:
            raise UserError(
                f"report_to names {tracker!r}, which is no tracker or is not installed; "
                f"installed here: {', '.join(sorted(there)) or 'none'}"
            )
