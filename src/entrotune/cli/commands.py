"""The commands: what each is called with, and how its result is shown."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SUMMARIES = {
    "demo": "tune a small model with three objectives and show what each did (minutes on a laptop)",
    "train": "fine-tune a model with any objective",
    "compare": "several objectives from one start: quality against diversity, with a report",
    "evaluate": "quality and diversity of one model",
    "report": "rebuild the HTML report of a folder",
    "doctor": "check the installation, and an objective on a toy model",
}

EXAMPLES = {
    "demo": """
  entrotune demo
  entrotune demo --out runs/mine --resume""",
    "train": """
  entrotune train --data chats.jsonl --objective "ce - 0.1*entropy" --out runs/chats
  entrotune train --data chitchat:openers --limit 200 --method full --learning_rate 1e-5 --out runs/openers
  entrotune train --config runs/chats/recipe.yaml --seed 1 --out runs/chats-1
  entrotune train --data math.csv --columns '{"prompt": "question", "completion": "answer"}' --dry-run
  entrotune train --config runs/chats/recipe.yaml --resume""",
    "compare": """
  entrotune compare --config recipes/demo.yaml --out runs/three
  entrotune compare --train.data chats.jsonl --objectives '["ce", "gem(beta=0.7)"]' --seeds '[0, 1, 2]' --out runs/two
  entrotune compare --config recipes/demo.yaml --dry-run""",
    "evaluate": """
  entrotune evaluate --data held-out.jsonl --model runs/chats --temperatures '[0.7, 1.0]' --out runs/chats/evaluation
  entrotune evaluate --data questions.jsonl --model smollm2-135m --samples 16 --dry-run""",
    "report": """
  entrotune report runs/demo
  entrotune report runs/chats --out chats.html""",
    "doctor": """
  entrotune doctor
  entrotune doctor --objective "gem(beta=0.7)" """,
}


@dataclass(frozen=True)
class Command:
    """A command ready to be parsed for.

    Attributes:
        target: a dataclass whose fields are the flags, or a function whose arguments are.
        call: runs it with the parsed values.
        show: prints what it returned; gives the exit code.
        plans: whether it has `--dry-run`.
        positional: an argument given without its name.
    """

    target: Any
    call: Callable[..., Any]
    show: Callable[[Any], int]
    plans: bool = False
    positional: str | None = None


def load(name: str) -> Command:
    """Import what a command needs, and nothing else."""
    return _LOADERS[name]()


def _train() -> Command:
    from entrotune.training.config import TrainConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = TrainConfig(**values)
        from entrotune.experiments.train import train

        return train(config, dry_run=dry_run)

    def show(record: dict[str, Any]) -> int:
        from entrotune.experiments.compare import nll_story

        if "status" not in record:
            return _print_json(record)
        print(f"{record['status']} in {record['seconds']:.0f} s: {nll_story(record)}")
        return 0

    return Command(TrainConfig, call, show, plans=True)


def _compare() -> Command:
    from entrotune.experiments.compare_config import CompareConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = CompareConfig(**values)
        from entrotune.experiments.compare import compare

        return compare(config, dry_run=dry_run)

    return Command(CompareConfig, call, _show_comparison, plans=True)


def _demo() -> Command:
    from entrotune.experiments.demo import demo

    return Command(demo, demo, _show_comparison)


def _evaluate() -> Command:
    from entrotune.evaluation import evaluate
    from entrotune.experiments.display import showing

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        with showing(not dry_run) as display:
            return evaluate(**values, dry_run=dry_run, progress=display)

    return Command(evaluate, call, _show_evaluation, plans=True)


def _report() -> Command:
    from entrotune.experiments.report import report

    def show(path: Any) -> int:
        print(f"wrote {path}")
        return 0

    return Command(report, report, show, positional="source")


def _doctor() -> Command:
    from entrotune.experiments.doctor import doctor

    def show(found: dict[str, Any]) -> int:
        for check in found["checks"]:
            print(f"{'ok ' if check['ok'] else 'BAD'}  {check['name']}: {check['found']}")
            if not check["ok"]:
                print(f"     → {check['remedy']}")
        return 0 if found["ok"] else 1

    return Command(doctor, doctor, show)


def _show_comparison(record: dict[str, Any]) -> int:
    from rich.console import Console

    from entrotune.reports import comparison_findings, comparison_table

    if "variants" not in record:
        return _print_json(record)
    console = Console()
    console.print(comparison_table(record))
    console.print(comparison_findings(record))
    out = record["recipe"]["out"]
    console.print(f"{record['seconds']['total']:.0f} s in all. Open {out}/report.html", markup=False, highlight=False)
    return 0


def _show_evaluation(record: dict[str, Any]) -> int:
    from rich.console import Console

    from entrotune.reports import evaluation_table

    if record["kind"] == "plan":
        return _print_json(record)
    Console().print(evaluation_table(record))
    return 0


def _print_json(record: Any) -> int:
    print(json.dumps(record, indent=2, ensure_ascii=False, default=str))
    return 0


_LOADERS: dict[str, Callable[[], Command]] = {
    "demo": _demo,
    "train": _train,
    "compare": _compare,
    "evaluate": _evaluate,
    "report": _report,
    "doctor": _doctor,
}
