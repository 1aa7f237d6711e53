"""Quality and diversity of a model at several temperatures: one value for each prompt and metric."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from entrotune.data import Example, Prompt
from entrotune.evaluation.nll import RowScore, evaluate_nll, sample_nll
from entrotune.evaluation.records import Column, SampleRecord, SettingRecord
from entrotune.evaluation.sampling import sample
from entrotune.measures import (
    best_of_n,
    coverage_of,
    diversity_of,
    majority_correct,
    parse_checker,
    parse_meaning,
    pass_at_k,
    reference_metrics,
    slots_of,
)
from entrotune.measures import corpus_scores as corpus_of

EAD_VOCABULARY = 50_000
"""Words assumed by `ead`: one number for all, so that any two evaluations can be compared."""


def measure(
    model: Any,
    tokenizer: Any,
    *,
    examples: Sequence[Example] = (),
    prompts: Sequence[Prompt] = (),
    groups: Mapping[str, str] | None = None,
    temperatures: Sequence[float] = (1.0,),
    samples: int = 8,
    max_new_tokens: int = 48,
    seed: int = 0,
    batch_size: int = 64,
    top_k: int = 0,
    top_p: float = 1.0,
    judge: Any = None,
    path: str | Path | None = None,
    made_by: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[SettingRecord]:
    """Measure a model at each temperature; the records come in their order.

    At temperature 0 there is no distribution to score with: `nll` and `entropy` are absent.

    Args:
        examples: held-out rows for `nll`, `accuracy` and `entropy`; none leaves these out.
        prompts: to sample from; none leaves the measures of samples out. Correctness is measured where a prompt has
            a checker.
        groups: example id → id of its prompt, so that rows that share a prompt are resampled together; by default
            each example stands for itself.
        judge: a model with the same tokenizer that scores the samples (`base_nll`); usually the untouched base.
        path, made_by: where samples are kept and reused from; see `sample`, as for the other arguments.

    Raises:
        UserError: as `sample` and `evaluate_nll`.
    """
    positive = [temperature for temperature in temperatures if temperature > 0]
    scores = evaluate_nll(model, tokenizer, examples, temperatures=positive or (1.0,), progress=progress)
    records = []
    for temperature in temperatures:
        columns: dict[str, Column] = {}
        corpus: dict[str, float] = {}
        if scores:
            position = positive.index(temperature) if temperature > 0 else None
            columns |= likelihood_columns(scores, position, groups or {})
        drawn: list[SampleRecord] = []
        if prompts:
            drawn = sample(
                model,
                tokenizer,
                prompts,
                samples=samples,
                temperature=temperature,
                max_new_tokens=max_new_tokens,
                seed=seed,
                batch_size=batch_size,
                top_k=top_k,
                top_p=top_p,
                path=path,
                made_by=made_by,
                progress=progress,
            )
            columns |= sample_columns(prompts, drawn)
            corpus = corpus_scores(prompts, drawn)
        if judge is not None and drawn:
            judged = sample_nll(judge, tokenizer, prompts, drawn, progress=progress)
            columns["base_nll"] = _grouped(judged, [score.nll[0] for score in judged], [s.prompt_id for s in drawn])
        records.append(
            SettingRecord(
                temperature=float(temperature),
                samples_per_prompt=samples,
                columns=columns,
                samples=tuple(drawn),
                corpus=corpus,
            )
        )
    return records


def likelihood_columns(
    scores: Sequence[RowScore], position: int | None, groups: Mapping[str, str]
) -> dict[str, Column]:
    """Columns of `nll`, `accuracy` and `entropy`, weighted by tokens; `accuracy` alone without a position.

    Args:
        position: which of the temperatures that were scored.
        groups: example id → id of its prompt.
    """
    ids = [groups.get(score.id, score.id) for score in scores]
    columns = {"accuracy": _grouped(scores, [float(score.top1) for score in scores], ids)}
    if position is None:
        return columns
    columns["nll"] = _grouped(scores, [score.nll[position] for score in scores], ids)
    columns["entropy"] = _grouped(scores, [score.entropy[position] for score in scores], ids)
    return columns


def sample_columns(prompts: Sequence[Prompt], samples: Sequence[SampleRecord]) -> dict[str, Column]:
    """Columns of the diversity measures, of `length`, of correctness where prompts have checkers, of agreement with
    references and coverage of them where they have these, and of slots where what is asked is a meaning representation.

    Args:
        samples: by prompt; only their responses are measured.
    """
    by_prompt = _by_prompt(prompts, samples)
    rows = []
    for prompt in prompts:
        drawn = by_prompt[prompt.id]
        texts = [record.text for record in drawn]
        row = diversity_of(texts, vocabulary_size=EAD_VOCABULARY)
        row["length"] = float(np.mean([record.tokens for record in drawn])) if drawn else math.nan
        if prompt.checker is not None and texts:
            row |= correctness(texts, prompt.checker)
        if prompt.has_references:
            row |= reference_metrics(texts, prompt.references)
            if len(set(prompt.references)) > 1:
                row |= coverage_of(texts, prompt.references)
        meaning = prompt.messages[-1]["content"] if prompt.messages else prompt.text
        if parse_meaning(meaning) is not None:
            row |= slots_of(texts, meaning)
        rows.append(row)
    ids = tuple(prompt.id for prompt in prompts)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: Column(ids, np.array([row.get(name, math.nan) for row in rows])) for name in names}


def corpus_scores(prompts: Sequence[Prompt], samples: Sequence[SampleRecord]) -> dict[str, float]:
    """BLEU and chrF of all samples as one corpus, as they are published; nothing where no prompt has references."""
    by_prompt = _by_prompt(prompts, samples)
    pairs = [
        ([record.text for record in by_prompt[prompt.id]], sorted(set(prompt.references)))
        for prompt in prompts
        if prompt.has_references
    ]
    return corpus_of(pairs) if any(texts for texts, _ in pairs) else {}


def _by_prompt(prompts: Sequence[Prompt], samples: Sequence[SampleRecord]) -> dict[str, list[SampleRecord]]:
    found: dict[str, list[SampleRecord]] = {prompt.id: [] for prompt in prompts}
    for record in samples:
        found[record.prompt_id].append(record)
    return found


def correctness(texts: Sequence[str], checker: Mapping[str, Any]) -> dict[str, float]:
    """Correctness of a prompt's samples: `correct`, `pass@2`, `pass@4`, … up to their number, `best_of_n`, `majority`.

    NaN where the checker could not decide.
    """
    judge = parse_checker(checker)
    results = [judge.check(text) for text in texts]
    decided = all(result.correct is not None for result in results)
    n, right = len(texts), sum(bool(result.correct) for result in results)
    row = {"correct": right / n if decided else math.nan}
    k = 2
    while k <= n:
        row[f"pass@{k}"] = pass_at_k(n, right, k) if decided else math.nan
        k *= 2
    row["best_of_n"] = best_of_n([bool(result.correct) for result in results]) if decided else math.nan
    row["majority"] = majority_correct([r.parsed for r in results], [r.correct for r in results])
    return row


def _grouped(scores: Sequence[RowScore], values: Sequence[float], ids: Sequence[str]) -> Column:
    """Sums of values and tokens over the scores of one id, ids in the order of first appearance."""
    position = {name: index for index, name in enumerate(dict.fromkeys(ids))}
    sums, tokens = np.zeros(len(position)), np.zeros(len(position))
    for score, value, name in zip(scores, values, ids, strict=True):
        sums[position[name]] += value
        tokens[position[name]] += score.tokens
    return Column(tuple(position), sums, tokens)
