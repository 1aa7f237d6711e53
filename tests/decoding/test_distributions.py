"""Each strategy's distribution, exactly, on vocabularies small enough to work out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from entrotune.decoding import PARTS, Strategy, entropy_of
from entrotune.decoding.parts.search import Lookahead
from tolerances import EXACT, SINGLE

TEXTBOOK = torch.tensor([5.0, 2.0, 1.0, 0.2], dtype=torch.float64)
SHARES = torch.tensor([0.5, 0.2, 0.1, 0.06, 0.05, 0.04, 0.03, 0.02], dtype=torch.float64)
# One of each that draws from one row at a time.
STRATEGIES = [
    "sample",
    "greedy",
    "temperature(0.7)",
    "temperature(0)",
    "top_k(3)",
    "top_p(0.85)",
    "min_p(0.15)",
    "typical(0.6)",
    "eta(0.05)",
    "top_n_sigma(1)",
    "entropy_temperature(1, 0.5)",
    "entropy_switch",
    "annealed(1.5, 0.5, 4)",
    "target_entropy(0.9)",
    "repetition_penalty(1.3)",
    "no_repeat_ngram(2)",
    "temperature(0.8) + top_k(3) + top_p(0.9)",
    "top_k(3) + target_entropy(0.5)",
]


def probabilities(text: str, logits: Tensor) -> Tensor:
    return Strategy.of(text).probabilities(logits)


def kept(*places: int) -> Tensor:
    """`SHARES` cut down to some tokens."""
    mask = torch.zeros_like(SHARES)
    mask[list(places)] = 1
    return SHARES * mask / (SHARES * mask).sum()


def test_every_part_is_among_them() -> None:
    looking_ahead = {name for name, part in PARTS.items() if issubclass(part, Lookahead)}
    assert looking_ahead == {"beam", "diverse_beam", "contrastive_search"}
    assert PARTS.keys() - looking_ahead == {
        str(part).partition("(")[0] for text in STRATEGIES for part in Strategy.of(text).parts
    }


# exp of 5, 2, 1, 0.2 over the temperature, divided by their sum, to four decimals.
@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (0.5, [0.9971, 0.0025, 0.0003, 0.0001]),
        (1.0, [0.9291, 0.0463, 0.0170, 0.0076]),
        (2.0, [0.6900, 0.1540, 0.0934, 0.0626]),
        (10.0, [0.3300, 0.2445, 0.2212, 0.2042]),
    ],
)
def test_textbook_temperatures(temperature: float, expected: list[float]) -> None:
    found = probabilities(f"temperature({temperature})", TEXTBOOK).tolist()
    assert found == pytest.approx(expected, abs=5e-5)
    weights = [math.exp(logit / temperature) for logit in (5, 2, 1, 0.2)]
    assert found == pytest.approx([weight / sum(weights) for weight in weights], rel=1e-12)


# By hand, of shares .5 .2 .1 .06 .05 .04 .03 .02, whose entropy is 1.5296 nats:
# top_p: .5 .7 .8 .86: the fourth passes .85. min_p: .15 * .5 = .075. typical: surprisals .69 1.61 2.30 2.81 … lie
# .84 .08 .77 1.28 … from the entropy: .2, then .1 passes .25; with .5 it passes .6. eta: sqrt(.05) * exp(-1.5296) =
# .0484. After top_k(4), the first two hold .7 / .86 = .81, three .93.
@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("sample", range(8)),
        ("top_k(3)", range(3)),
        ("top_k(100)", range(8)),
        ("top_p(0.85)", range(4)),
        ("top_p(1)", range(8)),
        ("top_p(0.3)", range(1)),
        ("min_p(0.15)", range(3)),
        ("typical(0.25)", (1, 2)),
        ("typical(0.6)", range(3)),
        ("eta(0.05)", range(5)),
        ("top_k(4) + top_p(0.9)", range(3)),
    ],
)
def test_what_is_kept_keeps_its_proportions(text: str, places: range | tuple[int, ...]) -> None:
    torch.testing.assert_close(probabilities(text, SHARES.log()), kept(*places), **EXACT)


def test_top_three_of_a_half_a_fifth_a_tenth() -> None:
    found = probabilities("top_k(3)", SHARES.log())
    assert found.tolist() == pytest.approx([0.625, 0.25, 0.125, 0, 0, 0, 0, 0], rel=1e-12)


def test_top_n_sigma_by_hand() -> None:
    """Mean 2.05, squares of differences 8.7025 + .0025 + 1.1025 + 3.4225 over 4 = 3.3075, root 1.8187."""
    assert probabilities("top_n_sigma(1)", TEXTBOOK).count_nonzero() == 1  # 5 - 1.8187 = 3.18
    assert probabilities("top_n_sigma(2)", TEXTBOOK).count_nonzero() == 2  # 5 - 3.6373 = 1.36
    assert probabilities("top_n_sigma(3)", TEXTBOOK).count_nonzero() == 4  # 5 - 5.4560 < 0.2
    hot = probabilities("temperature(9) + top_n_sigma(2)", TEXTBOOK)
    assert hot.count_nonzero() == 2
    blocked = torch.cat([TEXTBOOK, torch.tensor([-torch.inf])])
    torch.testing.assert_close(probabilities("top_n_sigma(2)", blocked)[:4], probabilities("top_n_sigma(2)", TEXTBOOK))


def test_temperature_acts_before_top_k_and_top_p_whatever_is_written_first() -> None:
    """At temperature 2 the first two hold .69 + .154 = .844 < .9; without it the first alone holds .929."""
    text = "top_p(0.9) + top_k(3) + temperature(2)"
    assert str(Strategy.of(text)) == "temperature(2) + top_k(3) + top_p(0.9)"
    first, second, third = math.exp(2.5), math.exp(1.0), math.exp(0.5)
    # Of the three that top-k leaves, the first two hold (12.18 + 2.72) / 16.55 = .9004.
    expected = [first / (first + second), second / (first + second), 0.0, 0.0]
    assert first + second > 0.9 * (first + second + third)
    assert probabilities(text, TEXTBOOK).tolist() == pytest.approx(expected, rel=1e-12)


def test_repetition_penalty_and_ngrams_by_hand() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5, 1.0]], dtype=torch.float64)
    seen = torch.tensor([[0, 1, 3, 0, 1]])
    penalised = torch.tensor([[1.0, -2.0, 0.5, 0.5]], dtype=torch.float64).softmax(-1)
    torch.testing.assert_close(Strategy.of("repetition_penalty(2)").probabilities(logits, seen), penalised, **EXACT)
    # 0 1 3 came before, so after 0 1 there must be no 3.
    allowed = torch.tensor([[2.0, -1.0, 0.5, -torch.inf]], dtype=torch.float64).softmax(-1)
    torch.testing.assert_close(Strategy.of("no_repeat_ngram(3)").probabilities(logits, seen), allowed, **EXACT)
    # Greedy takes the likeliest of what they leave: 2 is forbidden after 3 2, so 1 before 0.5.
    after = torch.tensor([[3, 0, 2, 3]])
    assert Strategy.of("greedy + no_repeat_ngram(2)").probabilities(logits, after).tolist() == [[0, 0, 0, 1]]
    # 2 / 5 = 0.4 < 0.5, the only one that was not seen.
    assert Strategy.of("greedy + repetition_penalty(5)").probabilities(logits, seen).tolist() == [[0, 0, 1, 0]]


def test_entropy_temperature_is_its_formula() -> None:
    entropy = float(entropy_of(TEXTBOOK)[0])
    assert entropy == pytest.approx(0.31710, abs=5e-6)
    expected = (TEXTBOOK / (1.5 * 0.8 ** (0.5 / entropy))).softmax(-1)
    torch.testing.assert_close(probabilities("entropy_temperature(1.5, 0.5)", TEXTBOOK), expected, **EXACT)
    sure = torch.tensor([3.0, -torch.inf, -torch.inf])
    assert probabilities("entropy_temperature", sure).tolist() == [1, 0, 0]


def test_entropy_switch_has_three_answers() -> None:
    text = "entropy_switch(low=0.5, high=1, low_var=1, high_var=1, temperature=0.5, hot=2)"
    sure = torch.tensor([9.0, 0.0, 0.0])
    assert probabilities(text, sure).tolist() == [1, 0, 0]
    flat = torch.zeros(8)  # entropy high, varentropy 0: neither
    torch.testing.assert_close(probabilities(text, flat), torch.full((8,), 0.125))
    unsure = torch.cat([torch.tensor([4.0]), torch.zeros(60)])
    entropy, varentropy = entropy_of(unsure)
    assert entropy > 1
    assert varentropy > 1
    torch.testing.assert_close(probabilities(text, unsure), (unsure / 2).softmax(-1))
    between = torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(probabilities(text, between), (between / 0.5).softmax(-1))


def test_annealing_goes_from_start_to_end() -> None:
    (processor,) = Strategy.of("annealed(2, 0.5, 4)").processors()
    logits = TEXTBOOK[None]
    for _ in range(2):  # a second generation begins anew
        found = [logits[0, 0] / processor(torch.zeros(1, 7 + step), logits)[0, 0] for step in range(6)]
        assert [float(one) for one in found] == pytest.approx([2, 2**0.5, 1, 0.5**0.5, 0.5, 0.5])


logit = st.floats(-30, 30, width=32)
rows = st.lists(st.one_of(logit, st.just(-math.inf)), min_size=2, max_size=40).filter(lambda row: max(row) > -math.inf)


@given(rows, st.floats(0.05, 20), st.floats(1.01, 5))
def test_entropy_grows_with_temperature(row: list[float], temperature: float, factor: float) -> None:
    logits = torch.tensor(row, dtype=torch.float64)
    low, high = (entropy_of(logits / t)[0] for t in (temperature, temperature * factor))
    assert high >= low - 1e-12


@given(rows)
def test_limits_of_temperature(row: list[float]) -> None:
    logits = torch.tensor(row, dtype=torch.float64)
    allowed = logits > -math.inf
    hot = probabilities("temperature(1e9)", logits)
    torch.testing.assert_close(hot, allowed.double() / allowed.sum(), rtol=1e-6, atol=1e-6)
    cold = probabilities("temperature(1e-9)", logits)
    likeliest = logits == logits.max()
    gaps = logits.max() - logits[~likeliest]
    if len(gaps) == 0 or gaps.min() > 1e-6:
        torch.testing.assert_close(cold, likeliest.double() / likeliest.sum(), rtol=1e-6, atol=1e-6)
    assert probabilities("temperature(0)", logits).argmax() == logits.argmax()


@given(rows, st.floats(0, 4))
def test_target_entropy_is_met_or_the_nearest(row: list[float], target: float) -> None:
    logits = torch.tensor(row, dtype=torch.float64)
    least = math.log((logits == logits.max()).sum())
    most = math.log((logits > -math.inf).sum())
    found = probabilities(f"target_entropy({target})", logits)
    assert float(entropy_of(found.log())[0]) == pytest.approx(min(max(target, least), most), abs=1e-4)
    order = found[logits.argsort()]
    assert (order.diff() >= -1e-12).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("target", [0.01, 0.5, 3.0, 9.0])
def test_target_entropy_over_a_real_sized_vocabulary(dtype: torch.dtype, target: float) -> None:
    torch.manual_seed(3)
    logits = (torch.randn(3, 50_000) * torch.tensor([[1.0], [3.0], [8.0]])).to(dtype)
    if dtype != torch.float32:  # a tie at the top puts a floor under the entropy
        logits[:, 17] = logits.amax(-1) + 1
    found = probabilities(f"target_entropy({target})", logits)
    assert entropy_of(found.double().log())[0].tolist() == pytest.approx([target] * 3, abs=1e-4)


def test_target_entropy_outside_of_what_is_possible() -> None:
    tied = torch.tensor([3.0, 3.0, 1.0, -math.inf])
    assert probabilities("target_entropy(0.2)", tied).tolist() == [0.5, 0.5, 0, 0]
    assert probabilities("target_entropy(5)", tied).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert probabilities("target_entropy(1)", torch.tensor([-math.inf, 2.0])).tolist() == [0, 1]


@pytest.mark.parametrize("text", STRATEGIES)
def test_each_row_of_a_batch_is_as_alone(text: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 12, dtype=torch.float64) * torch.tensor([[0.1], [1], [3], [10], [40]])
    logits[1, 4:] = -math.inf
    logits[2, :3] = 7.0
    alone = torch.stack([probabilities(text, row) for row in logits])
    torch.testing.assert_close(probabilities(text, logits), alone, **EXACT)
    torch.testing.assert_close(alone.sum(-1), torch.ones(5, dtype=torch.float64), **EXACT)
    assert (alone[1, 4:] == 0).all()
    assert (alone[logits == logits.max()] > 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("text", STRATEGIES)
def test_half_precision_logits_are_taken_at_their_value(text: str, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    logits = (torch.randn(4, 9) * 4).to(dtype)
    found = probabilities(text, logits)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, probabilities(text, logits.double()).float(), **SINGLE)


def test_ties() -> None:
    tied = torch.tensor([1.0, 2.0, 2.0, 2.0, 0.0])
    assert probabilities("greedy", tied).tolist() == [0, 1, 0, 0, 0]
    assert probabilities("temperature(0)", tied).tolist() == [0, 1, 0, 0, 0]
    third = pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0])
    assert probabilities("top_k(2)", tied).tolist() == third
    assert probabilities("min_p(1)", tied).tolist() == third
    assert probabilities("top_n_sigma(0)", tied).tolist() == third
