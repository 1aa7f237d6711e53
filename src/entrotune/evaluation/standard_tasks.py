"""Standard tasks (HellaSwag, ARC, MMLU, …) of EleutherAI's lm-eval on a model in memory; local files where wanted."""

import difflib
import json
import logging
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from scipy.stats import norm

from entrotune.errors import UserError
from entrotune.files import atomic_write_json
from entrotune.models import base_of

SCHEMA_VERSION = 1
_LEVEL = 0.95
_RESAMPLES = 1000  # by lm-eval, for standard errors that have no formula


class StandardTasks:
    """Tasks by name, found and loaded before any weights: a wrong name or an unreachable hub is told at once.

    Args:
        names: of tasks, groups or tags, as lm-eval calls them.
        path: a folder with task files (YAML) of one's own; its tasks come before those of lm-eval.
        limit: of each task, the first so many documents.

    Raises:
        UserError: lm-eval is not installed, a name or the folder is unknown, or a task's data cannot be had.
    """

    def __init__(self, names: Sequence[str], *, path: str | None = None, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise UserError(f"lm_eval_limit must be at least 1, not {limit}")
        if path is not None and not Path(path).is_dir():
            raise UserError(f"lm_eval_path '{path}' is no folder; expected one with task files ending in .yaml")
        self.names, self.path, self.limit = list(names), path, limit
        self._manager = _manager(self.names, path)
        self._load()

    def _load(self) -> None:
        try:
            self._manager.load(self.names)
        except (ConnectionError, OSError, ImportError) as error:
            raise UserError(
                f"the data of {', '.join(self.names)} cannot be had: {_first_line(error)}; where the hub is out of "
                "reach, describe the task in a YAML file whose dataset_path is json and give its folder as lm_eval_path"
            ) from error

    def run(
        self,
        model: Any,
        tokenizer: Any,
        *,
        seed: int,
        batch_size: int,
        fingerprint: str | None = None,
        folder: Path | None = None,
    ) -> dict[str, Any]:
        """Evaluate a model; the `lm_eval` part of a record.

        Args:
            batch_size: sequences at once.
            fingerprint: of the model.
            folder: where results are kept in `lm_eval.json`, and reused while model and tasks are the same.

        Raises:
            UserError: lm-eval refuses a task (such as one that runs code).
        """
        made_by = {
            "schema_version": SCHEMA_VERSION,
            "model": fingerprint,
            "version": metadata.version("lm-eval"),
            "path": self.path,
            "limit": self.limit,
            "names": self.names,
            "seed": seed,
        }
        kept = folder / "lm_eval.json" if folder is not None else None
        if kept is not None and kept.exists() and fingerprint is not None:
            found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
            if found["made_by"] == made_by:
                return found["record"]
        record = {key: made_by[key] for key in ("version", "path", "limit")} | {
            "tasks": _described(self._evaluate(model, tokenizer, seed=seed, batch_size=batch_size))
        }
        if kept is not None:
            atomic_write_json(kept, {"made_by": made_by, "record": record})
        return record

    def _evaluate(self, model: Any, tokenizer: Any, *, seed: int, batch_size: int) -> Mapping[str, Any]:
        from lm_eval.evaluator import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        wrapped = HFLM(pretrained=base_of(model), tokenizer=tokenizer, batch_size=batch_size, backend="causal")
        try:
            found: Mapping[str, Any] = simple_evaluate(
                model=wrapped,
                tasks=self.names,
                task_manager=self._manager,
                limit=self.limit,
                log_samples=False,
                bootstrap_iters=_RESAMPLES,
                random_seed=seed,
                numpy_random_seed=seed,
                torch_random_seed=seed,
                fewshot_random_seed=seed,
            )
        except ValueError as error:
            raise UserError(f"lm-eval refuses {', '.join(self.names)}: {_first_line(error)}") from error
        return found


def _manager(names: Sequence[str], path: str | None) -> Any:
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise UserError("standard tasks need lm-eval: pip install 'entrotune[lm-eval]'") from None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if path is not None:
        # The thousands of tasks that come with lm-eval are only read where a name is not in the folder.
        own = TaskManager(include_path=path, include_defaults=False)
        if set(names) <= set(own.all_tasks):
            return own
    manager = TaskManager(include_path=path)
    for name in names:
        if name not in manager.all_tasks:
            near = difflib.get_close_matches(name, manager.all_tasks, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; `lm-eval ls tasks` lists them"
            where = f" or in {path}" if path else ""
            raise UserError(f"no task of lm-eval{where} is called {name!r}{hint}")
    return manager


def _described(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "task": name,
            "title": str(scores.get("alias", name)).strip(" -"),
            "version": found["versions"].get(name),
            "shots": found["n-shot"].get(name),
            "n": found["n-samples"].get(name, {}).get("effective", scores.get("sample_len")),
            "of": found["n-samples"].get(name, {}).get("original"),
            "metrics": _metrics(scores, found["higher_is_better"].get(name) or {}),
        }
        for name, scores in found["results"].items()
    ]


def _metrics(scores: Mapping[str, Any], higher: Mapping[str, bool]) -> dict[str, dict[str, Any]]:
    """Of each metric (and filter, where it is not `none`) value, standard error and the 95% interval these give."""
    metrics = {}
    for key, value in scores.items():
        metric, comma, kind = key.partition(",")
        if not comma or metric.endswith("_stderr") or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        error = scores.get(f"{metric}_stderr,{kind}")
        known = float(error) if isinstance(error, int | float) else None
        arm = None if known is None else float(norm.ppf((1 + _LEVEL) / 2)) * known
        metrics[metric if kind == "none" else f"{metric} ({kind})"] = {
            "value": float(value),
            "low": None if arm is None else float(value - arm),
            "high": None if arm is None else float(value + arm),
            "stderr": known,
            "higher_is_better": higher.get(metric),
        }
    return metrics


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
