"""What the documentation quotes: code blocks and command lines, with the page and line they stand in."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: .+ -->\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its content, the line it begins in and whether it is to be run."""

    page: Path
    line: int
    language: str
    content: str
    run: bool


def blocks(page: Path, language: str) -> list[Block]:
    """The fenced blocks of a language, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start()) + 2,
            language=found[1],
            content=found[2],
            run=_NOT_RUN.search(text[: found.start()]) is None,
        )
        for found in _FENCE.finditer(text)
        if found[1] == language
    ]


def commands(page: Path) -> list[tuple[int, str]]:
    """Lines of shell blocks that begin with `entrotune`, with their number."""
    return [
        (block.line + offset, line)
        for block in blocks(page, "sh")
        for offset, line in enumerate(block.content.splitlines())
        if line.startswith("entrotune ")
    ]


def name(page: Path) -> str:
    """A page's path from the root."""
    return page.relative_to(ROOT).as_posix()
