"""Trained, scored and sampled from, it is a model like any other."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import SFTConfig

from entrotune import EntropicTrainer, perplexity, read_scores
from entrotune.data import Prompt
from entrotune.evaluation.sampling import sample
from entrotune.models import LSTMForCausalLM, load_model, make_lstm, save_model
from entrotune.reports.scores import score_table
from entrotune.scoring.score import score
from entrotune.training import TrainConfig, run_training
from models.lstm.texts import TEXTS

ROWS = [{"text": TEXTS[number % 4]} for number in range(16)]


def trained(folder: Path, objective: str, **changes: Any) -> Any:
    model, tokenizer = make_lstm(TEXTS, hidden_size=16, dropout=0.0)
    options: dict[str, Any] = {
        "per_device_train_batch_size": 16,
        "max_steps": 1,
        "learning_rate": 0.05,
        "gradient_checkpointing": False,
    }
    trainer = EntropicTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            bf16=False,
            use_cpu=True,
            disable_tqdm=True,
            **(options | changes),
        ),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=tokenizer,
        objective=objective,
    )
    trainer.train()
    return trainer


@pytest.mark.parametrize("objective", ["ce", "mse + 10*ce", "ce - 0.1*entropy"])
def test_training_lowers_nll(tmp_path: Path, objective: str) -> None:
    trainer = trained(tmp_path, objective, max_steps=40)
    logged = [row["nll"] for row in trainer.state.log_history if "nll" in row]
    assert logged[0] == pytest.approx(math.log(trainer.model.config.vocab_size), abs=0.01)
    assert logged[-1] < 1.0


def test_packed_rows_are_learnt_as_they_are_alone(tmp_path: Path) -> None:
    """One step on all rows, packed into long sequences and not, ends in the same weights."""
    options: dict[str, Any] = {"optim": "sgd", "learning_rate": 0.5}
    plain, packed = (
        torch.cat([p.detach().flatten() for p in trained(tmp_path, "ce", **options, **how).model.parameters()])
        for how in ({}, {"packing": True, "max_length": 40})
    )
    start = torch.cat([p.detach().flatten() for p in make_lstm(TEXTS, hidden_size=16)[0].parameters()])
    assert (plain - start).norm() > 1e-2
    torch.testing.assert_close(packed, plain, rtol=1e-4, atol=1e-6)


def test_a_run_ends_in_a_folder_that_loads(tmp_path: Path, folder: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row | {"text": f"{row['text']} {i}"}) + "\n" for i, row in enumerate(ROWS)))
    config = TrainConfig(
        data=str(data), model=str(folder), method="full", out=str(tmp_path / "run"), validation=4, epochs=3,
        batch_size=4, learning_rate=1e-2, max_length=32,
    )  # fmt: skip
    record = run_training(config)
    assert record["last_nll"] < record["start_nll"]
    assert isinstance(load_model(tmp_path / "run")[0], LSTMForCausalLM)


def test_scores_are_those_of_its_logits(tmp_path: Path, folder: Path, model: LSTMForCausalLM, tokenizer: Any) -> None:
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    score(str(data), model=str(folder), out=str(tmp_path / "scores"), mode="predicted", progress=False)
    found = read_scores(tmp_path / "scores").table.to_pylist()
    for text, row in zip(TEXTS, found, strict=True):
        ids = torch.tensor(tokenizer(text).input_ids)
        log_p = model(input_ids=ids[None]).logits[0, :-1].detach().double().log_softmax(-1)
        assert row["nll_sum"] == pytest.approx(-log_p.gather(-1, ids[1:, None]).sum().item(), rel=1e-4)
        assert row["entropy_mean"] == pytest.approx(-(log_p.exp() * log_p).sum(-1).mean().item(), rel=1e-4)


def test_words_that_it_does_not_know_are_counted_and_told(tmp_path: Path, folder: Path, tokenizer: Any) -> None:
    known, half = "the cat sat", "the zebra sat on a xylophone"
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"id": text, "text": text}) + "\n" for text in (known, half))
    )
    record = score(str(tmp_path / "rows.jsonl"), model=str(folder), out=tmp_path / "scores")
    rows = {row["id"]: row for row in read_scores(tmp_path / "scores").table.to_pylist()}
    assert {id: row["tokens_unknown"] for id, row in rows.items()} == {known: 0, half: 2}
    assert record["counts"]["tokens_unknown"] == 2
    cells = [cell for column in score_table(record).columns for cell in column.cells]
    count = record["counts"]["nll_tokens"]
    assert any(f"{2 / count:.1%} of {count} with a likelihood: perplexity" in str(cell) for cell in cells)
    with_all = perplexity(str(tmp_path / "rows.jsonl"), model=str(folder), limit=1)
    with_some = perplexity(str(tmp_path / "rows.jsonl"), model=str(folder))
    assert [one["models"][0]["counts"]["tokens_unknown"] for one in (with_all, with_some)] == [0, 2]
    assert not any("unknown" in warning for warning in with_all["warnings"])
    assert any("2 tokens" in warning and "unknown token" in warning for warning in with_some["warnings"])


def test_numbers_of_unknown_words_are_compared_with_no_other_tokenizer(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    save_model(*make_lstm([*TEXTS, "zebra xylophone"], hidden_size=8), other)
    for text, pairs in (("the cat sat", 1), ("the zebra sat", 0)):
        (tmp_path / "one.txt").write_text(text)
        record = perplexity(str(tmp_path / "one.txt"), model=[str(folder), str(other)])
        assert len(record["differences"]) == pairs


def test_greedy_continuations_of_seeds_of_several_lengths(model: LSTMForCausalLM, tokenizer: Any) -> None:
    prompts = [
        Prompt(id=seed, messages=(), text=seed, input_ids=tuple(tokenizer(seed).input_ids), references=(), checker=None)
        for seed in ("the cat", "who", "don't panic, said")
    ]
    together = sample(model, tokenizer, prompts, samples=1, temperature=0, max_new_tokens=10, seed=0)
    for one, prompt in zip(together, prompts, strict=True):
        ids = torch.tensor([prompt.input_ids])
        for _ in range(one.tokens):
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)], 1)
        assert list(one.token_ids[: one.tokens]) == ids[0, len(prompt.input_ids) :].tolist()
