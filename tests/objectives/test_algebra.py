"""Objectives as text, mappings and Python expressions, and what a wrong one is told."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entrotune.objectives import TERMS, Objective, ObjectiveError, ce, entropy, gem, label_smoothing, mse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ce", "ce"),
        (" ce  -  0.1 * entropy ", "ce - 0.1*entropy"),
        ("ce\n  - 0.1*entropy", "ce - 0.1*entropy"),
        ("0.5*(ce - entropy/10)", "0.5*ce - 0.05*entropy"),
        ("entropy*-1 + 2*3*ce", "-entropy + 6*ce"),
        ("ce + ce", "2*ce"),
        ("ce - 0.2*ce", "0.8*ce"),
        ("gem(0.5, logsigmoid)", "gem(beta=0.5, h=logsigmoid)"),
        ("gem", "gem(beta=0.7)"),
        ("gem(h='linear')", "gem(beta=0.7)"),
        ("mse + 1e-7*entropy", "mse + 1e-07*entropy"),
        ("ce + 0.05*kl", "ce + 0.05*kl(ref)"),
        ("kl(ref, reverse=True)", "kl(ref, reverse=true)"),
        ("jsd(0.3, ref)", "jsd(ref, weight=0.3)"),
        ("alpha_divergence(ref, a=0.3)", "alpha_divergence(ref, a=0.3)"),
        ("alpha_divergence(0.3)", "alpha_divergence(a=0.3)"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert str(Objective(text)) == expected


def test_python_and_mapping_equal_text() -> None:
    expected = Objective("ce - 0.1*entropy")
    assert Objective(ce() - 0.1 * entropy()) == expected
    assert Objective({"ce": 1, "entropy": -0.1}) == expected
    assert Objective(expected) == expected
    assert Objective((2 * ce() - entropy() / 5) / 2) == expected
    assert Objective(-(entropy() - ce()) + 0.75 * entropy()) == Objective("ce - 0.25*entropy")
    assert Objective(gem(beta=0.5) + mse()) == Objective("gem(0.5) + mse")
    assert Objective(ce()) == Objective("ce")
    assert expected.coefficient_values() == {"ce": 1.0, "entropy": -0.1}


@pytest.mark.parametrize(
    ("text", "says", "marked"),
    [
        ("ce - 0.1*entrpy", "did you mean 'entropy'", "entrpy"),
        ("ce + gem(bta=0.7)", "no argument 'bta'", "bta=0.7"),
        ("ce + gem(beta=0)", "beta must be above 0", "gem(beta=0)"),
        ("gem(beta=-1)", "beta must be above 0", "gem(beta=-1)"),
        ("kl(teacher)", "against must be ref", "kl(teacher)"),
        ("kl(ref, reverse=2)", "reverse must be true or false", "kl(ref, reverse=2)"),
        ("jsd(weight=1)", "below 1", "jsd(weight=1)"),
        ("alpha_divergence(a=0.5, temperature=2)", "one-hot data", "alpha_divergence(a=0.5, temperature=2)"),
        ("kl(ref, temperature=2) + gem(0.7)", "two temperatures", "gem(0.7)"),
        ("kl(temperature=2) + jsd(ref)", "two temperatures of the reference", "jsd(ref)"),
        ("jsd(0.3) + jsd(0.4)", "two mixture weights", "jsd(0.4)"),
        ("alpha_divergence(ref, 0.3) + alpha_divergence(ref, 0.4)", "two powers", "alpha_divergence(ref, 0.4)"),
        ("gem(h=cubic)", "linear or logsigmoid", "gem(h=cubic)"),
        ("gem(0.7, linear, 3)", "takes 2 argument", "3"),
        ("gem(0.7, beta=0.6)", "got beta twice", "beta=0.6"),
        ("gem(beta=[1])", "number or a word", "[1]"),
        ("label_smoothing(eps=1)", "below 1", "label_smoothing(eps=1)"),
        ("tsallis(q=1)", "this is `entropy`", "tsallis(q=1)"),
        ("gem(0.7) + tsallis(q=2)", "two temperatures", "tsallis(q=2)"),
        ("gem(0.7) + gem(0.8)", "two temperatures", "gem(0.8)"),
        ("ce + nan*entropy", "finite", "nan"),
        ("ce + 1e999*entropy", "finite", "1e999"),
        ("ce * entropy", "by a number only", "ce * entropy"),
        ("ce / 0", "division by zero", "ce / 0"),
        ("ce ** 2", "by * and /", "ce ** 2"),
        ("ce - 3", "number 3 stands", "3"),
        ("2", "number 2 stands", "2"),
        ("ce.grad", "expected a term", "ce.grad"),
        ("ce if entropy else mse", "expected a term", "ce if entropy else mse"),
        ("ce + αentropy", "unexpected character", "α"),
    ],
)
def test_mistakes_are_marked(text: str, says: str, marked: str) -> None:
    with pytest.raises(ValueError, match="Terms:") as caught:
        Objective(text)
    message, line, marks, known = str(caught.value).splitlines()
    assert says in message
    assert line[2:] == text
    start = marks.index("^")
    assert line[start : start + marks.count("^")] == marked
    assert all(name in known for name in TERMS)


@pytest.mark.parametrize("text", ["", "  ", "ce -", "(ce", "ce ce", "import os", "__import__('os')", "ce; ce"])
def test_what_is_not_a_sum_is_refused(text: str) -> None:
    with pytest.raises(ObjectiveError):
        Objective(text)


@pytest.mark.parametrize("text", ["-ce", "ce - 0.1*kl(ref)", "entropy - ce", "ce - 2*ce", "-0.5*gem", "ce - 1e-9*mse"])
def test_a_negative_coefficient_on_a_loss_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="negative one rewards"):
        Objective(text)


def test_nothing_to_minimise() -> None:
    with pytest.raises(ValueError, match="objective is zero"):
        Objective("ce - ce")
    with pytest.raises(ValueError, match="objective is zero"):
        Objective({})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "2", None, True])
def test_python_coefficients_must_be_numbers(bad: object) -> None:
    with pytest.raises(ValueError, match="finite number"):
        bad * ce()  # type: ignore[operator]
    with pytest.raises(ValueError, match="finite number"):
        Objective({"ce": bad})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="finite number"):
        label_smoothing(eps=bad)  # type: ignore[arg-type]


def test_adding_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        ce() + 3  # type: ignore[operator]
    with pytest.raises(ValueError, match="not list"):
        Objective(["ce"])  # type: ignore[arg-type]


def test_targets_are_a_token_id_for_each_row_of_logits() -> None:
    logits = torch.zeros(2, 3, 9)
    with pytest.raises(ValueError, match=r"logits \(2, 3, 9\) need token ids of the shape \(2, 3\).*int64 \(3,\)"):
        Objective("ce").from_logits(logits, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="need token ids"):
        Objective("ce").from_logits(logits, torch.zeros(2, 3))


coefficients = st.floats(1e-9, 1e9) | st.integers(1, 10**6).map(float)
terms = st.sampled_from(["ce", "mse", "z_loss", "gem(beta=0.5)", "tsallis(q=2)", "focal(gamma=3)", "power(k=0.25)"])


@given(st.lists(st.tuples(coefficients, terms), min_size=1, max_size=6), st.floats(-1e9, 1e9, allow_subnormal=False))
def test_text_of_any_objective_reads_back(parts: list[tuple[float, str]], alpha: float) -> None:
    objective = Objective(" + ".join(f"{c!r}*{t}" for c, t in parts) + f" - {abs(alpha)!r}*entropy")
    assert Objective(str(objective)) == objective


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        objective = Objective(text)
    except ValueError:
        return
    assert Objective(str(objective)) == objective
