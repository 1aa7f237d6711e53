"""Scores equal an independent float64 computation, in every mode, however rows are batched and cut into parts."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import normalizers
from torch.utils._python_dispatch import TorchDispatchMode

from entrotune.scoring import read_scores
from entrotune.scoring.score import score
from scoring.plainly import plain_scores
from tiny import byte_tokenizer

# float32 logits: errors of about 1e-6 a token; sums of up to a hundred tokens.
TOLERANCE = 1e-4


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def check(row: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        got = row[name]
        if name.startswith("token_"):
            got = [number for number in got if number is not None]
            assert np.allclose(got, value, atol=TOLERANCE), name
        else:
            assert got == pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE), name


def expected_of(model: Any, tokenizer: Any, text: str, mode: str, bos: str) -> dict[str, Any]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = [tokenizer.bos_token_id, *ids] if bos == "always" else ids
    counted = list(range(len(ids) if mode == "all" else len(ids) - 1))
    return plain_scores(model, ids, counted, [place < len(ids) - 1 for place in counted])


@pytest.mark.parametrize(
    ("mode", "bos"), [("all", "auto"), ("all", "always"), ("predicted", "auto"), ("predicted", "always")]
)
def test_text_equals_a_plain_computation(
    mode: str, bos: str, sharp_model: Any, tokenizer: Any, model_folder: Path, texts: Path, tmp_path: Path
) -> None:
    record = score(
        str(texts), model=str(model_folder), out=tmp_path / "out", mode=mode, bos=bos, per_token=True, part_rows=9
    )
    scores = read_scores(tmp_path / "out")
    found = scores.table.to_pylist()
    given = rows_of(texts)
    assert [row["id"] for row in found] == [row["id"] for row in given]
    assert [row["position"] for row in found] == list(range(28))
    for row, asked in zip(found, given, strict=True):
        expected = expected_of(sharp_model, tokenizer, asked["text"], mode, bos)
        check(row, expected)
        size = len(asked["text"].encode())
        assert row["bytes"] == size
        # Every byte is a token; without BOS the first has no nll.
        assert row["nll_bytes"] in ((size,) if bos == "always" else (size - 1, size - len(asked["text"][0].encode())))
        assert row["bits_per_byte"] == pytest.approx(expected["nll_sum"] / math.log(2) / row["nll_bytes"], rel=1e-5)
    totals = [sum(row[name] for row in found) for name in ("tokens", "nll_tokens", "bytes")]
    assert [record["counts"][name] for name in ("tokens", "nll_tokens", "bytes")] == totals
    assert record["counts"]["read"] == record["counts"]["scored"] == 28
    assert record["means"]["entropy"] == pytest.approx(sum(row["entropy_sum"] for row in found) / totals[0])
    assert record["means"]["perplexity"] == pytest.approx(math.exp(sum(row["nll_sum"] for row in found) / totals[1]))


def test_response_equals_a_plain_computation(
    sharp_model: Any, tokenizer: Any, model_folder: Path, tmp_path: Path
) -> None:
    rows = [
        {"id": "one", "prompt": "hi", "answers": ["hello there"]},
        {"id": "two", "prompt": "name a colour", "answers": ["red", "a rather long answer: teal"]},
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = score(str(data), model=str(model_folder), out=tmp_path / "out", mode="response", per_token=True)
    found = read_scores(tmp_path / "out").table.to_pylist()
    assert [(row["id"], row["position"]) for row in found] == [("one", 0), ("two#0", 1), ("two#1", 1)]
    asked = [(row["prompt"], answer) for row in rows for answer in row["answers"]]
    for row, (prompt, answer) in zip(found, asked, strict=True):
        head = f"<s>user:{prompt}</s><s>assistant:"
        begin = len(tokenizer(head, add_special_tokens=False)["input_ids"])
        ids = tokenizer(f"{head}{answer}</s>", add_special_tokens=False)["input_ids"]
        counted = list(range(begin - 1, len(ids) - 1))
        check(row, plain_scores(sharp_model, ids, counted, [True] * len(counted)))
        assert row["token_ids"] == ids[begin:]
        assert row["bytes"] == row["nll_bytes"] == len(answer)
    assert record["counts"] | {"read": 2, "scored": 3, "rejected": 0} == record["counts"]
    assert len({row["text_hash"] for row in found}) == 3


def test_bytes_of_a_response_are_those_of_its_own_text(sharp_model: Any, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("é", "e")
    folder = tmp_path / "model"
    sharp_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    def scored(name: str, rows: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        data = tmp_path / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        score(str(data), model=str(folder), out=tmp_path / name, mode="response", **options)
        return {row["id"]: row for row in read_scores(tmp_path / name).table.to_pylist()}

    answers = {"accent": "café", "special": "a</s>b", "emoji": "💡💡"}
    rows: list[dict[str, Any]] = [{"id": name, "prompt": "hi", "answers": [text]} for name, text in answers.items()]
    found = scored("answers", rows)
    for name, text in answers.items():
        assert found[name]["bytes"] == found[name]["nll_bytes"] == len(text.encode()), name
    bits = found["accent"]["nll_sum"] / math.log(2) / len("café".encode())
    assert found["accent"]["bits_per_byte"] == pytest.approx(bits, rel=1e-5)
    turns = [("user", "ça va?"), ("assistant", "été"), ("user", "et toi?"), ("assistant", "né")]
    chat = [{"id": "chat", "messages": [{"role": role, "content": text} for role, text in turns]}]
    assert scored("chat", chat)["chat"]["bytes"] == len("éténé".encode())
    # Tokens are decoded; nothing predicts the first.
    assert scored("tokens", [{"id": "t", "input_ids": tokenizer("héllo")["input_ids"]}])["t"]["bytes"] == len("ello")
    # Cut within the second light bulb: what is left of it is decoded as U+FFFD.
    head = len(tokenizer("<s>user:hi</s><s>assistant:", add_special_tokens=False)["input_ids"])
    cut = scored("cut", rows, max_length=head + 6)
    assert cut["emoji"]["bytes"] == len("💡\ufffd".encode())
    assert cut["accent"]["bytes"] == len("café".encode())


@pytest.mark.parametrize("changes", [{"batch_tokens": 1}, {"batch_tokens": 10_000}, {"part_rows": 1}, {"part_rows": 5}])
def test_batches_and_parts_change_nothing(
    changes: dict[str, int], model_folder: Path, texts: Path, tmp_path: Path
) -> None:
    tables = []
    for name, given in (("usual", {"batch_tokens": 100}), ("changed", changes)):
        score(str(texts), model=str(model_folder), out=tmp_path / name, **given)
        tables.append(read_scores(tmp_path / name).table)
    assert tables[0].column_names == tables[1].column_names
    for name in tables[0].column_names:
        values = [table.column(name).to_pylist() for table in tables]
        if isinstance(values[0][0], float):
            assert np.allclose(*values, rtol=TOLERANCE, atol=TOLERANCE), name
        else:
            assert values[0] == values[1], name


def test_equal_rows_get_equal_scores_and_keep_their_order(model_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"id": f"r{i}", "text": "the same text"}) + "\n" for i in range(40)))
    score(str(data), model=str(model_folder), out=tmp_path / "out", part_rows=16)
    table = read_scores(tmp_path / "out").table
    assert table.column("id").to_pylist() == [f"r{i}" for i in range(40)]
    assert len(set(table.column("text_hash").to_pylist())) == 1
    assert np.ptp(table.column("entropy_mean").to_numpy()) < 1e-6


def test_a_long_text_is_cut_and_counted(
    sharp_model: Any, tokenizer: Any, model_folder: Path, texts: Path, tmp_path: Path
) -> None:
    record = score(str(texts), model=str(model_folder), out=tmp_path / "out", max_length=20)
    found = {row["id"]: row for row in read_scores(tmp_path / "out").table.to_pylist()}
    cut = 0
    for asked in rows_of(texts):
        row, ids = found[asked["id"]], tokenizer(asked["text"], add_special_tokens=False)["input_ids"]
        assert row["tokens"] + row["tokens_cut"] == len(ids)
        assert row["tokens"] == min(20, len(ids))
        cut += row["tokens_cut"]
        last = plain_scores(sharp_model, ids[:20], list(range(row["tokens"])), [False] * row["tokens"])
        assert row["entropy_last"] == pytest.approx(last["entropy_last"], abs=TOLERANCE)
    assert record["counts"]["tokens_cut"] == cut > 0
    assert record["counts"]["rows_cut"] == sum(row["tokens_cut"] > 0 for row in found.values())
    # 20 tokens are 20 bytes here; a character that is cut in the middle counts whole.
    assert found["t4"]["bytes"] == 20


def test_a_single_token_has_an_entropy_and_no_likelihood(
    sharp_model: Any, tokenizer: Any, model_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "a.txt"
    data.write_text("q\n")
    score(str(data), model=str(model_folder), out=tmp_path / "out", per_token=True)
    (row,) = read_scores(tmp_path / "out").table.to_pylist()
    expected = expected_of(sharp_model, tokenizer, "q", "all", "auto")
    assert row["entropy_mean"] == pytest.approx(expected["entropy_mean"], abs=TOLERANCE)
    assert (row["nll_tokens"], row["nll_mean"], row["perplexity"], row["bits_per_byte"]) == (0, None, None, None)
    assert (row["token_ids"], row["token_nll"], row["token_rank"]) == ([None], [None], [None])


def test_likeliest_tokens_and_what_they_leave_out(
    sharp_model: Any, tokenizer: Any, model_folder: Path, texts: Path, tmp_path: Path
) -> None:
    record = score(str(texts), model=str(model_folder), out=tmp_path / "out", per_token=True, top_k=10, limit=5)
    for row, asked in zip(read_scores(tmp_path / "out").table.to_pylist(), rows_of(texts), strict=False):
        ids = tokenizer(asked["text"], add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            log_p = torch.log_softmax(sharp_model(input_ids=torch.tensor([ids])).logits[0].double(), -1)
        best = log_p.topk(10)
        assert np.allclose(row["topk_logprobs"], best.values, atol=TOLERANCE)
        assert row["topk_ids"] == best.indices.tolist()
        shown = -(best.values.exp() * best.values).sum(-1).mean()
        assert row["entropy_topk_mean"] == pytest.approx(float(shown), abs=TOLERANCE)
        assert row["topk_mass_mean"] == pytest.approx(float(best.values.exp().sum(-1).mean()), abs=TOLERANCE)
    error = record["means"]["entropy_topk"] - record["means"]["entropy"]
    assert record["means"]["entropy_topk_error"] == pytest.approx(error)
    assert error < 0


def test_kept_columns_come_back_as_they_were(model_folder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": f"row {i}", "label": i % 2 == 0, "n": i, "about": {"k": [i]}, "mixed": i if i else "zero"}
        for i in range(6)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(str(data), model=str(model_folder), out=tmp_path / "out", keep="label,n, about,mixed,text", part_rows=2)
    table = read_scores(tmp_path / "out").table
    for name in ("label", "n", "about", "text"):
        assert table.column(f"kept_{name}").to_pylist() == [row[name] for row in rows]
    assert [json.loads(text) for text in table.column("kept_mixed").to_pylist()] == [row["mixed"] for row in rows]


def test_a_folder_of_files_keeps_where_each_row_came_from(model_folder: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        parquet.write_table(
            pyarrow.table({"text": [f"file {number} row {i}" for i in range(5)]}), folder / f"{number}.parquet"
        )
    record = score(str(folder), model=str(model_folder), out=tmp_path / "out", part_rows=4)
    found = read_scores(tmp_path / "out").table.to_pylist()
    assert [row["id"] for row in found] == [f"{n}.parquet:{i}" for n in range(3) for i in range(1, 6)]
    assert [Path(row["source"]).name for row in found][::5] == ["0.parquet", "1.parquet", "2.parquet"]
    assert record["data"]["files"] == 3


def test_tokens_that_are_given_are_scored_as_they_are(sharp_model: Any, model_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps({"input_ids": [70, 71, 72, 73]}) + "\n" + json.dumps({"input_ids": [70, 400]}) + "\n")
    record = score(str(data), model=str(model_folder), out=tmp_path / "out")
    (row,) = read_scores(tmp_path / "out").table.to_pylist()
    check(
        row,
        {
            k: v
            for k, v in plain_scores(sharp_model, [70, 71, 72, 73], [0, 1, 2, 3], [True] * 3 + [False]).items()
            if "token_" not in k
        },
    )
    assert record["counts"]["rejected"] == 1
    assert "out of range: token 400" in (tmp_path / "out" / "rejects.jsonl").read_text()


class _Widest(TorchDispatchMode):
    """Remembers the most rows of a tensor as wide as the vocabulary, and the most numbers of any tensor."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary, self.rows, self.numel = vocabulary, 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, torch.Tensor):
                self.numel = max(self.numel, one.numel())
                if one.dim() > 1 and one.shape[-1] == self.vocabulary:
                    self.rows = max(self.rows, one.shape[-2])
        return made


def test_no_tensor_holds_all_positions_times_the_vocabulary(
    model_folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["entrotune.kernels.row_statistics"], "CPU_CHUNK_BYTES", 50 * 300 * 4)
    with _Widest(300) as made:
        record = score(str(texts), model=str(model_folder), out=tmp_path / "out", batch_tokens=4096)
    assert record["counts"]["tokens"] > 800
    assert made.rows == 50
    assert made.numel < record["counts"]["tokens"] * 300 / 2


def test_what_a_dry_run_says_is_what_happens(model_folder: Path, texts: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"model": str(model_folder), "out": tmp_path / "out", "max_length": 30, "part_rows": 10}
    plan = score(str(texts), **given, dry_run=True)
    assert not (tmp_path / "out").exists()
    record = score(str(texts), **given)
    for name in ("read", "rejected", "tokens", "tokens_cut"):
        assert plan["counts"][name] == record["counts"][name]
    assert plan["counts"]["sequences"] == record["counts"]["scored"]
    assert plan["parts"] == len(list((tmp_path / "out" / "scores").iterdir()))
    assert plan["seconds_at_least"] >= 0
    assert plan["counts"]["tokens_padded"] >= plan["counts"]["tokens"]
