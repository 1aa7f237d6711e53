"""`entrotune merge`: a model between a start and its tuned copy, or an adapter merged into its base."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune import provenance
from entrotune.errors import UserError
from entrotune.experiments.display import say, showing
from entrotune.models import (
    ModelSource,
    check_same_tokens,
    count_parameters,
    describe_model,
    interpolate_into,
    load_tokenizer,
    resolve_model,
    save_model,
    whole_model,
)
from entrotune.reports import merge_card

SCHEMA_VERSION = 1


def merge(
    model: str,
    *,
    out: str = "models/merged",
    interpolate: float | list[float] = 1.0,
    start: str | None = None,
    shard_size: str = "5GB",
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | bool = True,
) -> dict[str, Any]:
    """Write whole models with the weights (1 − share)·start + share·tuned (WiSE-FT, arXiv 2109.01903, 2504.10478).

    Weights keep the precision of their files, or the wider of both. With a share of 1 an adapter is merged into its
    base and nothing is interpolated.

    Args:
        model: the tuned model: a run folder, an adapter with its base, or any other model.
        out: the folder to make; of several shares the folder that holds one each, named by its share.
        interpolate: the share of the tuned model, from 0 to 1, or a list of shares.
        start: the model it was tuned from; by default the base of the adapter, or the model that its run began with.
        shard_size: of the weight files at most.
        overwrite: replace models in `out`.
        dry_run: load no weights and write nothing; return what would be made.
        progress: show a display, or the display to use.

    Returns:
        `start`, `tuned`, and `models`: a folder each with its share.

    Raises:
        ValueError: models that do not fit each other, a share outside [0, 1], no start, or `out` is taken.
    """
    shares = _shares(interpolate)
    folders = {share: Path(out) if len(shares) == 1 else Path(out) / f"{share:g}" for share in shares}
    _check_folders(list(folders.values()), overwrite)
    tuned, described = resolve_model(model), describe_model(model)
    begin = None if shares == [1.0] and start is None else _start(tuned, start)
    if begin is None and tuned.base is None:
        raise UserError(f"{model} has no adapter, so there is nothing to merge; give interpolate a share below 1")
    if begin is not None:
        check_same_tokens(load_tokenizer(begin.name), described.tokenizer)
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": "plan" if dry_run else "merge",
        "created": provenance.now(),
        "command": provenance.command_line(),
        "versions": provenance.versions(),
        "tuned": _described(tuned),
        "start": None if begin is None else _described(begin),
        "models": [{"interpolate": share, "out": str(folder)} for share, folder in folders.items()],
    }
    if dry_run:
        return record | {"parameters": described.parameters}
    with showing(progress) as display:
        task = display.add_task("merging", total=len(folders)) if display else None
        untuned = None if begin is None else whole_model(begin.name)[0]
        for entry in record["models"]:
            made, tokenizer = whole_model(model)
            if untuned is not None:
                interpolate_into(made, untuned, entry["interpolate"])
            entry |= {"parameters": count_parameters(made)[0], "dtype": str(made.dtype).removeprefix("torch.")}
            card = merge_card({**record, **entry})
            save_model(made, tokenizer, entry["out"], card=card, shard_size=shard_size)
            say(display, f"wrote {entry['out']}")
            if display and task is not None:
                display.advance(task)
    return record


def _shares(given: float | Sequence[float]) -> list[float]:
    shares = [float(share) for share in (given if isinstance(given, Sequence) else [given])]
    if not shares or len(set(shares)) != len(shares):
        raise UserError(f"interpolate must be one or more different numbers, not {given}")
    for share in shares:
        if not 0 <= share <= 1:
            raise UserError(f"interpolate must be from 0 (the start) to 1 (the tuned model), not {share:g}")
    return shares


def _start(tuned: ModelSource, given: str | None) -> ModelSource:
    """The model that another was tuned from: what the user says, its adapter's base, or what its run recorded."""
    if given is not None:
        return resolve_model(given)
    if tuned.base is not None:
        return tuned.base
    record = None if tuned.path is None else tuned.path.parent / "run.json"
    if tuned.kind == "run" and record is not None and record.is_file():
        return resolve_model(json.loads(record.read_text(encoding="utf-8"))["model"]["name"])
    raise UserError(f"{tuned.name} is no adapter and no run, so it does not say what it was tuned from; give a start")


def _check_folders(folders: Sequence[Path], overwrite: bool) -> None:
    """See that each folder is free, or holds a model that may be replaced."""
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; give the name of a folder to write the model to")
        if not folder.exists() or not any(folder.iterdir()):
            continue
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} holds other files and no model; give the name of another folder")
        if not overwrite:
            raise UserError(f"{folder} already holds a model; add --overwrite to replace it, or give another folder")


def _described(source: ModelSource) -> dict[str, Any]:
    return {"name": source.name, "source": source.kind, "fingerprint": source.fingerprint}
