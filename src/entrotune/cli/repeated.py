"""Names that stand twice in one mapping, of which YAML and JSON readers keep the last without a word."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from entrotune.errors import UserError


def refuse_repeated(arguments: Sequence[str], options: Sequence[str]) -> None:
    """Refuse a mapping among the arguments, or in a recipe that they name, in which a name stands twice.

    Args:
        arguments: with values in their own arguments or behind `=`.
        options: those whose values are mappings, or names of recipes.

    Raises:
        UserError: with the name, and the lines where it is a file; or the file is not UTF-8 text.
    """
    for at, argument in enumerate(arguments):
        name, equals, behind = argument.partition("=")
        key = name.removeprefix("--")
        if not {key, key.partition(".")[0]} & set(options):
            continue
        value = behind if equals else "".join(arguments[at + 1 : at + 2])
        if value.lstrip().startswith(("{", "[")):
            for twice, _, _ in _repeated(value):
                raise UserError(f"{twice} is given twice in {value}; all but the last would be lost: give it once")
        elif Path(value).is_file():
            for twice, first, again in _repeated(_text(value)):
                raise UserError(
                    f"{value}: {twice} stands in line {first} and again in line {again}; all but the last would be "
                    "lost: keep one"
                )


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no recipe: it is not UTF-8 text (byte {error.start})") from None


def _repeated(text: str) -> Iterator[tuple[str, int, int]]:
    """Each name that stands again in its mapping, with the lines; nothing of what is no YAML, which a parser tells."""
    try:
        nodes = [yaml.compose(text, Loader=yaml.CSafeLoader)]
    except yaml.YAMLError:
        return
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in seen:
                        yield key.value, seen[key.value], line
                    seen[key.value] = line
                nodes.append(value)
