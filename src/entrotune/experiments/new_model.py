"""`entrotune new-model`: an untrained model with the words of a data set."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from entrotune.errors import UserError
from entrotune.experiments.folders import check_model_folder
from entrotune.seeds import check_seed

Kind = Literal["lstm", "transformer"]


def new_model(
    *,
    out: str,
    kind: Kind = "lstm",
    data: str = "chitchat:openers",
    column: str | None = None,
    columns: dict[str, str] | None = None,
    limit: int | None = None,
    vocabulary: int = 10_000,
    lowercase: bool = True,
    hidden_size: int = 100,
    embedding_size: int | None = None,
    layers: int | None = None,
    heads: int | None = None,
    dropout: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Make a small untrained model whose tokenizer knows the words of a data set, and write both to a folder.

    Args:
        out: the folder to make, which every command takes as a model.
        kind: lstm, or transformer (Llama's layers) for contrast.
        data: what the words are taken from: a .csv, .jsonl, .txt or other file of rows, or the embedded chats.
        column: the column of the texts, where rows are plain text.
        columns: our column name to the file's, such as {"prompt": "question"}; instead of column.
        limit: use only so many rows.
        vocabulary: words and punctuation marks at most, and three special tokens; rarer words are unknown.
        lowercase: read capitals as small letters.
        hidden_size: width of the state, or of the Transformer.
        embedding_size: width of an embedding, of an LSTM; by default 10.
        layers: by default 1 of an LSTM, 2 of a Transformer.
        heads: of attention, of a Transformer; by default 2.
        dropout: on what the head reads, of an LSTM; by default 0.1.
        seed: fixes the initial weights.
        overwrite: replace a model in `out`.

    Returns:
        What was made: `out`, `kind`, `parameters`, `vocabulary`, `rows`, `rejected`, `words`, `unknown_share`.

    Raises:
        ValueError: data without a word, a column that does not exist, a size that cannot be used, or `out` is taken.
    """
    check_seed("seed", seed)
    folder = Path(out)
    check_model_folder(folder, overwrite=overwrite)
    sizes = _sizes(kind, embedding_size=embedding_size, layers=layers, heads=heads, dropout=dropout)
    if column is not None and columns is not None:
        raise UserError("column and columns were given; give one of them")
    given: dict[str, Any] = {"format": "text", "columns": {"text": column}} if column else {"columns": columns}
    # They bring torch, for which --help must not wait.
    from entrotune.data import load_rows
    from entrotune.data.rows import texts_of
    from entrotune.models import count_parameters, make_lstm, make_transformer, save_model

    read = load_rows(data, limit=limit, **given)
    texts = [text for row in read.rows for text in texts_of(row, need="words are taken from text")]
    make = make_lstm if kind == "lstm" else make_transformer
    model, tokenizer = make(
        texts, vocabulary=vocabulary, lowercase=lowercase, hidden_size=hidden_size, seed=seed, **sizes
    )
    words, unknown = _unknown(tokenizer, texts)
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    save_model(model, tokenizer, folder)
    return {
        "out": out,
        "kind": kind,
        "parameters": count_parameters(model)[0],
        "vocabulary": len(tokenizer),
        "rows": len(read.rows),
        "rejected": len(read.rejects),
        "words": words,
        "unknown_share": unknown / words,
    }


def _sizes(kind: Kind, **given: Any) -> dict[str, Any]:
    """The sizes that were given; one that the kind does not have is refused."""
    if kind not in get_args(Kind):
        raise UserError(f"kind is {kind!r}; expected {' or '.join(get_args(Kind))}")
    foreign = {"lstm": ("heads",), "transformer": ("embedding_size", "dropout")}[kind]
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in foreign:
        if name in chosen:
            raise UserError(f"{name} was given, but a model of kind {kind} has none; leave it out")
    return chosen


def _unknown(tokenizer: Any, texts: Sequence[str]) -> tuple[int, int]:
    """Words of the texts, and how many of them are unknown."""
    counts = Counter(token for ids in tokenizer(list(texts), verbose=False)["input_ids"] for token in ids)
    return counts.total(), counts[tokenizer.unk_token_id]
