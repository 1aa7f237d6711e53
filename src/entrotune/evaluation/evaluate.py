"""`entrotune evaluate`: quality and diversity of one model, with what is needed to believe it."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune import provenance
from entrotune.data import RowSet, describe_examples, fingerprint, load_rows, write_rejects
from entrotune.errors import UserError
from entrotune.evaluation.header import header
from entrotune.evaluation.held_out import HeldOut, hold_out
from entrotune.evaluation.mauve import mauve_of
from entrotune.evaluation.measure import measure
from entrotune.evaluation.records import SettingRecord, describe_metrics
from entrotune.evaluation.sample_file import settings_path
from entrotune.evaluation.standard_tasks import StandardTasks
from entrotune.files import atomic_write_json, atomic_write_text
from entrotune.measures.mauve import check_mauve
from entrotune.models import (
    ModelSource,
    check_head,
    context_length,
    count_parameters,
    load_model,
    load_tokenizer,
    resolve_model,
)

SCHEMA_VERSION = 1
_SHOWN_PROMPTS = 8


def evaluate(
    model: str = "smollm2-135m",
    *,
    data: str,
    temperatures: Sequence[float] = (1.0,),
    samples: int = 8,
    prompts: int = 32,
    max_new_tokens: int = 48,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    judge: str | None = None,
    batch_size: int = 64,
    top_k: int = 0,
    top_p: float = 1.0,
    system: str | None = None,
    limit: int | None = None,
    format: str = "auto",
    columns: Mapping[str, str | list[str]] | None = None,
    on_bad_row: str = "skip",
    mauve: str | None = None,
    lm_eval: Sequence[str] = (),
    lm_eval_path: str | None = None,
    lm_eval_limit: int | None = None,
    dtype: str = "float32",
    device: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure quality and diversity of one model on held-out data, at each temperature.

    All rows with an answer or a text are scored; `prompts` of the different prompts are sampled from.

    Args:
        model: a folder, run, adapter, GGUF file, hub id or `smollm2-135m`.
        data: held-out rows; see `load_rows` for `format`, `columns`, `limit` and `on_bad_row`.
        temperatures: each gives one setting; 0 is greedy.
        samples: responses a prompt.
        prompts: different prompts to sample from; 0 to score only.
        max_new_tokens: of a response.
        seed: fixes choice of prompts, samples and intervals.
        out: a folder for `evaluation.json`, `samples.jsonl`, `per_prompt.jsonl` and `rejects.jsonl` (in a run's
            folder, `evaluation-rejects.jsonl`); nothing is written without one.
        resume: go on with the samples that `out` holds.
        overwrite: replace the evaluation that `out` holds.
        judge: a model of the same tokenizer that scores the samples (`base_nll`).
        system: a system message for conversations without one.
        mauve: a model whose hidden states give the features for MAUVE of samples against people's answers.
        lm_eval: standard tasks to run too, by their names in lm-eval, such as hellaswag.
        lm_eval_path: a folder with task files (YAML) of your own, such as tasks on local files.
        lm_eval_limit: of each task, the first so many documents.
        dtype: of the weights; see `load_model`.
        device: see `load_model`.
        dry_run: load no weights, write nothing; return what would be done.

    Returns:
        The content of `evaluation.json`.

    Raises:
        UserError: bad input, or `out` holds another evaluation and neither `resume` nor `overwrite` is given.
    """
    started = time.perf_counter()
    if any(not 0 <= temperature < math.inf for temperature in temperatures) or not temperatures:
        raise UserError(f"temperatures must be one or more numbers of at least 0, got {list(temperatures)}")
    folder = Path(out) if out is not None else None
    _check_out(folder, resume=resume, overwrite=overwrite)
    source = resolve_model(model)
    rows = load_rows(data, format=format, columns=columns, limit=limit, on_bad_row=on_bad_row)
    tasks = StandardTasks(lm_eval, path=lm_eval_path, limit=lm_eval_limit) if lm_eval else None
    chosen: dict[str, Any] = {"prompts": prompts, "seed": seed, "max_new_tokens": max_new_tokens, "system": system}
    if dry_run:
        held = hold_out(rows.rows, load_tokenizer(model), **chosen)
        return _plan(source, rows, held, temperatures, samples, max_new_tokens) | {"lm_eval": list(lm_eval)}
    loaded, tokenizer = load_model(model, dtype=dtype, device=device)
    check_head(loaded)
    held = hold_out(rows.rows, tokenizer, context=context_length(loaded), on_bad_row=on_bad_row, **chosen)
    judge_model = _load_judge(judge, tokenizer, dtype, device)
    featuriser = _load_featuriser(mauve, held, samples, dtype, device)
    if folder is not None and overwrite:
        _remove(folder)
    standard: dict[str, Any] = {}
    if tasks is not None:
        standard["lm_eval"] = tasks.run(
            loaded, tokenizer, seed=seed, batch_size=batch_size, fingerprint=source.fingerprint, folder=folder
        )
    settings = measure(
        loaded,
        tokenizer,
        examples=held.examples,
        prompts=held.prompts,
        groups=held.groups,
        temperatures=temperatures,
        samples=samples,
        max_new_tokens=max_new_tokens,
        seed=seed,
        batch_size=batch_size,
        top_k=top_k,
        top_p=top_p,
        judge=judge_model,
        path=folder / "samples.jsonl" if folder is not None else None,
        made_by={"model": source.fingerprint, "dtype": dtype},
        progress=progress,
    )
    record = {
        "schema_version": SCHEMA_VERSION,
        "kind": "evaluation",
        "title": f"Evaluation of {model}",
        **header(seed),
        "device": provenance.device_name(loaded.device),
        "seconds": {"total": round(time.perf_counter() - started, 1)},
        "model": _describe_model(source, loaded),
        "data": _describe_data(rows, held),
        "settings": [setting.to_dict(seed=seed) for setting in settings],
        "metrics": describe_metrics(settings),
        "samples": show_samples(held, {model: settings}),
    } | standard
    if featuriser is not None:
        record["mauve"] = {"features": mauve}
        for told, setting in zip(record["settings"], settings, strict=True):
            told["mauve"] = mauve_of(*featuriser, held.prompts, setting.samples, seed=seed, progress=progress)
    if folder is not None:
        _write(folder, record, settings, held, rows)
    return record


def _describe_model(source: ModelSource, model: Any) -> dict[str, Any]:
    """The `model` part of a record."""
    return {
        "name": source.name,
        "source": source.kind if source.revision is None else f"{source.kind} at {source.revision}",
        "fingerprint": source.fingerprint,
        "parameters": count_parameters(model)[0],
    }


def _describe_data(rows: RowSet, held: HeldOut) -> dict[str, Any]:
    """The `data` part of a record: what was read, and how much of it is scored and sampled from."""
    counted = describe_examples(held.examples)
    # A row with several answers may have several rejects.
    encoded_badly = {(reject.source, reject.line) for reject in held.rejects}
    return {
        "source": rows.source,
        "format": rows.format,
        "rows_read": rows.read,
        "rows_rejected": len(rows.rejects) + len(encoded_badly),
        "validation_rows": len(rows.rows) - len(encoded_badly),
        "prompts": len(held.prompts),
        "supervised_tokens": counted.supervised_tokens,
        "fingerprint": fingerprint(rows.rows),
    }


def show_samples(
    held: HeldOut, variants: Mapping[str, Sequence[SettingRecord]], *, prompts: int = _SHOWN_PROMPTS
) -> list[dict[str, Any]]:
    """The `samples` part of a record: what each variant wrote for the first few prompts, at each temperature."""
    return [
        {
            "prompt_id": prompt.id,
            "prompt": prompt.messages[-1]["content"] if prompt.messages else prompt.text,
            "references": list(prompt.references),
            "outputs": [
                {
                    "variant": name,
                    "temperature": setting.temperature,
                    "texts": [sample.text for sample in setting.samples if sample.prompt_id == prompt.id],
                }
                for name, settings in variants.items()
                for setting in settings
            ],
        }
        for prompt in held.prompts[:prompts]
    ]


def _plan(
    source: ModelSource,
    rows: RowSet,
    held: HeldOut,
    temperatures: Sequence[float],
    samples: int,
    max_new_tokens: int,
) -> dict[str, Any]:
    drawn = len(held.prompts) * samples * len(temperatures)
    return {
        "kind": "plan",
        "model": {"name": source.name, "kind": source.kind, "path": str(source.path) if source.path else None},
        "data": _describe_data(rows, held),
        "temperatures": list(temperatures),
        "responses": drawn,
        "new_tokens_at_most": drawn * max_new_tokens,
        "tokens_to_score": describe_examples(held.examples).tokens,
    }


def _load_judge(judge: str | None, tokenizer: Any, dtype: str, device: str | None) -> Any:
    if judge is None:
        return None
    model, own = load_model(judge, dtype=dtype, device=device)
    if own.get_vocab() != tokenizer.get_vocab():
        raise UserError(f"judge '{judge}' has another tokenizer than the model; expected a model of the same family")
    return model


def _load_featuriser(
    name: str | None, held: HeldOut, samples: int, dtype: str, device: str | None
) -> tuple[Any, Any] | None:
    """The model that gives features for MAUVE, once it is sure that there are texts enough and the package is there."""
    if name is None:
        return None
    check_mauve(sum(len(prompt.references) for prompt in held.prompts), len(held.prompts) * samples)
    return load_model(name, dtype=dtype, device=device)


def _check_out(folder: Path | None, *, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other; give one of them")
    if folder is None:
        if resume or overwrite:
            raise UserError("resume and overwrite need an output folder; give one as out")
        return
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output '{folder}' is a file; expected a folder")
    held = [name for name in ("evaluation.json", "samples.jsonl") if (folder / name).exists()]
    if held and not (resume or overwrite):
        raise UserError(f"output folder '{folder}' holds an evaluation already ({held[0]}); use resume or overwrite")


def _rejects(folder: Path) -> Path:
    """Where rejected rows go: in a run's folder, `rejects.jsonl` holds those of its training."""
    return folder / ("evaluation-rejects.jsonl" if (folder / "run.json").exists() else "rejects.jsonl")


def _remove(folder: Path) -> None:
    for path in (folder / "evaluation.json", folder / "samples.jsonl", folder / "per_prompt.jsonl", _rejects(folder)):
        path.unlink(missing_ok=True)
    settings_path(folder / "samples.jsonl").unlink(missing_ok=True)
    (folder / "lm_eval.json").unlink(missing_ok=True)


def _write(
    folder: Path, record: Mapping[str, Any], settings: Sequence[SettingRecord], held: HeldOut, rows: RowSet
) -> None:
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for setting in settings for line in setting.lines()]
    atomic_write_text(folder / "per_prompt.jsonl", "".join(lines))
    rejects = [*rows.rejects, *held.rejects]
    if rejects:
        write_rejects(_rejects(folder), rejects)
    # Last: its presence says that the evaluation is complete.
    atomic_write_json(folder / "evaluation.json", record)
