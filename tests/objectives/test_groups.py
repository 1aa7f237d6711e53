"""Coefficients by a column of the data: reading them, the groups they make of rows, and their values."""

import pytest
import torch

from entrotune.errors import UserError
from entrotune.objectives import GroupedObjective, Moment, NamedCoefficients, Objective

EDM = Objective("ce - alpha*entropy")
BY_TASK = {"by": "task", "qa": 0.02, "story": {"linear": [0, 0.2]}, "default": 0.1}


def test_each_branch_has_its_value() -> None:
    named = NamedCoefficients(EDM, {"alpha": BY_TASK})
    assert named.groups is not None
    assert named.groups.labels == ["qa", "story", "default"]
    assert named.values(Moment(10, 11)) == {"alpha.qa": 0.02, "alpha.story": 0.2, "alpha.default": 0.1}
    found = named.at(Moment(5, 11))
    assert isinstance(found, GroupedObjective)
    assert [values["alpha"] for values in found.values] == pytest.approx([0.02, 0.1, 0.1])
    table = torch.tensor([[2, 0], [1, 1]])
    assert found.coefficients(table)["alpha"].tolist() == [[0.1, 0.02], [0.1, 0.1]]
    assert found.coefficient_values() == {"ce": 1.0}  # what all groups share


@pytest.mark.parametrize(
    ("row", "group"),
    [({"task": "qa"}, 0), ({"task": "story"}, 1), ({"task": "poem"}, 2), ({}, 2), ({"task": None}, 2)],
)
def test_the_group_of_a_row(row: dict, group: int) -> None:
    named = NamedCoefficients(EDM, {"alpha": BY_TASK})
    assert named.groups is not None
    assert named.groups.number(row, "data.jsonl:1") == group


def test_values_that_are_no_text() -> None:
    named = NamedCoefficients(EDM, {"alpha": {"by": "hard", True: 0.1, "false": 0.2, 3: 0.3}})
    assert named.groups is not None
    numbers = [named.groups.number({"hard": value}, "a:1") for value in (True, False, 3, 3.0, "3")]
    assert numbers == [0, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            {"task": "poem"},
            r"data.jsonl:7: task is 'poem', and coefficients.alpha has values for qa, story; give it one",
        ),
        ({}, r"data.jsonl:7: the row has no task, by which coefficients.alpha goes; give it one of qa, story, or"),
        ({"task": ["qa"]}, r"data.jsonl:7: task is a list, but coefficients go by it"),
    ],
)
def test_a_row_without_a_value_is_told(row: dict, says: str) -> None:
    named = NamedCoefficients(EDM, {"alpha": {"by": "task", "qa": 0.02, "story": 0.2}})
    assert named.groups is not None
    with pytest.raises(UserError, match=says):
        named.groups.number(row, "data.jsonl:7")


def test_several_coefficients_and_columns() -> None:
    """`story` has a value for beta alone, and `web` is told apart by no coefficient but gamma."""
    objective = Objective("ce - alpha*entropy + beta*z_loss + gamma*mse")
    given = {
        "alpha": {"by": "task", "qa": 1e-1, "default": 2e-1},
        "beta": {"by": "task", "story": 1, "qa": 2, "default": 3},
        "gamma": {"by": "source", "web": 4, "book": 5},
    }
    named = NamedCoefficients(objective, given)
    assert named.groups is not None
    assert named.groups.columns == ("task", "source")
    found = named.at(Moment())
    assert isinstance(found, GroupedObjective)
    of = dict(zip(named.groups.labels, found.values, strict=True))
    assert len(of) == 6
    assert of["task=story, source=web"] == {"alpha": 0.2, "beta": 1, "gamma": 4}
    assert of["task=qa, source=book"] == {"alpha": 0.1, "beta": 2, "gamma": 5}
    assert of["task=default, source=book"] == {"alpha": 0.2, "beta": 3, "gamma": 5}
    with pytest.raises(UserError, match=r"a:1: source is 'tv', and coefficients.gamma has values for web, book"):
        named.groups.number({"task": "qa", "source": "tv"}, "a:1")


def test_a_controller_of_a_branch_goes_by_its_own_rows() -> None:
    given = {"alpha": {"by": "task", "qa": {"target_entropy": 2.0}, "story": {"target_entropy": 2.0}, "default": 0}}
    named = NamedCoefficients(EDM, {"alpha": given["alpha"]})
    # qa: 3 nats over 10 tokens, story: no token in the first step, 1 nat over 5 in the second.
    named.observe(3.0, 1, [(30.0, 10.0), (0.0, 0.0), (99.0, 1.0)])
    assert named.values(Moment()) == {"alpha.qa": 0.0, "alpha.story": 0.0, "alpha.default": 0.0}
    assert named.controllers["alpha.story"].integral == 0.0
    named.observe(1.0, 2, [(0.0, 0.0), (5.0, 5.0), (0.0, 0.0)])
    assert named.values(Moment())["alpha.story"] == pytest.approx(0.06)  # (0.01 + 0.05) · 1
    again = NamedCoefficients(EDM, {"alpha": given["alpha"]})
    again.restore(named.state())
    assert again.values(Moment()) == named.values(Moment())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"by": "", "qa": 1}, "coefficients.alpha: by is ''; expected the name of a column"),
        ({"by": "task"}, "expected a value for each of the column's"),
        ({"by": "task", 1: 0.1, "1": 0.2}, "expected a value for each of the column's"),
        ({"by": "task", "qa": "much"}, r"coefficients.alpha.qa is 'much'; expected a number"),
        ({"by": "task", "qa": {"by": "source", "web": 1}}, r"coefficients.alpha.qa is .*; expected a number"),
        ({"by": "task", "qa": {"linear": [1]}}, r"coefficients.alpha.qa: linear is \[1\]"),
    ],
)
def test_branches_that_cannot_be_read(given: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        NamedCoefficients(EDM, {"alpha": given})


def test_a_branch_may_not_make_a_loss_negative() -> None:
    with pytest.raises(UserError, match=r"the coefficients can reach beta = -1, where .*z_loss is -1"):
        NamedCoefficients(Objective("ce + beta*z_loss"), {"beta": {"by": "task", "qa": 1, "story": -1}})


def test_entropy_wins_in_one_group() -> None:
    named = NamedCoefficients(EDM, {"alpha": {"by": "task", "qa": 0.1, "story": 1.5}})
    assert "entropy wins in ce - 1.5*entropy" in named.check_vocabulary(300)[0]
