"""Real prompts under the embedded model: scores equal full float64 logits, and minicons' likelihoods."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entrotune.data import load_rows
from entrotune.models import load_model
from entrotune.scoring import read_scores
from entrotune.scoring.score import score
from scoring.plainly import plain_scores, rank_bounds

ROWS, LENGTH = 6, 64
# Nats, mean over tokens, of float32 against float64.
MEAN_ERROR = 1e-4

pytestmark = [pytest.mark.embedded, pytest.mark.shared_data]


@pytest.fixture(scope="module")
def scored(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("scores") / "out"
    score(
        str(shared_data / "awesome_prompts"), out=out, limit=ROWS, max_length=LENGTH, per_token=True, batch_tokens=256
    )
    return list(read_scores(out).table.to_pylist())


@pytest.fixture(scope="module")
def embedded() -> tuple[Any, Any]:
    return load_model("smollm2-135m")


def test_equal_full_logits_in_float64(
    scored: list[dict[str, Any]], embedded: tuple[Any, Any], shared_data: Path
) -> None:
    model, tokenizer = embedded
    model = model.double()
    errors: dict[str, list[float]] = {"token_entropy": [], "token_varentropy": [], "token_nll": []}
    certain: list[bool] = []
    rows = load_rows(shared_data / "awesome_prompts", limit=ROWS).rows
    for row, given in zip(scored, rows, strict=True):
        ids = tokenizer(given.prompt, add_special_tokens=False)["input_ids"]
        assert (row["id"], row["tokens"] + row["tokens_cut"]) == (given.id, len(ids))
        ids = ids[:LENGTH]
        counted = list(range(len(ids)))
        expected = plain_scores(model, ids, counted, [place < len(ids) - 1 for place in counted])
        for name, found in errors.items():
            got = np.array([value for value in row[name] if value is not None])
            found.extend(np.abs(got - expected[name]))
        least, most = rank_bounds(model, ids)
        ranks = np.array([rank for rank in row["token_rank"] if rank is not None])
        assert np.all((least <= ranks) & (ranks <= most))
        certain.extend(least == most)
        assert row["entropy_mean"] == pytest.approx(expected["entropy_mean"], abs=MEAN_ERROR)
    model.float()
    assert np.mean(certain) > 0.9
    assert len(errors["token_entropy"]) > ROWS * LENGTH / 2
    for name, found in errors.items():
        assert np.mean(found) < MEAN_ERROR, name


def test_equal_the_likelihoods_of_minicons(
    scored: list[dict[str, Any]], embedded: tuple[Any, Any], shared_data: Path
) -> None:
    scorer = pytest.importorskip("minicons.scorer")
    model, tokenizer = embedded
    oracle = scorer.IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)
    rows = load_rows(shared_data / "awesome_prompts", limit=ROWS).rows
    for row, given in zip(scored, rows, strict=True):
        text = tokenizer.decode(tokenizer(given.prompt)["input_ids"][:LENGTH])
        ((_, *told),) = oracle.token_score([text], surprisal=True)
        mine = [value for value in row["token_nll"] if value is not None]
        assert len(told) == len(mine)
        assert np.abs(np.array([value for _, value in told]) - np.array(mine)).mean() < MEAN_ERROR
