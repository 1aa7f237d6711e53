"""Command-line arguments and recipes → the values a command is called with, or one sentence that says what is wrong."""

import dataclasses
import difflib
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter

from entrotune.cli.repeated import refuse_repeated
from entrotune.errors import UserError

_SKIPPED = frozenset({"dry_run", "progress"})
_NUMBERS = (list[int], list[float], Sequence[int], Sequence[float])
_ALWAYS = ("config", "print_config", "help")
# What a mapping looks like, by the last part of its option's name.
MAPPINGS = {
    "columns": '{"prompt": "question"}',
    "coefficients": '{"alpha": 0.1}',
    "search": '{"alpha": [0, 0.1]}',
    "variants": '{"decay": {"weight_decay": 0.1}}',
    "mixture": '{"numbers": 2}',
}


def parse(
    name: str,
    target: Any,
    arguments: Sequence[str],
    *,
    description: str,
    positional: bool = False,
    plans: bool = False,
    prints_json: bool = False,
) -> dict[str, Any]:
    """The values that `target` is to be called with; `dry_run` among them where the command `plans`.

    Args:
        name: of the command.
        target: a dataclass whose fields are the options, or a function whose arguments are.
        description: what `--help` prints above the options.
        positional: whether arguments without a default are given without their names.
        prints_json: whether `json` is among the values, for who shows the result.

    Raises:
        UserError: an option, a value or a recipe that cannot be used.
    """
    kinds = option_types(target)
    own = [key for key, has in (("dry_run", plans), ("json", prints_json)) if has]
    switches = {f"--{key}" for key in (*(key for key, kind in kinds.items() if kind is bool), *own)}
    if positional:
        arguments = _one_list(arguments, next(iter(kinds.values())))
    short = {f"-{key}": f"--{key}" for key in kinds if len(key) == 1}
    arguments = [_underscored(short.get(argument, argument)) for argument in arguments]
    arguments = _with_negatives(_with_values(_with_lists(_gathered(arguments, kinds), kinds), switches))
    switched = {key: _switched(key, arguments) for key in own}
    arguments = [argument for argument in arguments if not argument.startswith(tuple(f"--{key}=" for key in own))]
    _check_names(name, arguments, [*kinds, *own], kinds)
    refuse_repeated(arguments, ["config", *(key for key, kind in kinds.items() if _is_mapping(kind))])
    parser = _parser(name, target, description, positional=positional)
    try:
        parsed = parser.parse_args(arguments)
        parsed.pop("config", None)
        values = vars(parser.instantiate(parsed))
    except ArgumentError as error:
        told = _explained(" ".join(str(error).split()), kinds, arguments)
        raise UserError(f"{told} ({_help(name)})") from None
    _check_sizes(values)
    return values | switched


def _check_sizes(values: Mapping[str, Any], under: str = "") -> None:
    """Refuse whole numbers that no computer counts to: libraries fail on them in ways of their own."""
    for name, value in values.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            _check_sizes(vars(value), f"{under}{name}.")
        elif isinstance(value, int) and abs(value) > sys.maxsize:
            raise UserError(f"--{under}{name} is {value}; expected a whole number of at most {sys.maxsize}")


def option_types(target: Any) -> dict[str, Any]:
    """Option → annotated type; those of a dataclass within as `train.data`."""
    hints = typing.get_type_hints(target)
    found = {}
    for key in inspect.signature(target).parameters:
        if key in _SKIPPED:
            continue
        found[key] = hints[key]
        if dataclasses.is_dataclass(hints[key]):
            found |= {f"{key}.{inner}": kind for inner, kind in option_types(hints[key]).items()}
    return found


def _one_list(arguments: Sequence[str], kind: Any) -> list[str]:
    """`A B --out C` → `["A", "B"] --out C`, where the argument that stands alone is a list."""
    origin = typing.get_origin(kind)
    if not (isinstance(origin, type) and issubclass(origin, Sequence)):
        return list(arguments)
    stop = next((at for at, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    alone = arguments[:stop]
    return [*([json.dumps(list(alone))] if alone else []), *arguments[stop:]]


def _with_lists(arguments: Sequence[str], kinds: Mapping[str, Any]) -> list[str]:
    """`--targets A B` → `--targets ["A", "B"]`, `--seeds 0 1` → `--seeds [0, 1]`; what is JSON already stays."""
    texts = {f"--{key}" for key, kind in kinds.items() if kind in (list[str], list[str] | None)}
    numbers = {f"--{key}" for key, kind in kinds.items() if kind in _NUMBERS}
    joined: list[str] = []
    at = 0
    while at < len(arguments):
        joined.append(arguments[at])
        at += 1
        if arguments[at - 1] not in texts | numbers:
            continue
        stop = next((end for end in range(at, len(arguments)) if arguments[end].startswith("-")), len(arguments))
        values = list(arguments[at:stop])
        if not values or values[0].lstrip().startswith("["):
            joined += values
        else:
            separate = [part for value in values for part in value.split(",") if part.strip()]
            joined.append(json.dumps(values) if arguments[at - 1] in texts else f"[{', '.join(separate)}]")
        at = stop
    return joined


def _gathered(arguments: Sequence[str], kinds: Mapping[str, Any]) -> list[str]:
    """`--model A --model B` → `--model ["A", "B"]`, for options that are one text or several."""
    several = {f"--{key}" for key, kind in kinds.items() if set(typing.get_args(kind)) == {str, Sequence[str]}}
    gathered: list[str] = []
    given: dict[str, list[str]] = {}
    left = list(arguments)
    while left:
        name, equals, value = left[0].partition("=")
        if name in several and (equals or len(left) > 1):
            given.setdefault(name, []).append(value if equals else left[1])
            left = left[1 if equals else 2 :]
        else:
            gathered.append(left.pop(0))
    for name, values in given.items():
        gathered += [name, values[0] if len(values) == 1 else json.dumps(values)]
    return gathered


def _switched(key: str, arguments: Sequence[str]) -> bool:
    """Whether a switch that is no option of the target is on."""
    values = [argument.partition("=")[2].lower() for argument in arguments if argument.startswith(f"--{key}=")]
    if wrong := [value for value in values if value not in ("true", "false")]:
        raise UserError(f"--{key.replace('_', '-')}: expected true or false, got {wrong[0]}")
    return values[-1:] == ["true"]


class _Formatter(DefaultHelpFormatter):
    """Keeps the line breaks of the examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())


def _parser(name: str, target: Any, description: str, *, positional: bool) -> ArgumentParser:
    parser = ArgumentParser(
        prog=f"entrotune {name}",
        usage=f"entrotune {name} {next(iter(option_types(target))).upper() + ' ' if positional else ''}[options]",
        description=description,
        formatter_class=_Formatter,
        default_env=False,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="a recipe: YAML with any of these fields; flags override it")
    if dataclasses.is_dataclass(target):
        parser.add_class_arguments(target, nested_key=None, skip=set(_SKIPPED))
    else:
        parser.add_function_arguments(target, nested_key=None, as_positional=positional, skip=set(_SKIPPED))
    return parser


def _help(name: str) -> str:
    return f"entrotune {name} --help lists the options"


def _underscored(argument: str) -> str:
    """`--dry-run` → `--dry_run`; values stay as they are."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _with_values(arguments: Sequence[str], switches: set[str]) -> list[str]:
    """`--resume` and `--resume true` → `--resume=true`, for options that are true or false."""
    joined: list[str] = []
    for argument in arguments:
        before = joined[-1] if joined else ""
        if before in switches and argument.lower() in ("true", "false"):
            joined[-1] = f"{before}={argument.lower()}"
        elif before in switches:
            joined[-1] = f"{before}=true"
            joined.append(argument)
        else:
            joined.append(argument)
    return [f"{argument}=true" if argument in switches else argument for argument in joined]


def _with_negatives(arguments: Sequence[str]) -> list[str]:
    """`--objective -1*ce` → `--objective=-1*ce`: a value may begin with a minus."""
    joined: list[str] = []
    for argument in arguments:
        follows = joined and joined[-1].startswith("--") and "=" not in joined[-1]
        if follows and re.match(r"-[^-h]", argument):
            joined[-1] = f"{joined[-1]}={argument}"
        else:
            joined.append(argument)
    return joined


def _fields(kind: Any) -> list[str]:
    """The fields of a group of options that may be left out as a whole: `Retention | None`."""
    parts = [part for part in typing.get_args(kind) if dataclasses.is_dataclass(part)]
    return [field.name for part in parts for field in dataclasses.fields(part)]


def _is_mapping(kind: Any) -> bool:
    """Whether values of an option have names within: a mapping, or a group of options."""
    return dataclasses.is_dataclass(kind) or bool(_fields(kind)) or "dict" in str(kind)


def _check_names(name: str, arguments: Sequence[str], options: Sequence[str], kinds: Mapping[str, Any]) -> None:
    """Refuse an unknown option before anything else is said about the arguments."""
    mappings = tuple(f"{key}." for key, kind in kinds.items() if "dict" in str(kind))
    options = [*options, *(f"{key}.{own}" for key, kind in kinds.items() for own in _fields(kind))]
    for argument in arguments:
        # `--list+ item` appends to a list.
        key = argument.partition("=")[0].removeprefix("--").removesuffix("+")
        if argument.startswith("--") and key not in (*options, *_ALWAYS) and not key.startswith(mappings):
            raise UserError(f"there is no option --{key}{_nearest(key, options, '--')} ({_help(name)})")


def _nearest(key: str, options: Sequence[str], dashes: str = "") -> str:
    """`; did you mean --data?`, or nothing where no option is near."""
    group, dot, _ = key.partition(".")
    groups = {option.partition(".")[0] for option in options}
    if dot and group not in groups and (near := difflib.get_close_matches(group, groups, n=1)):
        return f"; did you mean {dashes}{near[0]}?"
    inner = {option.rpartition(".")[2]: option for option in reversed(options)}
    near = difflib.get_close_matches(key, [*options, *inner], n=1)
    return f"; did you mean {dashes}{inner.get(near[0], near[0])}?" if near else ""


def _explained(told: str, kinds: Mapping[str, Any], arguments: Sequence[str]) -> str:
    """What a parser's message means, in one sentence."""
    flags = {argument.partition("=")[0].removesuffix("+") for argument in arguments}
    if found := re.search(r'Parser key "config": .*?\'(.*)\'', told):
        return f"no recipe {found[1]}; give the name of a YAML file"
    if found := re.search(r'Parser key "([^"]+)".*(?:Given|Got) value: (.*)$', told):
        key = found[1] if found[1] in kinds else found[1].rpartition(".")[0]
        where = f"--{key}" if f"--{key}" in flags else f"{key} in the recipe"
        return f"{where}: expected {expected(kinds.get(key), key)}, got {found[2]}"
    if found := re.search(r'Parser key "([^"]+)"', told):
        return f"--{found[1]}: expected {expected(kinds.get(found[1]), found[1])}"
    if found := re.match(r"argument --(\S+): expected one argument", told):
        return f"--{found[1]} needs a value: {expected(kinds.get(found[1]), found[1])}"
    if found := re.match(r"(?:Group '(.*)' does not accept option|Option) '(.*?)'", told):
        key = ".".join(part for part in found.groups() if part)
        return f"the recipe has a field {key} that does not exist{_nearest(key, list(kinds))}"
    if found := re.match(r"the following arguments are required: (.*)", told):
        return f"missing: {found[1]}"
    if found := re.match(r"unrecognized arguments: ?(\S*)", told):
        return f"did not expect {found[1] or repr('')}; values follow the name of an option"
    if told.startswith("Unexpected config:"):
        return "the recipe is not a YAML mapping of fields to values"
    if told.startswith("Problems parsing config:"):
        return f"the recipe is not YAML: {told.partition(': ')[2]}".replace('in "<unicode string>", ', "at ")
    return told


def expected(kind: Any, key: str = "") -> str:
    """A type in words: `float | None` → `a number or null`; the example of a mapping is that of the option `key`."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " or ".join(str(value) for value in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(expected(one, key) for one in inner)
    if origin is not None and issubclass(origin, Mapping):
        return f"a mapping such as {MAPPINGS.get(key.rpartition('.')[2], MAPPINGS['columns'])}"
    if origin is not None and issubclass(origin, Sequence):
        example = {int: "[0, 1]", float: "[0.7, 1.0]"}.get(inner[0], '["a", "b"]')
        return f"a list such as '{example}'"
    if dataclasses.is_dataclass(kind):
        return f"the name of a recipe, or options such as --{key}.{dataclasses.fields(kind)[0].name}"
    return {float: "a number", int: "a whole number", bool: "true or false", type(None): "null"}.get(kind, "text")
