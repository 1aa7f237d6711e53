"""What must hold between terms, and values worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from entrotune.objectives import Objective
from tolerances import EXACT


def gradient(
    objective: str, logits: torch.Tensor, targets: torch.Tensor, others: torch.Tensor | None = None
) -> torch.Tensor:
    rows = logits.clone().requires_grad_()
    loss, _ = Objective(objective).from_logits(rows, targets, reference_logits=others, num_items=1)
    return torch.autograd.grad(loss, [rows])[0]


@pytest.fixture(params=[0, 1, 2])
def rows(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(request.param)
    logits = 3 * torch.randn(16, 40, generator=generator, dtype=torch.float64)
    return logits, torch.randint(40, (16,), generator=generator)


def test_gem_at_one_is_cross_entropy(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.testing.assert_close(gradient("gem(beta=1)", *rows), gradient("ce", *rows), **EXACT)


@pytest.mark.parametrize("beta", [0.3, 0.7, 1.9])
def test_linear_gem_is_tempered_cross_entropy(rows: tuple[torch.Tensor, torch.Tensor], beta: float) -> None:
    logits, targets = rows
    tempered = logits.clone().requires_grad_()
    loss = beta * F.cross_entropy(tempered / beta, targets, reduction="sum")
    (expected,) = torch.autograd.grad(loss, [tempered])
    torch.testing.assert_close(gradient(f"gem(beta={beta})", logits, targets), expected, **EXACT)


def test_gem_at_small_beta_points_from_target_to_maximum(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = rows
    expected = F.one_hot(logits.argmax(-1), 40) - F.one_hot(targets, 40)
    torch.testing.assert_close(gradient("gem(beta=1e-5)", logits, targets), expected.double(), rtol=0, atol=1e-6)


def test_logsigmoid_gem_has_about_half_the_gradient(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    ratio = gradient("gem(beta=0.7, h=logsigmoid)", *rows).norm() / gradient("gem(beta=0.7)", *rows).norm()
    assert 0.45 < ratio < 0.6


def test_kl_from_one_hot_is_cross_entropy(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = rows
    kl = F.kl_div(logits.log_softmax(-1), F.one_hot(targets, 40).double(), reduction="sum")
    loss, _ = Objective("ce").from_logits(logits, targets, num_items=1)
    torch.testing.assert_close(loss, kl, **EXACT)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("focal(gamma=0)", "ce"),
        ("alpha_divergence(a=1)", "ce"),
        ("label_smoothing(eps=0)", "ce"),
        ("power(k=1e-9)", "ce"),
        ("tsallis(q=1.0000001)", "entropy"),
        ("renyi(q=1.0000001)", "entropy"),
    ],
)
def test_limits(rows: tuple[torch.Tensor, torch.Tensor], left: str, right: str) -> None:
    torch.testing.assert_close(gradient(left, *rows), gradient(right, *rows), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("alpha_divergence(ref, a=1)", "kl(ref)"),
        ("alpha_divergence(ref, a=0.999999)", "kl(ref)"),
        ("alpha_divergence(ref, a=1e-6)", "kl(ref, reverse=true)"),
        ("alpha_divergence(ref, a=0.999999, temperature=2)", "kl(ref, temperature=2)"),
        ("1e10*jsd(ref, weight=1e-10)", "kl(ref)"),
        ("1e8*jsd(ref, weight=0.99999999)", "kl(ref, reverse=true)"),
    ],
)
def test_limits_against_a_reference(rows: tuple[torch.Tensor, torch.Tensor], left: str, right: str) -> None:
    others = rows[0].roll(1, dims=0)
    found, expected = (gradient(objective, *rows, others) for objective in (left, right))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_kl_at_a_temperature_is_distillation(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = rows
    others = logits.roll(1, dims=0)
    plain = F.kl_div((logits / 3).log_softmax(-1), (others / 3).log_softmax(-1), log_target=True, reduction="batchmean")
    loss, _ = Objective("kl(ref, temperature=3)").from_logits(logits, targets, reference_logits=others)
    torch.testing.assert_close(loss, 9 * plain, **EXACT)


def test_jsd_of_halves_is_symmetric(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = rows
    others = logits.roll(1, dims=0)
    there, _ = Objective("jsd(ref)").from_logits(logits, targets, reference_logits=others)
    back, _ = Objective("jsd(ref)").from_logits(others, targets, reference_logits=logits)
    torch.testing.assert_close(there, back, **EXACT)


def test_label_smoothing_is_pytorchs(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss, _ = Objective("label_smoothing(eps=0.2)").from_logits(*rows)
    torch.testing.assert_close(loss, F.cross_entropy(*rows, label_smoothing=0.2), **EXACT)


# p = (1/2, 1/4, 1/4), target the first. ce = ln 2. H = 1/2 ln 2 + 1/2 ln 4 = 3/2 ln 2. Surprisals are ln 2 and 2 ln 2,
# each with probability 1/2, so their variance is (ln 2 / 2)². Σ p² = 1/4 + 1/8 = 3/8. mean log p = −5/3 ln 2.
# q of gem(beta=0.5) is proportional to p² = (4, 1, 1)/16, so q = (2/3, 1/6, 1/6), and E_q[z] − z_y = −1/3 ln 2.
LN2 = math.log(2)
BY_HAND = {
    "ce": LN2,
    "entropy": 1.5 * LN2,
    "varentropy": LN2**2 / 4,
    "scaled_entropy(k=8)": 0.75 * LN2,  # (3/2 ln 2)² / (3 ln 2)
    "gem(beta=0.5)": -LN2 / 3,
    "label_smoothing(eps=0.3)": 0.7 * LN2 + 0.3 * 5 / 3 * LN2,
    "focal(gamma=2)": LN2 / 4,
    "dft": LN2 / 2,
    "eaft(k=8)": LN2 / 2,
    "power(k=1)": 0.5,
    "alpha_divergence(a=0.5)": (math.sqrt(0.5) - 1) / -0.25,
    "tsallis(q=2)": 5 / 8,
    "renyi(q=2)": -math.log(3 / 8),
    "mse": ((-LN2 - 1) ** 2 + 2 * (2 * LN2) ** 2) / 3,
    "z_loss": 0.0,
    # The reference is r = (1/4, 1/4, 1/2). KL(r ‖ p) = 1/4 ln 1/2 + 1/2 ln 2, and KL(p ‖ r) the same by symmetry.
    "kl(ref)": LN2 / 4,
    "kl(ref, reverse=true)": LN2 / 4,
    # m = (3/8, 1/4, 3/8), and both divergences from it are 1/2 ln 4/3 + 1/4 ln 2/3.
    "jsd(ref)": 1.25 * LN2 - 0.75 * math.log(3),
    # Σ √(r p) = 1/√8 + 1/4 + 1/√8.
    "alpha_divergence(ref, a=0.5)": 3 - 2 * math.sqrt(2),
    # At T = 1/2 probabilities are squared: P = (4, 1, 1)/6, r = (1, 1, 4)/6, KL(r ‖ P) = 1/6 ln 1/4 + 4/6 ln 4.
    "kl(ref, temperature=0.5)": 0.25 * LN2,
}


@pytest.mark.parametrize("objective", BY_HAND)
def test_values_worked_out_by_hand(objective: str) -> None:
    logits = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log()
    others = logits.flip(-1) + 7.0 if Objective(objective).needs.reference else None
    loss, _ = Objective(objective).from_logits(logits, torch.tensor([0]), reference_logits=others)
    assert loss.item() == pytest.approx(BY_HAND[objective], abs=1e-12)


def test_every_term_has_a_value_worked_out_by_hand() -> None:
    from entrotune.objectives import TERMS

    assert {text.split("(")[0] for text in BY_HAND} == set(TERMS)
