"""What is known of a model without its weights."""

from pathlib import Path

import pytest

from entrotune.errors import UserError
from entrotune.models import context_length, count_parameters, describe_model, load_model


def test_description_equals_the_loaded_model(model_folder: Path) -> None:
    described = describe_model(model_folder)
    model, tokenizer = load_model(model_folder, device="cpu")
    assert described.parameters == count_parameters(model)[0]
    assert described.context == context_length(model) == 512
    assert described.tokenizer.get_vocab() == tokenizer.get_vocab()


def test_no_weights_are_read(model_folder: Path) -> None:
    (model_folder / "model.safetensors").write_bytes(b"not weights")
    assert describe_model(model_folder).parameters > 10_000


def test_a_configuration_of_another_kind(model_folder: Path) -> None:
    (model_folder / "config.json").write_text('{"model_type": "no_such_model"}')
    with pytest.raises(UserError, match=r"the configuration of model .* cannot be used"):
        describe_model(model_folder)
