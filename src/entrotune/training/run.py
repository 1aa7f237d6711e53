"""One run from a recipe to a model on disk."""

import math
import time
import warnings
from typing import Any

import torch
import transformers
from rich.progress import Progress
from transformers import PrinterCallback
from trl import SFTConfig

from entrotune import provenance
from entrotune.data import to_dataset, write_rejects
from entrotune.errors import UserError
from entrotune.models import (
    attach_lora,
    check_head,
    context_of,
    count_parameters,
    load_model,
    resolve_model,
    save_model,
)
from entrotune.training.callbacks import EarlyStopping, LastStep, MetricsWriter, ProgressBar
from entrotune.training.checkpoints import RunTrainer, best_step
from entrotune.training.config import TrainConfig
from entrotune.training.rows import TrainingRows, read_rows
from entrotune.training.run_folder import RunFolder


def run_training(config: TrainConfig, *, progress: Progress | None = None, label: str = "training") -> dict[str, Any]:
    """Train as the recipe says; return the run's record, which is also in `run.json`.

    Args:
        config: the recipe.
        progress: a running display to show steps on.
        label: what the display calls this run.

    Raises:
        UserError: input that cannot be used, a folder that holds another run, a disk that is full. What the folder
            held before is untouched, and the last complete checkpoint survives.
    """
    source = resolve_model(config.model)
    folder = RunFolder(config.out)
    _check_folder(folder, config)
    dtype = _dtype(config)
    model, tokenizer = load_model(config.model, dtype="bfloat16" if _frozen_in_bfloat16(config, dtype) else "float32")
    _check_context(config, model)
    rows = read_rows(config, tokenizer)
    checkpoint = folder.open(config.to_dict())
    record = folder.read_record()
    if record.get("status") == "finished":
        return record
    _check_data(record, rows, folder)
    if rows.rejects:
        write_rejects(folder.rejects, rows.rejects)
    record = folder.write_record(
        status="running",
        started=record.get("started", provenance.now()),
        command=provenance.command_line(),
        versions=provenance.versions(),
        git_revision=provenance.git_revision(),
        device=provenance.device_name(model.device),
        precision=dtype,
        seed=config.seed,
        objective=config.objective,
        method=config.method,
        model={"name": config.model, "source": source.kind, "fingerprint": source.fingerprint},
        data=rows.counts,
    )
    began = time.monotonic()
    try:
        trainer = _trainer(config, folder, model, tokenizer, rows, resumed=checkpoint is not None)
        if progress is not None:
            trainer.add_callback(ProgressBar(progress, label))
        result = _fit(trainer, config, folder, checkpoint)
        save_model(trainer.model, tokenizer, folder.model, base=config.model)
    except (KeyboardInterrupt, Exception) as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        folder.write_record(status=status, error=str(error), seconds=_spent(record, began))
        raise
    return folder.write_record(status="finished", finished=provenance.now(), seconds=_spent(record, began), **result)


def _fit(trainer: RunTrainer, config: TrainConfig, folder: RunFolder, checkpoint: Any) -> dict[str, Any]:
    """Run the loop and choose the weights to keep."""
    folder.cut_metrics(int(checkpoint.name.removeprefix("step-")) if checkpoint else -1)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    last, best = trainer.state.global_step, best_step(trainer.state.log_history)
    saved = last
    if config.keep == "best" and best is not None and best != last:
        trainer.load_step(best)
        saved = best
    validation = {row["step"]: row["nll"] for row in folder.read_metrics() if row["split"] == "validation"}
    total, trainable = count_parameters(trainer.model)
    return {
        "parameters": total,
        "trainable_parameters": trainable,
        "steps": last,
        "best_step": best,
        "saved_step": saved,
        "start_nll": validation.get(0),
        "best_nll": validation.get(best) if best is not None else None,
        "last_nll": validation.get(last),
        "tokens": trainer._total_train_tokens,
    }


def _trainer(
    config: TrainConfig, folder: RunFolder, model: Any, tokenizer: Any, rows: TrainingRows, *, resumed: bool
) -> RunTrainer:
    transformers.set_seed(config.seed)
    if config.method == "lora":
        model = attach_lora(
            model,
            rank=config.lora_rank,
            alpha=config.lora_alpha,
            dropout=config.lora_dropout,
            targets=config.lora_targets,
        )
    check_head(model)
    with warnings.catch_warnings():
        # TRL asks for a `max_length` it would cut at; rows here were checked against the limit and are never cut.
        warnings.simplefilter("ignore")
        trainer = RunTrainer(
            model=model,
            args=_arguments(config, folder, resumed=resumed),
            train_dataset=to_dataset(rows.train),
            eval_dataset=to_dataset(rows.validation),
            processing_class=tokenizer,
            callbacks=[MetricsWriter(folder), LastStep()],
            objective=config.objective,
            backend=config.backend,
            folder=folder,
            keep=config.keep_checkpoints,
            keep_best=config.keep == "best",
        )
    trainer.remove_callback(PrinterCallback)
    if config.early_stopping is not None:
        trainer.add_callback(EarlyStopping(config.early_stopping))
    return trainer


def _arguments(config: TrainConfig, folder: RunFolder, *, resumed: bool) -> SFTConfig:
    def every(interval: str | int, name: str) -> dict[str, Any]:
        return (
            {f"{name}_strategy": "epoch"}
            if interval == "epoch"
            else {f"{name}_strategy": "steps", f"{name}_steps": interval}
        )

    return SFTConfig(
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
        max_grad_norm=config.max_grad_norm,
        bf16=_dtype(config) == "bfloat16",
        gradient_checkpointing=config.gradient_checkpointing,
        packing=config.packing,
        max_length=config.max_length if config.packing else None,
        logging_steps=config.log_every,
        eval_on_start=not resumed,
        report_to=config.report_to or "none",
        run_name=folder.path.name,
        disable_tqdm=True,
        shuffle_dataset=False,
        **every(config.evaluate_every, "eval"),
        **every(config.save_every, "save"),
    )


def _check_folder(folder: RunFolder, config: TrainConfig) -> None:
    """Refuse an occupied folder before anything long is done; `RunFolder.open` decides for good."""
    if not (config.resume or config.overwrite) and folder.path.is_dir() and any(folder.path.iterdir()):
        folder.open(config.to_dict())


def _check_context(config: TrainConfig, model: Any) -> None:
    context = context_of(model.config)
    if context is not None and config.max_length > context:
        raise UserError(f"max_length {config.max_length} is beyond the context of {config.model}, {context} tokens")


def _check_data(record: dict[str, Any], rows: TrainingRows, folder: RunFolder) -> None:
    before = record.get("data", {}).get("fingerprint")
    if before is not None and before != rows.counts["fingerprint"]:
        raise UserError(
            f"the rows of {rows.counts['source']} changed since {folder.path} was begun; use another folder"
        )


def _dtype(config: TrainConfig) -> str:
    if config.precision != "auto":
        return config.precision
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def _frozen_in_bfloat16(config: TrainConfig, dtype: str) -> bool:
    return config.method == "lora" and dtype == "bfloat16"


def _spent(record: dict[str, Any], began: float) -> float:
    """Seconds of training, those before a resume included."""
    return round(record.get("seconds") or 0.0 + time.monotonic() - began, 1)


def plan_training(config: TrainConfig, description: Any) -> dict[str, Any]:
    """What a run would do, from configuration and tokenizer alone: counts, steps and memory in bytes.

    Activations follow Korthikanti et al. 2022 (arXiv 2205.05198) for attention that does not store its matrix: 34
    bytes a token, layer and unit of width in half precision, 2 with gradient checkpointing.
    """
    rows = read_rows(config, description.tokenizer)
    text = description.config.get_text_config()
    per_epoch = math.ceil(math.ceil(len(rows.train) / config.batch_size) / config.accumulation)
    steps = config.max_steps or math.ceil(per_epoch * config.epochs)
    size = 2 if _dtype(config) == "bfloat16" else 4
    trained = _lora_parameters(config, text) if config.method == "lora" else description.parameters
    tokens = config.batch_size * (config.max_length if config.packing else rows.counts["longest"])
    memory = {
        "weights": description.parameters * (size if config.method == "lora" else 4),
        "gradients": trained * 4,
        "optimizer": trained * 8,
        "activations": int(
            tokens * text.num_hidden_layers * text.hidden_size * (1 if config.gradient_checkpointing else 17) * size
        ),
    }
    return {
        "data": rows.counts,
        "read": rows.told,
        "steps": steps,
        "tokens_to_train": round(rows.counts["train_tokens"] * config.epochs) if config.max_steps is None else None,
        "parameters": description.parameters,
        "trainable_parameters": trained,
        "memory_bytes": memory | {"total": sum(memory.values())},
        "precision": _dtype(config),
    }


def _lora_parameters(config: TrainConfig, text: Any) -> int:
    """Parameters of an adapter on every linear layer of a Llama-shaped block (an estimate for other targets)."""
    width, inner = text.hidden_size, getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    head = getattr(text, "head_dim", None) or width // text.num_attention_heads
    keys = head * (getattr(text, "num_key_value_heads", None) or text.num_attention_heads)
    queries = head * text.num_attention_heads
    sides = 2 * (width + queries) + 2 * (width + keys) + 3 * (width + inner)
    return config.lora_rank * sides * text.num_hidden_layers
