"""What a comparison of strategies draws: kept strategy by strategy, so that one that was killed goes on."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrotune.data import Prompt
from entrotune.decoding import Response, Strategy, draw, stream
from entrotune.evaluation.records import SampleRecord
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.line_files import Line, append_lines, claim, read_lines

SCHEMA_VERSION = 1
_FILES = ("bench.json", "drawn.jsonl", "report.html", "samples.jsonl", "settings.json")


@dataclass(frozen=True)
class Drawn:
    """The different responses of a strategy by prompt id and index, and the seconds they took."""

    strategy: Strategy
    responses: Mapping[tuple[str, int], Response]
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Of all responses, end marks included."""
        return sum(len(one.token_ids) for one in self.responses.values()) / self.seconds

    def of(self, prompt_id: str, n: int) -> list[Response]:
        """The `n` responses to a prompt; a strategy with one answer gave it `n` times."""
        return [self.responses[prompt_id, index if self.strategy.answers_differ else 0] for index in range(n)]

    def samples(self, prompts: Sequence[Prompt], n: int, seed: int) -> list[SampleRecord]:
        """As evaluations keep them."""
        return [
            SampleRecord(
                prompt_id=prompt.id,
                index=index,
                temperature=math.nan,
                text=one.text,
                token_ids=one.token_ids,
                tokens=one.tokens,
                finished=one.finished,
                seed=seed,
                batch=0,
            )
            for prompt in prompts
            for index, one in enumerate(self.of(prompt.id, n))
        ]


class DrawnFile:
    """`drawn.jsonl` in a bench's folder, a line a strategy, beside `settings.json`.

    Raises:
        UserError: the folder holds a bench of other settings, or a line is damaged.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
        if overwrite:
            for name in _FILES:
                (folder / name).unlink(missing_ok=True)
        self._path = folder / "drawn.jsonl"
        kept = {"schema_version": SCHEMA_VERSION, "kind": "generation bench", **settings}
        claim(self._path if self._path.exists() else folder / "bench.json", folder / "settings.json", kept)
        self.lines = dict(read_lines(self._path, lambda line: (str(line["strategy"]), line)))

    def get(self, strategy: Strategy) -> Drawn | None:
        """What was drawn before."""
        line = self.lines.get(str(strategy))
        return _from_line(strategy, line) if line else None

    def add(self, drawn: Drawn) -> None:
        """Keep a strategy's responses; they are on the disk when this returns."""
        line = _to_line(drawn)
        append_lines(self._path, [line])
        self.lines[line["strategy"]] = line


def wanted(strategy: Strategy, prompts: Sequence[Prompt], n: int) -> list[tuple[Prompt, int]]:
    """The responses to draw, longest prompts first; of a strategy with one answer, one a prompt."""
    indices = range(n if strategy.answers_differ else 1)
    return [(p, i) for p in sorted(prompts, key=lambda p: -len(p.input_ids)) for i in indices]


def drawn_by(
    strategy: Strategy,
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    config: GenerateConfig,
    *,
    advance: Callable[[int], None],
) -> Drawn:
    """Draw with a strategy; `advance` is told how many responses came."""
    items = wanted(strategy, prompts, config.n)
    started = time.perf_counter()
    found: dict[tuple[str, int], Response] = {}
    for start in range(0, len(items), config.batch_size):
        batch = items[start : start + config.batch_size]
        responses = draw(
            model,
            tokenizer,
            [prompt.input_ids for prompt, _ in batch],
            [stream(config.seed, prompt.id, index) for prompt, index in batch],
            strategy=strategy,
            max_new_tokens=config.max_new_tokens,
        )
        found |= {(prompt.id, index): one for (prompt, index), one in zip(batch, responses, strict=True)}
        advance(len(batch))
    return Drawn(strategy, found, time.perf_counter() - started)


def _to_line(drawn: Drawn) -> Line:
    responses = [
        {
            "prompt_id": prompt_id,
            "index": index,
            "text": one.text,
            "token_ids": list(one.token_ids),
            "tokens": one.tokens,
            "finished": one.finished,
            "nll": one.nll,
        }
        for (prompt_id, index), one in drawn.responses.items()
    ]
    return {"strategy": str(drawn.strategy), "seconds": drawn.seconds, "responses": responses}


def _from_line(strategy: Strategy, line: Line) -> Drawn:
    responses = {
        (one["prompt_id"], one["index"]): Response(
            text=one["text"],
            token_ids=tuple(one["token_ids"]),
            tokens=one["tokens"],
            finished=one["finished"],
            nll=one["nll"],
        )
        for one in line["responses"]
    }
    return Drawn(strategy, responses, line["seconds"])
