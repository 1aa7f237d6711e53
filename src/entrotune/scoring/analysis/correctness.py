"""Does a score predict that a row is answered right? The numbers of `analyze correctness`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from entrotune.errors import UserError
from entrotune.measures import holm
from entrotune.scoring.analysis.columns import COLUMNS
from entrotune.scoring.analysis.confounds import (
    adjusted_effects,
    by_source,
    covariate_sets,
    length_relation,
    source_groups,
)
from entrotune.scoring.analysis.correlations import correlation_matrix
from entrotune.scoring.analysis.curves import accuracy_by_tenth, histograms
from entrotune.scoring.analysis.effects import Bools, Floats, auc, class_difference
from entrotune.scoring.analysis.joining import FEWEST_ROWS
from entrotune.scoring.analysis.regression import Fit, fit_logistic, ratio_test

PREDICTORS = (
    "entropy_mean",
    "varentropy_mean",
    "sqrt_varentropy_mean",
    "entropy_last",
    "varentropy_last",
    "sqrt_varentropy_last",
)
PAIRS = (
    ("entropy_mean", "varentropy_mean"),
    ("entropy_mean", "sqrt_varentropy_mean"),
    ("entropy_last", "varentropy_last"),
    ("entropy_last", "sqrt_varentropy_last"),
)
FEWEST_OF_A_CLASS = 5
SMALL_D, SMALL_AUC, ALPHA = 0.2, 0.05, 0.05


def predict_correctness(
    right: Bools, predictors: Mapping[str, Floats], tokens: Floats, sources: Sequence[str] | None
) -> dict[str, Any]:
    """Everything about labelled rows, ready for `analysis.json`.

    Args:
        right: [N] whether each row was answered right.
        predictors: [N] for each of `PREDICTORS`.
        tokens: [N] length of each row.
        sources: [N] where each row is from, to be held fixed; None where that is not known.

    Raises:
        UserError: too few rows, one class only, a predictor that is constant or separates the classes perfectly.
    """
    check_classes(right)
    regimes: list[tuple[str, ...]] = [*((name,) for name in PREDICTORS), *PAIRS]
    fits = {names: fit_logistic(right, {name: predictors[name] for name in names}) for names in regimes}
    for fit in fits.values():
        if fit.problem is not None:
            raise UserError(
                f"{fit.problem}; look whether the label was made from the score, or give more rows than {len(right):,}"
            )
    grouped = None if sources is None else source_groups(sources)
    corrected = holm([fit.p for fit in fits.values()])
    nested = [entry for pair in PAIRS for entry in _nested(pair, fits)]
    for entry, adjusted in zip(nested, holm([entry["p"] for entry in nested]), strict=True):
        entry["p_holm"] = adjusted
    columns_NK = np.column_stack([predictors[name] for name in PREDICTORS])
    return {
        "thresholds": {"cohens_d": SMALL_D, "auc": SMALL_AUC, "p": ALPHA},
        "predictors": {name: _predictor(name, predictors[name], right) for name in PREDICTORS},
        "regimes": [
            _regime(names, fit, right, adjusted) for (names, fit), adjusted in zip(fits.items(), corrected, strict=True)
        ],
        "nested": nested,
        "correlations": {
            "names": list(PREDICTORS),
            **{method: correlation_matrix(columns_NK, method) for method in ("pearson", "spearman")},
        },
        "confounds": {
            "length": length_relation(right, predictors, tokens),
            "source": by_source(right, predictors, grouped),
            "adjusted": adjusted_effects(right, predictors, covariate_sets(tokens, grouped)),
        },
    }


def check_classes(right: Bools) -> None:
    """Raise `UserError` where there are too few rows, or of one class, for statistics."""
    n, hits = len(right), int(right.sum())
    if n < FEWEST_ROWS:
        raise UserError(f"{n} rows have scores and a label; statistics need at least {FEWEST_ROWS}")
    if hits in (0, n):
        raise UserError(
            f"all {n:,} rows are {'right' if hits else 'wrong'}: with one class only nothing can be predicted; "
            "give rows of both"
        )
    if min(hits, n - hits) < FEWEST_OF_A_CLASS:
        raise UserError(
            f"{hits:,} rows are right and {n - hits:,} wrong; expected at least {FEWEST_OF_A_CLASS} of each"
        )


def _predictor(name: str, values: Floats, right: Bools) -> dict[str, Any]:
    return {
        "label": COLUMNS[name].label,
        "unit": COLUMNS[name].unit,
        **class_difference(values, right),
        "histogram": histograms(values, right),
        "accuracy": accuracy_by_tenth(values, right),
    }


def _regime(names: tuple[str, ...], fit: Fit, right: Bools, corrected: float) -> dict[str, Any]:
    chi2, p = ratio_test(fit.log_likelihood, fit.null_log_likelihood, fit.parameters)
    return {
        "name": " + ".join(names),
        "predictors": list(names),
        "coefficients": fit.coefficients,
        "log_likelihood": fit.log_likelihood,
        "null_log_likelihood": fit.null_log_likelihood,
        "mcfadden": fit.mcfadden,
        "chi2": chi2,
        "df": fit.parameters,
        "p": p,
        "p_holm": corrected,
        "auc": auc(fit.linear, right).to_dict(),
    }


def _nested(pair: tuple[str, ...], fits: Mapping[tuple[str, ...], Fit]) -> list[dict[str, Any]]:
    """Likelihood-ratio tests of each of two predictors given the other, the second first."""
    tests: list[dict[str, Any]] = []
    for given, added in (pair, pair[::-1]):
        chi2, p = ratio_test(fits[pair].log_likelihood, fits[(given,)].log_likelihood, 1)
        tests.append({"added": added, "given": given, "chi2": chi2, "p": p})
    return tests
