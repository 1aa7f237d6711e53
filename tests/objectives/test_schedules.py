"""Named coefficients: how they are written, their values over a run, and what a wrong one is told."""

import pickle

import pytest
import torch

from backends import DEVICE
from entrotune.kernels import linear_objective
from entrotune.objectives import Moment, NamedCoefficients, Objective, ce, entropy, kl
from tolerances import EXACT, SINGLE


def course(given: object, *, steps: int = 10, epochs: int = 1) -> list[float]:
    """The values of a coefficient over a run of so many steps."""
    named = NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": given})
    moments = [Moment(step, steps, step * epochs // steps, epochs) for step in range(steps)]
    return [named.values(moment)["alpha"] for moment in moments]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ce - alpha*entropy", "ce - alpha*entropy"),
        ("ce - 2 * alpha * entropy", "ce - 2*alpha*entropy"),
        ("ce + alpha*kl(ref)/4", "ce + 0.25*alpha*kl(ref)"),
        ("alpha*(ce - beta*entropy)", "alpha*ce - alpha*beta*entropy"),
        ("(1 - a)*ce + a*gem(0.5)", "ce - a*ce + a*gem(beta=0.5)"),
        ("ce - alpha*entropy - alpha*entropy", "ce - 2*alpha*entropy"),
    ],
)
def test_names_in_text(text: str, shown: str) -> None:
    objective = Objective(text)
    assert str(objective) == shown
    assert Objective(shown) == objective
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert hash(Objective(shown)) == hash(objective)


def test_values_give_the_concrete_objective() -> None:
    open_one = Objective("(1 - a)*ce - 2*a*b*entropy")
    assert open_one.names == ("a", "b")
    concrete = open_one.with_coefficients({"a": 0.25, "b": 0.5})
    assert concrete == Objective("0.75*ce - 0.25*entropy")
    assert concrete.names == ()
    assert open_one.names == ("a", "b"), "an objective does not change"
    assert (open_one + kl()).names == ("a", "b")
    assert -1.0 * (entropy() - Objective("a*ce")) == Objective("a*ce - entropy")


def test_a_coefficient_of_zero_keeps_its_term() -> None:
    objective = Objective("ce + alpha*kl(ref)").with_coefficients({"alpha": 0.0})
    assert objective.needs.reference
    assert Objective(objective).coefficient_values() == {"ce": 1.0, "kl(ref)": 0.0}
    rows, weight, targets = torch.randn(3, 4).double(), torch.randn(7, 4).double(), torch.tensor([0, 1, 2])
    with_zero = Objective("ce - alpha*entropy").with_coefficients({"alpha": 0})
    for backend in ("reference", "torch"):
        loss, _ = linear_objective(rows, weight, targets, with_zero, backend=backend)
        torch.testing.assert_close(loss, linear_objective(rows, weight, targets, ce())[0], **EXACT)


def test_a_coefficient_that_changes_compiles_once() -> None:
    pytest.importorskip("triton")
    from entrotune.kernels.triton_scalars import compile_scalars

    generator = torch.Generator().manual_seed(0)
    rows, weight = (torch.randn(n, 4, generator=generator).to(DEVICE) for n in (3, 11))
    targets = torch.tensor([0, 1, 2], device=DEVICE)
    objective, before = Objective("ce - alpha*entropy + alpha*z_loss"), compile_scalars.cache_info().misses
    for alpha in (0.0, 0.1, 0.2, 0.3):
        concrete = objective.with_coefficients({"alpha": alpha})
        loss, _ = linear_objective(rows, weight, targets, concrete, backend="triton")
        torch.testing.assert_close(
            loss, linear_objective(rows, weight, targets, concrete, backend="torch")[0], **SINGLE
        )
    assert compile_scalars.cache_info().misses == before + 1


def test_without_values_nothing_is_computed() -> None:
    objective = Objective("ce - alpha*entropy")
    rows, weight, targets = torch.randn(3, 4), torch.randn(7, 4), torch.tensor([0, 1, 2])
    for backend in ("reference", "torch"):
        with pytest.raises(ValueError, match=r"with_coefficients\(\{'alpha'"):
            linear_objective(rows, weight, targets, objective, backend=backend)
    with pytest.raises(ValueError, match="with_coefficients"):
        objective.from_logits(rows @ weight.T, targets)


def test_linear_and_cosine_by_hand() -> None:
    assert course(0.3, steps=3) == [0.3, 0.3, 0.3]
    assert course({"linear": [0.0, 0.4]}, steps=5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    # (1 − cos(π s)) / 2 at s = 0, 1/4, 1/2, 3/4, 1
    assert course({"cosine": [1.0, 0.0]}, steps=5) == pytest.approx([1, 0.8535534, 0.5, 0.1464466, 0], abs=1e-7)
    assert course({"linear": [0.1, 0.2]}, steps=1) == [0.1]


def test_step_by_hand() -> None:
    assert course({"step": {0: 0.1, 2: 0.3}}, steps=4) == [0.1, 0.1, 0.3, 0.3]
    # The keys of JSON are texts, and need no order.
    assert course({"step": {"2": 0.3, "0": 0.1}}, steps=4) == [0.1, 0.1, 0.3, 0.3]


def test_warmup_by_hand() -> None:
    # 0, 1/2 of the first value, then the ramp over the other three steps.
    assert course({"linear": [0.2, 0.4], "warmup": 2}, steps=5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert course({"linear": [0.2, 0.4], "warmup": 0.4}, steps=5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert course({"step": {0: 0.4, 3: 0.1}, "warmup": 2}, steps=5) == pytest.approx([0, 0.2, 0.4, 0.1, 0.1])


def test_by_epoch_by_hand() -> None:
    shown = course({"linear": [0.0, 0.2], "per": "epoch"}, steps=6, epochs=3)
    assert shown == pytest.approx([0, 0, 0.1, 0.1, 0.2, 0.2])
    assert course({"step": {0: 0.3, 1: 0.1}, "per": "epoch"}, steps=4, epochs=2) == [0.3, 0.3, 0.1, 0.1]


def test_several_names_go_their_own_ways() -> None:
    given = {"alpha": {"linear": [0, 0.2]}, "beta": {"step": {0: 0, 1: 0.5}}}
    named = NamedCoefficients(Objective("ce - alpha*entropy + 2*beta*kl(ref)"), given)
    found = [str(named.at(Moment(step, 3))) for step in range(3)]
    assert found == ["ce + 0*entropy + 0*kl(ref)", "ce - 0.1*entropy + kl(ref)", "ce - 0.2*entropy + kl(ref)"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "alpha of the objective .* has no value"),
        ({"alpha": 0.1, "alfa": 0.2}, "names 'alfa', which is no coefficient .* its names are alpha"),
        ({"alpha": "0.1"}, "expected a number, {linear"),
        ({"alpha": float("nan")}, "expected a number"),
        ({"alpha": {"linear": [0, 1], "cosine": [0, 1]}}, "expected a number"),
        ({"alpha": {"linear": [0.1]}}, "expected two numbers"),
        ({"alpha": {"linear": [0.1, "x"]}}, "expected two numbers"),
        ({"alpha": {"linear": [0, 0.1], "warm": 3}}, "has warm; expected linear, per, warmup|has warm"),
        ({"alpha": {"linear": [0, 0.1], "warmup": 1.5}}, "a whole number of steps"),
        ({"alpha": {"linear": [0, 0.1], "warmup": -1}}, "a whole number of steps"),
        ({"alpha": {"linear": [0, 0.1], "per": "row"}}, "expected step or epoch"),
        ({"alpha": {"step": {1: 0.1}}}, "from 0 on"),
        ({"alpha": {"step": {}}}, "from 0 on"),
        ({"alpha": {"step": {0: 0.1, "0": 0.2}}}, "from 0 on"),
        ({"alpha": {"step": {"first": 0.1}}}, "from 0 on"),
        ("alpha", "mapping of names"),
    ],
)
def test_wrong_coefficients_are_refused(given: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        NamedCoefficients(Objective("ce - alpha*entropy"), given)  # type: ignore[arg-type]


def test_what_would_make_a_loss_negative_somewhere_is_refused() -> None:
    with pytest.raises(ValueError, match=r"can reach alpha = -0\.1, where the coefficient of kl\(ref\) is -0\.1"):
        NamedCoefficients(Objective("ce + alpha*kl(ref)"), {"alpha": {"linear": [0.2, -0.1]}})
    with pytest.raises(ValueError, match=r"can reach a = 1\.5, where the coefficient of ce is -0\.5"):
        NamedCoefficients(Objective("(1 - a)*ce + a*gem"), {"a": {"cosine": [0, 1.5]}})
    NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": {"linear": [-0.2, 0.2]}})  # entropies have two sides


@pytest.mark.parametrize(
    ("text", "says", "marked"),
    [
        ("ce - 0.1*entrpy", "did you mean 'entropy'", "entrpy"),
        ("alpha", "unknown term 'alpha'", "alpha"),
        ("ce + alpha", "unknown term 'alpha'", "alpha"),
        ("ce / alpha", "divide by a number", "alpha"),
        ("alpha*alpha*ce", "alpha is multiplied with itself", "alpha*alpha"),
        ("alpha*(ce - alpha*entropy)", "multiplied with itself", "alpha*(ce - alpha*entropy)"),
    ],
)
def test_mistakes_with_names_are_marked(text: str, says: str, marked: str) -> None:
    with pytest.raises(ValueError, match="Terms:") as caught:
        Objective(text)
    message, line, marks, _ = str(caught.value).splitlines()
    assert says in message
    start = marks.index("^")
    assert line[start : start + marks.count("^")] == marked


def test_a_misspelt_term_is_thought_of() -> None:
    with pytest.raises(ValueError, match="is it the term entropy"):
        NamedCoefficients(Objective("ce - entopy*varentropy"))
