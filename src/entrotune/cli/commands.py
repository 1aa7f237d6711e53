"""The commands: what each is called with, what runs it and what shows its result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.cli.shown import (
    show_analysis,
    show_checks,
    show_closed,
    show_comparison,
    show_curriculum,
    show_diffuse,
    show_evaluation,
    show_generation,
    show_merge,
    show_new_model,
    show_order,
    show_perplexity,
    show_run,
    show_scores,
    show_sweep,
    show_written,
)
from entrotune.cli.words import PARTS, SUMMARIES


@dataclass(frozen=True)
class Command:
    """A command ready to be parsed for.

    Attributes:
        target: a dataclass whose fields are the flags, or a function whose arguments are.
        call: runs it with the parsed values.
        show: prints what it returned; gives the exit code. A plan is printed as JSON instead.
        plans: whether it has `--dry-run`.
        prints_json: whether it has `--json`, which prints what it returned as it is. `call` is not told.
        streams: whether it prints while it works; `call` is told `quiet`, for `--json`.
        positional: an argument given without its name.
    """

    target: Any
    call: Callable[..., Any]
    show: Callable[[Any], int]
    plans: bool = False
    prints_json: bool = False
    streams: bool = False
    positional: str | None = None


def named(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The command that arguments name, and the rest of them: `analyze models A B` is the command `analyze models`."""
    name, rest = arguments[0], list(arguments[1:])
    if rest and rest[0] in PARTS.get(name, {}):
        return f"{name} {rest[0]}", rest[1:]
    return name, rest


def summary(name: str) -> str:
    """What a command does."""
    whole, _, part = name.partition(" ")
    return PARTS[whole][part] if part else SUMMARIES[whole]


def load(name: str) -> Command:
    """Import what a command needs, and nothing else."""
    return _LOADERS[name]()


def _train() -> Command:
    from entrotune.training.config import TrainConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = TrainConfig(**values)
        from entrotune.experiments.train import train

        return train(config, dry_run=dry_run)

    return Command(TrainConfig, call, show_run, plans=True)


def _compare() -> Command:
    from entrotune.experiments.compare_config import CompareConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = CompareConfig(**values)
        from entrotune.experiments.compare import compare

        return compare(config, dry_run=dry_run)

    return Command(CompareConfig, call, show_comparison, plans=True)


def _sweep() -> Command:
    from entrotune.experiments.sweep_config import SweepConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = SweepConfig(**values)
        from entrotune.experiments.sweep import sweep

        return sweep(config, dry_run=dry_run)

    return Command(SweepConfig, call, show_sweep, plans=True)


def _demo() -> Command:
    from entrotune.experiments.demo import demo

    return Command(demo, demo, show_comparison)


def _evaluate() -> Command:
    from entrotune.experiments.display import showing
    from entrotune.experiments.evaluate import evaluate

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        with showing(not dry_run) as display:
            return evaluate(**values, dry_run=dry_run, progress=display)

    return Command(evaluate, call, show_evaluation, plans=True)


def _score() -> Command:
    from entrotune.experiments.display import showing
    from entrotune.scoring.score import score

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        with showing(True) as display:
            return score(**values, dry_run=dry_run, progress=display)

    return Command(score, call, show_scores, plans=True, positional="data")


def _order() -> Command:
    from entrotune.scoring.order import order

    return Command(order, order, show_order, plans=True, positional="scores")


def _curriculum() -> Command:
    from entrotune.experiments.curriculum_config import CurriculumConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = CurriculumConfig(**values)
        from entrotune.experiments.curriculum import curriculum

        return curriculum(config, dry_run=dry_run)

    return Command(CurriculumConfig, call, show_curriculum, plans=True)


def _diffuse() -> Command:
    from entrotune.training.distribution import DiffuseConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = DiffuseConfig(**values)
        from entrotune.experiments.diffuse import diffuse

        return diffuse(config, dry_run=dry_run)

    return Command(DiffuseConfig, call, show_diffuse, plans=True)


def _analyze_models() -> Command:
    from entrotune.experiments.analyze import analyze_models

    return Command(analyze_models, analyze_models, show_analysis, positional="scores")


def _analyze_correctness() -> Command:
    from entrotune.experiments.analyze import analyze_correctness

    return Command(analyze_correctness, analyze_correctness, show_analysis, plans=True, positional="scores")


def _perplexity() -> Command:
    from entrotune.experiments.display import showing
    from entrotune.experiments.perplexity import perplexity

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        with showing(not dry_run) as display:
            return perplexity(**values, dry_run=dry_run, progress=display)

    return Command(perplexity, call, show_perplexity, plans=True, prints_json=True, positional="data")


def _new_model() -> Command:
    from entrotune.experiments.new_model import new_model

    return Command(new_model, new_model, show_new_model)


def _generate() -> Command:
    from entrotune.experiments.display import showing
    from entrotune.experiments.generate_config import GenerateConfig

    streamed: list[str] = []

    def tell(text: str) -> None:
        streamed.append(text)
        print(text, end="", flush=True)

    def call(dry_run: bool, quiet: bool, **values: Any) -> dict[str, Any]:
        config = GenerateConfig(**values)
        from entrotune.experiments.generate import generate

        with showing(not dry_run) as display:
            return generate(config, dry_run=dry_run, progress=display, on_text=None if quiet else tell)

    def show(record: dict[str, Any]) -> int:
        return show_generation(record, streamed=bool(streamed))

    return Command(GenerateConfig, call, show, plans=True, prints_json=True, streams=True)


def _merge() -> Command:
    from entrotune.experiments.merge import merge

    return Command(merge, merge, show_merge, plans=True, positional="model")


def _play() -> Command:
    from entrotune.experiments.display import showing
    from entrotune.experiments.play.running import play

    def call(**values: Any) -> str:
        with showing(True) as display:
            return play(**values, progress=display)

    return Command(play, call, show_closed)


def _report() -> Command:
    from entrotune.experiments.report import report

    return Command(report, report, show_written, positional="source")


def _evidence() -> Command:
    from entrotune.experiments.evidence import evidence

    return Command(evidence, evidence, show_written, positional="sources")


def _doctor() -> Command:
    from entrotune.experiments.doctor import doctor

    return Command(doctor, doctor, show_checks)


_LOADERS: dict[str, Callable[[], Command]] = {
    "demo": _demo,
    "train": _train,
    "compare": _compare,
    "sweep": _sweep,
    "evaluate": _evaluate,
    "score": _score,
    "order": _order,
    "curriculum": _curriculum,
    "diffuse": _diffuse,
    "analyze models": _analyze_models,
    "analyze correctness": _analyze_correctness,
    "perplexity": _perplexity,
    "new-model": _new_model,
    "generate": _generate,
    "merge": _merge,
    "play": _play,
    "report": _report,
    "evidence": _evidence,
    "doctor": _doctor,
}
