"""Token sequences with labels: what training reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from entrotune.data.rejects import Reject, first_reasons
from entrotune.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

IGNORED = -100
"""The label of a token that is not supervised."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence. `labels` has the length of `input_ids` and is not shifted: a supervised token has itself as label.

    The first label is always ignored: nothing predicts the first token, and in a packed batch the text before it
    would. `answer_of` is the id of the row where the example is one of its several answers. `learnt_bytes` are the
    UTF-8 bytes of the text that is supervised, without the marks that end it; None where that text is not known, cut,
    or begins the sequence, so that its first token is not predicted.
    """

    id: str
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    answer_of: str | None = None
    learnt_bytes: int | None = field(default=None, compare=False)

    @property
    def row_id(self) -> str:
        """The id of the row it comes from."""
        return self.id if self.answer_of is None else self.answer_of

    @property
    def supervised_tokens(self) -> int:
        """The number of tokens that count in the loss."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, kw_only=True)
class EncodedSet:
    """Examples in the order of their rows, the rejects, and how many examples were cut to the limit."""

    examples: list[Example]
    rejects: list[Reject]
    truncated: int = 0

    def check_usable(self) -> None:
        """Raise `UserError` with the first reasons where no example is left."""
        if not self.examples:
            reasons = f": {first_reasons(self.rejects)}" if self.rejects else ", for there were no rows"
            raise UserError(f"no example is left{reasons}")


@dataclass(frozen=True, kw_only=True)
class TokenStatistics:
    """Counts over examples; `longest` is the largest number of tokens of one."""

    examples: int
    tokens: int
    supervised_tokens: int
    longest: int

    def describe(self) -> str:
        """Say the counts in one phrase."""
        return (
            f"{self.examples:,} examples, {self.tokens:,} tokens ({self.supervised_tokens:,} supervised), "
            f"longest {self.longest:,}"
        )


def describe_examples(examples: Sequence[Example]) -> TokenStatistics:
    """Count examples and tokens."""
    return TokenStatistics(
        examples=len(examples),
        tokens=sum(len(example.input_ids) for example in examples),
        supervised_tokens=sum(example.supervised_tokens for example in examples),
        longest=max((len(example.input_ids) for example in examples), default=0),
    )


def to_dataset(examples: Iterable[Example]) -> "Dataset":
    """Return a `datasets.Dataset` with the columns input_ids and labels, a row an example."""
    from datasets import Dataset, Features, List, Value

    examples = list(examples)
    features = Features({"input_ids": List(Value("int64")), "labels": List(Value("int64"))})
    columns = {
        "input_ids": [example.input_ids for example in examples],
        "labels": [example.labels for example in examples],
    }
    return Dataset.from_dict(columns, features=features)
