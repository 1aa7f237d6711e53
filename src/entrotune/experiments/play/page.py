"""The page: its tabs, and which handler answers what."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import gradio as gr

from entrotune.experiments.play import drawing, parts
from entrotune.experiments.play.handlers import PRESS_A_TOKEN, Opened, Page, Panel, Turns, pressed_at
from entrotune.experiments.play.serving import MOST_FILE_BYTES
from entrotune.experiments.play.wiring import RANGES, file_text, on, on_press, request, shaping, within
from entrotune.experiments.play.worker import GivenUpError, Wanted

EXAMPLE = (
    "The capital of France is Paris. The capital of Australia is Canberra, though many people would say Sydney.\n"
    "My favourite fruit is the mango."
)

_BLUE = "#0069a8"  # as in reports


def look() -> dict[str, Any]:
    """Theme and style, for gradio; fonts are the reader's own."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]
    # White on the darkest of these, and each of these on its paper, can be read (WCAG 2.2, 1.4.3).
    blue = gr.themes.Color(
        "#eef6fb",
        "#d5e9f5",
        "#abd3eb",
        "#7cc0f5",
        "#5bb8ee",
        _BLUE,
        "#005a91",
        "#004c7a",
        "#003d63",
        "#002f4c",
        "#002033",
    )
    theme = gr.themes.Base(primary_hue=blue, neutral_hue=gr.themes.colors.slate, font=sans, font_mono=mono).set(
        body_text_color_subdued="#545b64",
        body_text_color_subdued_dark="#a4abb4",
        button_primary_background_fill_dark=_BLUE,
        button_primary_background_fill_hover_dark="#007ac2",
    )
    return {"theme": theme, "css": parts.asset("play.css")}


def build(page: Page) -> gr.Blocks:
    """The page of one model or two."""
    with gr.Blocks(title="entrotune play", analytics_enabled=False) as blocks:
        parts.html(drawing.heading(page.models), js_on_load=parts.asset("keys.js") + parts.asset("heard.js"))
        with gr.Tabs():
            with gr.Tab("Read", id="read"):
                _read_tab(page)
            with gr.Tab("Write", id="write"):
                _write_tab(page)
            with gr.Tab("Compare", id="compare"):
                if len(page.models) == 2:
                    _compare_tab(page)
                    _write_both(page)
                else:
                    parts.html(drawing.empty("Start the page with --compare and a second model to see both here."))
    return blocks.queue(default_concurrency_limit=4, max_size=32, api_open=False)


def _read_tab(page: Page) -> None:
    text = gr.Textbox(EXAMPLE, label="Text", lines=4, max_lines=12, elem_id="read-text")
    chat = parts.chat_box(page, "Read it as a chat message that the model is about to answer", value=False)
    with gr.Row(elem_classes=["buttons"]):
        go, stop = parts.go_and_stop("Read", "read")
        file = gr.UploadButton(f"Open a text file, up to {MOST_FILE_BYTES // 1_000_000} MB", file_types=["text"])
    notice = parts.notice("read")
    by, tokens = _coloured("read", "Read a text to see it here, a colour a token.")
    opened, shown, panel = _position(page, "read", tokens, notice)

    def read(text: str, chat: bool, by: str, shown: Panel) -> tuple[Any, ...]:
        found, end, coloured = page.read(text, chat, by, shown.reading())
        return found, coloured, _position_of(page, shown, shown.press(end))

    def open_file(file: Mapping[str, Any], *others: Any) -> Iterator[tuple[Any, ...]]:
        text = file_text(file)
        yield text, *[gr.skip()] * len(outputs)
        yield text, *read(text, *others)

    inputs, outputs = [text, chat, by, shown], [opened, tokens, panel]
    on([go.click, text.submit, chat.change], read, inputs, notice, outputs)
    on([file.upload], open_file, [file, *inputs[1:]], notice, [text, *outputs])
    parts.stops(stop, shown)


def _write_tab(page: Page) -> None:
    asking = parts.asking(page, "write")
    notice = parts.notice("write")
    by, tokens = _coloured("write", "Responses will be here, with the entropy of each choice below.")
    opened, shown, panel = _position(page, "write", tokens, notice)
    writings = gr.State(Turns())

    def write(by: str, shown: Panel, writings: Turns, *asked: Any) -> Iterator[tuple[Any, ...] | None]:
        first = True
        for picture in _the_last(writings, partial(page.write, request(*asked), by)):
            if picture is None:
                yield None
                continue
            if first:  # what was pressed is gone with the responses before, but not what is pressed meanwhile
                shown.press(None)
            yield *picture, drawing.empty(PRESS_A_TOKEN) if first else gr.skip()
            first = False

    inputs, outputs = [by, shown, writings, *asking.inputs], [opened, tokens, panel]
    on([asking.go.click, asking.prompt.submit], write, inputs, notice, outputs)
    parts.stops(asking.stop, writings)


def _compare_tab(page: Page) -> None:
    text = gr.Textbox(EXAMPLE, label="Text", lines=3, max_lines=12, elem_id="compare-text")
    chat = parts.chat_box(page, "Read it as a chat message that the models are about to answer", value=False)
    with gr.Row(elem_classes=["buttons"]):
        go, stop = parts.go_and_stop("Compare", "compare")
    notice = parts.notice("compare")
    by = gr.Radio(list(drawing.DIFFERENCES), value="surprisal", label="Colour by the change of", elem_id="compare-by")
    coloured, meaning = page.colour_difference(None, None, "surprisal")
    scale = parts.html(meaning)
    tokens = parts.tokens(coloured, elem_id="compare-tokens")
    temperature = gr.Slider(*RANGES["temperature"], 1, step=0.05, label="Temperature", elem_id="compare-temperature")
    panel = parts.html(drawing.empty(PRESS_A_TOKEN), elem_id="compare-panel")
    opened, shown = gr.State(None), gr.State(Panel([temperature.value]))

    def differing(shown: Panel, wanted: Wanted) -> Any:
        return _last(partial(page.differ, shown.pressed, within("temperature", *shown.settings)), wanted)

    def compare(text: str, chat: bool, by: str, shown: Panel) -> tuple[Any, ...]:
        found, end, coloured, meaning = page.compare(text, chat, by, shown.reading())
        return found, coloured, meaning, differing(shown, shown.press(end))

    def press(opened: Opened | None, row: Any, at: Any, number: Any, shown: Panel) -> tuple[Any, ...]:
        return (differing(shown, shown.press(pressed_at(opened, row, at), number)),)

    def reshape(shown: Panel, temperature: float | None) -> tuple[Any, ...]:
        return (gr.skip() if temperature is None else differing(shown, shown.slide([temperature])),)

    def recolour(opened: Opened | None, shown: Panel, by: str) -> tuple[Any, ...]:
        return page.colour_difference(opened, shown.pressed, by)

    inputs, outputs = [text, chat, by, shown], [opened, tokens, scale, panel]
    on([go.click, text.submit, chat.change], compare, inputs, notice, outputs)
    on([by.change], recolour, [opened, shown, by], notice, [tokens, scale])
    on_press(tokens, press, [opened, shown], notice, [panel])
    on([temperature.change], reshape, [shown, temperature], notice, [panel], lively=True)
    parts.stops(stop, shown)


def _write_both(page: Page) -> None:
    parts.html("<h2>Responses side by side</h2>")
    asking = parts.asking(page, "both")
    notice = parts.notice("both")
    both = parts.html(drawing.empty("Responses of both models will be here."), elem_id="both-samples")
    writings = gr.State(Turns())

    def write(writings: Turns, *asked: Any) -> Iterator[tuple[Any, ...] | None]:
        for picture in _the_last(writings, partial(page.write_both, request(*asked), "entropy")):
            yield None if picture is None else (picture,)

    on([asking.go.click, asking.prompt.submit], write, [writings, *asking.inputs], notice, [both])
    parts.stops(asking.stop, writings)


def _coloured(name: str, before: str) -> tuple[gr.Radio, gr.HTML]:
    """A choice of colours, which the style follows by itself, and the tokens."""
    by = gr.Radio(list(drawing.COLOURINGS), value="entropy", label="Colour by", elem_id=f"{name}-by")
    parts.html(drawing.scales())
    return by, parts.tokens(drawing.empty(before), elem_id=f"{name}-tokens")


def _position(page: Page, name: str, tokens: gr.HTML, notice: gr.HTML) -> tuple[gr.State, gr.State, gr.HTML]:
    """What is open, what the panel shows, and the panel: the distribution at the token that is pressed."""
    sliders = parts.sliders(name)
    opened, shown = gr.State(None), gr.State(Panel([one.value for one in sliders]))
    panel = parts.html(drawing.empty(PRESS_A_TOKEN), elem_id=f"{name}-panel")

    def press(opened: Opened | None, row: Any, at: Any, number: Any, shown: Panel) -> tuple[Any, ...]:
        return (_position_of(page, shown, shown.press(pressed_at(opened, row, at), number)),)

    def reshape(shown: Panel, *settings: float | None) -> tuple[Any, ...]:
        known = [one for one in settings if one is not None]  # while a number is typed there may be none
        return (gr.skip() if len(known) < len(settings) else _position_of(page, shown, shown.slide(known)),)

    on_press(tokens, press, [opened, shown], notice, [panel])
    on([one.change for one in sliders], reshape, [shown, *sliders], notice, [panel], lively=True)
    return opened, shown, panel


def _position_of(page: Page, shown: Panel, wanted: Wanted) -> Any:
    """The distribution at the token that is pressed, with the settings there are."""
    return _last(partial(page.position, shown.pressed, shaping(*shown.settings)), wanted)


def _last(find: Callable[..., Any], wanted: Wanted) -> Any:
    """What is to be shown, unless something was pressed, slid or stopped since then, which is answered too."""
    try:
        found = find(wanted=wanted)
    except GivenUpError:
        return gr.skip()
    return found if wanted() else gr.skip()


def _the_last(turns: Turns, write: Callable[..., Iterator[Any]]) -> Iterator[Any]:
    """Pictures of what is written, until it is stopped, which is said, or asked for anew."""
    try:
        yield from write(turns.begin())
    except GivenUpError:
        if turns.stopped:
            raise
