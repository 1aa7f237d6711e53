"""What the page asks of one model. V: vocabulary."""

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.nn import ModuleList

from entrotune.data import Row, prompts_of
from entrotune.data.tokens import check_tokenizer, tokenize
from entrotune.decoding import Strategy, draw, end_tokens, stream
from entrotune.errors import UserError
from entrotune.experiments.play.shaping import Left, Shaping, entropy_at, entropy_curve, left_by
from entrotune.experiments.play.watching import New, Watching
from entrotune.models import base_of, context_length, count_parameters, load_model
from entrotune.scoring.examine import Examined, Token, examine_tokens

SHOWN = 20
"""Likeliest tokens of a distribution that are shown."""
_REMEMBERED = 8  # texts, for clicks and sliders over one text


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of the likeliest tokens: its probability, that of it and all likelier ones, and what a setting leaves."""

    id: int
    text: str
    p: float
    cumulative: float
    shaped: float


@dataclass(frozen=True, kw_only=True)
class Position:
    """The distribution at a place of a text.

    Attributes:
        at: index of the token that was chosen from it; the number of tokens for what comes next.
        chosen: that token; None for what comes next.
        before: the last tokens before it.
        candidates: the likeliest ones, and after them the chosen one where it is not among them.
        entropy: nats.
        varentropy: nats².
        left: what the settings leave.
        curve: (temperature, entropy in nats).
        now: the point of the curve at the temperature set.
    """

    at: int
    chosen: Token | None
    before: str
    candidates: tuple[Candidate, ...]
    entropy: float
    varentropy: float
    vocabulary: int
    left: tuple[Left, ...]
    curve: tuple[tuple[float, float], ...]
    now: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class About:
    """What the page says of a model.

    Attributes:
        most: tokens of a text, prompt and response together.
        chat: whether it has a chat template.
        vocabulary: tokens it tells apart.
        tokens_mark: equal for two models whose tokens mean the same.
    """

    name: str
    parameters: int
    device: str
    dtype: str
    most: int
    chat: bool
    vocabulary: int
    tokens_mark: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A response that is complete: its tokens without the end mark, its text, whether the model ended it, and −Σ log p
    of all its tokens, nats."""

    sample: int
    ids: tuple[int, ...]
    text: str
    finished: bool
    nll: float


class Explorer:
    """One loaded model with its tokenizer.

    Args:
        model: its name, for `load_model`.
        dtype: of the weights.
        device: such as `cpu` or `cuda:1`.
        max_tokens: of a text that is read, or of a prompt with its response; less where the model's context is shorter.

    Raises:
        UserError: the model cannot be loaded.
    """

    def __init__(self, model: str, *, dtype: str, device: str | None, max_tokens: int) -> None:
        self._name = model
        self._model, self._tokenizer = load_model(model, dtype=dtype, device=device)
        check_tokenizer(self._tokenizer)
        self._most = min(max_tokens, context_length(self._model) or max_tokens)
        self._examined: OrderedDict[tuple[int, ...], Examined] = OrderedDict()

    def about(self) -> About:
        """What it is."""
        weight = base_of(self._model).get_input_embeddings().weight
        vocabulary = sorted(self._tokenizer.get_vocab().items())
        return About(
            name=self._name,
            parameters=count_parameters(self._model)[0],
            device=str(weight.device),
            dtype=str(weight.dtype).removeprefix("torch."),
            most=self._most,
            chat=bool(self._tokenizer.chat_template),
            vocabulary=len(self._tokenizer),
            tokens_mark=hashlib.sha256(repr(vocabulary).encode("utf-8", "surrogatepass")).hexdigest(),
        )

    def ids_of(self, text: str, *, chat: bool) -> list[int]:
        """The tokens of a text as it is, or of it as a message that the model is about to answer.

        Raises:
            UserError: it is empty, or longer than what is read at once.
        """
        if not text.strip():
            raise UserError("there is no text yet; type or paste some")
        _check_characters(text)
        if chat:
            ids = list(prompts_of([Row(id="play", source="the page", prompt=text)], self._tokenizer)[0].input_ids)
        else:
            ids = tokenize(self._tokenizer, [text], from_template=False)[0].input_ids
        if len(ids) > self._most:
            raise UserError(f"the text has {len(ids):,} tokens; at most {self._most:,} are read at once, so shorten it")
        return ids

    def read(self, ids: Sequence[int], *, tell: Callable[[Any], None]) -> tuple[Token, ...]:
        """Each token of a text with the numbers of the distribution it was chosen from; tells None now and then."""
        with self._told_of_each_layer(tell):
            return self._text(ids).tokens

    def position(self, ids: Sequence[int], at: int, shaping: Shaping) -> Position:
        """The distribution that token `at` was chosen from, and what settings make of it.

        Raises:
            UserError: there is no such token, or nothing before it.
        """
        text = self._text(ids)
        distribution, log_p = text.distribution(at), text.log_probabilities(at)
        left, shaped = left_by(log_p, shaping)
        chosen = text.tokens[at] if at < len(ids) else None
        candidates = [
            Candidate(id=id, text=piece, p=p, cumulative=cumulative, shaped=shaped.get(id, 0.0))
            for id, piece, p, cumulative in zip(
                distribution.ids, distribution.texts, distribution.probabilities, distribution.cumulative, strict=True
            )
        ]
        if chosen is not None and chosen.id not in distribution.ids:
            p = float(log_p[chosen.id].exp())
            likelier = float(log_p[log_p >= log_p[chosen.id]].exp().sum())
            candidates.append(
                Candidate(id=chosen.id, text=chosen.text, p=p, cumulative=likelier, shaped=shaped.get(chosen.id, 0.0))
            )
        return Position(
            at=at,
            chosen=chosen,
            before="".join(token.text for token in text.tokens[max(0, at - 12) : at]),
            candidates=tuple(candidates),
            entropy=distribution.entropy,
            varentropy=distribution.varentropy,
            vocabulary=distribution.vocabulary,
            left=tuple(left),
            curve=tuple(entropy_curve(log_p)),
            now=(shaping.temperature, entropy_at(log_p, shaping.temperature)),
        )

    def log_probabilities(self, ids: Sequence[int], at: int) -> NDArray[np.float64]:
        """[V] of the distribution that token `at` was chosen from, nats."""
        return self._text(ids).log_probabilities(at).double().numpy()

    def texts_of(self, ids: Sequence[int], of: Sequence[int]) -> list[str]:
        """Tokens of the vocabulary, readable."""
        text = self._text(ids)
        return [text.text_of(id) for id in of]

    def write(
        self,
        prompt: str,
        *,
        chat: bool,
        strategy: str,
        samples: int,
        max_new_tokens: int,
        seed: int,
        tell: Callable[[Any], None],
    ) -> None:
        """Continue or answer a prompt several times; tells the prompt's tokens, then lists of `New`, then `Ended`.

        While beams are searched the lists are empty.

        Raises:
            UserError: no prompt, no room for a response, or a strategy that cannot be read.
        """
        chosen = Strategy.of(strategy)
        ids = self.ids_of(prompt, chat=chat)
        room = self._most - len(ids)
        if room < max_new_tokens:
            raise UserError(
                f"the prompt has {len(ids):,} tokens, which with {max_new_tokens:,} new ones are more than the "
                f"{self._most:,} that are handled at once; shorten the prompt or ask for fewer new tokens"
            )
        tell(ids)
        watching = Watching(
            self._tokenizer,
            prompt_length=len(ids),
            samples=samples,
            ends=end_tokens(self._model, self._tokenizer),
            tell=tell,
        )
        streams = [stream(seed, "play", index) for index in range(samples)]
        unseen = chosen.lookahead is not None and chosen.lookahead.whole
        with self._told_of_each_pass(tell) if unseen else contextlib.nullcontext():
            responses = draw(
                self._model,
                self._tokenizer,
                [ids] * samples,
                streams,
                strategy=chosen,
                max_new_tokens=max_new_tokens,
                streamer=None if unseen else watching,
                watch=None if unseen else watching.watch,
            )
        for sample, response in enumerate(responses):
            new = response.token_ids[: response.tokens]
            if unseen:
                self._tell_whole(sample, ids, new, tell)
            tell(Ended(sample=sample, ids=new, text=response.text, finished=response.finished, nll=response.nll))

    @contextlib.contextmanager
    def _told_of_each_pass(self, tell: Callable[[Any], None]) -> Iterator[None]:
        """Tell an empty list before each pass through the model: a sign of life, and where it can be stopped."""
        hook = base_of(self._model).register_forward_pre_hook(lambda *_: tell([]))
        try:
            yield
        finally:
            hook.remove()

    @contextlib.contextmanager
    def _told_of_each_layer(self, tell: Callable[[Any], None]) -> Iterator[None]:
        """Tell None before each layer: a sign of life, and where a long text can be stopped."""
        lists = [module for module in base_of(self._model).modules() if isinstance(module, ModuleList)]
        hooks = [layer.register_forward_pre_hook(lambda *_: tell(None)) for layers in lists for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _tell_whole(self, sample: int, ids: list[int], new: Sequence[int], tell: Callable[[Any], None]) -> None:
        """Tell a response that could not be followed while it was made."""
        tokens = self._text([*ids, *new]).tokens[len(ids) :]
        tell([New(sample, token, None) for token in tokens])

    def _text(self, ids: Sequence[int]) -> Examined:
        """A text that went through the model, kept for the next question about it."""
        key = tuple(ids)
        if len(key) > self._most:
            raise UserError(f"the text has {len(key):,} tokens; at most {self._most:,} are read at once, so shorten it")
        if key not in self._examined:
            self._examined[key] = examine_tokens(key, self._model, self._tokenizer, top_k=SHOWN, name=self._name)
        self._examined.move_to_end(key)
        while len(self._examined) > _REMEMBERED:
            self._examined.popitem(last=False)
        return self._examined[key]


def _check_characters(text: str) -> None:
    """Raise a `UserError` for a text with half a character of UTF-16, as a browser may send it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"the text holds half a character (U+{ord(text[error.start]):04X}, a lone surrogate) at its character "
            f"{error.start + 1:,}, which no model reads; remove it"
        ) from None
