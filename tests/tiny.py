"""A tiny tokenizer and tiny models, built here: no download."""

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# With marks for assistant-only losses.
TEMPLATE = (
    "{% for m in messages %}{{ '<s>' + m['role'] + ':' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '</s>' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant:' }}{% endif %}"
)
SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def byte_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """Every byte a token, after three special ones: any text round-trips."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", model_max_length=512
    )
    tokenizer.chat_template = template
    return tokenizer


def tiny_llama(seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    """A Llama of two layers with random weights."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**(SHAPE | changes))).eval()


def llama_saying(tokens: range) -> LlamaForCausalLM:
    """Random weights, in float64; no tokens but these have a chance."""
    model = tiny_llama(initializer_range=0.2)
    bias = torch.full((SHAPE["vocab_size"],), -torch.inf)
    bias[tokens.start : tokens.stop] = 0.0
    model.lm_head.bias = torch.nn.Parameter(bias)
    return model.double()
