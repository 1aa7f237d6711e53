"""All measures of a model on target sets, for a record."""

from collections.abc import Sequence
from typing import Any

from rich.progress import Progress

from entrotune.data.targets import EncodedTargets
from entrotune.evaluation.distribution.exact import exact_measures, target_log_probs
from entrotune.evaluation.distribution.sampled import draw_outputs, sampled_measures


def measure_sets(
    model: Any,
    tokenizer: Any,
    sets: Sequence[EncodedTargets],
    *,
    samples: int = 0,
    seed: int = 0,
    rows_per_part: int = 1024,
    progress: Progress | None = None,
    description: str = "measuring",
) -> dict[str, dict[str, Any]]:
    """Label → measures of each set: the exact ones, `log_probs` of the targets, and under `sampled` those of samples.

    Args:
        samples: to draw of each set; 0 for none.
        rows_per_part: positions computed at once.
    """
    found: dict[str, dict[str, Any]] = {}
    task = progress.add_task(description, total=len(sets)) if progress else None
    for one in sets:
        log_probs = target_log_probs(model, one, rows_per_part=rows_per_part)
        record = exact_measures(log_probs, one.of.weights)
        if samples:
            drawn = draw_outputs(model, tokenizer, one, samples=samples, seed=seed, progress=progress)
            record["sampled"] = sampled_measures(drawn, one)
        record["log_probs"] = log_probs
        found[one.label] = record
        if progress and task is not None:
            progress.advance(task)
    if progress and task is not None:
        progress.remove_task(task)
    return found
