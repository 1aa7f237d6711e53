"""An evaluation: its plan, or its record, kept in a folder where there is one."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune import provenance
from entrotune.data import RowSet, describe_examples, load_rows
from entrotune.errors import UserError
from entrotune.evaluation import folder as files
from entrotune.evaluation.description import describe_data, describe_model, show_samples
from entrotune.evaluation.header import header
from entrotune.evaluation.held_out import HeldOut, hold_out
from entrotune.evaluation.mauve import mauve_of
from entrotune.evaluation.measure import measure
from entrotune.evaluation.records import SettingRecord, describe_metrics
from entrotune.evaluation.standard_tasks import StandardTasks
from entrotune.measures.mauve import check_mauve
from entrotune.models import ModelSource, check_head, context_length, load_model, load_tokenizer, resolve_model

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is evaluated, and how; see `entrotune.evaluate`.

    Attributes:
        model: its name.
        data: held-out rows.
        reading: further arguments of `load_rows`.
        loading: further arguments of `load_model`.
        holding: of `hold_out`: how many prompts, and the system message.
        sampling: of `measure`: how responses are drawn.
        temperatures: each gives one setting.
        max_new_tokens: of a response.
        seed: fixes choice of prompts, samples and intervals.
        judge: a model that scores the samples.
        mauve: a model whose hidden states give features.
        lm_eval: names of standard tasks.
        lm_eval_options: of `StandardTasks`.
    """

    model: str
    data: str
    reading: Mapping[str, Any]
    loading: Mapping[str, Any]
    holding: Mapping[str, Any]
    sampling: Mapping[str, Any]
    temperatures: Sequence[float]
    max_new_tokens: int
    seed: int
    judge: str | None = None
    mauve: str | None = None
    lm_eval: Sequence[str] = ()
    lm_eval_options: Mapping[str, Any] = field(default_factory=dict)

    def plan(self) -> dict[str, Any]:
        """What would be done, found without weights."""
        source, rows, _ = self._read()
        held = self._hold_out(rows, load_tokenizer(self.model))
        drawn = len(held.prompts) * self.sampling["samples"] * len(self.temperatures)
        return {
            "kind": "plan",
            "model": {"name": source.name, "kind": source.kind, "path": str(source.path) if source.path else None},
            "data": describe_data(rows, held),
            "temperatures": list(self.temperatures),
            "responses": drawn,
            "new_tokens_at_most": drawn * self.max_new_tokens,
            "tokens_to_score": describe_examples(held.examples).tokens,
            "lm_eval": list(self.lm_eval),
        }

    def run(self, folder: Path | None, *, overwrite: bool, progress: Progress | None) -> dict[str, Any]:
        """Evaluate; return the content of `evaluation.json`.

        Args:
            folder: to write to; samples that it holds are used again, unless it is to be written anew.
            overwrite: remove what the folder holds, once it is sure that the evaluation can be made.
            progress: the display.
        """
        started = time.perf_counter()
        source, rows, tasks = self._read()
        model, tokenizer = load_model(self.model, **self.loading)
        check_head(model)
        held = self._hold_out(rows, tokenizer, context=context_length(model), on_bad_row=self.reading["on_bad_row"])
        judge = self._load_judge(tokenizer)
        featuriser = self._load_featuriser(held)
        if folder is not None and overwrite:
            files.remove(folder)
        standard = None
        if tasks is not None:
            standard = tasks.run(
                model,
                tokenizer,
                seed=self.seed,
                batch_size=self.sampling["batch_size"],
                fingerprint=source.fingerprint,
                folder=folder,
            )
        settings = self._measure(model, tokenizer, held, judge, source, folder, progress)
        record = {
            "schema_version": SCHEMA_VERSION,
            "kind": "evaluation",
            "title": f"Evaluation of {self.model}",
            **header(self.seed),
            "device": provenance.device_name(model.device),
            "seconds": {"total": round(time.perf_counter() - started, 1)},
            "model": describe_model(source, model),
            "data": describe_data(rows, held),
            "settings": [setting.to_dict(seed=self.seed) for setting in settings],
            "metrics": describe_metrics(settings),
            "samples": show_samples(held, {self.model: settings}),
        }
        if standard is not None:
            record["lm_eval"] = standard
        if featuriser is not None:
            record["mauve"] = {"features": self.mauve}
            for told, setting in zip(record["settings"], settings, strict=True):
                told["mauve"] = mauve_of(*featuriser, held.prompts, setting.samples, seed=self.seed, progress=progress)
        if folder is not None:
            files.write(folder, record, settings, held, rows)
        return record

    def _read(self) -> tuple[ModelSource, RowSet, StandardTasks | None]:
        """What can be wrong without weights: the model's name, the rows, the standard tasks."""
        source = resolve_model(self.model)
        rows = load_rows(self.data, **self.reading)
        return source, rows, StandardTasks(self.lm_eval, **self.lm_eval_options) if self.lm_eval else None

    def _hold_out(self, rows: RowSet, tokenizer: Any, **options: Any) -> HeldOut:
        chosen = {**self.holding, "seed": self.seed, "max_new_tokens": self.max_new_tokens}
        return hold_out(rows.rows, tokenizer, **chosen, **options)

    def _measure(
        self,
        model: Any,
        tokenizer: Any,
        held: HeldOut,
        judge: Any,
        source: ModelSource,
        folder: Path | None,
        progress: Progress | None,
    ) -> list[SettingRecord]:
        return measure(
            model,
            tokenizer,
            examples=held.examples,
            prompts=held.prompts,
            groups=held.groups,
            temperatures=self.temperatures,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            judge=judge,
            path=folder / "samples.jsonl" if folder is not None else None,
            made_by={"model": source.fingerprint, "dtype": self.loading["dtype"]},
            progress=progress,
            **self.sampling,
        )

    def _load_judge(self, tokenizer: Any) -> Any:
        if self.judge is None:
            return None
        model, own = load_model(self.judge, **self.loading)
        if own.get_vocab() != tokenizer.get_vocab():
            raise UserError(
                f"judge '{self.judge}' has another tokenizer than the model; expected a model of the same family"
            )
        return model

    def _load_featuriser(self, held: HeldOut) -> tuple[Any, Any] | None:
        """The model that gives features for MAUVE, once it is sure that there are texts enough, and the package."""
        if self.mauve is None:
            return None
        references = sum(len(prompt.references) for prompt in held.prompts)
        check_mauve(references, len(held.prompts) * self.sampling["samples"])
        return load_model(self.mauve, **self.loading)
