"""A tiny model whose predictions are far from uniform, so that a mistake shows, and texts of many lengths."""

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tiny import byte_tokenizer, tiny_llama

TEXTS = (
    "a",
    "the cat sat on the mat",
    "naïve café 💡 in UTF-8",
    "  white space counts  ",
    "x" * 90,
    "To be, or not to be, that is the question: whether 'tis nobler in the mind",
    "two\nlines",
)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture(scope="session")
def sharp_model() -> LlamaForCausalLM:
    model = tiny_llama()
    torch.nn.init.normal_(model.lm_head.weight, std=0.3)
    return model


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sharp"
    sharp_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Rows of text with a label, 4 times over, so that there are several parts."""
    path = tmp_path / "texts.jsonl"
    rows = [{"id": f"t{i}", "text": TEXTS[i % len(TEXTS)] + " " * (i > 6) + str(i), "label": i % 3} for i in range(28)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
