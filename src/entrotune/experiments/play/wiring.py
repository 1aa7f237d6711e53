"""Between gradio's events and the handlers: errors become a notice on the page, and what was there stays."""

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from entrotune.errors import UserError
from entrotune.experiments.play import drawing
from entrotune.experiments.play.handlers import Request
from entrotune.experiments.play.shaping import Shaping

Handler = Callable[..., Any]


def on(
    triggers: Sequence[Any],
    handler: Handler,
    inputs: Sequence[Any],
    notice: gr.HTML,
    outputs: Sequence[Any],
    *,
    lively: bool = False,
) -> Any:
    """Have a handler answer events; its tuple goes to the outputs, its errors to the notice.

    Args:
        lively: for sliders: only the last of many events counts, and nothing is dimmed meanwhile.
    """
    return gr.on(
        list(triggers),
        answering(handler, len(outputs)),
        list(inputs),
        [notice, *outputs],
        show_progress="hidden" if lively else "minimal",
        trigger_mode="always_last" if lively else None,
        api_visibility="private",
    )


def on_press(tokens: gr.HTML, handler: Handler, inputs: Sequence[Any], notice: gr.HTML, outputs: Sequence[Any]) -> None:
    """Have a handler answer a press on a token; it is told row and place of the token after the first input."""
    safe = answering(handler, len(outputs))

    def pressed(opened: Any, event: gr.EventData, *others: Any) -> Any:
        told = event._data if isinstance(event._data, dict) else {}
        return safe(opened, told.get("row"), told.get("at"), *others)

    tokens.press(
        pressed,
        list(inputs),
        [notice, *outputs],
        show_progress="minimal",
        trigger_mode="always_last",
        api_visibility="private",
    )


def answering(handler: Handler, outputs: int) -> Handler:
    """The handler with a notice before its outputs: empty, or what went wrong, the outputs then staying as they are."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*values: Any) -> Iterator[tuple[Any, ...]]:
            try:
                for found in handler(*values):
                    yield ("", *found)
            except Exception as error:
                yield (_told(error), *[gr.skip()] * outputs)

        return stream

    @functools.wraps(handler)
    def answer(*values: Any) -> tuple[Any, ...]:
        try:
            return ("", *handler(*values))
        except Exception as error:
            return (_told(error), *[gr.skip()] * outputs)

    return answer


def _told(error: Exception) -> str:
    """What the page says of an error; those that nobody foresaw are printed where the page was started."""
    if isinstance(error, UserError):
        return drawing.notice(str(error))
    traceback.print_exception(error, file=sys.stderr)
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return drawing.notice(f"An error that should not be: {type(error).__name__}: {first}")


def shaping(temperature: float, top_k: float, top_p: float, min_p: float) -> Shaping:
    """The settings of the sliders."""
    return Shaping(temperature=float(temperature), top_k=int(top_k), top_p=float(top_p), min_p=float(min_p))


def request(prompt: str, chat: bool, strategy: str, samples: float, new_tokens: float, seed: float | None) -> Request:
    """What is asked for in a form.

    Raises:
        UserError: a number was left out or is none.
    """
    numbers = {"samples": samples, "new tokens": new_tokens, "seed": seed}
    for name, value in numbers.items():
        if value is None or value != int(value):
            raise UserError(f"{name} is {'empty' if value is None else value}; expected a whole number")
    return Request(
        prompt=prompt or "",
        chat=chat,
        strategy=strategy or "",
        samples=int(samples),
        max_new_tokens=int(new_tokens),
        seed=int(seed or 0),
    )


def file_text(path: str) -> str:
    """The text of an uploaded file.

    Raises:
        UserError: it is no UTF-8 text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"the file is no UTF-8 text: byte {error.start:,} cannot be read") from None
