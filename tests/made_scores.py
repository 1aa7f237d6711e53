"""Score folders with numbers of a test's choice, in the schema that scoring writes; no model."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from entrotune.scoring.folder import part_path, schema


def text_of(number: int) -> str:
    """The text of a made-up row."""
    return f"text {number} <b>of</b> a row"


def write_scores(
    folder: Path,
    columns: Mapping[str, Any],
    *,
    texts: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    kept: Mapping[str, Sequence[Any]] | None = None,
    model: str = "made-up",
    tokenizer: str = "bytes",
    status: str = "finished",
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Write a score folder whose columns are those given, and 1.0 where a column is not; returns the folder."""
    size = len(next(iter(columns.values())))
    texts = texts or [text_of(number) for number in range(size)]
    defaults: dict[str, Any] = {
        "id": ids or [f"row-{number}" for number in range(size)],
        "position": range(size),
        "source": ["rows.jsonl"] * size,
        "line": range(1, size + 1),
        "text_hash": [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts],
        "tokens": [10] * size,
        "tokens_cut": [0] * size,
        "tokens_unknown": [0] * size,
        "bytes": [len(text.encode()) for text in texts],
        "nll_tokens": [9] * size,
        "nll_bytes": [9] * size,
    }
    defaults |= {f"kept_{name}": [json.dumps(value) for value in values] for name, values in (kept or {}).items()}
    fields = schema(per_token=False, top_k=0, kept=kept or ())
    arrays = [
        pyarrow.array(_plain(columns.get(field.name, defaults.get(field.name, [1.0] * size))), field.type)
        for field in fields
    ]
    path = part_path(folder, 0)
    path.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=fields), path)
    manifest = {
        "schema_version": 1,
        "kind": "scores",
        "status": status,
        "model": {"name": model, "fingerprint": f"weights of {model}", "tokenizer_fingerprint": tokenizer},
        "data": {"source": "rows.jsonl", "format": "text"},
        "options": {"mode": "all", "precision": "float32", **(options or {})},
        "conventions": {"entropy": "nats per token"},
        "counts": {
            "read": size,
            "scored": size,
            "rejected": 0,
            "tokens": 10 * size,
            "tokens_cut": 0,
            "tokens_unknown": 0,
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)
