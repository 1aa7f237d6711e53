"""Parts that several tabs of the page are made of."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import gradio as gr

from entrotune.experiments.play.handlers import MOST_SAMPLES, Page
from entrotune.experiments.play.strategies import OFFERS, strategy_at, takes_creativity
from entrotune.experiments.play.wiring import RANGES

PROMPT = "Write one sentence about a lighthouse."
MOST_CREATIVITY = 2.0
_FIRST_OFFER, _FIRST_CREATIVITY = next(iter(OFFERS)), 0.8


@dataclass(frozen=True)
class Asking:
    """The form that says what is to be written; `inputs` are as `wiring.request` takes them."""

    prompt: gr.Textbox
    go: gr.Button
    stop: gr.Button
    inputs: list[Any]


def html(value: str, **options: Any) -> gr.HTML:
    """HTML in the page's style."""
    return gr.HTML(value, elem_classes=["play"], **options)


def tokens(value: str, **options: Any) -> gr.HTML:
    """A text whose tokens can be pressed."""
    return html(value, js_on_load=asset("tokens.js"), **options)


def go_and_stop(label: str, name: str) -> tuple[gr.Button, gr.Button]:
    """The two buttons of a form, beside each other on a phone too."""
    go = gr.Button(label, variant="primary", min_width=120, elem_id=f"{name}-go")
    return go, gr.Button("Stop", min_width=120, elem_id=f"{name}-stop")


def notice(name: str) -> gr.HTML:
    """Where a tab says what went wrong."""
    return html("", elem_id=f"{name}-notice")


def chat_box(page: Page, label: str, *, value: bool) -> gr.Checkbox:
    """Whether a text is put into the models' chat template; hidden where one has none."""
    possible = all(model.chat for model in page.models)
    return gr.Checkbox(value and possible, label=label, visible=possible)


def sliders(name: str) -> list[gr.Slider]:
    """Temperature, top-k, top-p and min-p."""
    with gr.Row(elem_classes=["sliders"]):
        return [
            gr.Slider(*RANGES[which], start, step=step, label=label, min_width=180, elem_id=f"{name}-{which}")
            for which, start, step, label in (
                ("temperature", 0.8, 0.05, "Temperature"),
                ("top-k", 50, 1, "Top-k (0: all)"),
                ("top-p", 0.95, 0.01, "Top-p (1: all)"),
                ("min-p", 0.05, 0.01, "Min-p (0: all)"),
            )
        ]


def asking(page: Page, name: str) -> Asking:
    """A prompt, how to answer it, and two buttons."""
    prompt = gr.Textbox(PROMPT, label="Prompt", lines=2, max_lines=10, elem_id=f"{name}-prompt")
    chat = chat_box(page, "Send it as a chat message", value=True)
    with gr.Row():
        offer = gr.Dropdown(
            list(OFFERS), value=_FIRST_OFFER, label="Way of choosing tokens", min_width=220, elem_id=f"{name}-offer"
        )
        creativity = gr.Slider(
            0, MOST_CREATIVITY, _FIRST_CREATIVITY, step=0.05, label="Creativity", min_width=220,
            elem_id=f"{name}-creativity",
        )  # fmt: skip
        strategy = gr.Textbox(
            strategy_at(_FIRST_OFFER, _FIRST_CREATIVITY),
            label="Strategy (may be changed by hand)",
            info=OFFERS[_FIRST_OFFER].told,
            max_lines=1,
            min_width=260,
            elem_id=f"{name}-strategy",
        )
    with gr.Row():
        samples = gr.Slider(1, MOST_SAMPLES, 3, step=1, label="Samples", min_width=180, elem_id=f"{name}-count")
        new_tokens = gr.Slider(
            1, min(512, page.models[0].most), 48, step=1, label="New tokens at most", min_width=180,
            elem_id=f"{name}-length",
        )  # fmt: skip
        seed = gr.Number(0, label="Seed", precision=0, min_width=180, elem_id=f"{name}-seed")
    with gr.Row(elem_classes=["buttons"]):
        go, stop = go_and_stop("Write", name)

    def chosen(offer: str, creativity: float | None) -> tuple[Any, Any]:
        # While a number is typed there may be none, or one beyond the slider's ends.
        text = strategy_at(offer, min(MOST_CREATIVITY, max(0.0, creativity or 0.0)))
        return gr.update(value=text, info=OFFERS[offer].told), gr.update(interactive=takes_creativity(offer))

    gr.on(
        [offer.change, creativity.change],
        chosen,
        [offer, creativity],
        [strategy, creativity],
        preprocess=False,
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
        api_visibility="private",
    )
    return Asking(prompt, go, stop, [prompt, chat, strategy, samples, new_tokens, seed])


def stops(button: gr.Button, running: gr.State) -> None:
    """Have a button stop what has begun in `running`, a `Panel` or `Turns`; the answer that is given up says so."""
    button.click(lambda one: one.stop(), [running], None, show_progress="hidden", queue=False, api_visibility="private")


def asset(name: str) -> str:
    """A file of the page."""
    return (files("entrotune.experiments.play") / "assets" / name).read_text(encoding="utf-8")
