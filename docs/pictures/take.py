"""The pictures of the documentation, taken anew: `make pictures`, after `make demo`.

Needs a Chromium on the path. Takes the report of the demo (`runs/demo/report.html`) and the page of `entrotune play`
with the embedded model. None is retouched.
"""

import io
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from entrotune.experiments.play.running import started

HERE = Path(__file__).parent
REPORT = Path("runs/demo/report.html")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE: Any = {"width": 1180, "height": 1240}
PATIENCE = 120_000  # milliseconds
TEXT = "The capital of France is Paris. My favourite colour is blue, and I would like to"
AT = 4  # the token whose distribution is shown
COLOURS = 128  # flat drawings need no more


def main() -> None:
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        sys.exit(f"no browser: none of {', '.join(BROWSERS)} is on the path")
    if not REPORT.is_file():
        sys.exit(f"{REPORT} is missing; run `make demo` first")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        take_report(browser)
        take_play(browser)
        browser.close()


def take_report(browser: Browser) -> None:
    """The fronts of the demo, as its report draws them."""
    page = opened(browser, REPORT.resolve().as_uri())
    page.wait_for_selector(".plotly .main-svg")
    keep(page.locator("#front").screenshot(), "front.png")


def take_play(browser: Browser) -> None:
    """A text coloured by entropy, and the distribution at a word of it."""
    with started("smollm2-135m", device="cpu") as running:
        server = threading.Thread(target=running.serve)
        server.start()
        page = opened(browser, running.url)
        page.fill("#read-text textarea", TEXT)
        page.click("#read-go")
        expect(page.locator("#read-panel")).to_contain_text("What comes next")
        page.locator("#read-tokens .tok[data-at]").nth(AT).click()
        expect(page.locator("#read-panel h2")).to_contain_text("Token")
        page.wait_for_timeout(2000)
        keep(page.screenshot(), "play.png")
        running.server.should_exit = True
        server.join()


def opened(browser: Browser, url: str) -> Any:
    page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    return page


def keep(png: bytes, name: str) -> None:
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(HERE / name, optimize=True)
    print(f"wrote {HERE / name}")


if __name__ == "__main__":
    main()
