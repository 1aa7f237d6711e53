"""A small LSTM whose predictions are far from uniform, so that a mistake shows, and the words it knows."""

from pathlib import Path
from typing import Any

import pytest
import torch

from entrotune.models import LSTMForCausalLM, make_lstm, save_model
from models.lstm.texts import TEXTS


@pytest.fixture(scope="session")
def made() -> tuple[LSTMForCausalLM, Any]:
    model, tokenizer = make_lstm(TEXTS, hidden_size=16, embedding_size=6, layers=2, dropout=0.3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7, generator=torch.Generator().manual_seed(parameter.numel()))
    return model, tokenizer


@pytest.fixture(scope="session")
def model(made: tuple[LSTMForCausalLM, Any]) -> LSTMForCausalLM:
    return made[0]


@pytest.fixture(scope="session")
def tokenizer(made: tuple[LSTMForCausalLM, Any]) -> Any:
    return made[1]


@pytest.fixture
def folder(tmp_path: Path, model: LSTMForCausalLM, tokenizer: Any) -> Path:
    save_model(model, tokenizer, tmp_path / "lstm")
    return tmp_path / "lstm"
