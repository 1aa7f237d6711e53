"""What stands before the page: only this machine's names, no request too large, nothing loaded from elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# gradio compiles its components' scripts in the browser, hence unsafe-eval; it sets style attributes.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Guard:
    """An ASGI application around another one.

    Args:
        app: what is guarded.
        hosts: names a request may be addressed to, against pages elsewhere that rebind their own name to this
            machine; None for any.
        most: bytes a request may have.
    """

    def __init__(self, app: App, *, hosts: frozenset[str] | None, most: int) -> None:
        self._app, self._hosts, self._most = app, hosts, most
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Have answers that stay open, as those that a page listens to, come to their end."""
        self._ended.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page needs no other
            await send({"type": "websocket.close"})
            return
        headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
        if self._hosts is not None and _host(headers.get(b"host", b"")) not in self._hosts:
            await _refuse(send, 421, "this page answers to the name of this machine only")
            return
        if int(headers.get(b"content-length", b"0") or b"0") > self._most:
            await _refuse(send, 413, f"a request may have {self._most:,} bytes")
            return
        answer = _Answer(send)
        await self._app(scope, self._counted(receive), answer.send)
        if self._ended.is_set() and answer.is_open:
            await send({"type": "http.response.body", "body": b""})

    def _counted(self, receive: Receive) -> Receive:
        """The same body, up to the limit; a request need not say its length beforehand. Then, that nobody listens."""
        got, whole = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal got, whole
            if whole:
                return await self._left(receive)
            message = await receive()
            whole = not message.get("more_body", False)
            got += len(message.get("body", b""))
            if got > self._most:
                return {"type": "http.disconnect"}
            return message

        return counted

    async def _left(self, receive: Receive) -> MutableMapping[str, Any]:
        """What comes after a request: that the other side has gone, or that this one is about to."""
        gone, ended = asyncio.ensure_future(receive()), asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait([gone, ended], return_when=asyncio.FIRST_COMPLETED)
            return gone.result() if gone.done() else {"type": "http.disconnect"}
        finally:
            gone.cancel()
            ended.cancel()


class _Answer:
    """What is sent, with the headers, and whether its end is still to come."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_open = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
            self.is_open = True
        elif message["type"] == "http.response.body":
            self.is_open = bool(message.get("more_body", False))
        await self._send(message)


def _host(header: bytes) -> str:
    """The name in a Host header, without its port."""
    name = header.decode("latin-1").strip().lower()
    if name.startswith("["):
        return name.partition("]")[0].removeprefix("[")
    return name.partition(":")[0]


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
