"""Rows to token sequences with the positions that count."""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrotune.data import Example, Reject, Row, RowBlock, answers_of, encode_rows
from entrotune.data.examples import IGNORED
from entrotune.data.rejects import Rejects, RowError
from entrotune.data.rows import row_content
from entrotune.data.tokens import unknown_token
from entrotune.scoring.options import ScoreOptions

Ints = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorable:
    """What is scored of a row.

    Attributes:
        row: where it comes from.
        id: the row's, or `row#0`, `row#1`, … where it has several answers.
        position: of the row's record in the input.
        text_hash: see the folder's conventions.
        input_ids: cut to the longest length.
        places: positions that count, ascending.
        targets: the token that follows each of them, −100 where none does.
        tokens_cut: how many were cut.
        tokens_unknown: of the targets, how many are the tokenizer's unknown token.
        bytes: of the text that `input_ids` stand for; in mode response, of the response, of which what is cut or
            given as tokens is decoded.
        nll_bytes: of the text that the targets stand for.
    """

    row: Row
    id: str
    position: int
    text_hash: str
    input_ids: Ints
    places: Ints
    targets: Ints
    tokens_cut: int
    tokens_unknown: int
    bytes: int
    nll_bytes: int


class Sequencer:
    """Turns blocks of rows into sequences.

    Args:
        tokenizer: of the model, a fast one.
        options: how to score.
        rejects: where rows go that cannot be scored.
    """

    def __init__(self, tokenizer: Any, options: ScoreOptions, rejects: Rejects) -> None:
        self.tokenizer, self.options, self.rejects = tokenizer, options, rejects
        self.unknown = unknown_token(tokenizer)

    def sequences(self, block: RowBlock) -> Iterator[Scorable]:
        """The sequences of a block, in the order of its rows."""
        if self.options.mode == "response":
            yield from self._responses(block)
            return
        texts = [raw_texts(row) for row in block.rows]
        encoded = self._tokenized([text for of_row in texts for text in of_row])
        for row, position, of_row in zip(block.rows, block.positions, texts, strict=True):
            for index, text in enumerate(of_row or [None]):
                id = row.id if len(of_row) < 2 else f"{row.id}#{index}"
                try:
                    if text is None:
                        yield self._pretokenised(row, position)
                    else:
                        yield self._text(row, id, position, text, *next(encoded))
                except RowError as error:
                    self._reject(row, id, error)

    def _tokenized(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Any]]:
        """Tokens of each text and where they stand in it, without an added end mark or a second BOS."""
        if not texts:
            return
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        adds = self.options.bos == "auto" and self.options.mode == "predicted"
        encoded = self.tokenizer(
            list(texts), add_special_tokens=adds, return_attention_mask=False, truncation=False, verbose=False
        )
        for ids, encoding in zip(encoded["input_ids"], encoded.encodings, strict=True):
            spans = [*range(len(ids))]
            if adds and ids and ids[-1] == eos and not _is_text(encoding, len(ids) - 1):
                spans.pop()
            if len(spans) > 1 and bos is not None and ids[0] == ids[1] == bos and not _is_text(encoding, 0):
                spans.pop(0)
            if self.options.bos == "always" and (not ids or ids[0] != bos):
                yield [bos, *ids], lambda at, e=encoding: None if at == 0 else e.token_to_chars(at - 1)
            else:
                first = spans[0] if spans else 0
                yield [ids[at] for at in spans], lambda at, e=encoding, f=first: e.token_to_chars(at + f)

    def _text(self, row: Row, id: str, position: int, text: str, ids: list[int], span: Any) -> Scorable:
        kept, places, targets = self._cut(ids)
        end = _end(span, len(kept) - 1, text)
        start = _start(span, int(places[0]) + 1) if len(kept) > 1 else end
        return Scorable(
            row=row,
            id=id,
            position=position,
            text_hash=text_hash(text),
            input_ids=kept,
            places=places,
            targets=targets,
            tokens_cut=len(ids) - len(kept),
            tokens_unknown=self._unknown(targets),
            bytes=len(text[:end].encode()),
            nll_bytes=len(text[start:end].encode()),
        )

    def _pretokenised(self, row: Row, position: int) -> Scorable:
        assert row.input_ids is not None
        largest, size = max(row.input_ids), len(self.tokenizer)
        if largest >= size:
            raise RowError(f"out of range: token {largest}, but the tokenizer's vocabulary ends at {size - 1}")
        kept, places, targets = self._cut(list(row.input_ids))
        return Scorable(
            row=row,
            id=row.id,
            position=position,
            text_hash=text_hash(json.dumps(row.input_ids)),
            input_ids=kept,
            places=places,
            targets=targets,
            tokens_cut=len(row.input_ids) - len(kept),
            tokens_unknown=self._unknown(targets),
            bytes=self._decoded_bytes(kept),
            nll_bytes=self._decoded_bytes(kept[1:]),
        )

    def _cut(self, ids: list[int]) -> tuple[Ints, Ints, Ints]:
        """The tokens that are kept, the positions that count, and what follows each."""
        if not ids:
            raise RowError("empty: the tokenizer makes no token of the text")
        kept = np.asarray(ids[: self.options.max_length], dtype=np.int32)
        following = kept[1:]
        if self.options.mode == "all":
            following = np.append(following, np.int32(IGNORED))
        if not len(following):
            raise RowError("no position that counts: one token, and nothing before it that could predict it")
        return kept, np.arange(len(following), dtype=np.int32), following

    def _responses(self, block: RowBlock) -> Iterator[Scorable]:
        rows = {}
        for row, position in zip(block.rows, block.positions, strict=True):
            answers = answers_of(row)
            for index, answer in enumerate(answers or ("",)):
                rows[row.id if len(answers) < 2 else f"{row.id}#{index}"] = row, position, answer
        encoded = encode_rows(block.rows, self.tokenizer, max_length=sys.maxsize, system=self.options.system)
        for reject in encoded.rejects:
            self.rejects.add(reject)
        for example in encoded.examples:
            row, position, answer = rows[example.id]
            try:
                yield self._response(example, row, position, answer)
            except RowError as error:
                self._reject(row, example.id, error)

    def _response(self, example: Example, row: Row, position: int, answer: str) -> Scorable:
        limit = self.options.max_length
        ids = np.asarray(example.input_ids, dtype=np.int32)
        following = np.asarray(example.labels[:limit], dtype=np.int32)[1:]
        places = np.flatnonzero(following != IGNORED).astype(np.int32)
        if not len(places):
            raise RowError(
                f"no position that counts: the response begins after the first {limit:,} of {len(ids):,} tokens"
            )
        size = example.learnt_bytes if len(ids) <= limit else None
        if size is None:
            size = self._decoded_bytes(following[places])
        return Scorable(
            row=row,
            id=example.id,
            position=position,
            text_hash=text_hash(json.dumps([row_content(row), answer], sort_keys=True, default=str)),
            input_ids=ids[:limit],
            places=places,
            targets=following[places],
            tokens_cut=max(0, len(ids) - limit),
            tokens_unknown=self._unknown(following[places]),
            bytes=size,
            nll_bytes=size,
        )

    def _unknown(self, targets: Ints) -> int:
        return 0 if self.unknown is None else int((targets == self.unknown).sum())

    def _decoded_bytes(self, ids: Ints) -> int:
        text = self.tokenizer.decode(ids.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return len(text.encode())

    def _reject(self, row: Row, id: str, error: RowError) -> None:
        self.rejects.add(Reject(source=row.source, line=row.line, id=id, reason=str(error), row=row_content(row)))


def raw_texts(row: Row) -> list[str]:
    """A row as text without a chat format, one for each of its answers; none where it is tokens.

    Prompt and answer are joined as they are; turns of a conversation, and an answer to them, by line ends.
    """
    if row.input_ids is not None:
        return []
    if row.text is not None:
        return [row.text]
    if isinstance(row.prompt, str):
        return [row.prompt + answer for answer in row.answers or ("",)]
    turns = [message["content"] for message in row.messages or row.prompt or ()]
    return ["\n".join([*turns, answer]) for answer in row.answers] or ["\n".join(turns)]


def reject_of(one: Scorable, reason: str) -> Reject:
    """The reject of a sequence."""
    return Reject(source=one.row.source, line=one.row.line, id=one.id, reason=reason, row=row_content(one.row))


def text_hash(text: str) -> str:
    """The hash by which a score table tells the text of a row."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_text(encoding: Any, at: int) -> bool:
    """Whether a token stands for characters of the text."""
    span = encoding.token_to_chars(at)
    return span is not None and span[1] > span[0]


def _start(span: Any, at: int) -> int:
    """The first character of a token of the text."""
    found = span(at)
    return 0 if found is None else int(found[0])


def _end(span: Any, at: int, text: str) -> int:
    """Where the text of the tokens up to `at` ends; an added token in front stands for none of it."""
    found = span(at)
    return (0 if at == 0 else len(text)) if found is None else int(found[1])
