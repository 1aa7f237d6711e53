"""`entrotune` on one of several processes, with FSDP2 on CPU where wanted, and stopped where wanted."""

import os
from typing import Any

import torch
from accelerate import DistributedType, PartialState
from accelerate.state import AcceleratorState

from entrotune.cli.main import main
from stopped_runs import STOPS

# As `accelerate launch --use_fsdp --fsdp_version 2` sets them.
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
}


def run(given: dict[str, Any]) -> int:
    """The exit code of a command on this process.

    Args:
        given: `arguments`, and perhaps `sharded` and `stop` (a name of `STOPS`, a step, a rank).
    """
    if given.get("sharded"):
        _shard_on_cpu()
    if "stop" in given:
        stop, step, rank = given["stop"]
        if int(os.environ["RANK"]) == rank:
            STOPS[stop](step)
    code = main(given["arguments"])
    if code == 0:
        assert not torch.distributed.is_initialized(), "a command that is done leaves its group"
    elif torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return code


def _shard_on_cpu() -> None:
    """torch's FSDP2 runs on CPU, but accelerate heeds the wish to shard only beside an accelerator."""
    plain = AcceleratorState.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if PartialState._shared_state.get("distributed_type") == DistributedType.MULTI_CPU:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        plain(self, *args, **kwargs)

    AcceleratorState.__init__ = init  # type: ignore[method-assign]
