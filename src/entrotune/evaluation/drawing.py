"""One batch of responses from a model, with no other generation settings than those given."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from entrotune.data import Prompt
from entrotune.decoding import end_tokens, left_padded, nothing_inherited, read_once, until_end
from entrotune.evaluation.records import SampleRecord
from entrotune.models import base_of

Batch = Sequence[tuple[Prompt, int]]
"""Prompts, each with the index its response will have."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen; see `sample`."""

    temperature: float
    max_new_tokens: int
    top_k: int
    top_p: float


def draw_batch(
    model: Any, tokenizer: Any, batch: Batch, number: int, *, seed: int, decoding: Decoding
) -> list[SampleRecord]:
    """Draw one response to each prompt of a batch; the random state of torch is afterwards what it was before."""
    base = base_of(model)
    device = next(base.parameters()).device
    asked = [prompt.input_ids for prompt, _ in batch]
    ids, mask = left_padded(asked, tokenizer.pad_token_id, device)
    ends = end_tokens(model, tokenizer)
    settings = _generation_config(decoding, pad=tokenizer.pad_token_id, ends=ends)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), nothing_inherited(base):
        torch.manual_seed(seed)
        output = base.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            **read_once(base, asked, ids, mask),
        )
    records = []
    for (prompt, index), generated in zip(batch, output[:, ids.shape[1] :].tolist(), strict=True):
        kept = until_end(generated, ends)
        finished = bool(kept) and kept[-1] in ends
        answer = kept[:-1] if finished else kept
        records.append(
            SampleRecord(
                prompt_id=prompt.id,
                index=index,
                temperature=decoding.temperature,
                text=tokenizer.decode(answer, skip_special_tokens=True),
                token_ids=tuple(kept),
                tokens=len(answer),
                finished=finished,
                seed=seed,
                batch=number,
            )
        )
    return records


def _generation_config(decoding: Decoding, *, pad: int, ends: Collection[int]) -> GenerationConfig:
    settings: dict[str, Any] = {
        "max_new_tokens": decoding.max_new_tokens,
        "pad_token_id": pad,
        "eos_token_id": sorted(ends),
        "use_cache": True,
        "do_sample": decoding.temperature > 0,
    }
    if decoding.temperature > 0:
        settings |= {"temperature": decoding.temperature, "top_k": decoding.top_k, "top_p": decoding.top_p}
    return GenerationConfig(**settings)
