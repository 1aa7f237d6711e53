"""Each token is scored once, with the longest context that windows of a stride allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.errors import UserError
from entrotune.scoring.perplexity.windows import sliding_windows, window_lengths


@given(st.data())
def test_every_token_is_scored_once_with_the_context_that_is_promised(data: st.DataObject) -> None:
    tokens = data.draw(st.integers(2, 200))
    first = data.draw(st.integers(1, tokens - 1))
    max_length = data.draw(st.integers(1, 64))
    stride = data.draw(st.integers(1, max_length))
    scored = []
    for window in sliding_windows(tokens, first=first, max_length=max_length, stride=stride):
        assert window.stop - window.start <= max_length
        for token in range(window.first, window.stop + 1):
            scored.append(token)
            # Tokens that are read before it.
            assert token - window.start >= min(token, max_length - stride + 1)
    assert scored == list(range(first, tokens))


def test_by_hand() -> None:
    windows = sliding_windows(10, first=1, max_length=4, stride=2)
    assert [(w.start, w.stop, w.first) for w in windows] == [(0, 4, 1), (2, 6, 5), (4, 8, 7), (5, 9, 9)]


def test_a_stride_of_one_gives_every_token_all_the_context_there_is() -> None:
    windows = list(sliding_windows(30, first=1, max_length=8, stride=1))
    contexts = {token: token - w.start for w in windows for token in range(w.first, w.stop + 1)}
    assert contexts == {token: min(token, 8) for token in range(1, 30)}


def test_defaults() -> None:
    assert window_lengths(None, None, context=8192, model="m") == (2048, 512)
    assert window_lengths(None, None, context=256, model="m") == (256, 256)
    assert window_lengths(None, None, context=None, model="m") == (2048, 512)
    assert window_lengths(8192, 8192, context=8192, model="m") == (8192, 8192)


@pytest.mark.parametrize(
    ("max_length", "stride", "message"),
    [
        (64, 65, "stride is 65, more than the 64 tokens of a window"),
        (None, 513, "stride is 513, more than the 512 tokens"),
        (513, None, "max_length is 513, but model 'm' reaches to 512 tokens"),
        (0, None, "max_length is 0; expected at least 1"),
        (None, 0, "stride is 0; expected at least 1"),
    ],
)
def test_refused(max_length: int | None, stride: int | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        window_lengths(max_length, stride, context=512, model="m")
