"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, `transformers serve`."""

import os
import random
import threading
from collections.abc import Mapping, Sequence
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
        timeout: seconds a request may take.
        retries: how often a request is repeated that failed by connection, time or a busy server, with waits that
            double from 0.5 s, or as long as the server asks for, 30 s at most.

    Raises:
        UserError: the address is none, or the strategy has a part that no server knows.
    """

    def __init__(self, url: str, model: str, *, strategy: Strategy, timeout: float = 120.0, retries: int = 5) -> None:
        if not url.startswith(("http://", "https://")):
            raise UserError(f"endpoint '{url}' is no address; expected one such as http://127.0.0.1:8000/v1")
        self.url, self.model = url.rstrip("/"), model
        self._settings = request_settings(strategy)
        self._retries = retries
        key = next((os.environ[name] for name in KEYS if os.environ.get(name)), None)
        self._client = httpx2.Client(timeout=timeout, headers={"Authorization": f"Bearer {key}"} if key else {})
        self._stopped = threading.Event()

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._client.close()

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
            answer = self._client.post(f"{self.url}/chat/completions", json=body)
        except httpx2.TimeoutException:
            return "no answer in time", None
        except httpx2.TransportError as error:
            return f"no connection ({error})", None
        if answer.status_code in _TRY_AGAIN:
            return f"HTTP {answer.status_code}: {_told(answer)}", _seconds(answer.headers.get("retry-after"))
        if answer.status_code != 200:
            hint = f"; set {KEYS[0]}" if answer.status_code in (401, 403) else ""
            raise UserError(f"endpoint {self.url} refused: HTTP {answer.status_code}: {_told(answer)}{hint}")
        return _completion(answer, self.url), None


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
