"""A comparison of tiny models, run once, and what it is made of."""

from pathlib import Path
from typing import Any

import pytest

from entrotune import CompareConfig, TrainConfig, compare, load_model
from entrotune.evaluation import evaluate_nll
from entrotune.training import read_rows
from tiny_files import write_model, write_rows


def validation_nll(train: TrainConfig, model: Path, **options: Any) -> float:
    """NLL a token of a model, loaded with these options, on the rows that a recipe holds out."""
    loaded, tokenizer = load_model(model, device="cpu", **options)
    scores = evaluate_nll(loaded, tokenizer, read_rows(train, tokenizer).validation)
    return sum(score.nll[0] for score in scores) / sum(score.tokens for score in scores)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl")


def small(model: Path, rows: Path, out: Path, **changes: Any) -> CompareConfig:
    """Two objectives, two temperatures: about two seconds."""
    train = TrainConfig(
        data=str(rows),
        model=str(model),
        validation=0.25,
        epochs=2,
        batch_size=4,
        method="full",
        learning_rate=1e-3,
        max_length=128,
        split_seed=3,
    )
    options: dict[str, Any] = {
        "objectives": ["gem(beta=0.7)", "ce - 0.1*entropy"],
        "temperatures": [1.0, 1.5],
        "samples": 3,
        "prompts": 4,
        "max_new_tokens": 4,
        "train": train,
        "out": str(out),
    }
    return CompareConfig(**(options | changes))


@pytest.fixture(scope="session")
def compared(model: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the record of a comparison with two seeds."""
    out = tmp_path_factory.mktemp("compared") / "comparison"
    record = compare(small(model, rows, out, seeds=[0, 1]), progress=False)
    return out, record
