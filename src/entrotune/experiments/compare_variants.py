"""The variants of a comparison: what each changes of the recipe they share, or what it is merged from."""

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrotune.errors import UserError
from entrotune.training.config import DEFAULT_LEARNING_RATE, TrainConfig

BASELINE = "ce"
UNTOUCHED = "base"
# The start, the rows and the folder: where these differ, numbers cannot be compared, or would be written elsewhere.
SHARED = frozenset(
    {
        "data",
        "model",
        "out",
        "seed",
        "resume",
        "overwrite",
        "validation",
        "split_seed",
        "format",
        "columns",
        "limit",
        "max_answers",
        "system",
        "supervise",
        "max_length",
        "on_bad_row",
    }
)
_OWN = frozenset(field.name for field in dataclasses.fields(TrainConfig)) - SHARED


@dataclass(frozen=True)
class Plan:
    """A variant before it is made.

    Attributes:
        name: of the variant; its objective as text where it has no other.
        objective: that it, or what it is merged from, is trained with.
        differs: what is told of it: fields of the recipe that are not those of `ce`, or `interpolate` and `from`.
        changes: of the shared recipe, for a run; empty where it is merged.
        interpolate: the share of the tuned weights where it is merged with the start; None where it is trained.
        source: the variant whose tuned models are merged.
    """

    name: str
    objective: str
    differs: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    interpolate: float | None = None
    source: str | None = None


def read_plans(
    train: TrainConfig,
    objectives: Sequence[str],
    variants: Mapping[str, Any],
    coefficients: Mapping[str, Any] | None,
) -> list[Plan]:
    """The variants in their order: `ce`, the objectives, then those with names.

    Args:
        train: the recipe they share.
        objectives: each a variant that changes nothing else.
        variants: name → `objective`, `coefficients` and other fields of a run's recipe, or `interpolate` and `from`.
        coefficients: for the names in objectives, beside those of `train`; a variant's own come first.

    Raises:
        UserError: a variant that cannot be read, that is another one again, or whose folder is another's.
    """
    shared = {**(train.coefficients or {}), **(coefficients or {})}
    trained = [_trained(text, {"objective": text}, train, shared) for text in dict.fromkeys([BASELINE, *objectives])]
    merged: dict[str, Mapping[str, Any]] = {}
    for name, given in variants.items():
        _check_entry(name, given, objectives)
        if "interpolate" in given or "from" in given:
            merged[name] = given
        else:
            trained.append(_named(name, given, train, shared))
    _check_different(trained, train)
    known = {plan.name: plan for plan in trained}
    made = known | {name: _merged(name, given, trained, train, shared) for name, given in merged.items()}
    order = [name for name in known if name not in variants] + list(variants)
    plans = [made[name] for name in order]
    _check_folders(plans)
    from entrotune.objectives import Objective  # brings torch, for which --help must not wait

    unused = set(coefficients or {}) - {name for plan in plans for name in Objective(plan.objective).names}
    if unused:
        raise UserError(f"coefficients names {sorted(unused)[0]!r}, which is in no objective of this comparison")
    if train.objective not in {plan.objective for plan in plans}:
        raise UserError(f"train.objective is {train.objective!r}, which is in no variant; name it in objectives")
    return plans


def slug(name: str) -> str:
    """A folder name for a variant: `ce - 0.1*entropy` → `ce-0.1-entropy`; letters of any script stay."""
    return re.sub(r"[^\w.]+|_+", "-", name.lower().replace("+", " plus ")).strip("-.")


def _check_entry(name: str, given: Any, objectives: Sequence[str]) -> None:
    if name in (BASELINE, UNTOUCHED, *objectives):
        raise UserError(f"variants.{name}: {name} is compared as it is; give the variant another name")
    if not isinstance(given, Mapping):
        raise UserError(
            f"variants.{name} is {given!r}; expected fields such as {{objective: gem(beta=0.7), weight_decay: 0.1}}, "
            "or {interpolate: 0.5, from: ce}"
        )
    known = [*sorted(_OWN), "interpolate", "from"]
    for key in given:
        if key in SHARED:
            raise UserError(f"variants.{name}.{key}: all variants share it; set train.{key}, or make a comparison each")
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise UserError(f"variants.{name}.{key} is no field of a run{f'; did you mean {near[0]}?' if near else ''}")


def _named(name: str, given: Mapping[str, Any], train: TrainConfig, shared: Mapping[str, Any]) -> Plan:
    """A trained variant that has a name."""
    if given.get("method", train.method) != train.method and "learning_rate" not in given:
        usual = DEFAULT_LEARNING_RATE.get(given["method"])
        hint = f", such as {usual:g}" if usual else ""
        raise UserError(f"variants.{name} has another method than the others; give it a learning_rate{hint}")
    try:
        return _trained(name, given, train, shared)
    except (ValueError, TypeError) as error:
        raise UserError(f"variants.{name}: {error}") from error


def _trained(name: str, given: Mapping[str, Any], train: TrainConfig, shared: Mapping[str, Any]) -> Plan:
    from entrotune.objectives import Objective

    objective = Objective(given.get("objective", BASELINE))
    text, needs_reference = str(objective), objective.needs.reference
    if given.get("reference") is not None and not needs_reference:
        raise UserError(f"reference is given, but the objective {text} compares with none; leave it out")
    own = {key: value for key, value in given.items() if key not in ("objective", "coefficients")}
    used = {key: shared[key] for key in objective.names if key in shared} | dict(given.get("coefficients") or {})
    changes = ({} if needs_reference else {"reference": None}) | own | {"objective": text, "coefficients": used or None}
    _check_switches(changes)
    train.replace(**changes)  # refused here, not when its turn comes
    differs = {} if text in (name, BASELINE) else {"objective": text}
    differs |= {key: value for key, value in own.items() if value != getattr(train, key)}
    return Plan(name, text, differs | ({"coefficients": used} if used else {}), changes)


def _check_switches(changes: Mapping[str, Any]) -> None:
    """A recipe is checked by the parser, but what stands in a variant is not."""
    for item in dataclasses.fields(TrainConfig):
        if item.type is bool and not isinstance(changes.get(item.name, False), bool):
            raise UserError(f"{item.name} must be true or false, not {changes[item.name]!r}")


def _merged(
    name: str, given: Mapping[str, Any], trained: Sequence[Plan], train: TrainConfig, shared: Mapping[str, Any]
) -> Plan:
    """A variant that is merged: of the variant it names, or of the one that is trained as it says."""
    share = given.get("interpolate")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise UserError(
            f"variants.{name}.interpolate must be a number between 0 (the start) and 1 (the tuned model), not {share!r}"
        )
    left = {key: value for key, value in given.items() if key not in ("interpolate", "from")}
    if "from" in given and left:
        raise UserError(f"variants.{name} has from and {next(iter(left))}; a merged model is not trained, leave it out")
    names = [plan.name for plan in trained]
    if "from" in given:
        if given["from"] not in names:
            raise UserError(f"variants.{name}.from is {given['from']!r}; the trained variants are {', '.join(names)}")
        source = next(plan for plan in trained if plan.name == given["from"])
    else:
        wanted = _named(name, left, train, shared)
        same = [plan for plan in trained if _recipe(plan, train) == _recipe(wanted, train)]
        if not same:
            raise UserError(f"variants.{name}: no variant is trained so; add one, and name it with from")
        source = same[0]
    differs = {"interpolate": float(share), "from": source.name}
    return Plan(name, source.objective, differs, interpolate=float(share), source=source.name)


def _recipe(plan: Plan, train: TrainConfig) -> TrainConfig:
    return train.replace(**plan.changes)


def _check_different(plans: Sequence[Plan], train: TrainConfig) -> None:
    seen: list[tuple[TrainConfig, str]] = []
    for plan in plans:
        recipe = _recipe(plan, train)
        for other, name in seen:
            if recipe == other:
                raise UserError(
                    f"variants.{plan.name} would be trained exactly as {name}; change something, or drop it"
                )
        seen.append((recipe, plan.name))


def _check_folders(plans: Sequence[Plan]) -> None:
    taken = {UNTOUCHED: "the untouched model"}
    for plan in plans:
        folder = slug(plan.name)
        if not folder:
            raise UserError(f"a variant is called {plan.name!r}; a name needs a letter or a digit")
        if folder in taken:
            raise UserError(f"{plan.name!r} and {taken[folder]!r} would share the folder {folder}; rename one of them")
        taken[folder] = plan.name
