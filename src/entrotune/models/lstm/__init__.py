"""A recurrent language model as a transformers model, with a tokenizer of whole words: small enough to see through."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from entrotune.models.lstm.config import LSTMConfig
from entrotune.models.lstm.fresh import make_lstm, make_transformer
from entrotune.models.lstm.model import LSTMForCausalLM, LSTMModel, LSTMOutput, LSTMState
from entrotune.models.lstm.words import word_tokenizer

AutoConfig.register(LSTMConfig.model_type, LSTMConfig, exist_ok=True)
AutoModel.register(LSTMConfig, LSTMModel, exist_ok=True)
AutoModelForCausalLM.register(LSTMConfig, LSTMForCausalLM, exist_ok=True)

__all__ = [
    "LSTMConfig",
    "LSTMForCausalLM",
    "LSTMModel",
    "LSTMOutput",
    "LSTMState",
    "make_lstm",
    "make_transformer",
    "word_tokenizer",
]
