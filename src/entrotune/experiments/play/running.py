"""`entrotune play`: start the models' processes and the page, and end them."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.experiments.display import say
from entrotune.experiments.play.serving import address, check_installed, is_loopback, listen, server
from entrotune.experiments.play.worker import Worker


@dataclass(frozen=True)
class Running:
    """A page that is being served.

    Attributes:
        url: of the page.
        workers: with the models, the compared one second.
        server: of uvicorn.
        listening: its socket.
    """

    url: str
    workers: tuple[Worker, ...]
    server: Any
    listening: socket.socket

    def serve(self) -> None:
        """Serve until `server.should_exit` is set or, in the main thread, Ctrl-C."""
        self.server.run(sockets=[self.listening])


def play(
    model: str = "smollm2-135m",
    *,
    compare: str | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    max_tokens: int = 1024,
    dtype: str = "float32",
    device: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Serve a page on which a model's distributions can be seen and shaped, until it is interrupted.

    Args:
        model: a folder, run, adapter, GGUF file, hub id or `smollm2-135m`.
        compare: a second model, such as a tuned one, to see beside it.
        host: the address to listen on. Other than loopback, everybody who reaches it can use the page.
        port: to listen on; the first free one from 7860 by default.
        max_tokens: of a text that is read, or of a prompt with its response; less where a model's context is shorter.
        dtype: of the weights.
        device: such as `cpu` or `cuda:1`; the accelerator by default, where there is one.

    Returns:
        The address at which the page was.

    Raises:
        UserError: gradio is missing, a model cannot be loaded, or the port is taken.
    """
    with started(
        model,
        compare=compare,
        host=host,
        port=port,
        max_tokens=max_tokens,
        dtype=dtype,
        device=device,
        progress=progress,
    ) as running:
        if not is_loopback(host):
            say(progress, f"Listening on {host}: everybody who reaches this machine there can use the page.")
        say(progress, f"The page is at {running.url} (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            running.serve()
    return running.url


@contextlib.contextmanager
def started(
    model: str,
    *,
    compare: str | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    max_tokens: int = 1024,
    dtype: str = "float32",
    device: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Running]:
    """A page with its models loaded, not yet served; its processes and socket are gone afterwards. See `play`."""
    check_installed()
    if max_tokens < 2:
        raise UserError(f"max_tokens is {max_tokens}; expected at least 2")
    names = [model] if compare is None else [model, compare]
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(contextlib.closing(listen(host, port)))
        workers = []
        for name in names:
            workers.append(_worker(name, dtype=dtype, device=device, max_tokens=max_tokens))
            stack.callback(workers[-1].close)
        _load(workers, progress)
        from entrotune.experiments.play.handlers import Page
        from entrotune.experiments.play.page import build, look

        page = Page(workers, [worker.ask("about") for worker in workers])
        yield Running(address(listening), tuple(workers), server(build(page), look(), listening), listening)


def _worker(name: str, **options: Any) -> Worker:
    from entrotune.experiments.play.explorer import Explorer

    return Worker(name, Explorer, model=name, **options)


def _load(workers: list[Worker], progress: Progress | None) -> None:
    """Have all models loaded at once."""
    errors: list[UserError] = []

    def load(worker: Worker) -> None:
        try:
            worker.start()
        except UserError as error:
            errors.append(error)

    task = progress.add_task("loading models", total=len(workers)) if progress is not None else None
    threads = [threading.Thread(target=load, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        if progress is not None and task is not None:
            progress.advance(task)
    if progress is not None and task is not None:
        progress.remove_task(task)
        progress.stop()
    if errors:
        raise errors[0]
