"""Comparison at equal diversity and the choice of a setting, on numbers made here."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrotune import SweepConfig, TrainConfig
from entrotune.evaluation import Column, SettingRecord
from entrotune.experiments.sweeping.choice import Finished, Fronts, recommend
from entrotune.experiments.sweeping.matching import halves, match
from entrotune.experiments.sweeping.measuring import Measured, of_all_seeds
from entrotune.reports import recommendation_sentence
from entrotune.reports.sweep_wording import FEWEST_PROMPTS

TOKENS = 7.0
NAMES = {"quality": "nll", "diversity": "distinct_2"}


def measured(nll: Any, diversity: Any, temperature: float = 1.0) -> Measured:
    """One value a prompt; the NLL of each is over the same number of tokens."""
    nll, diversity = np.asarray(nll, dtype=float), np.asarray(diversity, dtype=float)
    ids = tuple(f"p{i}" for i in range(len(nll)))
    columns = {"nll": Column(ids, nll * TOKENS, np.full(len(nll), TOKENS)), "distinct_2": Column(ids, diversity)}
    record = SettingRecord(temperature=temperature, samples_per_prompt=4, columns=columns, samples=())
    return Measured(record, 4 * len(nll), 0)


def compared(setting: Measured, tempered: list[Measured]) -> Any:
    return match(setting, tempered, seed=0, **NAMES)


def front(rng: np.random.Generator, n: int) -> list[Measured]:
    """Plain ce at three temperatures: more diverse and worse the hotter it is."""
    easy = rng.normal(0, 0.3, n)
    return [
        measured(2 + k + easy + rng.normal(0, 0.05, n), 0.4 + 0.2 * k + rng.normal(0, 0.02, n), temperature)
        for k, temperature in enumerate((0.7, 1.0, 1.3))
    ]


@given(st.floats(0.05, 0.95), st.integers(0, 100))
@settings(max_examples=8, deadline=None)
def test_what_a_mixture_of_two_temperatures_has_is_no_advantage(share: float, seed: int) -> None:
    cold, middle, hot = front(np.random.default_rng(seed), 20)
    columns = [one.record.columns for one in (middle, hot)]
    nll, diversity = (
        (1 - share) * columns[0][name].values + share * columns[1][name].values for name in ("nll", "distinct_2")
    )
    found = compared(measured(nll / TOKENS, diversity), [hot, cold, middle])
    assert found.side == "within"
    assert found.temperatures == (1.0, 1.3)
    # The spline through all three may pass beyond the line, by what noise bends it; never the other way.
    assert found.advantage <= 1e-9
    assert found.verdict != "better"
    alone = compared(measured(nll / TOKENS, diversity), [hot, middle])
    assert alone.estimate.value == pytest.approx(0, abs=1e-9)
    assert alone.share == pytest.approx(share)


def test_the_interval_is_that_of_the_whole_comparison_resampled() -> None:
    rng = np.random.default_rng(3)
    tempered = front(rng, 40)
    tempered = tempered[:2]  # more of them can be joined in two ways, of which the better one counts
    setting = measured(2.3 + rng.normal(0, 0.3, 40), 0.5 + rng.normal(0, 0.05, 40))
    found = compared(setting, tempered)
    values = {
        name: np.array([one.record.columns[name].values for one in (setting, *tempered)])
        for name in ("nll", "distinct_2")
    }
    differences = []
    for _ in range(4000):
        drawn = rng.integers(40, size=40)
        quality, diversity = (values[name][:, drawn].mean(1) for name in ("nll", "distinct_2"))
        differences.append(quality[0] / TOKENS - np.interp(diversity[0], diversity[1:], quality[1:] / TOKENS))
    low, high = np.quantile(differences, [0.025, 0.975])
    assert found.estimate.value == pytest.approx(np.mean(differences), abs=0.01)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((low, high), abs=0.03)


def test_an_interval_that_few_sampled_prompts_decide_is_as_wide_as_for_these() -> None:
    """NLL of 200 rows without noise, diversity of 8 of them: 0 is within the interval as often as it says."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(300):
        diversities = np.full((3, 200), np.nan)
        diversities[:, :8] = np.array([[0.5], [0.4], [0.6]]) + rng.normal(0, 0.02, (3, 8))
        setting, cold, hot = (
            measured(np.full(200, nll), diversity, temperature)
            for nll, diversity, temperature in zip((2.5, 2.0, 3.0), diversities, (1.0, 0.7, 1.3), strict=True)
        )
        found = compared(setting, [cold, hot]).estimate
        covered.append(found.low <= 0 <= found.high)
    assert 0.92 <= np.mean(covered) <= 0.985


def _of_logits(logits: np.ndarray, targets: np.ndarray, divisor: float, temperature: float) -> Measured:
    """[prompts, tokens, vocabulary] at a temperature: NLL, and the entropy as diversity."""
    scaled = logits / divisor
    logp = scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))
    nll = -np.take_along_axis(logp, targets[..., None], -1)[..., 0].mean(1)
    return measured(nll, -(np.exp(logp) * logp).sum(-1).mean(1), temperature)


@pytest.mark.parametrize("tempering", [0.9, 1.05, 1.12, 1.2])
def test_ce_at_a_temperature_that_was_not_measured_is_no_better_than_tempered_ce(tempering: float) -> None:
    """NLL lies below the line between two temperatures: by the line alone mere tempering gained 0.03 nats.

    The model is the same, so that the interval is as narrow as what the spline is off by.
    """
    asked = config().temperatures
    for seed in range(10):
        rng = np.random.default_rng(seed)
        logits = 1.6 * rng.gumbel(size=(40, 12, 200))
        chances = np.exp(0.95 * logits + rng.normal(0, 0.8, logits.shape)).cumsum(-1)
        targets = (chances > chances[..., -1:] * rng.random((40, 12, 1))).argmax(-1)
        ce = [_of_logits(logits, targets, t, t) for t in config().baseline_temperatures]
        setting = [_of_logits(logits, targets, t * tempering, t) for t in asked]
        found = recommend(config(), Finished("ce", "ce", [ce]), [Finished("trial-0", "tempered", [setting])])
        assert found["confirming"]["difference"]["value"] > -2e-4


def test_ce_counts_at_its_best_among_all_that_is_diverse_enough() -> None:
    # Saturated: the hotter of the two is better, and as diverse.
    tempered = [measured([3.0] * 8, [1.0] * 8, 0.7), measured([2.0] * 8, [1.0] * 8, 1.0)]
    found = compared(measured([2.5] * 8, [1.0] * 8), tempered)
    assert (found.side, found.nearest, found.verdict) == ("within", 1.0, "worse")
    assert found.estimate.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("nll", "diversity", "side", "verdict"),
    [
        (1.5, 0.95, "more diverse", "better"),  # better than any ce and more diverse than all
        (5.0, 0.95, "more diverse", "no difference shown"),  # worse, but it may be worth it
        (1.5, 0.1, "less diverse", "no difference shown"),  # better, but only by saying less
        (5.0, 0.1, "less diverse", "worse"),
    ],
)
def test_where_tempering_does_not_reach(nll: float, diversity: float, side: str, verdict: str) -> None:
    tempered = front(np.random.default_rng(0), 12)
    found = compared(measured([nll] * 12, [diversity] * 12), tempered)
    assert (found.side, found.verdict) == (side, verdict)


def test_few_prompts_show_nothing_whatever_the_other_measure_has() -> None:
    columns = {
        "nll": Column(tuple(f"p{i}" for i in range(30)), np.full(30, 1.0), np.ones(30)),
        "distinct_2": Column(("p0", "p1"), np.array([0.5, 0.6])),
    }
    better = Measured(SettingRecord(temperature=1.0, samples_per_prompt=2, columns=columns, samples=()), 4, 0)
    worse = columns | {"nll": Column(columns["nll"].ids, np.full(30, 2.0), np.ones(30))}
    plain = Measured(SettingRecord(temperature=1.0, samples_per_prompt=2, columns=worse, samples=()), 4, 0)
    found = compared(better, [plain])
    assert found.estimate.n == 2
    assert found.estimate.low <= 0 <= found.estimate.high
    assert found.verdict == "no difference shown"


def test_halves_share_out_the_sampled_prompts() -> None:
    base = measured([1.0] * 9, [0.5] * 9)
    base.record.columns["nll"] = Column(tuple(f"p{i}" for i in range(15)), np.ones(15), np.ones(15))
    first, second = halves(base, "distinct_2", seed=1)
    assert first | second == {f"p{i}" for i in range(15)}
    assert not first & second
    sampled = set(base.record.columns["distinct_2"].ids)
    assert (len(first & sampled), len(second & sampled)) == (5, 4)
    assert halves(base, "distinct_2", seed=2) != (first, second)


def config(**changes: Any) -> SweepConfig:
    options: dict[str, Any] = {
        "search": {"alpha": [0.1, 0.2]},
        "objective": "ce - alpha*entropy",
        "temperatures": [0.7, 1.0, 1.3],
    }
    return SweepConfig(train=TrainConfig(data="rows.jsonl"), **(options | changes))


def shifted(ce: list[Measured], by: float, rng: np.random.Generator) -> list[Measured]:
    return [
        measured(
            one.record.columns["nll"].values / TOKENS + by + rng.normal(0, 0.05, len(one.record.columns["nll"].ids)),
            one.record.columns["distinct_2"].values,
            one.temperature,
        )
        for one in ce
    ]


def recommended(by: list[list[float]], n: int, seeds: list[int] | None = None) -> dict[str, Any]:
    """The recommendation among settings that are better than ce by numbers, one a seed, with the words for it."""
    rng = np.random.default_rng(5)
    seeds = seeds or [0]
    plain = front(rng, n)
    ce = Finished("ce", "ce", [plain] * len(seeds))
    tried = [
        Finished(f"trial-{i}", f"alpha = 0.{i}", [shifted(plain, -one, rng) for one in own]) for i, own in enumerate(by)
    ]
    found = recommend(config(seeds=seeds), ce, tried)
    metrics = {"nll": {"label": "Validation NLL", "unit": "nats/token"}, "distinct_2": {"label": "Distinct-2"}}
    record = {"recommendation": found, "metrics": metrics, "front": NAMES}
    return found | {"reason": recommendation_sentence(record)}


def test_a_real_advantage_is_recommended_with_its_numbers() -> None:
    found = recommended([[0.01, 0.01], [0.4, 0.4]], 24, seeds=[0, 1])
    assert found["shown"]
    assert found["variant"] == "trial-1"
    assert found["prompts"] == {"choosing": 12, "confirming": 12}
    assert found["confirming"]["verdict"] == "better"
    assert found["reason"].startswith(f"Use alpha = 0.1 at temperature {found['temperature']:g}.")
    assert "0.4" in found["reason"]
    assert "nats/token lower [95% interval" in found["reason"]
    assert "its interval over 2 seeds agrees" in found["reason"]


def test_without_an_advantage_plain_ce_is_recommended() -> None:
    found = recommended([[0.0], [-0.001]], 24)
    assert not found["shown"]
    assert found["variant"] == "ce"
    assert (
        "which does as well as far as these data tell: no setting's advantage is shown (12 prompts, 1 seed)"
        in found["reason"]
    )
    worse = recommended([[-1.0]], 24)
    assert "it is better than the setting that looked best" in worse["reason"]


def test_an_advantage_where_both_are_ruined_is_not_chosen() -> None:
    plain = front(np.random.default_rng(0), 24)
    ce = Finished("ce", "ce", [plain])
    ruined = [
        measured(
            one.record.columns["nll"].values / TOKENS + shift, one.record.columns["distinct_2"].values, temperature
        )
        for one, shift, temperature in zip(plain, (2.0, 1.0, -0.9), (0.7, 1.0, 1.3), strict=True)
    ]
    decent = shifted(plain, -0.2, np.random.default_rng(1))
    found = recommend(config(), ce, [Finished("trial-0", "ruined", [ruined]), Finished("trial-1", "decent", [decent])])
    # At temperature 1.3 the first is 0.9 nats better than ce as hot, but worse than ce at 1.
    assert found["variant"] == "trial-1"
    assert found["temperature"] in (0.7, 1.0)
    alone = recommend(config(), ce, [Finished("trial-0", "ruined", [ruined])])
    assert alone["candidates"] == 1


def test_seeds_must_agree() -> None:
    """One that leans the other way, or that owes all to one seed, as luck in training is the same on all prompts."""
    for values in ([1.2, -0.2], [1.2, 0.1]):
        found = recommended([values], 24, seeds=[0, 1])
        assert found["confirming"]["verdict"] == "better"
        assert not found["shown"]
        assert found["reason"].endswith("Its seeds do not agree.")


def test_few_prompts_are_told() -> None:
    found = recommended([[1.0]], 2 * FEWEST_PROMPTS - 2)
    assert not found["shown"]
    assert "until more is known: 5 prompts, 1 seed can show no setting's advantage; give at least 12" in found["reason"]
    assert recommended([[1.0]], 2 * FEWEST_PROMPTS)["shown"]
    nothing = recommended([], 12)
    assert nothing["reason"].startswith("Use plain ce at temperature")
    assert nothing["candidates"] == 0


@pytest.mark.heavy
def test_the_best_of_many_that_are_equal_is_seldom_called_better() -> None:
    """Plain maximum of 12 intervals at 95% would be wrong far more often than once in 20."""
    wrong, naive = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        plain = front(rng, 16)
        ce = Finished("ce", "ce", [plain])
        noisy = [
            [
                measured(rng.normal(2 + k, 0.5, 16), one.record.columns["distinct_2"].values, one.temperature)
                for k, one in enumerate(plain)
            ]
            for _ in range(4)
        ]
        level = [one.record.columns["nll"].values / TOKENS for one in plain]
        own = [
            [
                measured(level[k] + rng.normal(0, 0.2, 16), one.record.columns["distinct_2"].values, one.temperature)
                for k, one in enumerate(setting)
            ]
            for setting in noisy
        ]
        tried = [Finished(f"trial-{i}", f"{i}", [one]) for i, one in enumerate(own)]
        wrong += recommend(config(), ce, tried)["shown"]
        naive += any(compared(one, plain).verdict == "better" for setting in own for one in setting)
    assert naive > 12
    assert wrong <= 6  # 60 at one in 20 gives 3; more than 6 has a chance below 4%


def test_directions_are_those_of_the_measures() -> None:
    aims = config(quality="accuracy", diversity="self_bleu")
    columns = {"accuracy": Column(("a",), np.array([0.5])), "self_bleu": Column(("a",), np.array([30.0]))}
    record = SettingRecord(temperature=1.0, samples_per_prompt=2, columns=columns, samples=())
    fronts = Fronts(aims, {"ce": [Measured(record, 2, 0)]})
    assert fronts.points.tolist() == [[0.5, -30.0]]


def test_values_of_seeds_are_averaged_for_each_prompt() -> None:
    one, other = measured([1.0, 2.0], [0.2, np.nan]), measured([3.0, 2.0], [0.4, 0.6])
    (mean,) = of_all_seeds([[one], [other]])
    assert mean.record.columns["nll"].values.tolist() == [2.0 * TOKENS, 2.0 * TOKENS]
    assert mean.record.columns["distinct_2"].values == pytest.approx([0.3, 0.6])
    assert mean.samples == 16
