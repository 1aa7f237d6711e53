"""A folder in which the pages' examples can run: a tiny model and the files they name."""

import json
import os
from pathlib import Path

import pytest

from tiny import byte_tokenizer, tiny_llama

COLOURS = ("teal", "red", "blue", "green", "grey", "pink", "white", "black")


def _chats(start: int) -> str:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Name colour {number}."},
                {"role": "assistant", "content": f"{COLOURS[number % len(COLOURS)]}, I think."},
            ]
        }
        for number in range(start, start + 8)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny-model/`, `chats.jsonl`, `held-out.jsonl`, `math.csv` and a recipe of a run."""
    folder = tmp_path_factory.mktemp("docs")
    tiny_llama(max_position_embeddings=1024).save_pretrained(folder / "tiny-model")
    byte_tokenizer().save_pretrained(folder / "tiny-model")
    (folder / "chats.jsonl").write_text(_chats(0), encoding="utf-8")
    (folder / "held-out.jsonl").write_text(_chats(8), encoding="utf-8")
    (folder / "math.csv").write_text("question,hint,answer\nWhat is 2+2?,Count.,4\nAnd 3+3?,Count.,6\n", "utf-8")
    return folder


@pytest.fixture
def inside(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the working folder."""
    monkeypatch.chdir(scratch)
    monkeypatch.setitem(os.environ, "HF_DATASETS_CACHE", str(scratch / "datasets-cache"))
    return scratch
