"""One check of seeds, with one wording, before anything is read."""

from collections.abc import Callable
from typing import Any

import pytest

from entrotune import (
    CompareConfig,
    CurriculumConfig,
    DiffuseConfig,
    GenerateConfig,
    SweepConfig,
    TrainConfig,
    UserError,
    analyze_correctness,
    analyze_models,
    evaluate,
    new_model,
    order,
    perplexity,
)

ONE: dict[str, Callable[[Any], Any]] = {
    "train": lambda seed: TrainConfig(data="rows", seed=seed),
    "diffuse": lambda seed: DiffuseConfig(targets=["sets"], seed=seed),
    "evaluate": lambda seed: evaluate(data="rows", seed=seed),
    "generate": lambda seed: GenerateConfig(prompt="hi", seed=seed),
    "perplexity": lambda seed: perplexity("rows", seed=seed),
    "analyze models": lambda seed: analyze_models(["a", "b"], seed=seed),
    "analyze correctness": lambda seed: analyze_correctness("a", label="right", seed=seed),
    "order": lambda seed: order("scores", out="order.parquet", seed=seed),
    "model": lambda seed: new_model(out="folder", data="rows", seed=seed),
}
SEVERAL: dict[str, Callable[[Any], Any]] = {
    "compare": lambda seeds: CompareConfig(train=TrainConfig(data="rows"), seeds=seeds),
    "sweep": lambda seeds: SweepConfig(
        train=TrainConfig(data="rows"), objective="ce - a*entropy", search={"a": [0.1]}, seeds=seeds
    ),
    "curriculum": lambda seeds: CurriculumConfig(data="rows", seeds=seeds),
    "diffuse": lambda seeds: DiffuseConfig(targets=["sets"], leave_one_out=True, seeds=seeds),
}


@pytest.mark.parametrize("seed", [-1, 2**32, True])
@pytest.mark.parametrize("name", ONE)
def test_what_is_no_seed(name: str, seed: Any) -> None:
    with pytest.raises(UserError, match=rf"^seed must be a whole number from 0 to 2\*\*32 - 1, not {seed}$"):
        ONE[name](seed)


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [2**32], [0.5]])
@pytest.mark.parametrize("name", SEVERAL)
def test_what_are_no_seeds(name: str, seeds: Any) -> None:
    with pytest.raises(
        UserError, match=r"^seeds must be one or more different whole numbers from 0 to 2\*\*32 - 1, not"
    ):
        SEVERAL[name](seeds)
