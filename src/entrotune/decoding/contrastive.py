"""Contrastive search (Su et al. 2022, arXiv 2202.06417).

score(v) = (1 − alpha) · p(v) − alpha · max over j of cos(hidden at v, hidden at token j), over the k likeliest tokens v

B: rows, k: candidates, T: tokens so far, D: size of hidden states, V: vocabulary.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from entrotune.decoding.entropy import wide
from entrotune.errors import UserError
from entrotune.models import backbone


class ContrastiveLoop:
    """For `generate(custom_generate=...)`: all candidates of a step go through the model at once, with its cache.

    The scores that processors leave are what probabilities and candidates are taken from. Hidden states are those that
    the output head multiplies. Among equal candidates that with the lowest id is taken; with alpha 0 this is greedy.

    Args:
        k: candidates a step.
        alpha: 0 looks at probability only, 1 at unlikeness only.
        streamer: of transformers, told every token of a batch of one.
    """

    def __init__(self, k: int, alpha: float, *, streamer: Any = None) -> None:
        self._k, self._alpha, self._streamer = k, alpha, streamer

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
        """[B, T] prompts to [B, T + new] tokens; rows that ended are padded.

        Raises:
            UserError: the vocabulary has fewer than `k` tokens, or the model keeps no cache.
        """
        ids = input_ids
        with _last_hidden(model) as seen:
            outputs = model(
                **model.prepare_inputs_for_generation(ids, is_first_iteration=True, **model_kwargs), return_dict=True
            )
            if outputs.logits.shape[-1] < self._k:
                raise UserError(
                    f"contrastive_search(k={self._k}): the vocabulary has only {outputs.logits.shape[-1]} tokens"
                )
            mask = model_kwargs.get("attention_mask")
            before = _Before(seen[-1], torch.ones_like(ids) if mask is None else mask)
            model_kwargs = self._widened(model, outputs, model_kwargs)
            logits, going = outputs.logits[:, -1], torch.ones(len(ids), dtype=torch.bool, device=ids.device)
            while bool(going.any()):
                p, tokens = self._candidates(logits_processor(ids, wide(logits)))
                outputs = self._tried(model, ids, tokens, model_kwargs)
                model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
                hidden = seen[-1][:, -1].unflatten(0, tokens.shape)
                chosen = self._chosen(p, before.likeness(hidden))
                picked = torch.arange(len(ids), device=ids.device) * self._k + chosen
                _cache(model_kwargs).reorder_cache(picked.repeat_interleave(self._k))
                logits = outputs.logits[picked, -1]
                before.add(hidden.flatten(0, 1)[picked])
                token = tokens.gather(-1, chosen[:, None])
                ids = torch.cat([ids, token.where(going[:, None], generation_config.pad_token_id)], dim=-1)
                if self._streamer is not None:
                    self._streamer.put(ids[:, -1].cpu())
                going &= ~stopping_criteria(ids, None)
        if self._streamer is not None:
            self._streamer.end()
        return ids

    def _widened(self, model: Any, outputs: Any, model_kwargs: dict[str, Any]) -> dict[str, Any]:
        """What the model is called with after the prompt, for k candidates a row."""
        model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
        _, model_kwargs = model._expand_inputs_for_generation(expand_size=self._k, **model_kwargs)
        _cache(model_kwargs).batch_repeat_interleave(self._k)
        return model_kwargs

    def _candidates(self, scores_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and ids of the k likeliest tokens, [B, k], by id, so that the lowest of equals is taken."""
        tokens = scores_BV.topk(self._k, dim=-1).indices.sort(dim=-1).values
        return torch.softmax(scores_BV, dim=-1).gather(-1, tokens), tokens

    def _tried(self, model: Any, ids: Tensor, tokens_Bk: Tensor, model_kwargs: dict[str, Any]) -> Any:
        rows = torch.cat([ids.repeat_interleave(self._k, dim=0), tokens_Bk.reshape(-1, 1)], dim=-1)
        inputs = model.prepare_inputs_for_generation(rows, next_sequence_length=1, **model_kwargs)
        return model(**inputs, return_dict=True)

    def _chosen(self, p_Bk: Tensor, likeness_Bk: Tensor) -> Tensor:
        value = (1 - self._alpha) * p_Bk - self._alpha * likeness_Bk
        return value.masked_fill(p_Bk == 0, -math.inf).argmax(dim=-1)


class _Before:
    """Directions of the hidden states at all tokens so far."""

    def __init__(self, hidden_BTD: Tensor, mask_BT: Tensor) -> None:
        self._directions = _directions(hidden_BTD)
        self._is_token = mask_BT.bool()

    def likeness(self, hidden_BkD: Tensor) -> Tensor:
        """[B, k] greatest cosine similarities to any of them; padding is none of them."""
        cosines = _directions(hidden_BkD) @ self._directions.mT
        return cosines.masked_fill(~self._is_token[:, None], -math.inf).amax(dim=-1)

    def add(self, hidden_BD: Tensor) -> None:
        """Add those at the tokens chosen."""
        self._directions = torch.cat([self._directions, _directions(hidden_BD)[:, None]], dim=1)
        self._is_token = torch.cat([self._is_token, torch.ones_like(self._is_token[:, :1])], dim=1)


def _directions(hidden: Tensor) -> Tensor:
    return torch.nn.functional.normalize(wide(hidden), dim=-1)


def _cache(model_kwargs: dict[str, Any]) -> Any:
    cache = next((value for value in model_kwargs.values() if isinstance(value, Cache)), None)
    if cache is None:
        raise UserError(
            "contrastive_search needs a model that keeps a cache of keys and values, which this one does not"
        )
    return cache


@contextlib.contextmanager
def _last_hidden(model: Any) -> Iterator[list[Tensor]]:
    """A list that holds, after each pass in the block, the hidden states [B, T, D] that the head was given."""
    seen: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        seen[:] = [output.last_hidden_state]

    handle = backbone(model).register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()
