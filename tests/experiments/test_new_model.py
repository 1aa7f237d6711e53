"""`entrotune new-model`, from a file of texts to a folder that loads."""

from pathlib import Path

import pytest

from commands import command_here
from entrotune import TrainConfig, load_model, new_model, train
from entrotune.errors import UserError

HEADLINES = "title,day\nNew York says no,1\nNew year in New York,2\n"


@pytest.fixture
def headlines(tmp_path: Path) -> Path:
    path = tmp_path / "headlines.csv"
    path.write_text(HEADLINES, encoding="utf-8")
    return path


def test_a_column_of_a_table(tmp_path: Path, headlines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lstm"
    ended = command_here(capsys, "new-model", "--data", str(headlines), "--column", "title", "--out", str(out))
    assert ended.code == 0, ended.err
    assert "9 tokens, from 9 words in 2 rows; 0.0% of the words are unknown" in ended.out
    model, tokenizer = load_model(out)
    assert (model.config.embedding_size, model.config.hidden_size, model.config.dropout) == (10, 100, 0.1)
    assert tokenizer.decode(tokenizer("New York").input_ids) == "new york"


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_lines_of_a_text_file(tmp_path: Path, kind: str) -> None:
    (tmp_path / "input.txt").write_text("First line.\n\nSecond line.\n", encoding="utf-8")
    made = new_model(out=str(tmp_path / "m"), data=str(tmp_path / "input.txt"), kind=kind, vocabulary=5)
    assert made["rows"] == 2
    assert made["unknown_share"] == pytest.approx(2 / 6)
    model, _ = load_model(tmp_path / "m")
    assert model.config.model_type == {"lstm": "lstm", "transformer": "llama"}[kind]


def test_every_text_of_the_embedded_chats(tmp_path: Path) -> None:
    made = new_model(out=str(tmp_path / "m"), limit=20)
    assert (made["rows"], made["unknown_share"]) == (20, 0.0)
    assert made["words"] > 200


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"column": "headline"}, "headline"),
        ({"column": "title", "columns": {"text": "title"}}, "give one of them"),
        ({"column": "title", "vocabulary": 4}, "at least 5"),
        ({"column": "title", "heads": 2}, "heads was given"),
        ({"column": "title", "kind": "gru"}, "kind is 'gru'"),
        ({"column": "title", "hidden_size": 0}, "hidden_size must be at least 1"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(
    tmp_path: Path, headlines: Path, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        new_model(out=str(tmp_path / "m"), data=str(headlines), **changes)
    assert not (tmp_path / "m").exists()


def test_empty_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="empty"):
        new_model(out=str(tmp_path / "m"), data=str(tmp_path / "input.txt"))


def test_a_folder_that_is_taken(tmp_path: Path, headlines: Path) -> None:
    options = {"out": str(tmp_path / "m"), "data": str(headlines), "column": "title"}
    new_model(**options)
    with pytest.raises(UserError, match="already holds a model"):
        new_model(**options)
    assert new_model(**options, hidden_size=8, overwrite=True)["parameters"] < 2000
    with pytest.raises(UserError, match="other files"):
        new_model(**options | {"out": str(tmp_path)}, overwrite=True)


def test_a_transformer_is_trained_with_the_defaults_of_a_recipe(tmp_path: Path, headlines: Path) -> None:
    out = str(tmp_path / "m")
    new_model(out=out, data=str(headlines), column="title", kind="transformer", hidden_size=8)
    columns: dict[str, str | list[str]] = {"text": "title"}
    plan = train(TrainConfig(data=str(headlines), columns=columns, model=out, method="full"), dry_run=True)
    assert plan["data"]["train_rows"] == 1
