"""`entrotune perplexity` as a user types it: several models, uses of rows, what cannot be measured."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from commands import command_here
from entrotune.errors import UserError
from entrotune.experiments.perplexity import perplexity
from entrotune.measures import bootstrap_ratio, paired_ratio_difference
from entrotune.models import load_tokenizer
from tiny import byte_tokenizer, tiny_llama

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "that", "it", "was", "good", "day", "to", "sun"]


def _save(folder: Path, *, seed: int, tokenizer: Any, std: float) -> Path:
    model = tiny_llama(seed=seed)
    torch.nn.init.normal_(model.lm_head.weight, std=std)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sharp(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(_save(tmp_path_factory.mktemp("m") / "sharp", seed=0, tokenizer=byte_tokenizer(), std=0.3))


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(_save(tmp_path_factory.mktemp("m") / "flat", seed=1, tokenizer=byte_tokenizer(), std=0.001))


@pytest.fixture(scope="module")
def other_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["cat", "the"])
    return str(_save(tmp_path_factory.mktemp("m") / "other", seed=2, tokenizer=tokenizer, std=0.001))


@pytest.fixture
def texts(tmp_path: Path) -> str:
    """Twenty rows of text with a label and a date."""
    draw = random.Random(0)
    rows = [
        {
            "id": f"r{at}",
            "text": " ".join(draw.choices(WORDS, k=4 + at % 7)),
            "label": at % 3,
            "date": f"2024-{1 + at // 5:02d}-{1 + at:02d}",
        }
        for at in range(20)
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def book(tmp_path: Path) -> str:
    path = tmp_path / "book.txt"
    path.write_text(" ".join(random.Random(1).choices(WORDS, k=300)), encoding="utf-8")
    return str(path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_text_file_is_one_text(book: str, sharp: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = command_here(capsys, "perplexity", book, "--model", sharp, "--stride", "64", "--max-length", "128")
    assert ended.code == 0, ended.err
    record = perplexity(book, model=sharp, stride=64, max_length=128)
    (one,) = record["models"]
    size = len(Path(book).read_text(encoding="utf-8"))
    assert one["counts"]["tokens_scored"] + one["counts"]["tokens_unscored"] == size
    assert one["measures"]["perplexity"]["n"] == -(-size // 1000)
    for told in (f"{size - 1:,}", "128, 64", "passages of 1,000 characters", "bits per byte", "nothing"):
        assert told in ended.out


def test_json_is_the_record(book: str, sharp: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = command_here(capsys, "perplexity", book, "--model", sharp, "--json")
    assert ended.code == 0, ended.err
    told, record = json.loads(ended.out), perplexity(book, model=sharp)
    assert told["models"][0]["measures"] == record["models"][0]["measures"]


def test_a_dry_run_loads_nothing_and_counts_what_scoring_counts(
    texts: str, sharp: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    ended = command_here(capsys, "perplexity", texts, "--model", sharp, "--out", str(out), "--dry-run")
    assert ended.code == 0, ended.err
    (planned,) = json.loads(ended.out)["models"]
    (scored,) = perplexity(texts, model=sharp)["models"]
    assert not out.exists()
    assert planned["tokens_scored"] == scored["counts"]["tokens_scored"]
    assert planned["tokens_read"] == scored["counts"]["tokens_read"]


def test_two_models_of_one_tokenizer_are_paired_over_rows(
    texts: str, sharp: str, flat: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    ended = command_here(capsys, "perplexity", texts, "--model", sharp, "--model", flat, "--out", str(out))
    assert ended.code == 0, ended.err
    record = json.loads((out / "perplexity.json").read_text())
    assert [entry["measure"] for entry in record["differences"]] == ["bits_per_byte", "nll"]
    rows = [line["models"] for line in lines(out / "rows.jsonl")]
    nll, tokens = (
        {name: np.array([row[name][key] for row in rows]) for name in (sharp, flat)} for key in ("nll_sum", "tokens")
    )
    expected = paired_ratio_difference(nll[sharp], tokens[sharp], nll[flat], tokens[flat], seed=0)
    assert record["differences"][1]["difference"] == pytest.approx(expected.to_dict())
    single = bootstrap_ratio(nll[sharp], tokens[sharp], seed=0)
    assert record["models"][0]["measures"]["nll"] == pytest.approx(single.to_dict())
    assert not any("tokenizers" in warning for warning in record["warnings"])
    assert record["differences"][1]["verdict"] == "higher"  # random guesses are worse than even odds


def test_models_of_other_tokenizers_compare_in_bits_per_byte_only(
    book: str, sharp: str, other_tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = perplexity(book, model=[sharp, other_tokenizer], passage=100, bos="always")
    assert [entry["measure"] for entry in record["differences"]] == ["bits_per_byte"]
    assert any("different tokenizers" in warning for warning in record["warnings"])
    one, other = (model["counts"] for model in record["models"])
    assert other["tokens_scored"] < one["tokens_scored"]
    assert (other["bytes"], other["words"]) == (one["bytes"], one["words"])
    ended = command_here(capsys, "perplexity", book, "--model", f'["{sharp}", "{other_tokenizer}"]')
    assert "Bits per byte, and perplexities per word" in " ".join(ended.out.split())


def test_a_masked_model_is_not_compared_with_a_causal_one(book: str, sharp: str, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    config = BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    record = perplexity(book, model=[sharp, str(tmp_path / "bert")], spans=[[0, 50]])
    assert record["differences"] == []
    assert any("pseudo-perplexity does not compare" in warning for warning in record["warnings"])


def test_ranking_loses_nothing(texts: str, sharp: str, tmp_path: Path) -> None:
    perplexity(texts, model=sharp, rank="high", out=tmp_path / "out")
    written = lines(tmp_path / "out" / "ranked.jsonl")
    values = [row["perplexity"] for row in written]
    assert values == sorted(values, reverse=True)
    given = {row["id"]: row for row in lines(Path(texts))}
    assert {row["id"]: {k: v for k, v in row.items() if k != "perplexity"} for row in written} == given


def test_filtering_divides_the_rows(texts: str, sharp: str, tmp_path: Path) -> None:
    plain = perplexity(texts, model=sharp, out=tmp_path / "plain")
    values = sorted(line["models"][sharp]["perplexity"] for line in lines(tmp_path / "plain" / "rows.jsonl"))
    record = perplexity(texts, model=sharp, at_least=values[2], at_most=values[11], out=tmp_path / "out")
    keeps, drops = (lines(tmp_path / "out" / f"{name}.jsonl") for name in ("kept", "dropped"))
    assert (record["filter"]["kept"], record["filter"]["dropped"]) == (len(keeps), len(drops)) == (10, 10)
    assert sorted(row["id"] for row in (*keeps, *drops)) == sorted(row["id"] for row in lines(Path(texts)))
    assert sorted(row["perplexity"] for row in keeps) == values[2:12]
    assert plain["data"]["rows_scored"] == 20
    # What was kept can be read again as data.
    again = perplexity(str(tmp_path / "out" / "kept.jsonl"), model=sharp)
    assert again["data"]["rows_scored"] == 10


@pytest.mark.parametrize("by", ["perplexity", "bits_per_byte"])
def test_rows_that_stand_out_are_flagged(by: str, texts: str, sharp: str, tmp_path: Path) -> None:
    record = perplexity(texts, model=sharp, anomalies=1.5, by=by, out=tmp_path / "out")
    found = record["anomalies"]
    values = np.array([line["models"][sharp][by] for line in _rows_of(tmp_path)])
    values = np.log(values) if by == "perplexity" else values
    deviation = np.median(np.abs(values - np.median(values)))
    expected = (values - np.median(values)) / (1.4826 * deviation)
    np.testing.assert_allclose([line["z"] for line in _rows_of(tmp_path)], expected)
    flagged = np.flatnonzero(np.abs(expected) > 1.5)
    assert 0 < len(flagged) < 20
    assert [one["id"] for one in found["flagged"]] == [
        f"r{at}" for at in sorted(flagged, key=lambda i: -abs(expected[i]))
    ]
    assert found["high"] == (expected > 1.5).sum()
    assert found["high"] + found["low"] == len(flagged) == len(lines(tmp_path / "out" / "anomalies.jsonl"))


def test_equal_rows_have_no_anomaly(sharp: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "equal.txt"
    path.write_text("same\n" * 5 + "other\n", encoding="utf-8")
    ended = command_here(capsys, "perplexity", str(path), "--text_unit=line", "--model", sharp, "--anomalies", "3.5")
    assert ended.code == 0, ended.err
    assert "0 of 6 rows flagged" in ended.out
    assert "half of the rows have the same value" in " ".join(ended.out.split())


def _rows_of(tmp_path: Path) -> list[dict[str, Any]]:
    return lines(tmp_path / "out" / "rows.jsonl")


def test_drift_over_dates(tmp_path: Path, sharp: str, capsys: pytest.CaptureFixture[str]) -> None:
    draw, path = random.Random(3), tmp_path / "posts.jsonl"
    # The later, the more random letters among the words.
    rows = [
        {
            "text": " ".join(
                draw.choice(WORDS) if draw.random() > month / 12 else "".join(draw.choices("qxzjkvw", k=4))
                for _ in range(30)
            ),
            "day": f"2023-{month:02d}",
        }
        for month in range(1, 13)
        for _ in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = perplexity(str(path), model=sharp, drift="day")["drift"]
    assert [line["period"] for line in found["periods"]] == [f"2023-{month:02d}" for month in range(1, 13)]
    assert all(line["rows"] == 4 for line in found["periods"])
    x = np.array([(np.datetime64(f"{row['day']}-01") - np.datetime64("2023-01-01")).astype(int) for row in rows])
    perplexity(str(path), model=sharp, out=tmp_path / "out")
    y = [line["models"][sharp]["nll_sum"] / line["models"][sharp]["tokens"] for line in _rows_of(tmp_path)]
    slope = found["trend"]["slope"]
    assert slope["value"] == pytest.approx(np.polyfit(x / 365.2425, y, 1)[0])
    assert slope["low"] < slope["value"] < slope["high"]
    ended = command_here(capsys, "perplexity", str(path), "--model", sharp, "--drift", "day", "--period", "year")
    assert ended.code == 0, ended.err
    assert "2023" in ended.out
    assert "trend" in ended.out


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("", [], "is empty: it holds no row"),
        ("a", [], "no token to score: 1 in all, and nothing before the first could predict it"),
        ("abc", ["--stride", "65", "--max-length", "64"], "stride is 65, more than the 64 tokens of a window"),
        ("abc", ["--max-length", "513"], "max_length is 513, but model"),
        ("abc", ["--spans", "[[0, 4]]"], "span out of range: [0, 4] in a text of 3 characters"),
        ("abc", ["--spans", "[[2, 2]]"], "span out of range"),
        ("abc", ["--spans", "[[1]]"], "expected [start, end] in characters"),
        ("abc", ["--context_column", "prompt"], "no row has a column 'prompt'; they have 'text'"),
        ("abc", ["--spans_column", "s"], "no row has a column 's'"),
        ("abc\nabd", ["--text_unit", "line", "--drift", "date"], "no row has a column 'date'"),
        ("abc", ["--anomalies", "3.5"], "are about rows, and"),
        ("abc", ["--rank", "low"], "give a folder for them with out"),
        ("abc", ["--rank", "best"], "rank is 'best'; expected one of low, high"),
        ("abc", ["--by", "f1"], "by is 'f1'"),
        ("abc", ["--bos", "maybe"], "bos is 'maybe'; expected one of auto, none, always, eos"),
        ("abc", ["--precision", "int8"], "precision is 'int8'"),
        ("abc", ["--passage", "0"], "passage is 0"),
        ("abc", ["--at_least", "5", "--at_most", "2", "--out", "x"], "no row could be kept"),
        ("abc", ["--separator", "x"], "give a context or a context_column too"),
        ("abc", ["--context", "x", "--context_column", "y"], "exclude each other"),
        ("abc", ["--overwrite"], "overwrite needs an output folder"),
        ("abc", ["--model", "nowhere/at/all"], "no such model"),
        ("abc", ["--text_unit", "word"], "text_unit is 'word'"),
    ],
)
def test_refused_in_one_sentence(
    content: str, arguments: list[str], message: str, tmp_path: Path, sharp: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(content, encoding="utf-8")
    model = [] if "--model" in arguments else ["--model", sharp]
    ended = command_here(capsys, "perplexity", str(path), *model, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_dates_that_are_none(texts: str, sharp: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dates.jsonl"
    path.write_text(Path(texts).read_text() + '{"text": "and so on", "date": "last May"}\n', encoding="utf-8")
    stopped = command_here(capsys, "perplexity", str(path), "--model", sharp, "--drift", "date", "--on_bad_row", "stop")
    assert stopped.code == 2
    assert "dates.jsonl:21: no date: 'last May'; expected such as 2024-05-17" in stopped.err
    record = perplexity(str(path), model=sharp, drift="date", out=tmp_path / "out")
    assert [record["data"][name] for name in ("rows_read", "rows_scored", "rows_rejected")] == [21, 20, 1]
    assert "last May" in (tmp_path / "out" / "rejects.jsonl").read_text()
    none = command_here(capsys, "perplexity", texts, "--model", sharp, "--drift", "text")
    assert none.code == 2
    assert "nothing to score among 20 rows" in none.err


def test_rows_of_which_some_cannot_be_scored_add_up(sharp: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = ['{"text": "fine"}', "{broken", '{"text": "x"}', '{"text": "also fine", "s": [[0, 99]]}', '{"text": ""}']
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    record = perplexity(str(path), model=sharp, out=tmp_path / "out")
    assert [record["data"][name] for name in ("rows_read", "rows_scored", "rows_rejected")] == [5, 2, 3]
    assert [reject["line"] for reject in lines(tmp_path / "out" / "rejects.jsonl")] == [2, 5, 3]
    with pytest.raises(UserError, match=r"nothing to score among 3 rows: .*missing column: s.*span out of range"):
        perplexity(str(path), model=sharp, spans_column="s")


def test_a_folder_that_holds_a_result(texts: str, sharp: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    perplexity(texts, model=sharp, rank="low", out=out)
    with pytest.raises(UserError, match=r"holds perplexity\.json already"):
        perplexity(texts, model=sharp, out=out)
    perplexity(texts, model=sharp, out=out, overwrite=True)
    assert not (out / "ranked.jsonl").exists()


def test_a_place_that_cannot_be_written_to_is_told_before_the_work(texts: str, sharp: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot write to .*a/b/c' \(Not a directory: '.*/a'\)"):
        perplexity(texts, model=sharp, out=tmp_path / "a" / "b" / "c", dry_run=True)


def test_damaged_weights(book: str, sharp: str, tmp_path: Path) -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.model.embed_tokens.weight[byte_tokenizer()("z")["input_ids"][0]] = torch.nan
    model.save_pretrained(tmp_path / "bad")
    byte_tokenizer().save_pretrained(tmp_path / "bad")
    path = tmp_path / "zebra.txt"
    path.write_text("a zebra", encoding="utf-8")
    with pytest.raises(UserError, match="gives 6 tokens a likelihood that is no finite number"):
        perplexity(str(path), model=str(tmp_path / "bad"))


@pytest.mark.embedded
@pytest.mark.shared_data
def test_sense_is_likelier_than_shuffled_words_than_nonsense(shared_data: Path, tmp_path: Path) -> None:
    text = (shared_data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")[:1500]
    draw = random.Random(0)
    shuffled = text.split()
    draw.shuffle(shuffled)
    tokenizer = load_tokenizer("smollm2-135m")
    tokens = tokenizer.decode(draw.choices(range(100, 40_000), k=400))
    letters = "".join(draw.choice("abcdefghijklmnopqrstuvwxyz ") for _ in text)
    data = tmp_path / "texts.jsonl"
    made = {"sense": text, "shuffled": " ".join(shuffled), "tokens": tokens, "letters": letters}
    data.write_text("".join(json.dumps({"id": name, "text": one}) + "\n" for name, one in made.items()), "utf-8")
    perplexity(str(data), max_length=256, out=tmp_path / "out")
    found = {line["id"]: line["models"]["smollm2-135m"] for line in _rows_of(tmp_path)}
    assert 1.2 * found["sense"]["bits_per_byte"] < found["shuffled"]["bits_per_byte"]
    for nonsense in ("tokens", "letters"):
        assert 1.2 * found["shuffled"]["bits_per_byte"] < found[nonsense]["bits_per_byte"], nonsense
    # A token is a fair unit only for texts that are cut alike: letters make tokens of one or two, each of few choices.
    order = [found[name]["perplexity"] for name in ("sense", "shuffled", "tokens")]
    assert order == sorted(order)
    assert order[1] > 2 * order[0]


def test_passages_of_one_text_add_up(book: str, sharp: str) -> None:
    whole, parts = (perplexity(book, model=sharp, passage=size)["models"][0] for size in (10**6, 50))
    assert whole["measures"]["perplexity"]["low"] is None
    for name in ("perplexity", "word_perplexity", "bits_per_byte"):
        assert parts["measures"][name]["value"] == pytest.approx(whole["measures"][name]["value"])
        assert parts["measures"][name]["low"] < parts["measures"][name]["value"] < parts["measures"][name]["high"]


def test_a_text_without_words_has_no_perplexity_per_word(
    sharp: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "spaces.jsonl"
    path.write_text('{"text": " . "}\n{"text": "ab   "}\n', encoding="utf-8")
    found = perplexity(str(path), model=sharp, spans=[[2, 3]])["models"][0]
    assert found["counts"]["words"] == 0
    assert found["measures"]["word_perplexity"]["value"] is None
    assert found["measures"]["byte_perplexity"]["value"] > 1
    ended = command_here(capsys, "perplexity", str(path), "--model", sharp, "--spans", "[[2, 3]]")
    assert ended.code == 0, ended.err
