"""Weights by the gradients: the least convex combination, its state, and what cannot be balanced."""

import itertools

import pytest
import torch

from entrotune.errors import UserError
from entrotune.objectives import (
    Balance,
    Moment,
    NamedCoefficients,
    Objective,
    equal_norm_weights,
    min_norm_weights,
)

TWO = Objective("a*ce + b*z_loss")


def closed_form(first: torch.Tensor, second: torch.Tensor) -> float:
    """The weight of the first of two gradients (Sener & Koltun 2018, equation 4)."""
    across = second - first
    return float((across @ second / (across @ across)).clamp(0, 1))


@pytest.mark.parametrize("seed", range(8))
def test_two_gradients_have_the_closed_form(seed: int) -> None:
    g = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    g[1] *= 3 ** (seed % 4 - 1)
    first, second = min_norm_weights(g @ g.T)
    assert first == pytest.approx(closed_form(g[0], g[1]), abs=1e-12)
    assert first + second == pytest.approx(1)


def least_norm(gram: torch.Tensor) -> float:
    """‖Σ w g‖² at its least, by trying every set of gradients with a weight: the equations of the rest are linear."""
    best = float("inf")
    for size in range(1, len(gram) + 1):
        for chosen in itertools.combinations(range(len(gram)), size):
            inner = gram[list(chosen)][:, list(chosen)]
            solved = torch.linalg.lstsq(inner, torch.ones(size, dtype=gram.dtype)).solution
            weights = solved / solved.sum()
            if bool((weights >= -1e-12).all()):
                best = min(best, float(weights @ inner @ weights))
    return best


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("seed", range(6))
def test_more_gradients_reach_the_least_norm(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(count, 8, dtype=torch.float64, generator=generator) + 0.7
    gram = g @ g.T
    weights = torch.tensor(min_norm_weights(gram), dtype=torch.float64)
    assert bool((weights >= 0).all())
    assert float(weights.sum()) == pytest.approx(1)
    assert float(weights @ gram @ weights) == pytest.approx(least_norm(gram), rel=1e-9)
    # No loss rises along the way that is found: ⟨gᵢ, Σ w g⟩ is at least ‖Σ w g‖² for every i.
    assert bool((gram @ weights >= weights @ gram @ weights - 1e-9).all())


@pytest.mark.parametrize(
    ("gram", "expected"),
    [
        ([[0, 0], [0, 0]], [0.5, 0.5]),
        ([[1, 0], [0, 1e8]], [1.0, 0.0]),
        ([[2, 2], [2, 2]], [0.5, 0.5]),  # one gradient twice
        ([[1, -1], [-1, 1]], [0.5, 0.5]),  # two that oppose each other: nothing is left
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [1 / 3] * 3),
    ],
)
def test_gradients_at_the_edges(gram: list, expected: list) -> None:
    assert min_norm_weights(gram) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_a_least_weight(seed: int) -> None:
    g = (
        torch.randn(3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        * torch.tensor([[1, 5, 9]]).T
    )
    weights = torch.tensor(min_norm_weights(g @ g.T, least=0.2), dtype=torch.float64)
    assert float(weights.sum()) == pytest.approx(1)
    assert float(weights.min()) == pytest.approx(0.2)  # the largest gradient would have less
    parts = [step / 40 for step in range(41)]
    grid = [(0.2 + 0.4 * a, 0.2 + 0.4 * b) for a in parts for b in parts if a + b <= 1]
    best = min(float((torch.tensor([a, b, 1 - a - b], dtype=torch.float64) @ g).norm()) for a, b in grid)
    assert float((weights @ g).norm()) <= best + 1e-9


def test_a_loss_without_gradient_does_not_take_all() -> None:
    assert min_norm_weights([[1, 0], [0, 0]]) == [0, 1]
    assert min_norm_weights([[1, 0], [0, 0]], least=0.1) == pytest.approx([0.1, 0.9])


def test_all_losses_pull_equally_hard() -> None:
    assert equal_norm_weights([[4, -1], [-1, 36]]) == pytest.approx([0.75, 0.25])
    weights = equal_norm_weights([[1, 0, 0], [0, 9, 1], [0, 1, 0.25]])
    assert [w * norm for w, norm in zip(weights, (1, 3, 0.5), strict=True)] == pytest.approx([3 / 10] * 3)
    assert equal_norm_weights([[0, 0], [0, 0]]) == [0.5, 0.5]
    # One without a gradient leaves the other the least; half of what is above it is shared out by the norms.
    assert equal_norm_weights([[1, 0], [0, 0]], least=0.1) == pytest.approx([0.1, 0.9])
    assert equal_norm_weights([[1, 0], [0, 1]], least=0.4) == pytest.approx([0.5, 0.5])


def test_the_default_is_gradnorm() -> None:
    balance = Balance(["a", "b"], smoothing=0.5, least=0)
    balance.observe(torch.tensor([[4.0, -1.0], [-1.0, 36.0]]))
    assert balance.weights == pytest.approx([0.75, 0.25])


def test_the_products_are_smoothed_and_kept() -> None:
    balance = Balance(["a", "b"], method="mgda", every=3, smoothing=0.75)
    assert [step for step in range(8) if balance.measures(step)] == [0, 3, 6]
    first, second = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([[5.0, 1.0], [1.0, 1.0]])
    balance.observe(first)
    assert balance.weights == pytest.approx([0.75, 0.25])
    balance.observe(second)
    smooth = 0.75 * first + second  # a quarter of each, which is no matter to the weights
    assert balance.weights == pytest.approx(min_norm_weights(smooth))
    again = Balance(["a", "b"], method="mgda", every=3, smoothing=0.75)
    again.restore(balance.state())
    for found in (balance, again):
        found.observe(first)
    assert again.weights == balance.weights


def test_balanced_names_are_coefficients() -> None:
    named = NamedCoefficients(TWO, {"a": "balanced", "b": {"balanced": "mgda", "every": 2, "tokens": 8}})
    assert named.balance is not None
    assert (named.balance.names, named.balance.every, named.balance.tokens) == (("a", "b"), 2, 8)
    assert str(named.at(Moment())) == "0.5*ce + 0.5*z_loss"
    named.balance.observe(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    assert named.at(Moment()).coefficient_values() == pytest.approx({"ce": 0.75, "z_loss": 0.25})
    again = NamedCoefficients(TWO, {"a": "balanced", "b": "balanced"})
    again.restore(named.state())
    assert again.values(Moment()) == named.values(Moment())


def test_what_a_name_multiplies() -> None:
    objective = Objective("2*a*(ce - alpha*entropy) + b*kl(ref) + 3*b*alpha*z_loss")
    assert str(objective.share("a")) == "2*ce - 2*alpha*entropy"
    assert objective.share("b") == Objective("kl(ref) + 3*alpha*z_loss")


@pytest.mark.parametrize(
    ("objective", "given", "says"),
    [
        ("a*ce + 0.1*z_loss", {"a": "balanced"}, "coefficients.a is balanced, but against nothing"),
        ("a*ce + b*z_loss + mse", {"a": "balanced", "b": "balanced"}, "none of them multiply mse"),
        ("a*ce + a*b*z_loss + b*mse", {"a": "balanced", "b": "balanced"}, "several of them multiply z_loss"),
        ("a*ce + b*mse", {"a": {"balanced": "dwa"}, "b": "balanced"}, "balanced is 'dwa'; expected gradnorm or mgda"),
        ("a*ce + b*mse", {"a": {"balanced": "mgda", "every": 0}, "b": "balanced"}, "every is 0; expected a whole"),
        ("a*ce + b*mse", {"a": {"balanced": "mgda", "smoothing": 1}, "b": "balanced"}, "smoothing is 1; expected"),
        ("a*ce + b*mse", {"a": {"balanced": "mgda", "min": -1}, "b": "balanced"}, "min is -1; expected a number"),
        (
            "a*ce + b*mse",
            {"a": {"balanced": "mgda", "min": 0.5}, "b": "balanced"},
            "min is 0.5; expected less than 1 / 2",
        ),
        ("a*ce + b*mse", {"a": {"balanced": "mgda", "speed": 1}, "b": "balanced"}, "coefficients.a has speed"),
        (
            "a*ce + b*mse",
            {"a": {"balanced": "mgda", "every": 2}, "b": {"balanced": "mgda", "every": 3}},
            "every is 3, and 2 for another balanced name",
        ),
        ("a*ce - b*z_loss", {"a": "balanced", "b": "balanced"}, "z_loss is -0.[19]"),
    ],
)
def test_what_cannot_be_balanced(objective: str, given: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        NamedCoefficients(Objective(objective), given)
