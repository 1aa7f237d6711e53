"""What is said about rows without a tokenizer: same prompts, merging, splitting, fingerprints."""

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.data import Row, fingerprint, merge_answers, prompt_key, split_rows
from entrotune.errors import UserError


def pair(id: str, prompt: Any, *answers: str, **more: Any) -> Row:
    return Row(id=id, source="s", line=1, prompt=prompt, answers=answers, **more)


def chat(id: str, *contents: str) -> Row:
    turns = tuple({"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents))
    return Row(id=id, source="s", messages=turns)


def test_the_same_prompt_in_another_dress_has_the_same_key() -> None:
    same = [
        pair("a", "Hello  there"),
        pair("b", ({"role": "user", "content": "hello\nthere"},)),
        chat("c", "hello there", "x"),
    ]
    assert len({prompt_key(row) for row in same}) == 1
    assert len({prompt_key(row, ignore_case=False) for row in same}) == 3
    others = [
        pair("d", "hello, there"),
        chat("e", "hello there", "x", "y", "z"),
        Row(id="f", source="s", text="hello there"),
    ]
    assert len({prompt_key(row) for row in [*same, *others]}) == 4


def test_pretokenised_rows_share_a_prompt_by_their_unsupervised_tokens() -> None:
    rows = [
        Row(id="a", source="s", input_ids=(1, 2, 3), labels=(-100, -100, 3)),
        Row(id="b", source="s", input_ids=(1, 2, 4), labels=(-100, -100, 4)),
        Row(id="c", source="s", input_ids=(1, 2, 4), labels=(-100, 2, 4)),
        Row(id="d", source="s", input_ids=(5, 6), labels=(5, 6)),
        Row(id="e", source="s", input_ids=(5, 7), labels=(5, 7)),
    ]
    keys = [prompt_key(row) for row in rows]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_merging_keeps_every_answer_in_order() -> None:
    rows = [
        pair("a", "hi", "yo", references=("r", "s")),
        pair("b", "bye", "later"),
        pair("c", "hi", "hey", "yo", references=("s", "t")),
        chat("d", "Hi", "hm"),
    ]
    exact = merge_answers(rows)
    assert [(row.id, row.answers) for row in exact] == [("a", ("yo", "hey", "yo")), ("b", ("later",)), ("d", ("hm",))]
    assert exact[0].references == ("r", "s", "t")
    assert [row.answers for row in merge_answers(rows, ignore_case=True)] == [("yo", "hey", "yo", "hm"), ("later",)]
    with pytest.raises(UserError, match="row t has no prompt to merge by"):
        merge_answers([Row(id="t", source="s", text="once")])


def test_a_fingerprint_follows_what_rows_say_not_where_they_lie() -> None:
    rows = [pair("a", "hi", "yo"), pair("b", "bye", "later")]
    moved = [replace(row, id=f"x{row.id}", source="elsewhere", line=9, extra={"k": 1}) for row in rows]
    assert fingerprint(rows) == fingerprint(moved)
    assert len(fingerprint(rows)) == 64
    variants = [
        rows[::-1],
        rows[:1],
        [rows[0], replace(rows[1], answers=("l", "ater"))],
        [pair("a", "hi", "yo\n"), rows[1]],
    ]
    assert len({fingerprint(variant) for variant in [rows, *variants]}) == 5


PROMPTS = st.lists(st.sampled_from(["a", "A", " a ", "b", "c", "d", "e", "f"]), min_size=2, max_size=30)


@given(prompts=PROMPTS, share=st.floats(0.01, 0.99), seed=st.integers(0, 50))
def test_a_split_shares_no_prompt_and_loses_no_row(prompts: list[str], share: float, seed: int) -> None:
    rows = [pair(str(n), prompt, "x") for n, prompt in enumerate(prompts)]
    normal = [prompt.strip().casefold() for prompt in prompts]
    if len(set(normal)) < 2:
        with pytest.raises(UserError, match="none can be held out"):
            split_rows(rows, validation=share, seed=seed)
        return
    training, validation = split_rows(rows, validation=share, seed=seed)
    assert training
    assert validation
    sides = [{normal[int(row.id)] for row in side} for side in (training, validation)]
    assert not sides[0] & sides[1]
    assert sorted([*training, *validation], key=lambda row: int(row.id)) == rows
    assert [int(row.id) for row in training] == sorted(int(row.id) for row in training)


@given(count=st.integers(2, 60), seed=st.integers(0, 50), data=st.data())
def test_the_number_of_validation_rows_is_met_exactly_where_prompts_differ(
    count: int, seed: int, data: st.DataObject
) -> None:
    rows = [pair(str(n), f"prompt {n}", "x") for n in range(count)]
    wanted = data.draw(st.integers(1, count - 1))
    assert len(split_rows(rows, validation=wanted, seed=seed)[1]) == wanted
    assert len(split_rows(rows, validation=0.5, seed=seed)[1]) == max(1, round(count * 0.5))


def test_seeds_differ_and_adding_rows_moves_few() -> None:
    rows = [pair(str(n), f"prompt {n}", "x") for n in range(200)]
    chosen = [{row.id for row in split_rows(rows, validation=20, seed=seed)[1]} for seed in (0, 1)]
    assert len(chosen[0] & chosen[1]) < 15
    more = [*(pair(f"new {n}", f"new {n}", "x") for n in range(10)), *rows]
    assert len({row.id for row in split_rows(more, validation=20, seed=0)[1]} & chosen[0]) >= 15


def test_a_split_is_the_same_in_another_process() -> None:
    code = (
        "from entrotune.data import Row, split_rows\n"
        "rows = [Row(id=str(n), source='s', prompt=f'p {n}', answers=('x',)) for n in range(50)]\n"
        "print(','.join(row.id for row in split_rows(rows, validation=0.2, seed=3)[1]))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert len(told.pop().split(",")) == 10


@pytest.mark.parametrize("validation", [0, 3, -1, 0.0, 1.0, 1.5, float("nan"), True])
def test_a_split_that_leaves_a_side_empty_is_refused(validation: Any) -> None:
    with pytest.raises(UserError, match=r"validation is .*(expected|share)"):
        split_rows([pair(str(n), f"p {n}", "x") for n in range(3)], validation=validation, seed=0)


def test_a_group_larger_than_asked_for_is_taken_rather_than_none() -> None:
    rows = [pair(str(n), "ab"[n > 2], "x") for n in range(5)]
    training, validation = split_rows(rows, validation=1, seed=0)
    assert ([row.id for row in training], [row.id for row in validation]) == (["0", "1", "2"], ["3", "4"])
