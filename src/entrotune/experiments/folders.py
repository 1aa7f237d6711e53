"""Folders that commands write to: whether one is free, or what it holds may be gone on with or replaced."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from entrotune.errors import UserError
from entrotune.files import LOCK, alone, atomic_write_text
from entrotune.training.config import NOT_PART_OF_THE_RUN


def tidy(folder: str) -> str:
    """A folder as recipes name it: `runs/chats/`, as a shell completes it, and `./runs/chats` are `runs/chats`."""
    return str(Path(folder))


def is_free(folder: Path, what: str) -> bool:
    """Whether there is nothing in a folder to which `what` (a model, a sweep) is to be written.

    Raises:
        UserError: it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give the name of a folder to write the {what} to")
    return not folder.exists() or all(path.name == LOCK for path in folder.iterdir())


def check_model_folder(folder: Path, *, overwrite: bool) -> None:
    """See that a folder is free, or holds a model that may be replaced; raise `UserError` where it does not."""
    if is_free(folder, "model"):
        return
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds other files and no model; give the name of another folder")
    if not overwrite:
        raise UserError(f"{folder} already holds a model; add --overwrite to replace it, or give another folder")


def study_in(folder: Path, what: str, field: str, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """The recipe of the study that a folder holds, which may be gone on with or replaced; None where it is free.

    Args:
        folder: that a study is to be written to.
        what: kind of study, such as comparison.
        field: of its recipe, that no other kind of study has.
        resume: whether it is to be gone on with.
        overwrite: whether it may be replaced.

    Raises:
        UserError: the folder holds other files, or a study and neither `resume` nor `overwrite` is given.
    """
    if is_free(folder, what):
        return None
    recipe = folder / "recipe.yaml"
    before = yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.exists() else None
    if not isinstance(before, dict) or field not in before:
        raise UserError(f"{folder} holds other files and no {what}; give the name of another folder")
    if not (resume or overwrite):
        raise UserError(f"{folder} already holds a {what}; add --resume to go on, --overwrite to replace it")
    return before


@contextlib.contextmanager
def opened_alone(folder: Path, recipe: Mapping[str, Any], *, overwrite: bool) -> Iterator[None]:
    """Hold the folder of a study for this process alone: emptied where it is to be replaced, with the study's recipe.

    Raises:
        UserError: another process works on it.
    """
    with alone(folder):
        if overwrite:
            _clear(folder)
        atomic_write_text(folder / "recipe.yaml", yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True))
        yield


def _clear(folder: Path) -> None:
    # The recipe goes last, so that a clearing that was cut short can be repeated.
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "recipe.yaml"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def check_same_recipe(
    folder: Path, what: str, before: dict[str, Any], now: dict[str, Any], *, free: Sequence[str] = ("out",)
) -> None:
    """Raise `UserError` with the fields in which the recipe of a study differs from the one it was begun with.

    Args:
        folder: of the study.
        what: kind of study.
        before: the recipe it was begun with.
        now: the recipe.
        free: fields that may differ; by default the folder, which may have been moved.
    """
    changed = ", ".join(_changed(before, now, free))
    if changed:
        raise UserError(f"{folder} holds a {what} with another recipe (see {changed}); use it, or another folder")


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], free: Sequence[str]) -> Iterator[str]:
    """Fields that differ; of the recipe of runs those of its fields that are part of a run."""
    for key, value in now.items():
        then = before.get(key)
        if key == "train" and isinstance(then, Mapping):
            yield from (f"train.{field}" for field in _changed(then, value, NOT_PART_OF_THE_RUN))
        elif key not in free and then != value:
            yield key
