"""The models of a merge: which are merged, what is told of them, and how they are written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune import provenance
from entrotune.errors import UserError
from entrotune.experiments.display import say
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


@dataclass(frozen=True)
class Merge:
    """What is merged.

    Attributes:
        tuned: the tuned model.
        start: what it is interpolated with; None where an adapter is merged into its base.
        parameters: of the merged model.
    """

    tuned: ModelSource
    start: ModelSource | None
    parameters: int

    @classmethod
    def of(cls, model: str, start: str | None, *, interpolates: bool) -> "Merge":
        """The models by their names, checked without weights.

        Raises:
            UserError: nothing to merge, no start, or tokenizers that differ.
        """
        tuned, described = resolve_model(model), describe_model(model)
        begin = _start(tuned, start) if interpolates or start is not None else None
        if begin is None and tuned.base is None:
            raise UserError(f"{model} has no adapter, so there is nothing to merge; give interpolate a share below 1")
        if begin is not None:
            check_same_tokens(load_tokenizer(begin.name), described.tokenizer)
        return cls(tuned, begin, described.parameters)

    def record(self, folders: Mapping[float, Path]) -> dict[str, Any]:
        """What is told of it before the models are made."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "merge",
            "created": provenance.now(),
            "command": provenance.command_line(),
            "versions": provenance.versions(),
            "tuned": _described(self.tuned),
            "start": None if self.start is None else _described(self.start),
            "models": [{"interpolate": share, "out": str(folder)} for share, folder in folders.items()],
        }


def write_models(merge: Merge, record: dict[str, Any], *, shard_size: str, progress: Progress | None) -> None:
    """Make the models that the record names, and add to each what it is."""
    task = progress.add_task("merging", total=len(record["models"])) if progress else None
    untuned = None if merge.start is None else whole_model(merge.start.name)[0]
    for entry in record["models"]:
        made, tokenizer = whole_model(merge.tuned.name)
        if untuned is not None:
            interpolate_into(made, untuned, entry["interpolate"])
        entry |= {"parameters": count_parameters(made)[0], "dtype": str(made.dtype).removeprefix("torch.")}
        card = merge_card({**record, **entry})
        save_model(made, tokenizer, entry["out"], card=card, shard_size=shard_size)
        say(progress, f"wrote {entry['out']}")
        if progress and task is not None:
            progress.advance(task)


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


def _described(source: ModelSource) -> dict[str, Any]:
    return {"name": source.name, "source": source.kind, "fingerprint": source.fingerprint}
