"""The page of tokens in a real browser. Skipped, with the reason, where there is none.

The first of `chromium`, `chromium-browser`, `google-chrome` and `chrome` on the path is used; none is downloaded.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from entrotune.decoding.kept import kept_by
from entrotune.experiments.token_pages import show
from entrotune.scoring.examine import examine
from entrotune.scoring.examined import Examined
from tiny import byte_tokenizer, tiny_llama

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(BROWSERS)} is on the path")

TEXT = "the </script><b>cat</b>\nsat 💡"
SETTINGS: tuple[dict[str, float], ...] = (
    {"temperature": 0.7, "top_k": 5},
    {"temperature": 1.5, "top_k": 12, "top_p": 0.8},
    {"top_k": 15, "min_p": 0.1},
    {"temperature": 0.0},
    {"temperature": 0.3, "top_p": 0.5},
)
OTHER = "another text, of more tokens than the first one has, so that it is long"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Examined]:
    """The address of a page, and the first of its texts."""
    model, tokenizer = tiny_llama(), byte_tokenizer()
    torch.nn.init.normal_(model.lm_head.weight, std=0.6)
    path = tmp_path_factory.mktemp("pages") / "page.html"
    show([TEXT, OTHER], (model, tokenizer)).save(path)
    return path.as_uri(), examine(TEXT, model, tokenizer)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, made: tuple[str, Examined], request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page in a new tab; it asks for nothing, and its script does not fail."""
    context = browser.new_context(**{"viewport": {"width": 1300, "height": 1000}, **getattr(request, "param", {})})
    page = context.new_page()
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda said: failed.append(said.text) if said.type == "error" else None)
    page.goto(made[0])
    yield page
    context.close()
    assert asked == [made[0]]
    assert failed == []


def numbers(page: Any) -> dict[str, str]:
    terms, values = page.locator("#panel-numbers dt"), page.locator("#panel-numbers dd")
    return dict(zip(terms.all_inner_texts(), values.all_inner_texts(), strict=True))


def set_to(page: Any, name: str, value: float) -> None:
    page.locator(f"#{name}").evaluate("(one, to) => { one.value = to; one.dispatchEvent(new Event('input')); }", value)


def bars(page: Any) -> list[str]:
    """What the bars say of the listed tokens, without head, others and a token that is not listed."""
    return [one.inner_text() for one in page.locator("#bars li:not(.head) .p").all()][:20]


def percentage(told: str) -> float:
    return float(re.sub("[^0-9.]", "", told)) / 100


def test_a_token_pressed_shows_the_prediction_it_came_from(page: Any, made: tuple[str, Examined]) -> None:
    examined = made[1]
    tokens = page.locator('[data-text="0"] .t')
    assert tokens.count() == len(examined.tokens) + 1  # and what would follow
    assert page.locator(".tokens b").count() == 0
    tokens.nth(5).click()
    token = examined.tokens[5]
    for term, value in (("Surprisal", token.nll), ("Entropy", token.entropy)):
        told, unit = numbers(page)[term].split()
        assert (float(told), unit) == (pytest.approx(value, abs=1e-3), "nats")
    assert numbers(page)["Rank"] == f"{(token.rank or 0) + 1} of 300"
    assert percentage(bars(page)[0]) == pytest.approx(examined.distribution(5).probabilities[0], abs=6e-4)
    tokens.nth(len(examined.tokens)).click()
    assert page.locator("#panel-token").inner_text() == "▷ What would follow"
    assert set(numbers(page)) == {"Entropy", "Varentropy"}
    tokens.nth(0).click()
    assert "nothing was predicted" in page.locator("#panel-place").inner_text()


def test_what_settings_keep_is_exact_where_the_listed_tokens_decide(page: Any, made: tuple[str, Examined]) -> None:
    for settings in SETTINGS:
        page.locator("#reset").click()
        for name, value in settings.items():
            set_to(page, name.replace("_", "-"), value)
        for index in (3, 8):
            page.locator('[data-text="0"] .t').nth(index).click()
            kept = kept_by(made[1].log_probabilities(index), **settings)  # type: ignore[arg-type]
            told = [percentage(one) for one in bars(page)]
            assert sum(one > 0 for one in told) == len(kept.ids), settings
            assert told[: len(kept.ids)] == pytest.approx(kept.probabilities, abs=6e-4), settings
            sentence = page.locator("#kept").inner_text()
            assert sentence.startswith(f"{len(kept.ids)} of 300 tokens would be kept")
            assert f"an entropy of {kept.entropy:.2f} nats" in sentence


def test_what_the_others_decide_is_a_range_that_holds_the_truth(page: Any, made: tuple[str, Examined]) -> None:
    for index in (2, 9, 20):
        page.locator('[data-text="0"] .t').nth(index).click()
        for temperature in (0.5, 0.85, 1.25, 1.5, 2.0):
            set_to(page, "temperature", temperature)
            truth = 1 - sum(kept_by(made[1].log_probabilities(index), temperature=temperature).probabilities[:20])
            told = re.search(r"would have (.*) of the probability", page.locator("#kept").inner_text())
            assert told is not None
            ends = [percentage(one) for one in told[1].split(" to ")]
            assert ends[0] - 2e-3 <= truth <= ends[-1] + 2e-3
            if temperature == 2.0:
                assert ends[-1] - ends[0] < 2e-3  # the file has it exactly


def test_a_keyboard_is_enough(page: Any, made: tuple[str, Examined]) -> None:
    tokens = page.locator('[data-text="1"] .t')
    tokens.nth(1).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    assert tokens.nth(11).get_attribute("aria-pressed") == "true"
    assert page.locator('.t[aria-pressed="true"]').count() == 1
    page.keyboard.press("End")
    page.keyboard.press(" ")
    assert page.locator("#panel-token").inner_text() == "▷ What would follow"
    assert page.locator('[data-text="1"] [tabindex="0"]').count() == 1


def test_each_line_has_a_direction_of_its_own(page: Any) -> None:
    """So that a line of another script is not turned about."""
    page.locator('[data-text="0"]').evaluate("one => { one.dir = 'rtl'; }")
    boxes = [page.locator('[data-text="0"] .t').nth(at).bounding_box() for at in (2, TEXT.index("\n") - 1)]
    assert boxes[0]["x"] < boxes[1]["x"]


def test_colours_follow_the_measure(page: Any, made: tuple[str, Examined]) -> None:
    def shade() -> float:
        return float(page.locator('[data-text="0"] .t').nth(4).evaluate("one => one.style.getPropertyValue('--v')"))

    before = shade()
    page.locator("#measure span", has_text="Surprisal").click()
    assert shade() != before
    assert "Surprisal" in page.locator("#legend").inner_text()
    assert "Surprisal over the tokens" in (page.locator(".trace svg").first.get_attribute("aria-label") or "")
    page.locator('[data-text="0"] .t').nth(4).hover()
    assert f"surprisal {made[1].tokens[4].nll:.2f} nats" in page.locator("#tip").inner_text()


@pytest.mark.parametrize("page", [{"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"}], indirect=True)
def test_a_phone_shows_the_panel_over_the_text_and_closes_it(page: Any) -> None:
    assert page.locator("#panel").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    token = page.locator('[data-text="0"] .t').nth(6)
    token.click()
    panel = page.locator("#panel")
    assert panel.is_visible()
    assert token.bounding_box()["y"] + token.bounding_box()["height"] <= panel.bounding_box()["y"]
    assert page.locator("#bars li:visible").count() < 14
    page.locator("#all").click()
    assert page.locator("#bars li:visible").count() >= 22
    page.keyboard.press("Escape")
    assert panel.is_hidden()


def test_a_frame_of_a_notebook_works(browser: Any, tmp_path: Path) -> None:
    view = show("ab cd", (tiny_llama(), byte_tokenizer()))
    cell = f'<!doctype html><div style="width: 9px">{view._repr_html_()}</div>'  # as before a notebook is laid out
    (tmp_path / "notebook.html").write_text(cell, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "notebook.html").as_uri())
    frame = page.frame_locator("iframe")
    playwright.expect(frame.locator(".t")).not_to_have_count(0)
    page.locator("div").evaluate("one => { one.style.width = '1200px'; }")
    playwright.expect(frame.locator('.t[aria-pressed="true"]')).to_have_count(1)  # there is room now, so one is open
    frame.locator(".t").nth(2).click()
    assert frame.locator("#panel-token").inner_text() == "“␣”"
    page.close()
