"""The effect of a score before and after length and source of the rows are held fixed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from entrotune.measures import holm
from entrotune.scoring.analysis.correlations import spearman
from entrotune.scoring.analysis.effects import Bools, Floats, class_difference
from entrotune.scoring.analysis.regression import fit_logistic, ratio_test

_FEWEST_OF_A_SOURCE = 10
_MOST_SOURCES = 20
OTHER = "(other)"


def length_columns(tokens: Floats) -> dict[str, Floats]:
    """Length as covariates: tokens and their logarithm, so that a bent relation is held fixed too; none if constant."""
    columns = {"tokens": tokens, "log tokens": np.log(np.maximum(tokens, 1.0))}
    return columns if len(np.unique(tokens)) > 2 else {"tokens": tokens} if len(np.unique(tokens)) > 1 else {}


def source_groups(sources: Sequence[str]) -> list[str]:
    """Sources with those that are too rare to estimate put together as `(other)`."""
    common = Counter(sources).most_common(_MOST_SOURCES)
    kept = {name for name, count in common if count >= _FEWEST_OF_A_SOURCE}
    return [name if name in kept else OTHER for name in sources]


def source_columns(sources: Sequence[str]) -> dict[str, Floats]:
    """One 0/1 column for each source but the commonest."""
    names = [name for name, _ in Counter(sources).most_common()][1:]
    return {f"source {name}": np.array([float(source == name) for source in sources]) for name in names}


def covariate_sets(tokens: Floats, sources: Sequence[str] | None) -> dict[str, dict[str, Floats]]:
    """The sets of covariates to hold fixed, by name: none, length, source and both, as far as they vary."""
    length = length_columns(tokens)
    source = source_columns(sources) if sources is not None else {}
    sets = {"none": {}, "length": length, "source": source}
    if length and source:
        sets["length and source"] = {**length, **source}
    return {name: columns for name, columns in sets.items() if name == "none" or columns}


def adjusted_effects(
    right: Bools, predictors: Mapping[str, Floats], sets: Mapping[str, Mapping[str, Floats]]
) -> list[dict[str, Any]]:
    """The standardised coefficient of each predictor beside each set of covariates.

    `p` is of the likelihood-ratio test of the predictor given the covariates; `p_holm` is corrected for the number of
    predictors tried with these covariates. Where a model has no finite estimate its `problem` says why.
    """
    found = []
    for covariates, columns in sets.items():
        entries = [
            {"predictor": name, "covariates": covariates, **_adjusted(right, name, values, columns)}
            for name, values in predictors.items()
        ]
        estimated = [entry for entry in entries if "problem" not in entry]
        for entry, corrected in zip(estimated, holm([entry["p"] for entry in estimated]), strict=True):
            entry["p_holm"] = corrected
        found += entries
    return found


def _adjusted(right: Bools, name: str, values: Floats, columns: Mapping[str, Floats]) -> dict[str, Any]:
    fit = fit_logistic(right, {name: values, **columns})
    if fit.problem is not None:
        return {"problem": fit.problem}
    smaller = fit.null_log_likelihood
    if columns:
        without = fit_logistic(right, columns)
        if without.problem is not None:
            return {"problem": without.problem}
        smaller = without.log_likelihood
    found = fit.coefficients[name]
    statistic, p = ratio_test(fit.log_likelihood, smaller, 1)
    return {"per_sd": found["per_sd"], "per_sd_se": found["per_sd_se"], "chi2": statistic, "p": p}


def length_relation(right: Bools, predictors: Mapping[str, Floats], tokens: Floats) -> dict[str, Any] | None:
    """How length goes with each predictor and with being right; None where all rows have one length."""
    if len(np.unique(tokens)) < 2:
        return None
    ties = {name: spearman(values, tokens).to_dict() for name, values in predictors.items()}
    return {"spearman": ties, "with_right": class_difference(tokens, right)}


def by_source(right: Bools, predictors: Mapping[str, Floats], sources: Sequence[str] | None) -> dict[str, Any] | None:
    """Accuracy in each source, the test that it is the same in all, and the predictors' effects within each."""
    if sources is None or len(set(sources)) < 2:
        return None
    names = [name for name, _ in Counter(sources).most_common()]
    found: list[dict[str, Any]] = []
    for name in names:
        inside = np.array([source == name for source in sources])
        n, hits = int(inside.sum()), int(right[inside].sum())
        both = min(hits, n - hits) >= _FEWEST_OF_A_SOURCE
        effects = {
            predictor: class_difference(values[inside], right[inside])
            for predictor, values in predictors.items()
            if both and np.ptp(values[inside]) > 0
        }
        found.append({"source": name, "n": n, "right": hits, "effects": effects})
    table = np.array([[entry["right"], entry["n"] - entry["right"]] for entry in found])
    test = stats.chi2_contingency(table, correction=False)
    return {"groups": found, "chi2": float(test.statistic), "p": float(test.pvalue)}
