"""What settings keep of a distribution, against values derived by hand."""

import math

import pytest
import torch

from entrotune.decoding.kept import kept_by
from entrotune.errors import UserError

# 0.5, 0.2, 0.1 and 20 tokens of 0.01.
P = torch.tensor([0.01] * 10 + [0.1, 0.5, 0.2] + [0.01] * 10, dtype=torch.float64)


def test_top_k_divides_what_is_kept_by_its_mass() -> None:
    kept = kept_by(P.log(), top_k=3)
    assert kept.ids == (11, 12, 10)
    assert kept.probabilities == pytest.approx((0.625, 0.25, 0.125))
    assert kept.mass == pytest.approx(0.8)
    assert kept.entropy == pytest.approx(-(0.625 * math.log(0.625) + 0.25 * math.log(0.25) + 0.125 * math.log(0.125)))


def test_the_order_is_temperature_then_top_k_then_top_p_then_min_p() -> None:
    # At temperature 1/2 squares: 25 : 4 : 1 of 30.2 with the others; top-k 3 leaves 30.
    assert kept_by(P.log(), temperature=0.5, top_k=3).probabilities == pytest.approx((25 / 30, 4 / 30, 1 / 30))
    assert kept_by(P.log(), temperature=0.5, top_k=3, top_p=25 / 30 + 0.01).ids == (11, 12)
    assert kept_by(P.log(), temperature=0.5, top_k=3, min_p=0.05).ids == (11, 12)
    # Before the temperature, the third has a fifth of the likeliest's probability.
    assert kept_by(P.log(), top_k=3, min_p=0.05).ids == (11, 12, 10)


def test_without_settings_all_are_kept_as_they_are() -> None:
    kept = kept_by(P.log())
    assert kept.probabilities[:3] == pytest.approx((0.5, 0.2, 0.1))
    assert (len(kept.ids), kept.mass) == (23, pytest.approx(1.0))


def test_temperature_0_keeps_the_likeliest() -> None:
    kept = kept_by(P.log(), temperature=0)
    assert (kept.ids, kept.probabilities, kept.entropy) == ((11,), (1.0,), 0.0)
    assert kept.mass == pytest.approx(0.5)


def test_a_larger_top_k_than_the_vocabulary_keeps_all_but_what_cannot_be() -> None:
    assert kept_by(torch.tensor([1.0, -math.inf, 2.0]), top_k=50).ids == (2, 0)


@pytest.mark.parametrize("settings", [{"temperature": -1.0}, {"top_p": 1.5}, {"min_p": -0.1}, {"top_k": 0}])
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises((UserError, ValueError), match=next(iter(settings))):
        kept_by(P.log(), **settings)  # type: ignore[arg-type]
