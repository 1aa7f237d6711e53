"""Records of earlier versions: what they lack and what follows from the rest of them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from entrotune.errors import UserError
from entrotune.measures import holm


def complete(record: dict[str, Any], source: str) -> dict[str, Any]:
    """A record with the corrected p-values that analyses of correctness did not always have.

    Raises:
        UserError: an analysis has neither the corrected p-values nor those that they follow from.
    """
    if record.get("analysis") != "correctness" or not record.get("predictors"):
        return record
    try:
        by_covariates = defaultdict(list)
        for entry in record["confounds"]["adjusted"]:
            if "problem" not in entry:
                by_covariates[entry["covariates"]].append(entry)
        for tests in (record["regimes"], record["nested"], *by_covariates.values()):
            _correct(tests)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{source} is an analysis without {error}, as an earlier version wrote them; make it again with "
            "`entrotune analyze correctness`"
        ) from None
    return record


def _correct(tests: Sequence[dict[str, Any]]) -> None:
    if any("p_holm" not in test for test in tests):
        for test, corrected in zip(tests, holm([test["p"] for test in tests]), strict=True):
            test["p_holm"] = corrected
