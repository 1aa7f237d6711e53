"""Agreement with references, from rows to the record, the table, the page and a comparison."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entrotune.data import Prompt
from entrotune.evaluation import SettingRecord, difference, sample_columns
from entrotune.evaluation.measure import corpus_scores
from entrotune.experiments.evaluate import evaluate
from entrotune.measures import bootstrap_mean, reference_metrics
from entrotune.measures.reference_metrics import REFERENCE_METRICS
from entrotune.reports import evaluation_table, write_evaluation_report
from evaluation.drawn import all_drawn
from tiny_files import write_model

ANSWERS = {"a": ["the cat sat", "a dog ran off"], "b": ["the cat sat on it", "no"], "c": ["x", "y"]}
REFERENCES: dict[str, tuple[str, ...]] = {"a": ("the cat sat", "cats sit"), "b": ("the cat sat on the mat",), "c": ()}


def prompts() -> list[Prompt]:
    return [
        Prompt(
            id=name,
            messages=(),
            text="",
            input_ids=(5,),
            references=references or ("x",),
            checker=None,
            has_references=bool(references),
        )
        for name, references in REFERENCES.items()
    ]


def setting(answers: dict[str, list[str]]) -> SettingRecord:
    drawn = all_drawn(answers)
    columns = sample_columns(prompts(), drawn)
    return SettingRecord(temperature=1.0, samples_per_prompt=2, columns=columns, samples=tuple(drawn))


def test_a_value_for_each_prompt_that_has_references() -> None:
    columns = setting(ANSWERS).columns
    for name in REFERENCE_METRICS:
        expected = [reference_metrics(ANSWERS[id], REFERENCES[id])[name] for id in ("a", "b")]
        assert columns[name].values[:2].tolist() == pytest.approx(expected)
        # The answers of a row are no references.
        assert np.isnan(columns[name].values[2])
        assert columns[name].estimate(seed=0) == bootstrap_mean([*expected, np.nan], seed=0)


def test_differences_are_paired_over_prompts() -> None:
    better = setting({**ANSWERS, "b": ["the cat sat on the mat", "the cat sat on the mat"]})
    found = difference(better, setting(ANSWERS), "f1", seed=0)
    gap = 1 - reference_metrics(ANSWERS["b"], REFERENCES["b"])["f1"]
    assert (found.value, found.n, found.skipped) == (pytest.approx(gap / 2), 2, 1)


def test_without_references_nothing_is_measured() -> None:
    only = [one for one in prompts() if not one.has_references]
    drawn = all_drawn({"c": ANSWERS["c"]})
    assert not set(REFERENCE_METRICS) & set(sample_columns(only, drawn))
    assert corpus_scores(only, drawn) == {}


def test_in_an_evaluation(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": f"say {word}", "references": [word, word.upper()]} for word in ("tea", "milk", "juice")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = str(write_model(tmp_path / "model"))
    record = evaluate(
        model, data=str(tmp_path / "rows.jsonl"), samples=2, max_new_tokens=4, temperatures=[1.0], out=tmp_path / "out"
    )
    (found,) = record["settings"]
    assert set(REFERENCE_METRICS) <= set(found["metrics"])
    assert found["metrics"]["chrf"]["n"] == 3
    assert set(found["corpus"]) == {"bleu", "chrf"}
    assert record["conventions"]["bleu"].startswith("nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["metrics"]["rouge_l"]["label"] == "ROUGE-L"
    lines = [json.loads(line) for line in (tmp_path / "out" / "per_prompt.jsonl").read_text().splitlines()]
    assert len([line for line in lines if line["metric"] == "exact_match"]) == 3
    write_evaluation_report(record, tmp_path / "report.html")
    assert "ROUGE-L" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "chrF" in evaluation_table(record, metrics=["chrf", "f1"]).columns[2].header.plain  # type: ignore[union-attr]
