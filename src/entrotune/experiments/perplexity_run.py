"""The steps of a perplexity: texts to tokens, each model's likelihoods, and what they are used for."""

import dataclasses
import datetime
import time
from collections.abc import Sequence
from typing import Any

import torch
from rich.progress import Progress

from entrotune import provenance
from entrotune.data import Reject, RowSet
from entrotune.data.rejects import Rejects, RowError, first_reasons
from entrotune.errors import UserError
from entrotune.experiments.perplexity_record import Measured, differences, model_record, warnings_of
from entrotune.scoring.identity import tokenizer_fingerprint
from entrotune.scoring.perplexity.encoding import Encoded
from entrotune.scoring.perplexity.job import Reader, Work, measure, work_of
from entrotune.scoring.perplexity.measured import Floats, Sums, passage_sums, row_sums
from entrotune.scoring.perplexity.texts import Parts, Text, check_column, column, reject, texts_of
from entrotune.scoring.perplexity.uses import Uses, anomalies_of, drift_of, kept, parse_date
from entrotune.scoring.progress import Shown

SCHEMA_VERSION = 1
CONVENTIONS = {
    "nll": "nats per token: −log p of each scored token given what is before it in its window",
    "pseudo": "of a masked model: given all other tokens, it alone masked; compares with masked models only",
    "perplexity": "exp(nats per token); compares models of one tokenizer only",
    "word_perplexity": "exp(nats / words), a word being a run without white space",
    "byte_perplexity": "exp(nats / bytes of the scored text as UTF-8)",
    "character_perplexity": "exp(nats / characters of the scored text)",
    "bits_per_byte": "nats / ln 2 / bytes; compares models of any tokenizer",
    "windows": "each token is scored once, from all before it or at least max_length − stride + 1 tokens",
    "spans": "a token counts if any of its characters is in a span; bytes, words and characters are those of the spans",
    "context": "read, not scored; context and text are tokenized as one (by an encoder-decoder apart)",
    "intervals": "95% bootstrap over rows, or over passages of one text; differences are paired over them",
}


def header(data: str, seed: int) -> dict[str, Any]:
    """The parts of a record that tell when, how and on what it was made."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "perplexity",
        "title": f"Perplexity of {data}",
        "created": provenance.now(),
        "command": provenance.command_line(),
        "versions": provenance.versions(),
        "git_revision": provenance.git_revision(),
        "conventions": CONVENTIONS,
        "seed": seed,
    }


@dataclasses.dataclass(frozen=True)
class Material:
    """Texts that all models can score.

    Attributes:
        texts: in the order of the rows.
        encoded: for each model, their tokens.
        dates: of the texts, where drift is followed.
        counts: rows read = rows scored + rows rejected.
        rejects: all that cannot be used.
    """

    texts: list[Text]
    encoded: list[list[Encoded]]
    dates: list[datetime.datetime]
    counts: dict[str, int]
    rejects: list[Reject]

    @property
    def told_rejects(self) -> str | None:
        """The first few rejects in words."""
        return first_reasons(self.rejects) if self.rejects else None


def encode(rows: RowSet, parts: Parts, uses: Uses, readers: Sequence[Reader], *, on_bad_row: str) -> Material:
    """Rows → tokens of each model.

    Raises:
        UserError: nothing to score, or one text where there must be several.
    """
    rejects = Rejects(on_bad_row)
    texts = texts_of(rows.rows, parts, rejects)
    if uses.drift is not None:
        check_column(rows.rows, uses.drift)
    encoded = [one.encode(texts) for one in readers]
    kept_texts, kept_encoded, dates = [], [], []
    for text, *own in zip(texts, *encoded, strict=True):
        try:
            date = parse_date(column(text.row, uses.drift)) if uses.drift is not None else None
            for one in own:
                if isinstance(one, RowError):
                    raise one
        except RowError as error:
            rejects.add(reject(text.row, text.id, str(error)))
            continue
        kept_texts.append(text)
        kept_encoded.append(own)
        if date is not None:
            dates.append(date)
    if not kept_texts:
        raise UserError(f"nothing to score among {len(rows.rows):,} rows: {first_reasons(rejects.found)}")
    if uses.any and len(kept_texts) < 2:
        raise UserError(
            f"rank, at_least, at_most, anomalies and drift are about rows, and {rows.source} is one text; give "
            "text_unit line or paragraph, or a file of rows"
        )
    of_models = [list(of_model) for of_model in zip(*kept_encoded, strict=True)]
    all_rejects = [*rows.rejects, *rejects.found]
    return Material(kept_texts, of_models, dates, _counts(rows, kept_texts, len(all_rejects)), all_rejects)


def _counts(rows: RowSet, texts: Sequence[Text], rejected: int) -> dict[str, int]:
    """Rows read = rows scored + rows rejected; a row with several answers counts as scored if one of them is."""
    scored = len({id(text.row) for text in texts})
    return {
        "rows_read": rows.read,
        "rows_scored": scored,
        "rows_rejected": rows.read - scored,
        "texts": len(texts),
        "texts_rejected": rejected,
    }


def plans(readers: Sequence[Reader], material: Material) -> list[dict[str, Any]]:
    """What each model would read and score."""
    return [_plan(one, own) for one, own in zip(readers, material.encoded, strict=True)]


def _plan(one: Reader, encoded: Sequence[Encoded]) -> dict[str, Any]:
    work: Work = work_of(one, encoded)
    return {
        "name": one.name,
        "family": one.described.family,
        "max_length": one.max_length,
        "stride": one.stride or None,
        "tokens_scored": sum(len(own.targets) for own in encoded),
        "sequences": work.sequences,
        "tokens_read": work.tokens_read,
    }


def measure_all(readers: Sequence[Reader], material: Material, **options: Any) -> list[Measured]:
    """Score the texts with each model, one after the other; see `_measure` for the options."""
    return [_measure(one, material, own, **options) for one, own in zip(readers, material.encoded, strict=True)]


def _measure(
    one: Reader,
    material: Material,
    encoded: Sequence[Encoded],
    *,
    precision: str,
    device: str | None,
    batch_tokens: int | None,
    passage: int,
    progress: Progress | None,
) -> Measured:
    work = work_of(one, encoded)
    shown = Shown(progress, sum(len(own.targets) for own in encoded), f"scoring tokens: {one.name}")
    described: dict[str, Any] = {}

    def loaded(model: Any) -> None:
        described["device"] = provenance.device_name(torch.device(model.device))
        described["parameters"] = sum(parameter.numel() for parameter in model.parameters())

    began = time.perf_counter()
    nll = measure(
        one,
        encoded,
        work,
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
        advance=lambda tokens: shown.advance(tokens, tokens),
        loaded=loaded,
    )
    texts = material.texts
    sums = row_sums(texts, encoded, nll)
    units = sums if len(texts) > 1 else passage_sums(texts[0], encoded[0], nll[0], passage=passage)
    return Measured(
        reader=one,
        work=work,
        sums=sums,
        units=units,
        unscored=sum(own.unscored for own in encoded),
        unknown=sum(own.unknown for own in encoded),
        tokenizer=tokenizer_fingerprint(one.described.tokenizer),
        parameters=described["parameters"],
        device=described["device"],
        seconds=round(time.perf_counter() - began, 1),
    )


def compared(found: Sequence[Measured], material: Material, *, passage: int, seed: int) -> dict[str, Any]:
    """The parts of a record that tell of the models and of their differences."""
    return {
        "units": "rows" if len(material.texts) > 1 else f"passages of {passage:,} characters",
        "models": [model_record(one, seed=seed) for one in found],
        "differences": differences(found, seed=seed),
        "warnings": warnings_of(found),
    }


def use(material: Material, sums: Sums, uses: Uses, seed: int) -> tuple[dict[str, Any], Floats | None]:
    """What the first model's values are used for, and each row's robust z where anomalies are flagged."""
    found: dict[str, Any] = {}
    z = None
    ids = [text.id for text in material.texts]
    if uses.anomalies is not None:
        found["anomalies"], z = anomalies_of(ids, sums, uses)
    if uses.filters:
        keeps = int(kept(sums.values(uses.by), uses).sum())
        bounds = {"by": uses.by, "at_least": uses.at_least, "at_most": uses.at_most}
        found["filter"] = bounds | {"kept": keeps, "dropped": len(ids) - keeps}
    if uses.drift is not None:
        found["drift"] = drift_of(material.dates, sums, uses, seed=seed)
    return found, z


def precision_of(asked: str, device: str | None) -> str:
    """The precision that was asked for; `auto` by the device."""
    if asked != "auto":
        return asked
    kind = torch.device(device).type if device else getattr(torch.accelerator.current_accelerator(), "type", "cpu")
    return "bfloat16" if kind == "cuda" else "float32"
