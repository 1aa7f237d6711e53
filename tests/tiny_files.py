"""A tiny model folder and a data file, written where a test wants them."""

import json
from pathlib import Path

from tiny import byte_tokenizer, tiny_llama


def write_model(folder: Path) -> Path:
    """Save the tiny Llama with its tokenizer; returns the folder."""
    tiny_llama().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def write_rows(path: Path, count: int = 24) -> Path:
    """Write prompts with completions, one JSON object a line; returns the file."""
    rows = ({"prompt": f"question {i}?", "completion": f"answer {i % 5}, yes"} for i in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
