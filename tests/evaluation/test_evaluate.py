"""`evaluate` from a name and a file to records on disk."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from entrotune.errors import UserError
from entrotune.experiments.display import showing
from entrotune.experiments.evaluate import evaluate
from entrotune.models import save_model
from entrotune.reports import evaluation_table, write_evaluation_report

SMALL: dict[str, Any] = {"samples": 3, "prompts": 3, "max_new_tokens": 4, "temperatures": (0.7, 1.0), "device": "cpu"}


@pytest.fixture
def name(tmp_path: Path, model: Any, tokenizer: Any) -> str:
    save_model(model, tokenizer, tmp_path / "tiny")
    return str(tmp_path / "tiny")


@pytest.fixture
def data(tmp_path: Path) -> str:
    lines = [{"prompt": f"say {index}", "completion": f"{index} it is"} for index in range(8)]
    lines.append({"prompt": "no answer", "completion": None})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(tmp_path / "rows.jsonl")


def test_record_and_files(name: str, data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = evaluate(name, data=data, out=out, judge=name, **SMALL)
    assert json.loads((out / "evaluation.json").read_text()) == json.loads(json.dumps(record))
    assert (record["kind"], record["schema_version"], record["seeds"]) == ("evaluation", 1, [0])
    assert record["data"]["rows_read"] == 9
    assert record["data"]["rows_rejected"] == 1
    assert record["data"]["validation_rows"] == 8
    assert record["model"]["parameters"] > 10_000
    assert [setting["temperature"] for setting in record["settings"]] == [0.7, 1.0]
    metrics = record["settings"][1]["metrics"]
    assert metrics["nll"]["n"] == 8
    assert metrics["distinct_outputs"]["n"] == 3
    assert metrics["base_nll"]["low"] <= metrics["base_nll"]["value"] <= metrics["base_nll"]["high"]
    assert set(metrics) == set(record["metrics"])
    assert len((out / "samples.jsonl").read_text().splitlines()) == 2 * 3 * 3
    assert len((out / "rejects.jsonl").read_text().splitlines()) == 1
    values = [json.loads(line) for line in (out / "per_prompt.jsonl").read_text().splitlines()]
    mine = [value for value in values if value["metric"] == "nll" and value["temperature"] == 1.0]
    assert sum(v["value"] for v in mine) / sum(v["tokens"] for v in mine) == pytest.approx(metrics["nll"]["value"])
    shown = record["samples"][0]
    assert shown["prompt"].startswith("say ")
    assert [len(output["texts"]) for output in shown["outputs"]] == [3, 3]


def test_what_became_of_the_rows_is_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prompts too long for the context are rejects like other rows, and another prompt is sampled from instead."""
    lines = [{"prompt": "word " * 400, "completion": "b"} for _ in range(2)] + [{"prompt": "a", "completion": "b"}]
    path, out = tmp_path / "rows.jsonl", tmp_path / "out"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{broken\n")
    with showing(True) as display:
        record = evaluate(name, data=str(path), out=out, progress=display, **SMALL)
    assert record["data"]["prompts"] == 1
    assert record["data"]["rows_rejected"] == 3
    said = capsys.readouterr().err
    assert "3 of 4 rows rejected (" in said
    assert f"{out / 'rejects.jsonl'} says which and why" in said
    assert f"entrotune report {out} makes a page of it" in said
    with pytest.raises(UserError, match=r"rows.jsonl:4: invalid JSON.*mend the row"):
        evaluate(name, data=str(path), on_bad_row="stop", **SMALL)


def test_texts_without_prompts_are_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.txt").write_text("one two three\nfour five\n")
    with showing(True) as display:
        evaluate(name, data=str(tmp_path / "rows.txt"), progress=display, **SMALL)
    assert "no row has a prompt, so nothing was sampled" in capsys.readouterr().err


def test_one_temperature_is_a_list_of_one(name: str, data: str) -> None:
    with pytest.raises(UserError, match=r"temperatures must be a list of numbers, such as \[1.0\], not 1.0"):
        evaluate(name, data=data, temperatures=1.0)  # type: ignore[arg-type]


def test_rows_too_long_are_counted_once_as_rejected(name: str, tmp_path: Path) -> None:
    lines = [{"prompt": "a", "answers": ["b"]}, {"prompt": "two", "answers": ["x" * 400, "y" * 400]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = evaluate(name, data=str(tmp_path / "rows.jsonl"), out=tmp_path / "out", **SMALL)
    counted = record["data"]
    assert (counted["rows_read"], counted["rows_rejected"], counted["validation_rows"]) == (2, 1, 1)
    assert len((tmp_path / "out" / "rejects.jsonl").read_text().splitlines()) == 2


def test_record_makes_a_report(name: str, data: str, tmp_path: Path) -> None:
    record = evaluate(name, data=data, **SMALL)
    write_evaluation_report(record, tmp_path / "report.html")
    assert "Validation NLL" in (tmp_path / "report.html").read_text()
    assert evaluation_table(record).row_count == 2


def test_equal_calls_give_equal_numbers(name: str, data: str) -> None:
    first, second = (evaluate(name, data=data, **SMALL) for _ in range(2))
    assert first["settings"] == second["settings"]
    assert evaluate(name, data=data, seed=1, **SMALL)["settings"] != first["settings"]


def test_resume_overwrite_and_neither(name: str, data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = evaluate(name, data=data, out=out, **SMALL)
    with pytest.raises(UserError, match=r"holds an evaluation already \(evaluation\.json\); use resume or overwrite"):
        evaluate(name, data=data, out=out, **SMALL)
    samples = (out / "samples.jsonl").read_bytes()
    (out / "evaluation.json").unlink()
    (out / "samples.jsonl").write_bytes(samples[:-40])
    with pytest.raises(UserError, match=r"holds an evaluation already \(samples\.jsonl\)"):
        evaluate(name, data=data, out=out, **SMALL)
    assert evaluate(name, data=data, out=out, resume=True, **SMALL)["settings"] == first["settings"]
    assert (out / "samples.jsonl").read_bytes() == samples
    with pytest.raises(UserError, match="was made with seed 0, not 1"):
        evaluate(name, data=data, out=out, resume=True, seed=1, **SMALL)
    assert evaluate(name, data=data, out=out, overwrite=True, seed=1, **SMALL)["seeds"] == [1]


def test_samples_of_another_model_are_not_reused(
    name: str, data: str, model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    evaluate(name, data=data, out=tmp_path / "out", **SMALL)
    with torch.no_grad():
        model.lm_head.weight.mul_(2)
    save_model(model, tokenizer, name)
    with pytest.raises(UserError, match="was made with model "):
        evaluate(name, data=data, out=tmp_path / "out", resume=True, **SMALL)


def test_dry_run_loads_no_weights_and_writes_nothing(name: str, data: str, tmp_path: Path) -> None:
    weights = Path(name) / "model.safetensors"
    weights.write_bytes(b"not weights")
    plan = evaluate(name, data=data, out=tmp_path / "out", dry_run=True, **SMALL)
    assert plan["responses"] == 3 * 3 * 2
    assert plan["new_tokens_at_most"] == 72
    assert plan["tokens_to_score"] > 100
    assert not (tmp_path / "out").exists()


def test_bad_input_writes_nothing(name: str, data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="there is no file or folder '/no/such'"):
        evaluate("/no/such", data=data, out=out)
    with pytest.raises(UserError, match="no_such"):
        evaluate(name, data=str(tmp_path / "no_such.jsonl"), out=out)
    with pytest.raises(UserError, match="resume and overwrite exclude each other"):
        evaluate(name, data=data, out=out, resume=True, overwrite=True)
    with pytest.raises(UserError, match="need an output folder"):
        evaluate(name, data=data, resume=True)
    with pytest.raises(UserError, match="is a file; expected a folder"):
        evaluate(name, data=data, out=data)
    assert not out.exists()


def test_judge_needs_the_same_tokenizer(name: str, data: str, model: Any, tokenizer: Any, tmp_path: Path) -> None:
    import copy

    other = copy.deepcopy(tokenizer)
    other.add_tokens(["<extra>"])
    save_model(model, other, tmp_path / "other")
    with pytest.raises(UserError, match="has another tokenizer than the model"):
        evaluate(name, data=data, judge=str(tmp_path / "other"), **SMALL)


@pytest.mark.embedded
def test_embedded_default_answers_and_ends(tmp_path: Path) -> None:
    lines = [
        {"prompt": "What is the capital of France? Answer with one word.", "completion": "Paris"},
        {"prompt": "Say hello.", "completion": "Hello!"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = evaluate(
        data=str(tmp_path / "rows.jsonl"), temperatures=(0, 1.0), samples=2, prompts=2, max_new_tokens=12, device="cpu"
    )
    greedy = record["samples"][0]["outputs"][0]["texts"]
    assert "Paris" in greedy[0]
    assert "<|im_" not in "".join(
        text for shown in record["samples"] for out in shown["outputs"] for text in out["texts"]
    )
    assert record["settings"][0]["unfinished"] < 4
    assert 0 < record["settings"][1]["metrics"]["nll"]["value"] < 8


def test_a_row_is_used_where_one_of_its_answers_is(name: str, tmp_path: Path) -> None:
    lines = [{"prompt": "a", "answers": ["b", "x" * 400]}, {"prompt": "two", "answers": ["c"]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    counted = evaluate(name, data=str(tmp_path / "rows.jsonl"), **SMALL)["data"]
    assert (counted["rows_read"], counted["rows_rejected"], counted["validation_rows"]) == (2, 0, 2)


def test_a_checker_that_cannot_be_read_is_named_with_its_row(name: str, tmp_path: Path) -> None:
    lines = [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d", "checker": {"kind": "nope"}}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=r"rows\.jsonl:2 .*a checker's kind must be one of"):
        evaluate(name, data=str(tmp_path / "rows.jsonl"), out=tmp_path / "out", **SMALL)
    assert not (tmp_path / "out").exists()
