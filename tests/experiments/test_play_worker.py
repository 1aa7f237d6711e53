"""Processes of models that hang, in any place, are noticed and replaced."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from entrotune.errors import UserError
from entrotune.experiments.play.worker import GivenUpError, Limits, LostWorkerError, Worker
from experiments.play_objects import Speaker

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes are stopped by a POSIX signal")


@pytest.fixture
def started() -> Iterator[Callable[..., Worker]]:
    """Workers with short limits; all are ended."""
    made: list[Worker] = []

    def start(made_after: float = 0.0, **limits: float) -> Worker:
        short: Any = {"silence": 0.7, "stopping": 0.7, "turn": 0.3} | limits
        made.append(Worker("speaker", Speaker, limits=Limits(**short), made_after=made_after))
        return made[-1]

    yield start
    for worker in made:
        worker.close()


def hung(worker: Worker) -> int:
    """Stop the process so that it neither answers nor ends."""
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    return pid


def numbers_of(worker: Worker, to: int, each: float = 0.0) -> list[int]:
    return [number for number in worker.stream("count", to=to, each=each) if number is not None]


def test_one_that_says_nothing_is_replaced(started: Callable[..., Worker]) -> None:
    worker = started()
    assert worker.ask("echo", said=1) == 1
    pid = hung(worker)
    with pytest.raises(LostWorkerError, match=r"speaker said nothing for 0\.7 s, so it was ended; ask again"):
        worker.ask("echo", said=2)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert worker.ask("echo", said=3) == 3
    assert worker.pid != pid


def test_one_that_says_something_now_and_then_may_take_long(started: Callable[..., Worker]) -> None:
    worker = started()
    assert numbers_of(worker, to=3, each=0.4) == [0, 1, 2]


def test_one_that_hangs_in_the_middle_of_a_message(started: Callable[..., Worker]) -> None:
    worker = started()
    told = worker.stream("shout", size=50_000_000)
    assert next(part for part in told if part is not None) == 0
    time.sleep(0.3)  # it waits in the long message for somebody to read it
    hung(worker)
    with pytest.raises(LostWorkerError, match="said nothing for"):
        list(told)
    assert worker.ask("echo", said=1) == 1


def test_one_that_hangs_before_it_has_read_a_long_request(started: Callable[..., Worker]) -> None:
    worker = started()
    worker.start()
    hung(worker)
    with pytest.raises(LostWorkerError, match="said nothing for"):
        worker.ask("echo", said=b"x" * 50_000_000)


def test_stopping_takes_no_time_and_leaves_the_process(started: Callable[..., Worker]) -> None:
    worker = started(silence=60.0, stopping=60.0)
    running = worker.stream("count", to=1000, each=0.6)
    next(number for number in running if number is not None)
    pid, before = worker.pid, time.monotonic()
    running.close()
    assert time.monotonic() - before < 0.3
    assert worker.ask("echo", said=1) == 1
    assert worker.pid == pid
    assert numbers_of(worker, to=3) == [0, 1, 2]


def test_one_that_does_not_stop_is_replaced(started: Callable[..., Worker]) -> None:
    worker = started(silence=60.0)
    running = worker.stream("count", to=1000, each=0.05)
    next(number for number in running if number is not None)
    pid, before = hung(worker), time.monotonic()
    assert any(number is None for number in running)  # it comes back, so that it can be stopped
    running.close()
    assert worker.ask("echo", said=1) == 1  # nobody is told of what nobody waits for
    assert time.monotonic() - before < 10
    assert worker.pid != pid


def test_loading_has_a_limit_of_its_own(started: Callable[..., Worker]) -> None:
    assert started(made_after=1.2).ask("echo", said=1) == 1
    worker = started(made_after=60, loading=0.3)
    with pytest.raises(LostWorkerError, match="said nothing for"):
        worker.start()
    assert worker.pid is None


def test_what_is_stopped_while_it_loads_goes_on_loading(started: Callable[..., Worker]) -> None:
    worker = started(made_after=1.2)
    running = worker.stream("count", to=2, each=0)
    assert next(running) is None
    pid = worker.pid
    running.close()
    assert worker.ask("echo", said=1) == 1
    assert worker.pid == pid


def test_only_one_is_asked_at_a_time(started: Callable[..., Worker]) -> None:
    worker = started()
    running = worker.stream("count", to=1000, each=0.05)
    next(number for number in running if number is not None)
    with pytest.raises(UserError, match="speaker is still busy with another request; stop that one"):
        worker.ask("echo", said=1)
    running.close()
    assert worker.ask("echo", said=1) == 1


def test_an_answer_that_is_not_wanted_any_more_is_given_up(started: Callable[..., Worker]) -> None:
    worker = started(silence=60.0, stopping=60.0, turn=60.0)
    worker.start()
    pid = hung(worker)
    with pytest.raises(GivenUpError, match="stopped; what was there before stays"):
        worker.ask("echo", said=1, wanted=lambda: False)
    os.kill(pid, signal.SIGCONT)
    assert worker.ask("echo", said=2, wanted=lambda: True) == 2
    running = worker.stream("count", to=1000, each=0.05)
    next(number for number in running if number is not None)
    with pytest.raises(GivenUpError):  # nor does it wait for its turn
        worker.ask("echo", said=3, wanted=lambda: False)
    running.close()
    assert worker.pid == pid


def test_what_tells_is_stopped_when_it_is_not_wanted_any_more(started: Callable[..., Worker]) -> None:
    worker = started(silence=60.0, stopping=0.7)
    worker.start()
    pid = worker.pid
    with pytest.raises(GivenUpError):
        worker.ask("count", to=1000, each=0.05, tells=True, wanted=lambda: False)
    assert worker.ask("echo", said=1) == 1
    assert worker.pid == pid  # it ended its counting in time


def test_closing_ends_a_process_that_hangs(started: Callable[..., Worker]) -> None:
    worker = started()
    worker.start()
    pid = hung(worker)
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
