"""Models of three families with random weights, far from uniform, saved as folders; rows from texts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from tiny import byte_tokenizer

SMALL: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


def masking_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, between a <s> and a </s> that the tokenizer adds, with a mask token."""
    tokenizer = byte_tokenizer(template=None)
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def ending_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, with a </s> behind them that the tokenizer adds."""
    tokenizer = byte_tokenizer(template=None)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    return tokenizer


def sharpened(model: Any) -> Any:
    """Weights large enough that predictions differ between places."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture(scope="session")
def bert() -> Any:
    return sharpened(BertForMaskedLM(BertConfig(**SMALL)))


@pytest.fixture(scope="session")
def roberta() -> Any:
    return sharpened(RobertaForMaskedLM(RobertaConfig(**SMALL)))


@pytest.fixture(scope="session")
def t5() -> Any:
    config = T5Config(
        vocab_size=300,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=2,
    )
    return sharpened(T5ForConditionalGeneration(config))


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any, Any], str]:
    def save(model: Any, tokenizer: Any) -> str:
        folder = tmp_path_factory.mktemp("models")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return save


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., str]:
    """Write rows, give the file."""

    def write(*rows: dict[str, Any]) -> str:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write
