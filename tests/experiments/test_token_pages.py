"""`entrotune.show`, and `entrotune generate --html`."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

import entrotune
from entrotune import GenerateConfig, generate
from entrotune.errors import UserError
from reports.pages_read import Page
from scoring.plainly import plain_scores
from tiny import byte_tokenizer, tiny_llama


def data_of(markup: str) -> dict[str, Any]:
    page = Page(markup)
    return next(json.loads(body) for attributes, body in page.scripts if attributes.get("id") == "token-data")


def test_a_loaded_model_shows_a_text(tmp_path: Path) -> None:
    model, tokenizer = tiny_llama(), byte_tokenizer()
    view = entrotune.show("the cat </iframe>", (model, tokenizer))
    (text,) = data_of(view.html)["texts"]
    ids = tokenizer("the cat </iframe>")["input_ids"]
    plain = plain_scores(model, ids, [*range(len(ids))], [*[True] * (len(ids) - 1), False])
    assert text["i"] == ids
    assert text["entropy"] == pytest.approx(plain["token_entropy"], abs=1e-3)
    assert view.summaries["text"]["nll"] == pytest.approx(plain["nll_mean"], rel=1e-4)
    assert view.save(tmp_path / "new" / "page.html").read_text(encoding="utf-8") == view.html
    with pytest.raises(UserError, match=r"expected a file that ends in \.html"):
        view.save(tmp_path / "page.png")


def test_a_notebook_gets_a_frame_that_holds_the_whole_page() -> None:
    view = entrotune.show(["a", "bc"], (tiny_llama(), byte_tokenizer()), height=500)
    shown = view._repr_html_()
    frame = Page(shown).one("iframe")
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == view.html
    assert "height:500px" in (frame["style"] or "")
    assert html.unescape(re.sub(r'^.*?srcdoc="|" style=.*$', "", shown, flags=re.DOTALL)) == view.html
    assert repr(view) == "TokenView(text 1, text 2; save(path) writes the page)"


def test_a_named_model_answers_a_prompt(model: Path) -> None:
    view = entrotune.show("yes", str(model), prompt="Is it?")
    (text,) = data_of(view.html)["texts"]
    assert text["g"].count(0) == len("yes") + 1
    assert view.summaries["text"]["counted"] == len("yes") + 1


def test_nothing_to_show() -> None:
    with pytest.raises(UserError, match="give a text, or several"):
        entrotune.show([], (tiny_llama(), byte_tokenizer()))
    with pytest.raises(UserError, match="the text is empty"):
        entrotune.show("", (tiny_llama(), byte_tokenizer()))


def generated(model: Path, out: Path, **options: Any) -> dict[str, Any]:
    fixed = {"model": str(model), "prompt": "hi", "out": str(out), "max_new_tokens": 8, "strategy": "sample"}
    return generate(GenerateConfig(**(fixed | options)))


def test_responses_are_shown_as_they_were_drawn(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    record = generated(model, tmp_path / "out.jsonl", n=4, html=str(page), html_responses=3, strategy="temperature(2)")
    markup = page.read_text(encoding="utf-8")
    shown = data_of(markup)["texts"]
    assert len(shown) == 3
    for line, text in zip(record["outputs"], shown, strict=False):
        assert [id for id, given in zip(text["i"], text["g"], strict=True) if not given] == line["token_ids"]
        own = [nll for nll, given in zip(text["nll"], text["g"][1:], strict=True) if not given]
        # nll of the model itself, whatever the strategy.
        assert sum(own) == pytest.approx(line["nll"], abs=1e-2)
    words = Page(markup).words
    assert "1 more text is not on this page, which shows 3." in words
    assert "temperature(2)" in words
    assert "other tokens than were drawn" not in words


def test_a_page_of_responses_that_are_there(model: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out.jsonl", tmp_path / "page.html"
    before = generated(model, out, n=2)
    assert "token_ids" not in before["outputs"][0]
    again = generated(model, out, n=2, html=str(page))
    assert again["outputs"] == before["outputs"]
    words = Page(page.read_text(encoding="utf-8")).words
    # Random bytes are no text, so they are read as other tokens than were drawn, which is said.
    assert "as other tokens than were drawn" in words
    assert "prompt#1" in words


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"choices": ["yes", "no"]}, "one of “yes”, “no”"),
        ({"choices": [str(number) for number in range(23)]}, "“19” and 3 others"),
        ({"pattern": "[ab]{2}"}, "texts that match “[ab]{2}”"),
        ({"json_schema": "s.json"}, "JSON of the schema “s.json”"),
        ({"fields": "t.yaml", "prompt": None, "enforce": True}, "answers that the template calls valid"),
    ],
)
def test_a_page_names_what_responses_were_limited_to(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.json").write_text('{"type": "boolean"}', encoding="utf-8")
    Path("t.yaml").write_text("request: x\nfields: {word: {pattern: '[a-z]'}}\n", encoding="utf-8")
    generated(model, Path("out.jsonl"), html="page.html", max_new_tokens=30, **options)
    words = Page(Path("page.html").read_text(encoding="utf-8")).words
    assert "Responses were limited to" in words
    assert words.count(told) == 2  # at the top, and among the settings
    assert ("t.yaml" in words) == ("fields" in options)


def test_rejected_responses_are_counted_not_shown(model: Path, tmp_path: Path) -> None:
    rules, page = tmp_path / "filter.yaml", tmp_path / "page.html"
    rules.write_text("categories: {all: ['/./', '/^$/']}\n", encoding="utf-8")
    generated(model, tmp_path / "out.jsonl", n=2, html=str(page), content_filter=str(rules))
    markup = page.read_text(encoding="utf-8")
    assert data_of(markup)["texts"] == []
    assert "2 rejected responses are not shown." in Page(markup).words


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"endpoint": "http://127.0.0.1:1/v1"}, "servers do not tell"),
        ({"prompting": "another"}, "leave bench and prompting out"),
        ({"html": "page.txt"}, "expected a file that ends in .html"),
        ({"html_responses": 0}, "html_responses must be at least 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        GenerateConfig(**{"prompt": "hi", "html": "page.html", **options})
