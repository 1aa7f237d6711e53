"""Who answers: a model in memory, in batches of like length, or a server, several requests at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from transformers import TextStreamer

from entrotune.data import Row, prompt_room, prompts_of
from entrotune.data.render import with_system
from entrotune.data.rows import prompt_messages
from entrotune.decoding import Strategy, Stream, draw
from entrotune.decoding.endpoint import Endpoint, request_seed
from entrotune.decoding.forced_words import ForcedWords
from entrotune.decoding.limits import Limits
from entrotune.errors import UserError
from entrotune.models import context_length


@dataclass(frozen=True)
class Item:
    """One response wanted: to which prompt, which of its responses, asked how, with which stream of chance."""

    prompt_id: str
    index: int
    row: Row
    stream: Stream


@dataclass(frozen=True)
class Answer:
    """One response; `nll` (nats, summed, under the model itself) and `tokens` are None where they are not known.

    `token_ids` are as drawn, with the end mark; empty where they are not known.
    """

    text: str
    tokens: int | None
    finished: bool
    nll: float | None = None
    mean_logprob: float | None = None
    token_ids: tuple[int, ...] = ()


class Writer(Protocol):
    """Answers items, in groups that are ready together."""

    def answers(self, items: Sequence[Item]) -> Iterator[list[tuple[Item, Answer]]]:
        """All items with their answers, in any order."""

    def fits(self, row: Row) -> bool:
        """Whether a prompt leaves room for a response; False is not an error."""


class LocalWriter:
    """A model in memory.

    Args:
        on_text: told the text as it comes, where one response is wanted and the strategy goes from left to right.
        limits: what each response is limited to.
        words: what each response must have.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        strategy: Strategy,
        max_new_tokens: int,
        batch_size: int,
        system: str | None = None,
        on_text: Callable[[str], None] | None = None,
        limits: Limits | None = None,
        words: ForcedWords | None = None,
    ) -> None:
        self._limits, self._words = limits, words
        self._model, self._tokenizer = model, tokenizer
        self._strategy, self._max_new_tokens, self._batch_size = strategy, max_new_tokens, batch_size
        self._system, self._on_text = system, on_text
        self._longest = prompt_room(context_length(model), max_new_tokens)

    def answers(self, items: Sequence[Item]) -> Iterator[list[tuple[Item, Answer]]]:
        """Batches of like length, longest first, as a lack of memory shows there."""
        rows = list({item.row.id: item.row for item in items}.values())
        prompts = prompts_of(rows, self._tokenizer, system=self._system, max_length=self._longest)
        ids = {prompt.id: prompt.input_ids for prompt in prompts}
        if empty := [prompt.id for prompt in prompts if not prompt.input_ids]:
            raise UserError(f"prompt '{empty[0]}' has no token to start from")
        ordered = sorted(items, key=lambda item: -len(ids[item.row.id]))
        streamer = _Streamer(self._tokenizer, self._on_text) if self._on_text and len(items) == 1 else None
        search = self._strategy.lookahead
        for start in range(0, len(ordered), self._batch_size):
            batch = ordered[start : start + self._batch_size]
            found = draw(
                self._model,
                self._tokenizer,
                [ids[item.row.id] for item in batch],
                [item.stream for item in batch],
                strategy=self._strategy,
                max_new_tokens=self._max_new_tokens,
                limits=self._limits,
                words=self._words,
                streamer=streamer if search is None or not search.whole else None,
            )
            yield [
                (item, Answer(one.text, one.tokens, one.finished, one.nll, one.mean_logprob, one.token_ids))
                for item, one in zip(batch, found, strict=True)
            ]

    def fits(self, row: Row) -> bool:
        """Whether the prompt's tokens leave room for `max_new_tokens` in the context."""
        (prompt,) = prompts_of([row], self._tokenizer, system=self._system)
        return self._longest is None or len(prompt.input_ids) <= self._longest


class EndpointWriter:
    """A server, asked by `concurrency` threads."""

    def __init__(self, endpoint: Endpoint, *, max_new_tokens: int, concurrency: int, system: str | None) -> None:
        self._endpoint, self._max_new_tokens = endpoint, max_new_tokens
        self._concurrency, self._system = concurrency, system

    def answers(self, items: Sequence[Item]) -> Iterator[list[tuple[Item, Answer]]]:
        """Each answer as it arrives; what was not sent yet when one fails is not sent."""
        pool = ThreadPoolExecutor(self._concurrency)
        try:
            waiting: dict[Future[Answer], Item] = {pool.submit(self._ask, item): item for item in items}
            while waiting:
                ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
                # What arrived is kept even where another of the same moment failed.
                good = [future for future in ready if future.exception() is None]
                if good:
                    yield [(waiting[future], future.result()) for future in good]
                for future in ready:
                    future.result()
                    del waiting[future]
        except BaseException:
            self._endpoint.stop()  # else an answer that nobody will read is waited for
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def fits(self, row: Row) -> bool:
        """The server knows; a prompt that is too long is refused by it."""
        return True

    def _ask(self, item: Item) -> Answer:
        messages = prompt_messages(item.row)
        assert messages
        found = self._endpoint.complete(
            with_system(messages, self._system), max_tokens=self._max_new_tokens, seed=request_seed(item.stream)
        )
        return Answer(found.text, found.tokens, found.finished)


class _Streamer(TextStreamer):
    """Hands text on as soon as it is certain."""

    def __init__(self, tokenizer: Any, on_text: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._on_text = on_text

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Called by `generate`."""
        self._on_text(text + ("\n" if stream_end else ""))
