"""The life of a model's process: make the object, then answer until the page is gone. `worker.py` is the other end."""

import contextlib
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from entrotune.errors import UserError


class StoppedError(Exception):
    """Raised by `tell` where nobody listens any more."""


def serve(connection: Connection, make: Callable[..., Any], arguments: Mapping[str, Any], stopping: Any) -> None:
    """Say `done` when the object is made; then for each request `part`s, and `done` or `refused`.

    Args:
        connection: requests come from here: a method, its arguments, and whether it tells something on its way.
        make: the object.
        arguments: for `make`.
        stopping: shared; its `value` is true where the request is to be given up.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page, which then closes the connection
    warnings.filterwarnings("ignore", module=r"(torch|transformers|peft)\b")  # not meant for the page's user

    def tell(part: Any) -> None:
        if stopping.value:
            raise StoppedError
        connection.send(("part", part))

    made: list[Any] = []
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(_answer(lambda: made.append(make(**arguments))))
        while made:
            method, values, streams = connection.recv()
            telling = {"tell": tell} if streams else {}
            connection.send(_answer(partial(getattr(made[0], method), **values, **telling)))


def _answer(work: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "done", work()
    except StoppedError:
        return "done", None
    except UserError as error:
        return "refused", str(error)
    except (BrokenPipeError, ConnectionResetError):  # the page is gone
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return "refused", f"{type(error).__name__}: {first}"
