"""A few rows in the shape of each data set that the recipes of evidence name, under the names they use."""

import csv
import json
from pathlib import Path
from typing import Any

PLACES = ("Cotto", "Aromi", "The Mill", "Clowns", "Ranch", "Cocum")


def write_evidence(folder: Path) -> None:
    """Write every file that a recipe of evidence reads."""
    _write_descriptions(folder / "e2e.csv")
    problems = [
        {
            "ID": f"p-{n}",
            "Body": f"Ann has {n} pens.",
            "Question": "How many?",
            "Equation": f"( {n} + 0 )",
            "Answer": n / 1,
        }
        for n in range(2, 14)
    ]
    (folder / "svamp.json").write_text(json.dumps(problems), encoding="utf-8")
    pairs = [f"I see {n}.\tJe vois {n}.\nI see {n}.\tJe le vois : {n}.\n" for n in range(8)]
    (folder / "pairs.tsv").write_text("".join(pairs), encoding="utf-8")
    _write_lines(
        folder / "chats.jsonl",
        [
            {
                "messages": [{"role": "user", "content": f"Tell me of {place}."}],
                "answers": [{"text": f"{place} is old.", "rank": 0}, {"text": f"I like {place} a lot.", "rank": 1}],
            }
            for place in PLACES
        ],
    )
    _write_lines(
        folder / "papers.jsonl",
        [
            {"source": [f"We study {place}.", "It works."], "target": [f"A study of {place}.", f"{place} works."]}
            for place in PLACES
        ],
    )
    _write_lines(
        folder / "questions.jsonl",
        [
            {"context": f"{place} is red.", "question": "What is red?", "answers": {"text": [place, f"the {place}"]}}
            for place in PLACES
        ],
    )
    _write_lines(
        folder / "hellaswag.jsonl",
        [
            {"ctx": f"{place} opens", "endings": ["at nine.", "a fish."], "label": n % 2}
            for n, place in enumerate(PLACES)
        ],
    )


def _write_descriptions(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mr", "ref"])
        for place in PLACES:
            meaning = f"name[{place}], area[riverside], familyFriendly[no]"
            writer.writerow([meaning, f"{place} is by the river and not for children."])
            writer.writerow([meaning, f"An adults only place at the riverside: {place}."])


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
