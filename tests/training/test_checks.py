"""Models and arguments that `EntropicTrainer` refuses before it trains."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForSeq2Seq,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    ModernBertDecoderConfig,
    ModernBertDecoderForCausalLM,
)
from trl import SFTConfig

from entrotune import EntropicTrainer, UserError
from tiny import SHAPE, byte_tokenizer, tiny_llama

ROWS = [{"prompt": f"{i}: ", "completion": "yes " * (i % 3 + 1)} for i in range(8)]
BERT = {name: value for name, value in SHAPE.items() if name != "num_key_value_heads"}


def trainer_of(folder: Path, model: Any, *, bf16: bool = False, **options: Any) -> EntropicTrainer:
    torch.manual_seed(0)
    return EntropicTrainer(
        model=model,
        args=SFTConfig(str(folder), use_cpu=True, report_to="none", disable_tqdm=True, bf16=bf16, max_steps=1),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=byte_tokenizer(template=None),
        **options,
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LlamaModel(LlamaConfig(**SHAPE)), "LlamaModel is no causal language model"),
        (lambda: LlamaForSequenceClassification(LlamaConfig(**SHAPE)), "load it with AutoModelForCausalLM"),
        (lambda: BertForMaskedLM(BertConfig(**BERT)), "BertForMaskedLM is no causal language model"),
        # A layer stands between its hidden states and the weight that is found, so the loss would be of other logits.
        (
            lambda: ModernBertDecoderForCausalLM(ModernBertDecoderConfig(**BERT, cls_token_id=1, sep_token_id=2)),
            "the output head of ModernBertDecoderForCausalLM is not understood",
        ),
    ],
    ids=["backbone", "classifier", "masked", "another head"],
)
def test_a_model_with_another_head_is_refused(tmp_path: Path, make: Callable[[], Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        trainer_of(tmp_path, make())


def test_a_masked_model_is_refused_with_a_collator_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the output head of BertForMaskedLM is not understood"):
        trainer_of(
            tmp_path, BertForMaskedLM(BertConfig(**BERT)), data_collator=DataCollatorForSeq2Seq(byte_tokenizer())
        )


def test_an_adapter_on_the_head_is_refused_before_training(tmp_path: Path) -> None:
    model = tiny_llama()
    model.add_adapter(LoraConfig(target_modules=["q_proj", "lm_head"]))
    with pytest.raises(UserError, match="there is an adapter on the output head"):
        trainer_of(tmp_path, model)


def test_two_precisions_need_autocast(tmp_path: Path) -> None:
    def half() -> Any:
        model = tiny_llama().bfloat16()
        model.lm_head.float()
        return model

    with pytest.raises(
        UserError, match=r"are torch\.bfloat16 and the head is torch\.float32; convert one, or run under"
    ):
        trainer_of(tmp_path, half())
    trainer_of(tmp_path, half(), bf16=True).train()


def test_weights_that_come_later_are_not_looked_at(tmp_path: Path) -> None:
    model = tiny_llama()
    for weight in model.parameters():
        weight.data = torch.empty(0)  # as ZeRO-3 leaves them until its engine is there
    assert trainer_of(tmp_path, model).objective.needs.reference is False


def test_a_loss_function_is_refused_where_it_is_given_by_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="compute_loss_func would replace the objective"):
        EntropicTrainer(tiny_llama(), None, None, None, None, None, lambda outputs, labels, num_items_in_batch: None)


def test_the_objective_of_a_trainer_stays(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, tiny_llama(), objective="ce - 0.1*entropy")
    with pytest.raises(AttributeError, match="objective"):
        trainer.objective = "ce"  # type: ignore[assignment, misc]
    assert str(trainer.objective) == "ce - 0.1*entropy"
