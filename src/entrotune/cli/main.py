"""`entrotune COMMAND …`: parse, call one function, print."""

import dataclasses
import inspect
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from entrotune import __version__
from entrotune.cli.commands import EXAMPLES, SUMMARIES, Command, load
from entrotune.errors import UserError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 a check failed, 2 bad input, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"entrotune {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in SUMMARIES:
        print(f"entrotune: no command {name!r}; there are {', '.join(SUMMARIES)}", file=sys.stderr)
        return 2
    _quiet()
    try:
        return run(name, rest)
    except UserError as error:
        print(f"entrotune {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"entrotune {name}: interrupted; what is complete is kept. Add --resume to go on", file=sys.stderr)
        return INTERRUPTED


def run(name: str, arguments: Sequence[str]) -> int:
    """Parse the arguments of a command, call it and show the result."""
    command = load(name)
    arguments = [_underscored(argument) for argument in arguments]
    if command.plans:
        planning = "--dry_run" in arguments
        arguments = [argument for argument in arguments if argument != "--dry_run"]
        return command.show(command.call(dry_run=planning, **_parse(name, command, arguments)))
    return command.show(command.call(**_parse(name, command, arguments)))


def _parse(name: str, command: Command, arguments: list[str]) -> dict[str, Any]:
    from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter

    class Formatter(DefaultHelpFormatter):
        """Keeps the line breaks of the examples."""

        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return "\n".join(indent + line for line in text.splitlines())

    planning = "\n\n--dry-run loads no weights, writes nothing and prints what would be done." if command.plans else ""
    parser = ArgumentParser(
        prog=f"entrotune {name}",
        usage=f"entrotune {name} [options]",
        description=f"{SUMMARIES[name][0].upper()}{SUMMARIES[name][1:]}.\n\nexamples:{EXAMPLES[name]}{planning}",
        formatter_class=Formatter,
        default_env=False,
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="a recipe: YAML with any of these fields; flags override it")
    skip = {"dry_run", "progress"}
    if dataclasses.is_dataclass(command.target):
        parser.add_class_arguments(command.target, nested_key=None, skip=skip)
    else:
        positional = command.positional is not None
        parser.add_function_arguments(command.target, nested_key=None, as_positional=positional, skip=skip)
    try:
        parsed = parser.parse_args(_with_values(arguments, _switches(command.target)))
    except ArgumentError as error:
        told = " ".join(str(error).split())
        raise UserError(f"{told} (entrotune {name} --help lists the options)") from None
    parsed.pop("config", None)
    return vars(parser.instantiate_classes(parsed))


def _switches(target: Any) -> set[str]:
    """The flags that are true or false: they may stand without a value."""
    parameters = inspect.signature(target).parameters.values()
    return {f"--{parameter.name}" for parameter in parameters if parameter.annotation is bool}


def _with_values(arguments: list[str], switches: set[str]) -> list[str]:
    """`--resume` → `--resume=true` where no value follows."""
    following = [*arguments, ""][1:]
    return [
        f"{argument}=true" if argument in switches and after.lower() not in ("true", "false") else argument
        for argument, after in zip(arguments, following, strict=True)
    ]


def _underscored(argument: str) -> str:
    """`--dry-run` → `--dry_run`; values stay as they are."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _quiet() -> None:
    """Silence chatter of libraries that is not meant for the user of a command."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("accelerate").setLevel(logging.ERROR)


def _overview() -> str:
    width = max(map(len, SUMMARIES))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in SUMMARIES.items()]
    return "\n".join(
        [
            f"entrotune {__version__}: fine-tune language models without collapsing their output distributions.",
            "",
            "usage: entrotune COMMAND [options]      (entrotune COMMAND --help has the options and examples)",
            "",
            *lines,
        ]
    )
