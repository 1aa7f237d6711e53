"""What cannot be scored is said in one sentence, or counted with its reason."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from entrotune.errors import UserError
from entrotune.scoring import read_scores
from entrotune.scoring.score import score
from tiny import byte_tokenizer, tiny_llama


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "each"}, "mode is 'each'; expected one of all, predicted, response"),
        ({"bos": "maybe"}, "bos is 'maybe'"),
        ({"precision": "float8"}, "precision is 'float8'"),
        ({"engine": "spark"}, "engine is 'spark'; expected one of local, ray"),
        ({"text_unit": "word"}, "text_unit is 'word'"),
        ({"mode": "response"}, "mode response needs rows with an answer"),
        ({"mode": "response", "bos": "always"}, "the chat template decides"),
        ({"system": "Be brief."}, "system is for mode response"),
        ({"max_length": 1}, "max_length is 1; expected at least 2"),
        ({"max_length": 513}, "reaches to 512 tokens"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_k": 301}, "top_k is 301; expected 0 to 300"),
        ({"part_rows": 0}, "part_rows is 0"),
        ({"batch_tokens": 0}, "batch_tokens is 0"),
        ({"workers": 2}, "belong to engine ray"),
        ({"engine": "ray", "device": "cpu"}, "follows from gpus_per_worker"),
        ({"engine": "ray", "gpus_per_worker": -1.0}, "gpus_per_worker is -1.0"),
        ({"keep": "label,colour"}, "keep names the column 'colour', which none of the first 28 rows has"),
        ({"model": "/nowhere"}, "no such model"),
    ],
)
def test_refused(change: dict[str, Any], message: str, texts: Path, model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        score(str(texts), **{"model": str(model_folder), "out": tmp_path / "out", **change})


def test_a_tokenizer_without_the_bos_that_is_asked_for(texts: Path, model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    tokenizer = byte_tokenizer()
    tokenizer.bos_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="the tokenizer has no BOS token"):
        score(str(texts), model=str(folder), out=tmp_path / "out", bos="always")


def test_rejects_of_every_kind_add_up(model_folder: Path, tmp_path: Path) -> None:
    lines = [
        '{"prompt": "hi", "completion": "there"}',
        "{broken",
        '{"prompt": "hi", "completion": "  "}',
        json.dumps({"prompt": "x" * 600, "completion": "too late"}),
        json.dumps({"prompt": "x" * 480, "completion": "y" * 100}),
        '{"prompt": "hi"}',
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(line + "\n" for line in lines))
    record = score(str(data), model=str(model_folder), out=tmp_path / "out", mode="response", part_rows=2)
    assert [record["counts"][name] for name in ("read", "scored", "rejected")] == [6, 2, 4]
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [2, 3, 4, 6]
    assert "the response begins after the first 512" in rejects[2]["reason"]
    short, long = read_scores(tmp_path / "out").table.to_pylist()
    assert (short["tokens_cut"], long["tokens"] + long["tokens_cut"]) == (0, 101)
    late = tmp_path / "late.jsonl"
    late.write_text(f"\n\n{lines[3]}\n")
    with pytest.raises(UserError, match=r"late\.jsonl:3: .*on_bad_row=skip"):
        score(str(late), model=str(model_folder), out=tmp_path / "late", mode="response", on_bad_row="stop")


def test_a_part_of_which_no_row_can_be_scored(model_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"text": ""}\n' * 4 + '{"text": "fine"}\n')
    given: dict[str, Any] = {"model": str(model_folder), "part_rows": 2, "per_token": True, "top_k": 3}
    record = score(data, out=tmp_path / "out", **given)
    assert [record["counts"][name] for name in ("read", "scored", "rejected")] == [5, 1, 4]
    (row,) = read_scores(tmp_path / "out").table.to_pylist()
    assert len(row["token_rank"]) == len(row["topk_ids"]) == row["tokens"] == 4


def test_a_padding_token_that_the_model_does_not_have(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny_llama(vocab_size=259).save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<added>"})
    tokenizer.save_pretrained(folder)
    data = tmp_path / "rows.txt"
    data.write_text("short\nlonger than that\n")
    record = score(data, model=str(folder), out=tmp_path / "out")
    assert record["counts"]["scored"] == 2


def test_kept_values_that_no_column_type_holds(model_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"text": "a", "s": "\\ud800", "n": 1}\n{"text": "b", "s": "é", "n": 1' + "0" * 30 + "}\n")
    score(data, model=str(model_folder), out=tmp_path / "out", keep="s,n")
    table = read_scores(tmp_path / "out").table
    assert [json.loads(text) for text in table["kept_s"].to_pylist()] == ["\ud800", "é"]
    assert [json.loads(text) for text in table["kept_n"].to_pylist()] == [1, 10**30]


def test_a_broken_model_gives_rejects_and_no_numbers(texts: Path, model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    weights = load_file(folder / "model.safetensors")
    row = int(byte_tokenizer()("💡")["input_ids"][0])
    # Rows that hold this byte go wrong; the others, which do not attend to it, are fine.
    weights["model.embed_tokens.weight"][row] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    record = score(str(texts), model=str(folder), out=tmp_path / "out")
    assert record["counts"]["rejected"] == 4
    reasons = {json.loads(line)["reason"] for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()}
    assert all("not a finite score: entropy is nan at position " in reason for reason in reasons)
    for name, values in read_scores(tmp_path / "out").table.to_pydict().items():
        assert all(value == value for value in values), name


def test_tokens_beyond_the_models_vocabulary(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny_llama(vocab_size=259).save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    data = tmp_path / "rows.txt"
    data.write_text("fine\nnot <new> fine\n")
    record = score(str(data), model=str(folder), out=tmp_path / "out")
    assert [record["counts"][name] for name in ("read", "scored", "rejected")] == [2, 1, 1]
    rejects = (tmp_path / "out" / "rejects.jsonl").read_text()
    assert "out of range: token 259, but the model's vocabulary ends at 258" in rejects


def test_reading_what_is_no_finished_score_folder(texts: Path, model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; give the folder"):
        read_scores(tmp_path / "none")
    with pytest.raises(UserError, match="is a file; give the folder"):
        read_scores(texts)
    with pytest.raises(UserError, match=r"no manifest\.json"):
        read_scores(tmp_path)
    out = tmp_path / "out"
    score(str(texts), model=str(model_folder), out=out, part_rows=9)
    with pytest.raises(UserError, match=r"has no column 'entropy'; it has id, position, .*entropy_mean"):
        read_scores(out, columns=["entropy"])
    assert read_scores(out, columns=["id", "nll_mean"]).table.column_names == ["id", "nll_mean"]
    part = out / "scores" / "part-00001.parquet"
    whole = part.read_bytes()
    part.unlink()
    with pytest.raises(UserError, match="should hold 28 rows and holds 19: parts of it are missing"):
        read_scores(out)
    part.write_bytes(whole[:-20])
    with pytest.raises(UserError, match="cannot be read as parquet"):
        read_scores(out)
    manifest = out / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(UserError, match="has schema version 9, expected 1"):
        read_scores(out)
    manifest.write_text("{}")
    with pytest.raises(UserError, match="is not the manifest of a score folder"):
        read_scores(out)
