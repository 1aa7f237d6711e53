"""`EntropicTrainer` against `SFTTrainer`, against plain autograd, and under everything `SFTTrainer` can do."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, IterableDataset
from peft import LoraConfig, PromptTuningConfig
from transformers import Gemma2Config, Gemma2ForCausalLM, MixtralConfig, MixtralForCausalLM, TrainerCallback
from trl import SFTConfig, SFTTrainer

from entrotune import EntropicTrainer, Objective
from entrotune.errors import UserError
from entrotune.objectives import ce, entropy
from tiny import SHAPE, byte_tokenizer, tiny_llama

# Of different lengths, so that a mean of means would show.
ROWS = [{"prompt": f"count to {i}: ", "completion": " ".join(map(str, range(1, i % 7 + 2)))} for i in range(24)]
CHATS = [
    {"messages": [{"role": "user", "content": f"hi {i}"}, {"role": "assistant", "content": "yes " * (i % 5 + 1)}]}
    for i in range(12)
]
SAME = {"rtol": 1e-5, "atol": 1e-6}


def arguments(folder: Path, **changes: Any) -> SFTConfig:
    options: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 6,
        "per_device_eval_batch_size": 5,
        "max_steps": 4,
        "logging_steps": 1,
        # Adam divides by the size of a gradient, which turns the rounding of one near zero into a whole step.
        "optim": "sgd",
        "learning_rate": 0.3,
        "report_to": "none",
        "save_strategy": "no",
        "bf16": False,
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    }
    return SFTConfig(**(options | changes))


def fit(cls: type, folder: Path, *, model: Any = None, rows: Any = ROWS, held: Any = ROWS[:7], **options: Any) -> Any:
    extra = {k: options.pop(k) for k in ("objective", "peft_config", "callbacks") if k in options}
    trainer = cls(
        model=tiny_llama() if model is None else model,
        args=arguments(folder, **options),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(held),
        processing_class=byte_tokenizer(),
        **extra,
    )
    trainer.train()
    return trainer


def weights(trainer: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters() if p.requires_grad])


def train_log(trainer: Any, key: str) -> list[float]:
    return [entry[key] for entry in trainer.state.log_history if key in entry and "eval_loss" not in entry]


@pytest.mark.parametrize("accumulation", [1, 3])
def test_ce_equals_sft_trainer(tmp_path: Path, accumulation: int) -> None:
    options = {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 6 // accumulation}
    ours, theirs = (fit(cls, tmp_path, **options) for cls in (EntropicTrainer, SFTTrainer))
    torch.testing.assert_close(weights(ours), weights(theirs), **SAME)
    for key in ("loss", "grad_norm", "num_tokens"):
        np.testing.assert_allclose(train_log(ours, key), train_log(theirs, key), rtol=1e-5)
    if accumulation == 1:  # over several micro-batches theirs are means of means
        for key in ("entropy", "mean_token_accuracy"):
            np.testing.assert_allclose(train_log(ours, key), train_log(theirs, key), rtol=1e-4)


def resumed_at(step: int, folder: Path, **options: Any) -> EntropicTrainer:
    """A trainer that went on from a checkpoint to its end."""
    trainer = EntropicTrainer(
        model=tiny_llama(),
        args=arguments(folder, **options),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=byte_tokenizer(),
    )
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{step}"))
    return trainer


def test_tokens_are_counted_on_after_a_stop(tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 2}
    whole = fit(EntropicTrainer, tmp_path, **saving)
    resumed = resumed_at(2, tmp_path, **saving)
    assert train_log(resumed, "num_tokens") == train_log(whole, "num_tokens")
    assert len(set(train_log(whole, "num_tokens"))) == 4


def test_a_stop_between_two_logs_loses_nothing_that_was_measured(tmp_path: Path) -> None:
    options = {"save_strategy": "steps", "save_steps": 1, "logging_steps": 3, "max_steps": 4}
    whole = fit(EntropicTrainer, tmp_path, **options)
    resumed = resumed_at(2, tmp_path, **options)
    assert whole.state.log_history[0]["step"] == 3
    for key in ("num_tokens", "supervised_tokens", "nll", "entropy", "loss"):
        assert train_log(resumed, key) == train_log(whole, key), key
    assert resumed._total_train_tokens == whole._total_train_tokens


def test_a_loss_that_is_none_is_told(tmp_path: Path) -> None:
    trainer = made(tmp_path, max_steps=2)
    with torch.no_grad():
        trainer.model.lm_head.weight[5] = torch.nan
    trainer.train()
    assert all(map(math.isnan, train_log(trainer, "loss")))


def test_accumulation_changes_nothing(tmp_path: Path) -> None:
    objective = "ce - 0.1*entropy"
    whole = fit(EntropicTrainer, tmp_path, objective=objective)
    for accumulation in (2, 3, 6):
        options = {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 6 // accumulation}
        split = fit(EntropicTrainer, tmp_path, objective=objective, **options)
        torch.testing.assert_close(weights(split), weights(whole), **SAME)
        for key in ("loss", "nll", "entropy", "varentropy", "mean_token_accuracy", "entropy_q50"):
            np.testing.assert_allclose(train_log(split, key), train_log(whole, key), rtol=1e-4)


def test_a_step_is_that_of_plain_autograd(tmp_path: Path) -> None:
    objective = "ce - 0.3*entropy + 0.5*gem(beta=0.6)"
    rows = ROWS[:6]
    options = {"max_steps": 1, "learning_rate": 1.0, "lr_scheduler_type": "constant", "max_grad_norm": 0}
    trainer = fit(EntropicTrainer, tmp_path, rows=rows, objective=objective, **options)
    model, tokenizer = tiny_llama(), byte_tokenizer()
    total, count = torch.zeros(()), 0
    for row in rows:
        prompt = tokenizer(row["prompt"])["input_ids"]
        ids = torch.tensor([prompt + tokenizer(row["completion"] + "</s>")["input_ids"]])
        targets = ids[:, 1:].clone()
        targets[:, : len(prompt) - 1] = -100
        loss, stats = Objective(objective).from_logits(model(ids).logits[:, :-1], targets, num_items=1)
        total, count = total + loss, count + int(stats.mask.sum())
    (total / count).backward()
    expected = torch.cat([(p - p.grad).flatten() for p in model.parameters()])
    torch.testing.assert_close(weights(trainer), expected.detach(), **SAME)
    assert train_log(trainer, "loss")[0] == pytest.approx((total / count).item(), rel=1e-5)


def test_evaluation_is_the_mean_over_tokens(tmp_path: Path) -> None:
    trainers = [fit(EntropicTrainer, tmp_path, max_steps=1, per_device_eval_batch_size=size) for size in (1, 3, 7)]
    found = [trainer.evaluate() for trainer in trainers]
    for key in ("eval_loss", "eval_nll", "eval_entropy", "eval_entropy_q95"):
        np.testing.assert_allclose([f[key] for f in found], found[0][key], rtol=1e-5)
    model, tokenizer, nll = trainers[0].model.eval(), byte_tokenizer(), []
    with torch.no_grad():
        for row in ROWS[:7]:
            prompt = tokenizer(row["prompt"])["input_ids"]
            ids = torch.tensor([prompt + tokenizer(row["completion"] + "</s>")["input_ids"]])
            log_p = model(ids).logits[0, :-1].log_softmax(-1)
            nll += (-log_p.gather(-1, ids[0, 1:, None])[len(prompt) - 1 :, 0]).tolist()
    assert found[0]["eval_nll"] == pytest.approx(np.mean(nll), rel=1e-5)


def test_named_evaluation_sets_keep_their_names(tmp_path: Path) -> None:
    trainer = fit(EntropicTrainer, tmp_path, max_steps=1)
    sets = {"short": Dataset.from_list(ROWS[:2]), "long": Dataset.from_list(ROWS[5:7])}
    found = trainer.evaluate(sets)
    assert found["eval_short_nll"] == found["eval_short_loss"] != found["eval_long_nll"]


def test_entropy_quantiles_and_coefficients_are_logged(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    class Tracker(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            seen.append(dict(logs))

    fit(EntropicTrainer, tmp_path, objective=ce() - 0.25 * entropy(), max_steps=2, callbacks=[Tracker()])
    row = seen[0]
    assert row["coefficient/ce"] == 1
    assert row["coefficient/entropy"] == -0.25
    quantiles = [row[f"entropy_q{q}"] for q in ("05", "25", "50", "75", "95")]
    assert quantiles == sorted(quantiles)
    assert quantiles[0] <= row["entropy"] <= math.log(300)
    assert row["loss"] == pytest.approx(row["nll"] - 0.25 * row["entropy"], rel=1e-5)


def test_a_batch_with_nothing_to_learn_is_harmless(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer("some text")["input_ids"]
    masked = [{"input_ids": ids, "labels": [-100] * len(ids)}] * 6
    live = [{"input_ids": ids, "labels": ids}] * 6
    for rows in (masked, masked[:3] + live[:3]):
        options = {"per_device_train_batch_size": 1, "max_steps": 6, "max_length": None}
        trainer = fit(EntropicTrainer, tmp_path, rows=rows, held=live, **options)
        assert all(math.isfinite(x) for x in train_log(trainer, "loss"))
        assert weights(trainer).isfinite().all()
    before = torch.cat([p.detach().flatten() for p in tiny_llama().parameters()])
    nothing = fit(EntropicTrainer, tmp_path, rows=masked, held=live, max_steps=1, max_length=None)
    assert torch.equal(weights(nothing), before)


def test_lora_trains_the_adapter_only(tmp_path: Path) -> None:
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    ours = fit(EntropicTrainer, tmp_path, peft_config=config)
    theirs = fit(SFTTrainer, tmp_path, peft_config=config)
    torch.testing.assert_close(weights(ours), weights(theirs), **SAME)
    base = dict(tiny_llama().named_parameters())
    found = {
        n.removeprefix("base_model.model.").replace(".base_layer", ""): p for n, p in ours.model.named_parameters()
    }
    assert all(torch.equal(found[name], value) for name, value in base.items())


def test_an_adapter_on_the_head_is_refused_and_a_whole_head_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lm_head"):
        fit(EntropicTrainer, tmp_path, peft_config=LoraConfig(target_modules=["lm_head"], task_type="CAUSAL_LM"))
    config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"], task_type="CAUSAL_LM")
    trainer = fit(EntropicTrainer, tmp_path, peft_config=config)
    head = trainer.model.get_output_embeddings()
    assert not torch.equal(head.modules_to_save["default"].weight, head.original_module.weight)


def test_prompt_tuning(tmp_path: Path) -> None:
    config = PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    ours, theirs = (fit(cls, tmp_path, peft_config=config) for cls in (EntropicTrainer, SFTTrainer))
    torch.testing.assert_close(weights(ours), weights(theirs), **SAME)


@pytest.mark.parametrize("packing", [False, True])
def test_packing_and_padding_free(tmp_path: Path, packing: bool) -> None:
    options = {"packing": packing, "padding_free": True, "max_length": 64 if packing else None}
    ours, theirs = (fit(cls, tmp_path, **options) for cls in (EntropicTrainer, SFTTrainer))
    torch.testing.assert_close(weights(ours), weights(theirs), **SAME)
    np.testing.assert_allclose(train_log(ours, "num_tokens"), train_log(theirs, "num_tokens"))


@pytest.mark.parametrize("option", ["assistant_only_loss", "completion_only_loss"])
def test_masks(tmp_path: Path, option: str) -> None:
    rows = CHATS if option == "assistant_only_loss" else ROWS
    ours, theirs = (
        fit(cls, tmp_path, rows=rows, held=rows[:4], **{option: True}) for cls in (EntropicTrainer, SFTTrainer)
    )
    torch.testing.assert_close(weights(ours), weights(theirs), **SAME)


def test_gradient_checkpointing(tmp_path: Path) -> None:
    plain, saved = (fit(EntropicTrainer, tmp_path, gradient_checkpointing=on) for on in (False, True))
    torch.testing.assert_close(weights(saved), weights(plain), **SAME)


def test_soft_capped_logits(tmp_path: Path) -> None:
    def model() -> Gemma2ForCausalLM:
        torch.manual_seed(0)
        return Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=8, final_logit_softcapping=1.5))

    ours, theirs = (fit(cls, tmp_path, model=model()) for cls in (EntropicTrainer, SFTTrainer))
    torch.testing.assert_close(weights(ours), weights(theirs), **SAME)


def test_mixture_of_experts_keeps_its_auxiliary_loss(tmp_path: Path) -> None:
    def model() -> MixtralForCausalLM:
        torch.manual_seed(0)
        return MixtralForCausalLM(
            MixtralConfig(
                **SHAPE, num_local_experts=4, num_experts_per_tok=2, router_aux_loss_coef=0.5, output_router_logits=True
            )
        )

    for accumulation in (1, 2):
        options = {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 6 // accumulation}
        ours, theirs = (fit(cls, tmp_path, model=model(), **options) for cls in (EntropicTrainer, SFTTrainer))
        torch.testing.assert_close(weights(ours), weights(theirs), **SAME)
        np.testing.assert_allclose(train_log(ours, "aux_loss"), train_log(theirs, "aux_loss"), rtol=1e-5)
        np.testing.assert_allclose(train_log(ours, "loss"), train_log(theirs, "loss"), rtol=1e-5)


def test_generation_still_works_on_the_trained_model(tmp_path: Path) -> None:
    trainer = fit(EntropicTrainer, tmp_path, max_steps=1)
    ids = torch.tensor([[5, 6, 7]])
    output = trainer.model.generate(input_ids=ids, max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert output.shape[1] > 3


def test_other_losses_are_refused(tmp_path: Path) -> None:
    for options, says in (
        ({"loss_type": "dft"}, "objective='dft'"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing"),
    ):
        with (
            pytest.raises(ValueError, match=says),
            pytest.warns() if "label_smoothing_factor" in options else _nothing(),
        ):
            fit(EntropicTrainer, tmp_path, **options)
    with pytest.raises(ValueError, match="compute_loss_func"):
        EntropicTrainer(model=tiny_llama(), compute_loss_func=lambda *a, **k: None)
    with pytest.raises(ValueError, match="did you mean 'entropy'"):
        EntropicTrainer(model=tiny_llama(), objective="ce - entrpy")


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def made(folder: Path, *, rows: Any = ROWS, held: Any = ROWS[:7], **options: Any) -> EntropicTrainer:
    return EntropicTrainer(
        model=tiny_llama(),
        args=arguments(folder, **options),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(held),
        processing_class=byte_tokenizer(),
        objective="ce - 0.1*entropy",
    )


class Interrupt(TrainerCallback):
    """Ctrl-C after the first batch of a validation, and after the first step of a training."""

    def on_prediction_step(self, *_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def on_step_end(self, *_: Any, **__: Any) -> None:
        raise KeyboardInterrupt


def test_what_was_broken_off_does_not_count(tmp_path: Path) -> None:
    trainer, ctrl_c = made(tmp_path, logging_steps=4), Interrupt()
    alone = trainer.evaluate()
    trainer.add_callback(ctrl_c)
    for work in (trainer.evaluate, trainer.train):
        with pytest.raises(KeyboardInterrupt):
            work()
    trainer.remove_callback(ctrl_c)
    trainer.model.load_state_dict(tiny_llama().state_dict())
    again = trainer.evaluate()
    for key in ("eval_nll", "eval_supervised_tokens"):
        assert again[key] == alone[key]
    trainer.train()
    whole = fit(EntropicTrainer, tmp_path, logging_steps=4)
    assert train_log(trainer, "supervised_tokens")[-1] == train_log(whole, "supervised_tokens")[-1]


def test_predict_and_other_prefixes_have_measures_of_their_own(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    alone = trainer.evaluate()
    predicted = trainer.predict(trainer.eval_dataset).metrics
    named = trainer.evaluate(metric_key_prefix="dev")
    assert not [key for key in named if key.startswith("eval")]
    for key in ("loss", "nll", "entropy", "supervised_tokens"):
        assert predicted[f"test_{key}"] == named[f"dev_{key}"] == alone[f"eval_{key}"]


def test_rows_that_are_cut_to_nothing_are_told(tmp_path: Path) -> None:
    longer = [{"prompt": "x" * 60, "completion": "y"}]
    with pytest.warns(UserWarning, match=r"1 of 25 rows of the train dataset .* max_length=40, and are left out"):
        made(tmp_path, rows=[*ROWS, *longer], max_length=40)
    with pytest.raises(UserError, match=r"1 of 1 rows of the train dataset .* so none is left; raise max_length"):
        made(tmp_path, rows=longer, max_length=40)
    empty = Dataset.from_list(ROWS).select([])
    with pytest.raises(UserError, match="the train dataset is empty"):
        EntropicTrainer(
            model=tiny_llama(), args=arguments(tmp_path), train_dataset=empty, processing_class=byte_tokenizer()
        )


class Watch(TrainerCallback):
    """Looks at the model after each step, as one that draws samples does, and logs a number of its own."""

    trainer: Any = None

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.trainer.model.eval()
        self.trainer.log({"mine": 1.0})


def test_what_a_callback_does_leaves_the_measures_to_the_trainers_line(tmp_path: Path) -> None:
    plain, watched, watch = made(tmp_path), made(tmp_path), Watch()
    watch.trainer = watched
    watched.add_callback(watch)
    for trainer in (plain, watched):
        trainer.train()
    mine = [entry for entry in watched.state.log_history if "mine" in entry]
    assert len(mine) == 4
    assert not any("nll" in entry for entry in mine)
    # To log puts off the trainer's own line: the last one has all steps.
    assert sum(train_log(watched, "supervised_tokens")) == sum(train_log(plain, "supervised_tokens"))
    assert train_log(watched, "num_tokens")[-1] == train_log(plain, "num_tokens")[-1]


class TooLarge(TrainerCallback):
    """Has no memory for the first batch."""

    tried = False

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        if not self.tried:
            self.tried = True
            raise RuntimeError("CUDA out of memory.")


def test_batches_that_were_too_large_do_not_count(tmp_path: Path) -> None:
    trainer = made(tmp_path, auto_find_batch_size=True, max_steps=2)
    trainer.add_callback(TooLarge())
    trainer.train()
    plain = made(tmp_path, per_device_train_batch_size=trainer._train_batch_size, max_steps=2)
    plain.train()
    for key in ("num_tokens", "supervised_tokens", "nll"):
        assert train_log(trainer, key) == train_log(plain, key)


def test_metrics_of_the_user_keep_their_names(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    alone = trainer.evaluate()
    trainer.compute_metrics = lambda _: {"entropy": 123.0, "loss": -1.0}
    found = trainer.evaluate()
    assert found["eval_entropy"] == 123.0
    assert found["eval_nll"] == alone["eval_nll"]
    assert found["eval_loss"] == alone["eval_loss"]


def collated(folder: Path, collator: Any) -> EntropicTrainer:
    rows = [{"input_ids": [5, 6, 7, 8, 9], "labels": [5, 6, -100, 8, 9]}] * 12
    return EntropicTrainer(
        model=tiny_llama(),
        args=arguments(folder, max_steps=1),
        train_dataset=Dataset.from_list(rows),
        processing_class=byte_tokenizer(),
        data_collator=collator,
    )


@pytest.mark.parametrize("kind", ["embeddings", "a mask of four dimensions", "no mask"])
def test_batches_of_another_kind_are_counted(tmp_path: Path, kind: str) -> None:
    def collator(examples: list[Any]) -> dict[str, Any]:
        ids = torch.tensor([example["input_ids"] for example in examples])
        batch: dict[str, Any] = {"labels": torch.tensor([example["labels"] for example in examples])}
        if kind == "embeddings":
            return batch | {"inputs_embeds": torch.ones(*ids.shape, SHAPE["hidden_size"])}
        batch["input_ids"] = ids
        if kind == "a mask of four dimensions":
            batch["attention_mask"] = torch.ones(len(ids), 1, 5, 5, dtype=torch.bool).tril()
        return batch

    trainer = collated(tmp_path, collator)
    trainer.train()
    assert train_log(trainer, "num_tokens")[0] == 6 * 5
    assert train_log(trainer, "supervised_tokens")[0] == 6 * 3


def test_a_batch_without_labels_is_told(tmp_path: Path) -> None:
    trainer = collated(tmp_path, lambda examples: {"input_ids": torch.tensor([e["input_ids"] for e in examples])})
    with pytest.raises(UserError, match="a batch has no labels; let the collator give them"):
        trainer.train()


def test_a_stream_without_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the train dataset is empty"):
        EntropicTrainer(
            model=tiny_llama(),
            args=arguments(tmp_path),
            train_dataset=IterableDataset.from_generator(lambda: iter([])),
            processing_class=byte_tokenizer(),
        )
