"""Sequence-classification models by name: a reward for a prompt and its response, or probabilities of labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from entrotune.errors import UserError
from entrotune.models import load_tokenizer
from entrotune.models.loading import model_folder
from entrotune.models.sources import resolve_model


def check_reward_model(name: str) -> None:
    """See from its settings alone, before anything is generated, that a reward model can be used.

    Raises:
        UserError: no such model, one without a classification head or with several labels, or one whose tokenizer has
            more tokens than it.
    """
    _check_vocabulary(name, load_tokenizer(name))
    settings = _settings(name)
    kinds = settings.architectures or []
    if not any(kind.endswith("ForSequenceClassification") for kind in kinds):
        raise UserError(
            f"'{name}' is no reward model: it is a {', '.join(kinds) or 'model of unknown kind'}, "
            "expected one for sequence classification with one label"
        )
    if settings.num_labels != 1:
        raise UserError(_several_labels(name, settings.num_labels))


def _settings(name: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model_folder(resolve_model(name)), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"'{name}' is no model that can be read: {str(error).splitlines()[0]}") from error


def _check_vocabulary(name: str, tokenizer: Any) -> None:
    rows = _settings(name).get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise UserError(
            f"the tokenizer of '{name}' has {len(tokenizer)} tokens, but the model knows {rows}: it is that of another "
            "model; save the right one beside the weights"
        )


def _several_labels(name: str, count: int) -> str:
    return f"reward model '{name}' has {count} labels; expected one number for a response"


class SequenceClassifier:
    """A model with a classification head, for rewards and for the content filter.

    Args:
        name: a folder or hub id of a sequence-classification model with its tokenizer.
        device: such as `cuda`; the accelerator by default, where there is one.

    Raises:
        UserError: no such model, or it cannot be loaded with all its weights.
    """

    def __init__(self, name: str, *, device: str | None = None) -> None:
        from transformers import AutoModelForSequenceClassification

        self.tokenizer = load_tokenizer(name)
        _check_vocabulary(name, self.tokenizer)
        folder = model_folder(resolve_model(name))
        try:
            loaded: Any = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise UserError(f"'{name}' is no sequence-classification model: {str(error).splitlines()[0]}") from error
        model, info = loaded
        if info["missing_keys"]:
            raise UserError(f"'{name}' is no sequence-classification model: it lacks {sorted(info['missing_keys'])[0]}")
        chosen = device or torch.accelerator.current_accelerator(check_available=True) or "cpu"
        self.name, self.model = name, model.to(chosen).eval()
        self.model.config.pad_token_id = self.tokenizer.pad_token_id

    def __call__(self, text: str) -> Mapping[str, float]:
        """The probability of each label; sigmoid where the labels do not exclude each other."""
        logits = self._logits(self.tokenizer(text, return_tensors="pt"))
        single = len(logits) == 1 or self.model.config.problem_type == "multi_label_classification"
        values = logits.sigmoid() if single else logits.softmax(-1)
        return {str(self.model.config.id2label[i]): float(value) for i, value in enumerate(values)}

    def reward(self, messages: Sequence[Mapping[str, str]], response: str) -> float:
        """The one number that a reward model gives a conversation that ends with the response.

        Raises:
            UserError: the model has several labels.
        """
        turns = [*messages, {"role": "assistant", "content": response}]
        if self.tokenizer.chat_template:
            encoded = self.tokenizer.apply_chat_template(turns, return_dict=True, return_tensors="pt")
        else:
            encoded = self.tokenizer("\n".join(turn["content"] for turn in turns), return_tensors="pt")
        logits = self._logits(encoded)
        if len(logits) != 1:
            raise UserError(_several_labels(self.name, len(logits)))
        return float(logits[0])

    @torch.no_grad()
    def _logits(self, encoded: Any) -> torch.Tensor:
        inputs = {key: encoded[key].to(self.model.device) for key in ("input_ids", "attention_mask")}
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if limit and inputs["input_ids"].shape[1] > limit:
            raise UserError(
                f"a text has {inputs['input_ids'].shape[1]} tokens, more than the {limit} that '{self.name}' can read"
            )
        return self.model(**inputs).logits[0].float()
