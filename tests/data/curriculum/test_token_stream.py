"""A stream of tokens is what tokenizing the rows in that order gives."""

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from entrotune.data import Row, encode_rows
from entrotune.data.curriculum import Order, write_token_stream
from entrotune.errors import UserError
from tiny import byte_tokenizer

ROWS = [Row(id=f"r{i}", source="x", text=f"text {i} " + "ab" * i) for i in range(6)]
ROWS += [Row(id="q", source="x", prompt="why?", answers=("so", "because"))]
ORDER = Order(["r3", "r0", "q#1", "r3", "r5", "r1", "r2", "q#0", "r4"])


def expected(tokenizer: Any) -> list[int]:
    """Each row encoded by itself, one after the other."""
    found = {example.id: list(example.input_ids) for example in encode_rows(ROWS, tokenizer, max_length=10**6).examples}
    documents = [found[id] for id in ORDER.ids]
    eos = tokenizer.eos_token_id
    return [token for one in documents for token in (one if one[-1] == eos else [*one, eos])]


@pytest.mark.parametrize("shard_tokens", [10**6, 40, 1])
def test_memmap_reads_what_was_tokenized(tmp_path: Path, shard_tokens: int) -> None:
    tokenizer = byte_tokenizer()
    meta = write_token_stream(ORDER, iter(ROWS), tokenizer, tmp_path / "out", shard_tokens=shard_tokens)
    shards = sorted((tmp_path / "out").glob("shard-*.bin"))
    assert [shard["file"] for shard in meta["shards"]] == [path.name for path in shards]
    read = [np.memmap(path, dtype=np.uint16, mode="r") for path in shards]
    assert np.concatenate(read).tolist() == expected(tokenizer)
    assert [len(part) for part in read] == [shard["tokens"] for shard in meta["shards"]]
    assert all(part[-1] == tokenizer.eos_token_id for part in read)
    assert len(shards) == {10**6: 1, 40: len(shards), 1: len(ORDER.ids)}[shard_tokens]
    assert all(len(part) >= min(shard_tokens, 40) for part in read[:-1])
    assert (meta["dtype"], meta["documents"], meta["tokens"]) == ("uint16", 9, len(expected(tokenizer)))
    assert meta["order"]["fingerprint"] == ORDER.fingerprint
    assert json.loads((tmp_path / "out/meta.json").read_text()) == meta
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_large_vocabularies_take_32_bits(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([f"<extra {i}>" for i in range(2**16)])
    last = Row(id="last", source="x", text=f"<extra {2**16 - 1}>")
    meta = write_token_stream(Order(["last"]), [last], tokenizer, tmp_path / "out")
    assert meta["dtype"] == "uint32"
    read = np.memmap(tmp_path / "out/shard-00000.bin", dtype=np.uint32, mode="r")
    assert read.tolist() == [len(tokenizer) - 1, tokenizer.eos_token_id]


def test_rows_that_cannot_be_encoded_are_counted(tmp_path: Path) -> None:
    rows = [*ROWS, Row(id="bad", source="x", prompt="nobody answers")]
    meta = write_token_stream(Order([*ORDER.ids, "bad"]), rows, byte_tokenizer(), tmp_path / "out")
    assert meta["rows"]["steps_removed"] == {"rejected": 1}
    assert json.loads((tmp_path / "out/rejects.jsonl").read_text())["id"] == "bad"


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names 1 of 9 rows that the training data lacks"):
        write_token_stream(Order([*ORDER.ids, "other"]), ROWS, byte_tokenizer(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    write_token_stream(ORDER, ROWS, byte_tokenizer(), tmp_path / "out")
    with pytest.raises(UserError, match="already holds files"):
        write_token_stream(ORDER, ROWS, byte_tokenizer(), tmp_path / "out")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer().backend_tokenizer)
    with pytest.raises(UserError, match="no end-of-sequence token"):
        write_token_stream(ORDER, ROWS, tokenizer, tmp_path / "other")


@pytest.mark.parametrize(("most", "name"), [(200, "documents"), (1000, "shard-00000.bin")])
def test_a_full_disk_is_told_with_the_file(tmp_path: Path, most: int, name: str) -> None:
    repeated = Order(ORDER.ids * 100)
    assert 200 < 2 * len(expected(byte_tokenizer())) < 1000, "the documents fit into the larger one"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as raised:
            write_token_stream(repeated, ROWS, byte_tokenizer(), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Path(raised.value.filename).name == name
    assert list(tmp_path.iterdir()) == []
