"""Training runs in a process of their own, which is stopped in the middle: by a kill, Ctrl-C or a disk that is full."""

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerBase, TrainerCallback, trainer

import forked
from entrotune.errors import UserError
from entrotune.training import TrainConfig, run_training

# Smaller than the tiny model's weights, larger than any record.
SMALL_DISK = 40_000
NOT_COMPARED = ("seconds", "tokens_per_second")


def kill(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def fill_disk(*_: Any, **__: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK, resource.RLIM_INFINITY))


def _at_step(step: int, what: Any) -> None:
    class AtStep(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == step:
                what()

    trainer.DEFAULT_CALLBACKS.append(AtStep)


def _at_end(what: Any) -> None:
    class AtEnd(TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            what()

    trainer.DEFAULT_CALLBACKS.append(AtEnd)


def _in_checkpoint(step: int) -> None:
    """Die when half of the optimizer's file of a step is written."""
    whole = torch.save

    def half(value: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        whole(value, path, *args, **kwargs)
        if f"checkpoint-{step}" in str(path) and "optimizer" in str(path):
            os.truncate(path, Path(path).stat().st_size // 2)
            kill()

    torch.save = half


def _in_model(_: int) -> None:
    """Die between the weights and the tokenizer of the final model."""
    whole = PreTrainedTokenizerBase.save_pretrained

    def save(self: Any, folder: Any, *args: Any, **kwargs: Any) -> Any:
        if ".model." in str(folder):
            kill()
        return whole(self, folder, *args, **kwargs)

    PreTrainedTokenizerBase.save_pretrained = save  # type: ignore[method-assign]


STOPS: dict[str, Any] = {
    "kill": lambda step: _at_step(step, kill),
    "interrupt": lambda step: _at_step(step, interrupt),
    "disk": lambda step: _at_step(step, fill_disk),
    "kill in checkpoint": _in_checkpoint,
    "kill in model": _in_model,
    "kill after training": lambda _: _at_end(kill),
    "disk after training": lambda _: _at_end(fill_disk),
}


def _child(recipe: dict[str, Any], stop: str, step: int, told: str) -> None:
    # A process that pytest started in the background may have been told to ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    STOPS[stop](step)
    try:
        run_training(TrainConfig(**recipe))
    except BaseException as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        Path(told).write_text(json.dumps([type(error).__name__, isinstance(error, UserError), str(error)]))


def run_stopped(config: TrainConfig, stop: str, step: int, folder: Path) -> tuple[int, list[Any] | None]:
    """Run `config` in a new process that is stopped; return its exit code and the error it ended with, if any."""
    told = folder / f"{config.out.replace('/', '-')[-30:]}-told.json"
    told.unlink(missing_ok=True)
    process = forked.context().Process(target=_child, args=(config.to_dict(), stop, step, str(told)))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "the run did not stop"
    return process.exitcode, json.loads(told.read_text()) if told.exists() else None


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a saved model or adapter."""
    (path,) = folder.glob("*.safetensors")
    return load_file(path)


def metrics(out: str | Path) -> list[dict[str, Any]]:
    """The rows of a run without its times."""
    rows = [json.loads(line) for line in (Path(out) / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in NOT_COMPARED} for row in rows]


def leftovers(out: str | Path) -> list[Path]:
    """What was written under a temporary name and forgotten."""
    return [path for path in Path(out).rglob("*") if path.name.startswith(".") and path.name != ".lock"]
