"""Logistic regression of being right on scores, through statsmodels."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import linprog

from entrotune.errors import UserError
from entrotune.scoring.analysis.effects import Bools, Floats

# Standard errors beyond this, per standard deviation of a predictor, are a reason to look whether there is a maximum: a
# thousand rows give about 0.06, twenty about 1.
_RUNAWAY_ERROR = 30.0
# A mean distance from the plane between classes, in standard deviations, that may be rounding in the search for it.
_ON_THE_PLANE = 1e-6


@dataclass(frozen=True)
class Fit:
    """A fitted regression; of `problem`, where it has no finite estimate, nothing else is to be used.

    Attributes:
        coefficients: predictor → raw and standardised coefficient, standard error, z, p and 95% interval.
        log_likelihood, null_log_likelihood: nats; of the model and of the intercept alone.
        linear: the linear predictor of each row.
        parameters: number of predictors.
        problem: why there is no estimate, in words; None where there is one.
    """

    coefficients: dict[str, dict[str, Any]]
    log_likelihood: float
    null_log_likelihood: float
    linear: Floats
    parameters: int
    problem: str | None = None

    @property
    def mcfadden(self) -> float:
        """1 − log-likelihood / that of the intercept alone (McFadden 1974)."""
        return 1 - self.log_likelihood / self.null_log_likelihood

    @property
    def p(self) -> float:
        """Of the likelihood-ratio test against the intercept alone."""
        return ratio_test(self.log_likelihood, self.null_log_likelihood, self.parameters)[1]


def fit_logistic(right: Bools, predictors: Mapping[str, Floats]) -> Fit:
    """Fit P(right) = logistic(intercept + Σ coefficient · predictor), by maximum likelihood.

    Predictors are standardised before fitting, which changes no likelihood and keeps Newton's steps sound; raw
    coefficients are those divided by the standard deviation.

    Raises:
        UserError: a predictor that is the same in all rows.
    """
    import statsmodels.api as statsmodels
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    names = list(predictors)
    values_NK = np.column_stack([predictors[name] for name in names])
    spread_K = values_NK.std(axis=0, ddof=1)
    if not spread_K.all():
        raise UserError(f"{names[int(np.argmin(spread_K))]} is the same in all rows, so nothing can be told by it")
    design = statsmodels.add_constant((values_NK - values_NK.mean(axis=0)) / spread_K, has_constant="add")
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return _without_estimate(len(right), len(names), f"{_listed(names)} determine each other (linearly dependent)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they warn of is checked below
            fitted = statsmodels.Logit(right.astype(np.float64), design).fit(disp=False, maxiter=200)
            errors = fitted.bse
        is_sound = fitted.mle_retvals["converged"] and np.isfinite(errors).all()
    except (PerfectSeparationError, np.linalg.LinAlgError):
        is_sound = False
    if not is_sound or errors.max() > _RUNAWAY_ERROR:
        if _separates(design, right):
            return _without_estimate(len(right), len(names), _separated(names))
        if not is_sound:
            return _without_estimate(len(right), len(names), f"no estimate was found for {_listed(names)}")
    return Fit(
        coefficients={name: _coefficient(fitted, at + 1, float(spread_K[at])) for at, name in enumerate(names)},
        log_likelihood=float(fitted.llf),
        null_log_likelihood=float(fitted.llnull),
        linear=design @ fitted.params,
        parameters=len(names),
    )


def ratio_test(larger: float, smaller: float, parameters: int) -> tuple[float, float]:
    """Statistic and p of the likelihood-ratio test of nested models that differ by so many parameters."""
    statistic = max(0.0, 2 * (larger - smaller))
    return statistic, float(stats.chi2.sf(statistic, parameters))


def _separates(design_NP: Floats, right: Bools) -> bool:
    """Whether a plane has no row on its wrong side, and not all on it: then no likelihood is the greatest.

    Albert and Anderson 1984 (doi 10.1093/biomet/71.1.1), as a linear programme.
    """
    signed_NP = np.where(right, 1.0, -1.0)[:, None] * design_NP
    found = linprog(-signed_NP.mean(axis=0), A_ub=-signed_NP, b_ub=np.zeros(len(right)), bounds=(-1, 1))
    return bool(-found.fun > _ON_THE_PLANE)


def _coefficient(fitted: Any, at: int, spread: float) -> dict[str, Any]:
    value, error = float(fitted.params[at]), float(fitted.bse[at])
    low, high = (float(end) for end in fitted.conf_int()[at])
    return {
        "raw": {"value": value / spread, "low": low / spread, "high": high / spread},
        "raw_se": error / spread,
        "per_sd": {"value": value, "low": low, "high": high},
        "per_sd_se": error,
        "z": float(fitted.tvalues[at]),
        "p": float(fitted.pvalues[at]),
        "sd": float(spread),
    }


def _without_estimate(rows: int, parameters: int, problem: str) -> Fit:
    return Fit({}, float("nan"), float("nan"), np.zeros(rows), parameters, problem)


def _separated(names: list[str]) -> str:
    verb = "separates" if len(names) == 1 else "together separate"
    return f"{_listed(names)} {verb} right from wrong perfectly, so logistic regression has no finite estimate"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
