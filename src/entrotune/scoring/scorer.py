"""Blocks of rows through a model: hidden states, statistics of positions, numbers of rows.

B: sequences of a batch, T: positions, D: width, M: positions that count.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entrotune.data import RowBlock
from entrotune.data.rejects import Rejects
from entrotune.errors import UserError
from entrotune.kernels import RowStatistics, row_statistics
from entrotune.models import backbone, evaluation_mode, find_head
from entrotune.scoring.batches import batches
from entrotune.scoring.options import ScoreOptions
from entrotune.scoring.sequences import Scorable, Sequencer, reject_of
from entrotune.scoring.table import Measured, ScoredBlock, scored_block

# Tokens of a batch, padding included. A processor gains nothing from more; a GPU needs many to be busy.
CPU_BATCH_TOKENS = 4096
GPU_BATCH_TOKENS = 65536


# A block, its sequences, and where the rows went that have none.
Encoded = tuple[RowBlock, list[Scorable], Rejects]


class Scorer:
    """A model that scores blocks of rows, in steps that may run in different threads.

    Args:
        model: a causal language model.
        tokenizer: its own.
        options: what to take.
        batch_tokens: tokens of a batch, padding included; by default 4,096 on a CPU, else 65,536.
        on_bad_row: `stop` raises `UserError` at the first row that cannot be scored.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        options: ScoreOptions,
        *,
        batch_tokens: int | None = None,
        on_bad_row: str = "skip",
    ) -> None:
        self.model, self.tokenizer, self.options, self.on_bad_row = model, tokenizer, options, on_bad_row
        self.head = find_head(model)
        self.device = self.head.weight.device
        self.batch_tokens = batch_tokens or default_batch_tokens(self.device)

    def encode(self, block: RowBlock) -> Encoded:
        """The sequences of a block, and what cannot be one."""
        rejects = Rejects(self.on_bad_row)
        sequences = list(Sequencer(self.tokenizer, self.options, rejects).sequences(block))
        return block, self._within_vocabulary(sequences, rejects), rejects

    def measure(self, encoded: Encoded) -> Measured:
        """Send the sequences through the model; the results may still be on their way from the device."""
        block, sequences, rejects = encoded
        order: list[int] = []
        found = []
        with evaluation_mode(self.model):
            for indices in batches([len(one.input_ids) for one in sequences], self.batch_tokens):
                order += indices
                found.append(self._statistics([sequences[index] for index in indices]))
        return Measured(block, [sequences[index] for index in order], order, rejects.found, found)

    def finish(self, measured: Measured) -> ScoredBlock:
        """Numbers of rows, in the order of the input; rows without finite scores become rejects."""
        return scored_block(measured, self.options, Rejects(self.on_bad_row))

    def score(self, block: RowBlock) -> ScoredBlock:
        """All steps at once."""
        return self.finish(self.measure(self.encode(block)))

    def _within_vocabulary(self, sequences: Sequence[Scorable], rejects: Rejects) -> list[Scorable]:
        size = self.head.weight.shape[0]
        kept = []
        for one in sequences:
            largest = int(one.input_ids.max())
            if largest < size:
                kept.append(one)
                continue
            reason = f"out of range: token {largest}, but the model's vocabulary ends at {size - 1}"
            rejects.add(reject_of(one, reason))
        return kept

    def _statistics(self, batch: Sequence[Scorable]) -> RowStatistics:
        longest = max(len(one.input_ids) for one in batch)
        # Padded with any token that the model has: its own padding may be one that was added beyond the embeddings.
        ids = np.zeros((len(batch), longest), dtype=np.int64)
        for row, one in enumerate(batch):
            ids[row, : len(one.input_ids)] = one.input_ids
        places = np.concatenate([row * longest + one.places for row, one in enumerate(batch)])
        targets = np.concatenate([one.targets for one in batch])
        try:
            # Padding is on the right, where no position that counts attends to it, so no mask is needed.
            hidden_BTD = backbone(self.model)(input_ids=self._to_device(ids), use_cache=False).last_hidden_state
            hidden_MD = hidden_BTD.flatten(0, 1).index_select(0, self._to_device(places))
            return row_statistics(
                hidden_MD.to(self.head.weight.dtype),
                self.head.weight,
                self._to_device(targets),
                bias=self.head.bias,
                logit_scale=self.head.logit_scale,
                softcap=self.head.softcap,
                rank=self.options.per_token,
                top_k=self.options.top_k,
            )
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"a batch of {ids.size:,} tokens does not fit the memory of {self.device}; give a batch_tokens below "
                f"{self.batch_tokens:,}, or a max_length below {longest:,}"
            ) from error

    def _to_device(self, values: Any) -> Tensor:
        tensor = torch.from_numpy(values.astype(np.int64))
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor


def default_batch_tokens(device: torch.device) -> int:
    """Tokens of a batch where the user sets none."""
    return CPU_BATCH_TOKENS if device.type == "cpu" else GPU_BATCH_TOKENS
