"""The commands: what each is called with, and how its result is shown."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SUMMARIES = {
    "demo": "tune a small model with three objectives and show what each did (minutes on a laptop)",
    "train": "fine-tune a model with any objective",
    "compare": "several objectives from one start: quality against diversity, with a report",
    "evaluate": "quality and diversity of one model",
    "score": "how uncertain a model is about each row of a data set: entropy, varentropy, likelihood",
    "order": "scores of a data set to the sequence in which training uses its rows",
    "curriculum": "train small models from scratch in several orders, against a random one",
    "diffuse": "teach a model to spread its probability over a set of valid outputs, exactly measured",
    "analyze": "compare models by their scores; ask whether entropy predicts correctness",
    "perplexity": "how well models predict a text: per token, word, byte and character",
    "new-model": "make a small untrained model, an LSTM or a Transformer, with the words of a data set",
    "generate": "responses to prompts by any decoding strategy; structured output; strategies compared",
    "report": "rebuild the HTML report of a folder",
    "doctor": "check the installation, and an objective on a toy model",
}

# Commands that are made of others: `entrotune analyze models …`.
PARTS = {
    "analyze": {
        "models": "compare models by the scores they gave to the same rows",
        "correctness": "ask whether entropy and varentropy predict that a row is answered right",
    }
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
    "score": """
  entrotune score texts.jsonl --model smollm2-135m --out runs/scores
  entrotune score chats.jsonl --model runs/chats --mode response --keep label,source_id --out runs/scores-chats
  entrotune score folder-of-parquet --max_length 2048 --per_token --top_k 100 --out runs/scores-tokens
  entrotune score texts.jsonl --engine ray --workers 8 --gpus_per_worker 0.5 --address auto --out runs/scores
  entrotune score book.txt --text_unit paragraph --mode predicted --dry-run""",
    "order": """
  entrotune order runs/scores --schedule increasing --pacing root --out order.parquet
  entrotune order runs/scores --by nll_mean --residual tokens --drop_top 5 --bins sorted --out order.parquet
  entrotune order runs/scores --schedule hill --out hill.parquet --bin runs/tokens --data texts.jsonl""",
    "curriculum": """
  entrotune curriculum --config recipes/curriculum.yaml --dry-run
  entrotune curriculum --config recipes/curriculum.yaml --seeds '[0, 1, 2, 3, 4]' --out runs/curriculum""",
    "diffuse": """
  entrotune diffuse --targets "range(1,10)" --out runs/numbers
  entrotune diffuse --targets names.txt --request "Name somebody." --hold_out_targets 0.5 --out runs/names
  entrotune diffuse --targets sets/days.yaml mimesis:fruits mimesis:occupations --samples 200 --out runs/lists
  entrotune diffuse --targets sets --leave_one_out --out runs/left-out
  entrotune diffuse --targets open-ended.json --fix eos --dry-run""",
    "analyze": """
  entrotune analyze models runs/scores-a runs/scores-b --out runs/models
  entrotune analyze correctness runs/scores --label correct --out runs/correctness""",
    "analyze models": """
  entrotune analyze models runs/scores-a runs/scores-b runs/scores-c --data texts.jsonl --out runs/models
  entrotune analyze models runs/scores-a runs/scores-b --metrics '["entropy_mean", "nll_mean"]' --out runs/models""",
    "analyze correctness": """
  entrotune analyze correctness runs/scores --label correct --source origin --out runs/correctness
  entrotune analyze correctness runs/scores --label answers.jsonl:correct --out runs/correctness
  entrotune analyze correctness runs/scores --choices hellaswag.jsonl --out runs/correctness --dry-run""",
    "perplexity": """
  entrotune perplexity book.txt --model smollm2-135m --stride 512
  entrotune perplexity book.txt --model runs/chats --model smollm2-135m --bos eos --json
  entrotune perplexity texts.jsonl --rank low --at_most 200 --anomalies 3.5 --out runs/perplexity
  entrotune perplexity pairs.jsonl --context_column prompt --model smollm2-135m
  entrotune perplexity posts.csv --drift date --period month --dry-run""",
    "new-model": """
  entrotune new-model --out models/lstm
  entrotune new-model --data headlines.csv --column title --vocabulary 5000 --out models/headlines
  entrotune new-model --kind transformer --data input.txt --out models/transformer""",
    "generate": """
  entrotune generate --prompt "Name a fruit." -n 5 --strategy "temperature(0.8) + top_p(0.9)"
  entrotune generate --prompts questions.jsonl -n 8 --rerank majority --out runs/answers.jsonl
  entrotune generate --fields recipes/fields/people.yaml -n 1000 --strategy "target_entropy(2)" --out people.jsonl
  entrotune generate --prompt "Tell a joke." -n 20 --prompting verbalised --rerank diverse --keep 5 --json
  entrotune generate --prompts questions.jsonl --endpoint http://127.0.0.1:8000/v1 --model my-model --out answers.jsonl
  entrotune generate --bench -n 8 --max_new_tokens 48 --out runs/strategies
  entrotune generate --prompts questions.jsonl -n 16 --dry-run""",
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
        print(f"wrote {record['out']}")
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
        return 0

    return Command(GenerateConfig, call, show, plans=True, prints_json=True, streams=True)


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
        return print_json(record)
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
        return print_json(record)
    Console().print(evaluation_table(record))
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
    "report": _report,
    "doctor": _doctor,
}
