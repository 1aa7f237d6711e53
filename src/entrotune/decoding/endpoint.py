"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, `transformers serve`."""

import asyncio
import os
import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

import httpx2

from entrotune.decoding.parts.repetition import RepetitionPenalty
from entrotune.decoding.parts.search import Greedy, Sample
from entrotune.decoding.parts.temperatures import Temperature
from entrotune.decoding.parts.truncation import MinP, TopK, TopP
from entrotune.decoding.strategy import Strategy
from entrotune.errors import UserError

KEYS = ("ENTROTUNE_API_KEY", "OPENAI_API_KEY")
"""Environment variables a key is taken from, the first that is set."""

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds
_TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Completion:
    """What a server answered.

    Attributes:
        text: the response.
        tokens: as the server counts them; None where it does not say.
        finished: whether the model ended it.
        tries: requests that were needed.
    """

    text: str
    tokens: int | None
    finished: bool
    tries: int


class Endpoint:
    """Asks a server; safe to use from several threads.

    Args:
        url: the base of the API, such as `http://127.0.0.1:8000/v1`.
        model: as the server names it.
        strategy: `temperature`, `top_p` and `greedy` are part of the protocol; `top_k`, `min_p` and
            `repetition_penalty` are sent under the names that vLLM, SGLang and llama.cpp understand.
        timeout: seconds that a request may take in all, from connecting to the last byte of its answer.
        retries: how often a request is repeated that failed by connection, time or a busy server, with waits that
            double from 0.5 s, or as long as the server asks for, 30 s at most.

    Raises:
        UserError: the address is none, or the strategy has a part that no server knows.
    """

    def __init__(self, url: str, model: str, *, strategy: Strategy, timeout: float = 120.0, retries: int = 5) -> None:
        if not _is_address(url):
            raise UserError(f"endpoint '{url}' is no address; expected one such as http://127.0.0.1:8000/v1")
        self.url, self.model = url.rstrip("/"), model
        self._settings = request_settings(strategy)
        self._retries = retries
        key = next((os.environ[name] for name in KEYS if os.environ.get(name)), None)
        # A client's own limit is one of each wait for a byte, which a server that trickles never meets: an event loop
        # ends a request as a whole, whatever it waits for.
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx2.Limits(max_connections=None)
        self._client = httpx2.AsyncClient(timeout=None, limits=limits, headers=headers)
        self._timeout = timeout
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="entrotune-endpoint", daemon=True)
        self._thread.start()
        self._sending = threading.Lock()
        self._stopped = threading.Event()

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def stop(self) -> None:
        """End the requests that are under way, in whichever thread; there are no more."""
        with self._sending:
            self._stopped.set()
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end_requests(), self._loop).result()

    async def _end_requests(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()

    def complete(self, messages: Sequence[Mapping[str, str]], *, max_tokens: int, seed: int) -> Completion:
        """One response to a conversation.

        Raises:
            UserError: the server refused the request, could not be reached in all tries, or answered something else
                than a completion.
        """
        body = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "max_tokens": max_tokens,
            "seed": seed,
            **self._settings,
        }
        for tries in range(1, self._retries + 2):
            problem, wait = self._try(body)
            if isinstance(problem, Completion):
                return Completion(problem.text, problem.tokens, problem.finished, tries)
            if tries <= self._retries and self._stopped.wait(_pause(tries, wait)):
                break
        raise UserError(f"endpoint {self.url}: {problem}, in {tries} tries; see that it runs, or raise retries")

    def _try(self, body: Mapping[str, Any]) -> tuple[Completion | str, float | None]:
        """A completion; or what went wrong that may pass, and how long the server asks to wait."""
        try:
            answer = self._sent(body).result()
        except TimeoutError:
            return f"no whole answer within {self._timeout:g} s", None
        except CancelledError:
            return "stopped", None
        except httpx2.TransportError as error:
            return f"no connection ({error})", None
        if answer.status_code in _TRY_AGAIN:
            return f"HTTP {answer.status_code}: {_told(answer)}", _seconds(answer.headers.get("retry-after"))
        if answer.status_code != 200:
            hint = f"; set {KEYS[0]}" if answer.status_code in (401, 403) else ""
            raise UserError(f"endpoint {self.url} refused: HTTP {answer.status_code}: {_told(answer)}{hint}")
        return _completion(answer, self.url), None

    def _sent(self, body: Mapping[str, Any]) -> "Future[httpx2.Response]":
        with self._sending:
            if self._stopped.is_set():
                raise CancelledError
            return asyncio.run_coroutine_threadsafe(self._post(body), self._loop)

    async def _post(self, body: Mapping[str, Any]) -> httpx2.Response:
        async with asyncio.timeout(self._timeout):
            return await self._client.post(f"{self.url}/chat/completions", json=body)


def request_settings(strategy: Strategy) -> dict[str, float]:
    """A strategy as fields of a request.

    Raises:
        UserError: a part that no server knows.
    """
    settings: dict[str, float] = {"temperature": 1.0, "top_p": 1.0}
    for part in strategy.parts:
        match part:
            case Sample():
                pass
            case Greedy():
                settings["temperature"] = 0.0
            case Temperature():
                settings["temperature"] = part.value
            case TopP():
                settings["top_p"] = part.p
            case TopK():
                settings["top_k"] = part.k
            case MinP():
                settings["min_p"] = part.p
            case RepetitionPenalty():
                settings["repetition_penalty"] = part.value
            case _:
                raise UserError(
                    f"{part} cannot be asked of an endpoint; it knows greedy, sample, temperature, top_p, and mostly "
                    "top_k, min_p and repetition_penalty"
                )
    return settings


def request_seed(stream: random.Random) -> int:
    """A seed for one request, of 31 bits, from the sample's own stream."""
    return stream.getrandbits(31)


def _is_address(url: str) -> bool:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host) and (parsed.port or 0) < 2**16


def _pause(tries: int, asked: float | None) -> float:
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tries - 1) if asked is None else asked)


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:  # a date: the usual wait will do
        return None


def _told(answer: httpx2.Response) -> str:
    return " ".join(answer.text.split())[:200] or answer.reason_phrase


def _completion(answer: httpx2.Response, url: str) -> Completion:
    try:
        content = answer.json()
        choice = content["choices"][0]
        text = choice["message"]["content"] or ""
        tokens = (content.get("usage") or {}).get("completion_tokens")
        return Completion(str(text), tokens, choice.get("finish_reason") == "stop", 1)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        started = " ".join(answer.text.split())[:120]
        raise UserError(f"endpoint {url} answered something else than a chat completion: {started}") from None
