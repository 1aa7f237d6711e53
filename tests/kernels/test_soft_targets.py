"""Cross-entropy of soft targets in chunks equals the plain way, and does not hold all logits."""

from typing import Any

import pytest
import torch

from entrotune.errors import UserError
from entrotune.kernels.soft_targets import soft_target_loss
from tolerances import EXACT

R, D, V = 7, 5, 11


def case(seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    rows = torch.tensor([0, 0, 1, 3, 3, 3, 6])
    return {
        "hidden": torch.randn(R, D, generator=draw, dtype=torch.float64).requires_grad_(),
        "weight": torch.randn(V, D, generator=draw, dtype=torch.float64).requires_grad_(),
        "rows": rows,
        "tokens": torch.randint(V, rows.shape, generator=draw),
        "masses": torch.rand(rows.shape, generator=draw, dtype=torch.float64),
    }


@pytest.mark.parametrize("options", [{}, {"logit_scale": 0.5}, {"softcap": 3.0}, {"bias": True}], ids=str)
@pytest.mark.parametrize("chunk_bytes", [1, 800, None])
def test_equals_the_plain_way(options: dict[str, Any], chunk_bytes: int | None) -> None:
    given = case()
    bias = torch.linspace(-1, 1, V, dtype=torch.float64).requires_grad_() if options.get("bias") else None
    scale, cap = options.get("logit_scale", 1.0), options.get("softcap")
    found = soft_target_loss(**given, bias=bias, logit_scale=scale, softcap=cap, chunk_bytes=chunk_bytes)
    wanted = [given["hidden"], given["weight"], *([bias] if bias is not None else [])]
    ours = torch.autograd.grad(found.loss, wanted)
    logits = torch.nn.functional.linear(given["hidden"], given["weight"], bias) * scale
    logits = logits if cap is None else cap * torch.tanh(logits / cap)
    log_p = logits.log_softmax(-1)
    plain = -(given["masses"] * log_p[given["rows"], given["tokens"]]).sum()
    torch.testing.assert_close(found.loss, plain, **EXACT)
    for one, other in zip(ours, torch.autograd.grad(plain, wanted), strict=True):
        torch.testing.assert_close(one, other, **EXACT)
    distribution = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(found.entropy, distribution.entropy().detach(), **EXACT)
    p, information = log_p.exp(), -log_p
    varentropy = (p * (information - distribution.entropy()[:, None]) ** 2).sum(-1)
    torch.testing.assert_close(found.varentropy, varentropy.detach(), **EXACT)
    assert found.top.tolist() == logits.argmax(-1).tolist()


def test_impossible_tokens_leave_everything_finite() -> None:
    given = case()
    bias = torch.zeros(V, dtype=torch.float64)
    bias[next(token for token in range(V) if token not in given["tokens"].tolist())] = -torch.inf
    found = soft_target_loss(**given, bias=bias)
    assert torch.isfinite(found.entropy).all()
    assert torch.isfinite(found.loss)


def test_memory_is_that_of_a_chunk() -> None:
    rows, vocabulary, width = 512, 8192, 8
    hidden, weight = torch.randn(rows, width, requires_grad=True), torch.randn(vocabulary, width)
    at = torch.arange(rows)
    widest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal widest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.dim() == 2 and result.shape[-1] == vocabulary:
                widest = max(widest, result.shape[0])
            return result

    with Watch():
        found = soft_target_loss(hidden, weight, at, at, torch.ones(rows), chunk_bytes=16 * 4 * 4 * vocabulary)
        found.loss.backward()
    assert widest == 16


@pytest.mark.parametrize("rows", [[1, 0], [0, R], [-1, 0]])
def test_edges_that_do_not_fit(rows: list[int]) -> None:
    given = case() | {"rows": torch.tensor(rows), "tokens": torch.tensor([0, 0]), "masses": torch.ones(2)}
    with pytest.raises(UserError, match="ascending"):
        soft_target_loss(**given)
