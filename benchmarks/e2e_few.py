"""A few meanings of E2E (CC BY-SA 4.0) with one text each to train on, and others to measure with several texts each.

    python benchmarks/e2e_few.py devset.csv train.csv held-out.csv --meanings 64 --held_out 48 --texts 2

The rows as they are in the source; which meanings, and which of their texts, is chosen by `--seed`.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterable
from pathlib import Path


def chosen(texts: dict[str, list[str]], meanings: Iterable[str], most: int, chance: random.Random) -> list[list[str]]:
    """At most so many texts of each meaning, as rows of a meaning and a text."""
    return [[one, text] for one in meanings for text in chance.sample(texts[one], min(most, len(texts[one])))]


def main() -> None:
    """Write the rows of both parts and say how many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("source", "train", "held_out_to"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--meanings", type=int, default=64, help="to train on, with one text each")
    parser.add_argument("--held_out", type=int, default=48, help="meanings to measure with")
    parser.add_argument("--texts", type=int, default=2, help="at most so many of each of these")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    texts: dict[str, list[str]] = {}
    with given.source.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            texts.setdefault(row["mr"], []).append(row["ref"])
    if given.meanings + given.held_out > len(texts):
        parser.error(f"{given.source} has {len(texts)} meanings, fewer than --meanings and --held_out together")
    meanings = chance.sample(sorted(texts), given.meanings + given.held_out)
    for path, part, most in (
        (given.train, meanings[: given.meanings], 1),
        (given.held_out_to, meanings[given.meanings :], given.texts),
    ):
        rows = chosen(texts, part, most, chance)
        with path.open("w", encoding="utf-8", newline="") as written:
            csv.writer(written).writerows([["mr", "ref"], *rows])
        print(f"{len(rows)} texts of {len(part)} meanings written to {path}")


if __name__ == "__main__":
    main()
