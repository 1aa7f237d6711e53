"""Variants against each other: at one temperature and at equal diversity, over prompts and over seeds."""

from typing import Any

import numpy as np
import pytest

from entrotune import CompareConfig, TrainConfig
from entrotune.evaluation import Column, SettingRecord
from entrotune.experiments.differences import compare_settings
from entrotune.experiments.seeds import t_interval

PROMPTS = tuple(f"p{at}" for at in range(40))


def comparing(**values: Any) -> CompareConfig:
    return CompareConfig(train=TrainConfig(data="x.jsonl"), objectives=["gem(beta=0.7)"], **values)


def once(found: dict[str, list[SettingRecord]]) -> dict[str, list[list[SettingRecord]]]:
    """Of one seed."""
    return {name: [settings] for name, settings in found.items()}


def _settings(diversity: dict[float, list[float]], nll: float) -> list[SettingRecord]:
    ids = ("a", "b", "c")
    return [
        SettingRecord(
            temperature=temperature,
            samples_per_prompt=4,
            columns={
                "distinct_2": Column(ids, np.array(values)),
                "nll": Column(ids, nll + 10 * temperature + np.array([0.0, 1.0, 5.0]), np.ones(3)),
            },
            samples=(),
        )
        for temperature, values in diversity.items()
    ]


def test_ce_is_also_met_where_it_is_as_diverse() -> None:
    nan = float("nan")
    found = {
        "base": _settings({1.0: [0.9, 0.9, 0.9], 1.3: [0.9, 0.9, 0.9]}, 3.0),
        "ce": _settings({0.7: [nan, nan, nan], 1.0: [0.2, 0.3, 0.4], 1.3: [0.5, 0.6, nan]}, 2.0),
        "gem(beta=0.7)": _settings({0.7: [0.1, 0.1, 0.1], 1.0: [0.5, 0.6, 0.6], 1.3: [0.9, 0.9, 0.9]}, 1.0),
    }
    config = comparing()
    entries = compare_settings(once(found), config)
    matched = [entry for entry in entries if "matched_on" in entry]
    assert [entry["metric"] for entry in matched] == ["distinct_2", "nll"]
    for entry in matched:
        assert entry["a"] == {"variant": "gem(beta=0.7)", "temperature": 1.0}
        assert entry["b"] == {"variant": "ce", "temperature": 1.3}
    assert matched[1]["difference"]["value"] == pytest.approx(-4.0)  # (1 + 10) - (2 + 13)
    between = found | {"gem(beta=0.7)": _settings({1.0: [0.4, 0.5, 0.4]}, 1.0)}  # 13/30, of 0.3 and 0.55
    # Between two temperatures only measures of samples are compared, and here there are none but diversity.
    assert not any("matched_on" in entry for entry in compare_settings(once(between), config))
    even = {temperature: [1.0, 1.0, 1.0] for temperature in (0.7, 1.0, 1.3)}
    saturated = {"base": _settings(even, 3.0), "ce": _settings(even, 2.0), "gem": _settings(even, 1.0)}
    # At the same temperature ce is as diverse as anywhere.
    assert not any("matched_on" in entry for entry in compare_settings(once(saturated), config))

    nowhere = found | {"gem(beta=0.7)": _settings({1.0: [nan, nan, nan]}, 1.0)}
    assert not any("matched_on" in entry for entry in compare_settings(once(nowhere), config))


def seeded(quality: list[float], *, diversity: float = 0.0, steep: float = 0.5) -> list[list[SettingRecord]]:
    """For each seed two temperatures; quality falls by `steep` where diversity rises by 0.4, the same over all prompts
    but for noise."""
    found = []
    for seed, value in enumerate(quality):
        noise = 0.01 * np.random.default_rng(seed).standard_normal((2, len(PROMPTS)))
        shift = 0.02 * seed  # each seed is somewhat more diverse than the one before
        found.append(
            [
                SettingRecord(
                    temperature=temperature,
                    samples_per_prompt=4,
                    columns={
                        "distinct_2": Column(PROMPTS, diversity + shift + 0.4 * at + noise[0]),
                        "slots": Column(PROMPTS, value - steep * at + noise[1]),
                    },
                    samples=(),
                )
                for at, temperature in enumerate((1.0, 1.5))
            ]
        )
    return found


def entry_of(measured: dict[str, list[list[SettingRecord]]], metric: str, *, matched: bool = False) -> dict[str, Any]:
    config = comparing(quality="slots", temperatures=[1.0, 1.5])
    entries = compare_settings(measured, config)
    return next(
        one
        for one in entries
        if one["metric"] == metric and one["a"]["variant"] != "ce" and ("matched_on" in one) == matched
    )


@pytest.mark.parametrize(
    ("gains", "shown"),
    [
        ([0.10, 0.11, 0.12], "higher"),
        ([-0.10, -0.11, -0.12], "lower"),
        ([0.40, -0.02, 0.01], "no difference shown"),  # one seed makes the mean
        ([0.02, 0.10], "no difference shown"),  # two seeds that agree in sign alone
    ],
)
def test_a_difference_is_shown_only_where_seeds_agree(gains: list[float], shown: str) -> None:
    measured = {"base": seeded([0.2]), "ce": seeded([0.5] * len(gains)), "gem": seeded([0.5 + gain for gain in gains])}
    entry = entry_of(measured, "slots")
    over_prompts = entry["difference"]
    assert over_prompts["low"] * over_prompts["high"] > 0, "over prompts alone, each of these would be shown"
    assert entry["verdict"] == shown
    assert entry["seeds"]["values"] == pytest.approx(gains, abs=1e-12)
    expected = t_interval(gains)
    assert {name: entry["seeds"][name] for name in expected} == pytest.approx(expected)


def test_one_seed_has_no_interval_over_seeds() -> None:
    entry = entry_of({"base": seeded([0.2]), "ce": seeded([0.5]), "gem": seeded([0.6])}, "slots")
    assert "seeds" not in entry
    assert entry["verdict"] == "higher"


def test_the_untouched_model_stands_beside_each_seed() -> None:
    measured = {"base": seeded([0.2]), "ce": seeded([0.5, 0.6, 0.7])}
    entries = compare_settings(measured, comparing(quality="slots", temperatures=[1.0, 1.5]))
    against = next(one for one in entries if one["b"]["variant"] == "base" and one["metric"] == "slots")
    base = measured["base"][0][0].columns["slots"].mean()
    own = [settings[0].columns["slots"].mean() for settings in measured["ce"]]
    assert against["seeds"]["values"] == pytest.approx([value - base for value in own])


def test_at_equal_diversity_each_seed_is_met_on_the_line() -> None:
    """A variant 0.1 more diverse than `ce` in all seeds: there `ce` has a quarter of its fall of 0.5."""
    gains = [0.05, 0.06, 0.07]
    measured = {
        "base": seeded([0.2]),
        "ce": seeded([0.5] * 3),
        "gem": seeded([0.5 - 0.125 + gain for gain in gains], diversity=0.1),
    }
    entry = entry_of(measured, "slots", matched=True)
    assert entry["b"]["between"] == [1.0, 1.5]
    assert entry["seeds"]["values"] == pytest.approx(gains, abs=0.01)
    assert np.mean(entry["seeds"]["values"]) == pytest.approx(entry["difference"]["value"], abs=1e-12)
    assert entry["verdict"] == "higher"
    # Seeds that are more diverse are no better for it: quality on the line, not that of the mean diversity.
    uneven = seeded([0.375 - 0.125 * tilt for tilt in (-0.4, 0, 0.4)], diversity=0.1)
    for tilt, settings in zip((-0.4, 0, 0.4), uneven, strict=True):
        for one in settings:
            one.columns["distinct_2"].values[:] += 0.1 * tilt
    values = entry_of({**measured, "gem": uneven}, "slots", matched=True)["seeds"]["values"]
    assert values == pytest.approx([0, 0, 0], abs=0.01)
