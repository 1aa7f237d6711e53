"""A model over a tree of tokens: one pass in which each token sees the prompt and its own ancestors only.

P: tokens of the prompt, N: tokens of the tree, L = P + N, D: hidden size.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.kernels.soft_targets import SoftTargets, soft_target_loss
from entrotune.models.head import backbone, base_of, find_head, plain_logits
from entrotune.models.modes import evaluation_mode

# Largest difference of log-probabilities that the order of sums explains, in units of the precision's rounding (of
# float32 in a float64 model, whose norms and softmax may round to it); in half precision, where that would let anything
# pass, in nats.
_ROUNDINGS, _MOST = 4096, 0.5


class Tree(Protocol):
    """What is read after a prompt. Row 0 is the prompt's last token, rows 1, 2, … are the tree's tokens.

    `tokens`, `parents` (the row that each follows, always a lower one) and `depths` (tokens since the prompt, its own
    included) are of rows 1, 2, …; `rows`, `children` and `masses` are of edges: a row, a token that it should predict,
    and how much that counts.
    """

    @property
    def tokens(self) -> Sequence[int]: ...
    @property
    def parents(self) -> Sequence[int]: ...
    @property
    def depths(self) -> Sequence[int]: ...
    @property
    def rows(self) -> Sequence[int]: ...
    @property
    def children(self) -> Sequence[int]: ...
    @property
    def masses(self) -> Sequence[float]: ...


def tree_loss(model: Any, prompt: Sequence[int], tree: Tree, *, chunk_bytes: int | None = None) -> SoftTargets:
    """−Σ mass · log p(child | row, its ancestors, prompt) over the edges of a tree, nats, in one pass."""
    head = find_head(model)
    hidden = tree_hidden(model, prompt, tree)
    device = hidden.device
    return soft_target_loss(
        hidden,
        head.weight,
        torch.tensor(tree.rows, device=device),
        torch.tensor(tree.children, device=device),
        torch.tensor(tree.masses, device=device, dtype=torch.float64),
        bias=head.bias,
        logit_scale=head.logit_scale,
        softcap=head.softcap,
        chunk_bytes=chunk_bytes,
    )


def tree_hidden(model: Any, prompt: Sequence[int], tree: Tree) -> Tensor:
    """Hidden states [1 + N, D] of the rows. The prompt has at least one token."""
    first = len(prompt) - 1
    device = base_of(model).get_input_embeddings().weight.device
    ids = torch.tensor([[*prompt, *tree.tokens]], device=device)
    positions = torch.tensor([[*range(len(prompt)), *(first + depth for depth in tree.depths)]], device=device)
    mask = tree_mask(len(prompt), tree.parents, dtype=base_of(model).dtype, device=device)
    output = backbone(model)(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
    return output.last_hidden_state[0, first:]


def tree_mask(prompt: int, parents: Sequence[int], *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[1, 1, L, L], to be added to attention scores: 0 where a token may look, the lowest number elsewhere."""
    length = prompt + len(parents)
    seen = torch.ones(length, length, dtype=torch.bool).tril_()
    seen[prompt:, prompt:] = False
    for row, parent in enumerate(parents):
        at = prompt + row
        if parent:
            seen[at, prompt:] = seen[prompt + parent - 1, prompt:]
        seen[at, at] = True
    mask = torch.zeros(length, length, dtype=dtype)
    mask.masked_fill_(~seen, torch.finfo(dtype).min)
    return mask.to(device)[None, None]


def check_tree(model: Any, prompt: Sequence[int], tree: Tree) -> None:
    """Compare the predictions on the tree's deepest path with those of an ordinary pass over it.

    Raises:
        UserError: they differ: this model does not follow the mask (flash attention, recurrent layers).
    """
    path = [max(range(len(tree.tokens) + 1), key=lambda row: tree.depths[row - 1] if row else 0)]
    while path[0]:
        path.insert(0, tree.parents[path[0] - 1])
    head = find_head(model)
    with evaluation_mode(model):
        ids = torch.tensor([[*prompt, *(tree.tokens[row - 1] for row in path[1:])]], device=head.weight.device)
        plain = backbone(model)(input_ids=ids, use_cache=False).last_hidden_state[0, len(prompt) - 1 :]
        try:
            rows = tree_hidden(model, prompt, tree)[path]
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError) as error:  # a mask that the model has no use for
            raise UserError(
                f"{_refused(model)} ({(str(error).strip() or type(error).__name__).splitlines()[0]})"
            ) from error
        ours, theirs = (plain_logits(hidden.to(head.weight), head).float().log_softmax(-1) for hidden in (rows, plain))
    likely = theirs.topk(8).indices
    difference = (ours - theirs).gather(-1, likely).abs().max().item()
    rounding = max(torch.finfo(dtype).eps for dtype in (head.weight.dtype, torch.float32))
    if not difference <= min(_MOST, _ROUNDINGS * rounding):
        raise UserError(f"{_refused(model)} (log-probabilities differ by {difference:.2g})")


def _refused(model: Any) -> str:
    base = base_of(model)
    kind = getattr(base.config, "_attn_implementation", None)
    return (
        f"{type(base).__name__} with attention {kind} does not follow a tree of tokens; use a model of "
        "attention layers only, with the implementation sdpa or eager"
    )
