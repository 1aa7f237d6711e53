"""Trees of token sequences: every sequence can be read back, masses add up, parts are bounded."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.data.targets import build_trie, split_sequences
from entrotune.data.targets.trie import prefix_pairs

SEQUENCES = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple), min_size=1, max_size=20, unique=True
)


@given(SEQUENCES)
def test_every_sequence_is_a_path(sequences: list[tuple[int, ...]]) -> None:
    trie = build_trie(sequences, [1.0] * len(sequences))
    assert [tuple(trie.children[edge] for edge in path) for path in trie.paths] == sequences
    for path in trie.paths:
        assert trie.rows[path[0]] == 0
        for before, after in pairwise(path):
            row = trie.rows[after]
            assert trie.tokens[row - 1] == trie.children[before]
            assert trie.parents[row - 1] == trie.rows[before]
    assert list(trie.rows) == sorted(trie.rows)
    assert all(parent <= row for row, parent in enumerate(trie.parents))
    assert all(
        depth == 1 + (trie.depths[parent - 1] if parent else 0)
        for depth, parent in zip(trie.depths, trie.parents, strict=True)
    )


@given(SEQUENCES)
def test_nodes_are_the_distinct_beginnings(sequences: list[tuple[int, ...]]) -> None:
    trie = build_trie(sequences, [1.0] * len(sequences))
    beginnings = {one[:end] for one in sequences for end in range(1, len(one) + 1)}
    assert len(trie.children) == len(beginnings)
    assert trie.row_count == len({one[:-1] for one in beginnings})


@given(SEQUENCES, st.randoms(use_true_random=False))
def test_mass_of_an_edge_is_that_of_its_sequences(sequences: list[tuple[int, ...]], random: object) -> None:
    weights = [random.random() + 0.01 for _ in sequences]  # type: ignore[attr-defined]
    trie = build_trie(sequences, weights)
    for edge, mass in enumerate(trie.masses):
        through = [weight for weight, path in zip(weights, trie.paths, strict=True) if edge in path]
        assert mass == pytest.approx(math.fsum(through))


@given(SEQUENCES, st.integers(1, 8))
def test_parts_hold_every_sequence_once_and_are_bounded(sequences: list[tuple[int, ...]], most: int) -> None:
    parts = split_sequences(sequences, most)
    assert sorted(at for part in parts for at in part) == list(range(len(sequences)))
    for part in parts:
        rows = build_trie([sequences[at] for at in part], [1.0] * len(part)).row_count
        assert rows <= most or len(part) == 1


@given(SEQUENCES)
def test_prefix_pairs_are_all_pairs(sequences: list[tuple[int, ...]]) -> None:
    expected = {
        (a, b)
        for a, one in enumerate(sequences)
        for b, other in enumerate(sequences)
        if a != b and other[: len(one)] == one
    }
    assert set(prefix_pairs(sequences)) == expected
