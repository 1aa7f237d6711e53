"""From a row to the text a model reads, with the spans of characters it learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from entrotune.data.rejects import RowError
from entrotune.data.rows import Message, Row, prompt_messages
from entrotune.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SUPERVISE = ("auto", "completion", "assistant", "all")


@dataclass(frozen=True)
class Rendered:
    """A training text. `spans` are supervised characters [start, end) in order.

    `learnt` is what stands in them, without the template's marks. `from_template`: the text holds its own special
    tokens. `needs_eos`: nothing in it marks the end of the answer.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    learnt: str
    from_template: bool
    needs_eos: bool


def check_system(tokenizer: "PreTrainedTokenizerBase", system: str | None) -> None:
    """Raise `UserError` for a system message that no chat template could carry."""
    if system and not tokenizer.chat_template:
        raise UserError("a system message was given, but the tokenizer has no chat template to put it in")


def render_prompt(tokenizer: "PreTrainedTokenizerBase", row: Row, *, system: str | None) -> str:
    """Return the text that a model continues with its answer.

    Raises:
        RowError: the row has no prompt, or the chat template refuses it.
    """
    messages = prompt_messages(row)
    if not messages:
        raise RowError("the row has no prompt to answer; it needs a prompt or messages with a turn before the answer")
    if tokenizer.chat_template:
        return _chat(tokenizer, with_system(messages, system), add_generation_prompt=True)
    return _plain_prompt(row)


def render_answer(
    tokenizer: "PreTrainedTokenizerBase", row: Row, answer: str, *, system: str | None, supervise: str
) -> Rendered:
    """Render a row that has a prompt with one of its answers.

    Raises:
        RowError: the chat template refuses the row, or rewrites earlier turns when later ones follow.
    """
    if not tokenizer.chat_template:
        prompt = _plain_prompt(row)
        start = 0 if supervise == "all" else len(prompt)
        text = prompt + answer
        return Rendered(text, ((start, len(text)),), text[start:], from_template=False, needs_eos=True)
    turns = (*(prompt_messages(row) or ()), {"role": "assistant", "content": answer})
    messages = with_system(turns, system)
    text = _chat(tokenizer, messages)
    last = len(messages) - 1
    learnt = [last]
    if supervise == "assistant":
        learnt = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    spans = [_turn_span(tokenizer, messages, index, text) for index in learnt]
    needs_eos = not _ends_turn(text[spans[-1][0] : spans[-1][1]], answer)
    if supervise == "all":
        return Rendered(text, ((0, len(text)),), text, True, needs_eos)
    contents = [messages[index]["content"] for index in learnt]
    written = [_as_written(text[start:end], one) for (start, end), one in zip(spans, contents, strict=True)]
    return Rendered(text, tuple(spans), "".join(written), True, needs_eos)


def with_system(messages: Sequence[Message], system: str | None) -> list[Message]:
    """Put a system message first, unless `system` is `None` or the conversation brings its own."""
    if system is None or messages[0]["role"] in ("system", "developer"):
        return list(messages)
    return [{"role": "system", "content": system}, *messages]


def _turn_span(tokenizer: "PreTrainedTokenizerBase", messages: list[Message], index: int, text: str) -> tuple[int, int]:
    """Return where turn `index` stands in `text`, from after its header to the end of its end-of-turn mark."""
    header = _chat(tokenizer, messages[:index], add_generation_prompt=True)
    through = text if index == len(messages) - 1 else _chat(tokenizer, messages[: index + 1])
    if not text.startswith(through) or not through.startswith(header):
        raise RowError(
            f"not renderable turn by turn: the chat template writes what stands before turn {index + 1} differently "
            "when that turn follows, so its tokens cannot be told apart"
        )
    turn = through[len(header) :]
    content = messages[index]["content"]
    # White space after the end-of-turn mark is the template's; white space that ends the content is the author's.
    length = max(len(turn.rstrip()), len(content) if turn.startswith(content) else 0)
    return len(header), len(header) + length


def _ends_turn(turn: str, content: str) -> bool:
    """Tell whether a rendered turn holds more after its content: the mark that it ends here."""
    return bool(turn.partition(content.strip())[2].strip())


def _as_written(turn: str, content: str) -> str:
    """The content of a turn as the template wrote it: many strip it."""
    stripped = content.strip()
    return stripped if content not in turn and stripped in turn else content


def _plain_prompt(row: Row) -> str:
    if not isinstance(row.prompt, str):
        raise RowError("messages need a chat template, and the tokenizer has none; give prompt and completion as text")
    return row.prompt


def _chat(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], *, add_generation_prompt: bool = False
) -> str:
    if not messages:
        raise RowError("the conversation starts with the assistant; the chat template needs a turn before it")
    try:
        text = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise RowError(f"the chat template refuses the row: {error}") from None
    assert isinstance(text, str)
    return text
