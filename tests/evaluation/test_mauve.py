"""MAUVE of samples in an evaluation: features of whole texts, and what stands in the record."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from entrotune.data import Prompt
from entrotune.errors import UserError
from entrotune.evaluation.mauve import mauve_of
from entrotune.experiments.evaluate import evaluate
from entrotune.measures.mauve import mauve
from entrotune.reports import mauve_sentences, write_evaluation_report
from evaluation.drawn import all_drawn
from tiny_files import write_model

pytest.importorskip("mauve")


def test_features_are_last_hidden_states(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = [f"text {'very ' * (i % 5)}{i}" for i in range(21)]
    said = [f"reply {i * 7}" for i in range(22)]
    prompt = Prompt(id="p", messages=(), text="", input_ids=(5,), references=tuple(texts), checker=None)
    found = mauve_of(model, tokenizer, [prompt], all_drawn({"p": [*said, "  "]}), seed=0)

    def features(side: list[str]) -> np.ndarray:
        with torch.no_grad():
            states = [model.model(torch.tensor([tokenizer(t)["input_ids"]])).last_hidden_state[0, -1] for t in side]
        return torch.stack(states).numpy()

    expected = mauve(features(texts), features(said), seed=0)
    assert found["value"] == pytest.approx(expected["value"], abs=1e-6)
    assert (found["people"], found["sampled"], found["blank"], found["cut"]) == (21, 22, 1, 0)
    assert "21 texts: biased by their small number" in found["note"]


def test_in_an_evaluation(tmp_path: Path) -> None:
    rows = [{"prompt": f"say {i}", "answers": [f"{i} it is", f"say {i}", f"{i}"]} for i in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    name = str(write_model(tmp_path / "model"))
    data = str(tmp_path / "rows.jsonl")
    record = evaluate(name, data=data, samples=3, max_new_tokens=6, mauve=name)
    found = record["settings"][0]["mauve"]
    assert 0 <= found["value"] <= found["same"]["high"] <= 1
    assert record["mauve"] == {"features": name}
    told = mauve_sentences(record)
    assert len(told) == 1
    assert "answers of people" in told[0]
    write_evaluation_report(record, tmp_path / "report.html")
    assert "MAUVE at temperature 1" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="at least 20 texts a side, got 24 of people and 8 samples"):
        evaluate(name, data=data, samples=1, max_new_tokens=2, mauve=name)
