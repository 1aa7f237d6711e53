"""Models that know nothing yet, with the words of given texts: an LSTM, and a small Transformer for contrast."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from entrotune.errors import UserError
from entrotune.models.lstm.config import LSTMConfig
from entrotune.models.lstm.model import LSTMForCausalLM
from entrotune.models.lstm.words import word_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


def make_lstm(
    texts: Iterable[str],
    *,
    vocabulary: int = 10_000,
    lowercase: bool = True,
    hidden_size: int = 100,
    embedding_size: int = 10,
    layers: int = 1,
    dropout: float = 0.1,
    seed: int = 0,
) -> tuple[LSTMForCausalLM, "PreTrainedTokenizerFast"]:
    """Make an untrained LSTM that reads the words of `texts`, and its tokenizer.

    The random state of torch is afterwards what it was before.

    Args:
        texts: what the vocabulary is taken from.
        vocabulary: tokens at most; see `word_tokenizer`.
        lowercase: read capitals as small letters.
        hidden_size: width of the state.
        embedding_size: width of an embedding.
        layers: LSTM layers.
        dropout: on what the head reads, and between layers.
        seed: fixes the initial weights.

    Returns:
        The model in evaluation mode, and the tokenizer.

    Raises:
        UserError: no word in the texts, or a size that cannot be used.
    """
    tokenizer = word_tokenizer(texts, vocabulary=vocabulary, lowercase=lowercase)
    config = LSTMConfig(
        vocab_size=max(len(tokenizer), 5),
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        dropout=dropout,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LSTMForCausalLM(config).eval(), tokenizer


def make_transformer(
    texts: Iterable[str],
    *,
    vocabulary: int = 10_000,
    lowercase: bool = True,
    hidden_size: int = 100,
    layers: int = 2,
    heads: int = 2,
    context: int = 1024,
    seed: int = 0,
) -> tuple["LlamaForCausalLM", "PreTrainedTokenizerFast"]:
    """Make an untrained Transformer (Llama's layers) of the same words; see `make_lstm`.

    Args:
        heads: of attention; they share `hidden_size`.
        context: positions it reaches to, tokens.

    Raises:
        UserError: no word in the texts, or sizes that do not fit.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    if min(hidden_size, layers, heads, context) < 1 or hidden_size % (2 * heads):
        raise UserError(
            f"hidden_size is {hidden_size} with {heads} heads and {layers} layers; expected an even width a head"
        )
    tokenizer = word_tokenizer(texts, vocabulary=vocabulary, lowercase=lowercase)
    config = LlamaConfig(
        vocab_size=max(len(tokenizer), 5),
        hidden_size=hidden_size,
        intermediate_size=4 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval(), tokenizer
