"""A real HTTP server on loopback that fails as servers do; `transformers serve` is in tests/experiments."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from entrotune.decoding import Strategy
from entrotune.decoding.endpoint import Endpoint, request_settings
from entrotune.errors import UserError

GOOD = (
    200,
    {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 2}},
)
HI = [{"role": "user", "content": "hi"}]


class Served:
    """Answers in turn with what it is given; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.hold = threading.Event()
        self.url = ""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr("entrotune.decoding.endpoint._FIRST_WAIT", 0.01)
    for name in ("ENTROTUNE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            state.headers.append(dict(self.headers))
            status, body = state.answers.pop(0)
            if status == 0:  # hangs until the test is over
                state.hold.wait(20)
                return
            if status < 0:  # a byte every now and then: of the headers, or of the body
                self.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 9999\r\n\r\n" if status == -1 else b"X: "))
                while not state.hold.wait(0.02):
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        return
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header("Retry-After", "0.02")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    state.hold.set()
    server.shutdown()
    server.server_close()
    thread.join()


def ask(served: Served, *answers: tuple[int, Any], text: str = "temperature(0.5)", **options: Any) -> Any:
    served.answers = list(answers)
    with Endpoint(served.url + "/", "m", strategy=Strategy.of(text), **options) as endpoint:
        return endpoint.complete(HI, max_tokens=7, seed=3)


def test_a_request_and_its_answer(served: Served) -> None:
    found = ask(served, GOOD, text="temperature(0.5) + top_p(0.9)")
    assert (found.text, found.tokens, found.finished, found.tries) == ("hello", 2, True, 1)
    expected = {"model": "m", "messages": HI, "max_tokens": 7, "seed": 3, "temperature": 0.5, "top_p": 0.9}
    assert served.asked == [expected]
    assert "Authorization" not in served.headers[0]


@pytest.mark.parametrize("name", ["ENTROTUNE_API_KEY", "OPENAI_API_KEY"])
def test_the_key_comes_from_the_environment(served: Served, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "a-key")
    ask(served, GOOD)
    assert served.headers[0]["Authorization"] == "Bearer a-key"


def test_failures_that_may_pass_are_tried_again(served: Served) -> None:
    assert ask(served, (500, "x"), (429, "busy"), (503, b""), GOOD).tries == 4


def test_a_server_that_hangs_is_given_up(served: Served) -> None:
    assert ask(served, (0, None), GOOD, timeout=0.3).tries == 2


@pytest.mark.parametrize("trickled", [-1, -2])
def test_a_server_that_trickles_is_given_up(served: Served, trickled: int) -> None:
    assert ask(served, (trickled, None), GOOD, timeout=0.5).tries == 2
    with pytest.raises(UserError, match=r"no whole answer within 0\.5 s, in 1 tries"):
        ask(served, (trickled, None), timeout=0.5, retries=0)


def test_a_stop_ends_what_is_under_way(served: Served) -> None:
    served.answers = [(0, None)]
    endpoint = Endpoint(served.url, "m", strategy=Strategy.of("sample"), timeout=600)
    told = []

    def complete() -> None:
        with pytest.raises(UserError, match="stopped") as caught:
            endpoint.complete(HI, max_tokens=7, seed=3)
        told.append(str(caught.value))

    thread = threading.Thread(target=complete)
    thread.start()
    while not served.asked:
        thread.join(0.01)
    with endpoint:
        pass
    thread.join(60)
    assert told
    with pytest.raises(UserError, match="stopped"):
        endpoint.complete(HI, max_tokens=7, seed=3)


def test_tries_end(served: Served) -> None:
    with pytest.raises(UserError, match='HTTP 500: "later", in 3 tries'):
        ask(served, *[(500, "later")] * 3, retries=2)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((422, {"detail": "no top_k"}), "HTTP 422: .*no top_k"),
        ((401, "who?"), "set ENTROTUNE_API_KEY"),
        ((200, b"<html>"), "something else than a chat completion: <html>"),
        ((200, {"choices": []}), "something else"),
    ],
)
def test_what_will_not_pass_is_told_at_once(served: Served, answer: tuple[int, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ask(served, answer)
    assert len(served.asked) == 1


def test_nobody_listens() -> None:
    strategy = Strategy.of("sample")
    with (
        Endpoint("http://127.0.0.1:9/v1", "m", strategy=strategy, retries=0) as endpoint,
        pytest.raises(UserError, match="no connection"),
    ):
        endpoint.complete(HI, max_tokens=1, seed=0)
    for wrong in ("127.0.0.1:8000", "http://", "http://[::1", "http://127.0.0.1:999999", "ftp://127.0.0.1"):
        with pytest.raises(UserError, match="is no address"):
            Endpoint(wrong, "m", strategy=strategy)


def test_strategies_as_requests() -> None:
    assert request_settings(Strategy.of("greedy")) == {"temperature": 0.0, "top_p": 1.0}
    found = request_settings(Strategy.of("temperature(2) + top_k(5) + min_p(0.1) + repetition_penalty(1.1)"))
    assert found == {"temperature": 2, "top_p": 1.0, "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1}
    with pytest.raises(UserError, match="target_entropy\\(1\\) cannot be asked"):
        request_settings(Strategy.of("target_entropy(1)"))
