"""`entrotune diffuse`: train a model to spread its probability over wanted outputs; measure it before and after."""

from typing import Any

from rich.progress import Progress

from entrotune.experiments.diffuse_plan import plan_diffuse
from entrotune.experiments.diffuse_run import run_diffuse
from entrotune.experiments.diffuse_study import run_study
from entrotune.experiments.display import say, showing
from entrotune.experiments.folders import tidy
from entrotune.training.distribution import DiffuseConfig


def diffuse(
    config: DiffuseConfig | None = None, *, dry_run: bool = False, progress: Progress | bool = True, **options: Any
) -> dict[str, Any]:
    """Train towards target distributions; write a run folder with `evaluation.json` and `report.html`.

    With `leave_one_out` or `leave_one_in`, `out` has a run folder for each group, with `seeds` one a seed in it, and
    the record and the report of all.

    Args:
        config: the recipe; or its fields as keyword arguments, such as `targets=["range(1,10)"]`.
        dry_run: load no weights and write nothing; return what would be done.
        progress: show a display, or the display to use.
        **options: fields of `DiffuseConfig`.

    Returns:
        The content of `evaluation.json`; with `dry_run`, the plan.

    Raises:
        ValueError: input that cannot be used; the message says what to do.
    """
    config = config.replace(**options) if config is not None else DiffuseConfig(**options)
    config = config.replace(out=tidy(config.out))
    if dry_run:
        return plan_diffuse(config)
    with showing(progress) as display:
        run = run_study if config.is_study else run_diffuse
        record = run(config, progress=display)
        say(display, f"wrote {config.out}: evaluation.json, report.html")
    return record
