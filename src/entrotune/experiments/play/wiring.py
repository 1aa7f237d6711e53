"""Between gradio's events and the handlers: errors become a notice on the page, and what was there stays."""

import functools
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from entrotune.errors import UserError
from entrotune.experiments.play import drawing
from entrotune.experiments.play.handlers import Request
from entrotune.experiments.play.shaping import Shaping

Handler = Callable[..., Any]
RANGES = {"temperature": (0.0, 3.0), "top-k": (0, 200), "top-p": (0.01, 1.0), "min-p": (0.0, 0.5)}
"""Ends of the sliders."""


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

    What is used again while it is answered is answered anew afterwards. Generators, which are streamed, then run beside
    each other; their handler ends the earlier one.

    Args:
        lively: for sliders: nothing is dimmed meanwhile.
    """
    streams = inspect.isgeneratorfunction(handler)
    return gr.on(
        list(triggers),
        answering(handler, len(outputs)),
        list(inputs),
        [notice, *outputs],
        preprocess=False,  # numbers out of their range are told here, and not by a message of gradio's
        show_progress="hidden" if lively else "minimal",
        trigger_mode="multiple" if streams else "always_last",
        queue=streams,  # gradio closes the queue's stream of answers with its last one, and loses those that begin then
        api_visibility="private",
    )


def on_press(tokens: gr.HTML, handler: Handler, inputs: Sequence[Any], notice: gr.HTML, outputs: Sequence[Any]) -> None:
    """Have a handler answer a press on a token; after the first input it is told row, place and number of the press.

    Every press is answered: of gradio's "always_last" the last answer is for the place that was pressed first.
    """
    safe = answering(handler, len(outputs))

    def pressed(opened: Any, event: gr.EventData, *others: Any) -> Any:
        told = event._data if isinstance(event._data, dict) else {}
        return safe(opened, *(told.get(name) for name in ("row", "at", "number")), *others)

    tokens.press(
        pressed,
        list(inputs),
        [notice, *outputs],
        preprocess=False,
        show_progress="minimal",
        trigger_mode="multiple",
        queue=False,
        api_visibility="private",
    )


def answering(handler: Handler, outputs: int) -> Handler:
    """The handler with a notice before its outputs: empty, or what went wrong, the outputs then staying as they are."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*values: Any) -> Iterator[tuple[Any, ...]]:
            try:
                for found in handler(*values):
                    yield ("", *([gr.skip()] * outputs if found is None else found))
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


def shaping(temperature: float | None, top_k: float | None, top_p: float | None, min_p: float | None) -> Shaping:
    """The settings of the sliders.

    Raises:
        UserError: a number was left out or is none.
    """
    return Shaping(
        temperature=within("temperature", temperature),
        top_k=_whole("top-k", within("top-k", top_k)),
        top_p=within("top-p", top_p),
        min_p=within("min-p", min_p),
    )


def within(name: str, value: float | None) -> float:
    """The setting of a slider; beyond its ends, as while it is typed, the end, to which the slider then goes.

    Raises:
        UserError: the number was left out or is none.
    """
    low, high = RANGES[name]
    return min(high, max(low, _number(name, value)))


def request(
    prompt: str,
    chat: bool,
    strategy: str,
    samples: float | None,
    new_tokens: float | None,
    seed: float | None,
) -> Request:
    """What is asked for in a form.

    Raises:
        UserError: a number was left out or is none.
    """
    return Request(
        prompt=prompt or "",
        chat=chat,
        strategy=strategy or "",
        samples=_whole("samples", samples),
        max_new_tokens=_whole("new tokens", new_tokens),
        seed=_whole("seed", seed),
    )


def _number(name: str, value: float | None) -> float:
    if value is None or not math.isfinite(value):
        raise UserError(f"{name} is {'empty' if value is None else value}; expected a number")
    return float(value)


def _whole(name: str, value: float | None) -> int:
    number = _number(name, value)
    if number != int(number):
        raise UserError(f"{name} is {value}; expected a whole number")
    return int(number)


def file_text(file: Mapping[str, Any]) -> str:
    """The text of an uploaded file, as gradio describes it.

    Raises:
        UserError: it is no UTF-8 text.
    """
    try:
        return Path(file["path"]).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"the file is no UTF-8 text: byte {error.start:,} cannot be read") from None
