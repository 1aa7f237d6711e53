"""Token streams for other trainers: flat little-endian tokens in the order of an order (nanoGPT's layout)."""

import itertools
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entrotune.data.curriculum.join import Joined, join_order
from entrotune.data.curriculum.order_file import Order
from entrotune.data.encode import encode_rows
from entrotune.data.examples import Example
from entrotune.data.rejects import Reject, write_rejects
from entrotune.data.rows import Row
from entrotune.errors import UserError
from entrotune.files import atomic_write_json, naming

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SCHEMA_VERSION = 1
META_FILE = "meta.json"
_BATCH = 256


def write_token_stream(
    order: Order,
    rows: Iterable[Row],
    tokenizer: "PreTrainedTokenizerBase",
    folder: str | Path,
    *,
    shard_tokens: int = 100_000_000,
    described: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Tokenize rows and write them in an order as `shard-00000.bin`, … with a `meta.json`.

    A shard is nothing but tokens: unsigned, little-endian, 16 bits where the vocabulary fits, else 32. A document is a
    row as `train` would encode it, closed by the end-of-sequence token; the documents stand in the sequence of the
    order, one for each of its steps, and none is cut by the end of a shard. The rows are tokenized once, to a file
    beside the shards, so memory holds an id and two numbers a row, not the tokens.

    Args:
        order: what to follow.
        rows: the data, in any order.
        tokenizer: a fast one with an end-of-sequence token.
        folder: to make; it appears whole or not at all.
        shard_tokens: a shard is closed by the document with which it reaches so many tokens.
        described: what else `meta.json` says, such as the names of data and tokenizer.

    Returns:
        The content of `meta.json`.

    Raises:
        UserError: the folder holds files, the tokenizer has no end of sequence, or ids do not match.
    """
    folder = Path(folder)
    check_stream_folder(folder)
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no end-of-sequence token to put between documents; use another")
    dtype = np.dtype("<u2" if max(tokenizer.get_vocab().values()) < 2**16 else "<u4")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        documents = _Documents(partial / "documents", dtype)
        rejects = documents.write(rows, tokenizer)
        joined = join_order(order, documents.ids, absent={"rejected": [r.id for r in rejects if r.id is not None]})
        shards = list(_write_shards(documents, joined, partial, shard_tokens))
        documents.path.unlink()
        meta = {
            "schema_version": SCHEMA_VERSION,
            "kind": "token_stream",
            "dtype": f"uint{dtype.itemsize * 8}",
            "byte_order": "little",
            "tokens": sum(shard["tokens"] for shard in shards),
            "documents": len(joined.indices),
            "vocabulary": len(tokenizer),
            "eos_token_id": tokenizer.eos_token_id,
            "shards": shards,
            "order": order.describe(),
            "rows": joined.counts(),
            **(described or {}),
        }
        if rejects:
            write_rejects(partial / "rejects.jsonl", rejects)
        atomic_write_json(partial / META_FILE, meta)
        if folder.exists():  # empty, as was checked
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return meta


def check_stream_folder(folder: Path) -> None:
    """Raise `UserError` unless a stream may be written there."""
    if folder.is_file():
        raise UserError(f"{folder} is a file; give the name of a folder to write the token stream to")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} already holds files; give the name of another folder for the token stream")


class _Documents:
    """The tokenized rows in one file, in the order they were read."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self.path = path
        self.dtype = dtype
        self.ids: list[str] = []
        self.ends: list[int] = [0]

    def write(self, rows: Iterable[Row], tokenizer: "PreTrainedTokenizerBase") -> list[Reject]:
        """Tokenize and append all rows; return those that cannot be encoded."""
        rejects: list[Reject] = []
        remaining = iter(rows)
        with naming(self.path), self.path.open("wb") as file:
            while batch := list(itertools.islice(remaining, _BATCH)):
                encoded = encode_rows(batch, tokenizer, max_length=sys.maxsize)
                rejects.extend(encoded.rejects)
                for example in encoded.examples:
                    tokens = _closed(example, tokenizer)
                    file.write(tokens.astype(self.dtype).data)
                    self.ids.append(example.id)
                    self.ends.append(self.ends[-1] + len(tokens))
        return rejects

    def tokens(self) -> np.ndarray[Any, Any]:
        """All tokens, read from disk as they are used."""
        if not self.ends[-1]:
            return np.empty(0, self.dtype)
        return np.memmap(self.path, dtype=self.dtype, mode="r")


def _closed(example: Example, tokenizer: "PreTrainedTokenizerBase") -> np.ndarray[Any, Any]:
    ids = example.input_ids
    eos = tokenizer.eos_token_id
    return np.asarray(ids if ids[-1] == eos else (*ids, eos), dtype=np.int64)


def _write_shards(documents: _Documents, joined: Joined, folder: Path, shard_tokens: int) -> Iterator[dict[str, Any]]:
    """Write the documents in order; yield a description of each shard when it is complete."""
    tokens, ends = documents.tokens(), documents.ends
    steps = iter(joined.indices.tolist())
    for number in itertools.count():
        first = next(steps, None)
        if first is None:
            return
        path = folder / f"shard-{number:05d}.bin"
        written = count = 0
        with naming(path), path.open("wb") as file:
            for index in itertools.chain([first], steps):
                document = tokens[ends[index] : ends[index + 1]]
                file.write(document.data)
                written, count = written + len(document), count + 1
                if written >= shard_tokens:
                    break
        yield {"file": path.name, "tokens": written, "documents": count}
