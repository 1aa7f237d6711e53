"""Numbers of many rows at once equal those of each row by itself; batches hold every sequence once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.scoring.batches import batches
from entrotune.scoring.statistics import row_scores


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 10**6))
def test_rows_together_equal_rows_alone(lengths: list[int], seed: int) -> None:
    drawn = np.random.default_rng(seed)
    count = sum(lengths)
    tokens = {name: drawn.exponential(size=count).astype(np.float32) for name in ("entropy", "varentropy", "renyi2")}
    tokens["nll"] = drawn.exponential(size=count).astype(np.float32)
    tokens["is_top1"] = drawn.random(count) < 0.5
    follows = drawn.random(count) < 0.7
    tokens["nll"][~follows] = np.nan
    tokens["is_top1"] &= follows
    found = row_scores(tokens, np.array(lengths), follows, np.full(len(lengths), 10.0))
    start = 0
    for row, length in enumerate(lengths):
        part = slice(start, start + length)
        entropy, nll = tokens["entropy"][part].astype(float), tokens["nll"][part][follows[part]].astype(float)
        assert found["entropy_sum"][row] == pytest.approx(entropy.sum())
        assert found["entropy_last"][row] == entropy[-1]
        for percent in (5, 25, 50, 75, 95):
            assert found[f"entropy_q{percent:02d}"][row] == pytest.approx(np.quantile(entropy, percent / 100))
        if len(nll):
            assert found["nll_mean"][row] == pytest.approx(nll.mean())
            assert found["top1"][row] == pytest.approx(tokens["is_top1"][part][follows[part]].mean())
        else:
            assert np.isnan(found["nll_mean"][row])
            assert np.isnan(found["top1"][row])
        start += length


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_batches_hold_every_sequence_once_and_no_more_tokens_than_asked(lengths: list[int], tokens: int) -> None:
    found = list(batches(lengths, tokens))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= tokens
    order = [index for batch in found for index in batch]
    assert order == sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
