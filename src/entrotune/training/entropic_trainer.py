"""`EntropicTrainer`: TRL's `SFTTrainer` that minimises any objective of the row algebra."""

import inspect
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, SequentialSampler
from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import SFTTrainer
from trl.models.utils import prepare_fsdp

from entrotune.data.curriculum import Order, read_order
from entrotune.data.examples import IGNORED
from entrotune.errors import UserError
from entrotune.models import find_head
from entrotune.objectives import NamedCoefficients, Objective, RowStats, Term
from entrotune.training.checks import check_task, check_whole_head, inner_model, refuse_other_losses
from entrotune.training.control import CoefficientControl, WhenEntropyWins
from entrotune.training.curriculum import check_arguments, in_order, without_cutting
from entrotune.training.dropped import rows_given, told_of_dropped
from entrotune.training.groups import (
    GROUPS,
    GroupCollator,
    behind_prompt,
    check_columns,
    of_targets,
    packed_with_groups,
    with_groups,
)
from entrotune.training.meter import Meter
from entrotune.training.objective_head import add_objective_head
from entrotune.training.reference import ReferenceModel
from entrotune.training.rounds import BLANK, BlankCollator, RowsOrBlank, fill_rounds, with_rows
from entrotune.training.window import read_window, restore_loss, restore_measured, window_of, write_window


class EntropicTrainer(SFTTrainer):
    """Supervised fine-tuning with an entropic objective.

    Everything `SFTTrainer` takes works as there: PEFT, packing, completion-only and assistant-only losses, accelerate,
    callbacks and trackers. The loss is the objective summed over supervised tokens and divided once by their number
    over the whole global batch, so it does not depend on how that batch is split. Several processes use each row of an
    epoch, and of a validation, once.

    Logged beside the loss, over supervised tokens since the last log: `nll`, `entropy`, `varentropy` and
    `entropy_q05` … `entropy_q95` (nats), `mean_token_accuracy`, `num_tokens`, `coefficient/<term>` and
    `coefficient/<name>` as they were in the last step, and `aux_loss` for mixtures of experts. In evaluation the same
    with the prefix `eval_` (`test_` in `predict`), where `eval_loss` is the objective's exact mean over supervised
    tokens.

    Args:
        objective: an `Objective`, a term or text such as `"ce - 0.1*entropy"` or `"ce - alpha*entropy"`.
        coefficients: a number, schedule or controller for each name in the objective, such as
            `{"alpha": {"target_entropy": 1.2}}`; these by a column of the data sets,
            `{"alpha": {"by": "task", "qa": 0.02, "default": 0.1}}`; or `balanced`. Controllers and balances are kept in
            the trainer's state, so that they resume.
        when_entropy_wins: warn or stop where the objective prefers uniform predictions, or they nearly are uniform.
        backend: of `linear_objective`.
        chunk_bytes: of `linear_objective`.
        curriculum: an order of the training rows, or the `order.parquet` it is kept in. Rows are used in exactly its
            sequence, joined by the column `id` of `train_dataset`; an epoch is one pass over the order. Packing joins
            consecutive rows and cuts none.
        reference: the frozen model that terms such as `kl(ref)` compare with; by default the base under an adapter,
            adapters off, of which there is no second copy. It runs without gradient and without dropout.
        *args: of `SFTTrainer`.
        **kwargs: of `SFTTrainer`.

    Raises:
        ValueError: the objective or its coefficients cannot be read, or an argument would replace it
            (`compute_loss_func`, a `loss_type`, `label_smoothing_factor`: write those as objectives); the curriculum is
            of other rows, or an argument would shuffle or drop rows of it; entropy wins, and is to stop the run.
    """

    _tag_names = ["trl", "sft", "entrotune"]  # noqa: RUF012
    # `compute_loss` divides by the tokens of the whole accumulation window, so `Trainer` must not divide again.
    loss_is_scaled_for_ga = True  # type: ignore[assignment]

    def __init__(
        self,
        *args: Any,
        objective: Objective | Term | str = "ce",
        coefficients: Mapping[str, Any] | None = None,
        when_entropy_wins: WhenEntropyWins = "warn",
        backend: str = "auto",
        chunk_bytes: int | None = None,
        curriculum: Order | str | Path | None = None,
        reference: Any | None = None,
        **kwargs: Any,
    ) -> None:
        self._objective = Objective(objective)
        named = NamedCoefficients(self._objective, coefficients)
        self._groups = named.groups
        if self._groups is not None:
            check_columns(self._groups)
        self.curriculum = curriculum if curriculum is None or isinstance(curriculum, Order) else read_order(curriculum)
        self._is_ordered = False
        self._resumed: dict[str, Any] | None = None
        given = inspect.signature(SFTTrainer.__init__).bind_partial(self, *args, **kwargs).arguments
        if given.get("compute_loss_func") is not None:
            raise UserError("compute_loss_func would replace the objective; pass objective= alone")
        check_task(given.get("model"), own_collator=given.get("data_collator") is not None)
        if given.get("train_dataset") is not None:
            rows_given(given["train_dataset"], "train")  # TRL looks at its first row
        super().__init__(*args, **kwargs)
        if self.curriculum is not None and not self._is_ordered:
            raise UserError("a curriculum needs a train_dataset, prepared without skip_prepare_dataset")
        refuse_other_losses(self.args)
        self._refuse_what_is_not_shared()
        if self._groups is not None:
            self.data_collator = GroupCollator(self.data_collator)
        if self.accelerator.num_processes > 1:
            self.data_collator = BlankCollator(self.data_collator)
        # `Trainer` counts the supervised tokens of an accumulation window only for models that say they take the count.
        self.model_accepts_loss_kwargs = True
        model: Any = inner_model(self.model)
        self._check_head(model)
        add_objective_head(model, backend=backend, chunk_bytes=chunk_bytes)
        vocabulary = find_head(model).weight.shape[0] or model.config.get_text_config().vocab_size  # 0 under ZeRO-3
        self._reference = self._prepared_reference(reference)
        labels = self._groups.labels if self._groups is not None else ()
        self._meters = {"train": Meter(vocabulary, labels), "eval": Meter(vocabulary, labels)}
        self._control = CoefficientControl(
            named,
            vocabulary=vocabulary,
            sum_over_ranks=self._sum_over_ranks,
            when_entropy_wins=when_entropy_wins,
        )
        self.add_callback(self._control)

    @property
    def objective(self) -> Objective:  # type: ignore[override]  # `Trainer` keeps a number there in a search
        """What is minimised; another one needs another trainer."""
        return self._objective

    def _check_head(self, model: Any) -> None:
        """Refuse a model whose logits are not those of its head."""
        check_whole_head(model, self.accelerator)

    def _prepared_reference(self, given: Any | None) -> ReferenceModel | None:
        needed = self._objective.needs.reference
        self._objective.check_reference(given is not None or needed, "reference")
        if not needed:
            return None
        if given is not None:
            if not isinstance(given, torch.nn.Module):
                raise UserError(f"reference is {given!r}; pass the model that AutoModelForCausalLM loads")
            check_whole_head(given, self.accelerator)
            given = prepare_fsdp(given, self.accelerator) if self.is_fsdp_enabled else given.to(self.args.device)
        return ReferenceModel(self.model, given)

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, packing: bool, *others: Any) -> Any:
        """TRL's tokens, with the groups of their rows where there are any; the training rows, which come first, in the
        order of the curriculum where there is one.
        """
        count = rows_given(dataset, others[-1])
        ordered = self.curriculum is not None and not self._is_ordered
        if not ordered and self._groups is None:
            prepared = super()._prepare_dataset(dataset, processing_class, args, packing, *others)
            return prepared if packing else told_of_dropped(prepared, count, args, others[-1])
        if packing and args.max_length is None:
            raise UserError("packing needs a max_length, the length of packed sequences; it is None")
        if ordered:
            check_arguments(args)
        given = without_cutting(args) if packing else args
        prepared = super()._prepare_dataset(dataset, processing_class, given, False, *others)
        if not ordered:
            prepared = told_of_dropped(prepared, count, args, others[-1])
        if self._groups is not None:
            prepared = with_groups(prepared, self._groups, others[-1])
        if not ordered or self.curriculum is None:
            return packed_with_groups(prepared, args) if packing else prepared
        self._is_ordered = True
        return in_order(prepared, self.curriculum, args)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        names: Any = self._signature_columns
        if self._groups is not None and GROUPS not in names:
            self._signature_columns = [*names, GROUPS]  # type: ignore[assignment]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.curriculum is None:
            return super()._get_train_sampler(train_dataset)
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(rows)

    def _get_dataloader(self, dataset: Any, description: str, batch_size: int, *others: Any, **more: Any) -> Any:
        """`Trainer`'s loader; that of several processes gives each row once."""
        streamed = isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__")
        if self.accelerator.num_processes == 1 or streamed or self.args.dataloader_drop_last:
            return super()._get_dataloader(dataset, description, batch_size, *others, **more)
        if isinstance(dataset, datasets.Dataset):
            dataset = self._remove_unused_columns(dataset, description=description)
        loader = super()._get_dataloader(RowsOrBlank(dataset), description, batch_size, *others, **more)
        fill_rounds(loader)
        return loader

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective of a micro-batch, scaled so that accumulation and ranks add up to that of the global batch."""
        if inputs.get("labels") is None and inputs.get("shift_labels") is None:
            raise UserError("a batch has no labels; let the collator give them, -100 where nothing is learned")
        inputs["use_cache"] = False
        blank, groups = inputs.pop(BLANK, False), inputs.pop(GROUPS, None)
        if groups is not None:
            groups = of_targets(groups, inputs)
        if self.aux_loss_enabled:
            inputs["output_router_logits"] = True
        if isinstance(num_items_in_batch, Tensor):
            # A batch with nothing to learn anywhere is 0, not 0 / 0.
            num_items_in_batch = num_items_in_batch.clamp(min=1)
        reference = None if self._reference is None else self._reference.rows(inputs)
        training = self._mode == "train"
        objective = self._control.objective(self.state, training=training)
        probe = self._control.probe(self.state) if training else None
        outputs = model(
            **inputs,
            objective=objective,
            num_items=num_items_in_batch,
            reference=reference,
            groups=groups,
            probe=None if blank else probe,
        )
        stats = outputs.rows.stats
        groups = groups if groups is None else behind_prompt(groups, stats.mask)
        loss = _unrounded(outputs.loss, stats, num_items_in_batch)
        # The count covers every rank, and the average that data parallelism takes of gradients must be undone.
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * (self.accelerator.num_processes // self.get_tp_size())
        if outputs.aux_loss is not None:
            # A mean per micro-batch: averaged over the accumulation window, as the objective already is.
            steps = self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1
            coefficient = 0.0 if blank else self.router_aux_loss_coef
            loss = loss + coefficient * outputs.aux_loss.to(loss.device) / steps
        if training:
            self._control.update(stats, blank=blank, groups=groups)
        self._meters[self._mode].update(
            stats, tokens=_tokens_read(inputs), aux_loss=outputs.aux_loss, blank=blank, groups=groups
        )
        if not return_outputs:
            return loss
        with torch.no_grad():
            return loss, model(**{k: v for k, v in inputs.items() if k != "labels"})

    def prediction_step(self, model: Any, inputs: dict[str, Any], *others: Any, **more: Any) -> Any:
        """As `SFTTrainer`'s; where processes gather logits, each has as many rows."""
        loss, logits, labels = super().prediction_step(model, inputs, *others, **more)
        if logits is not None and self.accelerator.num_processes > 1 and not self.padding_free:
            logits = with_rows(logits, self.args.eval_batch_size, 0)
            labels = with_rows(labels, self.args.eval_batch_size, IGNORED)
        return loss, logits, labels

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer`'s; what a training measured that was broken off before does not count."""
        self._meters["train"].clear()
        return super().train(*args, **kwargs)

    def _inner_training_loop(self, *args: Any, **kwargs: Any) -> Any:
        """`Trainer`'s, which `auto_find_batch_size` starts again where batches were too large: these do not count."""
        self._resumed = read_window(kwargs.get("resume_from_checkpoint"))
        if self._resumed is not None:
            restore_measured(self, self._resumed)
        try:
            return super()._inner_training_loop(*args, **kwargs)
        except RuntimeError:
            self._meters["train"].clear()
            raise

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        self._go_on_in_window()
        super()._run_epoch(*args, **kwargs)

    def _go_on_in_window(self) -> None:
        """In the first epoch after a stop, the loss too goes on where it was."""
        if self._resumed is not None:
            restore_loss(self, self._resumed)
            self._resumed = None

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """As `Trainer`'s, with what was measured since the last log."""
        window = window_of(self)
        if self.args.should_save:
            written = Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            write_window(written, window)
        super()._save_checkpoint(model, trial)

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> Any:
        """As `Trainer`'s, of `evaluate` and `predict`, with the meter's readings among the metrics."""
        self._meters["eval"].clear()  # a loop that was broken off left something
        output = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix=metric_key_prefix
        )
        found = self._read_meter("eval")
        found.pop("tokens", None)
        metrics = {f"{metric_key_prefix}_{key}": value for key, value in found.items()}
        given = dict(output.metrics or {})
        if found:
            given.pop(f"{metric_key_prefix}_loss", None)  # a mean of the batches' means
        # A metric of `compute_metrics` keeps its name.
        return output._replace(metrics=metrics | given)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the meter's readings of training to `logs`, in place, and hand them on.

        What a callback logs, or an evaluation, leaves them for the trainer's own line, which has the loss.
        """
        if ("loss" in logs or "train_loss" in logs) and (found := self._read_meter("train")):
            before = max(self._total_train_tokens, self._tokens_logged())
            self._total_train_tokens = before + int(found.pop("tokens")) // self._tp_size
            loss = found.pop("loss")
            if "loss" in logs and not math.isfinite(loss):
                logs["loss"] = loss  # Trainer leaves such steps out, and would tell 0
            logs.update(found | {"num_tokens": self._total_train_tokens})
            logs.update({f"coefficient/{k}": v for k, v in self._control.used.items()})
        # SFTTrainer's own log would add its metrics, which the meter replaces.
        Trainer.log(self, logs, start_time)

    def _tokens_logged(self) -> int:
        """Tokens of a run that is resumed, as it last told them."""
        history = reversed(self.state.log_history)
        return int(next((entry["num_tokens"] for entry in history if "num_tokens" in entry), 0))

    def _read_meter(self, mode: str) -> dict[str, float]:
        """What was measured since the last call; empty where nothing was."""
        found = self._meters[mode].read(self._sum_over_ranks)
        if found:
            found["supervised_tokens"] = int(found["supervised_tokens"])
            found["num_tokens"] = self._total_train_tokens
            if not self.aux_loss_enabled:
                found.pop("aux_loss")
        return found

    def _send_telemetry(self) -> None:
        """Nothing: TRL would report the kind of trainer, model and cluster."""

    @property
    def _mode(self) -> str:
        assert self.model is not None
        return "train" if self.model.training else "eval"

    def _refuse_what_is_not_shared(self) -> None:
        """Raise `UserError` where accelerate would train otherwise than asked, or use rows twice."""
        wanted = self.args.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
        if self.accelerator.num_processes > 1 and wanted and not self.is_fsdp_enabled:
            raise UserError(
                f"FSDP was asked for, but accelerate shards no model on {self.args.device.type}: every process would "
                "hold all of it; use GPUs, or leave FSDP out"
            )
        if self.args.n_gpu > 1:
            raise UserError(
                f"one process would use {self.args.n_gpu} GPUs through DataParallel, which averages what is to be "
                "summed; start a process a GPU with torchrun or accelerate launch, or set CUDA_VISIBLE_DEVICES to one"
            )
        for name in ("split_batches", "dispatch_batches"):
            if self.accelerator.num_processes > 1 and getattr(self.args.accelerator_config, name):
                raise UserError(f"accelerator_config {name} would repeat rows in the last batch; leave it out")

    def _sum_over_ranks(self, values: Tensor) -> Tensor:
        if self.accelerator.num_processes == 1:
            return values
        return self.accelerator.reduce(values, reduction="sum") / self.get_tp_size()


def _unrounded(loss: Tensor, stats: RowStats, num_items: Tensor | int | None) -> Tensor:
    """A loss that FSDP2's mixed precision rounded, with the value it had before; its gradient is not touched."""
    if loss.dtype == stats.loss.dtype:
        return loss
    count = stats.mask.sum().clamp(min=1) if num_items is None else num_items
    return loss + (stats.loss.sum() / count - loss).detach()


def _tokens_read(inputs: dict[str, Any]) -> Tensor:
    """How many tokens of the batch are not padding."""
    mask = inputs.get("attention_mask")
    if mask is not None and mask.dim() == 2:
        return mask.sum()
    # Padding-free batches have no mask and no padding; another kind of mask does not tell.
    rows = inputs["inputs_embeds"] if inputs.get("input_ids") is None else inputs["input_ids"]
    return torch.tensor(math.prod(rows.shape[:2]), device=rows.device)
