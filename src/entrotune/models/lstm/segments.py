"""Runs of tokens that a recurrent layer reads from one state: padding left out, texts in one row kept apart.

B: rows, T: positions, N: tokens that are no padding, S: segments, L: tokens of the longest, E: width in, H: width out,
K: layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

State = tuple[Tensor, Tensor]
"""What the layers keep: hidden and cell, [K, B, H] each."""


@dataclass(frozen=True)
class Segments:
    """Where the tokens stand.

    Attributes:
        rows: [N] the row of each token.
        columns: [N] its position there.
        segment: [N] its segment.
        within: [N] its place in the segment.
        lengths: [S] tokens of each segment, at least 1.
        owner: [S] the row of each segment.
        goes_on: [S] whether it goes on from the row's state.
        last: [S] whether it is the last of its row, whose state the row has afterwards.
    """

    rows: Tensor
    columns: Tensor
    segment: Tensor
    within: Tensor
    lengths: Tensor
    owner: Tensor
    goes_on: Tensor
    last: Tensor


def find_segments(mask_BT: Tensor, positions_BT: Tensor | None) -> Segments:
    """A segment begins at the first token of a row, and where a position is 0."""
    rows_N, columns_N = mask_BT.nonzero(as_tuple=True)
    first_N = torch.ones_like(rows_N, dtype=torch.bool)
    first_N[1:] = rows_N[1:] != rows_N[:-1]
    anew_N = torch.zeros_like(first_N) if positions_BT is None else positions_BT[rows_N, columns_N] == 0
    starts_N = first_N | anew_N
    start_S = starts_N.nonzero().squeeze(1)
    segment_N = starts_N.cumsum(0) - 1
    owner_S = rows_N[start_S]
    last_S = torch.ones_like(owner_S, dtype=torch.bool)
    last_S[:-1] = owner_S[1:] != owner_S[:-1]
    return Segments(
        rows=rows_N,
        columns=columns_N,
        segment=segment_N,
        within=torch.arange(len(rows_N), device=rows_N.device) - start_S[segment_N],
        lengths=segment_N.bincount(minlength=len(start_S)),
        owner=owner_S,
        goes_on=~anew_N[start_S],
        last=last_S,
    )


def run_segments(
    layers: nn.LSTM, values_BTE: Tensor, found: Segments, state: State, *, keeps: bool
) -> tuple[Tensor, State]:
    """Outputs [B, T, H], 0 at padding, and the state after each row's last token; a row without any keeps its own.

    Args:
        keeps: whether that state is wanted; without, it is what was given. To stop each segment at its end costs about
            three times as much as to read on over padding.
    """
    hidden, cell = (part[:, found.owner] * found.goes_on[None, :, None] for part in state)
    size, longest = len(found.lengths), int(found.lengths.max())
    values_SLE = values_BTE.new_zeros(size, longest, values_BTE.shape[-1])
    values_SLE[found.segment, found.within] = values_BTE[found.rows, found.columns]
    if keeps:
        packed = pack_padded_sequence(values_SLE, found.lengths.cpu(), batch_first=True, enforce_sorted=False)
        read, after = layers(packed, (hidden, cell))
        hidden_SLH, _ = pad_packed_sequence(read, batch_first=True)
        state = _replaced(state, after, found)
    else:
        hidden_SLH, _ = layers(values_SLE, (hidden, cell))
    hidden_BTH = hidden_SLH.new_zeros(*values_BTE.shape[:2], hidden_SLH.shape[-1])
    hidden_BTH[found.rows, found.columns] = hidden_SLH[found.segment, found.within]
    return hidden_BTH, state


def _replaced(state: State, after: State, found: Segments) -> State:
    """The state of each row, that of its last segment where it has one."""
    owners = found.owner[found.last]
    hidden, cell = (
        kept.index_copy(1, owners, new[:, found.last].to(kept.dtype)) for kept, new in zip(state, after, strict=True)
    )
    return hidden, cell
