"""What an evaluation keeps: samples, and each metric's values for each prompt or row, from which estimates are made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrotune.errors import UserError
from entrotune.measures import (
    METRICS,
    Estimate,
    MetricInfo,
    bootstrap_mean,
    bootstrap_ratio,
    paired_difference,
    paired_ratio_difference,
)


@dataclass(frozen=True, kw_only=True)
class SampleRecord:
    """One sampled response, without prompt, template or special tokens.

    Attributes:
        prompt_id: the prompt answered.
        index: which of the prompt's samples, from 0.
        temperature: sampled at; 0 is greedy.
        text: the response as text.
        token_ids: as generated, the end mark included where there is one.
        tokens: generated tokens without the end mark.
        finished: whether the model ended it; False where it reached the limit of new tokens.
        seed: the seed of its batch.
        batch: which batch it was drawn in, from 0.
    """

    prompt_id: str
    index: int
    temperature: float
    text: str
    token_ids: tuple[int, ...]
    tokens: int
    finished: bool
    seed: int
    batch: int

    def to_dict(self) -> dict[str, Any]:
        """The record as a line of `samples.jsonl`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "SampleRecord":
        """The record of a line of `samples.jsonl`."""
        return cls(**{**record, "token_ids": tuple(record["token_ids"])})


@dataclass(frozen=True)
class Column:
    """A metric's values, one for each prompt (or group of rows with one prompt).

    Attributes:
        ids: of the prompts.
        values: [N]; sums over tokens where there are weights. NaN where the measure is undefined.
        weights: [N] numbers of tokens, for a mean over tokens; None for a mean over prompts.
    """

    ids: tuple[str, ...]
    values: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None

    def estimate(self, *, seed: int) -> Estimate:
        """The mean with its bootstrap interval over prompts."""
        if self.weights is None:
            return bootstrap_mean(self.values, seed=seed)
        return bootstrap_ratio(self.values, self.weights, seed=seed)

    def mean(self) -> float:
        """The mean over prompts, or over tokens; NaN where the measure is defined for none."""
        weights = np.ones(len(self.values)) if self.weights is None else self.weights
        used = ~np.isnan(self.values) & (weights > 0)
        return float(self.values[used].sum() / weights[used].sum()) if used.any() else math.nan

    def minus(self, other: "Column", *, seed: int) -> Estimate:
        """The difference of the means with its interval, paired over prompts.

        Raises:
            UserError: the two are not of the same prompts in the same order.
        """
        if self.ids != other.ids or (self.weights is None) != (other.weights is None):
            raise UserError("two evaluations can only be compared on the same prompts, measured the same way")
        if self.weights is None or other.weights is None:
            return paired_difference(self.values, other.values, seed=seed)
        return paired_ratio_difference(self.values, self.weights, other.values, other.weights, seed=seed)


@dataclass(frozen=True, kw_only=True)
class SettingRecord:
    """What was measured at one temperature.

    Attributes:
        temperature: of sampling and of the scored distribution.
        samples_per_prompt: N.
        columns: metric name → values; only metrics that could be measured.
        samples: the responses, by prompt and index.
        corpus: BLEU and chrF of all samples as one corpus, where prompts have references.
    """

    temperature: float
    samples_per_prompt: int
    columns: dict[str, Column]
    samples: tuple[SampleRecord, ...]
    corpus: Mapping[str, float] = field(default_factory=dict)

    @property
    def unfinished(self) -> int:
        """Responses that were cut off at the limit of new tokens."""
        return sum(not sample.finished for sample in self.samples)

    def to_dict(self, *, seed: int, reference: bool = False) -> dict[str, Any]:
        """The setting as it stands in `evaluation.json` and `comparison.json`."""
        return {
            "temperature": self.temperature,
            "samples_per_prompt": self.samples_per_prompt,
            "reference": reference,
            "unfinished": self.unfinished,
            "samples": len(self.samples),
            "metrics": {name: estimate.to_dict() for name, estimate in summarise(self, seed=seed).items()},
        } | ({"corpus": dict(self.corpus)} if self.corpus else {})

    def lines(self) -> list[dict[str, Any]]:
        """Every value as a line of `per_prompt.jsonl`: temperature, metric, id, value and, for token means, tokens."""
        return [
            {
                "temperature": self.temperature,
                "metric": name,
                "id": column.ids[i],
                "value": _json_number(column.values[i]),
            }
            | ({} if column.weights is None else {"tokens": int(column.weights[i])})
            for name, column in self.columns.items()
            for i in range(len(column.ids))
        ]


def summarise(setting: SettingRecord, *, seed: int) -> dict[str, Estimate]:
    """The estimate of every metric of a setting, `perplexity` = exp(`nll`) included, in the order of `METRICS`."""
    estimates = {name: column.estimate(seed=seed) for name, column in setting.columns.items()}
    if "nll" in estimates:
        estimates["perplexity"] = estimates["nll"].increasing(math.exp)
    order = [name.partition("@")[0] for name in METRICS]
    return dict(sorted(estimates.items(), key=lambda item: order.index(item[0].partition("@")[0])))


def difference(a: SettingRecord, b: SettingRecord, metric: str, *, seed: int) -> Estimate:
    """The paired difference a − b of a metric.

    Raises:
        UserError: the metric was not measured for both (for `perplexity` compare `nll`), or on other prompts.
    """
    if metric not in a.columns or metric not in b.columns:
        both = sorted(a.columns.keys() & b.columns.keys())
        raise UserError(f"metric '{metric}' was not measured for both; measured for both: {', '.join(both)}")
    return a.columns[metric].minus(b.columns[metric], seed=seed)


def describe_metrics(settings: Sequence[SettingRecord]) -> dict[str, dict[str, Any]]:
    """The `metrics` part of a record: how to present each metric that was measured."""
    names = dict.fromkeys(name for setting in settings for name in summarise(setting, seed=0))
    return {name: asdict(_info(name)) for name in names}


def _info(name: str) -> MetricInfo:
    if name.startswith("pass@"):
        k = name.removeprefix("pass@")
        general = METRICS["pass@k"]
        return MetricInfo(
            name, general.unit, general.better, general.kind, general.explain.replace(" k samples", f" {k} samples")
        )
    return METRICS[name]


def _json_number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
