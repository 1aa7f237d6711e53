"""A tiny model and a tokenizer of bytes, built here: no download."""

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

from tiny import SHAPE, byte_tokenizer, tiny_llama


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture
def model() -> LlamaForCausalLM:
    model = tiny_llama(attention_dropout=0.5, max_position_embeddings=256)
    torch.nn.init.normal_(model.lm_head.weight, std=0.3)  # far from uniform, so that a mistake shows
    return model.eval()


@pytest.fixture
def capped_model() -> Gemma2ForCausalLM:
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(
        Gemma2Config(**SHAPE | {"max_position_embeddings": 256}, head_dim=8, final_logit_softcapping=2.0)
    )
    torch.nn.init.normal_(model.lm_head.weight, std=0.3)
    return model.eval()
