"""`entrotune train`: one run, with its report and model card."""

import warnings
from collections.abc import Mapping
from typing import Any

from rich.progress import Progress

from entrotune import processes
from entrotune.errors import UserError
from entrotune.experiments.display import ending_rows, say, showing
from entrotune.experiments.folders import tidy
from entrotune.experiments.rows_told import rows_to_know
from entrotune.files import atomic_write_text
from entrotune.models import ModelDescription, describe_model
from entrotune.objectives import NamedCoefficients, Objective
from entrotune.reports import model_card, read_run, write_run_report
from entrotune.training import RunFolder, TrainConfig, plan_training, run_training


def train(
    config: TrainConfig | None = None, *, dry_run: bool = False, progress: Progress | bool = True, **options: Any
) -> dict[str, Any]:
    """Fine-tune a model; write a run folder with recipe, metrics, checkpoints, model, card and report.

    Of several processes, started by `torchrun` or `accelerate launch`, the first writes and shows.

    Args:
        config: the recipe; or its fields as keyword arguments, such as `data="chats.jsonl"`.
        dry_run: load no weights and write nothing; return what would be done.
        progress: show a display, or the display to use.
        **options: fields of `TrainConfig`.

    Returns:
        The run's record, which is also in `run.json`; with `dry_run`, the plan.

    Raises:
        ValueError: input that cannot be used; the message says what to do.
    """
    config = config.replace(**options) if config is not None else TrainConfig(**options)
    config = config.replace(out=tidy(config.out))
    if dry_run:
        described = describe_model(config.model)
        for told in check_vocabulary(config, described):
            if config.when_entropy_wins == "stop":
                raise UserError(f"{told} (the run would stop, as when_entropy_wins is stop)")
            warnings.warn(told, UserWarning, stacklevel=2)
        return plan_training(config, described)
    first = processes.rank() == 0
    with showing(progress if first else False) as display:
        with ending_rows(display):
            record = run_training(config, progress=display, label=str(config.objective))
        if first:
            write_documents(config.out)
        for line in rows_to_know(record["data"], RunFolder(config.out).rejects):
            say(display, line)
        say(display, f"wrote {config.out}: model/, metrics.jsonl, report.html")
    return record


def check_vocabulary(config: TrainConfig, described: ModelDescription) -> list[str]:
    """Where entropy would win over the model's tokens, in words; `UserError` for a target that no prediction has."""
    size = described.config.get_text_config().vocab_size
    return NamedCoefficients(Objective(config.objective), config.coefficients).check_vocabulary(size)


def write_documents(folder: str, *, evaluation: Mapping[str, Any] | None = None) -> None:
    """Write the report of a finished run and the card of its model.

    Args:
        folder: of the run.
        evaluation: its record, for the diversity table of the card.
    """
    paths = RunFolder(folder)
    run = read_run(folder)
    record, recipe = run["run"], run["recipe"]
    card = model_card(
        name=str(paths.model),
        base_model=recipe["model"],
        objective=recipe["objective"],
        method=recipe["method"],
        data=record["data"],
        seeds=[recipe["seed"]],
        curve=run["metrics"],
        best_step=record.get("best_step"),
        saved_step=record.get("saved_step"),
        evaluation=evaluation or run.get("evaluation"),
        recipe=recipe,
        versions=record.get("versions"),
    )
    atomic_write_text(paths.model / "README.md", card)
    write_run_report(run, paths.path / "report.html")
