"""The commands: what each is called with, and how its result is shown."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.cli.words import PARTS, SUMMARIES


@dataclass(frozen=True)
class Command:
    """A command ready to be parsed for.

    Attributes:
        target: a dataclass whose fields are the flags, or a function whose arguments are.
        call: runs it with the parsed values.
        show: prints what it returned; gives the exit code.
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

    def show(record: dict[str, Any]) -> int:
        from entrotune.experiments.compare import nll_story

        if "status" not in record:
            return print_json(record)
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


def _sweep() -> Command:
    from entrotune.experiments.sweep_config import SweepConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = SweepConfig(**values)
        from entrotune.experiments.sweep import sweep

        return sweep(config, dry_run=dry_run)

    def show(record: dict[str, Any]) -> int:
        from rich.console import Console

        from entrotune.reports import sweep_findings, sweep_table

        if record["kind"] == "plan":
            return print_json(record)
        console = Console()
        console.print(sweep_table(record))
        for sentence in sweep_findings(record):
            console.print(sentence, markup=False, highlight=False)
        out = record["recipe"]["out"]
        console.print(f"{record['seconds']:.0f} s. Open {out}/report.html", markup=False, highlight=False)
        return 0

    return Command(SweepConfig, call, show, plans=True)


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


def _score() -> Command:
    from entrotune.experiments.display import showing
    from entrotune.scoring.score import score

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        with showing(True) as display:
            return score(**values, dry_run=dry_run, progress=display)

    def show(record: dict[str, Any]) -> int:
        from rich.console import Console

        from entrotune.reports import score_table

        if record["kind"] == "plan":
            return print_json(record)
        Console().print(score_table(record))
        print(f"wrote {record['out']}{f' and {html}' if (html := record['html']) else ''}")
        return 0

    return Command(score, call, show, plans=True, positional="data")


def _order() -> Command:
    from entrotune.scoring.order import order

    def show(record: dict[str, Any]) -> int:
        if record["kind"] == "plan":
            return print_json(record)
        counts, left = record["counts"], ("filtered", "never_drawn", "not_scored")
        without = ", ".join(f"{counts[key]:,} {key.replace('_', ' ')}" for key in left if counts[key])
        uses = ", ".join(f"{rows:,} × {times}" for times, rows in counts["rows_by_uses"].items())
        print(f"wrote {record['out']}: {counts['steps']:,} steps; rows by uses: {uses}{without and f'; {without}'}")
        if stream := record.get("stream"):
            print(f"wrote {stream['folder']}: {stream['tokens']:,} tokens as {stream['dtype']}")
        return 0

    return Command(order, order, show, plans=True, positional="scores")


def _curriculum() -> Command:
    from entrotune.experiments.curriculum_config import CurriculumConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = CurriculumConfig(**values)
        from entrotune.experiments.curriculum import curriculum

        return curriculum(config, dry_run=dry_run)

    def show(record: dict[str, Any]) -> int:
        from rich.console import Console

        from entrotune.reports import curriculum_table

        if record["kind"] == "plan":
            return print_json(record)
        Console().print(curriculum_table(record))
        print(f"{record['seconds']:.0f} s. Open {record['recipe']['out']}/report.html")
        return 0

    return Command(CurriculumConfig, call, show, plans=True)


def _diffuse() -> Command:
    from entrotune.training.distribution import DiffuseConfig

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        config = DiffuseConfig(**values)
        from entrotune.experiments.diffuse import diffuse

        return diffuse(config, dry_run=dry_run)

    def show(record: dict[str, Any]) -> int:
        from rich.console import Console

        from entrotune.reports import diffuse_table

        if record["kind"] == "plan":
            return print_json(record)
        Console().print(diffuse_table(record))
        print(f"{record['seconds']['total']:.0f} s. Open {record['recipe']['out']}/report.html")
        return 0

    return Command(DiffuseConfig, call, show, plans=True)


def _analyze_models() -> Command:
    from entrotune.experiments.analyze import analyze_models

    return Command(analyze_models, analyze_models, _show_analysis, positional="scores")


def _analyze_correctness() -> Command:
    from entrotune.experiments.analyze import analyze_correctness

    return Command(analyze_correctness, analyze_correctness, _show_analysis, plans=True, positional="scores")


def _perplexity() -> Command:
    from entrotune.experiments.display import showing
    from entrotune.experiments.perplexity import perplexity

    def call(dry_run: bool, **values: Any) -> dict[str, Any]:
        with showing(not dry_run) as display:
            return perplexity(**values, dry_run=dry_run, progress=display)

    def show(record: dict[str, Any]) -> int:
        from rich.console import Console

        from entrotune.reports import perplexity_view

        if record["kind"] == "plan":
            return print_json(record)
        Console().print(perplexity_view(record))
        return 0

    return Command(perplexity, call, show, plans=True, prints_json=True, positional="data")


def _new_model() -> Command:
    from entrotune.experiments.new_model import new_model

    def show(record: dict[str, Any]) -> int:
        rejected = f", {record['rejected']:,} rows rejected" if record["rejected"] else ""
        print(
            f"wrote {record['out']}: {record['kind']} with {record['parameters']:,} parameters and "
            f"{record['vocabulary']:,} tokens, from {record['words']:,} words in {record['rows']:,} rows{rejected}; "
            f"{record['unknown_share']:.1%} of the words are unknown"
        )
        return 0

    return Command(new_model, new_model, show)


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
        from rich.console import Console

        from entrotune.reports import generation_table, generation_view

        if record["kind"] == "plan":
            return print_json(record)
        if "variants" in record:
            Console().print(generation_table(record))
            print(f"{record['seconds']['total']:.0f} s. Open {record['recipe']['out']}/report.html")
        elif not streamed:
            Console().print(generation_view(record), soft_wrap=True)
        if html := record.get("html"):
            print(f"wrote {html}", file=sys.stderr)
        return 0

    return Command(GenerateConfig, call, show, plans=True, prints_json=True, streams=True)


def _merge() -> Command:
    from entrotune.experiments.merge import merge

    def show(record: dict[str, Any]) -> int:
        if record["kind"] == "plan":
            return print_json(record)
        for made in record["models"]:
            print(f"{made['out']}: {made['interpolate']:g} of the tuned model, {made['parameters']:,} parameters")
        return 0

    return Command(merge, merge, show, plans=True, positional="model")


def _play() -> Command:
    from entrotune.experiments.display import showing
    from entrotune.experiments.play.running import play

    def call(**values: Any) -> str:
        with showing(True) as display:
            return play(**values, progress=display)

    def show(url: str) -> int:
        print(f"the page at {url} is closed")
        return 0

    return Command(play, call, show)


def _report() -> Command:
    from entrotune.experiments.report import report

    def show(path: Any) -> int:
        print(f"wrote {path}")
        return 0

    return Command(report, report, show, positional="source")


def _evidence() -> Command:
    from entrotune.experiments.evidence import evidence

    def show(path: Any) -> int:
        print(f"wrote {path}")
        return 0

    return Command(evidence, evidence, show, positional="sources")


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

    from entrotune.reports import comparison_findings, comparison_table, retention_table

    if "variants" not in record:
        return print_json(record)
    console = Console()
    console.print(comparison_table(record))
    console.print(comparison_findings(record))
    kept = retention_table(record)
    if kept is not None:
        console.print(kept)
    out = record["recipe"]["out"]
    console.print(f"{record['seconds']['total']:.0f} s in all. Open {out}/report.html", markup=False, highlight=False)
    return 0


def _show_evaluation(record: dict[str, Any]) -> int:
    from rich.console import Console

    from entrotune.reports import evaluation_table, mauve_sentences, task_table

    if record["kind"] == "plan":
        return print_json(record)
    console = Console()
    console.print(evaluation_table(record))
    for sentence in mauve_sentences(record):
        console.print(sentence, markup=False, highlight=False)
    tasks = task_table(record)
    if tasks is not None:
        console.print(tasks)
    return 0


def _show_analysis(record: dict[str, Any]) -> int:
    from rich.console import Console

    from entrotune.reports import analysis_findings, analysis_table

    if record["kind"] == "plan":
        return print_json(record)
    console = Console()
    console.print(analysis_table(record))
    console.print(analysis_findings(record))
    console.print(f"Open {record['out']}/report.html", markup=False, highlight=False, soft_wrap=True)
    return 0


def print_json(record: Any) -> int:
    """Print a record as JSON."""
    print(json.dumps(record, indent=2, ensure_ascii=False, default=str))
    return 0


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
