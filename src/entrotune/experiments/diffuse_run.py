"""One run towards target distributions: measure, train, measure, record."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from rich.progress import Progress

from entrotune import provenance
from entrotune.data.targets import build_trie
from entrotune.errors import UserError
from entrotune.evaluation.distribution import Kept, describe_kept, measure_kept, measure_sets, read_retention
from entrotune.experiments.diffuse_record import run_record
from entrotune.experiments.diffuse_sets import DiffuseSets, prepare_sets, read_sets
from entrotune.files import atomic_write_json, atomic_write_text
from entrotune.models import (
    attach_lora,
    check_head,
    check_tree,
    context_length,
    count_parameters,
    load_model,
    resolve_model,
    save_model,
)
from entrotune.reports import model_card, write_diffuse_report
from entrotune.training import RunFolder
from entrotune.training.distribution import DiffuseConfig, Progressed, computing_in, precision_of, train_distribution

_CHECKED = 8


@dataclass(frozen=True)
class Prepared:
    """What a run works with."""

    config: DiffuseConfig
    folder: RunFolder
    model: Any
    tokenizer: Any
    sets: DiffuseSets
    source: dict[str, Any]
    data: dict[str, Any]


def run_diffuse(
    config: DiffuseConfig, *, before: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Train as the recipe says; return the content of `evaluation.json`.

    Args:
        config: the recipe, of one run.
        before: label → measures of the untouched model on the same sets, where they are known.
        progress: a running display.

    Raises:
        UserError: input that cannot be used, a folder that holds another run, a run that diverges, a full disk.
    """
    folder = RunFolder(config.out)
    folder.check(config.to_dict())
    finished = folder.path / "evaluation.json"
    if config.resume and folder.read_record().get("status") == "finished" and finished.exists():
        found: dict[str, Any] = json.loads(finished.read_text(encoding="utf-8"))
        return found
    began, spent = time.monotonic(), float(folder.read_record().get("seconds") or 0.0) if config.resume else 0.0
    with contextlib.ExitStack() as held:
        run = _prepared(config, folder, held)
        return _finished(run, before, progress, began=began, spent=spent)


def _finished(
    run: Prepared, before: Mapping[str, Any] | None, progress: Progress | None, *, began: float, spent: float
) -> dict[str, Any]:
    """Train and measure in a folder that this process holds; write what came of it."""
    folder = run.folder
    try:
        record = _measured_run(run, before, progress)
    except (KeyboardInterrupt, Exception) as error:
        status = {"status": "interrupted"} if isinstance(error, KeyboardInterrupt) else _failed(error)
        with contextlib.suppress(OSError):  # where the disk is full, that is what the user must hear
            folder.write_record(**status, seconds=round(spent + time.monotonic() - began, 1))
        raise
    finally:
        shutil.rmtree(folder.partial, ignore_errors=True)
    record["seconds"]["total"] = round(spent + time.monotonic() - began, 1)
    with folder.writing("the evaluation"):
        atomic_write_json(folder.path / "evaluation.json", record)
        write_diffuse_report(record, folder.path / "report.html")
        folder.write_record(status="finished", finished=provenance.now(), seconds=record["seconds"]["total"])
    return record


def _failed(error: BaseException) -> dict[str, Any]:
    return {"status": "failed", "error": str(error)}


def _prepared(config: DiffuseConfig, folder: RunFolder, held: contextlib.ExitStack) -> Prepared:
    """Read and load everything; then open the folder, which is `held` from there on."""
    source = resolve_model(config.model)
    sets = read_sets(config)
    half = config.method == "lora" and precision_of(config) == "bfloat16"
    model, tokenizer = load_model(config.model, dtype="bfloat16" if half else "float32")
    prepared = prepare_sets(config, sets, tokenizer, context=context_length(model))
    data = prepared.counts(config.rows_per_part)
    described: dict[str, Any] = {"name": config.model, "source": source.kind, "fingerprint": source.fingerprint}
    _check_unchanged(folder.read_record() if config.resume else {}, described, data, folder)
    check_head(model)
    # In the deepest tree a wrong position or mask shows most; a few of its targets will do.
    deepest = max(prepared.measured, key=lambda one: max(map(len, one.sequences)))
    few = sorted(deepest.sequences, key=len)[-_CHECKED:]
    check_tree(model, deepest.prompt.input_ids, build_trie(few, [1.0] * len(few)))
    torch.manual_seed(config.seed)
    if config.method == "lora":
        model = attach_lora(model, rank=config.lora_rank, alpha=config.lora_alpha, targets=config.lora_targets)
    total, trainable = count_parameters(model)
    described |= {"parameters": total, "trainable_parameters": trainable}
    held.enter_context(folder.alone())
    with folder.writing(f"the run folder {folder.path}"):
        folder.open(config.to_dict())
        folder.write_start(
            model.device,
            precision=precision_of(config),
            seed=config.seed,
            objective="diffuse",
            method=config.method,
            model=described,
            data=data,
        )
    return Prepared(config, folder, model, tokenizer, prepared, described, data)


def _check_unchanged(
    record: Mapping[str, Any], model: Mapping[str, Any], data: Mapping[str, Any], folder: RunFolder
) -> None:
    """Refuse to resume with other targets or another model than the run began with."""
    for what, now in (("data", data), ("model", model)):
        then = record.get(what, {}).get("fingerprint", now["fingerprint"])
        if then != now["fingerprint"]:
            name = "targets" if what == "data" else f"model {model['name']}"
            raise UserError(f"the {name} changed since {folder.path} was begun; restore them, or use another folder")


def _measured_run(run: Prepared, before: Mapping[str, Any] | None, progress: Progress | None) -> dict[str, Any]:
    config, folder = run.config, run.folder
    rows = read_retention(
        run.tokenizer,
        chats=config.retention,
        rows=config.retention_rows,
        choices=config.choices,
        choices_limit=config.choices_limit,
        context=context_length(run.model),
    )
    moment = time.monotonic()
    measured = _before(run, rows, before, progress)
    seconds = {"before": round(time.monotonic() - moment, 1)}
    state = train_distribution(run.model, run.sets.trained, config, folder, progress=progress, label="training")
    seconds["train"] = round(state.seconds, 1)
    _save(run, state)
    moment = time.monotonic()
    with computing_in(config, run.model):
        after = _measure_sets(run, progress)
        kept = measure_kept(run.model, run.tokenizer, rows, as_base=_as_base(run), progress=progress)
    seconds["after"] = round(time.monotonic() - moment, 1)
    was = Kept(**measured["kept"])
    retention = {
        **rows.described,
        "before": describe_kept(was, seed=config.seed),
        "after": describe_kept(kept, was, seed=config.seed),
    }
    return run_record(
        config,
        run.sets,
        before=measured["sets"],
        after=after,
        state=state,
        retention=retention,
        model=run.source,
        data=run.data,
        device=provenance.device_name(run.model.device),
        curve=folder.read_metrics(),
        seconds=seconds,
    )


def _before(run: Prepared, rows: Any, before: Mapping[str, Any] | None, progress: Progress | None) -> dict[str, Any]:
    """What the untouched model does; kept beside the checkpoints, for a run that is resumed is no longer untouched."""
    path = run.folder.checkpoints / "before.json"
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    with computing_in(run.config, run.model):
        found = {
            "sets": dict(before) if before is not None else _measure_sets(run, progress),
            "kept": vars(measure_kept(run.model, run.tokenizer, rows, progress=progress)),
        }
    with run.folder.writing(str(path)):
        atomic_write_json(path, found)
    return found


def _measure_sets(run: Prepared, progress: Progress | None) -> dict[str, dict[str, Any]]:
    return measure_sets(
        run.model,
        run.tokenizer,
        run.sets.measured,
        samples=run.config.samples,
        seed=run.config.seed,
        rows_per_part=run.config.rows_per_part,
        progress=progress,
    )


def _as_base(run: Prepared) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """What gives the model as it was: without its adapter, or loaded once more."""
    if run.config.method == "full":
        base, _ = load_model(run.config.model, device=run.model.device)
        return lambda: contextlib.nullcontext(base)

    @contextlib.contextmanager
    def without_adapter() -> Iterator[Any]:
        with run.model.disable_adapter():
            yield run.model

    return without_adapter


def _save(run: Prepared, state: Progressed) -> None:
    config, folder = run.config, run.folder
    with folder.writing("the model"):
        save_model(run.model, run.tokenizer, folder.model, base=config.model)
        folder.write_record(
            parameters=run.source["parameters"],
            trainable_parameters=run.source["trainable_parameters"],
            steps=state.step,
            saved_step=state.step,
            tokens=state.tokens,
        )
        record = folder.read_record()
        card = model_card(
            name=str(folder.model),
            base_model=config.model,
            objective="diffuse",
            method=config.method,
            data=run.data,
            seeds=[config.seed],
            curve=folder.read_metrics(),
            saved_step=state.step,
            recipe=config.to_dict(),
            versions=record.get("versions"),
        )
        atomic_write_text(folder.model / "README.md", card)
