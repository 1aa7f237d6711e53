"""What a comparison measures outside of the tuned task."""

from dataclasses import dataclass, fields
from typing import Any

from entrotune.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Rows outside of the tuned task, on which every model of a comparison is measured.

    Args:
        data: other texts to score: any source of rows.
        choices: multiple-choice rows with ctx, endings and label.
        limit: the first so many of each.
        columns: of `data`: our column name to the file's.
    """

    data: str | None = None
    choices: str | None = None
    limit: int = 200
    columns: dict[str, str | list[str]] | None = None

    @classmethod
    def of(cls, given: Any) -> "Retention | None":
        """The rows a recipe names: as fields by name, as it stands, or none.

        Raises:
            UserError: it is something else, has a field that is not known, or asks for nothing.
        """
        if given is None or isinstance(given, cls):
            return _checked(given)
        known = [field.name for field in fields(cls)]
        if not isinstance(given, dict) or not given.keys() <= set(known):
            raise UserError(f"retention is {given!r}; expected fields of {', '.join(known)}")
        return _checked(cls(**given))


def _checked(wanted: Retention | None) -> Retention | None:
    """Refuse what cannot be measured; not when it is made, where the parser would bury the reason."""
    if wanted is not None and not (wanted.data or wanted.choices):
        raise UserError("retention needs data (other texts), choices (multiple-choice rows), or both")
    if wanted is not None and wanted.limit < 1:
        raise UserError(f"retention.limit must be at least 1, not {wanted.limit}")
    return wanted
