"""Statistics of rows equal a float64 computation on full logits, however rows are cut into chunks."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from backends import DEVICE
from entrotune.errors import UserError
from entrotune.kernels import row_statistics, truncated
from tolerances import EXACT, SINGLE

N, D, V, K = 23, 8, 57, 7


def drawn(
    seed: int = 0, *, dtype: torch.dtype = torch.float32, spread: float = 2.0, device: torch.device = DEVICE
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(N, D, generator=generator, dtype=torch.float64)
    weight = spread * torch.randn(V, D, generator=generator, dtype=torch.float64)
    targets = torch.randint(V, (N,), generator=generator)
    targets[::5] = -100
    return {"hidden": hidden.to(device, dtype), "weight": weight.to(device, dtype), "targets": targets.to(device)}


def truth(case: dict[str, Any], **head: Any) -> dict[str, torch.Tensor]:
    """By the definitions, in float64."""
    z = case["hidden"].double() @ case["weight"].double().T
    if head.get("bias") is not None:
        z = z + head["bias"].double()
    z = z * head.get("logit_scale", 1.0)
    if head.get("softcap"):
        z = head["softcap"] * torch.tanh(z / head["softcap"])
    log_p = torch.log_softmax(z / head.get("temperature", 1.0), -1)
    p = log_p.exp()
    surprisal = torch.where(p > 0, -log_p, 0.0)
    entropy = (p * surprisal).sum(-1)
    has, safe = case["targets"] != -100, case["targets"].clamp(min=0)
    log_y = log_p.gather(-1, safe[:, None])
    rank = (log_p > log_y).sum(-1)
    return {
        "entropy": entropy,
        "varentropy": (p * (surprisal - entropy[:, None]) ** 2).sum(-1),
        "nll": torch.where(has, -log_y.squeeze(-1), math.nan),
        "is_top1": has & (rank == 0),
        "renyi2": -p.square().sum(-1).log(),
        "rank": torch.where(has, rank, -1),
        "topk_logprobs": log_p.topk(K).values,
        "topk_ids": log_p.topk(K).indices,
    }


def assert_statistics(found: Any, expected: dict[str, torch.Tensor], **tolerance: float) -> None:
    for name, value in expected.items():
        got = getattr(found, name)
        if value.is_floating_point():
            torch.testing.assert_close(
                got.double(), value, **tolerance, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
            )
        else:
            assert torch.equal(got, value), name


HEADS: list[dict[str, Any]] = [
    {},
    {"logit_scale": 0.4, "temperature": 1.7},
    {"softcap": 3.0},
    {"bias": torch.linspace(-1, 1, V, device=DEVICE)},
]


@pytest.mark.parametrize("head", HEADS, ids=["plain", "scaled", "capped", "biased"])
@pytest.mark.parametrize(
    ("backend", "dtype", "tolerance"),
    [("torch", torch.float64, EXACT), ("torch", torch.float32, SINGLE), ("triton", torch.float32, SINGLE)],
    ids=["torch-64", "torch-32", "triton-32"],
)
@pytest.mark.parametrize("chunk_bytes", [None, 1, 5 * V * 4])
def test_equals_the_definitions(
    head: dict[str, Any], backend: str, dtype: torch.dtype, tolerance: dict[str, float], chunk_bytes: int | None
) -> None:
    case = drawn(dtype=dtype)
    head = head | ({"bias": head["bias"].to(dtype)} if "bias" in head else {})
    found = row_statistics(**case, **head, rank=True, top_k=K, chunk_bytes=chunk_bytes, backend=backend)
    assert_statistics(found, truth(case, **head), **tolerance)


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("spread", [1e-3, 50.0], ids=["nearly uniform", "nearly certain"])
def test_extreme_distributions(spread: float, backend: str) -> None:
    case = drawn(spread=spread)
    # Logits of some hundreds, each rounded at 1e-7 of its size.
    assert_statistics(
        row_statistics(**case, rank=True, backend=backend),
        {k: v for k, v in truth(case).items() if "topk" not in k},
        rtol=1e-3,
        atol=2e-4,
    )


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_a_wide_vocabulary(backend: str) -> None:
    generator = torch.Generator().manual_seed(3)
    case = {
        "hidden": torch.randn(4, D, generator=generator).to(DEVICE),
        "weight": torch.randn(50257, D, generator=generator).to(DEVICE),
        "targets": torch.tensor([0, 50256, 7, -100]).to(DEVICE),
    }
    expected = {name: value for name, value in truth(case).items() if "topk" not in name}
    assert_statistics(row_statistics(**case, rank=True, backend=backend), expected, **SINGLE)


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_impossible_tokens(backend: str) -> None:
    case = drawn()
    bias = torch.zeros(V, device=DEVICE)
    bias[40:] = -math.inf
    case["targets"] = case["targets"].clamp(max=39)
    found = row_statistics(**case, bias=bias, rank=True, top_k=K, backend=backend)
    assert_statistics(found, truth(case, bias=bias), **SINGLE)
    everything = row_statistics(**case, bias=bias, top_k=V, backend=backend)
    shown = truncated(everything.topk_logprobs)
    torch.testing.assert_close(shown.entropy, found.entropy, **SINGLE)
    torch.testing.assert_close(shown.varentropy, found.varentropy, **SINGLE)


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("head", HEADS, ids=["plain", "scaled", "capped", "biased"])
def test_what_is_not_a_number_shows(head: dict[str, Any], backend: str) -> None:
    case = drawn()
    case["hidden"][2, 0] = math.nan
    found = row_statistics(**case, **head, backend=backend)
    for value in (found.entropy, found.varentropy, found.renyi2):
        assert value.isnan().nonzero().view(-1).tolist() == [2]
    assert found.nll[2].isnan()
    assert not found.is_top1[2]


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_a_bias_may_be_part_of_another(backend: str) -> None:
    case, bias = drawn(), torch.linspace(-1, 1, 2 * V, device=DEVICE)[::2]
    found = row_statistics(**case, bias=bias, rank=True, top_k=K, backend=backend)
    assert_statistics(found, truth(case, bias=bias), **SINGLE)


class Waits(TorchDispatchMode):
    """Counts the numbers that a device has to tell."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__ == "_local_scalar_dense"
        return func(*args, **(kwargs or {}))


def test_a_bias_makes_nothing_wait_for_the_device() -> None:
    counts = []
    for bias in (None, torch.zeros(V, device=DEVICE)):
        with Waits() as waits:
            row_statistics(**drawn(), bias=bias, backend="triton")
        counts.append(waits.count)
    assert counts[0] == counts[1]


def test_tokens_as_likely_as_the_target_do_not_count_in_its_rank() -> None:
    hidden, weight = torch.ones(1, 1), torch.tensor([[2.0], [3.0], [2.0], [1.0]])
    ranks = [int(row_statistics(hidden, weight, torch.tensor([y]), rank=True).rank) for y in range(4)]
    assert ranks == [1, 0, 1, 3]
    both = row_statistics(torch.zeros(1, 1), weight, torch.tensor([3]), rank=True)
    assert (int(both.rank), bool(both.is_top1)) == (0, True)


def test_a_uniform_row_by_hand() -> None:
    found = row_statistics(torch.zeros(1, D), torch.ones(V, D), torch.tensor([3]), top_k=4)
    for name in ("entropy", "nll", "renyi2"):
        assert float(getattr(found, name)) == pytest.approx(math.log(V), abs=1e-6)
    assert float(found.varentropy) == pytest.approx(0.0, abs=1e-6)
    shown = truncated(found.topk_logprobs)
    assert float(shown.mass) == pytest.approx(4 / V, rel=1e-5)
    assert float(shown.entropy) == pytest.approx(4 / V * math.log(V), rel=1e-5)


def test_truncated_moments_never_exceed_the_exact_entropy_and_meet_it_with_all_tokens() -> None:
    case = drawn()
    exact = row_statistics(**case, top_k=V)
    found = [truncated(exact.topk_logprobs[:, :k]).entropy for k in (1, 5, 20, V)]
    for fewer, more in itertools.pairwise(found):
        assert bool((fewer <= more + 1e-6).all())
    torch.testing.assert_close(found[-1], exact.entropy, **SINGLE)


def test_no_rows_and_what_was_not_asked_for() -> None:
    case = drawn()
    none = row_statistics(case["hidden"][:0], case["weight"], case["targets"][:0], rank=True, top_k=3)
    assert none.entropy.shape == none.rank.shape == (0,)
    assert none.topk_ids.shape == (0, 3)
    plain = row_statistics(**case, renyi2=False)
    assert plain.renyi2.numel() == plain.rank.numel() == plain.topk_ids.numel() == 0


def test_half_precision_weights_give_float32_statistics() -> None:
    case = drawn(dtype=torch.bfloat16)
    found = row_statistics(**case, rank=True, top_k=K)
    assert found.entropy.dtype == torch.float32
    # Products of bfloat16 numbers are exact in float32, so nothing is rounded to half precision on the way.
    assert_statistics(found, {k: v for k, v in truth(case).items() if "topk" not in k}, **SINGLE)


def test_takes_no_gradient() -> None:
    case = drawn()
    case["hidden"].requires_grad_()
    assert not row_statistics(**case).entropy.requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"top_k": V + 1}, "the size of the vocabulary"),
        ({"top_k": -1}, "the size of the vocabulary"),
        ({"backend": "reference"}, "torch and triton"),
        ({"backend": "cuda"}, "unknown backend"),
        ({"backend": "triton", "hidden": torch.zeros(N, D).double(), "weight": torch.zeros(V, D).double()}, "float64"),
        ({"temperature": 0.0}, "temperature must be"),
        ({"targets": torch.full((N,), V)}, "outside the vocabulary"),
        ({"targets": torch.zeros(3, dtype=torch.long)}, "needs targets"),
    ],
)
def test_refuses(change: dict[str, Any], message: str) -> None:
    # On CUDA the device itself finds a target outside the vocabulary, and is of no use afterwards.
    with pytest.raises(UserError, match=message):
        row_statistics(**drawn(device=torch.device("cpu")) | change)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.01, 20), st.floats(0.3, 3))
def test_inequalities_that_hold_for_every_distribution(seed: int, spread: float, temperature: float) -> None:
    found = row_statistics(**drawn(seed, spread=spread), temperature=temperature, rank=True)
    assert bool((found.entropy > -1e-5).all() and (found.entropy < math.log(V) + 1e-5).all())
    assert bool((found.varentropy >= 0).all())
    assert bool((found.renyi2 <= found.entropy + 1e-4).all())
    assert bool(((found.rank == 0) == found.is_top1).all())
