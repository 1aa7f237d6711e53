"""What is asked: rows with a prompt, from the command line, a file or a template."""

import dataclasses
from pathlib import Path

from entrotune.data import Row, load_rows
from entrotune.data.rejects import Reject
from entrotune.data.rows import prompt_messages
from entrotune.decoding.fields import Template
from entrotune.errors import UserError
from entrotune.experiments.generate_config import GenerateConfig


def read_asks(config: GenerateConfig, template: Template | None) -> tuple[list[Row], list[Reject]]:
    """The prompts, and the rows of the file that hold none.

    Raises:
        UserError: the file cannot be read, or holds no prompt.
    """
    if template is not None:
        return [Row(id=Path(config.fields or "").stem, source=str(config.fields), prompt=template.prompt)], []
    if config.prompt is not None:
        if not config.prompt.strip():
            raise UserError("the prompt is empty; give the text to answer")
        return [Row(id="prompt", source="--prompt", prompt=config.prompt)], []
    assert config.prompts is not None
    found = load_rows(config.prompts, format=config.format, columns=config.columns, limit=config.limit)
    # A line of a text file is a prompt here.
    rows = [dataclasses.replace(row, prompt=row.text, text=None) if row.text is not None else row for row in found.rows]
    for row in rows:
        if not prompt_messages(row):
            raise UserError(f"{row.source}:{row.line} (id {row.id}) holds no prompt; expected a prompt or messages")
    return rows, found.rejects


def request_of(row: Row) -> str:
    """What is asked last."""
    messages = prompt_messages(row)
    assert messages
    return messages[-1]["content"]


def with_request(row: Row, request: str) -> Row:
    """The same conversation with another last turn."""
    if isinstance(row.prompt, str):
        return dataclasses.replace(row, prompt=request)
    messages = prompt_messages(row)
    assert messages
    return dataclasses.replace(row, messages=None, prompt=(*messages[:-1], {**messages[-1], "content": request}))
