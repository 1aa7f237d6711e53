"""`entrotune score --html`: the page shows the scores, as many as asked for, and says what it leaves out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import command_here
from entrotune.errors import UserError
from entrotune.scoring import read_scores
from entrotune.scoring.score import score
from reports.pages_read import Page


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def data_of(page: Page) -> dict[str, Any]:
    return next(json.loads(body) for attributes, body in page.scripts if attributes.get("id") == "token-data")


@pytest.mark.parametrize("mode", ["all", "predicted"])
def test_the_page_shows_the_scores(texts: Path, model_folder: Path, tmp_path: Path, mode: str) -> None:
    html, out = tmp_path / "page.html", tmp_path / "out"
    score(str(texts), model=str(model_folder), out=out, mode=mode, per_token=True, html=html, html_rows=9)
    page = page_of(html)
    rows = read_scores(out).table.slice(0, 9).to_pylist()
    shown = data_of(page)["texts"]
    assert len(shown) == 9
    for row, text in zip(rows, shown, strict=True):
        size = len(row["token_entropy"])
        # The page always has what would follow the text; mode predicted does not score it.
        np.testing.assert_allclose(text["entropy"][:size], row["token_entropy"], atol=1e-4)
        np.testing.assert_allclose(text["varentropy"][:size], row["token_varentropy"], atol=5e-4)
        follows = [value for value in row["token_nll"] if value is not None]
        np.testing.assert_allclose(text["nll"], follows, atol=1e-4)
        assert text["r"] == [rank for rank in row["token_rank"] if rank is not None]
        assert text["i"][1:] == [id for id in row["token_ids"] if id is not None]
        assert f"{row['entropy_mean']:.3f}" in page.words
    assert "19 more texts are not on this page, which shows 9." in page.words


def test_responses_are_shown_with_their_prompts(model_folder: Path, tmp_path: Path) -> None:
    data, html = tmp_path / "rows.jsonl", tmp_path / "page.html"
    rows = [
        {"prompt": "hi", "completion": "good"},
        {"prompt": "no answer"},
        {"prompt": "you", "completion": "</script>"},
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    record = score(str(data), model=str(model_folder), out=tmp_path / "out", mode="response", html=html)
    assert (record["html"], record["counts"]["rejected"]) == (str(html), 1)
    found = data_of(page_of(html))
    own = [
        "".join(found["pieces"][place] for place, given in zip(text["t"], text["g"], strict=True) if not given)
        for text in found["texts"]
    ]
    assert own == ["good</s>", "</script></s>"]
    counted = read_scores(tmp_path / "out").table["tokens"].to_pylist()
    assert [text["g"].count(0) for text in found["texts"]] == counted


def test_a_page_of_finished_scores_changes_none_of_them(
    texts: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, html = tmp_path / "out", tmp_path / "page.html"
    arguments = ["score", str(texts), "--model", str(model_folder), "--out", str(out), "--limit", "5"]
    command_here(capsys, *arguments)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*.*"))}
    ended = command_here(capsys, *arguments, "--html", str(html), "--html_rows", "2")
    assert ended.code == 0, ended.err
    assert str(html) in ended.out
    assert len(data_of(page_of(html))["texts"]) == 2
    assert {path: path.read_bytes() for path in sorted(out.rglob("*.*"))} == before


def test_cut_tokens_are_told(texts: Path, model_folder: Path, tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    record = score(str(texts), model=str(model_folder), out=tmp_path / "out", limit=6, max_length=10, html=html)
    assert f"{record['counts']['tokens_cut']} tokens beyond the longest length were cut off" in page_of(html).words


def test_rows_of_later_parts_are_found(texts: Path, model_folder: Path, tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    score(str(texts), model=str(model_folder), out=tmp_path / "out", part_rows=3, html=html, html_rows=8)
    assert len(data_of(page_of(html))["texts"]) == 8
    assert "t7" in page_of(html).words
    assert "t8" not in page_of(html).words


def test_nothing_to_show_is_said(model_folder: Path, tmp_path: Path) -> None:
    data, html = tmp_path / "rows.jsonl", tmp_path / "page.html"
    data.write_text('{"text": "a"}\n', encoding="utf-8")  # one token, which nothing predicts
    score(str(data), model=str(model_folder), out=tmp_path / "out", mode="predicted", bos="none", html=html)
    assert "None of the rows could be scored" in page_of(html).words


@pytest.mark.parametrize("name", ["page.txt", "folder.html", "page"])
def test_a_name_that_is_none_stops_before_the_work(texts: Path, model_folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UserError, match=r"is no name for a page; expected a file that ends in \.html"):
        score(str(texts), model=str(model_folder), out=tmp_path / "out", html=tmp_path / name)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="html_rows is 0; expected at least 1"):
        score(str(texts), model=str(model_folder), out=tmp_path / "out", html_rows=0)
