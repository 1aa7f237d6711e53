"""Read the records that reports are made of, and say what is wrong with one that cannot be used."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from entrotune.errors import UserError
from entrotune.reports.older import complete

SCHEMA_VERSION = 1

# What a record of each kind must hold for its report to have a subject; everything else may be absent or null.
_REQUIRED = {
    "comparison": {"variants": list},
    "evaluation": {"settings": list},
    "analysis": {"models": list},
    "curriculum": {"variants": list},
    "diffuse": {"sets": list},
    "generation": {"variants": list},
    "sweep": {"variants": list, "trials": list},
}
ANALYSES = ("models", "correctness")
_OBJECTS = ("model", "data", "metrics", "front", "versions", "conventions")


def read_record(path: str | Path, kind: str | None = None) -> dict[str, Any]:
    """Load `comparison.json`, `evaluation.json`, `analysis.json` or `curriculum.json`.

    Args:
        path: the JSON file.
        kind: `"comparison"`, `"evaluation"`, `"analysis"` or `"curriculum"`; any when None.

    Raises:
        UserError: no such file, not JSON, another `schema_version`, another `kind`, or a missing or malformed part.
    """
    path = Path(path)
    record = _parse_json(_read_text(path), str(path))
    check_record(record, str(path))
    if kind is not None and record["kind"] != kind:
        raise UserError(f'{path} is a record of kind "{record["kind"]}", but one of kind "{kind}" is needed here.')
    return complete(record, str(path))


def check_record(record: Any, source: str) -> None:
    """Raise `UserError`, naming `source`, unless `record` is one that a report can be made of."""
    if not isinstance(record, Mapping):
        raise UserError(f"{source} holds a JSON {_json_name(record)}, but a record is an object with named parts.")
    kind, version = record.get("kind"), record.get("schema_version")
    if not isinstance(kind, str) or kind not in _REQUIRED:
        known = " or ".join(f'"{name}"' for name in _REQUIRED)
        raise UserError(f"{source} has kind {json.dumps(kind, default=str)}, but a record's kind is {known}.")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise UserError(
            f"{source} has schema_version {json.dumps(version, default=str)}, but this entrotune reads version "
            f"{SCHEMA_VERSION}: make the record again, or use the version of entrotune that wrote it."
        )
    for key in _OBJECTS:
        if not isinstance(record.get(key) or {}, Mapping):
            raise UserError(f'{source}: "{key}" must be an object or null, got {_json_name(record[key])}.')
    for key, wanted in _REQUIRED[kind].items():
        if not isinstance(record.get(key), wanted):
            raise UserError(f'{source}: a {kind} needs a list "{key}", got {_json_name(record.get(key))}.')
    if kind == "analysis" and record.get("analysis") not in ANALYSES:
        found = json.dumps(record.get("analysis"), default=str)
        raise UserError(f"{source}: an analysis is of {' or '.join(ANALYSES)}, got {found}.")
    for position, variant in enumerate(record.get("variants") or []):
        if not isinstance(variant, Mapping) or not isinstance(variant.get("name"), str):
            raise UserError(f'{source}: variants[{position}] needs a "name" that is a string.')
        _check_settings(variant.get("settings") or [], f"{source}: variants[{position}]")
    _check_settings(record.get("settings") or [], source)


def read_run(folder: str | Path) -> dict[str, Any]:
    """Load a run folder as `{"recipe", "run", "metrics", "evaluation"}`; absent files give empty parts, or None.

    Raises:
        UserError: no such folder, no `metrics.jsonl` in it, or a file that cannot be parsed (named with its line).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"No run folder {folder}: give the folder that `entrotune train --out` wrote.")
    recipe_file, run_file = folder / "recipe.yaml", folder / "run.json"
    run = _parse_json(_read_text(run_file), str(run_file)) if run_file.exists() else {}
    if not isinstance(run, Mapping):
        raise UserError(f"{run_file} holds a JSON {_json_name(run)}, but an object with named parts is expected.")
    evaluation_file = folder / "evaluation.json"
    return {
        "name": folder.resolve().name,
        "recipe": _parse_yaml(recipe_file) if recipe_file.exists() else {},
        "run": dict(run),
        "metrics": _read_lines(folder / "metrics.jsonl"),
        "evaluation": read_record(evaluation_file, "evaluation") if evaluation_file.exists() else None,
    }


def _check_settings(settings: Any, where: str) -> None:
    if not isinstance(settings, list):
        raise UserError(f'{where}: "settings" must be a list, got {_json_name(settings)}.')
    for position, setting in enumerate(settings):
        if not isinstance(setting, Mapping) or not isinstance(setting.get("metrics", {}), Mapping):
            raise UserError(f'{where}: settings[{position}] must be an object whose "metrics" is an object.')


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"No such file: {path}.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder, but a file is needed here.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}).") from error


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error


def _parse_yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(_read_text(path)) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(value, Mapping):
        raise UserError(f"{path} holds a {_json_name(value)}, but a recipe is a mapping of names to values.")
    return dict(value)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    text = _read_text(path)
    # A last line without its end is being written, or was when its run was killed.
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}, line {number} is not JSON ({error.msg}); if the run was killed there, continue it with "
                "`--resume` or delete that line."
            ) from error
        if not isinstance(row, Mapping):
            raise UserError(f"{path}, line {number} holds a JSON {_json_name(row)}, but an object is expected.")
        rows.append(dict(row))
    return rows


def _json_name(value: Any) -> str:
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "list"}
    return names.get(type(value), "object")
