"""The hub is asked once a process whether it is there."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from entrotune.connection import hub_reachable
from entrotune.models import resolve_model


class _Hub(BaseHTTPRequestHandler):
    """Answers with the status that its server was told, and counts."""

    def do_HEAD(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.asked, server.status = 0, 200  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_is_asked_once_whoever_wants_to_know(
    hub: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("ENTROTUNE_CACHE", str(tmp_path / "cache"))
    assert resolve_model("smollm2-135m").repo is not None
    assert hub_reachable()
    assert hub.asked == 1  # type: ignore[attr-defined]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not hub_reachable()


@pytest.mark.parametrize(("status", "there"), [(401, True), (404, True), (403, False), (407, False), (502, False)])
def test_a_proxy_that_refuses_is_no_hub(hub: ThreadingHTTPServer, status: int, there: bool) -> None:
    hub.status = status  # type: ignore[attr-defined]
    assert hub_reachable() is there
