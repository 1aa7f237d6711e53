"""A model in a process of its own: what ends that process, lack of memory or a broken driver, leaves the page alive."""

import contextlib
import multiprocessing
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from entrotune.errors import UserError

# What a request may wait for the one before it.
_PATIENCE = 120.0  # seconds
_TO_END = 1.0  # seconds a process gets to end by itself; it has nothing to keep

Make = Callable[..., Any]


class LostWorkerError(UserError):
    """The process of a model ended; the next request starts a new one."""


class Worker:
    """Asks an object that lives in a process of its own, one request at a time.

    Args:
        name: of the model, for messages.
        make: makes the object there; a function or class at the top of a module.
        arguments: for `make`.
    """

    def __init__(self, name: str, make: Make, **arguments: Any) -> None:
        self.name = name
        self._make, self._arguments = make, arguments
        self._turn = threading.Lock()
        self._process: Any = None
        self._connection: Connection | None = None
        self._stopping: Any = None

    @property
    def pid(self) -> int | None:
        """The process's id; None where there is none."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    def start(self) -> None:
        """Start the process and wait until the object is made.

        Raises:
            UserError: it cannot be made.
        """
        if self.pid is not None:
            return
        context = _context()
        self._stopping = context.Event()
        self._connection, theirs = context.Pipe()
        values = (theirs, self._make, self._arguments, self._stopping)
        self._process = context.Process(target=_serve, args=values, daemon=True, name=f"entrotune {self.name}")
        self._process.start()
        theirs.close()
        try:
            self._receive()
        except UserError:
            self.close()
            raise

    def ask(self, method: str, **values: Any) -> Any:
        """What a method of the object returns.

        Raises:
            UserError: the method raised, or the process ended.
        """
        (answer,) = self._answers(method, values, streams=False)
        return answer[1]

    def stream(self, method: str, **values: Any) -> Generator[Any]:
        """What a method of the object tells on its way by its argument `tell`; closing the iterator stops it.

        Raises:
            UserError: the method raised, or the process ended.
        """
        with contextlib.closing(self._answers(method, values, streams=True)) as answers:
            for kind, value in answers:
                if kind == "part":
                    yield value

    def close(self) -> None:
        """End the process."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.join(_TO_END)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self._connection = None

    def _answers(self, method: str, values: Mapping[str, Any], *, streams: bool) -> Generator[tuple[str, Any]]:
        if not self._turn.acquire(timeout=_PATIENCE):
            raise UserError(f"{self.name} is still busy with another request; stop that one, or try again later")
        try:
            self.start()
            self._stopping.clear()
            self._send((method, dict(values), streams))
            kind = "part"
            while kind == "part":
                kind, value = self._receive()
                try:
                    yield kind, value
                except GeneratorExit:
                    if kind == "part":
                        self._drain()
                    raise
        finally:
            self._turn.release()

    def _drain(self) -> None:
        """Have the work stopped, and read on to its end."""
        self._stopping.set()
        with contextlib.suppress(UserError):
            while self._receive()[0] == "part":
                pass

    def _send(self, request: Any) -> None:
        assert self._connection is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # told by `_receive`
            self._connection.send(request)

    def _receive(self) -> tuple[str, Any]:
        """What the process says next.

        Raises:
            UserError: it says that it cannot do what was asked.
        """
        assert self._connection is not None
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(_TO_END)
            code = self._process.exitcode
            self.close()
            raise LostWorkerError(
                f"the process of {self.name} ended ({_ending(code)}); ask again and it is started anew. "
                "Where memory ran out, a shorter text or fewer samples may fit"
            ) from None
        if kind == "refused":
            raise UserError(value)
        return kind, value


class StoppedError(Exception):
    """Raised by `tell` where nobody listens any more."""


def _serve(connection: Connection, make: Make, arguments: Mapping[str, Any], stopping: Any) -> None:
    """The life of the process: make the object, then answer until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page, which then closes the connection
    warnings.filterwarnings("ignore", module=r"(torch|transformers|peft)\b")  # not meant for the page's user

    def tell(part: Any) -> None:
        if stopping.is_set():
            raise StoppedError
        connection.send(("part", part))

    def answer(work: Callable[[], Any]) -> Any:
        try:
            return ("done", work())
        except StoppedError:
            return ("done", None)
        except UserError as error:
            return ("refused", str(error))
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            return ("refused", f"{type(error).__name__}: {first}")

    made: list[Any] = []
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(answer(lambda: made.append(make(**arguments))))
        while made:
            method, values, streams = connection.recv()
            connection.send(answer(partial(getattr(made[0], method), **values, **({"tell": tell} if streams else {}))))


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
