"""What the page answers: tiny models in processes of their own, no browser."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from entrotune.decoding import PARTS, Strategy, draw, stream
from entrotune.errors import UserError
from entrotune.experiments.play.difference import difference
from entrotune.experiments.play.explorer import Explorer
from entrotune.experiments.play.handlers import Opened, Page, Panel, Pressed, Request, Turns, pressed_at
from entrotune.experiments.play.shaping import Shaping
from entrotune.experiments.play.strategies import OFFERS, strategy_at, takes_creativity
from entrotune.experiments.play.worker import GivenUpError, LostWorkerError, Worker
from entrotune.experiments.play.worker_process import StoppedError
from entrotune.models import load_model
from tiny import byte_tokenizer, tiny_llama
from tiny_files import write_model
from tolerances import SINGLE

TEXT = "A <b>fruit</b> & <script>1</script>, a 💡"
MOST = 96


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of one tokenizer."""
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    write_model(first)
    tiny_llama(seed=1).save_pretrained(second)
    byte_tokenizer().save_pretrained(second)
    return [first, second]


@pytest.fixture(scope="module")
def page(folders: list[Path]) -> Iterator[Page]:
    workers = [
        Worker(folder.name, Explorer, model=str(folder), dtype="float32", device="cpu", max_tokens=MOST)
        for folder in folders
    ]
    yield Page(workers, [worker.ask("about") for worker in workers])
    for worker in workers:
        worker.close()


def asked(**changes: Any) -> Request:
    values = {"prompt": "abc", "chat": False, "strategy": "sample", "samples": 2, "max_new_tokens": 4, "seed": 0}
    return Request(**(values | changes))


def pictures_of(page: Page, **changes: Any) -> list[tuple[Opened, str]]:
    """What is shown of responses while they are written."""
    return [picture for picture in page.write(asked(**changes), "entropy") if picture is not None]


def log_p_of(folder: Path, ids: tuple[int, ...]) -> torch.Tensor:
    """[N, V] predictions made at each position, by the model's own forward."""
    model, _ = load_model(folder)
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double().log_softmax(-1)


def test_numbers_of_tokens_are_the_models_own(page: Page, folders: list[Path]) -> None:
    opened, pressed, html = page.read(TEXT, False, "entropy")
    (ids,), (tokens,) = opened.ids, opened.tokens
    assert len(ids) == len(TEXT.encode())
    assert pressed == Pressed(ids, len(ids))
    log_p = log_p_of(folders[0], ids)
    entropy = -(log_p.exp() * log_p).sum(-1)
    varentropy = (log_p.exp() * (log_p + entropy[:, None]) ** 2).sum(-1)
    nll = -log_p[:-1].gather(-1, torch.tensor(ids[1:])[:, None]).squeeze(-1)
    assert tokens[0].entropy is None
    for name, expected in (("entropy", entropy[:-1]), ("varentropy", varentropy[:-1]), ("nll", nll)):
        found = torch.tensor([getattr(token, name) for token in tokens[1:]]).double()
        torch.testing.assert_close(found, expected, **SINGLE)
    assert html.count('role="button"') == len(ids)  # all but the first, and what comes next


def test_text_is_escaped_everywhere(page: Page) -> None:
    opened, _, html = page.read("<script>alert(1)</script>", False, "surprisal")
    shown = [html, page.position(pressed_at(opened, 0, 1), Shaping())]
    shown += [picture for _, picture in pictures_of(page, prompt="<img src=x onerror=alert(1)>")]
    for text in shown:
        assert "<script" not in text
        assert "<img" not in text
    assert "&lt;" in html


def test_what_settings_keep_is_exact(page: Page, folders: list[Path]) -> None:
    opened, *_ = page.read("hello there", False, "entropy")
    log_p = log_p_of(folders[0], opened.ids[0])[4]
    shaping = Shaping(temperature=0.5, top_k=7, top_p=0.9, min_p=0.02)
    position = page._workers[0].ask("position", ids=opened.ids[0], at=5, shaping=shaping)
    assert [one.name for one in position.left] == [
        "the model's own", "temperature 0.5", "top-k 7", "top-p 0.9", "min-p 0.02", "all, in this order"
    ]  # fmt: skip
    assert position.left[2].tokens == 7
    assert position.left[2].mass == pytest.approx(float(log_p.exp().topk(7).values.sum()), rel=1e-4)
    together = Strategy.of("temperature(0.5) + top_k(7) + top_p(0.9) + min_p(0.02)").probabilities(log_p)
    assert position.left[5].tokens == int((together > 0).sum())
    for one in position.candidates:
        assert one.p == pytest.approx(float(log_p[one.id].exp()), rel=1e-4)
        assert one.shaped == pytest.approx(float(together[one.id]), rel=1e-3)
    likeliest = position.candidates[:20]
    np.testing.assert_allclose(
        [one.cumulative for one in likeliest], np.cumsum([one.p for one in likeliest]), rtol=1e-5
    )
    entropies = [entropy for _, entropy in position.curve]
    assert entropies == sorted(entropies)
    assert position.now[1] == pytest.approx(position.left[1].entropy, rel=1e-4)
    greedy = page._workers[0].ask("position", ids=opened.ids[0], at=5, shaping=Shaping(temperature=0, top_k=7))
    assert (greedy.left[-1].tokens, greedy.left[-1].entropy, greedy.now) == (1, 0, (0, 0))
    # The token of the text is shown even where it is not among the likeliest.
    assert opened.ids[0][5] in [one.id for one in position.candidates]


def test_responses_are_those_of_generate(page: Page, folders: list[Path]) -> None:
    """Streamed and coloured, they are what `draw` draws; several at once, by seed and number alone."""
    strategy = "temperature(0.8) + top_p(0.95)"
    *_, (opened, html) = pictures_of(page, strategy=strategy, samples=3, max_new_tokens=6)
    model, tokenizer = load_model(folders[0])
    prompt = tokenizer("abc")["input_ids"]
    expected = draw(
        model, tokenizer, [prompt] * 3, [stream(0, "play", index) for index in range(3)],
        strategy=Strategy.of(strategy), max_new_tokens=6,
    )  # fmt: skip
    assert [ids[len(prompt) :] for ids in opened.ids] == [one.token_ids[: one.tokens] for one in expected]
    assert html.count("<article") == html.count("<svg") == 3
    assert "as sampled" in html
    (sample, other) = opened.ids[0], opened.ids[1]
    assert sample != other
    assert "Token" in page.position(pressed_at(opened, 1, len(prompt)), Shaping())


@pytest.mark.parametrize("strategy", ["temperature(0.7) + top_k(9)", "contrastive_search(k=4, alpha=0.6)"])
def test_numbers_told_while_writing_are_those_of_the_text(page: Page, strategy: str) -> None:
    """What is seen of a step is the distribution before the strategy; the other entropy is of what it left."""
    worker = page._workers[0]
    told = worker.stream("write", **asked(strategy=strategy, max_new_tokens=9).asked)
    prompt, *parts = [part for part in told if part is not None]
    for sample in range(2):
        told = [new for part in parts if isinstance(part, list) for new in part if new.sample == sample]
        read = worker.ask("read", tells=True, ids=[*prompt, *(new.token.id for new in told)])[len(prompt) :]
        assert [new.token.index for new in told] == [token.index for token in read]
        assert [new.token.rank for new in told] == [token.rank for token in read]
        for name in ("entropy", "varentropy", "nll"):
            values = [[getattr(token, name) for token in some] for some in ((n.token for n in told), read)]
            np.testing.assert_allclose(*values, rtol=1e-3, atol=1e-4)
        if "top_k" in strategy:
            assert all(new.shaped is not None and new.shaped <= np.log(9) + 1e-5 for new in told)


@pytest.mark.parametrize("name", OFFERS)
def test_every_offer_writes(page: Page, name: str) -> None:
    strategy = strategy_at(name, 0.7)
    *_, (opened, html) = pictures_of(page, strategy=strategy, max_new_tokens=3)
    assert len(opened.ids) == 2
    assert html.count("ended by") == 2


def test_offers_cover_all_parts() -> None:
    written = " ".join(strategy_at(name, 0.7) for name in OFFERS)
    assert [part for part in PARTS if part not in written] == []
    for name in OFFERS:
        assert str(Strategy.of(strategy_at(name, 0.0)))  # no creativity is allowed, too
        assert takes_creativity(name) == (strategy_at(name, 1.0) != strategy_at(name, 1.5))


@pytest.mark.parametrize("strategy", ["sample", "beam(beams=4)"])
def test_closing_stops_the_writing(page: Page, strategy: str) -> None:
    worker = page._workers[0]
    running = worker.stream("write", **asked(strategy=strategy, samples=1, max_new_tokens=90).asked)
    _, first = (next(part for part in running if part is not None) for _ in range(2))
    assert first == [] or strategy == "sample"  # beams can be stopped while they are searched
    pid = worker.pid
    running.close()
    assert worker.ask("about").most == MOST  # the turn is given back
    assert worker.pid == pid


def test_of_events_answered_at_once_the_last_counts() -> None:
    shown = Panel()
    slid = shown.turn()
    pressed = shown.press(Pressed((5, 6), 1))
    assert not slid()  # its answer is of the token before, whenever it comes
    assert pressed()
    assert shown.pressed == Pressed((5, 6), 1)


def test_a_press_that_arrives_after_a_later_one_is_not_gone_to() -> None:
    shown = Panel()
    later = shown.press(Pressed((5, 6), 1), 8)
    assert not shown.press(Pressed((5, 6), 0), 7)()
    assert later()
    assert shown.pressed == Pressed((5, 6), 1)
    assert shown.press(Pressed((5, 6), 2), 9)()
    assert not later()


def test_what_is_stopped_is_not_wanted_any_more() -> None:
    shown = Panel()
    reading, pressed = shown.reading(), shown.press(Pressed((5, 6), 1))
    assert reading()
    assert pressed()
    shown.stop()
    assert not reading()
    assert not pressed()
    assert shown.reading()()


def test_what_is_written_can_be_stopped(page: Page) -> None:
    """The last picture keeps what there is; before there is any, or where a model has none, it is told."""
    turns = Turns()
    pictures = page.write(asked(max_new_tokens=90), "entropy", turns.begin())
    next(html for _, html in (picture for picture in pictures if picture is not None) if "data-at" in html)
    assert not turns.stopped
    turns.stop()
    assert turns.stopped
    ((opened, html),) = pictures
    assert html.count(", stopped") == 2
    assert max(len(ids) for ids in opened.ids) < 90
    for write in (page.write, page.write_both):
        with pytest.raises(GivenUpError, match="stopped"):
            list(write(asked(), "entropy", lambda: False))
    assert turns.begin()()


def test_a_text_that_is_read_can_be_stopped_before_each_layer(folders: list[Path]) -> None:
    explorer = Explorer(str(folders[0]), dtype="float32", device="cpu", max_tokens=MOST)
    told: list[Any] = []

    def stop_at_the_second(part: Any) -> None:
        told.append(part)
        if len(told) == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        explorer.read([5, 6, 7], tell=stop_at_the_second)
    assert told == [None, None]
    assert len(explorer.read([5, 6, 7], tell=told.append)) == 3
    layers = len(told) - 2
    assert layers == load_model(folders[0])[0].config.num_hidden_layers
    explorer.read([8, 9], tell=lambda part: None)
    assert len(told) == layers + 2  # who asked before is not told


def test_two_models_on_one_text(page: Page, folders: list[Path]) -> None:
    opened, _, html, meaning = page.compare("hello there", False, "surprisal")
    assert html.count('role="button"') == len("hello there")
    assert "second model" in meaning
    pressed = pressed_at(opened, 0, 4)
    panel = page.differ(pressed, 0.7)
    log_p, log_q = (log_p_of(folder, opened.ids[0])[3] for folder in folders)
    expected = float((log_p.exp() * (log_p - log_q)).sum())
    assert f"{expected:.4f} nats" in panel
    assert all(folder.name in panel for folder in folders)
    html, _ = page.colour_difference(opened, pressed, "entropy")
    assert 'data-by="entropy"' in html
    assert 'aria-pressed="true" data-row="0" data-at="4"' in html


def test_difference_by_hand() -> None:
    p, q = np.log([0.5, 0.5, 1e-300]), np.log([0.25, 0.75, 1e-300])
    found = difference(p, q, shown=2)
    assert found.kl == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    assert found.kl_reverse == pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(1.5))
    middle = np.array([0.375, 0.625])
    halves = [np.sum(d * np.log(d / middle)) / 2 for d in (np.array([0.5, 0.5]), np.array([0.25, 0.75]))]
    assert found.jsd == pytest.approx(sum(halves))
    assert found.variation == pytest.approx(0.25)
    assert found.tokens == (1, 0)
    assert difference(p, p, shown=1, always=[2]).jsd == 0
    likeliest = np.log(np.arange(1.0, 41) / np.arange(1.0, 41).sum())
    assert difference(likeliest, likeliest, shown=8).tokens == tuple(range(39, 31, -1))
    assert 2 in difference(p, p, shown=1, always=[2]).tokens
    impossible = np.array([0.0, -np.inf])
    assert difference(impossible, impossible, shown=2).jsd == 0
    longer = difference(np.log([1.0]), np.log([0.5, 0.5]), shown=2)
    assert longer.variation == pytest.approx(0.5)
    assert longer.kl == pytest.approx(np.log(2))
    assert longer.kl_reverse == np.inf


def test_models_of_other_tokens_write_but_do_not_differ(page: Page) -> None:
    strange = Page(page._workers, [page.models[0], dataclasses.replace(page.models[1], tokens_mark="other")])
    with pytest.raises(UserError, match="different tokens"):
        strange.compare("abc", False, "surprisal")
    *_, html = strange.write_both(asked(), "entropy")
    assert html.count("<article") == 4
    with pytest.raises(UserError, match="did you mean"):  # where neither can, what is on the page stays
        list(strange.write_both(asked(strategy="top_q(0.9)"), "entropy"))


def test_a_lost_model_leaves_the_other_and_comes_back(page: Page) -> None:
    pid = page._workers[1].pid
    assert pid is not None
    pictures = page.write_both(asked(samples=1, max_new_tokens=90), "entropy")
    next(shown for shown in pictures if shown is not None and "tok plain" in shown.split("<section>")[2])
    os.kill(pid, signal.SIGKILL)
    *_, html = pictures
    assert html.count("ended by the") == 1
    assert html.count("broken off") == 1  # what it had written stays
    assert "killed by SIGKILL" in html
    *_, html = page.write_both(asked(), "entropy")
    assert html.count("ended by the") == 4
    assert page._workers[1].pid not in (None, pid)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "  "}, "no text yet"),
        ({"prompt": "x" * MOST, "max_new_tokens": 2}, "shorten the prompt"),
        ({"samples": 0}, "expected 1 to 8"),
        ({"samples": 9}, "expected 1 to 8"),
        ({"max_new_tokens": 0}, "at least 1"),
        ({"strategy": "top_q(0.9)"}, "did you mean"),
        ({"strategy": ""}, "a strategy is a sum of parts"),
    ],
)
def test_what_cannot_be_written_is_told(page: Page, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(page.write(asked(**changes), "entropy"))


def test_what_cannot_be_read_is_told(page: Page) -> None:
    for text, message in (
        ("", "no text yet"),
        ("x" * (MOST + 1), "97 tokens; at most 96"),
        ("ab\ud83d", r"half a character \(U\+D83D, a lone surrogate\) at its character 3"),
    ):
        with pytest.raises(UserError, match=message):
            page.read(text, False, "entropy")
    for opened, row, at in ((None, 0, 1), (Opened(((1, 2),)), 1, 1), (Opened(((1, 2),)), "0", 1)):
        with pytest.raises(UserError, match="no longer there"):
            pressed_at(opened, row, at)
    with pytest.raises(UserError, match="no prediction of token 9"):
        page.position(Pressed((5, 6), 9), Shaping())
    with pytest.raises(UserError, match="start the page with --compare"):
        Page(page._workers[:1], page.models[:1]).compare("abc", False, "surprisal")


def test_a_worker_that_breaks_says_what(tmp_path: Path) -> None:
    worker = Worker("broken", Explorer, model=str(tmp_path), dtype="float32", device="cpu", max_tokens=8)
    with pytest.raises(UserError) as told:
        worker.start()
    assert not isinstance(told.value, LostWorkerError)
    assert worker.pid is None
