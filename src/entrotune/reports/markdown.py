"""Pieces of Markdown in which no text from outside is read as markup."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from entrotune.reports.samples import visible


def inline(value: Any) -> str:
    """Text as one line in which no character is read as Markdown or HTML."""
    text = " ".join(visible(value).split())
    return re.sub(r"([\\`*_{}\[\]<>#|!&~$])", r"\\\1", text)


def code(value: Any) -> str:
    """Text as a code span, fenced by more backticks than it holds in a row."""
    text = " ".join(visible(value).split())
    fence = _fence(text, 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def fenced(text: str, language: str) -> str:
    """Text as a code block, fenced by more backticks than it holds in a row."""
    fence = _fence(text, 3)
    return f"{fence}{language}\n{visible(text).rstrip()}\n{fence}"


def literal(text: str) -> str:
    """A Python string literal on one line; backticks, which could end a code block's fence, are escaped."""
    return ascii(visible(text)).replace("`", "\\x60")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def front_matter(entries: Mapping[str, Any]) -> str:
    """The YAML above a model card, as hubs read it."""
    return f"---\n{yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True)}---"


def _fence(text: str, shortest: int) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(shortest, longest + 1)
