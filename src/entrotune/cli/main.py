"""`entrotune COMMAND …`: parse, call one function, print."""

import difflib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from entrotune import __version__, processes
from entrotune.cli.commands import Command, load, named, summary
from entrotune.cli.words import EXAMPLES, PARTS, SUMMARIES
from entrotune.errors import UserError

INTERRUPTED = 130
ON_SEVERAL_PROCESSES = ("train",)
LESS_MEMORY = "use a smaller model, shorter texts or smaller batches, or a machine with more"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 a check failed, 2 bad input, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"entrotune {__version__}")
        return 0
    name, rest = named(arguments)
    if name in PARTS:
        return _show_parts(name, rest)
    if name.partition(" ")[0] not in SUMMARIES:
        near = difflib.get_close_matches(name, SUMMARIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(SUMMARIES)}"
        print(f"entrotune: no command {name!r}{hint}", file=sys.stderr)
        return 2
    _quiet()
    try:
        code = run(name, rest)
        processes.leave()
        return code
    except UserError as error:
        where = f" [process {processes.rank()}]" if processes.rank() else ""
        print(f"entrotune {name}{where}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.strerror is None:
            raise
        print(f"entrotune {name}: {error.strerror}: {error.filename or 'while writing'}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _lacks_memory(error):
            raise
        told = (str(error).strip() or "the process").splitlines()[0]
        print(f"entrotune {name}: there is not enough memory ({told}); {LESS_MEMORY}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"entrotune {name}: interrupted; what is complete is kept. {_going_on(name)} to go on", file=sys.stderr)
        return INTERRUPTED


def _lacks_memory(error: Exception) -> bool:
    """Whether memory ran out, on a device or here; PyTorch on a CPU has no error of its own for it."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or "can't allocate memory" in str(error)


def run(name: str, arguments: Sequence[str]) -> int:
    """Parse the arguments of a command, call it and show the result."""
    from entrotune.cli.arguments import parse

    if processes.count() > 1 and name not in ON_SEVERAL_PROCESSES:
        raise UserError(
            f"started on {processes.count()} processes, of which it could use one; start it without a launcher"
        )
    command = load(name)
    values = parse(
        name,
        command.target,
        arguments,
        description=_description(name, command),
        positional=command.positional is not None,
        plans=command.plans,
        prints_json=command.prints_json,
    )
    as_json = values.pop("json", False)
    from entrotune.cli.shown import print_json

    show = print_json if as_json or values.get("dry_run") else command.show
    if command.streams:
        values["quiet"] = as_json
    done = command.call(**values)
    return show(done) if processes.rank() == 0 else 0


def _description(name: str, command: Command) -> str:
    planning = "\n\n--dry-run loads no weights, writes nothing and prints what would be done." if command.plans else ""
    as_json = "\n\n--json prints the whole record as JSON." if command.prints_json else ""
    return f"{summary(name)[0].upper()}{summary(name)[1:]}.\n\nexamples:{EXAMPLES[name]}{planning}{as_json}"


def _going_on(name: str) -> str:
    """How a command is started again after it was stopped."""
    from entrotune.cli.arguments import option_types

    return "Add --resume" if "resume" in option_types(load(name).target) else "Give the same command again"


def _show_parts(name: str, rest: Sequence[str]) -> int:
    """What a command that is made of others answers where none of them is named."""
    parts = PARTS[name]
    if not rest or rest[0] in ("-h", "--help"):
        width = max(map(len, parts))
        print(f"{SUMMARIES[name][0].upper()}{SUMMARIES[name][1:]}.\n\nusage: entrotune {name} COMMAND [options]\n")
        print("\n".join(f"  {part:<{width}}  {told}" for part, told in parts.items()))
        print(f"\nexamples:{EXAMPLES[name]}")
        print(f"\nentrotune {name} COMMAND --help has the options; --config reads them from a recipe.")
        return 0 if rest else 2
    near = difflib.get_close_matches(rest[0], parts, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {' and '.join(parts)}"
    print(f"entrotune {name}: no command {rest[0]!r}{hint}", file=sys.stderr)
    return 2


def _quiet() -> None:
    """Silence chatter of libraries that is not meant for the user of a command."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|transformers|trl|peft|accelerate)\b")
    warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our own warnings as a sentence; others with their kind."""
    kind = "warning" if category is UserWarning else category.__name__
    print(f"{kind}: {message}", file=file or sys.stderr)


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
