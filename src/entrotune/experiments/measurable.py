"""Whether held-out rows allow the measures of quality and of diversity, seen before anything is trained."""

import math
from collections.abc import Callable

from entrotune.data import Prompt
from entrotune.errors import UserError
from entrotune.evaluation import HeldOut
from entrotune.measures import METRICS, coverage_of, parse_meaning

LIKELIHOOD = ("nll", "accuracy", "entropy")


def check_measures(quality: str, diversity: str, held: HeldOut, *, samples: int) -> None:
    """See that held-out rows allow the measures that fronts are drawn against.

    Without a prompt there are no samples to be diverse: only a quality that is measured on samples is refused then.

    Args:
        samples: responses to each prompt.

    Raises:
        UserError: what the rows lack, and what to do.
    """
    _check("quality", quality, held, samples)
    if held.prompts:
        _check("diversity", diversity, held, samples)


def _check(kind: str, name: str, held: HeldOut, samples: int) -> None:
    if name in LIKELIHOOD:
        return
    if not held.prompts:
        raise UserError(
            f"{kind} is {name}, a measure of samples, but no held-out row has a prompt to sample from (see columns); "
            f"use rows with prompts, or {kind} nll"
        )
    if name.startswith("pass@"):
        _check_attempts(name, samples)
    if name == "self_bleu" and samples < 2:
        raise UserError(f"{kind} is self_bleu, which sets samples against each other; give samples of at least 2")
    has, lacks = _needs(name)
    if not any(has(prompt) for prompt in held.prompts):
        raise UserError(f"{kind} is {name}, but no held-out row has {lacks} (see columns); or choose another {kind}")


def _needs(name: str) -> tuple[Callable[[Prompt], bool], str]:
    """What a prompt must have for a measure, and how that is called."""
    if name in ("correct", "majority", "best_of_n") or name.startswith("pass@"):
        return (
            lambda prompt: prompt.checker is not None,
            "a checker, or references of at most 10 words; map a column to one of them",
        )
    if name in ("slots", "all_slots"):
        return _has_slots, "a meaning such as name[X], area[Y] as its prompt; map a column of such meanings to prompt"
    if name in ("ngram_coverage", "reference_coverage"):
        return _shows_variety, "two different references; map a column with several to references"
    if METRICS[name].kind == "quality":
        return lambda prompt: prompt.has_references, "references; map a column to them"
    return lambda _: True, "a prompt"


def _has_slots(prompt: Prompt) -> bool:
    return parse_meaning(prompt.messages[-1]["content"]) is not None


def _shows_variety(prompt: Prompt) -> bool:
    """Whether coverage is defined; references of the same words are one."""
    return prompt.has_references and not math.isnan(coverage_of([""], prompt.references)["reference_coverage"])


def _check_attempts(name: str, samples: int) -> None:
    """Pass@k is measured for k = 2, 4, 8, … up to the number of samples."""
    k = int(name.removeprefix("pass@"))
    if k < 2 or k & (k - 1):
        raise UserError(f"quality is {name}, but pass@k is measured for k = 2, 4, 8, …; choose one, or correct")
    if k > samples:
        raise UserError(f"quality is {name}, which needs {k} samples a prompt, and samples is {samples}; raise it")
