"""A tiny tokenizer and model, built here: no download."""

from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tiny import byte_tokenizer, tiny_llama


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer(template=None)


@pytest.fixture
def model() -> LlamaForCausalLM:
    return tiny_llama()


@pytest.fixture
def model_folder(tmp_path: Path, model: Any, tokenizer: Any) -> Path:
    folder = tmp_path / "tiny"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache and a cache of our own with nothing in them."""
    hub = tmp_path / "hub"
    hub.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    monkeypatch.setenv("ENTROTUNE_CACHE", str(tmp_path / "cache"))
    return hub
