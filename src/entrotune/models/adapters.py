"""Low-rank adapters, and counting what is trained."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from entrotune.errors import UserError
from entrotune.models.head import base_of, find_head


def attach_lora(
    model: Any,
    *,
    rank: int = 8,
    alpha: int = 16,
    dropout: float = 0.0,
    targets: str | Sequence[str] = "all-linear",
) -> Any:
    """Freeze the model and put a trainable LoRA adapter on it (Hu et al. 2021); return the PEFT model.

    Draws the adapter's initial numbers from torch's global generator: seed it first. The output head is never adapted.

    Args:
        rank: of each update, at least 1.
        alpha: updates are scaled by alpha / rank.
        dropout: on the adapter's input, in [0, 1).
        targets: `all-linear` (every linear layer but the head), a module name such as `q_proj`, several separated by
            commas, or a sequence of names.

    Raises:
        UserError: a value out of range, targets that match nothing or that include the head, or a model that already
            carries an adapter.
    """
    from peft import LoraConfig, get_peft_model

    if hasattr(model, "peft_config"):
        raise UserError("the model already carries an adapter; merge it first (model.merge_and_unload()) and save that")
    if rank < 1:
        raise UserError(f"LoRA rank must be at least 1, got {rank}")
    if not 0.0 <= dropout < 1.0:
        raise UserError(f"LoRA dropout must be at least 0 and below 1, got {dropout}")
    if not alpha > 0:
        raise UserError(f"LoRA alpha must be above 0, got {alpha}")
    config = LoraConfig(
        task_type="CAUSAL_LM", r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=_targets(model, targets)
    )
    return get_peft_model(model, config)


def _targets(model: Any, targets: str | Sequence[str]) -> str | list[str]:
    head = find_head(model).module
    if targets == "all-linear":
        if not any(_is_linear(module) and module is not head for module in base_of(model).modules()):
            raise UserError(
                f"{type(base_of(model)).__name__} has no linear layer but its head, so LoRA has nothing to adapt; "
                "train every weight with method full"
            )
        return targets
    names = [name.strip() for name in (targets.split(",") if isinstance(targets, str) else targets)]
    modules = [(path, module) for path, module in base_of(model).named_modules() if path]
    for name in names:
        matched = [module for path, module in modules if path == name or path.endswith(f".{name}")]
        if not matched:
            known = sorted(
                {path.rsplit(".", 1)[-1] for path, module in modules if _is_linear(module) and module is not head}
            )
            raise UserError(f"LoRA target '{name}' is no module of this model; it has: {', '.join(known)}")
        if any(module is head for module in matched):
            raise UserError(f"LoRA target '{name}' is the output head, which cannot be adapted; leave it out")
    return names


def _is_linear(module: nn.Module) -> bool:
    # GPT-2's layers are "Conv1D": linear layers with a transposed weight.
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Total and trainable parameters; a tied matrix counts once."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trainable in sizes if trainable)
