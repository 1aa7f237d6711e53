"""`entrotune generate`: responses to prompts, by any strategy, from a model in memory or a server."""

import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune import provenance
from entrotune.data import Row, fingerprint, prompts_of
from entrotune.data.rejects import Reject, write_rejects
from entrotune.decoding import Strategy, end_tokens
from entrotune.decoding.classifiers import SequenceClassifier
from entrotune.decoding.content import read_filter
from entrotune.decoding.endpoint import Endpoint, request_settings
from entrotune.decoding.fields import Parsed, Template, read_template
from entrotune.decoding.forced_words import ForcedWords
from entrotune.decoding.grammar import Grammar
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.experiments.generation.asks import read_asks
from entrotune.experiments.generation.bench import bench
from entrotune.experiments.generation.beside import compared, read_values
from entrotune.experiments.generation.choosing import check_choosing, choose
from entrotune.experiments.generation.limiting import limits_of, read_grammar, read_schema
from entrotune.experiments.generation.output_file import OutputFile
from entrotune.experiments.generation.page import write_responses_page
from entrotune.experiments.generation.work import Judging, work
from entrotune.experiments.generation.writers import EndpointWriter, LocalWriter
from entrotune.line_files import beside
from entrotune.measures import diversity_of
from entrotune.models import load_model, load_tokenizer, resolve_model

SCHEMA_VERSION = 1


def generate(
    config: GenerateConfig,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    on_text: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Generate what a config asks for.

    Args:
        config: what to generate, and how.
        dry_run: load no weights, write nothing, ask no server; return what would be done.
        on_text: told the text as it comes, where one response is wanted and nothing stands between it and the reader.

    Returns:
        A record: `outputs` in the order of prompts and indices, `rejects` with their reasons, `selected` where
        something was chosen, `counts`, `summary` of fields. With `bench`, the content of `bench.json`.

    Raises:
        UserError: bad input, a file made with other settings, or a server that cannot be used.
    """
    started = time.perf_counter()
    if config.bench:
        return bench(config, dry_run=dry_run, progress=progress)
    template = read_template(config.fields) if config.fields else None
    asks, prompt_rejects = read_asks(config, template)
    check_choosing(config, asks)
    grammar = read_grammar(config, template)
    others = read_values(config.beside, template) if config.beside and template else []
    if dry_run:
        return _plan(config, asks, prompt_rejects)
    judging = Judging(
        template, read_filter(config.content_filter, SequenceClassifier) if config.content_filter else None
    )
    file = OutputFile(
        Path(config.out) if config.out else None, _settings(config, asks, template), overwrite=config.overwrite
    )
    if file.path is not None and prompt_rejects:
        write_rejects(beside(file.path, "prompt-rejects.jsonl"), prompt_rejects)
    load = functools.cache(lambda: load_model(config.model, dtype=config.dtype, device=config.device))
    _write(config, asks, load, file, judging, grammar=grammar, progress=progress, on_text=on_text)
    wanted = {(row.id, index) for row in asks for index in range(config.n)}
    kept = _ordered(file.lines, wanted, asks)
    rejects = _ordered(file.rejects, wanted, asks)
    selected = choose(config, asks, kept)
    record = _record(config, asks, kept, rejects, prompt_rejects, template, time.perf_counter() - started)
    if template is not None and config.beside:
        record["fields"]["beside"] = compared(config.beside, template, [line["fields"] for line in kept], others)
    file.finish([row.id for row in asks], config.n, selected, record)
    if config.html:
        write_responses_page(config, asks, kept, len(rejects), *load(), progress)
    return record | {"outputs": kept, "rejects": rejects, "selected": selected}


def _write(
    config: GenerateConfig,
    asks: Sequence[Row],
    load: Callable[[], tuple[Any, Any]],
    file: OutputFile,
    judging: Judging,
    *,
    grammar: Grammar | None,
    progress: Progress | None,
    on_text: Callable[[str], None] | None,
) -> None:
    """Have what is missing written."""
    if len(file.done) >= config.n * len(asks) and file.done >= {(r.id, i) for r in asks for i in range(config.n)}:
        return
    strategy = Strategy.of(config.strategy)
    if config.endpoint:
        with Endpoint(
            config.endpoint, config.model, strategy=strategy, timeout=config.timeout, retries=config.retries
        ) as endpoint:
            server = EndpointWriter(
                endpoint,
                max_new_tokens=config.max_new_tokens,
                concurrency=config.concurrency,
                system=config.system,
            )
            work(config, asks, server, file, judging, progress)
        return
    model, tokenizer = load()
    direct = judging.template is None and judging.content is None and config.prompting != "verbalised"
    local = LocalWriter(
        model,
        tokenizer,
        strategy=strategy,
        max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size,
        system=config.system,
        on_text=on_text if direct and config.n * len(asks) == 1 else None,
        limits=limits_of(config, grammar, tokenizer, end_tokens(model, tokenizer)),
        words=ForcedWords(config.force_words, tokenizer) if config.force_words else None,
    )
    work(config, asks, local, file, judging, progress)


def _settings(config: GenerateConfig, asks: Sequence[Row], template: Template | None) -> dict[str, Any]:
    """What is written beside the responses, and must be equal for them to be gone on with."""
    model = {"name": config.model}
    if not config.endpoint:
        model["fingerprint"] = resolve_model(config.model).fingerprint or ""
    content = Path(config.content_filter).read_text(encoding="utf-8") if config.content_filter else None
    return {
        "kind": "generation",
        "model": model,
        **config.identity(),
        "prompts": fingerprint(asks),
        "template": repr(template) if template else None,
        "content_filter": content,
        **({"json_schema": json.dumps(read_schema(config.json_schema))} if config.json_schema else {}),
    }


def _ordered(lines: Mapping[Any, Any], wanted: set[Any], asks: Sequence[Row]) -> list[Any]:
    place = {row.id: at for at, row in enumerate(asks)}
    return [lines[key] for key in sorted(wanted & lines.keys(), key=lambda key: (place[key[0]], key[1]))]


def _record(
    config: GenerateConfig,
    asks: Sequence[Row],
    kept: Sequence[Mapping[str, Any]],
    rejects: Sequence[Mapping[str, Any]],
    prompt_rejects: Sequence[Reject],
    template: Template | None,
    seconds: float,
) -> dict[str, Any]:
    reasons = Counter(line.get("category") or line["reason"].partition(":")[0] for line in rejects)
    tokens = [line["tokens"] for line in (*kept, *rejects)]
    record: dict[str, Any] = {
        "kind": "generation",
        "schema_version": SCHEMA_VERSION,
        "model": config.model,
        "strategy": config.strategy,
        "seed": config.seed,
        "out": config.out,
        "html": config.html,
        "counts": {
            "prompts": len(asks),
            "prompts_rejected": len(prompt_rejects),
            "responses": len(kept) + len(rejects),
            "usable": len(kept),
            "rejected": len(rejects),
            "rejected_for": dict(reasons.most_common()),
            "unfinished": sum(not line["finished"] for line in (*kept, *rejects)),
            "tokens": None if None in tokens else sum(tokens),
        },
        "diversity": None,
        "fields": None,
        "created": provenance.now(),
        "command": provenance.command_line(),
        "versions": provenance.versions(),
        "seconds": seconds,
    }
    if template is not None:
        answers = [
            Parsed(line["fields"], tuple(line.get("problems", ()))) for line in (*kept, *rejects) if "fields" in line
        ]
        record["fields"] = template.summary(answers)
    elif len(asks) == 1 and 1 < len(kept) <= _MOST_COMPARED:
        found = diversity_of([line["text"] for line in kept])
        record["diversity"] = {name: value for name, value in found.items() if value == value}
    return record


# Self-BLEU compares all with all.
_MOST_COMPARED = 200


def _plan(config: GenerateConfig, asks: Sequence[Row], prompt_rejects: Sequence[Reject]) -> dict[str, Any]:
    wanted = len(asks) * config.n
    plan = {
        "kind": "plan",
        "model": config.model,
        "strategy": config.strategy,
        "prompts": len(asks),
        "prompts_rejected": len(prompt_rejects),
        "responses": wanted,
        "new_tokens_at_most": wanted * config.max_new_tokens,
    }
    if config.endpoint:
        return plan | {"endpoint": config.endpoint, "request": request_settings(Strategy.of(config.strategy))}
    prompts = prompts_of(asks, load_tokenizer(config.model), system=config.system)
    return plan | {
        "prompt_tokens": sum(len(prompt.input_ids) for prompt in prompts) * config.n,
        "longest_prompt": max(len(prompt.input_ids) for prompt in prompts),
        "batches": -(-wanted // config.batch_size),
    }
