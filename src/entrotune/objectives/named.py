"""The named coefficients of an objective, each with its number, schedule or controller."""

import itertools
from collections.abc import Mapping
from typing import Any

from entrotune.errors import UserError
from entrotune.objectives.controllers import EntropyController, read_controller
from entrotune.objectives.objective import Objective, check_names
from entrotune.objectives.runaway import entropy_wins
from entrotune.objectives.schedules import Constant, Course, Moment, is_number, read_schedule
from entrotune.objectives.term import number

FORMS = "a number, {linear: [0, 0.2]}, {cosine: [0.2, 0]}, {step: {0: 0.1, 100: 0.02}} or {target_entropy: 1.2}"


class NamedCoefficients:
    """An objective with what says how its named coefficients go over a run.

    Args:
        objective: with names, `ce - alpha*entropy`; an objective without names stays what it is.
        given: for each name a number, a schedule or a controller, as in a recipe.

    Raises:
        UserError: a name without a value or a value without a name, a value that cannot be read, or one that would make
            a loss negative at some point of the run.
    """

    def __init__(self, objective: Objective, given: Mapping[str, Any] | None = None) -> None:
        given = given or {}
        if not isinstance(given, Mapping):
            raise UserError(f"coefficients are a mapping of names, such as {{'alpha': 0.1}}, not {given!r}")
        check_names(objective, given)
        self.objective = objective
        self.courses: dict[str, Course] = {name: _read(objective, name, value) for name, value in given.items()}
        self._last: tuple[dict[str, float], Objective] | None = None
        self.extremes()  # refuses what would be negative somewhere

    @property
    def controllers(self) -> dict[str, EntropyController]:
        """The coefficients that follow the entropy."""
        return {name: course for name, course in self.courses.items() if isinstance(course, EntropyController)}

    def values(self, moment: Moment) -> dict[str, float]:
        """The value of each name for the next step."""
        return {name: course.at(moment) for name, course in self.courses.items()}

    def at(self, moment: Moment) -> Objective:
        """The objective of the next step."""
        values = self.values(moment)
        if self._last is None or self._last[0] != values:
            self._last = values, self.objective.with_coefficients(values)
        return self._last[1]

    def extremes(self) -> list[Objective]:
        """The objective with every coefficient at its least and greatest value.

        A coefficient of a term is a sum of products in which each name stands once, so no value between these gives one
        outside of theirs.
        """
        corners = itertools.product(*(dict.fromkeys(course.bounds()) for course in self.courses.values()))
        return [self._corner(dict(zip(self.courses, values, strict=True))) for values in corners]

    def _corner(self, values: dict[str, float]) -> Objective:
        try:
            return self.objective.with_coefficients(values)
        except UserError as error:
            reached = " and ".join(f"{name} = {number(float(value))}" for name, value in values.items())
            raise UserError(f"the coefficients can reach {reached}, where {error}") from None

    def check_vocabulary(self, vocabulary: int) -> list[str]:
        """Where entropy would win with these coefficients, in words.

        Raises:
            UserError: a target is above what the entropy of so many tokens can be.
        """
        for controller in self.controllers.values():
            controller.check_vocabulary(vocabulary)
        found = (entropy_wins(objective, vocabulary) for objective in self.extremes())
        return [told for told in found if told is not None][:1]

    def observe(self, entropy: float, step: int) -> list[str]:
        """Let controllers take the mean entropy of a step, counted from 1; return what the user should hear."""
        told = []
        for name, controller in self.controllers.items():
            controller.observe(entropy, step)
            bound = controller.out_of_reach()
            if bound is not None:
                told.append(
                    f"{name} has stood at its bound {bound:g} and the mean entropy is {entropy:.4g} nats, not "
                    f"{controller.target:g}: the target is out of reach; change it, or {name}'s min or max"
                )
        return told

    def state(self) -> dict[str, dict[str, float]]:
        """What `restore` needs to go on exactly."""
        return {name: controller.state() for name, controller in self.controllers.items()}

    def restore(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Go on from `state`."""
        for name, controller in self.controllers.items():
            controller.restore(state[name])


def _read(objective: Objective, name: str, given: Any) -> Course:
    if is_number(given):
        return Constant(float(given))
    kinds = [
        key for key in ("linear", "cosine", "step", "target_entropy") if isinstance(given, Mapping) and key in given
    ]
    if len(kinds) != 1:
        raise UserError(f"coefficients.{name} is {given!r}; expected {FORMS}")
    if kinds == ["target_entropy"]:
        return read_controller(name, given, raises=_raises_entropy(objective, name))
    return read_schedule(name, given)


def _raises_entropy(objective: Objective, name: str) -> bool:
    """Whether a greater coefficient raises the entropy: where it is subtracted."""
    parts = [part for part in objective.open_parts if name in part[1]]
    signs = {factor < 0 for factor, _, _ in parts}
    if len(signs) != 1 or not all(term.signed and names == (name,) for _, names, term in parts):
        raise UserError(
            f"coefficients.{name} has a target_entropy, so {name} must multiply an entropy and nothing else, as in "
            f"ce - {name}*entropy; the objective is {objective}"
        )
    return signs == {True}
