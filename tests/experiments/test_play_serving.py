"""Between the page and its handlers, and around the page: notices, numbers as they are typed, ports, who may ask."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from commands import command_here
from entrotune.errors import UserError
from entrotune.experiments.play.guard import Guard
from entrotune.experiments.play.running import play
from entrotune.experiments.play.serving import is_loopback, listen

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'entrotune[play]'")
from entrotune.experiments.play.wiring import answering, request, shaping


def test_errors_become_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    """An error nobody foresaw is told in a line on the page, and in full where the page was started."""

    def broken() -> tuple[int]:
        raise KeyError("<here>")

    def stream() -> Iterator[tuple[int]]:
        yield (1,)
        raise UserError("too long")

    notice, kept = answering(broken, 1)()
    assert "KeyError" in notice
    assert "&lt;here&gt;" in notice
    assert "Traceback" not in notice
    assert kept["__type__"] == "update"
    assert "value" not in kept
    assert "Traceback" in capsys.readouterr().err
    first, last = list(answering(stream, 1)())
    assert first == ("", 1)
    assert "too long" in last[0]


def test_what_is_not_there_yet_changes_nothing() -> None:
    def waiting() -> Iterator[tuple[int] | None]:
        yield None
        yield (1,)

    first, last = list(answering(waiting, 1)())
    assert "value" not in first[1]
    assert last == ("", 1)


def test_numbers_beyond_the_ends_of_a_slider() -> None:
    """They are what the slider then goes to; a number that is none is told."""
    beyond = shaping(99, -1, 0, 7)
    assert (beyond.temperature, beyond.top_k, beyond.top_p, beyond.min_p) == (3, 0, 0.01, 0.5)
    for changes, message in (
        ({"top_k": 2.5}, "top-k is 2.5; expected a whole number"),
        ({"min_p": None}, "min-p is empty; expected a number"),
        ({"temperature": float("nan")}, "temperature is nan; expected a number"),
    ):
        with pytest.raises(UserError, match=message):
            shaping(**({"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0} | changes))
    for seed, message in (
        (None, "seed is empty"),
        (0.5, "seed is 0.5; expected a whole number"),
        (1e400, "seed is inf"),
    ):
        with pytest.raises(UserError, match=message):
            request("hi", False, "sample", 1, 1, seed)


def test_ports(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is not to be had .*--port"):
            listen("127.0.0.1", port)
        ended = command_here(capsys, "play", "--port", str(port))
        assert ended.code == 2
    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]
    with pytest.raises(UserError, match="expected one from"):
        listen("127.0.0.1", 70000)
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0")] == [True, True, True, False]


def test_a_model_that_is_not_there_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    ended = command_here(capsys, "play", "--model", "/no/such/model")
    assert ended.code == 2
    assert "no such model" in ended.err
    assert "Traceback" not in ended.err


def test_without_gradio_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"pip install 'entrotune\[play\]'"):
        play()


@pytest.mark.parametrize(
    ("host", "length", "status"),
    [
        (b"127.0.0.1:7860", b"5", 200),
        (b"localhost", b"5", 200),
        (b"evil.example", b"5", 421),
        (b"localhost", b"99", 413),
    ],
)
def test_guard(host: bytes, length: bytes, status: int) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"hello"}

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(app, hosts=frozenset({"127.0.0.1", "localhost"}), most=10)
    scope = {"type": "http", "headers": [(b"host", host), (b"content-length", length)]}
    asyncio.run(guard(scope, receive, send))
    assert sent[0]["status"] == status
    policy = dict(sent[0]["headers"])[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_guard_ends_answers_that_stay_open() -> None:
    """As Ctrl-C would otherwise wait for pages that are open, and then print what it broke off."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    messages = iter([{"type": "http.request", "body": b""}])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await asyncio.Event().wait()  # the browser stays
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async def serve() -> None:
        guard = Guard(app, hosts=None, most=10)
        answering = asyncio.ensure_future(guard({"type": "http", "headers": []}, receive, send))
        await asyncio.sleep(0.05)
        assert not answering.done()
        guard.end()
        await asyncio.wait_for(answering, 5)

    asyncio.run(serve())
    assert [message.get("more_body", False) for message in sent] == [False, True, False]
