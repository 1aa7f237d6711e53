"""An order's ids and a data set's: joined by id, or a sentence that says which are missing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrotune.data.curriculum.order_file import Order
from entrotune.errors import UserError


@dataclass(frozen=True)
class Joined:
    """An order, told in indices of examples.

    Attributes:
        indices: [M] the example used at each step.
        removed: reason → number of steps of the order whose row is not trained on (held out, rejected).
        unused: reason → number of examples that the order leaves out (filtered, never drawn).
    """

    indices: NDArray[np.int64]
    removed: dict[str, int]
    unused: dict[str, int]

    def counts(self) -> dict[str, Any]:
        """The numbers, for a record."""
        uses = np.bincount(self.indices)
        return {
            "examples_used": int((uses > 0).sum()),
            "steps_used": len(self.indices),
            "most_uses_of_an_example": int(uses.max()),
            "steps_removed": self.removed,
            "examples_left_out": self.unused,
        }


def join_order(order: Order, ids: Sequence[str], *, absent: Mapping[str, Collection[str]] | None = None) -> Joined:
    """Find each step's example by its id.

    An id of the order names an example, or a row with several answers (examples `row#0`, `row#1`, …), all of which
    follow in their order.

    Args:
        order: what to follow.
        ids: of the examples to train on, all different.
        absent: reason → ids that the order may name though they are not trained on; their steps are taken out and
            counted.

    Raises:
        UserError: an id that the data lacks, an example that the order neither uses nor lists as left out, no step
            that is left.
    """
    places = _places(ids, order.path)
    reasons = {name: reason for reason, names in (absent or {}).items() for name in names}
    indices: list[int] = []
    removed: dict[str, int] = {}
    unknown: dict[str, None] = {}
    for id in order.ids:
        if id in places:
            indices.extend(places[id])
        elif (reason := _reason(id, reasons)) is not None:
            removed[reason] = removed.get(reason, 0) + 1
        else:
            unknown[id] = None
    if unknown:
        raise UserError(
            f"{order.path} names {len(unknown):,} of {len(set(order.ids)):,} rows that the training data lacks "
            f"({_examples(unknown)}): it is the order of other data, or the data changed; score and order this data"
        )
    unused = _unused(order, ids, places, set(indices))
    if not indices:
        raise UserError(f"no step of {order.path} is left: every row it names is held out or rejected")
    return Joined(np.asarray(indices, dtype=np.int64), removed, unused)


def _places(ids: Sequence[str], path: str) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    rows: dict[str, list[int]] = {}
    for index, id in enumerate(ids):
        if id in places:
            raise UserError(
                f"the id {id!r} occurs twice in the training data; {path} joins by id, so give each row one"
            )
        places[id] = [index]
        row, mark, answer = id.rpartition("#")
        if mark and answer.isdecimal():
            rows.setdefault(row, []).append(index)
    return rows | places


def _reason(id: str, reasons: Mapping[str, str]) -> str | None:
    """Why an id is not trained on; an answer `row#0` goes with its row."""
    return reasons.get(id, reasons.get(id.rpartition("#")[0]))


def _unused(order: Order, ids: Sequence[str], places: Mapping[str, Sequence[int]], used: set[int]) -> dict[str, int]:
    """Count the examples the order lists as left out; refuse those it does not know."""
    unused: dict[str, int] = {}
    for reason, names in order.left_out.items():
        found = {index for name in names for index in places.get(name, ())} - used
        if found:
            unused[reason] = len(found)
            used = used | found
    unknown = [id for index, id in enumerate(ids) if index not in used]
    if unknown:
        raise UserError(
            f"{order.path} does not know {len(unknown):,} of {len(ids):,} training examples ({_examples(unknown)}): "
            "it is the order of other data, or the data changed; score and order this data"
        )
    return unused


def _examples(ids: Collection[str]) -> str:
    shown = [repr(id) for id, _ in zip(ids, range(3), strict=False)]
    return ", ".join(shown) + (", …" if len(ids) > 3 else "")
