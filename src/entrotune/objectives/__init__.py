"""What is minimised: terms, and the algebra that joins them into objectives."""

from entrotune.objectives import terms
from entrotune.objectives.balance import Balance, equal_norm_weights, min_norm_weights
from entrotune.objectives.groups import GroupedObjective, Groups
from entrotune.objectives.named import NamedCoefficients
from entrotune.objectives.objective import Objective
from entrotune.objectives.parse import ObjectiveError
from entrotune.objectives.row_weights import row_weights
from entrotune.objectives.rows import Coefficients, Needs, Rows, RowStats
from entrotune.objectives.schedules import Moment
from entrotune.objectives.term import TERMS, Term
from entrotune.objectives.terms.alpha_divergence import AlphaDivergence as alpha_divergence  # noqa: N813
from entrotune.objectives.terms.ce import CrossEntropy as ce  # noqa: N813
from entrotune.objectives.terms.dft import Dft as dft  # noqa: N813
from entrotune.objectives.terms.divergences import Jsd as jsd  # noqa: N813
from entrotune.objectives.terms.divergences import Kl as kl  # noqa: N813
from entrotune.objectives.terms.eaft import Eaft as eaft  # noqa: N813
from entrotune.objectives.terms.entropy import Entropy as entropy  # noqa: N813
from entrotune.objectives.terms.focal import Focal as focal  # noqa: N813
from entrotune.objectives.terms.gem import Gem as gem  # noqa: N813
from entrotune.objectives.terms.generalised_entropies import Renyi as renyi  # noqa: N813
from entrotune.objectives.terms.generalised_entropies import Tsallis as tsallis  # noqa: N813
from entrotune.objectives.terms.label_smoothing import LabelSmoothing as label_smoothing  # noqa: N813
from entrotune.objectives.terms.mse import Mse as mse  # noqa: N813
from entrotune.objectives.terms.power import Power as power  # noqa: N813
from entrotune.objectives.terms.scaled_entropy import ScaledEntropy as scaled_entropy  # noqa: N813
from entrotune.objectives.terms.varentropy import Varentropy as varentropy  # noqa: N813
from entrotune.objectives.terms.z_loss import ZLoss as z_loss  # noqa: N813

__all__ = [
    "TERMS",
    "Balance",
    "Coefficients",
    "GroupedObjective",
    "Groups",
    "Moment",
    "NamedCoefficients",
    "Needs",
    "Objective",
    "ObjectiveError",
    "RowStats",
    "Rows",
    "Term",
    "alpha_divergence",
    "ce",
    "dft",
    "eaft",
    "entropy",
    "equal_norm_weights",
    "focal",
    "gem",
    "jsd",
    "kl",
    "label_smoothing",
    "min_norm_weights",
    "mse",
    "power",
    "renyi",
    "row_weights",
    "scaled_entropy",
    "terms",
    "tsallis",
    "varentropy",
    "z_loss",
]
