"""Labels for correctness: a model's own answers to multiple-choice rows, matched with the rows that were scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.data import Reject
from entrotune.errors import UserError
from entrotune.evaluation.choice_answers import AnswerFile, answer_choices
from entrotune.evaluation.choice_likelihood import ChoiceAnswer, ChoiceReader, encode_choices
from entrotune.evaluation.choices import ChoiceRow, ChoiceSet, load_choices
from entrotune.experiments.analysis_inputs import kept_column
from entrotune.line_files import beside
from entrotune.models import check_head, describe_model, load_model, resolve_model
from entrotune.scoring.analysis.effects import wilson
from entrotune.scoring.folder import Scores
from entrotune.scoring.sequences import text_hash

CONVENTION = (
    "text is context, a space and an ending, without chat template; an ending's likelihood is that of the tokens with "
    "a character behind the context, divided by the ending's UTF-8 bytes (without the space) or by its tokens; the "
    "ending of highest likelihood is the answer, the first of equals"
)
_LENGTHS_FROM = 64


@dataclass(frozen=True)
class Answered:
    """A model's answers to the rows of `choices`."""

    model: dict[str, Any]
    choices: ChoiceSet
    not_scored: int
    answers: Mapping[str, ChoiceAnswer]
    rejects: Sequence[Reject]
    shares_context: bool | None
    scored_by: str | None
    plan: dict[str, Any]

    @property
    def extra(self) -> dict[str, Mapping[str, Any]]:
        """Id → the other columns of a row."""
        return {row.id: row.extra for row in self.choices.rows}

    def right(self, normalise: str) -> dict[str, bool]:
        """Id → whether the answer is the right one, for rows with an answer and a label."""
        return {
            row.id: self.answers[row.id].choice(normalise) == row.label
            for row in self.choices.rows
            if row.id in self.answers and row.label is not None
        }

    def describe(self, normalise: str) -> dict[str, Any]:
        """The `answers` part of a record."""
        by_bytes, by_tokens = self.right("bytes"), self.right("tokens")
        n = len(by_bytes)
        labelled = [row for row in self.choices.rows if row.id in by_bytes]
        same = sum(self.answers[row.id].choice("bytes") == self.answers[row.id].choice("tokens") for row in labelled)
        return {
            "model": self.model,
            "same_model_as_scores": self.model["fingerprint"] == self.scored_by,
            "source": self.choices.source,
            "read": self.choices.read,
            "rejected": len(self.rejects),
            "not_scored": self.not_scored,
            "without_label": sum(row.label is None for row in self.choices.rows),
            "answered": len(self.answers),
            "n": n,
            "normalise": normalise,
            "accuracy": {
                "bytes": wilson(sum(by_bytes.values()), n).to_dict(),
                "tokens": wilson(sum(by_tokens.values()), n).to_dict(),
            },
            "same_choice": same / n,
            "chance": sum(1 / len(row.endings) for row in labelled) / n,
            "shares_context": self.shares_context,
            "convention": CONVENTION,
        }


def answer(
    read: Scores,
    choices: str,
    *,
    model: str,
    limit: int | None,
    folder: Path,
    overwrite: bool,
    dry_run: bool,
    options: Mapping[str, Any],
    progress: Progress | None,
) -> Answered:
    """Answer the rows that were scored, into `answers.jsonl` of `folder`; what it holds already is not computed again.

    Raises:
        UserError: rows that are not those of the scores, another model or other rows than `folder` holds answers of.
    """
    found = load_choices(choices, limit=limit)
    asked = _scored(read, found)
    source = resolve_model(model)
    if dry_run:
        return Answered({}, found, 0, {}, found.rejects, None, None, _plan(model, found, asked))
    made_by = {
        "model": source.fingerprint,
        "dtype": str(options["dtype"]),
        "rows": found.fingerprint,
        "convention": CONVENTION,
    }
    kept = _opened(folder / "answers.jsonl", made_by, overwrite=overwrite)
    rejects, shares = list(found.rejects), None
    if any(row.id not in kept.answers for row in asked):
        loaded, tokenizer = load_model(model, dtype=options["dtype"], device=options["device"])
        check_head(loaded)
        reader = ChoiceReader(loaded, tokenizer, batch_tokens=options["batch_tokens"])
        rejects += answer_choices(reader, tokenizer, asked, kept, progress)
        shares = reader.shares_context
    told = {"name": source.name, "fingerprint": source.fingerprint, "dtype": options["dtype"]}
    scored_by = (read.manifest.get("model") or {}).get("fingerprint")
    left_out = len(found.rows) - len(asked)
    return Answered(told, found, left_out, kept.answers, rejects, shares, scored_by, {})


def _opened(path: Path, made_by: Mapping[str, Any], *, overwrite: bool) -> AnswerFile:
    """The answers that are there, or with `overwrite` an empty file in place of those of something else."""
    try:
        return AnswerFile(path, made_by)
    except UserError:
        if not overwrite:
            raise
    path.unlink(missing_ok=True)
    beside(path, "settings.json").unlink(missing_ok=True)
    return AnswerFile(path, made_by)


def _scored(read: Scores, found: ChoiceSet) -> list[ChoiceRow]:
    """The rows that have scores, their text being what was scored.

    Raises:
        UserError: none has, or the text that was scored is not the row's context.
    """
    hashes = kept_column(read, "text_hash")
    asked = [row for row in found.rows if row.id in hashes]
    if not asked:
        mine, theirs = found.rows[0].id, next(iter(hashes))
        raise UserError(
            f"no row of {found.source} was scored in {read.path}: ids are like {mine!r} and {theirs!r}; "
            "score the contexts of the same file"
        )
    other = [row.id for row in asked if hashes[row.id] != text_hash(row.context)]
    if other:
        raise UserError(
            f"{read.path} has the scores of other texts than the contexts of {found.source}: {len(other):,} of "
            f"{len(asked):,} rows differ, first {other[0]!r}; score the column ctx of the same file"
        )
    return asked


def _plan(model: str, found: ChoiceSet, asked: Sequence[ChoiceRow]) -> dict[str, Any]:
    described = describe_model(model)
    encoded = encode_choices(asked[:_LENGTHS_FROM], described.tokenizer)
    whole = sum(len(ids) for one in encoded for ids in one.sequences)
    spared = sum((one.prefix - 1) * (len(one.sequences) - 1) for one in encoded if one.prefix > 1)
    return {
        "model": {"name": described.source.name, "kind": described.source.kind, "parameters": described.parameters},
        "choices": {"read": found.read, "rejected": len(found.rejects), "rows": len(found.rows), "scored": len(asked)},
        "tokens_estimated": round((whole - spared) / len(encoded) * len(asked)),
        "tokens_estimated_from_rows": len(encoded),
    }
