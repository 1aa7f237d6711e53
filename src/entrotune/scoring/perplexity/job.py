"""Texts through one model: tokens first, which need no weights, then likelihoods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from entrotune.data.rejects import RowError
from entrotune.errors import UserError
from entrotune.scoring.perplexity.causal import Advance, Floats, causal_nll, planned_windows
from entrotune.scoring.perplexity.encoder_decoder import encoder_decoder_nll
from entrotune.scoring.perplexity.encoding import Encoded, Encoder, encoder_for
from entrotune.scoring.perplexity.masked import masked_nll
from entrotune.scoring.perplexity.models import Described, describe, load
from entrotune.scoring.perplexity.texts import Parts, Text
from entrotune.scoring.perplexity.windows import Window, window_lengths
from entrotune.scoring.scorer import default_batch_tokens


@dataclass(frozen=True)
class Reader:
    """A model as far as it is known without weights, and how it reads texts.

    Attributes:
        described: the model.
        encoder: texts to its tokens.
        max_length: tokens it reads at once.
        stride: by which a causal model's window moves on; 0 for others.
    """

    described: Described
    encoder: Encoder
    max_length: int
    stride: int

    @property
    def name(self) -> str:
        """As the user wrote it."""
        return self.described.source.name

    @property
    def before(self) -> str | None:
        """What stands before each text, None for nothing."""
        return self.encoder.tokenizer.decode(list(self.encoder.before)) if self.encoder.before else None

    def encode(self, texts: Sequence[Text]) -> list[Encoded | RowError]:
        """The tokens of each text, or why it cannot be scored."""
        return [self._fitting(one) for one in self.encoder.encode(texts)]

    def _fitting(self, one: Encoded | RowError) -> Encoded | RowError:
        longest = 0 if isinstance(one, RowError) else max(len(one.ids), len(one.source))
        if self.described.family != "encoder_decoder" or longest <= self.max_length:
            return one
        return RowError(f"too long: {longest:,} tokens, and the model reads {self.max_length:,} (max_length)")


def reader(name: str, parts: Parts, *, bos: str, max_length: int | None, stride: int | None) -> Reader:
    """Describe a model, and check what is asked of it.

    Raises:
        UserError: no such model, or it is of a family for which an option means nothing.
    """
    described = describe(name)
    family = described.family
    if family != "causal" and stride is not None:
        raise UserError(f"'{name}' is a {_words(family)} model, which has no sliding window; leave stride out")
    if family != "causal" and bos != "auto":
        raise UserError(
            f"bos is {bos!r}, but '{name}', a {_words(family)} model, has tokens of its own; leave it at auto"
        )
    if family == "encoder_decoder" and parts.context is None and parts.context_column is None:
        raise UserError(f"'{name}' has an encoder, which needs something to read; give context or context_column")
    length, step = window_lengths(max_length, stride, context=described.context, model=name)
    encoder = encoder_for(described.tokenizer, family, bos=bos, vocabulary=described.vocabulary, model=name)
    if family == "masked" and length <= len(encoder.before) + len(encoder.after):
        raise UserError(f"max_length is {length}, no more than the tokens that '{name}' puts around a text; give more")
    return Reader(described, encoder, length, step if family == "causal" else 0)


@dataclass(frozen=True)
class Work:
    """What a model is to read: the windows of a causal model, else a sequence for each target or text."""

    windows: list[tuple[int, Window]]
    sequences: int
    tokens_read: int


def work_of(reader: Reader, encoded: Sequence[Encoded]) -> Work:
    """What scoring would send through the model, padding not counted."""
    family = reader.described.family
    if family == "causal":
        windows = planned_windows(encoded, max_length=reader.max_length, stride=reader.stride)
        return Work(windows, len(windows), sum(window.stop - window.start for _, window in windows))
    if family == "masked":
        lengths = [min(len(one.ids), reader.max_length) for one in encoded]
        read = sum(length * len(one.targets) for length, one in zip(lengths, encoded, strict=True))
        return Work([], sum(len(one.targets) for one in encoded), read)
    return Work([], len(encoded), sum(len(one.ids) + len(one.source) for one in encoded))


def measure(
    reader: Reader,
    encoded: Sequence[Encoded],
    work: Work,
    *,
    precision: str,
    device: str | None,
    batch_tokens: int | None,
    advance: Advance,
    loaded: Callable[[Any], None],
) -> list[Floats]:
    """Load the model and score all texts: −log p of each target, nats.

    Args:
        loaded: told of the model before it is used.

    Raises:
        UserError: the model cannot be loaded, or gives a likelihood that is no finite number.
    """
    model = load(reader.described, precision=precision, device=device)
    loaded(model)
    size = batch_tokens or default_batch_tokens(torch.device(model.device))
    with torch.no_grad():
        if reader.described.family == "causal":
            padding = reader.encoder.tokenizer.pad_token_id or 0
            found = causal_nll(model, encoded, work.windows, padding=padding, batch_tokens=size, advance=advance)
        elif reader.described.family == "masked":
            found = masked_nll(
                model, reader.encoder, encoded, max_length=reader.max_length, batch_tokens=size, advance=advance
            )
        else:
            found = encoder_decoder_nll(model, reader.encoder, encoded, batch_tokens=size, advance=advance)
    wrong = sum(int((~np.isfinite(one)).sum()) for one in found)
    if wrong:
        raise UserError(
            f"model '{reader.name}' gives {wrong:,} tokens a likelihood that is no finite number; its weights may be "
            "damaged, or try precision float32"
        )
    return found


def _words(family: str) -> str:
    return {"masked": "masked", "encoder_decoder": "encoder-decoder"}[family]
