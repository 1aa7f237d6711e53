"""Coefficients that differ from token to token: equal to separate calls for each value, on every backend."""

import pytest
import torch

from backends import DEVICE, EVERY, Way
from entrotune.errors import UserError
from entrotune.kernels import Reference, linear_objective
from entrotune.objectives import Objective, row_weights

# The values of alpha and beta in three groups of tokens; 0 leaves a term out of one of them.
GROUPS = [(0.02, 0.5), (0.2, 0.0), (0.0, 1.5)]
OBJECTIVES = [
    "ce - alpha*entropy + beta*z_loss",
    "(1 + beta)*ce - alpha*beta*entropy + alpha*gem(beta=0.7) + 0.1*varentropy",
    "beta*mse + ce + alpha*label_smoothing + beta*gem(beta=0.6, h=logsigmoid)",
    "ce + alpha*kl(ref) + beta*jsd(ref, weight=0.3) + alpha*kl(ref, reverse=true) + beta*alpha_divergence(ref, a=0.4)",
]


def problem(seed: int, dtype: torch.dtype):
    """Hidden states, head, targets of which some are ignored, the group of each, and a reference."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)

    hidden, weight = draw(2, 9, 12).requires_grad_(), draw(41, 12).requires_grad_()
    targets = torch.randint(41, (2, 9), generator=generator).to(DEVICE)
    targets[0, 2] = targets[1, 0] = -100
    groups = torch.randint(len(GROUPS), (2, 9), generator=generator).to(DEVICE)
    return hidden, weight, targets, groups, Reference(draw(2, 9, 5), draw(41, 5))


def named(alpha, beta) -> dict:
    return {"alpha": alpha, "beta": beta}


@pytest.mark.parametrize("way", EVERY, ids=str)
@pytest.mark.parametrize("text", OBJECTIVES)
def test_equals_the_sum_of_separate_calls(way: Way, text: str) -> None:
    objective = Objective(text)

    def run(backend: str, dtype: torch.dtype, *, together: bool):
        hidden, weight, targets, groups, reference = problem(5, dtype)
        options = {"reference": reference if objective.needs.reference else None, "num_items": 16, "backend": backend}
        options["chunk_bytes"] = 41 * dtype.itemsize * 7  # several chunks, the last one ragged
        if together:
            table = torch.tensor(GROUPS, dtype=dtype, device=DEVICE)[groups]
            given = named(table[..., 0], table[..., 1])
            loss, stats = linear_objective(hidden, weight, targets, objective, coefficients=given, **options)
            found = [loss, stats.loss, stats.entropy, stats.nll]
        else:
            parts = [
                linear_objective(
                    hidden,
                    weight,
                    torch.where(groups == index, targets, -100),
                    objective.with_coefficients(named(*values)),
                    **options,
                )
                for index, values in enumerate(GROUPS)
            ]
            loss = sum(part for part, _ in parts)
            found = [loss, *(sum(getattr(s, n) for _, s in parts) for n in ("loss", "entropy", "nll"))]
        return [*found, *torch.autograd.grad(loss, [hidden, weight])]

    truth = run("reference", torch.float64, together=False)
    for ours, expected in zip(run(way.backend, way.dtype, together=True), truth, strict=True):
        torch.testing.assert_close(ours.double(), expected, **way.tolerance)


@pytest.mark.parametrize("way", EVERY, ids=str)
def test_equal_values_are_one_number(way: Way) -> None:
    hidden, weight, targets, _, _ = problem(6, way.dtype)
    text, options = "ce - alpha*entropy", {"backend": way.backend}
    expected, _ = linear_objective(hidden, weight, targets, "ce - 0.3*entropy", **options)
    values = torch.full(targets.shape, 0.3, dtype=way.dtype, device=DEVICE)
    for alpha in (0.3, values):
        loss, _ = linear_objective(hidden, weight, targets, text, coefficients={"alpha": alpha}, **options)
        torch.testing.assert_close(loss, expected, **way.tolerance)


@pytest.mark.parametrize("way", EVERY, ids=str)
def test_a_batch_with_nothing_to_learn(way: Way) -> None:
    hidden, weight, targets, groups, _ = problem(7, way.dtype)
    given = {"alpha": groups.to(way.dtype)}
    loss, _ = linear_objective(
        hidden, weight, targets * 0 - 100, "ce - alpha*entropy", coefficients=given, backend=way.backend
    )
    loss.backward()
    assert loss == 0
    assert not hidden.grad.any()


@pytest.mark.parametrize(
    ("coefficients", "says"),
    [
        ({}, "alpha of the objective ce - alpha\\*entropy \\+ beta\\*z_loss has no value"),
        (named(torch.zeros(3), 0.1), r"the coefficient alpha \(3,\) needs the shape \(2, 9\) of the targets"),
        (named(torch.zeros(2, 9), torch.full((2, 9), -0.5)), "the coefficient of z_loss is -0.5 in a row"),
        (named(torch.full((2, 9), torch.nan), 0.1), "the coefficient of entropy is not finite in every row"),
        (named(torch.zeros(2, 9), 0.1) | {"gamma": 1.0}, "names 'gamma'"),
    ],
)
def test_coefficients_that_make_no_sense(coefficients: dict, says: str) -> None:
    hidden, weight, targets, _, _ = problem(8, torch.float64)
    given = {
        name: value.to(DEVICE) if isinstance(value, torch.Tensor) else value for name, value in coefficients.items()
    }
    if DEVICE.type == "cuda" and ("in a row" in says or "finite" in says):
        pytest.skip("the device checks")
    with pytest.raises(UserError, match=says):
        linear_objective(hidden, weight, targets, OBJECTIVES[0], coefficients=given)


def test_weights_of_rows_by_hand() -> None:
    objective = Objective("(1 - a)*ce + 2*a*b*kl(ref) - 0.5*entropy")
    a = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    found = row_weights(objective, {"a": a, "b": 3.0}, torch.empty(3, dtype=torch.float64))
    expected = {"ce": [1, 0.75, 0], "kl(ref)": [0, 1.5, 6], "entropy": [-0.5] * 3}
    assert {str(term): row.tolist() for term, row in zip(objective.terms, found, strict=True)} == expected
