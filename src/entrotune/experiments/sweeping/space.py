"""What a sweep varies: dimensions with values or a range, and the recipe of a point in them."""

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entrotune.errors import UserError
from entrotune.training.config import TrainConfig

if TYPE_CHECKING:
    from entrotune.objectives import Objective

FORMS = (
    "a list such as [0, 0.03, 0.1], or a range such as {low: 1e-5, high: 1e-3, log: true} or "
    "{low: 1, high: 4, int: true}"
)
FIELDS = frozenset(field.name for field in dataclasses.fields(TrainConfig))
# What a sweep sets itself, or what would change the rows that every trial is measured on.
OF_THE_ROWS = (
    "data",
    "validation",
    "split_seed",
    "format",
    "columns",
    "limit",
    "max_answers",
    "max_length",
    "on_bad_row",
)
NOT_VARIED = {
    **dict.fromkeys(("seed", "out", "resume", "overwrite", "coefficients"), "the sweep sets it for each trial"),
    **dict.fromkeys(
        (*OF_THE_ROWS, "model", "system", "supervise"),
        "trials could not be compared, for it changes what they are measured on or start from",
    ),
    **dict.fromkeys(("report_to", "log_every", "keep_checkpoints", "when_entropy_wins"), "it does not change a model"),
}
_BRACES = re.compile(r"\{(\w+)\}")
# So many points are tried out before anything is read.
_CHECKED = 256


@dataclass(frozen=True)
class Dimension:
    """One thing that is varied.

    Attributes:
        name: of a field of the recipe, of a coefficient of the objective, or in braces in it.
        values: to choose among; empty for a range.
        low, high: of a range.
        log: whether a range is searched by factors.
        whole: whether a range is of whole numbers.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def is_numeric(self) -> bool:
        """Whether all its values are numbers."""
        return not self.values or all(_is_number(value) for value in self.values)

    @property
    def samples(self) -> tuple[Any, ...]:
        """All values, or the ends of a range."""
        return self.values or (self.low, self.high)

    def to_dict(self) -> dict[str, Any]:
        """The dimension as it stands in a record."""
        if self.values:
            return {"name": self.name, "values": list(self.values), "numeric": self.is_numeric, "log": False}
        ends = {"low": self.low, "high": self.high}
        return {"name": self.name, **ends, "log": self.log, "int": self.whole, "numeric": True}


def read_space(search: Any) -> tuple[Dimension, ...]:
    """The dimensions of a recipe's `search`.

    Raises:
        UserError: nothing to search, or a dimension that cannot be read.
    """
    if not isinstance(search, Mapping) or not search:
        raise UserError(f"search is {search!r}, a sweep of nothing; name what to vary, each with {FORMS}")
    return tuple(_dimension(str(name), given) for name, given in search.items())


def _dimension(name: str, given: Any) -> Dimension:
    if isinstance(given, Mapping):
        return _range(name, given)
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise UserError(f"search.{name} is {given!r}; expected {FORMS}")
    if not given:
        raise UserError(f"search.{name} is an empty list, a sweep of nothing; expected {FORMS}")
    as_text = [json.dumps(value, sort_keys=True) for value in given]
    if len(set(as_text)) != len(as_text):
        raise UserError(f"search.{name} has a value twice: {list(given)}")
    return Dimension(name, tuple(given))


def _range(name: str, given: Mapping[str, Any]) -> Dimension:
    unknown = given.keys() - {"low", "high", "log", "int"}
    low, high = given.get("low"), given.get("high")
    if unknown or not (_is_number(low) and _is_number(high)):
        raise UserError(f"search.{name} is {dict(given)!r}; expected {FORMS}")
    assert low is not None
    assert high is not None
    log, whole = given.get("log", False), given.get("int", False)
    for key, value in (("log", log), ("int", whole)):
        if not isinstance(value, bool):
            raise UserError(f"search.{name}: {key} is {value!r}; expected true or false")
    if not low < high:
        raise UserError(f"search.{name}: low is {low} and high {high}; high must be above low")
    if log and low <= 0:
        raise UserError(f"search.{name}: a range by factors (log) must begin above 0, not at {low}")
    if whole and not (float(low).is_integer() and float(high).is_integer()):
        raise UserError(f"search.{name}: a range of whole numbers (int) has the ends {low} and {high}")
    return Dimension(name, low=low, high=high, log=log, whole=whole)


def grid(space: Sequence[Dimension]) -> Iterator[dict[str, Any]]:
    """Every combination of values, the last dimension fastest; of ranges only the ends."""
    for values in itertools.product(*(dimension.samples for dimension in space)):
        yield dict(zip((dimension.name for dimension in space), values, strict=True))


def check_space(space: Sequence[Dimension], train: TrainConfig, objective: str) -> None:
    """See that every name is one that can be varied and that recipes can be made of the values.

    Raises:
        UserError: the first that is wrong.
    """
    for dimension in space:
        if reason := NOT_VARIED.get(dimension.name):
            raise UserError(f"search.{dimension.name}: this field cannot be varied; {reason}")
        if dimension.name.startswith("lora_") and train.method == "full" and all(d.name != "method" for d in space):
            raise UserError(f"search.{dimension.name}: method is full, which trains no adapter; set method to lora")
    for point in itertools.islice(grid(space), _CHECKED):
        try:
            recipe_at(point, train, objective)
        except UserError as error:
            raise UserError(f"search: at {label(point)}: {error}") from None


def recipe_at(point: Mapping[str, Any], train: TrainConfig, objective: str) -> TrainConfig:
    """The recipe of a point: the base recipe with values for fields, coefficients and what stands in braces.

    Args:
        point: name → value.
        train: the base recipe.
        objective: what to minimise, with names and braces; that of the point goes before it.

    Raises:
        UserError: a name that is nowhere to be found, or a recipe that cannot be.
    """
    text = str(point.get("objective", objective))
    inside = set(_BRACES.findall(text))
    for name in inside - point.keys():
        raise UserError(f"the objective {text} has {{{name}}}, but search has no {name}")
    parsed = _parsed(_BRACES.sub(lambda found: _written(point[found[1]]), text))
    fields: dict[str, Any] = {}
    coefficients = {name: value for name, value in (train.coefficients or {}).items() if name in parsed.names}
    for name, value in point.items():
        if name in parsed.names:
            coefficients[name] = value
        elif name not in inside:
            fields[name] = value
    unknown = fields.keys() - FIELDS
    for name in sorted(unknown):
        raise UserError(f"{name} is neither in the objective {text} nor a field of the recipe")
    parsed, coefficients = _without_numbers(parsed, coefficients)
    fields["objective"] = str(parsed)
    reference = train.reference if parsed.needs.reference else None
    return train.replace(**{"reference": reference, **fields, "coefficients": coefficients or None})


def _parsed(text: str) -> "Objective":
    from entrotune.objectives import Objective  # brings torch, for which --help must not wait

    try:
        return Objective(text)
    except (ValueError, TypeError) as error:
        raise UserError(f"the objective cannot be read: {error}") from error


def _without_numbers(objective: "Objective", coefficients: dict[str, Any]) -> tuple["Objective", dict[str, Any]]:
    """Where all coefficients are plain numbers, the objective that they make; terms with a weight of 0 are left out."""
    if not objective.names or not all(_is_number(value) for value in coefficients.values()):
        return objective, coefficients
    weights = objective.with_coefficients(coefficients).coefficient_values()
    return type(objective)({term: weight for term, weight in weights.items() if weight}), {}


def _written(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)


def label(point: Mapping[str, Any]) -> str:
    """A point in words: `alpha = 0.03, learning_rate = 0.001`."""
    return ", ".join(f"{name} = {_shown(value)}" for name, value in point.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value) if isinstance(value, (Mapping, list)) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
