"""The page in a real browser: typed in, pressed, slid and broken. Skipped, with the reason, where there is no browser.

The first of `chromium`, `chromium-browser`, `google-chrome` and `chrome` on the path is used; none is downloaded.
"""

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiny import byte_tokenizer, tiny_llama

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'entrotune[play]'")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(BROWSERS)} is on the path")

PATIENCE = 30_000  # milliseconds, on a machine that does other things too


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page with two tiny models, served in a thread; deep ones, so that an answer has a middle to be met in."""
    from entrotune.experiments.play.running import started

    folders = [tmp_path_factory.mktemp("models") / name for name in ("base", "tuned")]
    for seed, folder in enumerate(folders):
        tiny_llama(seed=seed, num_hidden_layers=12).save_pretrained(folder)
        byte_tokenizer().save_pretrained(folder)
    with (
        _environment_kept(),
        started(str(folders[0]), compare=str(folders[1]), max_tokens=300, device="cpu") as running,
    ):
        thread = threading.Thread(target=running.serve)
        thread.start()
        yield running
        running.server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """gradio switches the telemetry of others off by environment variables, which other tests look at."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(running: Any, browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A new tab; nothing it asks for is elsewhere, and no script of it fails."""
    context = browser.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    playwright.expect.set_options(timeout=PATIENCE)
    elsewhere: list[str] = []
    failed: list[str] = []
    page.on("request", lambda asked: elsewhere.append(asked.url) if not _own(asked.url, running.url) else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(running.url)
    page.wait_for_selector("#read-text textarea")
    yield page
    context.close()
    assert elsewhere == []
    assert failed == []


def _own(url: str, page: str) -> bool:
    return url.startswith((page, "data:", "blob:"))


def read(page: Any, text: str) -> None:
    page.fill("#read-text textarea", text)
    page.click("#read-go")


def set_number(page: Any, selector: str, value: str) -> None:
    page.fill(f"{selector} input[type=number]", value)
    page.keyboard.press("Tab")


@contextlib.contextmanager
def in_the_middle(page: Any, worker: Any) -> Iterator[None]:
    """A long response of which the beginning is written; in the block the model's process says no more."""
    page.get_by_role("tab", name="Write").click()
    page.fill("#write-prompt textarea", "Name a fruit.")
    page.locator("#write-strategy textarea, #write-strategy input").fill("greedy")
    wanted = {"#write-count": "1", "#write-length": "230"}
    while any(page.input_value(f"{place} input[type=number]") != value for place, value in wanted.items()):
        for place, value in wanted.items():
            set_number(page, place, value)
        page.wait_for_timeout(300)  # a page that is still being set up may put its own numbers back
    pid = worker.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        page.click("#write-go")
        deadline = time.monotonic() + PATIENCE / 1000
        while page.locator("#write-tokens .tok[data-at]").count() < 4:  # its computing may outrun the browser
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)
            os.kill(pid, signal.SIGSTOP)
            page.wait_for_timeout(300)
            assert time.monotonic() < deadline
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def has(page: Any, selector: str, text: str) -> None:
    playwright.expect(page.locator(selector)).to_contain_text(text)


def given_back(worker: Any) -> None:
    """Wait until nobody has the turn to ask a model."""
    assert worker._turn.acquire(timeout=PATIENCE / 1000)
    worker._turn.release()


def test_a_text_is_read_pressed_and_shaped(page: Any, tmp_path: Path) -> None:
    read(page, "A <b>mango</b>")
    has(page, "#read-panel", "What comes next")
    tokens = page.locator("#read-tokens .tok[data-at]")
    assert tokens.count() == len("A <b>mango</b>")
    assert page.locator("#read-tokens b").count() == 0

    tokens.nth(3).click()
    has(page, "#read-panel h2", "Token 5")
    assert page.locator("#read-panel .bars tbody tr").count() >= 20
    has(page, "#read-panel", "top-k 50")

    # By keyboard alone: to the next token, and a setting changed on its slider.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    has(page, "#read-panel h2", "Token 6")
    has(page, ".heard", "Token 6: “m”, entropy")
    page.locator("#read-temperature input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    has(page, "#read-panel", "temperature 0.85")
    set_number(page, "#read-top-k", "3")
    has(page, "#read-panel", "top-k 3")
    set_number(page, "#read-temperature", "99")  # the slider goes to its end, and the page with it
    has(page, "#read-panel", "temperature 3")
    set_number(page, "#read-temperature", "")
    has(page, "#read-panel", "temperature 0")
    assert page.locator("#read-notice [role=alert], .toast-body").count() == 0
    playwright.expect(page.locator("#read-panel .bars tr.cut")).not_to_have_count(0)

    before = tokens.nth(3).evaluate("one => getComputedStyle(one).backgroundColor")
    page.get_by_label("surprisal").first.check()
    has(page, "[role=tabpanel] .scale:visible", "10 nats")
    assert tokens.nth(3).evaluate("one => getComputedStyle(one).backgroundColor") != before
    page.screenshot(path=tmp_path / "read.png", full_page=True)
    assert (tmp_path / "read.png").stat().st_size > 10_000


def test_what_is_used_again_while_it_is_answered_is_answered_too(page: Any, running: Any) -> None:
    read(page, "A mango")
    has(page, "#read-panel", "What comes next")
    tokens = page.locator("#read-tokens .tok[data-at]")
    pid = running.workers[0].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        tokens.nth(2).click()
        page.wait_for_timeout(300)
        tokens.nth(5).click()
        page.wait_for_timeout(300)
    finally:
        os.kill(pid, signal.SIGCONT)
    has(page, "#read-panel h2", f"Token {int(tokens.nth(5).get_attribute('data-at')) + 1}")

    os.kill(pid, signal.SIGSTOP)
    try:
        read(page, "first")
        page.wait_for_timeout(300)
        read(page, "the second")
        page.wait_for_timeout(300)
    finally:
        os.kill(pid, signal.SIGCONT)
    playwright.expect(tokens).to_have_count(len("the second"))


def test_what_goes_wrong_is_told_and_the_page_lives_on(page: Any, running: Any) -> None:
    read(page, "fine")
    has(page, "#read-panel", "What comes next")
    for text, told in (("", "there is no text yet"), ("x" * 500, "at most 300")):
        read(page, text)
        has(page, "#read-notice [role=alert]", told)
        assert page.locator("#read-tokens .tok[data-at]").count() == 4  # what was there stays
    os.kill(running.workers[0].pid, signal.SIGKILL)  # its model is loaded anew for the next request
    read(page, "again")
    playwright.expect(page.locator("#read-tokens .tok[data-at]")).to_have_count(5)
    playwright.expect(page.locator("#read-notice [role=alert]")).to_have_count(0)


def test_responses_are_written_and_pressed(page: Any, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Write").click()
    page.fill("#write-prompt textarea", "Name a fruit.")
    page.locator("#write-creativity input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#write-strategy textarea, #write-strategy input")).to_have_value(
        "temperature(0.85) + top_p(0.95)"
    )
    page.click("#write-go")
    done = page.locator("#write-tokens .sample header", has_text="ended by")
    playwright.expect(done).to_have_count(3)
    has(page, ".heard", "responses: 3 complete")
    assert page.locator("#write-tokens .trace svg").count() == 3
    page.locator("#write-tokens .tok[data-row='1']").nth(2).click()
    has(page, "#write-panel", "surprisal")
    page.locator("#write-strategy textarea, #write-strategy input").fill("top_q(1)")
    page.click("#write-go")
    has(page, "#write-notice [role=alert]", "did you mean 'top_p'?")
    assert done.count() == 3
    page.screenshot(path=tmp_path / "write.png", full_page=True)


def test_stop_keeps_what_was_written_and_frees_the_model(page: Any, running: Any) -> None:
    with in_the_middle(page, running.workers[0]):
        page.click("#write-stop")
        has(page, "#write-tokens .sample header", "stopped")
        has(page, ".heard", "responses: 1 stopped")
        given_back(running.workers[0])
    tokens = page.locator("#write-tokens .tok[data-at]")
    (kept,) = page.locator("#write-tokens .sample .tokens").all_inner_texts()
    tokens.nth(0).click()  # what was written can still be pressed
    has(page, "#write-panel h2", "Token")
    page.click("#write-go")
    has(page, "#write-tokens .sample header", "230 tokens, ended by")
    has(page, "#write-panel", "Press a token")
    (whole,) = page.locator("#write-tokens .sample .tokens").all_inner_texts()
    assert whole.startswith(kept)
    assert whole != kept


def test_write_pressed_while_a_response_is_written_begins_anew(page: Any, running: Any) -> None:
    with in_the_middle(page, running.workers[0]):
        set_number(page, "#write-length", "7")
        page.click("#write-go")
        page.click("#write-stop")  # both
        page.click("#write-go")
        page.wait_for_timeout(300)
    has(page, "#write-tokens .sample header", "7 tokens, ended by")
    playwright.expect(page.locator("#write-notice [role=alert]")).to_have_count(0)


def test_stop_before_the_first_token_says_so(page: Any, running: Any) -> None:
    page.get_by_role("tab", name="Write").click()
    page.click("#write-go")
    done = page.locator("#write-tokens .sample header", has_text="ended by")
    playwright.expect(done).to_have_count(3)
    pid = running.workers[0].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        page.click("#write-go")
        page.wait_for_timeout(300)
        page.click("#write-stop")
        has(page, "#write-notice", "stopped; what was there before stays")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.count() == 3


def test_a_press_that_arrives_after_a_slide_is_answered_with_what_was_slid(page: Any) -> None:
    read(page, "A mango")
    has(page, "#read-panel", "What comes next")
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route) if '"row"' in (route.request.post_data or "") else route.continue_()

    page.route("**/run/**", hold)
    page.locator("#read-tokens .tok[data-at]").nth(2).click()
    set_number(page, "#read-top-k", "7")
    has(page, "#read-panel", "top-k 7")
    (press,) = held
    press.continue_()
    has(page, "#read-panel h2", "Token 4")
    has(page, "#read-panel", "top-k 7")


def test_tab_goes_from_a_dropdown_to_the_next_control(page: Any) -> None:
    page.get_by_role("tab", name="Write").click()
    page.locator("#write-offer input").focus()
    page.keyboard.press("Tab")
    playwright.expect(page.locator("#write-creativity input[type=number]")).to_be_focused()


@pytest.mark.parametrize(("tab", "panel"), [("Read", "What comes next"), ("Compare", "Jensen-Shannon")])
def test_stop_gives_up_a_text_and_frees_the_model(page: Any, running: Any, tab: str, panel: str) -> None:
    name = tab.lower()
    page.get_by_role("tab", name=tab).click()
    page.fill(f"#{name}-text textarea", "A mango")
    page.click(f"#{name}-go")
    has(page, f"#{name}-panel", panel)
    pid = running.workers[0].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        page.fill(f"#{name}-text textarea", "never read")
        page.click(f"#{name}-go")
        page.wait_for_timeout(300)
        page.click(f"#{name}-stop")
        has(page, f"#{name}-notice", "stopped; what was there before stays")
        given_back(running.workers[0])
    finally:
        os.kill(pid, signal.SIGCONT)
    tokens = page.locator(f"#{name}-tokens .tok[data-at]")
    playwright.expect(tokens).to_have_count(len("A mango"))
    page.fill(f"#{name}-text textarea", "and on")
    page.click(f"#{name}-go")
    playwright.expect(tokens).to_have_count(len("and on"))
    playwright.expect(page.locator(f"#{name}-notice [role=alert]")).to_have_count(0)
    assert running.workers[0].pid == pid


def test_many_presses_while_a_response_is_written_leave_the_page_alive(page: Any, running: Any) -> None:
    tokens = page.locator("#write-tokens .tok[data-at]")
    with in_the_middle(page, running.workers[0]):
        for number in range(60):  # the server answers 40 events at a time
            tokens.nth(number % 4).dispatch_event("click")
        page.locator("#write-creativity input[type=range]").focus()
        page.keyboard.press("ArrowRight")
        playwright.expect(page.locator("#write-strategy textarea, #write-strategy input")).to_have_value(
            "temperature(0.85) + top_p(0.95)"
        )
        tokens.nth(2).dispatch_event("click")
    place = int(tokens.nth(2).get_attribute("data-at"))
    has(page, "#write-panel h2", f"Token {place + 1}")


@pytest.mark.parametrize("leave", ["close", "reload"])
def test_a_tab_that_is_left_in_the_middle_frees_the_model(page: Any, running: Any, browser: Any, leave: str) -> None:
    context = browser.new_context()
    left = context.new_page()
    left.goto(running.url)
    with in_the_middle(left, running.workers[0]):
        left.reload() if leave == "reload" else left.close()
        given_back(running.workers[0])
    read(page, "other")
    playwright.expect(page.locator("#read-tokens .tok[data-at]")).to_have_count(5)
    context.close()


def test_a_model_lost_in_the_middle_leaves_what_it_wrote(page: Any, running: Any) -> None:
    with in_the_middle(page, running.workers[0]):
        os.kill(running.workers[0].pid, signal.SIGKILL)
    has(page, "#write-notice [role=alert]", "killed by SIGKILL")
    has(page, "#write-tokens .sample header", "broken off")
    page.locator("#write-tokens .tok[data-at]").nth(1).click()
    has(page, "#write-panel h2", "Token")  # by its next process
    playwright.expect(page.locator("#write-notice [role=alert]")).to_have_count(0)


def test_a_token_pressed_while_it_is_written_stays_pressed(page: Any, running: Any) -> None:
    tokens = page.locator("#write-tokens .tok[data-at]")
    with in_the_middle(page, running.workers[0]):
        tokens.nth(2).click()
    place = tokens.nth(2).get_attribute("data-at")
    has(page, "#write-tokens .sample header", "230 tokens, ended by")
    has(page, "#write-panel h2", f"Token {int(place) + 1}")
    assert tokens.nth(2).get_attribute("aria-pressed") == "true"
    tokens.last.click()
    has(page, "#write-panel h2", f"Token {int(place) + 1 + 227}")


@pytest.mark.parametrize(
    "page",
    [{"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True, "is_mobile": True}],
    indirect=True,
)
def test_two_models_on_a_phone_in_the_dark(page: Any, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Compare").click()
    page.fill("#compare-text textarea", "A mango")
    page.click("#compare-go")
    has(page, "#compare-panel", "Jensen-Shannon")
    page.locator("#compare-tokens .tok[data-at]").nth(2).tap()
    has(page, "#compare-panel h2", "Token 4")
    assert page.locator("#compare-panel .bars tbody tr").count() >= 20
    page.click("#both-go")
    playwright.expect(page.locator("#both-samples .sample header", has_text="ended by")).to_have_count(6)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    handles = page.locator(
        "#compare-temperature :is(input, button), [id^=both] :is(input[type=range], input[type=number])"
    )
    assert min(one.bounding_box()["height"] for one in handles.all()) >= 24
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")[:3]
    assert max(red, green, blue) < 80
    page.screenshot(path=tmp_path / "compare.png", full_page=True)
