"""Rows to token sequences in which only what is to be learnt carries a label."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from entrotune.data.examples import IGNORED, EncodedSet, Example
from entrotune.data.rejects import Reject, Rejects, RowError
from entrotune.data.render import SUPERVISE, Rendered, check_system, render_answer
from entrotune.data.rows import Row, answers_of, row_content
from entrotune.data.tokens import Tokens, check_tokenizer, tokenize
from entrotune.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BATCH = 256


def encode_rows(
    rows: Sequence[Row],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    system: str | None = None,
    supervise: str = "auto",
    truncate: bool = False,
    on_bad_row: str = "skip",
) -> EncodedSet:
    """Encode each row, or each answer of a row (id `row#0`, `row#1`, …), as one example.

    With a chat template, prompt and answer become a chat; without, they are joined and closed with EOS. A supervised
    span runs from after the template's header to the end-of-turn mark, which is supervised so that the model learns to
    stop; white space the template puts after it is not. A token that straddles the start of a span belongs to it.

    Args:
        max_length: in tokens; a longer sequence is rejected, or cut and counted with `truncate`.
        system: a system message for conversations without one; "" gives an empty one, `None` leaves the template's.
        supervise: `completion` (the last answer), `assistant` (every turn of the assistant), `all` (the whole text),
            or `auto`: `assistant` for messages, `all` for plain text, `completion` otherwise. Pretokenised rows keep
            their labels.
        on_bad_row: `skip` keeps rows that cannot be encoded in `rejects`, `stop` raises at the first.

    Raises:
        UserError: an argument is not one of these, the tokenizer gives no offsets, or a row is bad and `on_bad_row`
            is `stop`. Where no row is usable, `EncodedSet.check_usable` raises.
    """
    if supervise not in SUPERVISE:
        raise UserError(f"supervise is {supervise!r}; expected one of {', '.join(SUPERVISE)}")
    if max_length < 2:
        raise UserError(f"max_length is {max_length}; expected at least 2 tokens, for the first is never learnt")
    check_tokenizer(tokenizer)
    check_system(tokenizer, system)
    encoder = _Encoder(tokenizer, max_length, system, supervise, truncate, Rejects(on_bad_row))
    examples: list[Example] = []
    for start in range(0, len(rows), _BATCH):
        examples.extend(encoder.examples(rows[start : start + _BATCH]))
    return EncodedSet(examples=examples, rejects=encoder.rejects.found, truncated=encoder.truncated)


@dataclass(frozen=True)
class _Draft:
    id: str
    row: Row
    answer: str | None
    content: Rendered | Example


@dataclass
class _Encoder:
    tokenizer: "PreTrainedTokenizerBase"
    max_length: int
    system: str | None
    supervise: str
    truncate: bool
    rejects: Rejects
    truncated: int = 0

    def examples(self, rows: Sequence[Row]) -> Iterator[Example]:
        """Encode a batch: rendered row by row, tokenized together."""
        drafts = [draft for row in rows for draft in self._drafts(row)]
        tokens = self._tokenized(drafts)
        for index, draft in enumerate(drafts):
            content = draft.content
            try:
                if isinstance(content, Rendered):
                    content = self._labelled(draft, content, tokens[index])
                yield self._fitted(content)
            except RowError as error:
                self._reject(draft.id, draft.row, draft.answer, error)

    def _tokenized(self, drafts: Sequence[_Draft]) -> dict[int, Tokens]:
        """Tokenize the rendered drafts together; those from a chat template bring their special tokens."""
        tokens: dict[int, Tokens] = {}
        for kind in (False, True):
            texts = {
                index: draft.content.text
                for index, draft in enumerate(drafts)
                if isinstance(draft.content, Rendered) and draft.content.from_template == kind
            }
            found = tokenize(self.tokenizer, list(texts.values()), from_template=kind)
            tokens |= zip(texts, found, strict=True)
        return tokens

    def _drafts(self, row: Row) -> Iterator[_Draft]:
        answers = answers_of(row)
        try:
            if row.text is not None:
                yield _Draft(row.id, row, None, self._plain(row.text))
                return
            if row.input_ids is not None:
                yield _Draft(row.id, row, None, self._pretokenised(row))
                return
            if not answers:
                raise RowError("no supervised token: the row has a prompt but no answer to learn")
        except RowError as error:
            self._reject(row.id, row, None, error)
            return
        for index, answer in enumerate(answers):
            id = row.id if len(answers) == 1 else f"{row.id}#{index}"
            try:
                yield _Draft(id, row, answer, self._rendered(row, answer))
            except RowError as error:
                self._reject(id, row, answer, error)

    def _rendered(self, row: Row, answer: str) -> Rendered:
        automatic = "assistant" if row.messages is not None else "completion"
        supervise = automatic if self.supervise == "auto" else self.supervise
        return render_answer(self.tokenizer, row, answer, system=self.system, supervise=supervise)

    def _plain(self, text: str) -> Rendered:
        if self.supervise not in ("auto", "all"):
            raise RowError(f"no supervised token: plain text has no answer; supervise={self.supervise} asks for one")
        return Rendered(text, ((0, len(text)),), text, from_template=False, needs_eos=True)

    def _pretokenised(self, row: Row) -> Example:
        assert row.input_ids is not None
        labels = row.labels if row.labels is not None else row.input_ids
        largest, size = max(max(row.input_ids), max(labels)), len(self.tokenizer)
        if largest >= size:
            raise RowError(f"out of range: token {largest}, but the tokenizer's vocabulary ends at {size - 1}")
        return Example(row.id, row.input_ids, (IGNORED, *labels[1:]))

    def _labelled(self, draft: _Draft, rendered: Rendered, tokens: Tokens) -> Example:
        ids = list(tokens.input_ids)
        labels = [IGNORED] * len(ids)
        starts, ends = [start for start, _ in tokens.offsets], [end for _, end in tokens.offsets]
        for start, end in rendered.spans:
            first, end_token = bisect_right(ends, start), bisect_left(starts, end)
            labels[first:end_token] = ids[first:end_token]
        eos = self.tokenizer.eos_token_id
        if rendered.needs_eos and eos is not None and ids[-1:] != [eos]:
            ids.append(eos)
            labels.append(eos)
        answer_of = draft.row.id if draft.row.id != draft.id else None
        learnt_bytes = len(rendered.learnt.encode()) if labels[0] == IGNORED else None
        return Example(draft.id, tuple(ids), (IGNORED, *labels[1:]), answer_of, learnt_bytes)

    def _fitted(self, example: Example) -> Example:
        """Check the length and that something is left to learn; cut where that was asked for."""
        length = len(example.input_ids)
        if length > self.max_length:
            if not self.truncate:
                raise RowError(f"longer than the limit: {length} tokens > {self.max_length}")
            ids, labels = example.input_ids[: self.max_length], example.labels[: self.max_length]
            example = replace(example, input_ids=ids, labels=labels, learnt_bytes=None)
        if not example.supervised_tokens:
            cut = f" among the first {self.max_length} of {length}" if length > self.max_length else ""
            raise RowError(f"no supervised token: nothing to learn{cut}")
        self.truncated += length > self.max_length
        return example

    def _reject(self, id: str, row: Row, answer: str | None, error: RowError) -> None:
        content: dict[str, Any] = row_content(row)
        if answer is not None and row.answers:
            content["answers"] = (answer,)
        self.rejects.add(Reject(source=row.source, line=row.line, id=id, reason=str(error), row=content))
