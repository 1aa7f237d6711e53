"""Scoring a data set: what the arguments come to for a model, and the folder that is written."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from entrotune.data import RowStream
from entrotune.data.tokens import check_tokenizer
from entrotune.errors import UserError
from entrotune.models import ModelDescription, describe_model
from entrotune.scoring.cluster import Cluster
from entrotune.scoring.folder import read_manifest
from entrotune.scoring.identity import added_bos, data_identity, model_identity
from entrotune.scoring.job import Job
from entrotune.scoring.local import score_here
from entrotune.scoring.options import ScoreOptions, conventions
from entrotune.scoring.progress import Shown
from entrotune.scoring.scorer import Scorer
from entrotune.scoring.table import ScoredBlock
from entrotune.scoring.writer import ScoreWriter

# Where neither the model nor the user sets a limit.
_DEFAULT_LENGTH = 4096


def describe(model: str) -> ModelDescription:
    """A model without its weights.

    Raises:
        UserError: its tokenizer does not tell which characters a token stands for.
    """
    described = describe_model(model)
    check_tokenizer(described.tokenizer)
    return described


def resolve_options(
    described: ModelDescription, device: str | None, *, max_length: int | None, precision: str, **others: Any
) -> ScoreOptions:
    """What decides the scores, with the limits of the model and the precision of the device that computes them.

    Raises:
        UserError: `max_length` is beyond what the model reaches to.
    """
    return ScoreOptions(max_length=_length(max_length, described), precision=_precision(precision, device), **others)


def _length(asked: int | None, described: ModelDescription) -> int:
    context = described.context or _DEFAULT_LENGTH
    if asked is not None and described.context is not None and asked > context:
        raise UserError(f"max_length is {asked:,}, but model '{described.source.name}' reaches to {context:,} tokens")
    return context if asked is None else asked


def _precision(asked: str, device: str | None) -> str:
    if asked != "auto":
        return asked
    kind = torch.device(device).type if device else getattr(torch.accelerator.current_accelerator(), "type", "cpu")
    return "bfloat16" if kind == "cuda" else "float32"


def run_scoring(
    job: Job,
    described: ModelDescription,
    folder: Path,
    *,
    load: Callable[[], Scorer],
    cluster: Cluster | None,
    overwrite: bool,
    progress: Progress | None,
    began: float,
) -> dict[str, Any]:
    """Score what the folder has not yet; return its manifest.

    Args:
        job: what is scored, and how.
        described: the model of the job.
        folder: to write.
        load: gives the model of this process, loaded once.
        cluster: to score on; None for here.
        overwrite: replace the scores that the folder holds.
        progress: the display.
        began: what `time.perf_counter` said when the command was called.

    Raises:
        UserError: the folder holds scores of something else, or another process writes to it.
    """
    stream = job.stream()
    about = {"conventions": conventions(job.options, bos_added=added_bos(described.tokenizer, job.options))}
    identity = {
        "model": model_identity(described),
        "data": data_identity(job.data, stream.format, job.reading),
        "options": job.options.to_dict(),
    }
    writer = ScoreWriter(folder, identity)
    with writer.open(overwrite=overwrite):
        shown = Shown(progress, job.reading["limit"])
        if writer.finished:
            shown.say(f"{folder} is finished already: nothing is left to score")
            return read_manifest(folder)
        writer.start(about)
        blocks = _score_blocks(job, load, stream, writer, shown, cluster)
        seconds = round(time.perf_counter() - began, 1)
        return writer.finish({**about, "seconds": seconds}, blocks)


def _score_blocks(
    job: Job,
    load: Callable[[], Scorer],
    stream: RowStream,
    writer: ScoreWriter,
    shown: Shown,
    cluster: Cluster | None,
) -> int:
    """Score what has no part yet; return how many blocks there are in all."""
    seen = 0

    def write(number: int, scored: ScoredBlock | None) -> None:
        nonlocal seen
        seen += 1
        if scored is not None:
            writer.write(scored)
        totals = writer.done[number]["totals"]
        shown.advance(totals["read"], 0 if scored is None else totals["tokens"])

    done = {number: told["digest"] for number, told in writer.done.items()}
    if cluster is not None:
        from entrotune.scoring.on_ray import score_on_ray

        score_on_ray(job, done, cluster, write)
    else:
        score_here(load(), job.blocks(stream, done), write)
    return seen
