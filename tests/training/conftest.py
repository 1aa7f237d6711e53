"""A tiny model and a few rows on disk, and recipes that use them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrotune.training import TrainConfig
from tiny import byte_tokenizer, tiny_llama

ROWS = [{"prompt": f"count to {i}: ", "completion": " ".join(map(str, range(i % 7 + 1)))} for i in range(24)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model with dropout and its tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    tiny_llama(attention_dropout=0.1).save_pretrained(folder)
    byte_tokenizer(template=None).save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def overfits(tmp_path: Path) -> dict[str, Any]:
    """Options with which the validation NLL turns up after step 4: large steps, and validation rows of another kind."""
    path = tmp_path / "others.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"count to {i}: ", "completion": "0 1 z"}) + "\n" for i in range(5)))
    return {"validation": str(path), "learning_rate": 0.1, "method": "full", "evaluate_every": 2}


@pytest.fixture
def recipe(tmp_path: Path, base: Path, data: Path) -> Callable[..., TrainConfig]:
    """A recipe of 5 steps an epoch over 20 rows, with 4 held out; `out` is a name inside of the test's folder."""

    def make(out: str = "run", **changes: Any) -> TrainConfig:
        options: dict[str, Any] = {
            "model": str(base),
            "data": str(data),
            "out": str(tmp_path / out),
            "validation": 4,
            "max_length": 64,
            "epochs": 2,
            "batch_size": 4,
            "learning_rate": 1e-2,
            "lora_dropout": 0.1,
            "precision": "float32",
        }
        return TrainConfig(**(options | changes))

    return make
