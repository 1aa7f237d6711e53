"""One batch of responses from a model, with no other generation settings than those given."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from entrotune.data import Prompt
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
    longest = max(len(prompt.input_ids) for prompt, _ in batch)
    pads = [longest - len(prompt.input_ids) for prompt, _ in batch]
    # On the left, so that every response begins at the same position.
    rows = [
        [tokenizer.pad_token_id] * pad + list(prompt.input_ids) for (prompt, _), pad in zip(batch, pads, strict=True)
    ]
    mask = [[0] * pad + [1] * (longest - pad) for pad in pads]
    ends = end_tokens(model, tokenizer)
    settings = _generation_config(decoding, pad=tokenizer.pad_token_id, ends=ends)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), _nothing_inherited(base):
        torch.manual_seed(seed)
        output = base.generate(
            input_ids=torch.tensor(rows, device=device),
            attention_mask=torch.tensor(mask, device=device),
            generation_config=settings,
        )
    records = []
    for (prompt, index), generated in zip(batch, output[:, longest:].tolist(), strict=True):
        ids = _until_end(generated, ends)
        finished = bool(ids) and ids[-1] in ends
        answer = ids[:-1] if finished else ids
        records.append(
            SampleRecord(
                prompt_id=prompt.id,
                index=index,
                temperature=decoding.temperature,
                text=tokenizer.decode(answer, skip_special_tokens=True),
                token_ids=tuple(ids),
                tokens=len(answer),
                finished=finished,
                seed=seed,
                batch=number,
            )
        )
    return records


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a response: the tokenizer's end of sequence and those of the model's generation settings."""
    given = getattr(base_of(model).generation_config, "eos_token_id", None)
    ids = given if isinstance(given, list | tuple) else [given]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None)


def _until_end(ids: Sequence[int], ends: Collection[int]) -> list[int]:
    """The ids up to and with the first end mark; what follows is padding."""
    for position, token in enumerate(ids):
        if token in ends:
            return list(ids[: position + 1])
    return list(ids)


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


@contextlib.contextmanager
def _nothing_inherited(base: Any) -> Iterator[None]:
    # `generate` fills whatever is unset in the settings it is given from the model's own.
    own = base.generation_config
    base.generation_config = GenerationConfig()
    try:
        yield
    finally:
        base.generation_config = own
