"""Slots and coverage as columns of an evaluation: for the prompts that have them, and only these."""

import numpy as np
import pytest

from entrotune.data import Prompt
from entrotune.evaluation import sample_columns
from entrotune.measures import coverage_of, slots_of
from evaluation.drawn import all_drawn

MEANING = "name[Cotto], area[riverside]"
PEOPLE = ("Cotto is by the river.", "Down at the riverside: Cotto.")
TEXTS = {"a": ["Cotto is near the river.", "A pub."], "b": ["hello", "you"], "c": ["hi", "hey there"]}


def test_columns() -> None:
    asked = {"a": (MEANING, PEOPLE), "b": ("say hello", ("hello",)), "c": ("greet me", ("hi you all", "hey there"))}
    prompts = [
        Prompt(
            id=name,
            messages=({"role": "user", "content": content},),
            text=f"<s>user:{content}",
            input_ids=(5,),
            references=references,
            checker=None,
            has_references=True,
        )
        for name, (content, references) in asked.items()
    ]
    columns = sample_columns(prompts, all_drawn(TEXTS))
    slots, coverage = slots_of(TEXTS["a"], MEANING), coverage_of(TEXTS["c"], asked["c"][1])
    assert slots == {"slots": 0.5, "all_slots": 0.5}
    for name in slots:
        assert columns[name].values.tolist() == pytest.approx([slots[name], np.nan, np.nan], nan_ok=True)
    for name in coverage:
        # One reference shows no variety.
        expected = [coverage_of(TEXTS["a"], PEOPLE)[name], np.nan, coverage[name]]
        assert columns[name].values.tolist() == pytest.approx(expected, nan_ok=True)
    assert coverage["reference_coverage"] == 0.5
