"""A cluster of two workers on this machine gives the same scores, also when one of them is killed."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entrotune.errors import UserError
from entrotune.scoring import read_scores
from entrotune.scoring.on_ray import _Worker
from entrotune.scoring.score import score

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason="the extra entrotune[ray] is not installed")

# float32 rounding: the same sums, in batches of the same rows.
SAME = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "" if i == 30 else f"row number {i} " * (1 + i % 4)} for i in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def same(one: Path, other: Path) -> None:
    tables = [read_scores(folder).table for folder in (one, other)]
    for name in tables[0].column_names:
        values = [table.column(name).to_pylist() for table in tables]
        if isinstance(values[0][0], float):
            np.testing.assert_allclose(*values, **SAME, err_msg=name)
        else:
            assert values[0] == values[1], name


def _mortal_worker(flag: Path) -> type:
    """A worker that is killed when it gets the third block, unless one was before."""

    class Mortal(_Worker):
        def __call__(self, batch: Any) -> Any:
            if batch["number"][0].as_py() == 2 and not flag.exists():
                flag.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    return Mortal


def test_two_workers_one_of_which_is_killed(
    data: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"model": str(model_folder), "part_rows": 8}
    here = score(str(data), out=tmp_path / "here", **given)
    flag = tmp_path / "killed"
    monkeypatch.setattr("entrotune.scoring.on_ray._Worker", _mortal_worker(flag))
    there = score(str(data), out=tmp_path / "there", engine="ray", workers=2, **given)
    assert flag.exists(), "no worker was killed"
    same(tmp_path / "here", tmp_path / "there")
    assert there["counts"] == here["counts"]
    assert there["counts"]["rejected"] == 1
    rejects = [(tmp_path / name / "rejects.jsonl").read_text() for name in ("here", "there")]
    assert rejects[0] == rejects[1]


def test_ray_goes_on_with_what_another_engine_began(data: Path, model_folder: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"model": str(model_folder), "part_rows": 25, "per_token": True, "top_k": 3}
    score(str(data), out=tmp_path / "whole", **given)
    score(str(data), out=tmp_path / "out", **given)
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"finished"', '"scoring"'))
    (tmp_path / "out" / "scores" / "part-00001.parquet").unlink()
    kept = (tmp_path / "out" / "scores" / "part-00000.parquet").stat().st_mtime_ns
    score(str(data), out=tmp_path / "out", engine="ray", workers=1, **given)
    same(tmp_path / "whole", tmp_path / "out")
    assert (tmp_path / "out" / "scores" / "part-00000.parquet").stat().st_mtime_ns == kept


def test_errors_of_a_worker_and_of_the_reader_are_told(data: Path, model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rows\.jsonl:31: empty: text holds no text"):
        score(str(data), out=tmp_path / "out", model=str(model_folder), engine="ray", workers=1, on_bad_row="stop")
