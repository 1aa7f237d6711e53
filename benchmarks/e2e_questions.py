"""Questions about restaurants: people's descriptions from E2E (CC BY-SA 4.0) as passages, their facts as answers.

    python benchmarks/e2e_questions.py e2e.csv questions.jsonl held-out.jsonl

Rows as in SQuAD: `id`, `context`, `question`, `answers.text`. The questions are five fixed sentences; a fact is asked
for only where its words stand in the passage. One question a passage, chosen by `--seed`, which also orders the rows. A
quarter of the meanings, with all their passages, is held out.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

QUESTIONS = {
    "name": "What is the place called?",
    "eatType": "What kind of place is it?",
    "food": "What kind of food is served?",
    "area": "In which part of the city is it?",
    "near": "What is it near to?",
}


def facts(meaning: str) -> dict[str, str]:
    """The slots of a meaning such as ``name[Cocum], food[Italian]``."""
    return {name.strip(): value for name, value in re.findall(r"(\w[\w ]*)\[([^\]]*)\]", meaning)}


def questions(rows: Iterable[dict[str, str]], chance: random.Random) -> Iterator[dict[str, object]]:
    """One row a passage that says at least one of the facts that can be asked for."""
    for row in rows:
        known = {slot: value for slot, value in facts(row["mr"]).items() if slot in QUESTIONS}
        said = {slot: found for slot, value in known.items() if (found := _as_said(value, row["ref"]))}
        if said:
            slot = chance.choice(sorted(said))
            yield {"context": row["ref"], "question": QUESTIONS[slot], "answers": {"text": [said[slot]]}}


def _as_said(value: str, passage: str) -> str | None:
    found = re.search(rf"\b{re.escape(value)}\b", passage, re.IGNORECASE)
    return found.group() if found else None


def main() -> None:
    """Write the rows of both parts and say how many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("source", "out", "held_out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with given.source.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    meanings = sorted({row["mr"] for row in rows})
    held_out = set(chance.sample(meanings, len(meanings) // 4))
    for path, kept in ((given.out, False), (given.held_out, True)):
        made = list(questions((row for row in rows if (row["mr"] in held_out) == kept), chance))
        chance.shuffle(made)
        lines_of = [json.dumps({"id": str(number), **row}, ensure_ascii=False) for number, row in enumerate(made)]
        path.write_text("\n".join(lines_of) + "\n", encoding="utf-8")
        print(f"{len(lines_of):,} questions written to {path}")


if __name__ == "__main__":
    main()
