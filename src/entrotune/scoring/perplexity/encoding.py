"""Texts to tokens: what a model reads, which tokens are scored, and the text that these stand for.

N: tokens of a sequence, M: those that are scored, C: characters of the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrotune.data.rejects import RowError
from entrotune.data.tokens import Tokens, tokenize, unknown_token
from entrotune.errors import UserError
from entrotune.scoring.perplexity.sizes import Mask
from entrotune.scoring.perplexity.texts import Text

BOS = ("auto", "none", "always", "eos")
FAMILIES = ("causal", "masked", "encoder_decoder")
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """A text as tokens of one model.

    Attributes:
        ids: [N] what the model reads; for an encoder with decoder, what the decoder writes.
        targets: [M] positions in `ids` of the tokens that are scored, ascending.
        starts: [M] the first counted character of each.
        unscored: tokens that should count but that nothing predicts.
        unknown: scored tokens that stand for any text the vocabulary lacks.
        scored: [C] characters that the scored tokens stand for, and white space between them.
        source: what an encoder reads; empty for other models.
    """

    ids: Ints
    targets: Ints
    starts: Ints
    unscored: int
    unknown: int
    scored: Mask
    source: Ints


@dataclass(frozen=True)
class Encoder:
    """How texts become tokens of a model.

    Attributes:
        tokenizer: of the model, a fast one.
        family: one of `FAMILIES`.
        before: tokens put before the text.
        after: tokens put behind it.
        vocabulary: of the model.
    """

    tokenizer: Any
    family: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    vocabulary: int

    def encode(self, texts: Sequence[Text]) -> list[Encoded | RowError]:
        """The tokens of each text, or why it has none that can be scored."""
        joined = self.family != "encoder_decoder"
        tokens = tokenize(self.tokenizer, [one.context * joined + one.text for one in texts], from_template=True)
        sources: list[list[int]] = [[] for _ in texts]
        if not joined:
            sources = self.tokenizer([one.context for one in texts], verbose=False)["input_ids"]
        found: list[Encoded | RowError] = []
        for text, own, source in zip(texts, tokens, sources, strict=True):
            try:
                found.append(self._encoded(text, own, len(text.context) * joined, source))
            except RowError as error:
                found.append(error)
        return found

    def _encoded(self, text: Text, tokens: Tokens, context: int, source: list[int]) -> Encoded:
        before = self.before
        if before and tuple(tokens.input_ids[: len(before)]) == before:  # the text has it itself
            before = ()
        ids = np.array([*before, *tokens.input_ids, *self.after], dtype=np.int64)
        largest = max([*ids.tolist(), *source])
        if largest >= self.vocabulary:
            raise RowError(f"out of range: token {largest}, but the model's vocabulary ends at {self.vocabulary - 1}")
        places = len(before) + np.arange(len(tokens.input_ids))
        starts, ends = _spans(tokens, context, len(text.text))
        following = _next_counted(text.counted)
        own = ends > 0  # tokens of the context end before the text begins
        counts = own & (following[np.minimum(starts, len(text.text))] < ends)
        predicted = places > 0 if self.family == "causal" else np.ones(len(places), dtype=bool)
        lost = counts & ~predicted
        counts &= predicted
        if not counts.any():
            raise RowError(
                f"no token to score: {len(tokens.input_ids)} in all, and nothing before the first could predict it"
                if lost.any()
                else "no token to score: the tokenizer makes none of the text"
            )
        scored = text.counted.copy()
        for at in np.flatnonzero(lost):
            scored[starts[at] : ends[at]] = False
        for at in np.flatnonzero(counts)[:8]:  # of a character that is several tokens, one of which is lost
            scored[starts[at] : ends[at]] = text.counted[starts[at] : ends[at]]
        return Encoded(
            ids=ids,
            targets=places[counts],
            starts=following[starts[counts]],
            unscored=int(lost.sum()),
            unknown=int((ids[places[counts]] == unknown_token(self.tokenizer)).sum()),
            scored=scored,
            source=np.array(source, dtype=np.int64),
        )


def encoder_for(tokenizer: Any, family: str, *, bos: str, vocabulary: int, model: str) -> Encoder:
    """How a model's texts are encoded.

    Args:
        bos: of a causal model: `auto` puts before the text what the tokenizer puts there, `none` nothing, `always` its
            BOS, `eos` its end-of-sequence token. Others always have what their tokenizer adds.

    Raises:
        UserError: the tokenizer has no such token.
    """
    before, after = _affixes(tokenizer)
    if family == "causal":
        after = ()
        if bos == "none":
            before = ()
        elif bos != "auto":
            token = tokenizer.bos_token_id if bos == "always" else tokenizer.eos_token_id
            if token is None:
                other = "eos" if bos == "always" else "always"
                raise UserError(
                    f"bos is '{bos}', but the tokenizer of '{model}' has no such token; try {other} or none"
                )
            before = (int(token),)
    return Encoder(tokenizer, family, before, after, vocabulary)


def _affixes(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer adds before and behind a text."""
    plain, whole = (tokenizer("a", add_special_tokens=adds)["input_ids"] for adds in (False, True))
    at = next(at for at in range(len(whole)) if whole[at : at + len(plain)] == plain)
    return tuple(whole[:at]), tuple(whole[at + len(plain) :])


def _spans(tokens: Tokens, context: int, length: int) -> tuple[Ints, Ints]:
    """Where tokens begin and end in the text; a token of no character belongs to the one where it stands.

    Tokens of the context end at 0 or before.
    """
    offsets = np.array(tokens.offsets, dtype=np.int64).reshape(-1, 2) - context
    starts, ends = offsets[:, 0], offsets[:, 1]
    empty = ends <= starts
    starts = np.where(empty & (starts >= length), length - 1, starts)
    ends = np.where(empty, starts + 1, ends)
    return np.maximum(starts, 0), np.minimum(ends, length)


def _next_counted(counted: Mask) -> Ints:
    """[C + 1] for each character the first counted one from it on; C where there is none."""
    length = len(counted)
    at = np.append(np.where(counted, np.arange(length), length), length)
    return np.minimum.accumulate(at[::-1])[::-1]
