"""What a study of curricula works on: rows of text, a tokenizer, models that know nothing yet."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from entrotune.data import Row, load_rows, split_rows
from entrotune.data.rows import texts_of
from entrotune.errors import UserError
from entrotune.experiments.curriculum_config import CurriculumConfig
from entrotune.files import atomic_write_text

END, PADDING = "<|end|>", "<|pad|>"

_NEED = "a study of curricula needs text or chats"


@dataclass(frozen=True)
class Material:
    """Rows of both sides of the split, and what was read."""

    train: list[Row]
    validation: list[Row]
    source: dict[str, Any]


def read_material(config: CurriculumConfig) -> Material:
    """Read the data and cut it into rows.

    Raises:
        UserError: data that cannot be used, or too little of it.
    """
    read = load_rows(config.data, format=config.format, columns=config.columns, limit=config.limit)
    texts = [piece for lines in _documents(read.rows) for piece in cut_text(lines, config.row_bytes)]
    rows = [Row(id=f"row-{number}", source=config.data, text=text) for number, text in enumerate(texts)]
    train, validation = split_rows(rows, validation=config.validation, seed=0)
    if len(train) < config.bins:
        raise UserError(f"{config.data} makes only {len(train)} training rows, but there are {config.bins} bins")
    source = {
        "source": config.data,
        "format": read.format,
        "rows_read": read.read,
        "rows_rejected": len(read.rejects),
        "train_rows": len(train),
        "validation_rows": len(validation),
        "bytes": sum(len(text.encode()) for text in texts),
    }
    return Material(train, validation, source)


def _documents(rows: Iterable[Row]) -> Iterator[list[str]]:
    """Lines that belong together: a chat, or all plain text of one source."""
    for _, group in groupby(rows, key=lambda row: row.source if row.text is not None else row.id):
        members = list(group)
        yield [line for row in members for text in texts_of(row, need=_NEED) for line in text.splitlines()]


def cut_text(lines: Iterable[str], limit: int) -> Iterator[str]:
    """Consecutive lines, joined as far as they fit into `limit` bytes; a longer line is parted at spaces.

    Nothing is lost but blank lines, and white space where a line is parted.
    """
    held = ""
    for line in lines:
        for part in _parts(line.strip(), limit):
            joined = f"{held}\n{part}" if held else part
            if len(joined.encode()) <= limit:
                held = joined
                continue
            yield held
            held = part
    if held:
        yield held


def _parts(line: str, limit: int) -> Iterator[str]:
    if line and len(line.encode()) <= limit:
        yield line
        return
    held = ""
    for word in line.split():
        # A word beyond the limit is a row of its own.
        joined = f"{held} {word}" if held else word
        if held and len(joined.encode()) > limit:
            yield held
            joined = word
        held = joined
    if held:
        yield held


def train_tokenizer(rows: Sequence[Row], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of the rows' text."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, PADDING],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator((row.text for row in rows), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=PADDING)


def model_config(config: CurriculumConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama of the study's shape, with tied embeddings."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=config.width * 8 // 3 // 8 * 8 or 8,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def write_material(config: CurriculumConfig, material: Material, folder: Path) -> None:
    """Write `train.jsonl`, `validation.jsonl` and, for every seed, an untrained model; what is there is kept."""
    for name, rows in (("train", material.train), ("validation", material.validation)):
        path = folder / f"{name}.jsonl"
        if not path.exists():
            lines = (json.dumps({"id": row.id, "text": row.text}, ensure_ascii=False) for row in rows)
            atomic_write_text(path, "".join(f"{line}\n" for line in lines))
    tokenizer = train_tokenizer(material.train, config.vocabulary)
    for seed in config.seeds:
        path, partial = folder / f"untrained-{seed}", folder / f".untrained-{seed}.partial"
        if path.exists():
            continue
        torch.manual_seed(seed)
        LlamaForCausalLM(model_config(config, tokenizer)).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        partial.rename(path)
