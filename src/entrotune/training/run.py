"""One run from a recipe to a model on disk."""

import contextlib
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import transformers
from accelerate import PartialState
from rich.progress import Progress
from transformers import PrinterCallback, TrainerCallback

from entrotune import provenance
from entrotune.data import to_dataset, write_rejects
from entrotune.errors import UserError
from entrotune.models import (
    ModelSource,
    attach_lora,
    check_head,
    count_parameters,
    load_model,
    resolve_model,
    save_model,
)
from entrotune.training.arguments import (
    check_trackers,
    on_cpu,
    precision_of,
    reference_name,
    trainer_arguments,
    weights_precision,
)
from entrotune.training.callbacks import EarlyStopping, MetricsWriter, ProgressBar, StepEnd
from entrotune.training.checkpoints import RunTrainer, best_step
from entrotune.training.config import TrainConfig
from entrotune.training.curriculum import with_ids
from entrotune.training.groups import add_columns
from entrotune.training.plan import check_context
from entrotune.training.rows import TrainingRows, read_rows
from entrotune.training.run_folder import RunFolder


def run_training(
    config: TrainConfig,
    *,
    progress: Progress | None = None,
    label: str = "training",
    callbacks: Sequence[TrainerCallback] = (),
) -> dict[str, Any]:
    """Train as the recipe says; return the run's record, which is also in `run.json`.

    Args:
        config: the recipe.
        progress: a running display to show steps on.
        label: what the display calls this run.
        callbacks: that watch the run, and may end it with an error.

    Raises:
        UserError: input that cannot be used, a folder that holds another run, a run that diverges, a disk that is full.
            Until the input is known to be good the folder is untouched, and the last complete checkpoint survives.
    """
    processes = PartialState(cpu=on_cpu())
    folder = RunFolder(config.out, writes=processes.is_main_process)
    folder.check(config.to_dict())
    before = folder.read_record() if config.resume else {}
    if before.get("status") == "finished":
        return before
    check_trackers(config)
    reference_name(config)  # refused before a model is loaded
    source = resolve_model(config.model)
    model, tokenizer = load_model(config.model, dtype=weights_precision(config))
    check_context(config, model.config)
    rows = read_rows(config, tokenizer)
    _check_unchanged(before, source, rows, folder)
    _check_processes(before, folder, processes)
    model = _prepared(config, model, processes)
    reference = _reference(config)
    watching = [*([] if progress is None else [ProgressBar(progress, label)]), *callbacks]
    with folder.alone():
        checkpoint = _open(folder, config, rows, processes)
        spent, began = folder.spent(), time.monotonic()
        _write_start(config, folder, source, rows, model, processes)
        try:
            with _trackers_in(folder):
                trainer = _trainer(
                    config, folder, model, tokenizer, rows, reference, resumed=checkpoint is not None, spent=spent
                )
                for callback in watching:
                    trainer.add_callback(callback)
                result = _fit(trainer, config, folder, checkpoint)
            _save(trainer, tokenizer, config, folder)
            status = {"status": "finished", "finished": provenance.now(), **result}
        except (KeyboardInterrupt, Exception) as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            status = {"status": "interrupted"} if interrupted else {"status": "failed", "error": str(error)}
            with contextlib.suppress(OSError):  # where the disk is full, that is what the user must hear
                folder.write_record(**status, seconds=round(spent + time.monotonic() - began, 1))
            raise
        finally:
            if folder.writes:
                shutil.rmtree(folder.partial, ignore_errors=True)
        with folder.writing(str(folder.record)):
            return folder.write_record(**status, seconds=round(spent + time.monotonic() - began, 1))


@contextlib.contextmanager
def _trackers_in(folder: RunFolder) -> Iterator[None]:
    """Let TensorBoard write into the run folder, unless the user named another place."""
    name = "TENSORBOARD_LOGGING_DIR"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(folder.path / "tensorboard")
    try:
        yield
    finally:
        del os.environ[name]


def _prepared(config: TrainConfig, model: Any, processes: PartialState) -> Any:
    """The model with what is trained on it; a model or targets that cannot be used are refused."""
    transformers.set_seed(config.seed)
    if config.method == "lora":
        model = attach_lora(
            model,
            rank=config.lora_rank,
            alpha=config.lora_alpha,
            dropout=config.lora_dropout,
            targets=config.lora_targets,
        )
    if processes.is_main_process:  # on the others FSDP may have left the weights for later
        check_head(model)
    return model


def _reference(config: TrainConfig) -> Any | None:
    """The model beside, where the objective compares with one that is not the base under an adapter."""
    name = reference_name(config)
    return None if name is None else load_model(name, dtype=precision_of(config))[0]


def _open(folder: RunFolder, config: TrainConfig, rows: TrainingRows, processes: PartialState) -> Path | None:
    """Make or find the folder, on one process while the others wait; return the checkpoint to go on from."""
    processes.wait_for_everyone()
    if folder.writes:
        with folder.writing(f"the run folder {folder.path}"):
            folder.open(config.to_dict())
            if rows.rejects:
                write_rejects(folder.rejects, rows.rejects)
    processes.wait_for_everyone()
    return folder.last_checkpoint()


def _write_start(
    config: TrainConfig,
    folder: RunFolder,
    source: ModelSource,
    rows: TrainingRows,
    model: Any,
    processes: PartialState,
) -> None:
    with folder.writing(str(folder.record)):
        folder.write_start(
            model.device,
            **_how_shared(processes),
            precision=precision_of(config),
            seed=config.seed,
            objective=config.objective,
            **_reference_record(config),
            method=config.method,
            model={"name": config.model, "source": source.kind, "fingerprint": source.fingerprint},
            data=rows.counts,
        )


def _reference_record(config: TrainConfig) -> dict[str, Any]:
    name = reference_name(config)
    if name is None:
        return {}
    source = resolve_model(name)
    return {"reference": {"name": name, "source": source.kind, "fingerprint": source.fingerprint}}


def _fit(trainer: RunTrainer, config: TrainConfig, folder: RunFolder, checkpoint: Path | None) -> dict[str, Any]:
    """Run the loop and choose the weights to keep."""
    with folder.writing(str(folder.metrics)):
        folder.cut_metrics(int(checkpoint.name.removeprefix("step-")) if checkpoint else -1)
    assert trainer.model is not None
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


def _save(trainer: RunTrainer, tokenizer: Any, config: TrainConfig, folder: RunFolder) -> None:
    """Write the model; where it is sharded, all processes give their parts and one writes."""
    gathered = trainer.accelerator.get_state_dict(trainer.model_wrapped) if trainer.is_fsdp_enabled else None
    if folder.writes:
        with folder.writing("the model"):
            save_model(trainer.model, tokenizer, folder.model, base=config.model, state_dict=gathered)


def _trainer(
    config: TrainConfig,
    folder: RunFolder,
    model: Any,
    tokenizer: Any,
    rows: TrainingRows,
    reference: Any | None,
    *,
    resumed: bool,
    spent: float,
) -> RunTrainer:
    with warnings.catch_warnings():
        # TRL asks for a `max_length` it would cut at; rows here were checked against the limit and are never cut.
        warnings.simplefilter("ignore")
        trainer = RunTrainer(
            model=model,
            args=trainer_arguments(config, folder, resumed=resumed),
            train_dataset=add_columns(with_ids(rows.train), rows.train, rows.train_rows, rows.groups),
            curriculum=rows.order,
            eval_dataset=add_columns(to_dataset(rows.validation), rows.validation, rows.validation_rows, rows.groups),
            processing_class=tokenizer,
            callbacks=[MetricsWriter(folder, spent=spent), StepEnd()],
            objective=config.objective,
            coefficients=config.coefficients,
            when_entropy_wins=config.when_entropy_wins,
            reference=reference,
            backend=config.backend,
            folder=folder,
            keep=config.keep_checkpoints,
            keep_best=config.keep == "best",
        )
    trainer.remove_callback(PrinterCallback)
    if config.early_stopping is not None:
        trainer.add_callback(EarlyStopping(config.early_stopping))
    return trainer


def _check_unchanged(record: dict[str, Any], source: ModelSource, rows: TrainingRows, folder: RunFolder) -> None:
    """Refuse to resume with rows, a model or a curriculum that are not those the run began with."""
    order, before = (data.get("curriculum", {}) for data in (rows.counts, record.get("data", {})))
    if "data" in record and order.get("fingerprint") != before.get("fingerprint"):
        raise UserError(
            f"the order {order.get('path')} changed since {folder.path} was begun; restore it, or use another folder"
        )
    groups, had = (data.get("groups", {}) for data in (rows.counts, record.get("data", {})))
    if "data" in record and groups.get("fingerprint") != had.get("fingerprint"):
        column = ", ".join((groups or had)["columns"])
        raise UserError(
            f"the column {column} of {rows.counts['source']}, by which coefficients go, changed since {folder.path} "
            "was begun; restore it, or use another folder"
        )
    for what, now in (("data", rows.counts["fingerprint"]), ("model", source.fingerprint)):
        then = record.get(what, {}).get("fingerprint", now)
        if then != now:
            name = rows.counts["source"] if what == "data" else source.name
            raise UserError(
                f"the {what} {name} changed since {folder.path} was begun; restore it, or use another folder"
            )


def _how_shared(processes: PartialState) -> dict[str, Any]:
    """What of a launch is part of a run: a checkpoint fits no other, and the global batch would be another."""
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true" and processes.num_processes > 1
    return {"processes": processes.num_processes, "sharding": "fsdp" if sharded else "none"}


def _check_processes(record: dict[str, Any], folder: RunFolder, processes: PartialState) -> None:
    """Refuse to resume in another way than the run was begun."""
    now = _how_shared(processes)
    then = {"processes": record.get("processes", now["processes"]), "sharding": record.get("sharding", now["sharding"])}
    if then != now:
        told, found = (f"{how['processes']} processes (sharding: {how['sharding']})" for how in (then, now))
        raise UserError(
            f"the run in {folder.path} was begun on {told}, and this is {found}, which is another global batch or "
            "another kind of checkpoint; start it as it was begun, or use another folder"
        )
