"""Inner products of the gradients of an objective's losses, against autograd over full logits."""

import pytest
import torch

from backends import DEVICE, EVERY, Way
from entrotune.kernels import Reference, gradient_gram
from entrotune.objectives import Objective, min_norm_weights

TEXT = "a*ce - b*alpha*entropy + c*kl(ref)"
NAMES = ("a", "b", "c")


def problem(dtype: torch.dtype):
    """Hidden states, head, targets of which some are ignored, a coefficient a token, and a reference."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)

    targets = torch.randint(31, (3, 7), generator=generator).to(DEVICE)
    targets[:, 2] = -100
    return draw(3, 7, 6), draw(31, 6), targets, draw(3, 7).abs(), Reference(draw(3, 7, 4), draw(31, 4))


def truth_of(rows: torch.Tensor) -> torch.Tensor:
    """The products of the chosen supervised rows, from whole logits in float64."""
    hidden, weight, targets, alpha, reference = problem(torch.float64)
    keep = (targets != -100).view(-1).nonzero().view(-1)[rows]
    at = hidden.view(-1, 6)[keep].requires_grad_()
    others = reference.hidden.view(-1, 4)[keep] @ reference.weight.T
    grads = []
    for name in NAMES:
        loss = Objective(TEXT).share(name)
        weights = alpha.view(-1)[keep] if name == "b" else None
        value = sum(
            factor
            * (1.0 if weights is None else weights)
            * term.exact(
                at @ weight.T, targets.view(-1)[keep], others if term.needs().reference else (at @ weight.T).detach()
            )
            for factor, term in [*loss.parts, *((f, t) for f, _, t in loss.open_parts)]
        )
        grads.append(torch.autograd.grad(value.sum(), [at])[0].view(-1))
    stacked = torch.stack(grads)
    return stacked @ stacked.T


@pytest.mark.parametrize("way", EVERY, ids=str)
def test_equals_autograd(way: Way) -> None:
    hidden, weight, targets, alpha, reference = problem(way.dtype)
    found, count = gradient_gram(
        hidden,
        weight,
        targets,
        Objective(TEXT),
        NAMES,
        tokens=100,
        coefficients={"alpha": alpha},
        reference=reference,
        backend=way.backend,
    )
    assert count == 18
    torch.testing.assert_close(found, truth_of(torch.arange(18)), **way.tolerance)
    weights = min_norm_weights(found)
    assert sum(weights) == pytest.approx(1)
    assert min(weights) >= 0


def test_some_tokens_spread_evenly() -> None:
    hidden, weight, targets, alpha, reference = problem(torch.float64)
    found, count = gradient_gram(
        hidden, weight, targets, Objective(TEXT), NAMES, tokens=4, coefficients={"alpha": alpha}, reference=reference
    )
    assert count == 4
    torch.testing.assert_close(found, truth_of(torch.tensor([0, 6, 11, 17])))
    assert not found.requires_grad


def test_batches_add_up() -> None:
    hidden, weight, targets, alpha, reference = problem(torch.float64)

    def part(rows: slice) -> tuple[torch.Tensor, int]:
        given = {
            "coefficients": {"alpha": alpha[rows]},
            "reference": Reference(reference.hidden[rows], reference.weight),
        }
        return gradient_gram(hidden[rows], weight, targets[rows], Objective(TEXT), NAMES, tokens=100, **given)

    whole, parts = part(slice(None)), [part(slice(0, 1)), part(slice(1, 3))]
    torch.testing.assert_close(sum(gram for gram, _ in parts), whole[0])
    assert sum(count for _, count in parts) == whole[1]


def test_a_batch_with_nothing_to_learn() -> None:
    hidden, weight, targets, alpha, reference = problem(torch.float64)
    found, count = gradient_gram(
        hidden,
        weight,
        targets * 0 - 100,
        Objective(TEXT),
        NAMES,
        tokens=9,
        coefficients={"alpha": alpha},
        reference=reference,
    )
    assert count == 0
    assert not found.any()
