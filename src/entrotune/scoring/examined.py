"""A text that went through a model: its tokens, and the prediction that each of them came from.

N: tokens, D: width, V: vocabulary, K: of the likeliest tokens.
"""

import itertools
import math
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.kernels import RowStatistics, row_statistics
from entrotune.kernels.plan import Head as Scaling
from entrotune.kernels.products import product, to_logits
from entrotune.kernels.row_statistics import NO_TARGET
from entrotune.models import Head
from entrotune.scoring.pieces import Pieces

CONVENTIONS = {
    "entropy": "nats: −Σ p log p of the prediction that the token was chosen from, made at the position before it",
    "varentropy": "nats²: Σ p (log p + entropy)² of the same prediction",
    "surprisal": "nats: −log p of the token itself under the same prediction, at temperature 1",
    "rank": "how many tokens were more likely than it; 0 for the likeliest",
    "first": "nothing precedes the first token, so it has no numbers; the last position predicts what would follow",
}


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text, with the numbers of the prediction that it was chosen from; None where there was none.

    Attributes:
        index: its place; the prediction was made at `index - 1`.
        id: in the vocabulary.
        text: readable; a token that holds no whole character is shown as bytes, such as `⟨F0 9F⟩`.
        given: whether it is part of the prompt or an added BOS: shown, but not what is examined.
        entropy: of the prediction, nats.
        varentropy: of the prediction, nats².
        nll: surprisal of this token under the prediction, nats.
        rank: how many tokens were more likely, 0 for the likeliest.
    """

    index: int
    id: int
    text: str
    given: bool
    entropy: float | None = None
    varentropy: float | None = None
    nll: float | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Distribution:
    """A prediction of the next token, likeliest first.

    Attributes:
        ids: the K likeliest tokens.
        texts: the same, readable.
        log_probabilities: of them, nats, over the whole vocabulary.
        entropy: of the whole distribution, nats.
        varentropy: of the whole distribution, nats².
        vocabulary: tokens that the model chooses from.
    """

    ids: tuple[int, ...]
    texts: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    entropy: float
    varentropy: float
    vocabulary: int

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Of the K likeliest tokens."""
        return tuple(map(math.exp, self.log_probabilities))

    @property
    def cumulative(self) -> tuple[float, ...]:
        """The mass of the likeliest token, of the two likeliest, and so on."""
        return tuple(itertools.accumulate(self.probabilities))


@dataclass(frozen=True, eq=False)
class Examined:
    """A text that went through a model.

    Attributes:
        tokens: all of them, the prompt's included.
        model: its name.
        vocabulary: tokens that the model chooses from.
        tokens_cut: tokens of the text beyond the longest length, which are not here.
        conventions: what the numbers mean.
        statistics: of the prediction made at each position, [N].
    """

    tokens: tuple[Token, ...]
    model: str
    vocabulary: int
    tokens_cut: int
    statistics: RowStatistics = field(repr=False)
    conventions: dict[str, str] = field(default_factory=lambda: dict(CONVENTIONS), repr=False)
    _pieces: Pieces = field(kw_only=True, repr=False)
    _head: Head = field(kw_only=True, repr=False)
    _hidden: Tensor = field(kw_only=True, repr=False)

    def distribution(self, index: int) -> Distribution:
        """The prediction that token `index` was chosen from; for `len(tokens)`, of what would follow.

        Raises:
            UserError: nothing precedes the first token, or there is no such token.
        """
        at = self._position(index)
        ids = tuple(self.statistics.topk_ids[at].tolist())
        return Distribution(
            ids=ids,
            texts=tuple(map(self._pieces.of, ids)),
            log_probabilities=tuple(self.statistics.topk_logprobs[at].tolist()),
            entropy=float(self.statistics.entropy[at]),
            varentropy=float(self.statistics.varentropy[at]),
            vocabulary=self.vocabulary,
        )

    def log_probabilities(self, index: int) -> Tensor:
        """[V] all of the prediction that token `index` was chosen from, nats, float32 or wider; one product.

        Raises:
            UserError: as `distribution`.
        """
        at, head = self._position(index), self._head
        dtype = torch.float64 if head.weight.dtype == torch.float64 else torch.float32
        hidden_1D, weight_VD = self._hidden[at : at + 1], head.weight.detach()
        if hidden_1D.dtype != weight_VD.dtype:
            hidden_1D, weight_VD = hidden_1D.to(dtype), weight_VD.to(dtype)
        row_1V = product(hidden_1D, weight_VD.T, hidden_1D.new_empty(1, self.vocabulary, dtype=dtype))
        with torch.no_grad():
            to_logits(row_1V, head.bias, Scaling(head.logit_scale, head.softcap))
        return torch.log_softmax(row_1V[0], dim=-1).cpu()

    def at_temperature(self, temperature: float, *, top_k: int = 1) -> RowStatistics:
        """Statistics of the same predictions, [N], with the logits divided by a temperature; no ranks and no nll."""
        targets_N = torch.full(self._hidden.shape[:1], NO_TARGET, device=self._hidden.device)
        return predictions(self._hidden, self._head, targets_N, rank=False, top_k=top_k, temperature=temperature)

    def text_of(self, id: int) -> str:
        """A token of the vocabulary, readable."""
        return self._pieces.of(id)

    def _position(self, index: int) -> int:
        if not 1 <= index <= len(self.tokens):
            raise UserError(
                f"there is no prediction of token {index}: expected 1 to {len(self.tokens)}, as nothing precedes the "
                "first token, 0"
            )
        return index - 1


def predictions(
    hidden_ND: Tensor, head: Head, targets_N: Tensor, *, rank: bool, top_k: int, temperature: float = 1.0
) -> RowStatistics:
    """Statistics of predictions, on the host."""
    found = row_statistics(
        hidden_ND,
        head.weight,
        targets_N,
        bias=head.bias,
        logit_scale=head.logit_scale,
        softcap=head.softcap,
        temperature=temperature,
        renyi2=False,
        rank=rank,
        top_k=top_k,
    )
    return RowStatistics(**{one.name: getattr(found, one.name).cpu() for one in fields(RowStatistics)})
