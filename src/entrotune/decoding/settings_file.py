"""YAML files that a user writes: read once, refused with their name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from entrotune.errors import UserError


def read_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: no such file, not YAML, or no mapping; `what` says what it should have been.
    """
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{what} '{path}' cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{what} '{path}' is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{what} '{path}' must be a mapping of names to values, got {type(value).__name__}")
    return dict(value)


def check_keys(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise a `UserError` where a key is not among those known."""
    unknown = [str(key) for key in given if key not in known]
    if unknown:
        raise UserError(f"{where}: unknown {', '.join(unknown)}; expected {', '.join(known)}")
