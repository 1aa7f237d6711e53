"""What searches with beams of our own share: steps of the model, its cache in the order of the beams."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from transformers import Cache

from entrotune.decoding.entropy import wide

Board = TypeVar("Board")
"""All beams of one prompt."""


class BeamLoop(ABC, Generic[Board]):
    """For `generate(custom_generate=..., num_beams=beams)`."""

    @torch.no_grad()
    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **model_kwargs: Any,
    ) -> Tensor:
        """Prompts, each repeated as often as it has beams, to responses, padded on the right.

        Args:
            input_ids: [rows, T], the rows of a prompt one after the other.

        Returns:
            [responses, T'], prompts included.
        """
        pad = generation_config.pad_token_id
        boards = self.boards(
            len(input_ids), frozenset(generation_config.eos_token_id), generation_config.max_length - input_ids.shape[1]
        )
        ids, first = input_ids, True
        while any(self.is_open(board) for board in boards):
            advance = {"is_first_iteration": True} if first else {"next_sequence_length": 1}
            inputs = model.prepare_inputs_for_generation(ids, **advance, **model_kwargs)
            outputs = model(**inputs, return_dict=True)
            model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
            scores = logits_processor(ids, torch.log_softmax(wide(outputs.logits[:, -1]), dim=-1))
            parents, tokens = self.step(scores, boards, pad)
            ids = torch.cat([ids[parents], tokens[:, None]], dim=-1)
            for value in model_kwargs.values():
                if isinstance(value, Cache):
                    value.reorder_cache(parents)  # type: ignore[arg-type]
            first = False
        return self._gathered(input_ids, boards, pad)

    @abstractmethod
    def boards(self, rows: int, ends: frozenset[int], most: int) -> list[Board]:
        """A board a prompt, for `rows` rows; a response ends with one of `ends`, or has `most` tokens."""

    @abstractmethod
    def is_open(self, board: Board) -> bool:
        """Whether the search goes on for a prompt."""

    @abstractmethod
    def step(self, scores: Tensor, boards: Sequence[Board], pad: int) -> tuple[Tensor, Tensor]:
        """For each row of the next step: which row it goes on from, and with which token.

        Args:
            scores: [rows, V] log-probabilities, changed by the processors.
        """

    @abstractmethod
    def responses(self, board: Board) -> list[list[int]]:
        """What was found for a prompt, best first."""

    def _gathered(self, prompts: Tensor, boards: Sequence[Board], pad: int) -> Tensor:
        found = [self.responses(board) for board in boards]
        rows = [row for one in found for row in one]
        longest = max(map(len, rows))
        new = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=prompts.device)
        each = len(prompts) // len(boards)
        owners = [at * each for at, one in enumerate(found) for _ in one]
        return torch.cat([prompts[owners], new], dim=-1)
