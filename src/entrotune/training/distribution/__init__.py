"""Training towards target distributions: the loss over a tree of tokens, the loop, its recipe."""

from typing import TYPE_CHECKING

from entrotune.lazy import loader

if TYPE_CHECKING:
    from entrotune.training.distribution.config import DiffuseConfig
    from entrotune.training.distribution.loss import StepMeter, backward_set
    from entrotune.training.distribution.run import Progressed, computing_in, precision_of, train_distribution

__all__ = [
    "DiffuseConfig",
    "Progressed",
    "StepMeter",
    "backward_set",
    "computing_in",
    "precision_of",
    "train_distribution",
]

# A recipe must not wait for torch.
__getattr__ = loader(
    __name__,
    {
        "DiffuseConfig": "entrotune.training.distribution.config",
        "Progressed": "entrotune.training.distribution.run",
        "StepMeter": "entrotune.training.distribution.loss",
        "backward_set": "entrotune.training.distribution.loss",
        "computing_in": "entrotune.training.distribution.run",
        "precision_of": "entrotune.training.distribution.run",
        "train_distribution": "entrotune.training.distribution.run",
    },
)
