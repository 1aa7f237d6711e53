"""What scoring would do: rows, tokens, time and memory, without the model's weights."""

import time
from typing import Any

import torch
from rich.progress import Progress

from entrotune.data import RowStream
from entrotune.data.rejects import Rejects
from entrotune.kernels.plan import CPU_CHUNK_BYTES, GPU_CHUNK_BYTES
from entrotune.models import ModelDescription
from entrotune.scoring.batches import batches
from entrotune.scoring.job import Job
from entrotune.scoring.progress import Shown
from entrotune.scoring.scorer import default_batch_tokens
from entrotune.scoring.sequences import Sequencer

_PROBE = 1024
_PROBE_SECONDS = 0.2


def plan_scoring(job: Job, stream: RowStream, described: ModelDescription, progress: Progress | None) -> dict[str, Any]:
    """Read and tokenize all rows; time a matrix product to say how long the model would take at its speed."""
    device = torch.device(job.device) if job.device else torch.accelerator.current_accelerator() or torch.device("cpu")
    batch_tokens = job.batch_tokens or default_batch_tokens(device)
    counts = {"read": 0, "sequences": 0, "rejected": 0, "tokens": 0, "tokens_cut": 0, "tokens_padded": 0, "longest": 0}
    shown = Shown(progress, job.reading["limit"], "counting rows")
    for _, block in job.blocks(stream, {}):
        assert block is not None
        rejects = Rejects(job.reading["on_bad_row"])
        sequences = list(Sequencer(described.tokenizer, job.options, rejects).sequences(block))
        lengths = [len(one.input_ids) for one in sequences]
        counts["read"] += block.read
        counts["sequences"] += len(sequences)
        counts["rejected"] += len(block.rejects) + len(rejects.found)
        counts["tokens"] += sum(len(one.places) for one in sequences)
        counts["tokens_cut"] += sum(one.tokens_cut for one in sequences)
        counts["tokens_padded"] += sum(len(b) * lengths[b[0]] for b in batches(lengths, batch_tokens))
        counts["longest"] = max(counts["longest"], *lengths, 0)
        shown.advance(block.read)
    dtype = torch.bfloat16 if job.options.precision == "bfloat16" else torch.float32
    # Two operations a parameter and token; attention is small beside them at the lengths of most rows.
    operations = 2 * described.parameters * counts["tokens_padded"]
    return {
        "kind": "plan",
        "model": {"name": described.source.name, "kind": described.source.kind, "parameters": described.parameters},
        "data": {"source": stream.source, "format": stream.format},
        "options": job.options.to_dict(),
        "counts": counts,
        "batch_tokens": batch_tokens,
        "seconds_at_least": round(operations / _speed(device, dtype), 1),
        "memory_bytes": {
            "weights": described.parameters * dtype.itemsize,
            "logits_buffer": CPU_CHUNK_BYTES if device.type == "cpu" else GPU_CHUNK_BYTES,
        },
        "parts": -(-counts["read"] // job.options.part_rows),
    }


def _speed(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a square matrix product."""
    a = torch.ones(_PROBE, _PROBE, device=device, dtype=dtype)
    done, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < _PROBE_SECONDS or done < 2:
        (a @ a)[0, 0].item()
        done += 1
    return done * 2 * _PROBE**3 / taken
