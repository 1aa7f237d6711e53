"""Responses to prompts by a strategy, each with its own stream of chance. B: rows, V: vocabulary."""

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from entrotune.decoding.batch import end_tokens, left_padded, nothing_inherited, read_once, until_end
from entrotune.decoding.entropy import wide
from entrotune.decoding.forced_words import ForcedWords
from entrotune.decoding.limits import Limits
from entrotune.decoding.parts.search import Beam, Lookahead, Loop
from entrotune.decoding.strategy import Strategy
from entrotune.decoding.word_beams import WordBeamsLoop
from entrotune.errors import UserError
from entrotune.models import base_of, evaluation_mode

Watch = Callable[[Tensor, Tensor], None]
"""Told the model's own scores and what the strategy made of them, [B, V] each."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """One generated response.

    Attributes:
        text: without special tokens.
        token_ids: as generated, the end mark included where there is one.
        tokens: generated tokens without the end mark.
        finished: whether the model ended it; False where it reached the limit of new tokens.
        nll: of all `token_ids` under the model itself, before the strategy changed anything, summed, nats.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: int
    finished: bool
    nll: float

    @property
    def mean_logprob(self) -> float:
        """Mean log-likelihood of a token, nats; 0 for an empty response."""
        return -self.nll / max(1, len(self.token_ids))


class Stream(random.Random):
    """One sample's stream of chance.

    Attributes:
        index: which of the responses to its prompt the sample is; groups of beams go by it.
    """

    index: int = 0


def stream(seed: int, prompt_id: str, index: int) -> Stream:
    """The stream of chance of one sample, fixed by seed, prompt and index alone (SHA-256 of them)."""
    digest = hashlib.sha256(f"{seed}:{index}:{prompt_id}".encode("utf-8", "surrogatepass")).digest()
    made = Stream(int.from_bytes(digest, "big"))
    made.index = index
    return made


def draw(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    streams: Sequence[Stream],
    *,
    strategy: Strategy,
    max_new_tokens: int,
    limits: Limits | None = None,
    words: ForcedWords | None = None,
    streamer: Any = None,
    watch: Watch | None = None,
) -> list[Response]:
    """One response to each prompt of a batch; what others are in the batch changes nothing but roundings.

    Every token is drawn by inverting the cumulative distribution at one number of the row's own stream. The model's
    own generation settings play no part.

    Args:
        prompts: token ids, none empty.
        streams: one a prompt; see `stream`.
        limits: what each response is limited to: `Choices`, or a grammar over the tokens.
        words: what each response must have; the strategy is then a beam search. Where no response with all of them is
            found in `max_new_tokens`, that with most of them is returned.
        streamer: of transformers, told every token; no beams, and one prompt for those of transformers itself.
        watch: told the two scores at every step, before the choice; not with beams.

    Raises:
        UserError: the longest of the choices has more than `max_new_tokens`; words without a beam search.
    """
    base, search = base_of(model), strategy.lookahead
    device = next(base.parameters()).device
    asked, owners, places = _searches(prompts, streams, search)
    ids_BT, mask_BT = left_padded(asked, tokenizer.pad_token_id, device)
    ends = end_tokens(model, tokenizer)
    settings: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": sorted(ends),
        "do_sample": False,
        **(search.settings() if search else {}),
    }
    kept = _Kept()
    processors = strategy.processors()
    if limits is not None:
        if limits.longest is not None and limits.longest > max_new_tokens:
            raise UserError(f"a choice has {limits.longest} tokens with its end; raise max_new_tokens to that")
        processors.insert(0, limits.processor(ids_BT.shape[1], settings.get("num_beams", 1)))
    if search is None or not search.whole:
        processors.insert(0, kept)
    if watch is not None:
        processors.append(_Watched(kept, watch))
    if strategy.takes_chances:
        processors.append(_Drawn(streams))
    with evaluation_mode(base), nothing_inherited(base):
        output = base.generate(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            generation_config=GenerationConfig(**settings),
            logits_processor=LogitsProcessorList(processors),
            streamer=streamer,
            custom_generate=_loop(search, words, streamer),
            **(read_once(base, asked, ids_BT, mask_BT) if search is None else {}),
        )[places]
        new_BT = output[:, ids_BT.shape[1] :]
        is_beam = search is not None and search.whole
        nll_BT = _forced_nll(base, output, mask_BT[owners], new_BT) if is_beam else kept.nll(new_BT)
    return [
        _response(tokenizer, row, nll, ends) for row, nll in zip(new_BT.tolist(), nll_BT.double().tolist(), strict=True)
    ]


def _loop(search: Lookahead | None, words: ForcedWords | None, streamer: Any) -> Loop | None:
    """The way of decoding that is not transformers' own."""
    if words is None:
        return search.loop(streamer) if search else None
    if not isinstance(search, Beam):
        raise UserError("forced words need a beam search; give the strategy beam(beams=8)")
    return WordBeamsLoop(words, beams=search.beams, length_penalty=search.length_penalty)


def _searches(
    prompts: Sequence[Sequence[int]], streams: Sequence[Stream], search: Lookahead | None
) -> tuple[list[tuple[int, ...]], list[int], list[int]]:
    """Prompts to search for, and for each row of the batch which of them is its own, and which answer of all."""
    each = [tuple(prompt) for prompt in prompts]
    if search is None or search.answers == 1:
        return each, list(range(len(each))), list(range(len(each)))
    asked = list(dict.fromkeys(each))
    owners = [asked.index(prompt) for prompt in each]
    answers = [one.index % search.answers for one in streams]
    return asked, owners, [o * search.answers + a for o, a in zip(owners, answers, strict=True)]


class _Kept(LogitsProcessor):
    """Keeps what the model itself thinks of each token, as transformers hands out its scores before any change."""

    def __init__(self) -> None:
        self._picked: list[Tensor] = []
        self._scores: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores as they are."""
        if self._scores is not None:
            self._pick(input_ids[:, -1])
        self._scores = wide(scores).clone()
        return scores

    @property
    def scores(self) -> Tensor:
        """[B, V] of the present step, in float32 or wider."""
        assert self._scores is not None
        return self._scores

    def nll(self, new_BT: Tensor) -> Tensor:
        """[B, T] of the tokens that were chosen."""
        if self._scores is not None:
            self._pick(new_BT[:, -1])
            self._scores = None
        return torch.stack(self._picked, dim=1)

    def _pick(self, chosen_B: Tensor) -> None:
        picked = self.scores.gather(-1, chosen_B[:, None]).squeeze(-1)
        self._picked.append(self.scores.logsumexp(dim=-1) - picked)


class _Watched(LogitsProcessor):
    """Shows somebody what the scores were, and what they have become."""

    def __init__(self, kept: _Kept, watch: Watch) -> None:
        self._kept, self._watch = kept, watch

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores as they are."""
        self._watch(self._kept.scores, scores)
        return scores


class _Drawn(LogitsProcessor):
    """Leaves one token of each row: that at which the cumulative distribution passes the row's next random number."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores to 0 for the token drawn and −inf for all others."""
        # float64 where the device has it: sums over 100,000 probabilities in float32 lose the tail.
        exact = torch.float32 if scores.device.type == "mps" else torch.float64
        mass_BV = torch.softmax(wide(scores), dim=-1).to(exact).cumsum(dim=-1)
        total_B1 = mass_BV[:, -1:].contiguous()
        numbers = torch.tensor([one.random() for one in self._streams], dtype=exact, device=scores.device)
        drawn_B1 = torch.searchsorted(mass_BV, numbers[:, None] * total_B1, right=True)
        # Rounding may carry a number up to the total; the last token that adds to the sum is meant then.
        last_B1 = torch.searchsorted(mass_BV, total_B1)
        return torch.full_like(scores, -math.inf).scatter(-1, torch.minimum(drawn_B1, last_B1), 0.0)


def _forced_nll(base: Any, output_BT: Tensor, mask_BT: Tensor, new_BT: Tensor) -> Tensor:
    """[B, new] nll of given tokens, by one pass over whole sequences: for beams, which do not follow one row."""
    mask = torch.cat([mask_BT, torch.ones_like(new_BT)], dim=1)
    positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    count = new_BT.shape[1]
    logits = base(input_ids=output_BT, attention_mask=mask, position_ids=positions, logits_to_keep=count + 1).logits
    log_p = torch.log_softmax(wide(logits[:, -count - 1 : -1]), dim=-1)
    return -log_p.gather(-1, new_BT[..., None]).squeeze(-1)


def _response(tokenizer: Any, generated: Sequence[int], nll: Sequence[float], ends: frozenset[int]) -> Response:
    ids = until_end(generated, ends)
    finished = bool(ids) and ids[-1] in ends
    answer = ids[:-1] if finished else ids
    return Response(
        text=tokenizer.decode(answer, skip_special_tokens=True),
        token_ids=tuple(ids),
        tokens=len(answer),
        finished=finished,
        nll=math.fsum(nll[: len(ids)]),
    )
