"""`entrotune generate --bench`: strategies side by side, on the same prompts and streams of chance."""

import dataclasses
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from entrotune import provenance
from entrotune.data import Prompt, Row, fingerprint, prompt_room, prompts_of
from entrotune.decoding import Strategy, draw, stream
from entrotune.evaluation.measure import sample_columns
from entrotune.evaluation.records import Column, SettingRecord, describe_metrics, summarise
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.experiments.generation.asks import read_asks
from entrotune.experiments.generation.bench_drawn import Drawn, DrawnFile, drawn_by, wanted
from entrotune.files import atomic_write_json, atomic_write_text
from entrotune.measures import distinct_n
from entrotune.models import context_length, load_model, load_tokenizer, resolve_model
from entrotune.reports import write_generation_report

SCHEMA_VERSION = 1
_SHOWN = 6

STRATEGIES = (
    "greedy",
    "beam(4)",
    "diverse_beam(4, 4)",
    "contrastive_search(4, 0.6)",
    "sample",
    "temperature(0.7)",
    "temperature(1.3)",
    "top_k(40)",
    "top_p(0.9)",
    "min_p(0.1)",
    "typical(0.9)",
    "eta(0.002)",
    "top_n_sigma(1)",
    "temperature(0.8) + top_k(40) + top_p(0.95)",
    "repetition_penalty(1.2) + temperature(0.8)",
    "no_repeat_ngram(3) + temperature(0.8)",
    "annealed(1.3, 0.6, 24)",
    "entropy_temperature(1, 0.5)",
    "entropy_switch",
    "target_entropy(1)",
)
"""One of each kind, and the usual combination."""
_DEFAULT = tuple(str(Strategy.of(text)) for text in STRATEGIES)

_OWN = {
    "own_perplexity": {
        "label": "Perplexity",
        "unit": "",
        "better": "lower",
        "kind": "quality",
        "explain": "exp of the mean negative log-likelihood of the responses' tokens under the model, untempered.",
    },
    "repetition": {
        "label": "Repetition",
        "unit": "",
        "better": "lower",
        "kind": "quality",
        "explain": "Share of a response's runs of three words that stood in it before.",
    },
    "tokens_per_second": {
        "label": "Speed",
        "unit": "tokens/s",
        "better": "higher",
        "kind": "description",
        "explain": "Tokens of all responses over the time taken, on this device and at this batch size.",
    },
}


def bench(config: GenerateConfig, *, dry_run: bool, progress: Progress | None) -> dict[str, Any]:
    """Sample with every strategy; write `bench.json`, `samples.jsonl` and `report.html` into `config.out`.

    Greedy, beam and contrastive search give one answer: it is found once and counted `n` times. Each strategy's
    responses are kept as soon as it is done; the same command again goes on, and other strategies may be added.

    Raises:
        UserError: bad input, or `out` holds a bench of other settings and `overwrite` is not given.
    """
    assert config.out is not None
    folder = Path(config.out)
    rows = read_asks(config, None)[0]
    strategies = [Strategy.of(text) for text in dict.fromkeys(config.strategies or _DEFAULT)]
    if dry_run:
        return _plan(config, rows, strategies)
    started = time.perf_counter()
    file = DrawnFile(folder, _settings(config, rows), overwrite=config.overwrite)
    model, tokenizer = load_model(config.model, dtype=config.dtype, device=config.device)
    room = prompt_room(context_length(model), config.max_new_tokens)
    prompts = prompts_of(rows, tokenizer, system=config.system, max_length=room)
    everything = _all_drawn(config, strategies, prompts, (model, tokenizer), file, progress)
    variants = [_variant(drawn, prompts, config) for drawn in everything]
    record = _record(config, prompts, variants, everything, model, time.perf_counter() - started)
    lines = [
        {"strategy": str(drawn.strategy), **sample.to_dict()}
        for drawn in everything
        for sample in drawn.samples(prompts, config.n, config.seed)
    ]
    atomic_write_text(folder / "samples.jsonl", "".join(_json_line(line) for line in lines))
    write_generation_report(record, folder / "report.html")
    atomic_write_json(folder / "bench.json", record)
    return record


def _all_drawn(
    config: GenerateConfig,
    strategies: Sequence[Strategy],
    prompts: Sequence[Prompt],
    loaded: tuple[Any, Any],
    file: DrawnFile,
    progress: Progress | None,
) -> list[Drawn]:
    """What every strategy drew, in their order: kept before, or now."""
    missing = [strategy for strategy in strategies if file.get(strategy) is None]
    total = sum(len(wanted(strategy, prompts, config.n)) for strategy in missing)
    task = progress.add_task("strategies", total=total) if progress else None

    def advance(count: int) -> None:
        if progress is not None and task is not None:
            progress.advance(task, count)

    if missing:  # what is done once, at the first call, is no strategy's time
        first, warm_up = prompts[0].input_ids, Strategy.of("sample")
        draw(*loaded, [first], [stream(0, "", 0)], strategy=warm_up, max_new_tokens=2)
    for strategy in missing:
        if progress is not None and task is not None:
            progress.update(task, description=strategy.brief)
        file.add(drawn_by(strategy, *loaded, prompts, config, advance=advance))
    if progress is not None and task is not None:
        progress.remove_task(task)
    found = [file.get(strategy) for strategy in strategies]
    return [one for one in found if one is not None]


def _settings(config: GenerateConfig, rows: Sequence[Row]) -> dict[str, Any]:
    """What must be equal for responses to be compared with those drawn before, and their speeds."""
    names = ("n", "max_new_tokens", "seed", "batch_size", "system", "dtype", "device")
    return {
        "model": {"name": config.model, "fingerprint": resolve_model(config.model).fingerprint or ""},
        "prompts": fingerprint(rows),
        **{name: getattr(config, name) for name in names},
    }


def _variant(drawn: Drawn, prompts: Sequence[Prompt], config: GenerateConfig) -> dict[str, Any]:
    """A strategy as the record has it."""
    samples = drawn.samples(prompts, config.n, config.seed)
    columns = sample_columns(prompts, samples)
    setting = SettingRecord(temperature=math.nan, samples_per_prompt=config.n, columns=columns, samples=tuple(samples))
    by_prompt = {prompt.id: drawn.of(prompt.id, config.n) for prompt in prompts}
    ids = tuple(by_prompt)
    nll = np.array([math.fsum(one.nll for one in own) for own in by_prompt.values()])
    tokens = np.array([float(sum(len(one.token_ids) for one in own)) for own in by_prompt.values()])
    repeated = np.array([repetition([one.text for one in own]) for own in by_prompt.values()])
    estimates = {
        "own_perplexity": Column(ids, nll, tokens).estimate(seed=config.seed).increasing(math.exp).to_dict(),
        "repetition": Column(ids, repeated).estimate(seed=config.seed).to_dict(),
    }
    measured = {name: estimate.to_dict() for name, estimate in summarise(setting, seed=config.seed).items()}
    speed = {"value": drawn.tokens_per_second, "n": len(drawn.responses)}
    return {
        "name": str(drawn.strategy),
        "label": drawn.strategy.brief,
        "tuned": True,
        "settings": [
            {
                "temperature": None,
                "samples_per_prompt": config.n,
                "samples": len(samples),
                "unfinished": setting.unfinished,
                "metrics": {**estimates, **measured, "tokens_per_second": speed},
            }
        ],
        "described": describe_metrics([setting]),
    }


def repetition(texts: Sequence[str]) -> float:
    """Mean share of runs of three words that stood in the same text before; texts of fewer words say nothing."""
    shares = [1 - distinct_n([text], 3) for text in texts]
    known = [share for share in shares if not math.isnan(share)]
    return float(np.mean(known)) if known else math.nan


def _record(
    config: GenerateConfig,
    prompts: Sequence[Prompt],
    variants: list[dict[str, Any]],
    everything: Sequence[Drawn],
    model: Any,
    seconds: float,
) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for variant in variants:
        described |= variant.pop("described")
    return {
        "kind": "generation",
        "schema_version": SCHEMA_VERSION,
        "title": "Decoding strategies compared",
        "model": {"name": config.model},
        "data": {"source": config.prompts or ("--prompt" if config.prompt else "built in"), "prompts": len(prompts)},
        "variants": variants,
        "metrics": {**_OWN, **described},
        "front": {"quality": "own_perplexity", "diversity": "distinct_2"},
        "samples": [
            {
                "prompt_id": prompt.id,
                "prompt": prompt.messages[-1]["content"] if prompt.messages else prompt.text,
                "references": list(prompt.references),
                "outputs": [
                    {
                        "variant": str(drawn.strategy),
                        "temperature": None,
                        "texts": [one.text for one in drawn.of(prompt.id, config.n)],
                    }
                    for drawn in everything
                ],
            }
            for prompt in prompts[:_SHOWN]
        ],
        "recipe": dataclasses.asdict(config),
        "conventions": {
            "Perplexity": "of the responses under the model itself, untempered, end marks included",
            "Diversity": "on responses only, per prompt, then averaged over prompts",
            "Intervals": "95% bootstrap over prompts",
        },
        "created": provenance.now(),
        "command": provenance.command_line(),
        "versions": provenance.versions(),
        "git_revision": provenance.git_revision(),
        "device": provenance.device_name(next(model.parameters()).device),
        "seeds": [config.seed],
        "seconds": {"total": seconds},
    }


def _json_line(line: Mapping[str, Any]) -> str:
    plain = {key: value for key, value in line.items() if key not in ("temperature", "batch")}
    return json.dumps(plain, ensure_ascii=False) + "\n"


def _plan(config: GenerateConfig, rows: Sequence[Row], strategies: Sequence[Strategy]) -> dict[str, Any]:
    prompts = prompts_of(rows, load_tokenizer(config.model), system=config.system)
    responses = sum(len(wanted(strategy, prompts, config.n)) for strategy in strategies)
    return {
        "kind": "plan",
        "model": config.model,
        "strategies": [str(strategy) for strategy in strategies],
        "prompts": len(prompts),
        "responses": responses,
        "new_tokens_at_most": responses * config.max_new_tokens,
    }
