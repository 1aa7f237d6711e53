"""The Python of the pages runs, block after block, in a folder with a tiny model."""

from pathlib import Path

import pytest

from docs.pages import PAGES, blocks, name
from entrotune.objectives import TERMS

# Read by the examples as they stand on the page; here they mean the tiny model.
MODELS = ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_runs(page: Path, inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    known = set(TERMS)
    try:
        for block in blocks(page, "python"):
            if not block.run:
                continue
            source = block.content
            for model in MODELS:
                source = source.replace(f'"{model}"', '"tiny-model"')
            # Blank lines before it make a traceback name the line of the page.
            exec(compile("\n" * (block.line - 1) + source, str(page), "exec"), namespace)
    finally:
        for term in set(TERMS) - known:
            del TERMS[term]
    prints = any("print(" in block.content for block in blocks(page, "python") if block.run)
    assert capsys.readouterr().out or not prints


def test_there_are_examples() -> None:
    assert sum(block.run for page in PAGES for block in blocks(page, "python")) >= 8
