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
from entrotune.data import Prompt, Row, prompts_of
from entrotune.decoding import Response, Strategy, draw, stream
from entrotune.errors import UserError
from entrotune.evaluation.measure import sample_columns
from entrotune.evaluation.records import Column, SampleRecord, SettingRecord, describe_metrics, summarise
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.experiments.generation.asks import read_asks
from entrotune.files import atomic_write_json, atomic_write_text
from entrotune.measures import distinct_n
from entrotune.models import context_length, load_model, load_tokenizer
from entrotune.reports import write_generation_report

SCHEMA_VERSION = 1
_SHOWN = 6

STRATEGIES = (
    "greedy",
    "beam(4)",
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

_OPEN = (
    "Name something one finds in a kitchen.",
    "Write one sentence that begins a story.",
    "Suggest a name for a cat.",
    "What could one do on a rainy afternoon?",
    "Write a line of a poem about the sea.",
)
_CHECKED = (("What is 7 + 5? Answer with the number.", 12), ("How many days has a week? Answer with the number.", 7))

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

    Greedy and beam search give one answer: it is found once and counted `n` times.

    Raises:
        UserError: bad input, or `out` holds a bench and `overwrite` is not given.
    """
    assert config.out is not None
    folder = Path(config.out)
    if (folder / "bench.json").exists() and not config.overwrite:
        raise UserError(f"'{folder}' holds a bench already; give another folder, or overwrite")
    rows = read_asks(config, None)[0] if config.prompts or config.prompt else built_in()
    strategies = [Strategy.of(text) for text in dict.fromkeys(config.strategies or STRATEGIES)]
    if dry_run:
        return _plan(config, rows, strategies)
    started = time.perf_counter()
    model, tokenizer = load_model(config.model, dtype=config.dtype, device=config.device)
    context = context_length(model)
    room = None if context is None else context - config.max_new_tokens
    prompts = prompts_of(rows, tokenizer, system=config.system, max_length=room)
    variants, samples = [], {}
    task = progress.add_task("strategies", total=len(strategies)) if progress else None
    warm_up = Strategy.of("sample")
    draw(model, tokenizer, [prompts[0].input_ids], [stream(0, "", 0)], strategy=warm_up, max_new_tokens=2)
    for strategy in strategies:
        drawn, seconds = _drawn(model, tokenizer, prompts, strategy, config)
        samples[str(strategy)] = drawn
        variants.append(_variant(strategy, prompts, drawn, seconds, config))
        if progress is not None and task is not None:
            progress.advance(task)
    record = _record(config, prompts, variants, samples, model, time.perf_counter() - started)
    lines = [{"strategy": name, **one.to_dict()} for name, drawn in samples.items() for one, _ in drawn]
    atomic_write_text(folder / "samples.jsonl", "".join(_json_line(line) for line in lines))
    write_generation_report(record, folder / "report.html")
    atomic_write_json(folder / "bench.json", record)
    return record


def built_in() -> list[Row]:
    """The prompts that are used where none are given: open ones, and two with one right answer."""
    rows = [Row(id=f"open-{i}", source="built in", prompt=text) for i, text in enumerate(_OPEN)]
    return rows + [
        Row(id=f"checked-{i}", source="built in", prompt=text, checker={"kind": "numeric", "answer": answer})
        for i, (text, answer) in enumerate(_CHECKED)
    ]


Drawn = list[tuple[SampleRecord, Response]]


def _drawn(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], strategy: Strategy, config: GenerateConfig
) -> tuple[Drawn, float]:
    """Responses by prompt and index, and the seconds they took."""
    drawn, repeats = (config.n, 1) if strategy.takes_chances else (1, config.n)
    wanted = [(p, i) for p in sorted(prompts, key=lambda p: -len(p.input_ids)) for i in range(drawn)]
    started = time.perf_counter()
    found: dict[tuple[str, int], Response] = {}
    for start in range(0, len(wanted), config.batch_size):
        batch = wanted[start : start + config.batch_size]
        responses = draw(
            model,
            tokenizer,
            [prompt.input_ids for prompt, _ in batch],
            [stream(config.seed, prompt.id, index) for prompt, index in batch],
            strategy=strategy,
            max_new_tokens=config.max_new_tokens,
        )
        found |= {(prompt.id, index): one for (prompt, index), one in zip(batch, responses, strict=True)}
    seconds = time.perf_counter() - started
    records = []
    for prompt in prompts:
        for index in range(config.n):
            one = found[prompt.id, index // repeats]
            sample = SampleRecord(
                prompt_id=prompt.id,
                index=index,
                temperature=math.nan,
                text=one.text,
                token_ids=one.token_ids,
                tokens=one.tokens,
                finished=one.finished,
                seed=config.seed,
                batch=0,
            )
            records.append((sample, one))
    return records, seconds


def _variant(
    strategy: Strategy, prompts: Sequence[Prompt], drawn: Drawn, seconds: float, config: GenerateConfig
) -> dict[str, Any]:
    """A strategy as the record has it."""
    columns = sample_columns(prompts, [sample for sample, _ in drawn])
    setting = SettingRecord(
        temperature=math.nan, samples_per_prompt=config.n, columns=columns, samples=tuple(one for one, _ in drawn)
    )
    by_prompt = {prompt.id: [one for sample, one in drawn if sample.prompt_id == prompt.id] for prompt in prompts}
    ids = tuple(by_prompt)
    nll = np.array([math.fsum(one.nll for one in own) for own in by_prompt.values()])
    tokens = np.array([float(sum(len(one.token_ids) for one in own)) for own in by_prompt.values()])
    repeated = np.array([repetition([one.text for one in own]) for own in by_prompt.values()])
    estimates = {
        "own_perplexity": Column(ids, nll, tokens).estimate(seed=config.seed).increasing(math.exp).to_dict(),
        "repetition": Column(ids, repeated).estimate(seed=config.seed).to_dict(),
    }
    made = sum(len(one.token_ids) for _, one in drawn) / (1 if strategy.takes_chances else config.n)
    measured = {name: estimate.to_dict() for name, estimate in summarise(setting, seed=config.seed).items()}
    return {
        "name": str(strategy),
        "tuned": True,
        "settings": [
            {
                "temperature": None,
                "samples_per_prompt": config.n,
                "samples": len(drawn),
                "unfinished": setting.unfinished,
                "metrics": {**estimates, **measured, "tokens_per_second": {"value": made / seconds, "n": len(drawn)}},
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
    samples: Mapping[str, Drawn],
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
                        "variant": name,
                        "temperature": None,
                        "texts": [sample.text for sample, _ in drawn if sample.prompt_id == prompt.id],
                    }
                    for name, drawn in samples.items()
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
    responses = sum(len(prompts) * (config.n if strategy.takes_chances else 1) for strategy in strategies)
    return {
        "kind": "plan",
        "model": config.model,
        "strategies": [str(strategy) for strategy in strategies],
        "prompts": len(prompts),
        "responses": responses,
        "new_tokens_at_most": responses * config.max_new_tokens,
    }
