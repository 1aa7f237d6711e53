"""`ce` between two temperatures, where it is as diverse as a variant."""

from dataclasses import replace

import numpy as np
import pytest

from entrotune.evaluation import Column, SettingRecord
from entrotune.experiments.matching import as_diverse

PROMPTS = 200
IDS = tuple(f"p{at}" for at in range(PROMPTS))


def _tokens(temperature: float) -> np.ndarray:
    """Of two prompts' samples: 8 in all at temperature 1, 16 at 1.5."""
    return np.array([3.0, 5.0]) * (2.0 if temperature == 1.5 else 1.0)


def setting(temperature: float, diversity: float, quality: float, *, noise: int, slope: float = 0.0) -> SettingRecord:
    """Diversity with noise over prompts, quality as given plus `slope` times that noise; NLL is the temperature."""
    away = 0.1 * np.random.default_rng(noise).standard_normal(PROMPTS)
    columns = {
        "distinct_2": Column(IDS, diversity + away - away.mean()),
        "slots": Column(IDS, quality + slope * (away - away.mean())),
        "nll": Column(("a", "b"), np.array([3.0, 5.0]) * temperature, np.array([3.0, 5.0])),
        "base_nll": Column(("a", "b"), _tokens(temperature) * temperature, _tokens(temperature)),
    }
    return SettingRecord(temperature=temperature, samples_per_prompt=8, columns=columns, samples=())


CE = [
    setting(0.5, 0.2, 0.9, noise=1, slope=-1),
    setting(1.0, 0.4, 0.7, noise=2, slope=-1),
    setting(1.5, 0.8, 0.3, noise=3, slope=-1),
]


def test_between_two_temperatures_diversity_is_equal_and_the_rest_on_the_line() -> None:
    own = setting(1.0, 0.5, 0.65, noise=4, slope=-1)
    found = as_diverse(CE, [own], "distinct_2", near=1.0)
    assert found is not None
    assert found.to_dict() == {"temperature": None, "between": [1.0, 1.5], "share": 0.25}
    assert found.metrics == ["slots", "base_nll"]
    slots = found.setting("slots").columns["slots"]
    assert slots.values.mean() == pytest.approx(0.75 * 0.7 + 0.25 * 0.3)
    # Here quality follows diversity in every prompt: nothing is left of the noise, so the interval is a point.
    gap = own.columns["slots"].minus(slots, seed=0)
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.05, 0.05, 0.05))
    mixed = found.setting("base_nll").columns["base_nll"].estimate(seed=0)
    assert mixed.value == pytest.approx((0.75 * 8 * 1.0 + 0.25 * 16 * 1.5) / (0.75 * 8 + 0.25 * 16))


@pytest.mark.parametrize(("diversity", "about"), [(0.401, 1.001), (0.408, 1.008), (0.38, None), (0.5, None)])
def test_next_to_a_measured_temperature_likelihood_counts_too(diversity: float, about: float | None) -> None:
    near = [*CE[:2], setting(1.01, 0.41, 0.69, noise=3), CE[2]]
    own = setting(1.0, diversity, 0.65, noise=4)
    found = as_diverse(near, [own], "distinct_2", near=1.0)
    assert found is not None
    assert found.to_dict().get("about") == about
    assert ("nll" in found.metrics) == (about is not None)
    if about is not None:
        assert found.setting("nll").columns["nll"].estimate(seed=0).value == pytest.approx(about, abs=1e-3)


def test_prompts_without_diversity_move_nothing() -> None:
    own = setting(1.0, 0.5, 0.65, noise=4, slope=-1)
    diversity = own.columns["distinct_2"]
    gaps = np.where(np.arange(PROMPTS) < 40, np.nan, diversity.values)
    own = replace(own, columns={**own.columns, "distinct_2": replace(diversity, values=gaps)})
    found = as_diverse(CE, [own], "distinct_2", near=1.0)
    assert found is not None
    slots = found.setting("slots").columns["slots"].values
    assert slots.mean() == pytest.approx((1 - found.share) * 0.7 + found.share * 0.3)


@pytest.mark.parametrize("metric", ["slots", "base_nll"])
def test_the_interval_includes_that_the_share_is_estimated(metric: str) -> None:
    """Coverage over simulated evaluations: with the share taken as known it would be far below 95%."""
    covered = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)

        def drawn(
            temperature: float, diversity: float, quality: float, tokens: float, rng: np.random.Generator = rng
        ) -> SettingRecord:
            counts = tokens * rng.uniform(0.5, 1.5, PROMPTS)
            columns = {
                "distinct_2": Column(IDS, diversity + 0.3 * rng.standard_normal(PROMPTS)),
                "slots": Column(IDS, quality + 0.05 * rng.standard_normal(PROMPTS)),
                "base_nll": Column(IDS, counts * (quality + 0.05 * rng.standard_normal(PROMPTS)), counts),
            }
            return SettingRecord(temperature=temperature, samples_per_prompt=8, columns=columns, samples=())

        # Half of the answers hot, and these twice as long: two tokens in three are of quality 0.2.
        own = drawn(1.0, 0.6, 0.5 if metric == "slots" else 0.4, 15.0)
        baseline = [drawn(1.0, 0.3, 0.8, 10.0), drawn(1.5, 0.9, 0.2, 20.0)]
        found = as_diverse(baseline, [own], "distinct_2", near=1.0)
        assert found is not None
        gap = own.columns[metric].minus(found.setting(metric).columns[metric], seed=trial)
        assert gap.value == pytest.approx(own.columns[metric].mean() - found.of_seed(metric, *baseline, own), abs=1e-9)
        covered += gap.low <= 0 <= gap.high
    assert covered >= 88


def test_prompts_without_a_sampled_token_are_left_out() -> None:
    own = setting(1.0, 0.5, 0.65, noise=4, slope=-1)
    weights = np.where(np.arange(PROMPTS) < 20, 0.0, 10.0)
    low, high = (
        replace(one, columns={**one.columns, "base_nll": Column(IDS, weights * nll, weights)})
        for one, nll in ((CE[1], 2.0), (CE[2], 4.0))
    )
    found = as_diverse([low, high], [own], "distinct_2", near=1.0)
    assert found is not None
    column = found.setting("base_nll").columns["base_nll"]
    assert column.estimate(seed=0).value == pytest.approx(2.5)
    assert not column.values[:20].any()
    assert column.values[20:].std() > 0


@pytest.mark.parametrize(
    ("diversity", "expected"),
    [(0.1, {"temperature": 0.5}), (0.95, {"temperature": 1.5}), (0.4, {"temperature": 1.0})],
)
def test_beyond_what_ce_reaches_or_exactly_there_it_is_one_temperature(
    diversity: float, expected: dict[str, float]
) -> None:
    found = as_diverse(CE, [setting(1.0, diversity, 0.5, noise=2)], "distinct_2", near=1.0)
    assert found is not None
    assert found.to_dict() == expected
    assert found.metrics == ["distinct_2", "slots", "nll", "base_nll"]


def test_of_two_places_the_one_near_the_reference_is_taken() -> None:
    """Diversity that falls again, as where hot samples break off at once."""
    folded = [*CE, setting(2.0, 0.3, 0.1, noise=5)]
    for near, between in ((1.0, [1.0, 1.5]), (2.0, [2.0, 1.5])):
        found = as_diverse(folded, [setting(1.0, 0.6, 0.5, noise=6)], "distinct_2", near=near)
        assert found is not None
        assert found.to_dict()["between"] == between


def test_a_variant_beyond_all_of_ce_is_met_at_another_of_its_temperatures() -> None:
    own = [setting(1.0, 0.9, 0.2, noise=8), setting(0.7, 0.6, 0.5, noise=9), setting(0.5, 0.1, 0.9, noise=10)]
    found = as_diverse(CE, own, "distinct_2", near=1.0)
    assert found is not None
    assert (found.wanted.temperature, found.temperatures) == (0.7, (1.0, 1.5))
    alone = as_diverse(CE, own[::2], "distinct_2", near=1.0)
    assert alone is not None
    assert (alone.wanted.temperature, alone.temperatures, alone.exact) == (1.0, (1.5,), False)


def test_undefined_diversity_has_no_match() -> None:
    nowhere = setting(1.0, float("nan"), 0.5, noise=7)
    assert as_diverse(CE, [nowhere], "distinct_2", near=1.0) is None
    assert as_diverse([nowhere], CE[:1], "distinct_2", near=1.0) is None


def test_rows_without_prompts_have_no_match() -> None:
    """Nothing is sampled from them, so there is no diversity."""
    nll = Column(("a", "b"), np.array([1.0, 2.0]))
    scored = [SettingRecord(temperature=t, columns={"nll": nll}, samples=(), samples_per_prompt=1) for t in (0.7, 1.0)]
    assert as_diverse(scored, scored, "distinct_2", near=1.0) is None
