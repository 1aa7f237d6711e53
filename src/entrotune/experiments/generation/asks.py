"""What is asked: rows with a prompt, from the command line, a file or a template."""

import dataclasses
from pathlib import Path

from entrotune.data import Row, load_rows
from entrotune.data.rejects import Reject
from entrotune.data.rows import prompt_messages
from entrotune.decoding.fields import Template
from entrotune.errors import UserError
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.responses import check_responses

_OPEN = (
    "Name something one finds in a kitchen.",
    "Write one sentence that begins a story.",
    "Suggest a name for a cat.",
    "What could one do on a rainy afternoon?",
    "Write a line of a poem about the sea.",
)
_CHECKED = (("What is 7 + 5? Answer with the number.", 12), ("How many days has a week? Answer with the number.", 7))


def read_asks(config: GenerateConfig, template: Template | None) -> tuple[list[Row], list[Reject]]:
    """The prompts, and the rows of the file that hold none.

    Raises:
        UserError: the file cannot be read or holds no prompt, or more responses are wanted than can be held.
    """
    asks, rejects = _read(config, template)
    check_responses("n", config.n, len(asks))
    return asks, rejects


def _read(config: GenerateConfig, template: Template | None) -> tuple[list[Row], list[Reject]]:
    if template is not None:
        return [Row(id=Path(config.fields or "").stem, source=str(config.fields), prompt=template.prompt)], []
    if config.prompt is not None:
        if not config.prompt.strip():
            raise UserError("the prompt is empty; give the text to answer")
        return [Row(id="prompt", source="--prompt", prompt=config.prompt)], []
    if config.prompts is None:
        return _built_in(), []
    found = load_rows(config.prompts, format=config.format, columns=config.columns, limit=config.limit)
    # A line of a text file is a prompt here.
    rows = [dataclasses.replace(row, prompt=row.text, text=None) if row.text is not None else row for row in found.rows]
    for row in rows:
        if not prompt_messages(row):
            raise UserError(f"{row.source}:{row.line} (id {row.id}) holds no prompt; expected a prompt or messages")
    return rows, found.rejects


def _built_in() -> list[Row]:
    """The prompts that are used where none are given: open ones, and two with one right answer."""
    rows = [Row(id=f"open-{i}", source="built in", prompt=text) for i, text in enumerate(_OPEN)]
    return rows + [
        Row(id=f"checked-{i}", source="built in", prompt=text, checker={"kind": "numeric", "answer": answer})
        for i, (text, answer) in enumerate(_CHECKED)
    ]


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
