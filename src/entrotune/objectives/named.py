"""The named coefficients of an objective, each with its number, schedule or controller."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from entrotune.errors import UserError
from entrotune.objectives.balance import Balance, Balanced, read_balance
from entrotune.objectives.branches import BY, Branches, read_branches
from entrotune.objectives.controllers import EntropyController, read_controller
from entrotune.objectives.groups import GroupedObjective, Groups
from entrotune.objectives.objective import Objective, check_names
from entrotune.objectives.runaway import entropy_wins
from entrotune.objectives.schedules import Constant, Course, Moment, Schedule, is_number, read_schedule
from entrotune.objectives.term import number

FORMS = "a number, {linear: [0, 0.2]}, {cosine: [0.2, 0]}, {step: {0: 0.1, 100: 0.02}} or {target_entropy: 1.2}"
WHOLE_FORMS = f"{FORMS}, or these by a column, {{by: task, qa: 0.02, default: 0.1}}, or balanced"
BALANCE_STATE = "balance"


class NamedCoefficients:
    """An objective with what says how its named coefficients go over a run.

    Args:
        objective: with names, `ce - alpha*entropy`; an objective without names stays what it is.
        given: for each name a number, a schedule, a controller, these by a column of the data, or `balanced`, as in a
            recipe.

    Attributes:
        courses: of the coefficients that all rows share.
        branches: of those that go by a column.
        groups: that these make of rows; None where there are none.
        balance: of the balanced names; None where there are none.

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
        self.balance: Balance | None = read_balance(objective, given)
        self.courses: dict[str, Course] = {}
        self.branches: dict[str, Branches] = {}
        for name, value in given.items():
            if self.balance is not None and name in self.balance.names:
                self.courses[name] = Balanced(self.balance, self.balance.names.index(name))
            elif isinstance(value, Mapping) and BY in value:
                self.branches[name] = _branches(objective, name, value)
            else:
                self.courses[name] = _read(objective, name, value, name)
        self.groups = Groups(list(self.branches.values())) if self.branches else None
        self._last: tuple[dict[str, float], Objective | GroupedObjective] | None = None
        self.extremes()  # refuses what would be negative somewhere

    def _all_courses(self) -> dict[str, Course]:
        """Every course by its name; that of a branch is `alpha.qa`."""
        inside = {f"{name}.{key}": course for name, b in self.branches.items() for key, course in b.courses.items()}
        return self.courses | inside

    @property
    def controllers(self) -> dict[str, EntropyController]:
        """The coefficients that follow the entropy."""
        return {name: course for name, course in self._all_courses().items() if isinstance(course, EntropyController)}

    def values(self, moment: Moment) -> dict[str, float]:
        """The value of each name for the next step; those of the branches of a name are `alpha.qa`, `alpha.story`."""
        return {name: course.at(moment) for name, course in self._all_courses().items()}

    def at(self, moment: Moment) -> Objective | GroupedObjective:
        """The objective of the next step."""
        values = self.values(moment)
        if self._last is None or self._last[0] != values:
            self._last = values, self._with(values)
        return self._last[1]

    def _with(self, values: Mapping[str, float]) -> Objective | GroupedObjective:
        return self.objective.with_coefficients(values) if self.groups is None else self._grouped(values)

    def grouped(self, moment: Moment) -> GroupedObjective:
        """The objective of the next step, with its names and their values; in one group where rows share them."""
        return self._grouped(self.values(moment))

    def _grouped(self, values: Mapping[str, float]) -> GroupedObjective:
        groups = range(len(self.groups)) if self.groups is not None else ()
        return GroupedObjective(self.objective, tuple(self._in_group(values, group) for group in groups) or (values,))

    def _in_group(self, values: Mapping[str, float], group: int) -> dict[str, float]:
        """The value of each name of the objective in a group."""
        assert self.groups is not None
        own = {name: values[f"{name}.{self.groups.branch(group, b)}"] for name, b in self.branches.items()}
        return {name: values[name] for name in self.courses} | own

    def extremes(self) -> list[Objective]:
        """The objective with every coefficient at its least and greatest value, in each group of rows.

        A coefficient of a term is a sum of products in which each name stands once, so no value between these gives one
        outside of theirs.
        """
        return [self._corner(values) for values in self._corners(self.courses)]

    def _corners(self, courses: Mapping[str, Course]) -> Iterable[dict[str, float]]:
        for group in range(len(self.groups) if self.groups else 1):
            own = {name: b.courses[self.groups.branch(group, b)] for name, b in self.branches.items() if self.groups}
            here = {**courses, **own}
            for values in itertools.product(*(dict.fromkeys(course.bounds()) for course in here.values())):
                yield dict(zip(here, values, strict=True))

    def _corner(self, values: dict[str, float]) -> Objective:
        try:
            return self.objective.with_coefficients(values)
        except UserError as error:
            reached = " and ".join(f"{name} = {number(float(value))}" for name, value in values.items())
            raise UserError(f"the coefficients can reach {reached}, where {error}") from None

    def check_vocabulary(self, vocabulary: int) -> list[str]:
        """Where entropy would win with these coefficients, in words.

        Balanced ones count as equal: a term gets all the weight only where that makes no other one worse.

        Raises:
            UserError: a target is above what the entropy of so many tokens can be.
        """
        for name, controller in self.controllers.items():
            controller.check_vocabulary(vocabulary, name)
        balanced = self.balance.names if self.balance is not None else ()
        courses = self.courses | {name: Constant(1 / len(balanced)) for name in balanced}
        found = (entropy_wins(self._corner(values), vocabulary) for values in self._corners(courses))
        return [told for told in found if told is not None][:1]

    def observe(self, entropy: float, step: int, groups: Sequence[tuple[float, float]] = ()) -> list[str]:
        """Let controllers take the mean entropy of a step, counted from 1; return what the user should hear.

        Args:
            entropy: of all supervised tokens, nats.
            step: counted from 1.
            groups: of each group of rows the sum of the entropies and the number of supervised tokens. A controller of
                a branch goes by the tokens of its own rows; a step without any changes nothing.
        """
        told = []
        for name, controller in self.controllers.items():
            seen = entropy if name in self.courses else self._of_branch(name, groups)
            if seen is None:
                continue
            controller.observe(seen, step)
            found = controller.out_of_reach()
            if found is not None:
                bound, mean = found
                told.append(
                    f"{name} has stood at its bound {bound:g} and the mean entropy is {mean:.4g} nats, not "
                    f"{controller.target:g}: the target is out of reach; change it, or {name}'s min or max"
                )
        return told

    def unreached(self, steps: int, epochs: float) -> list[str]:
        """Schedules and controllers of which a run of this length sees nothing or only a part, in words."""
        told = []
        for name, course in self._all_courses().items():
            if isinstance(course, EntropyController) and course.warmup >= steps:
                told.append(
                    f"{name} is held at its start for a warm-up of {course.warmup} steps, but the run has {steps}"
                )
            if isinstance(course, Schedule):
                count = steps if course.per == "step" else epochs
                late = [start for start, _ in course.levels if course.shape == "step" and start >= count]
                if course.warmup >= max(count, 1):
                    told.append(f"{name} has a warm-up of {course.warmup:g} {course.per}s, but the run has {count:g}")
                elif late:
                    told.append(f"{name} changes at {course.per} {late[0]}, but the run has {count:g}")
        return told

    def _of_branch(self, name: str, groups: Sequence[tuple[float, float]]) -> float | None:
        """The mean entropy of the rows of `alpha.qa`; None where there are none."""
        assert self.groups is not None
        coefficient, branch = name.split(".", 1)
        b = self.branches[coefficient]
        own = [seen for group, seen in enumerate(groups) if self.groups.branch(group, b) == branch]
        tokens = sum(count for _, count in own)
        return sum(entropy for entropy, _ in own) / tokens if tokens else None

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on exactly."""
        balance = {} if self.balance is None else {BALANCE_STATE: self.balance.state()}
        return {name: controller.state() for name, controller in self.controllers.items()} | balance

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for name, controller in self.controllers.items():
            controller.restore(state[name])
        if self.balance is not None:
            self.balance.restore(state[BALANCE_STATE])


def _branches(objective: Objective, name: str, given: Mapping[Any, Any]) -> Branches:
    column, branches = read_branches(name, given)
    return Branches(name, column, {key: _read(objective, name, v, f"{name}.{key}") for key, v in branches.items()})


def _read(objective: Objective, name: str, given: Any, shown: str) -> Course:
    """A number, a schedule or a controller; `shown` is what messages call it."""
    if is_number(given):
        return Constant(float(given))
    kinds = [
        key for key in ("linear", "cosine", "step", "target_entropy") if isinstance(given, Mapping) and key in given
    ]
    if len(kinds) != 1:
        raise UserError(f"coefficients.{shown} is {given!r}; expected {WHOLE_FORMS if shown == name else FORMS}")
    if kinds == ["target_entropy"]:
        return read_controller(shown, given, raises=_raises_entropy(objective, name))
    return read_schedule(shown, given)


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
