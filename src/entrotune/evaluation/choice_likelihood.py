"""How probable each ending of a multiple-choice row is to a model, its context computed once for all endings.

S: sequences (endings of all rows of a batch), P: tokens of the shared prefix, R: tokens after it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entrotune.data.examples import IGNORED
from entrotune.data.tokens import check_tokenizer, tokenize
from entrotune.evaluation.choices import ChoiceRow
from entrotune.kernels import linear_objective
from entrotune.models import Head, backbone, base_of, context_length, evaluation_mode, find_head

# Two ways to the same number may differ by rounding: relative to the likelihood of an ending.
_AGREEMENT = {torch.float64: 1e-8, torch.float32: 1e-3}


@dataclass(frozen=True)
class ChoiceAnswer:
    """What a model makes of one row's endings.

    Attributes:
        id: the row's.
        nll: of each ending after the context, nats, summed over its tokens.
        tokens: of each ending.
        bytes: UTF-8 bytes of each ending, without the space before it.
    """

    id: str
    nll: tuple[float, ...]
    tokens: tuple[int, ...]
    bytes: tuple[int, ...]

    def choice(self, normalise: str) -> int:
        """The ending of lowest NLL a `bytes` or `tokens`; the first of equals."""
        sizes = {"bytes": self.bytes, "tokens": self.tokens}[normalise]
        costs = [nll / size for nll, size in zip(self.nll, sizes, strict=True)]
        return costs.index(min(costs))


@dataclass(frozen=True)
class EncodedChoices:
    """A row as tokens: one sequence an ending, and where the ending begins in it."""

    row: ChoiceRow
    sequences: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]

    @property
    def prefix(self) -> int:
        """Tokens that all sequences begin with, at most up to the first ending; what is computed once, and one more."""
        shared = 0
        for column in zip(*self.sequences, strict=False):
            if len(set(column)) > 1:
                break
            shared += 1
        return min(shared, *self.starts)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(map(len, self.sequences))


def encode_choices(rows: Sequence[ChoiceRow], tokenizer: Any) -> list[EncodedChoices]:
    """Tokenize context, a space and each ending as one text, so that the cut between them is the tokenizer's own.

    A token belongs to the ending if any of its characters lies behind the context.

    Raises:
        UserError: a tokenizer that does not tell characters of tokens.
    """
    check_tokenizer(tokenizer)
    texts = [
        row.context + ("" if row.context[-1].isspace() else " ") + ending for row in rows for ending in row.endings
    ]
    tokens = iter(tokenize(tokenizer, texts, from_template=False))
    encoded = []
    for row in rows:
        own = [next(tokens) for _ in row.endings]
        starts = [next(at for at, (_, end) in enumerate(one.offsets) if end > len(row.context)) for one in own]
        encoded.append(EncodedChoices(row, tuple(tuple(one.input_ids) for one in own), tuple(starts)))
    return encoded


def why_unanswerable(encoded: EncodedChoices, context: int | None) -> str | None:
    """Why a row cannot be answered; None where it can."""
    if min(encoded.starts) < 1:
        return "no context token: nothing predicts the first token of an ending"
    if context is not None and encoded.longest > context:
        return f"too long: {encoded.longest} tokens, and the model reads {context}"
    return None


class ChoiceReader:
    """Answers rows in batches. `shares_context` says whether a context is computed once for its endings.

    Models that keep no list of keys and values cannot share it; whether one that does gives the same number that way
    is tried on the first row, and told by `shares_context`.
    """

    def __init__(self, model: Any, tokenizer: Any, *, batch_tokens: int = 4096) -> None:
        self.model = model
        self.head: Head = find_head(model)
        self.padding: int = tokenizer.pad_token_id
        self.batch_tokens = batch_tokens
        self.context = context_length(model)
        self.shares_context: bool | None = None

    def answers(self, encoded: Sequence[EncodedChoices]) -> Iterator[list[ChoiceAnswer]]:
        """Yield the answers batch by batch, longest contexts first: a batch that does not fit memory shows at once."""
        if not encoded:
            return
        with evaluation_mode(self.model):
            if self.shares_context is None:
                self.shares_context = self._can_share(encoded[0])
            for batch in self._batches(encoded):
                yield self._answer(batch, share=self.shares_context and batch[0].prefix > 1)

    def _batches(self, encoded: Sequence[EncodedChoices]) -> Iterator[list[EncodedChoices]]:
        """Rows of one prefix length, so that no padding stands between a prefix and what follows it."""
        groups: dict[int, list[EncodedChoices]] = defaultdict(list)
        for one in encoded:
            groups[one.prefix].append(one)
        for prefix in sorted(groups, reverse=True):
            batch: list[EncodedChoices] = []
            for one in sorted(groups[prefix], key=lambda one: -one.longest):
                width = max([one.longest, *(other.longest for other in batch)])
                if batch and width * sum(len(other.sequences) for other in [*batch, one]) > self.batch_tokens:
                    yield batch
                    batch = []
                batch.append(one)
            yield batch

    def _can_share(self, first: EncodedChoices) -> bool:
        if getattr(base_of(self.model), "_is_stateful", False) or first.prefix <= 1:
            return False
        token = torch.tensor([first.sequences[0][:1]], device=self.head.weight.device)
        kept = getattr(backbone(self.model)(input_ids=token, use_cache=True), "past_key_values", None)
        if not hasattr(kept, "batch_select_indices"):
            return False
        shared, whole = (self._answer([first], share=share)[0].nll for share in (True, False))
        tolerance = _AGREEMENT.get(self.head.weight.dtype, 0.05)
        return all(abs(a - b) <= tolerance * max(1.0, b) for a, b in zip(shared, whole, strict=True))

    def _answer(self, batch: Sequence[EncodedChoices], *, share: bool) -> list[ChoiceAnswer]:
        cut = batch[0].prefix - 1 if share else 0
        device = self.head.weight.device
        rest = [sequence[cut:] for one in batch for sequence in one.sequences]
        starts = [start - cut for one in batch for start in one.starts]
        ids_SR = _padded(rest, self.padding, device)
        mask_SR = _padded([(1,) * len(sequence) for sequence in rest], 0, device)
        cache = None
        if share:
            prefix = torch.tensor([one.sequences[0][:cut] for one in batch], device=device)
            cache = backbone(self.model)(input_ids=prefix, use_cache=True).past_key_values
            owners = [at for at, one in enumerate(batch) for _ in one.sequences]
            cache.batch_select_indices(torch.tensor(owners, device=device))
            mask_SR = torch.cat([mask_SR.new_ones(len(rest), cut), mask_SR], dim=1)
        output = backbone(self.model)(input_ids=ids_SR, attention_mask=mask_SR, past_key_values=cache, use_cache=share)
        nll = self._nll(output.last_hidden_state, rest, starts)
        return _collected(batch, nll)

    def _nll(self, hidden_SRD: Tensor, rest: Sequence[Sequence[int]], starts: Sequence[int]) -> list[float]:
        """Of each sequence, summed from its start on."""
        labels = [[*[IGNORED] * start, *ids[start:]] for ids, start in zip(rest, starts, strict=True)]
        targets_SR = _padded(labels, IGNORED, hidden_SRD.device)[:, 1:]
        _, stats = linear_objective(
            hidden_SRD[:, :-1].to(self.head.weight),
            self.head.weight,
            targets_SR,
            "ce",
            bias=self.head.bias,
            logit_scale=self.head.logit_scale,
            softcap=self.head.softcap,
        )
        return stats.nll.double().sum(dim=1).tolist()


def _collected(batch: Sequence[EncodedChoices], nll: Sequence[float]) -> list[ChoiceAnswer]:
    left = iter(nll)
    return [
        ChoiceAnswer(
            id=one.row.id,
            nll=tuple(next(left) for _ in one.sequences),
            tokens=tuple(len(ids) - start for ids, start in zip(one.sequences, one.starts, strict=True)),
            bytes=tuple(len(ending.encode()) for ending in one.row.endings),
        )
        for one in batch
    ]


def _padded(sequences: Sequence[Sequence[int]], value: int, device: Any) -> Tensor:
    longest = max(len(sequence) for sequence in sequences)
    return torch.tensor([[*sequence, *[value] * (longest - len(sequence))] for sequence in sequences], device=device)
