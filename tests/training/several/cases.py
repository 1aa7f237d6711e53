"""Trainings that are the same on one process and on several: what is compared, and the rows that make it hard."""

import os
import tempfile
from typing import Any

import torch
from accelerate import DistributedType, PartialState
from accelerate.state import AcceleratorState, GradientState
from datasets import Dataset
from peft import LoraConfig
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from trl import SFTConfig

from entrotune import EntropicTrainer, Objective
from entrotune.training.objective_head import add_objective_head
from tiny import byte_tokenizer, tiny_llama

FSDP = {"version": 2, "reshard_after_forward": True, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP"}
# Nothing stays gathered, however small.
ZERO3 = {
    "zero_optimization": {
        "stage": 3,
        "stage3_param_persistence_threshold": 0,
        "stage3_max_live_parameters": 0,
        "stage3_max_reuse_distance": 0,
        "stage3_prefetch_bucket_size": 0,
    },
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "zero_allow_untested_optimizer": True,
    "zero_force_ds_cpu_optimizer": False,
}
# Lengths that differ within every batch; 26 is no multiple of a batch, and 7 leaves a process without validation rows.
ROWS = [{"prompt": f"count to {i}: ", "completion": " ".join(map(str, range(1, (i * 5) % 11 + 2)))} for i in range(26)]
HELD_OUT = 7


def masked_rows() -> list[dict[str, Any]]:
    """Token rows of which every other one has nothing to learn: with batches of one, a whole process has nothing."""
    tokenizer = byte_tokenizer()
    rows = []
    for i in range(12):
        ids = tokenizer(f"row {i} " + "abc " * (i % 4 + 1))["input_ids"]
        rows.append({"input_ids": ids, "labels": [-100] * len(ids) if i % 2 else ids})
    return rows


def fit(case: dict[str, Any]) -> dict[str, Any]:
    """Train as a case says; return the log and the whole weights.

    Args:
        case: `batch` (over all processes), and perhaps `masked`, `lora`, `tied`, `gathered` (logits too), `objective`,
            `coefficients` (rows then have a `task`), `teacher` (a reference beside), `sharing` (`fsdp` or `zero3`; DDP
            by default), and fields of `SFTConfig` in `options`.
    """
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    os.environ.pop("ACCELERATE_USE_FSDP", None)
    processes = PartialState(cpu=True).num_processes
    rows = masked_rows() if case.get("masked") else ROWS
    if "coefficients" in case:
        rows = [row | {"task": "qa" if i % 3 else "story"} for i, row in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        args = _arguments(folder, case, processes)
        if case.get("sharing") == "fsdp":
            shard_on_cpu()
        trainer = EntropicTrainer(
            model=tiny_llama(tie_word_embeddings=case.get("tied", False)),
            args=args,
            objective=case.get("objective", "ce - 0.1*entropy"),
            coefficients=case.get("coefficients"),
            reference=tiny_llama(seed=1) if case.get("teacher") else None,
            train_dataset=Dataset.from_list(rows),
            eval_dataset=Dataset.from_list(rows[:HELD_OUT]),
            processing_class=byte_tokenizer(),
            peft_config=LoraConfig(r=4, target_modules="all-linear") if case.get("lora") else None,
            compute_metrics=_count if case.get("gathered") else None,
        )
        trainer.train()
        return {"log": trainer.state.log_history, "weights": _weights(trainer, case.get("sharing"))}


def fit_all(cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """`fit` of each case, by name."""
    return {name: fit(case) for name, case in cases.items()}


def shard_on_cpu() -> None:
    """Let accelerate shard: torch's FSDP2 runs on CPU, but accelerate heeds the wish only beside an accelerator."""
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def fit_all_and_head(cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """`fit` of each case, by name, and `head_of_its_own` as `head`."""
    return fit_all(cases) | {"head": head_of_its_own()}


def head_of_its_own() -> dict[str, float]:
    """How far gradients are from those of one process, where FSDP2 shards the head as a unit of its own."""
    rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (processes,))
    whole, sharded = tiny_llama(), tiny_llama()
    for model in (whole, sharded):
        add_objective_head(model)
    for module in (*sharded.model.layers, sharded.lm_head, sharded):
        fully_shard(module, mesh=mesh)
    ids = torch.randint(3, 200, (processes, 9), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[0, :5] = -100
    options = {"objective": Objective("ce - 0.1*entropy"), "num_items": 11}
    whole(input_ids=ids, labels=labels, **options).loss.backward()
    mine = slice(rank, rank + 1)
    # FSDP2 takes the mean over processes.
    (processes * sharded(input_ids=ids[mine], labels=labels[mine], **options).loss).backward()
    return {
        name: (part.grad.full_tensor() - full.grad).abs().max().item()
        for (name, full), (_, part) in zip(whole.named_parameters(), sharded.named_parameters(), strict=True)
    }


def _count(predictions: Any) -> dict[str, float]:
    labels = predictions.label_ids
    return {"rows": len(labels), "labels": int((labels[:, 1:] != -100).sum()), "logits": len(predictions.predictions)}


def _arguments(folder: str, case: dict[str, Any], processes: int) -> SFTConfig:
    options: dict[str, Any] = {
        "output_dir": folder,
        "per_device_train_batch_size": case["batch"] // processes,
        "per_device_eval_batch_size": 4 // processes,
        "max_steps": 5,
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 2,
        # Adam divides by the size of a gradient, which turns the rounding of one near zero into a whole step.
        "optim": "sgd",
        "learning_rate": 0.3,
        "report_to": "none",
        "save_strategy": "no",
        "bf16": False,
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
        "max_length": None,
    }
    sharing = {"fsdp": {"fsdp": True, "fsdp_config": dict(FSDP)}, "zero3": {"deepspeed": ZERO3}}
    return SFTConfig(**(options | sharing.get(case.get("sharing", ""), {}) | case.get("options", {})))


def _weights(trainer: EntropicTrainer, sharing: str | None) -> dict[str, torch.Tensor]:
    assert trainer.model is not None
    named = dict(trainer.model.named_parameters())
    if sharing == "zero3":
        import deepspeed

        assert all(p.numel() == 0 for p in named.values()), "the case is not sharded"
        with deepspeed.zero.GatheredParameters(list(named.values())):
            return {name: p.detach().clone() for name, p in named.items()}
    # After a validation FSDP2 leaves what comes last gathered.
    assert (sharing == "fsdp") == any(isinstance(p, DTensor) for p in named.values()), "the case is not what it says"
    return {n: (p.full_tensor() if isinstance(p, DTensor) else p).detach().clone() for n, p in named.items()}
