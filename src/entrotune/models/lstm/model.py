"""LSTM language models as transformers models.

B: rows, T: positions, D: width of the state, K: layers, V: vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from entrotune.errors import UserError
from entrotune.models.lstm.config import LSTMConfig
from entrotune.models.lstm.segments import State, find_segments, run_segments


@dataclass
class LSTMState:
    """What the layers remember of each row, in the place of a cache of keys and values.

    Attributes:
        hidden: [K, B, D].
        cell: [K, B, D].
        seen: tokens read so far, padding included.
    """

    hidden: Tensor
    cell: Tensor
    seen: int = 0

    def get_seq_length(self) -> int:
        """How many positions were read."""
        return self.seen

    def reorder_cache(self, beams: Tensor) -> None:
        """Put the rows in another order, as beam search asks for."""
        self.hidden, self.cell = (part.index_select(1, beams.to(part.device)) for part in (self.hidden, self.cell))


@dataclass
class LSTMOutput(ModelOutput):
    """What a model returns.

    Attributes:
        loss: mean cross-entropy, nats, where labels were given.
        logits: [B, T, V]; of the model without head None.
        last_hidden_state: [B, T, D], what the head reads; 0 at padding. Of the model with head None.
        past_key_values: the state to go on from, where `use_cache`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    past_key_values: LSTMState | None = None


class LSTMPreTrainedModel(PreTrainedModel):
    """What both models share: configuration, initial weights, and what they cannot do."""

    config_class = LSTMConfig
    base_model_prefix = "model"
    _is_stateful = True  # a state cannot be cut back, as assisted decoding would ask for

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def gradient_checkpointing_enable(self, *_: Any, **__: Any) -> None:
        """Refuse: there is nothing to recompute.

        Raises:
            UserError: always.
        """
        raise UserError("an LSTM has no gradient checkpointing; set gradient_checkpointing to false")


class LSTMModel(LSTMPreTrainedModel):
    """An embedding and LSTM layers; without the head.

    Args:
        config: the shape.
    """

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__(config)
        between = config.dropout if config.num_hidden_layers > 1 else 0.0
        self.embeddings: nn.Module = nn.Embedding(config.vocab_size, config.embedding_size)
        self.layers = nn.LSTM(
            config.embedding_size, config.hidden_size, config.num_hidden_layers, batch_first=True, dropout=between
        )
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embedding."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding."""
        self.embeddings = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: LSTMState | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> LSTMOutput:
        """Read tokens [B, T].

        Padding, wherever it stands, changes no state. A text begins where a position is 0, so several may share a row.

        Args:
            attention_mask: [B, T], or [B, past + T] of which the end counts; 0 is padding.
            position_ids: [B, T] or [1, T].
            past_key_values: the state to go on from.

        Raises:
            UserError: a mask between pairs of positions, which a recurrent layer cannot follow.
        """
        values_BTE = self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        rows, length = values_BTE.shape[:2]
        state = self._begin(rows, values_BTE) if past_key_values is None else _parts(past_key_values)
        keeps = self.config.use_cache and not self.training if use_cache is None else use_cache
        mask_BT = _mask(attention_mask, values_BTE)
        positions_BT = None if position_ids is None else position_ids[..., -length:].expand(rows, length)
        restarts = positions_BT is not None and bool((positions_BT == 0).any())
        if not length or not mask_BT.any():
            hidden_BTD = values_BTE.new_zeros(rows, length, self.config.hidden_size)
        elif mask_BT.all() and not restarts:
            hidden_BTD, state = self.layers(values_BTE, state)
        else:
            found = find_segments(mask_BT, positions_BT)
            hidden_BTD, state = run_segments(self.layers, values_BTE, found, state, keeps=keeps)
        seen = length + (past_key_values.seen if past_key_values is not None else 0)
        return LSTMOutput(
            last_hidden_state=self.dropout(hidden_BTD),
            past_key_values=LSTMState(*state, seen=seen) if keeps else None,
        )

    def _begin(self, rows: int, like: Tensor) -> State:
        shape = (self.config.num_hidden_layers, rows, self.config.hidden_size)
        return like.new_zeros(shape), like.new_zeros(shape)


class LSTMForCausalLM(LSTMPreTrainedModel, GenerationMixin):
    """An LSTM that predicts the next token.

    Args:
        config: the shape.
    """

    _tied_weights_keys = {"lm_head.weight": "model.embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__(config)
        self.model = LSTMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: LSTMState | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> LSTMOutput:
        """Logits of the next token at each position, and the loss where `labels` [B, T] are given (−100 is ignored).

        Args:
            logits_to_keep: of so many last positions only, or of those with these indices; 0 is all.
        """
        read = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits_BTV = self.lm_head(read.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits_BTV, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return LSTMOutput(loss=loss, logits=logits_BTV, past_key_values=read.past_key_values)


def _parts(state: LSTMState) -> State:
    return state.hidden, state.cell


def _mask(given: Tensor | None, values_BTE: Tensor) -> Tensor:
    """[B, T], true where a token is none of padding."""
    rows, length = values_BTE.shape[:2]
    if given is None:
        return torch.ones(rows, length, dtype=torch.bool, device=values_BTE.device)
    if given.dim() != 2:
        raise UserError(
            f"an LSTM reads texts from left to right and cannot follow a mask of shape {list(given.shape)}; "
            f"expected [{rows}, {length}]"
        )
    return given[:, -length:].bool() if length else given[:, :0].bool()
