"""The shape of a recurrent language model."""

from typing import Any

from transformers import PreTrainedConfig

from entrotune.errors import UserError


class LSTMConfig(PreTrainedConfig):
    """An embedding, a stack of LSTM layers (Hochreiter and Schmidhuber 1997), and a linear head.

    The defaults are those of the regulariser study: embedding of 10, one layer of 100, dropout of 0.1.

    Args:
        vocab_size: tokens.
        embedding_size: width of an embedding.
        hidden_size: width of the state, which is what the head multiplies.
        num_hidden_layers: LSTM layers.
        dropout: on what the head reads, and between layers.

    Raises:
        UserError: a size below 1, or a dropout that is no share.
    """

    model_type = "lstm"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012

    def __init__(
        self,
        vocab_size: int = 10_000,
        embedding_size: int = 10,
        hidden_size: int = 100,
        num_hidden_layers: int = 1,
        dropout: float = 0.1,
        use_cache: bool = True,
        pad_token_id: int | None = 0,
        bos_token_id: int | None = None,
        eos_token_id: int | None = 1,
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.dropout = dropout
        self.use_cache = use_cache
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be at least 0 and below 1, not {dropout}")
        if tie_word_embeddings and embedding_size != hidden_size:
            raise UserError(
                f"tied embeddings need one width, but embedding_size is {embedding_size} and hidden_size {hidden_size}"
            )
        special: dict[str, Any] = {
            "pad_token_id": pad_token_id,
            "bos_token_id": bos_token_id,
            "eos_token_id": eos_token_id,
            "tie_word_embeddings": tie_word_embeddings,
        }
        super().__init__(**special, **kwargs)
