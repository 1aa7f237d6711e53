"""Meaning representations such as `name[Alimentum], area[city centre]`: which of their slots a text puts into words."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

import regex

from entrotune.measures.slot_patterns import FAMILY, PATTERNS, REFUSED
from entrotune.measures.words import require_texts, words

SLOT_METRICS = ("slots", "all_slots")
_SLOT = regex.compile(r"\s*([A-Za-z][\w ]*?)\s*\[([^\[\]]*)\]\s*")


def slots_of(texts: Sequence[str], meaning: str) -> dict[str, float]:
    """Slot coverage of the samples of one meaning, keyed by names in `METRICS`.

    `slots` is the mean share of a text's slots that it realises, `all_slots` the share of texts that realise all.

    Raises:
        ValueError: `meaning` is no meaning representation, or `texts` is no sequence of texts.
    """
    require_texts(texts)
    if not texts:
        return dict.fromkeys(SLOT_METRICS, math.nan)
    found = [slots_realised(text, meaning) for text in texts]
    shares = [sum(one.values()) / len(one) for one in found]
    return {"slots": math.fsum(shares) / len(shares), "all_slots": sum(all(one.values()) for one in found) / len(found)}


def slots_realised(text: str, meaning: str) -> dict[str, bool]:
    """Which slots of a meaning a text puts into words.

    A value is realised by its patterns or else its own words in their order, or by its slot's placeholder (`X-name`,
    `name_x`, `<name>`, `[name]`, `__name__`), as texts have it whose values are filled in later. `familyFriendly[no]`
    needs a refusal ("not family friendly", "adults only"), `familyFriendly[yes]` families or children and no refusal.

    Raises:
        ValueError: `meaning` is no meaning representation.
    """
    slots = parse_meaning(meaning)
    if slots is None:
        raise ValueError(f"{meaning!r:.80} is no meaning representation; expected slot[value], slot[value]")
    plain = " ".join(unicodedata.normalize("NFKC", text).replace("’", "'").split())
    return {slot: _is_realised(plain, slot, value) for slot, value in slots.items()}


def parse_meaning(text: str) -> Mapping[str, str] | None:
    """The slots and values of `slot[value], slot[value]`; None for a text that is anything else.

    A slot named twice keeps its values apart, as `slot` and `slot 2`.
    """
    slots: dict[str, str] = {}
    position = 0
    while (match := _SLOT.match(text, position)) is not None:
        name, number = match[1], 2
        while name in slots:
            name, number = f"{match[1]} {number}", number + 1
        slots[name] = match[2].strip()
        position = match.end()
        if position == len(text):
            return slots if all(slots.values()) else None
        if text[position] != ",":
            return None
        position += 1
    return None


def _is_realised(text: str, slot: str, value: str) -> bool:
    kind, wanted = _key(regex.sub(r" \d+$", "", slot)), _key(value)
    if _placeholder(kind).search(text):
        return True
    if kind == "familyfriendly" and wanted in ("yes", "no"):
        refused = REFUSED.search(text) is not None
        return refused if wanted == "no" else FAMILY.search(text) is not None and not refused
    pattern = PATTERNS.get(kind, {}).get(wanted)
    if pattern is not None:  # it knows the value's own words too, and where they are said of something else
        return _compiled(pattern).search(text) is not None
    own, found = words(value), words(text)
    return bool(own) and any(found[at : at + len(own)] == own for at in range(len(found) - len(own) + 1))


def _key(text: str) -> str:
    return "".join(text.lower().split())


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> regex.Pattern:
    return regex.compile(rf"(?<!\w)(?:{pattern})(?!\w)", regex.IGNORECASE)


@lru_cache(maxsize=512)
def _placeholder(kind: str) -> regex.Pattern:
    name = r"[ _-]?".join(map(regex.escape, kind))
    return regex.compile(
        rf"(?<!\w)(?:x[-_]{name}|{name}_x|__{name}__)(?!\w)|<{name}>|\[{name}\]|\{{{name}\}}", regex.IGNORECASE
    )
