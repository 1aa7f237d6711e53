"""What is measured on ordinary rows: against itself nothing changes, against another model what torch says."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from entrotune.evaluation.distribution import describe_kept, measure_kept, read_retention
from entrotune.evaluation.distribution.retention import RetentionRows
from tiny import tiny_llama


@pytest.fixture
def rows(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> RetentionRows:
    chats = [{"prompt": f"say {i}", "completion": "yes " * (i + 1)} for i in range(4)]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chats))
    choices = [{"ctx": f"two and {i} is", "endings": ["few", "many", "none"], "label": i % 3} for i in range(5)]
    choices.append({"ctx": "unlabelled", "endings": ["a", "b"]})
    (tmp_path / "choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in choices))
    return read_retention(
        tokenizer,
        chats=str(tmp_path / "chats.jsonl"),
        rows=3,
        choices=str(tmp_path / "choices.jsonl"),
        choices_limit=None,
        context=256,
    )


def test_what_was_read_adds_up(rows: RetentionRows) -> None:
    assert rows.described["chats"]["rows"] == len(rows.chats) == 3
    assert rows.described["choices"] == rows.described["choices"] | {"rows": 5, "rejected": 0, "without_label": 1}


def test_numbers_are_those_of_plain_passes(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: RetentionRows
) -> None:
    base = tiny_llama(seed=3)
    torch.nn.init.normal_(base.lm_head.weight, std=0.3)

    @contextlib.contextmanager
    def as_base() -> Iterator[Any]:
        yield base

    kept = measure_kept(model, tokenizer, rows, as_base=as_base)
    nll = kl = agreeing = tokens = 0.0
    for one in rows.chats:
        ids = torch.tensor([one.input_ids])
        mask = torch.tensor(one.labels[1:]) != -100
        with torch.no_grad():
            log_p, log_q = (m(input_ids=ids).logits[0, :-1].log_softmax(-1)[mask] for m in (model, base))
        targets = ids[0, 1:][mask]
        nll -= float(log_p.gather(-1, targets[:, None]).sum())
        kl += float((log_q.exp() * (log_q - log_p)).sum())
        agreeing += int((log_p.argmax(-1) == log_q.argmax(-1)).sum())
        tokens += len(targets)
    record = describe_kept(kept, seed=0)
    assert record["nll"]["value"] == pytest.approx(nll / tokens, rel=1e-4)
    assert record["kl_to_base"]["value"] == pytest.approx(kl / tokens, rel=1e-4)
    assert record["top1_agreement"]["value"] == pytest.approx(agreeing / tokens)
    assert 0 <= record["choice_accuracy"]["value"] <= 1


def test_a_model_keeps_all_of_itself(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: RetentionRows
) -> None:
    before = measure_kept(model, tokenizer, rows)
    after = measure_kept(model, tokenizer, rows, as_base=lambda: contextlib.nullcontext(model))
    record = describe_kept(after, before, seed=0)
    assert record["nll_difference"]["value"] == pytest.approx(0, abs=1e-6)
    assert record["kl_to_base"]["value"] == pytest.approx(0, abs=1e-6)
    assert record["top1_agreement"]["value"] == 1
    assert record["choice_accuracy_difference"]["value"] == 0
    assert "kl_to_base" not in describe_kept(before, seed=0)
