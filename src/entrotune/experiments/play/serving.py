"""The web server of the page: where it listens, how it starts and ends."""

import contextlib
import ipaddress
import os
import socket
from typing import Any, cast

from entrotune.errors import UserError
from entrotune.experiments.play.guard import Guard

FIRST_PORT, _PORTS = 7860, 20
MOST_FILE_BYTES = 1_000_000
"""Of an uploaded file."""
_MOST_BYTES = 4_000_000  # of any request
_NEEDED = ("gradio", "uvicorn")
# Streams of the page stay open; they are cut after so long.
_TO_END = 2  # seconds


def check_installed() -> None:
    """Raise a `UserError` with the command that installs what is missing, and switch gradio's telemetry off."""
    import importlib.util

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{missing[0]} is not installed; the page needs it: pip install 'entrotune[play]'")


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens on `port`, or on the first free one from 7860.

    Raises:
        UserError: the port is taken, or the host is not this machine.
    """
    tried = [port] if port is not None else list(range(FIRST_PORT, FIRST_PORT + _PORTS))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for one in tried:
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # elsewhere this would let two servers share a port
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((host, one))
            opened.listen(128)
            return opened
        except OverflowError:
            opened.close()
            raise UserError(f"port is {one}; expected one from 1 to 65535") from None
        except socket.gaierror as error:
            opened.close()
            raise UserError(f"host '{host}' is not known: {error.strerror}") from None
        except OSError as error:
            opened.close()
            if one == tried[-1]:
                said = f"port {one} is" if port is not None else f"ports {tried[0]} to {one} are"
                raise UserError(
                    f"{said} not to be had on {host} ({error.strerror}); give another one with --port"
                ) from None
    raise AssertionError("there is a port to try")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def address(listening: socket.socket) -> str:
    """The URL of the page."""
    host, port = listening.getsockname()[:2]
    named = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{named}]:{port}/" if ":" in named else f"http://{named}:{port}/"


def server(blocks: Any, look: dict[str, Any], listening: socket.socket) -> Any:
    """A uvicorn server of a gradio page; `run(sockets=[listening])` serves, `should_exit = True` ends it.

    Args:
        blocks: the page.
        look: theme, css and so on, for gradio.
        listening: where.
    """
    import gradio
    import uvicorn
    from fastapi import FastAPI

    host = listening.getsockname()[0]
    hosts = frozenset({"127.0.0.1", "localhost", "::1", host}) if is_loopback(host) else None
    app = gradio.mount_gradio_app(
        FastAPI(openapi_url=None, docs_url=None, redoc_url=None),
        blocks,
        path="/",
        server_name=host,
        server_port=listening.getsockname()[1],
        show_error=False,
        max_file_size=MOST_FILE_BYTES,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        **look,
    )
    guard = Guard(app, hosts=hosts, most=_MOST_BYTES)

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            guard.end()
            await super().shutdown(sockets)

    settings = uvicorn.Config(
        cast(Any, guard), log_level="warning", access_log=False, timeout_graceful_shutdown=_TO_END, server_header=False
    )
    return Server(settings)
