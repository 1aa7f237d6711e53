"""Target sets from files, folders, lists of words and ranges."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from entrotune.data.rows import Message
from entrotune.data.targets.lists import mimesis_list, parse_range
from entrotune.data.targets.sets import TargetSet, check_targets, checked_weights
from entrotune.errors import UserError

FIELDS = ("name", "group", "request", "response", "targets", "weights", "eos", "mixture")
SUFFIXES = (".json", ".yaml", ".yml", ".txt")
_MIMESIS = "mimesis:"
_EXPECTED = (
    "expected a .json, .yaml or .txt file, a folder of them, mimesis:NAME such as mimesis:fruits, or a range such as "
    "range(1,100)"
)


def read_target_sets(
    sources: Sequence[str | Path],
    *,
    request: str | None = None,
    eos: bool | None = None,
    mixture: Mapping[str, float] | None = None,
) -> list[TargetSet]:
    """Read the target sets of all sources, in order.

    A JSON or YAML file holds a set `{request, response?, targets, weights?, eos?, mixture?, name?, group?}`, a list of
    such sets, or only targets: a list of texts, alone or under any one name. A text file has a target a line. A folder
    stands for its JSON and YAML files; the folders in it are groups, as is what stands before `__` in a file's name.

    Args:
        sources: files, folders, `mimesis:NAME` and `range(FIRST,LAST)`.
        request: for sources that have none of their own; lists of words and ranges have a plain one by default.
        eos: whether outputs end after their target, for sources that do not say; by default they do.
        mixture: name of a set or group → how often it is used relative to the others, 1 where nothing is said.

    Raises:
        UserError: a source or a set that cannot be used, with its place and what to do.
    """
    if not sources:
        raise UserError(f"no targets were given; {_EXPECTED}")
    found = [one for source in sources for one in _read(str(source), request, eos)]
    if twice := [name for name, count in Counter(one.name for one in found).items() if count > 1]:
        places = ", ".join(one.source for one in found if one.name == twice[0])
        raise UserError(f"{places}: several sets are called {twice[0]!r}; give each a name of its own")
    return _mixed(found, mixture or {})


def _read(source: str, request: str | None, eos: bool | None) -> Iterator[TargetSet]:
    if source.startswith(_MIMESIS):
        targets, called, merged = mimesis_list(source.removeprefix(_MIMESIS))
        yield _listed(source, source.removeprefix(_MIMESIS), targets, request or _asked(called), eos, merged=merged)
        return
    if (numbers := parse_range(source)) is not None:
        yield _listed(source, source, numbers[0], request or _asked(numbers[1]), eos)
        return
    path = Path(source).expanduser()
    if path.is_dir():
        # Text files in a folder are as likely to be notes and licences as lists.
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES[:-1] and file.is_file())
        if not files:
            raise UserError(f"{source} holds no target set; {_EXPECTED}")
        for file in files:
            inner = file.parent.relative_to(path).parts
            yield from _read_file(file, request, eos, group=inner[0] if inner else None)
        return
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        why = "is no kind of file that target sets are read from" if path.is_file() else "does not exist"
        raise UserError(f"{source} {why}; {_EXPECTED}")
    yield from _read_file(path, request, eos, group=None)


def _asked(called: str) -> str:
    return f"Pick {called}, completely at random. Answer with nothing else."


def _read_file(path: Path, request: str | None, eos: bool | None, *, group: str | None) -> Iterator[TargetSet]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    before, marked, _ = path.stem.partition("__")
    name = path.stem.replace("__", "/") if group is None else f"{group}/{path.stem}"
    group = group or (before if marked else None)
    if path.suffix.lower() == ".txt":
        lines = text.splitlines()
        check_targets(lines, str(path), entry="line")
        yield _listed(str(path), name, lines, _needed(request, path), eos, group=group)
        return
    content = _parsed(path, text)
    for place, one in _entries(content, str(path)):
        if isinstance(one, Mapping):
            yield _described(
                one, place, name if place == str(path) else f"{name}-{place.rpartition(' ')[2]}", group, eos
            )
        else:
            yield _listed(place, name, list(one), _needed(request, path), eos, group=group)


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno} is not JSON: {error.msg} at column {error.colno}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def _entries(content: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any] | Sequence[str]]]:
    """The sets in a file, each with its place; a sequence is a list of targets."""
    if isinstance(content, Mapping) and "targets" in content:
        yield place, content
    elif isinstance(content, Mapping) and "sets" in content and isinstance(content["sets"], list):
        yield from _entries(content["sets"], place)
    elif isinstance(content, Mapping):
        lists = [value for value in content.values() if _are_texts(value)]
        if len(lists) != 1:
            raise UserError(
                f"{place} has no targets; expected request and targets, or one list of texts (its fields: "
                f"{', '.join(map(str, content)) or 'none'})"
            )
        yield place, lists[0]
    elif _are_texts(content):
        yield place, content
    elif isinstance(content, list) and content and all(isinstance(one, Mapping) for one in content):
        for number, one in enumerate(content, start=1):
            yield f"{place}, set {number}", one
    else:
        raise UserError(f"{place} holds neither a target set, nor a list of sets, nor a list of texts")


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _needed(request: str | None, path: Path) -> str:
    if request is None:
        raise UserError(f"{path} has targets and no request; say with --request what the model is asked")
    return request


def _listed(
    source: str,
    name: str,
    targets: list[str],
    request: str,
    eos: bool | None,
    *,
    group: str | None = None,
    merged: int = 0,
) -> TargetSet:
    check_targets(targets, source)
    return TargetSet(
        name=name,
        source=source,
        group=group or name,
        request=request,
        responses=("",),
        targets=tuple(targets),
        weights=checked_weights(None, len(targets), source),
        eos=True if eos is None else eos,
        merged=merged,
    )


def _described(content: Mapping[str, Any], place: str, name: str, group: str | None, eos: bool | None) -> TargetSet:
    if unknown := [str(key) for key in content if key not in FIELDS]:
        raise UserError(f"{place} has a field {unknown[0]!r}; a target set has {', '.join(FIELDS)}")
    targets = content.get("targets")
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        wrong = (
            next((repr(one) for one in targets if not isinstance(one, str)), "") if isinstance(targets, list) else ""
        )
        raise UserError(f"{place}: targets must be a list of texts{wrong and f', and {wrong} is none; quote it'}")
    check_targets(targets, place)
    name = _text(content, "name", place) or name
    return TargetSet(
        name=name,
        source=place,
        group=_text(content, "group", place) or group or name,
        request=_request(content.get("request"), place),
        responses=_responses(content.get("response"), place),
        targets=tuple(targets),
        weights=checked_weights(_numbers(content.get("weights"), place), len(targets), place),
        eos=_yes_or_no(content.get("eos"), place, default=True if eos is None else eos),
        mixture=_positive(content.get("mixture", 1.0), f"{place}: mixture"),
    )


def _text(content: Mapping[str, Any], key: str, place: str) -> str | None:
    value = content.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise UserError(f"{place}: {key} must be a text, got {value!r}")
    return value


def _request(value: Any, place: str) -> str | tuple[Message, ...]:
    if isinstance(value, str) and value.strip():
        return value
    if (
        isinstance(value, list)
        and value
        and all(
            isinstance(turn, Mapping) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
            for turn in value
        )
    ):
        if value[-1]["role"] == "assistant":
            raise UserError(f"{place}: the request ends with the assistant; put what answers begin with into response")
        return tuple({"role": turn["role"], "content": turn["content"]} for turn in value)
    raise UserError(f"{place}: request must be a text or a list of turns with role and content, got {value!r}")


def _responses(value: Any, place: str) -> tuple[str, ...]:
    if value is None or isinstance(value, str):
        return (value or "",)
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise UserError(f"{place}: response must be a text or a list of texts that answers begin with, got {value!r}")
    if len(set(value)) < len(value):
        raise UserError(f"{place}: response holds a text twice; keep each once")
    return tuple(value)


def _numbers(value: Any, place: str) -> list[float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in value
    ):
        raise UserError(f"{place}: weights must be a list of numbers, one for each target, got {value!r}")
    return [float(one) for one in value]


def _yes_or_no(value: Any, place: str, *, default: bool) -> bool:
    if value is None:
        return default
    if not isinstance(value, bool):
        raise UserError(f"{place}: eos must be true (outputs end after their target) or false, got {value!r}")
    return value


def _positive(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"{what} must be a number above 0, got {value!r}")
    return float(value)


def _mixed(sets: list[TargetSet], mixture: Mapping[str, float]) -> list[TargetSet]:
    known = {one.name for one in sets} | {one.group for one in sets}
    if unknown := [name for name in mixture if name not in known]:
        raise UserError(f"mixture names {unknown[0]!r}, which is no set or group; there are {', '.join(sorted(known))}")
    return [
        replace(
            one, mixture=_positive(mixture.get(one.name, mixture.get(one.group, one.mixture)), f"mixture of {one.name}")
        )
        for one in sets
    ]
