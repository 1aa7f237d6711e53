"""Training against a reference: the base under an adapter, or a frozen model beside."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import BertConfig, BertLMHeadModel, LlamaConfig, LlamaForCausalLM
from trl import SFTConfig

from entrotune import EntropicTrainer, Objective, UserError
from tiny import SHAPE, byte_tokenizer, tiny_llama

ROWS = [{"prompt": f"count to {i}: ", "completion": " ".join(map(str, range(1, i % 7 + 2)))} for i in range(12)]
LORA = LoraConfig(r=4, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM")
SAME = {"rtol": 1e-5, "atol": 1e-6}


def fit(folder: Path, objective: str, *, peft: bool, model: Any = None, rows: Any = ROWS, **options: Any) -> Any:
    reference = options.pop("reference", None)
    defaults = {"optim": "sgd", "learning_rate": 0.3, "max_steps": 4, "max_grad_norm": 0, "bf16": False}
    trainer = EntropicTrainer(
        model=model if model is not None else tiny_llama(),
        args=SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=6,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            **(defaults | options),
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=byte_tokenizer(),
        peft_config=LORA if peft else None,
        objective=objective,
        reference=reference,
    )
    trainer.train()
    return trainer


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "nll" in entry]


def test_the_base_under_an_adapter_is_the_reference(tmp_path: Path) -> None:
    trainer = fit(tmp_path, "kl(ref, reverse=true)", peft=True, learning_rate=1.0)
    assert losses(trainer) == pytest.approx([0.0] * 4, abs=0.02)  # dropout on the adapter is all that differs
    trained, pulled = (
        fit(tmp_path, objective, peft=True, model=_loud(), max_steps=20, learning_rate=0.03)
        for objective in ("ce", "ce + kl(ref)")
    )
    far, near = (_distance(t.model) for t in (trained, pulled))
    assert 0 < near < 0.5 * far


def _loud() -> Any:
    """A model whose logits can move far: hidden states are normalised, and the usual head starts small."""
    model = tiny_llama()
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return model


def _distance(model: Any) -> float:
    """Mean KL from the base to the tuned model on a row."""
    ids = torch.tensor([byte_tokenizer()("count to 5: 1 2 3 4 5 6")["input_ids"]])
    model.eval()
    with torch.no_grad():
        tuned = model(ids).logits.log_softmax(-1)
        with model.disable_adapter():
            base = model(ids).logits.log_softmax(-1)
    return float((base.exp() * (base - tuned)).sum(-1).mean())


def test_a_step_against_a_teacher_is_that_of_plain_autograd(tmp_path: Path) -> None:
    objective, rows = "ce + 0.7*kl(ref, temperature=2) + 0.2*jsd(ref, weight=0.3, temperature=2)", ROWS[:6]
    torch.manual_seed(5)
    teacher = LlamaForCausalLM(LlamaConfig(**(SHAPE | {"hidden_size": 48, "num_attention_heads": 2})))
    options = {"max_steps": 1, "learning_rate": 1.0, "lr_scheduler_type": "constant"}
    trainer = fit(tmp_path, objective, peft=False, rows=rows, reference=teacher, **options)
    model, tokenizer = tiny_llama(), byte_tokenizer()
    total, count = torch.zeros(()), 0
    for row in rows:
        prompt = tokenizer(row["prompt"])["input_ids"]
        ids = torch.tensor([prompt + tokenizer(row["completion"] + "</s>")["input_ids"]])
        targets = ids[:, 1:].clone()
        targets[:, : len(prompt) - 1] = -100
        theirs = teacher(ids).logits[:, :-1]
        logits = model(ids).logits[:, :-1]
        loss, stats = Objective(objective).from_logits(logits, targets, reference_logits=theirs, num_items=1)
        total, count = total + loss, count + int(stats.mask.sum())
    (total / count).backward()
    for trained, start in zip(trainer.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(trained.detach(), (start - start.grad).detach(), **SAME)
    assert losses(trainer)[0] == pytest.approx((total / count).item(), rel=1e-5)
    assert all(p.grad is None for p in teacher.parameters())


def test_dropout_of_the_reference_is_off(tmp_path: Path) -> None:
    # The same weights with dropout: a reference that dropped would be another distribution at every step.
    def dropping() -> Any:
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(**(SHAPE | {"attention_dropout": 0.5})))

    own = dropping()
    own.config.attention_dropout = 0.0
    for layer in own.model.layers:
        layer.self_attn.attention_dropout = 0.0
    trainer = fit(tmp_path, "kl(ref)", peft=False, model=own, reference=dropping(), learning_rate=0.0)
    assert losses(trainer) == pytest.approx([0.0] * 4, abs=1e-6)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="full training changes the model itself; pass reference="):
        fit(tmp_path, "ce + kl(ref)", peft=False)
    other = LlamaForCausalLM(LlamaConfig(**(SHAPE | {"vocab_size": 99})))
    with pytest.raises(UserError, match="a vocabulary of 99 tokens and the model one of"):
        fit(tmp_path, "ce + kl(ref)", peft=False, reference=other)
    with pytest.raises(UserError, match="no term with a reference"):
        fit(tmp_path, "ce", peft=False, reference=tiny_llama())
    with pytest.raises(UserError, match="reference is 'teacher'; pass the model"):
        fit(tmp_path, "ce + kl(ref)", peft=False, reference="teacher")
    own = tiny_llama()
    with pytest.raises(UserError, match=r"weights of the model in training.* pass a copy\.deepcopy"):
        fit(tmp_path, "ce + kl(ref)", peft=False, model=own, reference=own)
    assert all(weight.requires_grad for weight in own.parameters())
    shape = {name: value for name, value in SHAPE.items() if name != "num_key_value_heads"}
    with pytest.raises(UserError, match="the output head of BertLMHeadModel is not understood"):
        fit(tmp_path, "ce + kl(ref)", peft=False, reference=BertLMHeadModel(BertConfig(**shape, is_decoder=True)))
