"""Likelihood under a causal model: windows of many texts in batches, statistics without all the logits.

B: windows of a batch, T: positions, D: width, M: tokens that are scored.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from entrotune.errors import UserError
from entrotune.kernels import row_statistics
from entrotune.models import backbone, evaluation_mode, find_head
from entrotune.scoring.batches import batches
from entrotune.scoring.perplexity.encoding import Encoded
from entrotune.scoring.perplexity.measured import Floats
from entrotune.scoring.perplexity.windows import Window, sliding_windows

Advance = Callable[[int], None]


def planned_windows(encoded: Sequence[Encoded], *, max_length: int, stride: int) -> list[tuple[int, Window]]:
    """The windows of texts that score something, each with the number of its text."""
    return [
        (number, window)
        for number, one in enumerate(encoded)
        for window in sliding_windows(
            int(one.targets[-1]) + 1, first=int(one.targets[0]), max_length=max_length, stride=stride
        )
        if len(targets_in(one, window))
    ]


def targets_in(one: Encoded, window: Window) -> NDArray[np.int64]:
    """Which of a text's targets a window scores, as positions among them."""
    low, high = np.searchsorted(one.targets, [window.first, window.stop + 1])
    return np.arange(low, high)


def causal_nll(
    model: Any,
    encoded: Sequence[Encoded],
    windows: Sequence[tuple[int, Window]],
    *,
    padding: int,
    batch_tokens: int,
    advance: Advance,
) -> list[Floats]:
    """−log p of each target, nats, for each text.

    Args:
        padding: the token that fills up windows on the right, where nothing attends to it.
        batch_tokens: that go through the model at once, padding included.
        advance: told how many targets were scored.
    """
    found: list[Floats] = [np.full(len(one.targets), np.nan) for one in encoded]
    scored = [np.zeros(len(one.targets), dtype=np.int64) for one in encoded]
    with evaluation_mode(model):
        for batch in batches([window.stop - window.start for _, window in windows], batch_tokens):
            chosen = [windows[at] for at in batch]
            which = [targets_in(encoded[number], window) for number, window in chosen]
            nll = _batch(model, encoded, chosen, which, padding)
            for (number, _), own, values in zip(chosen, which, nll, strict=True):
                found[number][own] = values
                scored[number][own] += 1
            advance(sum(map(len, which)))
    assert all((times == 1).all() for times in scored), "every token is scored exactly once"
    return found


def _batch(
    model: Any,
    encoded: Sequence[Encoded],
    windows: Sequence[tuple[int, Window]],
    which: Sequence[NDArray[np.int64]],
    padding: int,
) -> list[Floats]:
    head = find_head(model)
    device = head.weight.device
    longest = max(window.stop - window.start for _, window in windows)
    ids = np.full((len(windows), longest), padding, dtype=np.int64)
    places, targets = [], []
    for row, ((number, window), own) in enumerate(zip(windows, which, strict=True)):
        one = encoded[number]
        ids[row, : window.stop - window.start] = one.ids[window.start : window.stop]
        # Position t predicts token t + 1.
        places.append(row * longest + one.targets[own] - 1 - window.start)
        targets.append(one.ids[one.targets[own]])
    try:
        hidden_BTD = backbone(model)(input_ids=torch.from_numpy(ids).to(device), use_cache=False).last_hidden_state
        hidden_MD = hidden_BTD.flatten(0, 1).index_select(0, torch.from_numpy(np.concatenate(places)).to(device))
        statistics = row_statistics(
            hidden_MD.to(head.weight.dtype),
            head.weight,
            torch.from_numpy(np.concatenate(targets)).to(device),
            bias=head.bias,
            logit_scale=head.logit_scale,
            softcap=head.softcap,
            renyi2=False,
        )
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"a batch of {ids.size:,} tokens does not fit the memory of {device}; give a smaller batch_tokens, or a "
            f"max_length below {longest:,}"
        ) from error
    nll = statistics.nll.double().cpu().numpy()
    return np.split(nll, np.cumsum([len(own) for own in which])[:-1])
