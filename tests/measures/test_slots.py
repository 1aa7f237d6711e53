"""Slots of a meaning representation: read, and found in texts as people write them."""

import csv
import math
from pathlib import Path

import pytest

from entrotune.measures import parse_meaning, slots_of, slots_realised

ALIMENTUM = "name[Alimentum], area[city centre], familyFriendly[no], near[Burger King]"


def test_a_meaning_is_read() -> None:
    assert parse_meaning(ALIMENTUM) == {
        "name": "Alimentum",
        "area": "city centre",
        "familyFriendly": "no",
        "near": "Burger King",
    }
    assert parse_meaning(" customer rating[1 out of 5] ") == {"customer rating": "1 out of 5"}
    assert parse_meaning("food[Thai], food[Lao]") == {"food": "Thai", "food 2": "Lao"}


@pytest.mark.parametrize(
    "text", ["", "hello", "name[]", "name[a] and b", "say: name[a]", "name[a],", "name[a[b]]", "[a]"]
)
def test_other_texts_are_no_meaning(text: str) -> None:
    assert parse_meaning(text) is None
    with pytest.raises(ValueError, match="is no meaning representation"):
        slots_realised("a", text)


@pytest.mark.parametrize(
    ("slot", "text", "realised"),
    [
        ("name[The Cambridge Blue]", "At the cambridge blue, you eat.", True),
        ("name[The Cambridge Blue]", "The Blue of Cambridge", False),
        ("near[Café Sicilia]", "near to Café Sicilia.", True),
        ("name[Cotto]", "X-name is nice", True),
        ("near[The Mill]", "It lies by <near>.", True),
        ("name[Cotto]", "near_x is nice", False),
        ("familyFriendly[yes]", "a kid-friendly place", True),
        ("familyFriendly[yes]", "children are welcome", True),
        ("familyFriendly[yes]", "it is not family friendly", False),
        ("familyFriendly[yes]", "a quiet place", False),
        ("familyFriendly[no]", "it isn't suitable for children", True),
        ("familyFriendly[no]", "an adults only venue", True),
        ("familyFriendly[no]", "families are welcome", False),
        ("area[city centre]", "in the center of the city", True),
        ("area[city centre]", "by the riverside", False),
        ("priceRange[£20-25]", "you pay £20 to £25", True),
        ("priceRange[£20-25]", "moderately priced", True),
        ("priceRange[cheap]", "an expensive place", False),
        ("priceRange[high]", "its price range is high", True),
        ("priceRange[high]", "a high customer rating", False),
        ("customer rating[5 out of 5]", "rated five stars", True),
        ("customer rating[5 out of 5]", "rated 1 out of 5", False),
        ("customer rating[high]", "a high price", False),
        ("customer rating[high]", "highly rated", True),
        ("customer rating[3 out of 5]", "average ratings", True),
        ("eatType[coffee shop]", "a café", True),
        ("food[Fast food]", "fast-food", True),
        ("food[Ethiopian]", "Ethiopian dishes", True),
        ("food[Ethiopian]", "Eritrean dishes", False),
    ],
)
def test_how_people_word_a_value(slot: str, text: str, *, realised: bool) -> None:
    assert list(slots_realised(text, slot).values()) == [realised]


def test_shares_over_samples() -> None:
    half = "Alimentum is near Burger King"
    whole = "In the city centre near Burger King there is Alimentum, which is not for kids."
    assert slots_of([half, whole], ALIMENTUM) == {"slots": pytest.approx(0.75), "all_slots": 0.5}
    assert slots_of(["nothing said"], ALIMENTUM) == {"slots": 0.0, "all_slots": 0.0}
    assert all(math.isnan(value) for value in slots_of([], ALIMENTUM).values())


@pytest.mark.shared_data
def test_in_peoples_own_texts(shared_data: Path) -> None:
    """Most slots are found in the texts people wrote for them, and few in texts that say another value."""
    with (shared_data / "e2e_nlg" / "devset.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::10]
    found = [slots_of([row["ref"]], row["mr"])["slots"] for row in rows]
    assert sum(found) / len(found) > 0.9
    turned = {"city centre": "riverside", "riverside": "city centre"}
    wrong = [
        slots_realised(row["ref"], f"area[{other}]")["area"]
        for row in rows
        for said, other in turned.items()
        if f"area[{said}]" in row["mr"]
    ]
    assert len(wrong) > 300
    assert sum(wrong) / len(wrong) < 0.05
