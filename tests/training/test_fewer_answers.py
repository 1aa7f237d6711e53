"""`max_answers` over rows that share a prompt: training rows beyond it are left out, and counted."""

from pathlib import Path

import pytest

from entrotune.training import TrainConfig, read_rows
from evidence_files import write_evidence
from tiny import byte_tokenizer


@pytest.mark.parametrize(("count", "trained", "left_out"), [(None, 6, 0), (1, 3, 3), (2, 6, 0)])
def test_rows_of_one_prompt(tmp_path: Path, count: int | None, trained: int, left_out: int) -> None:
    write_evidence(tmp_path)
    columns: dict[str, str | list[str]] = {"prompt": "mr", "completion": "ref", "references": "ref"}
    config = TrainConfig(
        data=str(tmp_path / "e2e.csv"), columns=columns, validation=0.5, max_answers=count, out=str(tmp_path / "run")
    )
    rows = read_rows(config, byte_tokenizer())
    assert (len(rows.train_rows), rows.counts["rows_left_out"]) == (trained, left_out)
    assert len(rows.validation_rows) == 6
    told = rows.counts
    kept = told["train_rows"] + told["validation_rows"] + told["rows_rejected"] + told["rows_left_out"]
    assert kept == told["rows_read"] == 12
    assert (f"{left_out} training rows left out" in rows.told) == (left_out > 0)
    prompts = [row.prompt for row in rows.train_rows]
    assert count != 1 or len(set(prompts)) == len(prompts)
