"""The frozen model that terms such as `kl(ref)` compare with."""

import contextlib
from collections.abc import Iterator
from typing import Any

from peft import PeftModel

from entrotune.errors import UserError
from entrotune.kernels import Reference
from entrotune.models import base_of, evaluation_mode, find_head
from entrotune.training.objective_head import add_objective_head

_NOT_READ = ("labels", "shift_labels", "use_cache", "output_router_logits")


class ReferenceModel:
    """Gives the rows of a reference at the positions of a batch, without gradient and with dropout off.

    Args:
        trained: the model in training.
        model: the reference; None for the base under the adapters of `trained`, of which there is no second copy.

    Raises:
        UserError: there is no base under an adapter and no other model; the two share weights that are trained, or
            have different vocabularies; or the adapter learns a prompt.
    """

    def __init__(self, trained: Any, model: Any | None) -> None:
        if model is None and not isinstance(trained, PeftModel):
            raise UserError(
                "the objective compares with a reference, and full training changes the model itself; pass reference=, "
                "a frozen model (with an adapter the reference can be the base under it)"
            )
        base_of(trained)  # refuses prompt learning
        self.is_base = model is None
        self.model = trained if model is None else model
        if model is not None:
            _check_separate(trained, model)
            _check_vocabulary(trained, model)
            model.requires_grad_(False)
            add_objective_head(base_of(model))

    def rows(self, inputs: dict[str, Any]) -> Reference:
        """Hidden states [B, T, E] of a batch, with the head that belongs to them."""
        inputs = {name: value for name, value in inputs.items() if name not in _NOT_READ}
        with self._frozen(), evaluation_mode(self.model):
            hidden = self.model(**inputs, use_cache=False, hidden_only=True)
            head = find_head(self.model)
            return Reference(hidden, head.weight, head.bias, head.logit_scale, head.softcap)

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        if not self.is_base:
            yield
            return
        with self.model.disable_adapter():
            yield


def _check_separate(trained: Any, reference: Any) -> None:
    own = {id(weight) for weight in trained.parameters() if weight.requires_grad}
    if any(id(weight) in own for weight in reference.parameters()):
        raise UserError(
            "the reference has weights of the model in training, so to hold it still would stop the training; pass a "
            "copy.deepcopy of the model as it was, or another one"
        )


def _check_vocabulary(trained: Any, reference: Any) -> None:
    own, other = (find_head(model).weight.shape[0] for model in (trained, reference))
    if own != other:
        raise UserError(
            f"the reference has a vocabulary of {other:,} tokens and the model one of {own:,}; a divergence needs the "
            "same tokens on both sides: take a reference of the same family"
        )
