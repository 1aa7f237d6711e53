"""Texts token by token: a page that is complete, runs nothing that a text says, and counts what it leaves out."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrotune.reports import token_view
from entrotune.reports.token_view import bounded, readable, token_view_page, write_token_view
from reports.pages_read import Page, allowed_scripts, hash_source

ATTACKS = [
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<!--<script>",
    "{{ 7*7 }}{% raw %}",
    "\u2028\u202e\x00\ud800",
]


def text(*tokens: str, id: str = "text", **changes: Any) -> dict[str, Any]:
    """A record of a text with three likely tokens at each position."""
    size = len(tokens)
    return {
        "id": id,
        "facts": {},
        "vocabulary": 100,
        "tokens_cut": 0,
        "tokens": list(tokens),
        "token_ids": list(range(size)),
        "given": [False] * size,
        "entropy": [0.5 * at for at in range(1, size + 1)],
        "varentropy": [0.25] * size,
        "nll": [1.5] * (size - 1),
        "rank": [0] * (size - 1),
        "place": [0] * (size - 1),
        "top": [[(tokens[0], -0.5), ("b", -1.25), ("c", -3.0)]] * size,
        "tails": [[-4.0, -6.0, -1.0, -7.0]] * size,
        "summary": {
            "tokens": size,
            "counted": size - 1,
            "entropy": 0.75,
            "varentropy": 0.25,
            "nll": 1.5,
            "perplexity": 4.4817,
            "top1": 1.0,
        },
        **changes,
    }


def record(*texts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"title": "Token entropies", "model": "tiny", "vocabulary": 100, "texts": list(texts), **changes}


def data_of(page: Page) -> dict[str, Any]:
    return next(json.loads(body) for attributes, body in page.scripts if attributes.get("id") == "token-data")


def test_page_is_well_formed_and_complete_in_itself(tmp_path: Path) -> None:
    write_token_view(record(text("a", " b"), text("c", id="other")), tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.misnested == []
    assert [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "base", "object", "form")] == []
    assert [attributes for _, attributes in page.tags if "src" in attributes] == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] or "" for attributes in page.all("a")]
    assert {link[1:] for link in links} <= set(ids)
    assert all(link.startswith("#") for link in links)
    run = [body for attributes, body in page.scripts if "type" not in attributes]
    assert {hash_source(body) for body in run} == allowed_scripts(page.policy)
    assert "default-src 'none'" in page.policy
    for told in ("0.750", "4.482", "100%"):  # the summary of each text
        assert told in page.words


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_tokens_stay_text(attack: str) -> None:
    hostile = text(attack, "end", id=attack, facts={attack: attack})
    page = Page(token_view_page(record(hostile, title=attack, model=attack, notes=[attack], settings={attack: attack})))
    plain = Page(token_view_page(record(text("a", "end", facts={"f": "f"}), notes=["n"], settings={"s": "s"})))
    assert page.misnested == []
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert [body for attributes, body in page.scripts if "type" not in attributes] == [
        body for attributes, body in plain.scripts if "type" not in attributes
    ]
    assert readable(attack) in data_of(page)["pieces"]


def test_data_are_the_numbers_of_the_record() -> None:
    given = text("x", "y", "z", given=[True, False, False], place=[None, 2], rank=[7, 2])
    data = data_of(Page(token_view_page(record(given))))
    (one,) = data["texts"]
    assert [data["pieces"][place] for place in one["t"]] == ["x", "y", "z"]
    assert (one["entropy"], one["nll"], one["varentropy"]) == ([0.5, 1.0, 1.5], [1.5, 1.5], [0.25] * 3)
    assert (one["g"], one["r"], one["at"]) == ([1, 0, 0], [7, 2], [None, 2])
    assert [data["pieces"][place] for place in one["top"][0]] == ["x", "b", "c"]
    assert one["lp"][0] == [5000, 12500, 30000]
    assert (one["tails"][0], data["vocabulary"]) == ([-4.0, -6.0, -1.0, -7.0], 100)
    assert data["scales"] == {"entropy": 1.5, "nll": 1.5, "varentropy": 0.3}


def test_what_does_not_fit_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_view, "MOST_TOKENS", 5)
    read: list[int] = []

    def texts() -> Iterator[dict[str, Any]]:
        for number in range(4):
            read.append(number)
            yield text("a", "b", "c", id=f"t{number}")

    shown, left_out = bounded(texts(), total=4)
    assert ([len(one["tokens"]) for one in shown], left_out, read) == ([3, 2], 2, [0, 1])
    assert [len(shown[1][name]) for name in ("entropy", "top", "tails", "given", "nll", "rank", "place")] == [
        2, 2, 2, 2, 1, 1, 1,
    ]  # fmt: skip
    words = Page(token_view_page(record(*shown, left_out=left_out))).words
    assert "2 more texts are not on this page, which shows 2." in words
    assert "The last 1 tokens of text “t1” are not shown" in words


def test_all_that_fits_is_shown_and_nothing_is_said() -> None:
    shown, left_out = bounded([text("a", "b")], total=1)
    assert (len(shown), left_out) == (1, 0)
    words = Page(token_view_page(record(*shown, left_out=left_out))).words
    assert not re.search("not on this page|not shown|cut off before", words)


def test_tokens_of_no_shape_are_told_by_number() -> None:
    assert readable("a\u200db") == "a⟨U+200D⟩b"
    assert readable("\u202ex") == "⟨U+202E⟩x"
    assert readable("\u0301") == "◌\u0301"
    assert readable("e\u0301 \n\t💡") == "e\u0301 \n\t💡"
    assert readable("\x07") == "␇"


def test_a_page_without_texts_is_a_page() -> None:
    page = Page(token_view_page(record(notes=["Nothing could be scored."])))
    assert page.misnested == []
    assert "Nothing could be scored." in page.words
