"""Scoring that is killed goes on where it stopped: no row twice, none lost, nothing half."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import forked
from entrotune.errors import UserError
from entrotune.scoring import read_scores
from entrotune.scoring.score import score
from entrotune.scoring.writer import ENTRIES, ScoreWriter, differences
from tiny_files import write_model

PARTS = 4


def _kill(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before_part(number: int) -> None:
    whole = ScoreWriter.write

    def write(self: Any, scored: Any) -> None:
        if scored.number == number:
            _kill()
        whole(self, scored)

    ScoreWriter.write = write  # type: ignore[method-assign]


def _within_part(number: int) -> None:
    """Die when the rejects and half of the table are written."""
    from pyarrow import parquet

    whole, calls = parquet.write_table, []

    def write(table: Any, file: Any, **options: Any) -> None:
        calls.append(file)
        if len(calls) == number + 1:
            file.write(b"PAR1 half of a part")
            file.flush()
            _kill()
        whole(table, file, **options)

    parquet.write_table = write


def _at_end(_: int) -> None:
    """Die when all rejects are joined and the manifest is not written."""
    ScoreWriter._totals = _kill  # type: ignore[method-assign, assignment]


STOPS: dict[str, tuple[Any, int]] = {
    "before the first part": (_before_part, 0),
    "before the third part": (_before_part, 2),
    "within the second part": (_within_part, 1),
    "at the end": (_at_end, 0),
}


def _child(stop: str, data: str, options: dict[str, Any]) -> None:
    what, number = STOPS[stop]
    what(number)
    score(data, **options)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "" if i % 7 == 3 else f"row number {i}" * (1 + i % 3)} for i in range(38)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def options(tmp_path: Path, model_folder: Path) -> dict[str, Any]:
    return {"model": str(model_folder), "out": str(tmp_path / "out"), "part_rows": 10}


def content(out: str | Path) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    scores = read_scores(out)
    return scores.table.to_pylist(), (Path(out) / "rejects.jsonl").read_text(), scores.manifest["counts"]


@pytest.mark.parametrize("stop", STOPS)
def test_a_killed_run_goes_on(stop: str, data: Path, options: dict[str, Any], tmp_path: Path) -> None:
    process = forked.context().Process(target=_child, args=(stop, str(data), options))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    out = Path(options["out"])
    with pytest.raises(UserError, match="not finished"):
        read_scores(out)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "scores").glob("part-*")}
    assert len(before) < PARTS or stop == "at the end"

    score(str(data), **options)
    whole = options | {"out": str(tmp_path / "whole")}
    score(str(data), **whole)
    assert content(out) == content(whole["out"])
    rows, rejects, counts = content(out)
    assert [row["position"] for row in rows] == [i for i in range(38) if i % 7 != 3]
    assert counts["scored"] + counts["rejected"] == counts["read"] == 38
    assert len(rejects.splitlines()) == counts["rejected"] == 5
    after = {path.name: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    assert after | before == after, "a part that was complete was written again"
    assert sorted(path.name for path in out.iterdir()) == [".lock", "manifest.json", "rejects.jsonl", "scores"]
    assert len(after) == PARTS


def test_a_finished_folder_is_left_as_it_is(data: Path, options: dict[str, Any]) -> None:
    first = score(str(data), **options)
    files = {path: path.stat().st_mtime_ns for path in Path(options["out"]).rglob("*") if path.name != ".lock"}
    assert score(str(data), **options) == first
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_rejects_of_parts_left_by_a_kill_after_the_end_are_removed(data: Path, options: dict[str, Any]) -> None:
    first = score(str(data), **options)
    left = Path(options["out"]) / "rejects"
    left.mkdir()
    (left / "part-00000.jsonl").write_text("{}\n")
    assert score(str(data), **options) == first
    assert not left.exists()


@pytest.mark.parametrize("removed", range(4))
def test_overwriting_that_is_killed_while_it_removes(
    removed: int, data: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    score(str(data), **options)
    changed = options | {"mode": "predicted"}
    with monkeypatch.context() as patched:
        patched.setattr("entrotune.scoring.writer.ENTRIES", (*ENTRIES[:removed], None))
        with pytest.raises(TypeError):
            score(str(data), **changed, overwrite=True)
    if removed:  # the scores are gone, so nothing stands against other options
        score(str(data), **changed)
    else:
        with pytest.raises(UserError, match="holds scores of something else"):
            score(str(data), **changed)
        score(str(data), **changed, overwrite=True)
    assert read_scores(options["out"]).manifest["options"]["mode"] == "predicted"


def test_a_finished_folder_that_lost_a_part_is_not_called_finished(data: Path, options: dict[str, Any]) -> None:
    score(str(data), **options)
    (Path(options["out"]) / "scores" / "part-00002.parquet").unlink()
    with pytest.raises(UserError, match="came of 38 rows, but parts of it are missing and 28 are left"):
        score(str(data), **options)
    score(str(data), **options, overwrite=True)
    assert read_scores(options["out"]).table.num_rows == 33


def test_columns_given_as_tuples_are_those_of_the_manifest(data: Path, options: dict[str, Any]) -> None:
    given = options | {"columns": {"text": ("text",)}}
    assert score(data, **given) == score(data, **given)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mode": "predicted"}, "options.mode: all → predicted"),
        ({"max_length": 7}, "options.max_length: 512 → 7"),
        ({"part_rows": 9}, "options.part_rows: 10 → 9"),
        ({"keep": "text"}, "options.keep: [] → ['text']"),
        ({"limit": 5}, "data.limit: null → 5"),
    ],
)
def test_changed_options_are_named(
    change: dict[str, Any], told: str, data: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    score(str(data), **options)
    with pytest.raises(UserError, match="holds scores of something else") as error:
        score(str(data), **options | change)
    assert told in str(error.value)
    record = score(str(data), **options | change, overwrite=True)
    assert read_scores(options["out"]).table.num_rows == record["counts"]["scored"]


def test_a_folder_in_which_nothing_was_scored_yet_takes_other_options(data: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="keep names the column 'colour'"):
        score(str(data), **options, keep="colour")
    with pytest.raises(UserError, match="not finished"):
        read_scores(options["out"])
    score(str(data), **options)
    assert read_scores(options["out"]).manifest["options"]["keep"] == []


def test_another_model_and_other_data_are_named(data: Path, options: dict[str, Any], tmp_path: Path) -> None:
    score(str(data), **options)
    other = write_model(tmp_path / "other")
    with pytest.raises(UserError, match=r"model\.name: .*model\.fingerprint: "):
        score(str(data), **options | {"model": str(other)})
    data.write_text(data.read_text().replace("number 4", "number four"))
    with pytest.raises(UserError, match=r"data\.fingerprint: [0-9a-f]{12}… → "):
        score(str(data), **options)


def test_rows_that_changed_are_found_where_there_is_no_file_to_hash(
    data: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrotune.scoring.identity.source_files", lambda source: None)
    score(str(data), **options)
    manifest = Path(options["out"]) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"finished"', '"scoring"'))
    data.write_text(data.read_text().replace("number 14", "number fourteen"))
    with pytest.raises(UserError, match=r"rows 11 to 20 .* are not those that were scored"):
        score(str(data), **options)
    data.write_text("".join(data.read_text().replace("fourteen", "14").splitlines(keepends=True)[:20]))
    with pytest.raises(UserError, match="it has 2 blocks of rows, and block 3 was scored"):
        score(str(data), **options)


def test_two_processes_on_one_folder(data: Path, options: dict[str, Any]) -> None:
    with (
        ScoreWriter(Path(options["out"]), {}).open(),
        pytest.raises(UserError, match="another process works on"),
    ):
        score(str(data), **options)
    score(str(data), **options)


def test_a_folder_of_other_things_is_not_touched(data: Path, options: dict[str, Any]) -> None:
    out = Path(options["out"])
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="holds other files and no scores"):
            score(str(data), **options, overwrite=overwrite)
    assert (out / "thesis.txt").read_text() == "years of work"
    with pytest.raises(UserError, match="is a file; give the name of a folder"):
        score(str(data), **options | {"out": str(data)})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(max_size=2), json_values, max_size=4)


@given(objects, objects)
def test_differences_are_told_exactly_where_there_are_any(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert differences(one, one) == []
    if one != other and all(value is not None for value in [*one.values(), *other.values()]):
        flat = json.dumps([one, other])
        if "null" not in flat and "{}" not in flat:
            assert differences(one, other)
