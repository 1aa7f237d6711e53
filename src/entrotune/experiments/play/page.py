"""The page: its tabs, and which handler answers what."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from entrotune.experiments.play import drawing, parts
from entrotune.experiments.play.handlers import PRESS_A_TOKEN, Opened, Page, opened_at
from entrotune.experiments.play.serving import MOST_FILE_BYTES
from entrotune.experiments.play.wiring import file_text, on, on_press, request, shaping

EXAMPLE = (
    "The capital of France is Paris. The capital of Australia is Canberra, though many people would say Sydney.\n"
    "My favourite fruit is the mango."
)


def look() -> dict[str, Any]:
    """Theme and style, for gradio; fonts are the reader's own."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.sky, neutral_hue=gr.themes.colors.slate, font=sans, font_mono=mono
    )
    return {"theme": theme, "css": parts.asset("play.css")}


def build(page: Page) -> gr.Blocks:
    """The page of one model or two."""
    with gr.Blocks(title="entrotune play", analytics_enabled=False) as blocks:
        parts.html(drawing.heading(page.models))
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
    notice = parts.notice("read")
    text = gr.Textbox(EXAMPLE, label="Text", lines=4, max_lines=12, elem_id="read-text")
    chat = parts.chat_box(page, "Read it as a chat message that the model is about to answer", value=False)
    with gr.Row(elem_classes=["buttons"]):
        go = gr.Button("Read", variant="primary", elem_id="read-go")
        file = gr.UploadButton(f"Open a text file, up to {MOST_FILE_BYTES // 1000:,} kB", file_types=["text"])
    by, scale, tokens = _coloured("read", "Read a text to see it here, a colour a token.")
    opened = gr.State(None)
    sliders, panel = _position(page, "read", opened, tokens, notice)

    def read(text: str, chat: bool, by: str, *settings: float) -> tuple[Any, ...]:
        found, coloured = page.read(text, chat, by)
        return found, coloured, page.position(found, shaping(*settings))

    def open_file(path: str, *others: Any) -> Iterator[tuple[Any, ...]]:
        text = file_text(path)
        yield text, gr.skip(), gr.skip(), gr.skip()
        yield text, *read(text, *others)

    inputs, outputs = [text, chat, by, *sliders], [opened, tokens, panel]
    on([go.click, text.submit, chat.change], read, inputs, notice, outputs)
    on([file.upload], open_file, [file, *inputs[1:]], notice, [text, *outputs])
    parts.scale_below(by, scale, "read-tokens")


def _write_tab(page: Page) -> None:
    notice = parts.notice("write")
    asking = parts.asking(page, "write")
    by, scale, tokens = _coloured("write", "Responses will be here, with the entropy of each choice below.")
    opened = gr.State(None)
    _position(page, "write", opened, tokens, notice)

    def write(by: str, *asked: Any) -> Iterator[tuple[Any, ...]]:
        yield from page.write(request(*asked), by)

    running = on([asking.go.click, asking.prompt.submit], write, [by, *asking.inputs], notice, [opened, tokens])
    parts.stops(asking, running, "write-tokens")
    parts.scale_below(by, scale, "write-tokens")


def _compare_tab(page: Page) -> None:
    notice = parts.notice("compare")
    text = gr.Textbox(EXAMPLE, label="Text", lines=3, max_lines=12, elem_id="compare-text")
    chat = parts.chat_box(page, "Read it as a chat message that the models are about to answer", value=False)
    with gr.Row(elem_classes=["buttons"]):
        go = gr.Button("Compare", variant="primary", elem_id="compare-go")
    by = gr.Radio(list(drawing.DIFFERENCES), value="surprisal", label="Colour by the change of", elem_id="compare-by")
    coloured, meaning = page.colour_difference(None, "surprisal")
    scale = parts.html(meaning)
    tokens = parts.tokens(coloured, elem_id="compare-tokens")
    temperature = gr.Slider(0, 3, 1, step=0.05, label="Temperature", elem_id="compare-temperature")
    panel = parts.html(drawing.empty(PRESS_A_TOKEN), elem_id="compare-panel")
    opened = gr.State(None)

    def compare(text: str, chat: bool, by: str, temperature: float) -> tuple[Any, ...]:
        found, coloured, meaning = page.compare(text, chat, by)
        return found, coloured, meaning, page.differ(found, temperature)

    def press(opened: Opened | None, row: Any, at: Any, temperature: float) -> tuple[Any, ...]:
        found = opened_at(opened, row, at)
        return found, page.differ(found, temperature)

    shown = [opened, tokens, scale, panel]
    on([go.click, text.submit, chat.change], compare, [text, chat, by, temperature], notice, shown)
    on([by.change], page.colour_difference, [opened, by], notice, [tokens, scale])
    on_press(tokens, press, [opened, temperature], notice, [opened, panel])
    again = [opened, temperature]
    on([temperature.change], lambda *values: (page.differ(*values),), again, notice, [panel], lively=True)


def _write_both(page: Page) -> None:
    parts.html("<h2>Responses side by side</h2>")
    notice = parts.notice("both")
    asking = parts.asking(page, "both")
    both = parts.html(drawing.empty("Responses of both models will be here."), elem_id="both-samples")

    def write(*asked: Any) -> Iterator[tuple[Any, ...]]:
        for picture in page.write_both(request(*asked), "entropy"):
            yield (picture,)

    running = on([asking.go.click, asking.prompt.submit], write, asking.inputs, notice, [both])
    parts.stops(asking, running, "both-samples")


def _coloured(name: str, before: str) -> tuple[gr.Radio, gr.HTML, gr.HTML]:
    """A choice of colours, what they mean, and the tokens."""
    by = gr.Radio(list(drawing.COLOURINGS), value="entropy", label="Colour by", elem_id=f"{name}-by")
    scale = parts.html(drawing.scale("entropy"))
    return by, scale, parts.tokens(drawing.empty(before), elem_id=f"{name}-tokens")


def _position(
    page: Page, name: str, opened: gr.State, tokens: gr.HTML, notice: gr.HTML
) -> tuple[list[gr.Slider], gr.HTML]:
    """Sliders, and the distribution at the token that is pressed."""
    sliders = parts.sliders(name)
    panel = parts.html(drawing.empty(PRESS_A_TOKEN), elem_id=f"{name}-panel")

    def press(opened: Opened | None, row: Any, at: Any, *settings: float) -> tuple[Any, ...]:
        found = opened_at(opened, row, at)
        return found, page.position(found, shaping(*settings))

    def reshape(opened: Opened | None, *settings: float) -> tuple[Any, ...]:
        return (page.position(opened, shaping(*settings)),)

    on_press(tokens, press, [opened, *sliders], notice, [opened, panel])
    on([one.change for one in sliders], reshape, [opened, *sliders], notice, [panel], lively=True)
    return sliders, panel
