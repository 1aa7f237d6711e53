"""Diverse beam search (Vijayakumar et al. 2016, arXiv 1610.02424), with Hamming diversity.

At each step the groups move one after the other. A group does one step of beam search in which a token's
log-probability is less by `diversity` for every beam of an earlier group that goes on, or ends, with this token at this
step. What was taken off stays in the group's scores.

B: prompts, G: groups, W: beams of a group, V: vocabulary.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from entrotune.decoding.beam_loop import BeamLoop


class DiverseBeamsLoop(BeamLoop[list["_Group"]]):
    """A group stops and ranks as transformers' beams do.

    Of each prompt's responses the best of every group come first, then the second best, and so on.
    """

    def __init__(self, *, beams: int, groups: int, diversity: float, length_penalty: float) -> None:
        self._groups, self._width = groups, beams // groups
        self._diversity, self._length_penalty = diversity, length_penalty

    def boards(self, rows: int, ends: frozenset[int], most: int) -> list[list["_Group"]]:
        """The groups of each prompt."""
        return [
            [_Group(self._width, ends, self._length_penalty, most) for _ in range(self._groups)]
            for _ in range(rows // (self._groups * self._width))
        ]

    def is_open(self, board: list["_Group"]) -> bool:
        """Whether a group goes on."""
        return any(group.open for group in board)

    def step(self, scores: Tensor, boards: Sequence[list["_Group"]], pad: int) -> tuple[Tensor, Tensor]:
        """One step of every group."""
        scores_BGWV = scores.unflatten(0, (len(boards), self._groups, self._width))
        taken_BV = torch.zeros_like(scores_BGWV[:, 0, 0])
        parents = torch.zeros(scores_BGWV.shape[:3], dtype=torch.long)
        tokens = torch.full_like(parents, pad)
        for g in range(self._groups):
            running = torch.tensor([board[g].running for board in boards], dtype=scores.dtype, device=scores.device)
            totals_BWV = running[..., None] + scores_BGWV[:, g] - self._diversity * taken_BV[:, None]
            values, places = totals_BWV.flatten(1).topk(boards[0][g].wanted, dim=-1)
            for b, board in enumerate(boards):
                parents[b, g] = torch.arange(self._width)
                if board[g].open:
                    kept, ended = board[g].step(values[b].tolist(), places[b].tolist(), scores.shape[-1])
                    parents[b, g], tokens[b, g] = torch.tensor(kept).T
                    own = torch.cat([tokens[b, g], torch.tensor(ended, dtype=torch.long)]).to(scores.device)
                    taken_BV[b].scatter_add_(0, own, torch.ones_like(own, dtype=scores.dtype))
        starts = torch.arange(parents[..., 0].numel()).view(len(boards), self._groups, 1) * self._width
        return (starts + parents).flatten().to(scores.device), tokens.flatten().to(scores.device)

    def responses(self, board: list["_Group"]) -> list[list[int]]:
        """As many as beams."""
        return [group.best(rank) for rank in range(self._width) for group in board]


class _Group:
    """The beams of one group and what it has finished.

    Attributes:
        running: scores of the beams that go on, best first.
        wanted: candidates that a step needs, so that beams are left whatever ends.
        open: whether it goes on.
    """

    def __init__(self, width: int, ends: frozenset[int], length_penalty: float, most: int) -> None:
        self._width, self._ends, self._length_penalty, self._most = width, ends, length_penalty, most
        # All start from the same prompt: the others would only repeat the first.
        self.running = [0.0, *[-math.inf] * (width - 1)]
        self.wanted = max(2, 1 + len(ends)) * width
        self.open = True
        self._texts: list[list[int]] = [[] for _ in range(width)]
        self._finished: list[tuple[float, list[int]]] = []

    def step(
        self, values: Sequence[float], places: Sequence[int], vocabulary: int
    ) -> tuple[list[tuple[int, int]], list[int]]:
        """Take of candidates, best first; returns the beam and token of each that goes on, and end marks taken."""
        length = len(self._texts[0]) + 1
        going: list[tuple[float, int, int]] = []
        marks: list[int] = []
        for rank, (value, place) in enumerate(zip(values, places, strict=True)):
            parent, token = divmod(place, vocabulary)
            ended = token in self._ends
            if (ended or length == self._most) and rank < self._width and value > -math.inf:
                self._finished.append((value / length**self._length_penalty, [*self._texts[parent], token]))
            if ended and rank < self._width:
                marks.append(token)
            elif not ended and len(going) < self._width:
                going.append((value, parent, token))
        # Stable: of equals that which was there first stays.
        self._finished = sorted(self._finished, key=lambda one: -one[0])[: self._width]
        self.running = [value for value, _, _ in going]
        self._texts = [[*self._texts[parent], token] for _, parent, token in going]
        is_full = len(self._finished) == self._width
        could_improve = not is_full or self.running[0] / length**self._length_penalty > self._finished[-1][0]
        self.open = could_improve and length < self._most
        return [(parent, token) for _, parent, token in going], marks

    def best(self, rank: int) -> list[int]:
        """The sequence of that rank; where fewer were possible, they begin again."""
        return self._finished[rank % len(self._finished)][1]
