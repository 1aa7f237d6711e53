"""`EntropicTrainer`: TRL's `SFTTrainer` that minimises any objective of the row algebra."""

from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import Trainer
from trl import SFTTrainer

from entrotune.errors import UserError
from entrotune.objectives import Objective, Term
from entrotune.training.meter import Meter
from entrotune.training.objective_head import add_objective_head


class EntropicTrainer(SFTTrainer):
    """Supervised fine-tuning with an entropic objective.

    Everything `SFTTrainer` takes works as there: PEFT, packing, completion-only and assistant-only losses, accelerate,
    callbacks and trackers. The loss is the objective summed over supervised tokens and divided once by their number
    over the whole global batch, so it does not depend on how that batch is split.

    Logged beside the loss, over supervised tokens since the last log: `nll`, `entropy`, `varentropy` and
    `entropy_q05` … `entropy_q95` (nats), `mean_token_accuracy`, `num_tokens`, `coefficient/<term>`, and `aux_loss` for
    mixtures of experts. In evaluation the same with the prefix `eval_`, where `eval_loss` is the objective's exact
    mean over supervised tokens.

    Args:
        objective: an `Objective`, a term or text such as `"ce - 0.1*entropy"`.
        backend: of `linear_objective`.
        chunk_bytes: of `linear_objective`.
        *args: of `SFTTrainer`.
        **kwargs: of `SFTTrainer`.

    Raises:
        ValueError: the objective cannot be read, or an argument would replace it (`compute_loss_func`, a `loss_type`,
            `label_smoothing_factor`: write those as objectives).
    """

    _tag_names = ["trl", "sft", "entrotune"]  # noqa: RUF012
    # `compute_loss` divides by the tokens of the whole accumulation window, so `Trainer` must not divide again.
    loss_is_scaled_for_ga = True  # type: ignore[assignment]

    def __init__(
        self,
        *args: Any,
        objective: Objective | Term | str = "ce",
        backend: str = "auto",
        chunk_bytes: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.objective: Objective = Objective(objective)
        if kwargs.get("compute_loss_func") is not None:
            raise UserError("compute_loss_func would replace the objective; pass objective= alone")
        super().__init__(*args, **kwargs)
        _refuse_other_losses(self.args)
        # `Trainer` counts the supervised tokens of an accumulation window only for models that say they take the count.
        self.model_accepts_loss_kwargs = True
        model: Any = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
        add_objective_head(model, backend=backend, chunk_bytes=chunk_bytes)
        vocabulary = model.get_output_embeddings().weight.shape[0]
        self._meters = {"train": Meter(vocabulary), "eval": Meter(vocabulary)}

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective of a micro-batch, scaled so that accumulation and ranks add up to that of the global batch."""
        inputs["use_cache"] = False
        if self.aux_loss_enabled:
            inputs["output_router_logits"] = True
        if isinstance(num_items_in_batch, Tensor):
            # A batch with nothing to learn anywhere is 0, not 0 / 0.
            num_items_in_batch = num_items_in_batch.clamp(min=1)
        outputs = model(**inputs, objective=self.objective, num_items=num_items_in_batch)
        loss = outputs.loss
        # The count covers every rank, and the average that data parallelism takes of gradients must be undone.
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * (self.accelerator.num_processes // self.get_tp_size())
        if outputs.aux_loss is not None:
            # A mean per micro-batch: averaged over the accumulation window, as the objective already is.
            steps = self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss.to(loss.device) / steps
        self._meters[self._mode].update(outputs, tokens=_tokens_read(inputs))
        if not return_outputs:
            return loss
        with torch.no_grad():
            return loss, model(**{k: v for k, v in inputs.items() if k != "labels"})

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the meter's readings to `logs`, in place, and hand them on."""
        training = self._mode == "train"
        found = self._meters[self._mode].read(self._sum_over_ranks)
        if found:
            tokens, loss = int(found.pop("tokens")), found.pop("loss")
            found["supervised_tokens"] = int(found["supervised_tokens"])
            if training:
                self._total_train_tokens += tokens // self._tp_size
            if not self.aux_loss_enabled:
                found.pop("aux_loss")
            found["num_tokens"] = self._total_train_tokens
            prefix = "" if training else _evaluation_prefix(logs)
            logs.update({f"{prefix}{key}": value for key, value in found.items()})
            if training:
                logs.update({f"coefficient/{k}": v for k, v in self.objective.coefficient_values().items()})
            else:
                logs[f"{prefix}loss"] = loss
        # SFTTrainer's own log would add its metrics, which the meter replaces.
        Trainer.log(self, logs, start_time)

    def _send_telemetry(self) -> None:
        """Nothing: TRL would report the kind of trainer, model and cluster."""

    @property
    def _mode(self) -> str:
        assert self.model is not None
        return "train" if self.model.training else "eval"

    def _sum_over_ranks(self, values: Tensor) -> Tensor:
        if self.accelerator.num_processes == 1:
            return values
        return self.accelerator.reduce(values, reduction="sum") / self.get_tp_size()


def _refuse_other_losses(args: Any) -> None:
    if args.loss_type != "nll":
        raise UserError(f"loss_type={args.loss_type!r} would replace the objective; write objective='dft' for DFT")
    if args.label_smoothing_factor:
        raise UserError(
            "label_smoothing_factor would replace the objective; write "
            f"objective='label_smoothing(eps={args.label_smoothing_factor})'"
        )


def _tokens_read(inputs: dict[str, Any]) -> Tensor:
    """How many tokens of the batch are not padding."""
    if inputs.get("attention_mask") is not None:
        return inputs["attention_mask"].sum()
    # Padding-free batches carry positions instead of a mask: one row with no padding.
    rows = inputs["position_ids"] if "position_ids" in inputs else inputs["input_ids"]
    return torch.tensor(rows.numel(), device=rows.device)


def _evaluation_prefix(logs: dict[str, float]) -> str:
    """`eval_`, or `eval_<name>_` where several evaluation sets have names."""
    key = next((k for k in logs if k.startswith("eval") and k.endswith("_loss")), "eval_loss")
    return key.removesuffix("loss")
