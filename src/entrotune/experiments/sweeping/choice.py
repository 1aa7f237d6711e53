"""Which setting to recommend: chosen on one half of the prompts, confirmed on the other.

However many settings a sweep tried, only one comparison is made on the confirming half, so its interval over prompts
needs no correction for the choice. The search itself sees the choosing half alone. But the models are the same on both
halves, so a setting that had luck in training has it on both; hence Student's interval over seeds has to agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entrotune.experiments.seeds import t_interval
from entrotune.experiments.sweep_config import BASELINE, SweepConfig, better
from entrotune.experiments.sweeping.matching import Matched, halves, match
from entrotune.experiments.sweeping.measuring import Measured, of_all_seeds
from entrotune.measures import hypervolume, knee, pareto


@dataclass(frozen=True)
class Finished:
    """A model that was measured: the untouched one, plain `ce`, or a setting.

    Attributes:
        name: its key in the record.
        label: in words.
        by_seed: a list of measurements over temperatures for each seed.
    """

    name: str
    label: str
    by_seed: Sequence[Sequence[Measured]]

    @property
    def settings(self) -> list[Measured]:
        """One a temperature, averaged over seeds."""
        return of_all_seeds(self.by_seed)


Place = tuple[str, float]


class Fronts:
    """The points of all models in the plane of quality and diversity."""

    def __init__(self, config: SweepConfig, measured: Mapping[str, Sequence[Measured]]) -> None:
        self.signs = np.array([better(config.quality), better(config.diversity)])
        self.places: list[Place] = [(name, one.temperature) for name, found in measured.items() for one in found]
        values = [
            [np.nan if (mean := one.mean(metric)) is None else mean for metric in (config.quality, config.diversity)]
            for found in measured.values()
            for one in found
        ]
        self.points = np.array(values).reshape(-1, 2) * self.signs

    @property
    def pareto(self) -> list[Place]:
        """The points that no other one dominates."""
        return [self.places[place] for place in pareto(self.points)]

    @property
    def knee(self) -> Place | None:
        """Where the Pareto set bends most."""
        place = knee(self.points)
        return None if place is None else self.places[place]

    def hypervolumes(self) -> dict[str, Any]:
        """Of plain `ce`, of the settings and of both, from the worst quality and the worst diversity among these."""
        tuned = [place for place, (name, _) in enumerate(self.places) if name != "base"]
        points = self.points[tuned]
        is_ce = np.array([self.places[place][0] == BASELINE for place in tuned])
        reference = np.nanmin(points, axis=0)
        worst = dict(zip(("quality", "diversity"), (reference * self.signs).tolist(), strict=True))
        return {
            "reference": worst,
            "tempered_ce": hypervolume(points[is_ce], reference),
            "settings": hypervolume(points[~is_ce], reference),
            "together": hypervolume(points, reference),
        }


def search_values(config: SweepConfig, ce: Finished, setting: Finished) -> list[float] | None:
    """Quality and diversity at the reference temperature on the choosing half: what the search is told."""
    choosing, _ = halves(ce.settings[0], config.diversity, seed=config.sampling_seed)
    at = next(one for one in setting.settings if one.temperature == config.reference_temperature).only(choosing)
    values = [at.mean(config.quality), at.mean(config.diversity)]
    return None if None in values else [value for value in values if value is not None]


def compare_all(config: SweepConfig, ce: Finished, settings: Sequence[Finished]) -> dict[Place, Matched]:
    """Every setting at every temperature against tempered `ce`, on all prompts."""
    tempered = ce.settings
    found = {(s.name, one.temperature): _match(config, one, tempered) for s in settings for one in s.settings}
    return {place: matched for place, matched in found.items() if matched is not None}


def recommend(config: SweepConfig, ce: Finished, settings: Sequence[Finished]) -> dict[str, Any]:
    """The setting and temperature to use, and the numbers that say so; plain `ce` where no advantage is shown."""
    choosing, confirming = halves(ce.settings[0], config.diversity, seed=config.sampling_seed)
    sampled = set(ce.settings[0].record.columns[config.diversity].ids)
    counts = {"choosing": len(sampled & choosing), "confirming": len(sampled & confirming)}
    base = {"seeds": len(config.seeds), "prompts": counts, "shown": False, "variant": BASELINE}
    candidates = _candidates(config, ce, settings, choosing)
    if not candidates:
        fronts = Fronts(config, {BASELINE: ce.settings})
        place = fronts.knee or (BASELINE, config.reference_temperature)
        return base | {"temperature": place[1], "chosen": None, "candidates": 0}
    setting, temperature, first = max(candidates, key=lambda one: one[2].certain)
    tempered = [one.only(confirming) for one in ce.settings]
    at = next(one for one in setting.settings if one.temperature == temperature)
    second = _match(config, at.only(confirming), tempered)
    by_seed = _by_seed(config, ce, setting, temperature, confirming)
    sign = better(config.quality)
    agree = len(by_seed) == len(config.seeds) and _lean_one_way([sign * value for value in by_seed.values()])
    shown = second is not None and second.verdict == "better" and agree
    matched = second or first
    return base | {
        "shown": shown,
        "variant": setting.name if shown else BASELINE,
        "temperature": temperature if shown else matched.nearest,
        "chosen": {"variant": setting.name, "temperature": temperature, "label": setting.label},
        "candidates": len(candidates),
        "choosing": first.to_dict(),
        "confirming": None if second is None else second.to_dict(),
        "by_seed": by_seed,
        "seeds_agree": agree,
    }


def _candidates(
    config: SweepConfig, ce: Finished, settings: Sequence[Finished], choosing: frozenset[str]
) -> list[tuple[Finished, float, Matched]]:
    """Points that give up no quality against plain `ce` at the reference temperature; where there is none, the best.

    Without that floor the greatest advantage would often lie where hot sampling has ruined both. A point that is less
    diverse than `ce` at any temperature can show no advantage and is none of them.
    """
    measured = {one.name: [m.only(choosing) for m in one.settings] for one in (ce, *settings)}
    tempered = measured[BASELINE]
    found = [
        (setting, one.temperature, matched, quality)
        for setting in settings
        for one in measured[setting.name]
        if (matched := _match(config, one, tempered)) is not None
        and matched.side != "less diverse"
        and (quality := one.mean(config.quality)) is not None
    ]
    if not found:
        return []
    sign = better(config.quality)
    plain = next(one.mean(config.quality) for one in tempered if one.temperature == config.reference_temperature)
    floor = max(sign * one[3] for one in found) if plain is None else sign * plain
    above = [one[:3] for one in found if sign * one[3] >= floor]
    return above or [max(found, key=lambda one: sign * one[3])[:3]]


def _by_seed(
    config: SweepConfig, ce: Finished, setting: Finished, temperature: float, ids: frozenset[str]
) -> dict[str, float]:
    """The difference that each seed alone has."""
    found = {}
    for seed, own, plain in zip(config.seeds, setting.by_seed, ce.by_seed, strict=True):
        at = next(one for one in own if one.temperature == temperature)
        matched = _match(config, at.only(ids), [one.only(ids) for one in plain])
        if matched is not None:
            found[str(seed)] = matched.estimate.value
    return found


def _lean_one_way(values: Sequence[float]) -> bool:
    """Whether the interval over seeds is above 0; with one seed there is no interval, and its value has to be."""
    found = t_interval(values)
    return (found["value"] if found["low"] is None else found["low"]) > 0


def _match(config: SweepConfig, setting: Measured, tempered: Sequence[Measured]) -> Matched | None:
    return match(setting, tempered, quality=config.quality, diversity=config.diversity, seed=config.sampling_seed)
