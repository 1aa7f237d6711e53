"""A model in a process of its own: what ends or hangs it, lack of memory or a broken driver, leaves the page alive."""

import contextlib
import ctypes
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from entrotune.errors import UserError
from entrotune.experiments.play.worker_process import serve

_TO_END = 1.0  # seconds a process gets to end by itself; it has nothing to keep
# Seconds of silence after which whoever waits is told that there is nothing yet, and may go.
_QUIET = 0.5

Wanted = Callable[[], bool]
"""Whether an answer is still wanted."""

Said = tuple[str, Any]
"""`part`, `done` or `refused` and what the process says; `quiet` where it has said nothing for a moment."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds to wait. A process that says nothing for longer is taken to hang, and killed.

    Attributes:
        turn: for the request before.
        loading: for the object to be made.
        silence: from a request to the first thing said of it, and from one thing to the next.
        stopping: for a request that was stopped to end.
    """

    turn: float = 120.0
    loading: float = 3600.0
    silence: float = 300.0
    stopping: float = 30.0


class LostWorkerError(UserError):
    """The process of a model ended or hung; the next request starts a new one."""


class GivenUpError(UserError):
    """An answer that was not wanted any more."""

    def __init__(self) -> None:
        super().__init__("stopped; what was there before stays")


class Worker:
    """Asks an object that lives in a process of its own, one request at a time.

    Args:
        name: of the model, for messages.
        make: makes the object there; a function or class at the top of a module.
        limits: of waiting.
        arguments: for `make`.
    """

    def __init__(self, name: str, make: Callable[..., Any], *, limits: Limits | None = None, **arguments: Any) -> None:
        self.name = name
        self._make, self._arguments = make, arguments
        self._limits = limits or Limits()
        self._turn = threading.Lock()
        self._process: Any = None
        self._connection: Connection | None = None
        self._stopping: Any = None
        self._loading = False
        # Until when it may be silent, and how long that was to be; None where nothing is asked of it.
        self._until: float | None = None
        self._allowed = 0.0

    @property
    def pid(self) -> int | None:
        """The process's id; None where there is none."""
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    def start(self) -> None:
        """Start the process and wait until the object is made.

        Raises:
            UserError: it cannot be made.
        """
        for _ in self._my_turn():
            pass
        try:
            for _ in self._ready():
                pass
        finally:
            self._turn.release()

    def ask(self, method: str, *, wanted: Wanted | None = None, tells: bool = False, **values: Any) -> Any:
        """What a method of the object returns.

        Args:
            wanted: asked now and then, also while another request is answered, whether to go on waiting.
            tells: whether the method has an argument `tell`, by which it can be stopped; what it tells is nothing.

        Raises:
            GivenUpError: it is not wanted any more.
            UserError: the method raised, or the process ended or hung.
        """
        with contextlib.closing(self._answers(method, values, streams=tells)) as answers:
            for kind, value in answers:
                if kind == "done":
                    return value
                if wanted is not None and not wanted():
                    raise GivenUpError
        raise AssertionError("an answer ends with `done` or an error")

    def stream(self, method: str, **values: Any) -> Generator[Any]:
        """What a method of the object tells on its way by its argument `tell`; closing the iterator stops it.

        Now and then None where nothing is told, as only an iterator that comes back can be closed.

        Raises:
            UserError: the method raised, or the process ended or hung.
        """
        with contextlib.closing(self._answers(method, values, streams=True)) as answers:
            for kind, value in answers:
                if kind != "done":
                    yield value

    def close(self) -> None:
        """End the process."""
        process, connection = self._process, self._connection
        self._process = self._connection = self._until = None
        self._loading = False
        if connection is not None:
            connection.close()
        if process is not None:
            process.join(_TO_END)
            if process.is_alive():
                process.kill()
                process.join(_TO_END)

    def _answers(self, method: str, values: Mapping[str, Any], *, streams: bool) -> Generator[Said]:
        yield from self._my_turn()
        try:
            yield from self._ready()
            self._stopping.value = False
            self._send((method, dict(values), streams))
            yield from self._replies()
        finally:
            if self._until is not None and not self._loading:
                # The next request waits for the end of this one: here may be a thread that must not wait.
                self._stopping.value = True
                self._expect(self._limits.stopping)
            self._turn.release()

    def _my_turn(self) -> Iterator[Said]:
        """Wait for the request before, and take the turn."""
        until = time.monotonic() + self._limits.turn
        while not self._turn.acquire(timeout=_QUIET):
            if time.monotonic() > until:
                raise UserError(f"{self.name} is still busy with another request; stop that one, or try again later")
            yield "quiet", None

    def _ready(self) -> Iterator[Said]:
        """Have a process with the object made and nothing asked of it.

        Raises:
            UserError: the object cannot be made.
        """
        if self._until is not None and not self._loading:
            with contextlib.suppress(UserError):  # of a request that was stopped: nobody wants to know
                yield from self._silently()
        if self.pid is None:
            self._launch()
        if self._loading:
            try:
                yield from self._silently()
            except UserError:
                self.close()
                raise

    def _launch(self) -> None:
        context = _context()
        stopping = context.RawValue(ctypes.c_bool, False)  # without a lock, which a dead process might hold
        ours, theirs = context.Pipe()
        values = (theirs, self._make, self._arguments, stopping)
        process = context.Process(target=serve, args=values, daemon=True, name=f"entrotune {self.name}")
        process.start()
        theirs.close()
        self._process, self._connection, self._stopping, self._loading = process, ours, stopping, True
        self._expect(self._limits.loading)

    def _silently(self) -> Iterator[Said]:
        for _ in self._replies():
            yield "quiet", None

    def _replies(self) -> Iterator[Said]:
        """What the process says, to the end of its answer."""
        kind = "part"
        while kind in ("part", "quiet"):
            kind, value = self._receive()
            yield kind, value

    def _expect(self, seconds: float) -> None:
        self._until, self._allowed = time.monotonic() + seconds, seconds

    def _send(self, request: Any) -> None:
        self._expect(self._limits.silence)
        with self._listening() as (process, connection), _killed_late(process, self._left()):
            connection.send(request)

    def _receive(self) -> Said:
        """What the process says next.

        Raises:
            UserError: it cannot do what was asked, it has ended, or it has been silent for too long.
        """
        with self._listening() as (process, connection):
            if not connection.poll(min(_QUIET, self._left())):
                if not self._left():
                    raise TimeoutError
                return "quiet", None
            with _killed_late(process, self._left()):
                kind, value = connection.recv()
        if kind != "part":
            self._until, self._loading = None, False
        elif not self._stopping.value:
            self._expect(self._limits.silence)
        if kind == "refused":
            raise UserError(value)
        return kind, value

    def _left(self) -> float:
        """Seconds for which the process may still be silent."""
        return max(0.0, (self._until or 0.0) - time.monotonic())

    @contextlib.contextmanager
    def _listening(self) -> Iterator[tuple[Any, Connection]]:
        """The process and the way to it; that they are gone becomes a sentence."""
        process, connection = self._process, self._connection
        if process is None or connection is None:
            raise LostWorkerError(f"the process of {self.name} was ended")
        try:
            yield process, connection
        except (EOFError, OSError) as error:
            hung = isinstance(error, TimeoutError) or not self._left()
            told = self._lost(process, hung=hung)
            self.close()
            raise LostWorkerError(told) from None

    def _lost(self, process: Any, *, hung: bool) -> str:
        if hung:
            process.kill()
            return (
                f"the process of {self.name} said nothing for {self._allowed:,g} s, so it was ended; "
                "ask again and it is started anew"
            )
        process.join(_TO_END)
        return (
            f"the process of {self.name} ended ({_ending(process.exitcode)}); ask again and it is started anew. "
            "Where memory ran out, a shorter text or fewer samples may fit"
        )


@contextlib.contextmanager
def _killed_late(process: Any, seconds: float) -> Iterator[None]:
    """Kill a process that has not come to the end of a message by then: only that ends reading and writing it."""
    timer = threading.Timer(seconds + _TO_END, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _context() -> Any:
    """Processes that begin from one which has imported torch, where the system can; from nothing elsewhere."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["entrotune.experiments.play.explorer"])
    return context


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
