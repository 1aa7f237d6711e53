"""What `EntropicTrainer` refuses: models whose loss would be of other logits than their own, and other losses."""

from typing import Any

from accelerate import Accelerator
from peft import PeftModel
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from entrotune.errors import UserError
from entrotune.models import check_head


def inner_model(model: Any) -> Any:
    """The model inside a PEFT wrapper, that of prompt learning too."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def check_task(model: Any, *, own_collator: bool) -> None:
    """Refuse a model that predicts no next token, where it is given as an object.

    Args:
        model: as given to the trainer.
        own_collator: there is a collator, so that TRL asks the model for no generation config.

    Raises:
        UserError: it has no output head, or cannot generate.
    """
    inner = inner_model(model)
    if not isinstance(inner, PreTrainedModel):
        return
    if inner.get_output_embeddings() is None or not (own_collator or inner.can_generate()):
        raise UserError(
            f"{type(inner).__name__} is no causal language model; load it with AutoModelForCausalLM, or give its name"
        )


def check_whole_head(model: Any, accelerator: Accelerator) -> None:
    """`check_head`, under the precision of training, on the main process and where the weights are there.

    FSDP and ZeRO-3 leave weights for later, and tensor parallelism needs all processes for a forward pass.

    Raises:
        UserError: as `check_head`.
    """
    there = all(p.numel() and not p.is_meta and not isinstance(p, DTensor) for p in model.parameters())
    if there and accelerator.is_main_process:
        with accelerator.autocast():
            check_head(model)


def refuse_other_losses(args: Any) -> None:
    """Raise `UserError` where an argument of `SFTConfig` would replace the objective."""
    if args.loss_type != "nll":
        raise UserError(f"loss_type={args.loss_type!r} would replace the objective; write objective='dft' for DFT")
    if args.label_smoothing_factor:
        raise UserError(
            "label_smoothing_factor would replace the objective; write "
            f"objective='label_smoothing(eps={args.label_smoothing_factor})'"
        )
