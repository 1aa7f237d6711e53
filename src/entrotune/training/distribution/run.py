"""Training towards target distributions: steps, metrics, checkpoints, until the loss is near its floor."""

import contextlib
import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.progress import Progress
from safetensors.torch import load_file, save_file

from entrotune.data.targets import EncodedTargets
from entrotune.errors import UserError
from entrotune.training.distribution.config import DiffuseConfig
from entrotune.training.distribution.loss import StepMeter, backward_set
from entrotune.training.distribution.order import drawn_prefix, visits
from entrotune.training.run_folder import RunFolder

# As in arXiv 2404.10859.
ADAM_EPSILON = 1e-5


@dataclass
class Progressed:
    """Where a run is; what a checkpoint holds beside weights and optimiser."""

    step: int = 0
    passes: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float | None = None
    floor: float | None = None
    stopped: bool = False


def train_distribution(
    model: Any,
    sets: Sequence[Sequence[EncodedTargets]],
    config: DiffuseConfig,
    folder: RunFolder,
    *,
    progress: Progress | None = None,
    label: str = "training",
) -> Progressed:
    """Train until the loss of a pass is near its floor or all passes are done; go on from the folder's last checkpoint.

    Everything that is drawn follows from the seed and the number of the pass, and nothing is dropped out, so a resumed
    run equals an uninterrupted one on a CPU.

    Args:
        model: with what is to be trained requiring gradients.
        sets: each encoded with each of its response prefixes.

    Raises:
        UserError: the run diverged, or the disk is full.
    """
    model.eval()  # the floor is that of the model without dropout
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    assert config.learning_rate is not None  # the recipe chose a default
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=config.learning_rate, eps=ADAM_EPSILON, weight_decay=config.weight_decay
    )
    state = _restored(folder, parameters, optimizer)
    with folder.writing(str(folder.metrics)):
        folder.cut_metrics(state.step)
    began = time.monotonic() - state.seconds
    task = progress.add_task(label, total=config.passes, completed=state.passes) if progress else None
    while not state.stopped and state.passes < config.passes:
        _one_pass(model, sets, config, folder, optimizer, state, began)
        assert state.loss is not None
        assert state.floor is not None
        state.passes += 1
        state.seconds = time.monotonic() - began
        state.stopped = config.stop_gap is not None and state.loss <= (1 + config.stop_gap) * state.floor
        if state.stopped or state.passes == config.passes or state.passes % config.save_every == 0:
            _save(folder, parameters, optimizer, state, keep=config.keep_checkpoints)
        if progress and task is not None:
            told = f"{label}  loss {state.loss:.4f}, floor {state.floor:.4f}"
            progress.update(task, completed=state.passes, description=told)
    if progress and task is not None:
        progress.remove_task(task)
    return state


def _one_pass(
    model: Any,
    sets: Sequence[Sequence[EncodedTargets]],
    config: DiffuseConfig,
    folder: RunFolder,
    optimizer: torch.optim.Optimizer,
    state: Progressed,
    began: float,
) -> None:
    number = state.passes
    order = visits([prefixes[0].of.mixture for prefixes in sets], number, config.seed)
    chosen = [sets[at][drawn_prefix(len(sets[at]), number, visit, config.seed)] for visit, at in enumerate(order)]
    losses: list[float] = []
    for start in range(0, len(chosen), config.sets_per_step):
        batch = chosen[start : start + config.sets_per_step]
        moment = time.monotonic()
        meter, norm = _step(model, batch, config, optimizer, losses)
        state.step += 1
        state.tokens += meter.tokens
        row = {
            "step": state.step,
            "epoch": number + min(1.0, (start + len(batch)) / len(chosen)),
            "tokens": state.tokens,
            "split": "train",
            "sets": [one.label for one in batch],
            **meter.read(len(batch)),
            "seconds": round(time.monotonic() - began, 3),
            "coefficients": {"diffuse": 1.0},
            "learning_rate": config.learning_rate,
            "grad_norm": norm,
            "tokens_per_second": meter.tokens / max(time.monotonic() - moment, 1e-9),
        }
        _append(folder, row)
    state.loss = math.fsum(losses) / len(losses)
    state.floor = math.fsum(one.of.floor for one in chosen) / len(chosen)


def _step(
    model: Any,
    batch: Sequence[EncodedTargets],
    config: DiffuseConfig,
    optimizer: torch.optim.Optimizer,
    losses: list[float],
) -> tuple[StepMeter, float]:
    meter = StepMeter()
    optimizer.zero_grad(set_to_none=True)
    with computing_in(config, model):
        for one in batch:
            scale = 1 / len(batch)
            losses.append(backward_set(model, one, meter, rows_per_part=config.rows_per_part, scale=scale))
    trained = [value for group in optimizer.param_groups for value in group["params"]]
    norm = float(torch.nn.utils.clip_grad_norm_(trained, config.max_grad_norm))
    if not (math.isfinite(meter.loss) and math.isfinite(norm)):
        raise UserError(
            f"the run diverged: the loss of {batch[0].label} is {meter.loss:g} and the gradient's norm {norm:g}; lower "
            "learning_rate"
        )
    optimizer.step()
    return meter, norm


def precision_of(config: DiffuseConfig) -> str:
    """`float32` or `bfloat16`."""
    if config.precision != "auto":
        return config.precision
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


@contextlib.contextmanager
def computing_in(config: DiffuseConfig, model: Any) -> Iterator[None]:
    """Autocast to bfloat16 where the recipe says so."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision_of(config) == "bfloat16"):
        yield


def _append(folder: RunFolder, row: dict[str, Any]) -> None:
    with folder.writing(str(folder.metrics)), folder.metrics.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _restored(folder: RunFolder, parameters: dict[str, Any], optimizer: torch.optim.Optimizer) -> Progressed:
    path = folder.last_checkpoint()
    if path is None:
        return Progressed()
    weights = load_file(path / "weights.safetensors")
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(weights[name])
    optimizer.load_state_dict(torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu"))
    return Progressed(**json.loads((path / "state.json").read_text(encoding="utf-8")))


def _save(
    folder: RunFolder, parameters: dict[str, Any], optimizer: torch.optim.Optimizer, state: Progressed, *, keep: int
) -> None:
    """Write a checkpoint under another name and rename it when it is complete."""
    written, final = folder.partial, folder.checkpoint(state.step)
    try:
        with folder.writing(f"the checkpoint of step {state.step}"):
            written.mkdir(parents=True, exist_ok=True)
            weights = {name: value.detach().cpu().contiguous() for name, value in parameters.items()}
            save_file(weights, written / "weights.safetensors")
            torch.save(optimizer.state_dict(), written / "optimizer.pt")
            (written / "state.json").write_text(json.dumps(asdict(state)), encoding="utf-8")
            shutil.rmtree(final, ignore_errors=True)
            written.rename(final)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    for old in folder.steps()[:-keep]:
        shutil.rmtree(folder.checkpoint(old))
