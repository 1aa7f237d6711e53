"""Sampling responses: batched, seeded, restartable."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.data import Prompt
from entrotune.errors import UserError
from entrotune.evaluation.drawing import Batch, Decoding, draw_batch
from entrotune.evaluation.records import SampleRecord
from entrotune.evaluation.sample_file import SampleFile
from entrotune.models import context_length, evaluation_mode
from entrotune.responses import check_responses


def sample(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    samples: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
    batch_size: int = 64,
    top_k: int = 0,
    top_p: float = 1.0,
    path: str | Path | None = None,
    made_by: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[SampleRecord]:
    """Draw `samples` responses to each prompt; returned by prompt, in the order given, then by index.

    Batches are made of prompts of like length, and each is drawn with a seed of its own: the first 8 bytes (less
    the last bit) of SHA-256 of `"{seed}:{temperature}:{batch}"`. So what a batch holds does not depend on what was
    drawn before it, and a run that was killed and started again gives what an uninterrupted one gives. The model's
    own generation settings (its repetition penalty, its temperature) play no part.

    Args:
        samples: responses a prompt.
        temperature: divides the logits; 0 is greedy decoding, which is done once a prompt and repeated.
        max_new_tokens: a response that reaches it without an end mark is not `finished`.
        seed: with `batch_size` and the other settings it fixes every sample (on one kind of device).
        top_k: sample among the k likeliest tokens; 0 for all.
        top_p: sample among the likeliest tokens that together have this probability; 1 for all.
        path: a `samples.jsonl` to append to batch by batch, with its settings beside it. It may hold other
            temperatures. Batches that it holds already are read, not drawn again.
        made_by: what else must be equal for the samples in `path` to be reused, such as the model's fingerprint.

    Raises:
        UserError: a setting out of range, prompts with one id, a prompt that with `max_new_tokens` exceeds the
            model's context, or a file at `path` that was made with other settings.
    """
    decoding = Decoding(float(temperature), max_new_tokens, top_k, top_p)
    _check(samples, decoding, batch_size)
    check_responses("samples", samples, len(prompts))
    _check_prompts(model, prompts, max_new_tokens)
    # Greedy decoding gives one answer: it is drawn once, and its record repeated.
    drawn, repeats = (1, samples) if temperature == 0 else (samples, 1)
    batches = list(_batches(prompts, drawn, batch_size))
    file, done = None, {}
    if path is not None:
        settings = {
            "seed": seed,
            "samples": samples,
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
            "top_k": top_k,
            "top_p": top_p,
            "prompts": _prompts_fingerprint(prompts),
        }
        file = SampleFile(Path(path), settings | dict(made_by or {}))
        done = file.batches(decoding.temperature, [len(batch) * repeats for batch in batches])
    records: list[SampleRecord] = []
    with evaluation_mode(model):
        for number, batch in _tracked(batches, done, decoding, progress):
            if number not in done:
                drawn_seed = batch_seed(seed, temperature, number)
                found = draw_batch(model, tokenizer, batch, number, seed=drawn_seed, decoding=decoding)
                done[number] = (
                    [_numbered(one, index) for one in found for index in range(repeats)] if repeats > 1 else found
                )
                if file:
                    file.append(done[number])
            records += done[number]
    order = {prompt.id: position for position, prompt in enumerate(prompts)}
    return sorted(records, key=lambda record: (order[record.prompt_id], record.index))


def batch_seed(seed: int, temperature: float, batch: int) -> int:
    """The seed of one batch; see `sample`."""
    digest = hashlib.sha256(f"{seed}:{float(temperature)!r}:{batch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _batches(prompts: Sequence[Prompt], samples: int, batch_size: int) -> Iterator[Batch]:
    """What to draw, by length of prompt (ties as given), longest first, as a lack of memory shows there."""
    ordered = sorted(prompts, key=lambda prompt: -len(prompt.input_ids))
    wanted = [(prompt, index) for prompt in ordered for index in range(samples)]
    for start in range(0, len(wanted), batch_size):
        yield wanted[start : start + batch_size]


def _tracked(
    batches: list[Batch], done: Mapping[int, Any], decoding: Decoding, progress: Progress | None
) -> Iterator[tuple[int, Batch]]:
    """Number the batches, and advance the progress bar past those that are done."""
    if progress is None:
        yield from enumerate(batches)
        return
    already = sum(len(batches[number]) for number in done)
    task = progress.add_task(
        f"sampling at temperature {decoding.temperature:g}", total=sum(map(len, batches)), completed=already
    )
    kept = frozenset(done)
    for number, batch in enumerate(batches):
        yield number, batch
        if number not in kept:
            progress.advance(task, len(batch))
    progress.remove_task(task)


def _numbered(record: SampleRecord, index: int) -> SampleRecord:
    return dataclasses.replace(record, index=index)


def _prompts_fingerprint(prompts: Sequence[Prompt]) -> str:
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(repr((prompt.id, tuple(prompt.input_ids))).encode())
    return digest.hexdigest()


def _check(samples: int, decoding: Decoding, batch_size: int) -> None:
    for name, value in (
        ("samples", samples),
        ("max_new_tokens", decoding.max_new_tokens),
        ("batch_size", batch_size),
    ):
        if value < 1:
            raise UserError(f"{name} must be at least 1, got {value}")
    if not 0 <= decoding.temperature < float("inf"):
        raise UserError(f"temperature must be 0 or more, got {decoding.temperature}")
    if decoding.top_k < 0:
        raise UserError(f"top_k must be 0 (all tokens) or more, got {decoding.top_k}")
    if not 0 < decoding.top_p <= 1:
        raise UserError(f"top_p must be above 0 and at most 1, got {decoding.top_p}")


def _check_prompts(model: Any, prompts: Sequence[Prompt], max_new_tokens: int) -> None:
    seen: set[str] = set()
    limit = context_length(model)
    for prompt in prompts:
        if prompt.id in seen:
            raise UserError(f"two prompts have the id '{prompt.id}'; ids must differ, for samples are kept by them")
        seen.add(prompt.id)
        length = len(prompt.input_ids)
        if not length:
            raise UserError(f"prompt '{prompt.id}' has no token to start from")
        if limit is not None and length + max_new_tokens > limit:
            raise UserError(
                f"prompt '{prompt.id}' has {length} tokens, which with {max_new_tokens} new ones exceed the model's "
                f"context of {limit}; shorten it or lower max_new_tokens"
            )
