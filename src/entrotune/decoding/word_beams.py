"""Beam search for responses that have given words, with beams shared out by how much of the words they have.

After Post and Vilar 2018 (arXiv 1804.06609): candidates are the best of all, the best of each beam, and each beam with
a token that leads to a missing word. They are taken in turns from those that have most of the words to those that
have least, so that the words are pursued from every place in the text. A response may end when it has all.

B: prompts, W: beams of a prompt, V: vocabulary.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.decoding.beam_loop import BeamLoop
from entrotune.decoding.forced_words import ForcedWords


@dataclass(frozen=True)
class _Beam:
    """A beginning of a response: its tokens, log-probability, the words that it has and how far it is with all."""

    tokens: tuple[int, ...]
    score: float
    met: frozenset[int]
    progress: int
    parent: int = 0


class _Board:
    """The beams of one prompt: those that go on, best first within each measure of progress, and finished ones."""

    def __init__(self, words: ForcedWords) -> None:
        self.going = [_Beam((), 0.0, frozenset(), words.progress((), frozenset()))]
        self.finished: list[tuple[float, _Beam]] = []
        self.open = True


class WordBeamsLoop(BeamLoop[_Board]):
    """Finds the response with all words of highest log-likelihood / length^length_penalty among those that it meets.

    A search stops where as many responses as beams are finished and no beam that has all words can still be better.
    Where none was finished within the limit of tokens, the response is that which has most of the words.
    """

    def __init__(self, words: ForcedWords, *, beams: int, length_penalty: float) -> None:
        self._words, self._width, self._length_penalty = words, beams, length_penalty
        self._ends: frozenset[int] = frozenset()
        self._most = 0

    def boards(self, rows: int, ends: frozenset[int], most: int) -> list[_Board]:
        """One a prompt."""
        self._ends, self._most = ends, most
        return [_Board(self._words) for _ in range(rows // self._width)]

    def is_open(self, board: _Board) -> bool:
        """Whether beams go on."""
        return board.open

    def step(self, scores: Tensor, boards: Sequence[_Board], pad: int) -> tuple[Tensor, Tensor]:
        """One step of every prompt; rows without a beam repeat the first."""
        parents, tokens = [], []
        scores_BWV = scores.unflatten(0, (len(boards), self._width))
        for b, (board, scores_WV) in enumerate(zip(boards, scores_BWV, strict=True)):
            if board.open:
                self._advance(board, scores_WV)
            rows = [(beam.parent, beam.tokens[-1]) for beam in board.going] if board.open else []
            rows += [(0, pad)] * (self._width - len(rows))
            parents += [b * self._width + parent for parent, _ in rows]
            tokens += [token for _, token in rows]
        return torch.tensor(parents, device=scores.device), torch.tensor(tokens, device=scores.device)

    def responses(self, board: _Board) -> list[list[int]]:
        """The best."""
        if board.finished:
            return [list(board.finished[0][1].tokens)]
        best = max(board.going, key=lambda beam: (len(beam.met), beam.progress, beam.score)).tokens
        # Where nothing may follow, it ends.
        return [[*best, *sorted(self._ends)[:1]] if len(best) < self._most else list(best)]

    def _advance(self, board: _Board, scores_WV: Tensor) -> None:
        candidates: list[_Beam] = []
        for parent, token, score in self._candidates(board, scores_WV):
            before = board.going[parent]
            tokens = (*before.tokens, token)
            if token in self._ends:
                if len(before.met) == len(self._words):
                    self._finish(board, _Beam(tokens, score, before.met, before.progress))
                continue
            met = self._words.met(tokens)
            candidates.append(_Beam(tokens, score, met, self._words.progress(tokens, met), parent))
        taken = list(itertools.islice(_in_turns(candidates), self._width))
        if taken:  # else what there is stays, to be chosen from
            board.going = taken
        length = len(board.going[0].tokens)
        if length == self._most:
            for beam in taken:
                if len(beam.met) == len(self._words):
                    self._finish(board, beam)
        board.open = bool(taken) and length < self._most and not self._is_settled(board, length)

    def _candidates(self, board: _Board, scores_WV: Tensor) -> Iterator[tuple[int, int, float]]:
        """Beam, token and score of what may follow, each once, best first."""
        running = torch.tensor([beam.score for beam in board.going], dtype=scores_WV.dtype, device=scores_WV.device)
        totals_WV = running[:, None] + scores_WV[: len(board.going)]
        vocabulary = totals_WV.shape[1]
        enough = min(totals_WV.numel(), (1 + max(1, len(self._ends))) * self._width)
        places = set(totals_WV.flatten().topk(enough).indices.tolist())
        places |= {w * vocabulary + token for w, token in enumerate(totals_WV.argmax(dim=1).tolist())}
        for w, beam in enumerate(board.going):
            places |= {w * vocabulary + token for token in self._words.next_tokens(beam.tokens, beam.met)}
        ordered = sorted(places)
        values = totals_WV.flatten()[torch.tensor(ordered, device=totals_WV.device)].tolist()
        for place, value in sorted(zip(ordered, values, strict=True), key=lambda one: (-one[1], one[0])):
            if value > -math.inf:
                yield *divmod(place, vocabulary), value

    def _finish(self, board: _Board, beam: _Beam) -> None:
        value = beam.score / len(beam.tokens) ** self._length_penalty
        # Stable: of equals that which was there first stays.
        board.finished = sorted([*board.finished, (value, beam)], key=lambda one: -one[0])[: self._width]

    def _is_settled(self, board: _Board, length: int) -> bool:
        """Whether as many as beams are finished, and none of the beams with all words is better than the last."""
        if len(board.finished) < self._width:
            return False
        whole = [beam.score for beam in board.going if len(beam.met) == len(self._words)]
        return max(whole, default=-math.inf) / length**self._length_penalty <= board.finished[-1][0]


def _in_turns(candidates: Sequence[_Beam]) -> Iterator[_Beam]:
    """Best first, one of each measure of progress after the other, from most to least."""
    banks: dict[int, list[_Beam]] = defaultdict(list)
    for one in candidates:  # best first
        banks[one.progress].append(one)
    ordered = [banks[progress] for progress in sorted(banks, reverse=True)]
    for turn in itertools.zip_longest(*ordered):
        yield from (one for one in turn if one is not None)
