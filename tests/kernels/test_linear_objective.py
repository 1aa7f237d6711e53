"""The contract of `linear_objective` beyond any one term: heads, precision, memory, autograd, bad input."""

import re

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from backends import DEVICE, EVERY, FUSED, Way
from entrotune.errors import UserError
from entrotune.kernels import Reference, linear_objective
from entrotune.objectives import Objective
from tolerances import EXACT, SINGLE, error_against

OBJECTIVE = "ce - 0.1*entropy + 0.3*gem(beta=0.7)"


def tensors(seed: int, *, shape: tuple[int, ...] = (3, 7), width: int = 16, vocabulary: int = 61, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(*shape, width, generator=generator, dtype=torch.float64).to(DEVICE, dtype)
    weight = torch.randn(vocabulary, width, generator=generator, dtype=torch.float64).to(DEVICE, dtype)
    bias = torch.randn(vocabulary, generator=generator, dtype=torch.float64).to(DEVICE, dtype)
    targets = torch.randint(vocabulary, shape, generator=generator).to(DEVICE)
    targets.view(-1)[::4] = -100
    return hidden.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets


HEADS = [
    {},
    {"logit_scale": 0.25},
    {"softcap": 3.0},
    {"temperature": 1.7},
    {"logit_scale": 2.0, "softcap": 5.0, "temperature": 0.6},
]


@pytest.fixture(params=FUSED, ids=str)
def fused(request: pytest.FixtureRequest) -> Way:
    return request.param


def assert_same(found, truth, tolerance: dict) -> None:
    """Each of `found` is near its float64 truth."""
    for ours, expected in zip(found, truth, strict=True):
        torch.testing.assert_close(ours.double(), expected.double(), **tolerance)


def logits_of(hidden, weight, bias, head: dict):
    """The definition, line by line."""
    x = hidden @ weight.T + (0 if bias is None else bias)
    x = x * head.get("logit_scale", 1.0)
    if head.get("softcap"):
        x = head["softcap"] * torch.tanh(x / head["softcap"])
    return x / head.get("temperature", 1.0)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("way", EVERY, ids=str)
def test_scale_cap_temperature_and_bias(way: Way, head: dict, with_bias: bool) -> None:
    exact = tensors(0)
    bias = exact[2] if with_bias else None
    expected, _ = Objective(OBJECTIVE).from_logits(logits_of(*exact[:2], bias, head), exact[3])
    truth = torch.autograd.grad(expected, [*exact[:2]] + [bias] * with_bias)
    hidden, weight, bias, targets = tensors(0, dtype=way.dtype)
    bias = bias if with_bias else None
    loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, bias=bias, backend=way.backend, **head)
    assert_same(
        [loss, *torch.autograd.grad(loss, [hidden, weight] + [bias] * with_bias)], [expected, *truth], way.tolerance
    )


@pytest.mark.parametrize("way", EVERY, ids=str)
@pytest.mark.parametrize("head", HEADS)
def test_the_reference_has_a_head_of_its_own(way: Way, head: dict) -> None:
    objective, temperature = "ce + 0.3*kl(ref) + 0.2*jsd(ref, weight=0.3)", head.get("temperature", 1.0)
    own, other = {"temperature": temperature}, head | {"temperature": temperature}

    def inputs(dtype: torch.dtype):
        hidden, weight, _, targets = tensors(20, dtype=dtype)
        return hidden, weight, targets, *(t.detach() for t in tensors(21, width=5, dtype=dtype)[:3])

    hidden, weight, targets, *theirs = inputs(torch.float64)
    expected, _ = Objective(objective).from_logits(
        logits_of(hidden, weight, None, own), targets, reference_logits=logits_of(*theirs, other)
    )
    truth = torch.autograd.grad(expected, [hidden, weight])
    hidden, weight, targets, *theirs = inputs(way.dtype)
    reference = Reference(*theirs, **{k: v for k, v in head.items() if k != "temperature"})
    loss, _ = linear_objective(
        hidden, weight, targets, objective, reference=reference, temperature=temperature, backend=way.backend
    )
    assert_same([loss, *torch.autograd.grad(loss, [hidden, weight])], [expected, *truth], way.tolerance)


def test_a_reference_that_requires_gradients_gets_none() -> None:
    hidden, weight, _, targets = tensors(22)
    theirs = tensors(23)[:2]
    loss, _ = linear_objective(hidden, weight, targets, "kl(ref)", reference=Reference(*theirs))
    loss.backward()
    assert hidden.grad is not None
    assert all(t.grad is None for t in theirs)


def test_a_model_is_no_divergence_from_itself(fused: Way) -> None:
    hidden, weight, _, targets = tensors(24, dtype=fused.dtype)
    own = Reference(hidden.detach(), weight.detach())
    for term in ("kl(ref)", "kl(ref, reverse=true)", "jsd(ref)", "alpha_divergence(ref, a=0.5)"):
        loss, _ = linear_objective(hidden, weight, targets, term, reference=own, backend=fused.backend)
        assert_same(
            [loss, *torch.autograd.grad(loss, [hidden, weight])],
            [0 * loss, 0 * hidden, 0 * weight],
            fused.tolerance | {"atol": 1e-5 if fused.dtype == torch.float32 else 1e-12},
        )


@pytest.mark.parametrize("backend", ["torch", *(["triton"] if DEVICE.type == "cuda" else [])])
def test_what_the_sum_is_divided_by_is_not_rounded_to_half_precision(backend: str) -> None:
    # 1/3001 is 0.17% off in bfloat16. Triton's interpreter cuts off where a GPU rounds, which is no less.
    hidden, weight, _, targets = tensors(30, dtype=torch.bfloat16)

    def length(num_items: int) -> float:
        loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, num_items=num_items, backend=backend)
        return float(torch.autograd.grad(loss, [hidden])[0].double().abs().sum())

    assert 3001 * length(3001) == pytest.approx(length(1), rel=5e-4)


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor any operation made, in bytes."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(t, torch.Tensor):
                self.largest = max(self.largest, t.numel() * t.element_size())
        return out


@pytest.mark.parametrize("objective", [OBJECTIVE, "ce + kl(ref) + jsd(ref)"])
def test_full_logits_never_exist(fused: Way, objective: str) -> None:
    hidden, weight, _, targets = tensors(1, shape=(400,), width=8, vocabulary=997, dtype=torch.float32)
    budget = 997 * 4 * 64
    reference = Reference(hidden.detach(), weight.detach()) if "ref" in objective else None
    with LargestTensor() as largest:
        loss, _ = linear_objective(
            hidden, weight, targets, objective, reference=reference, backend=fused.backend, chunk_bytes=budget
        )
        loss.backward()
    with LargestTensor() as plain:
        linear_objective(hidden, weight, targets, OBJECTIVE, backend="reference")
    assert largest.largest <= budget
    assert plain.largest == 300 * 997 * 4


@pytest.mark.parametrize("chunk_rows", [1, 2, 5, 128, 200])
def test_chunk_size_changes_nothing(fused: Way, chunk_rows: int) -> None:
    hidden, weight, _, targets = tensors(2, shape=(150,), dtype=fused.dtype)
    loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, backend=fused.backend)
    whole = torch.autograd.grad(loss, [hidden, weight])
    budget = 61 * fused.dtype.itemsize * chunk_rows
    loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, chunk_bytes=budget, backend=fused.backend)
    assert_same(torch.autograd.grad(loss, [hidden, weight]), whole, fused.tolerance)


@pytest.mark.parametrize(("vocabulary", "width"), [(50257, 64), (4096, 64), (4097, 8192), (262144, 64)])
def test_any_vocabulary_and_width(fused: Way, vocabulary: int, width: int) -> None:
    exact = tensors(30, shape=(3,), width=width, vocabulary=vocabulary)
    with torch.no_grad():
        exact[0].mul_(width**-0.5)
    truth, _ = linear_objective(*exact[:2], exact[3], OBJECTIVE, backend="reference")
    expected = torch.autograd.grad(truth, exact[:2])
    hidden, weight = (t.detach().to(fused.dtype).requires_grad_() for t in exact[:2])
    loss, _ = linear_objective(hidden, weight, exact[3], OBJECTIVE, backend=fused.backend)
    # Thousands of products a logit, in float32: errors grow with the root of their number.
    tolerance = fused.tolerance if fused.dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    assert_same([loss, *torch.autograd.grad(loss, [hidden, weight])], [truth, *expected], tolerance)


def test_most_of_a_wide_vocabulary_may_be_impossible(fused: Way) -> None:
    hidden, weight, bias, _ = tensors(33, shape=(3,), width=4, vocabulary=262144)
    bias = bias.detach().index_fill(0, torch.arange(262000, device=DEVICE), -torch.inf)
    targets = torch.tensor([-100, 262000, 262143], device=DEVICE)
    truth, true_stats = linear_objective(hidden, weight, targets, "ce - 0.1*varentropy", bias=bias, backend="reference")
    expected = torch.autograd.grad(truth, hidden)
    hidden = hidden.detach().to(fused.dtype).requires_grad_()
    weight, bias = weight.detach().to(fused.dtype), bias.to(fused.dtype)
    options = {"bias": bias, "backend": fused.backend}
    loss, stats = linear_objective(hidden, weight, targets, "ce - 0.1*varentropy", **options)
    found = [loss, stats.varentropy, *torch.autograd.grad(loss, hidden)]
    assert_same(found, [truth, true_stats.varentropy, *expected], fused.tolerance)


def test_a_heavy_weight_of_varentropy_leaves_impossible_tokens_alone(fused: Way) -> None:
    hidden, weight, bias, targets = tensors(36)
    bias = bias.detach().index_fill(0, torch.arange(40, device=DEVICE), -torch.inf)
    targets = torch.where(targets < 0, targets, targets % 21 + 40)
    truth, _ = linear_objective(hidden, weight, targets, "ce + 5000*varentropy", bias=bias, backend="reference")
    expected = torch.autograd.grad(truth, hidden)
    hidden = hidden.detach().to(fused.dtype).requires_grad_()
    weight, bias = weight.detach().to(fused.dtype), bias.to(fused.dtype)
    loss, _ = linear_objective(hidden, weight, targets, "ce + 5000*varentropy", bias=bias, backend=fused.backend)
    found = [loss / 5000, torch.autograd.grad(loss, hidden)[0] / 5000]
    assert_same(found, [truth / 5000, expected[0] / 5000], fused.tolerance)


class Waits(TorchDispatchMode):
    """Counts the operations whose result has a size that a device has to tell."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put_") and any(t is not None and t.dtype == torch.bool for t in args[1])
        self.count += by_mask or name in ("nonzero", "masked_select")
        return func(*args, **(kwargs or {}))


def test_supervised_positions_are_looked_for_once(fused: Way) -> None:
    hidden, weight, _, targets = tensors(34, dtype=fused.dtype)
    with Waits() as waits:
        loss, stats = linear_objective(hidden, weight, targets, "ce", backend=fused.backend)
        loss.backward()
    assert waits.count == 1
    assert torch.equal(stats.nll != 0, targets != -100)


@pytest.mark.parametrize("frozen", ["hidden", "weight", "both"])
def test_frozen_inputs(fused: Way, frozen: str) -> None:
    hidden, weight, _, targets = tensors(3, dtype=fused.dtype)
    truth_loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, backend=fused.backend)
    truth = torch.autograd.grad(truth_loss, [hidden, weight])
    if frozen in ("hidden", "both"):
        hidden = hidden.detach()
    if frozen in ("weight", "both"):
        weight = weight.detach()
    loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, backend=fused.backend)
    torch.testing.assert_close(loss.detach(), truth_loss.detach(), **EXACT)
    if frozen == "both":
        assert not loss.requires_grad
        return
    loss.backward()
    live, expected = (weight, truth[1]) if frozen == "hidden" else (hidden, truth[0])
    torch.testing.assert_close(live.grad, expected, **EXACT)


def test_no_grad_scores_without_a_graph(fused: Way) -> None:
    hidden, weight, _, targets = tensors(4, dtype=fused.dtype)
    with torch.no_grad():
        loss, stats = linear_objective(hidden, weight, targets, "ce", backend=fused.backend)
    assert not loss.requires_grad
    assert not stats.nll.requires_grad
    assert_same([stats.mean("nll")], [loss], fused.tolerance)


def test_backward_twice_gives_the_same_gradient(fused: Way) -> None:
    hidden, weight, _, targets = tensors(5, dtype=fused.dtype)
    loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, backend=fused.backend)
    first = torch.autograd.grad(loss, [hidden, weight], retain_graph=True)
    second = torch.autograd.grad(3 * loss, [hidden, weight])
    assert_same([3 * a for a in first], second, fused.tolerance)


def test_tied_head_gets_both_gradients() -> None:
    embedding = torch.randn(61, 16, dtype=torch.float64, device=DEVICE).requires_grad_()
    ids = torch.arange(10, device=DEVICE)
    loss, _ = linear_objective(torch.tanh(embedding[ids]), embedding, ids + 1, OBJECTIVE)
    plain, _ = Objective(OBJECTIVE).from_logits(torch.tanh(embedding[ids]) @ embedding.T, ids + 1)
    found, truth = (torch.autograd.grad(value, [embedding])[0] for value in (loss, plain))
    torch.testing.assert_close(found, truth, **EXACT)


def test_autocast_runs_products_in_its_precision(fused: Way) -> None:
    hidden, weight, _, targets = tensors(6, dtype=torch.float32)
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        loss, stats = linear_objective(hidden, weight, targets, OBJECTIVE, backend=fused.backend)
        plain = (hidden @ weight.T).float()
    loss.backward()
    expected, expected_stats = Objective(OBJECTIVE).from_logits(plain, targets)
    assert loss.dtype == weight.grad.dtype == hidden.grad.dtype == torch.float32
    torch.testing.assert_close(loss, expected, **SINGLE)
    torch.testing.assert_close(stats.entropy, expected_stats.entropy, **SINGLE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_statistics_are_exact_for_the_rounded_logits(fused: Way, dtype: torch.dtype) -> None:
    hidden, weight, _, targets = tensors(7, shape=(64,), vocabulary=5003, dtype=dtype)
    _, stats = linear_objective(hidden, weight, targets, "ce", backend=fused.backend)
    _, truth = Objective("ce").from_logits((hidden @ weight.T).double(), targets)
    torch.testing.assert_close(stats.entropy.double(), truth.entropy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(stats.varentropy.double(), truth.varentropy, rtol=1e-4, atol=1e-4)


def test_wide_logits_are_not_rounded(fused: Way) -> None:
    hidden, weight, _, targets = tensors(7, shape=(64,), width=64, vocabulary=997, dtype=torch.bfloat16)
    exact = [t.detach().double().requires_grad_() for t in (hidden, weight)]
    truth, true_stats = linear_objective(*exact, targets, OBJECTIVE, backend="reference")
    expected = torch.autograd.grad(truth, exact)
    errors = []
    for dtype in (None, torch.float32):
        options = {"logits_dtype": dtype, "backend": fused.backend, "chunk_bytes": 997 * 6 * 20}
        loss, stats = linear_objective(hidden, weight, targets, OBJECTIVE, **options)
        grads = torch.autograd.grad(loss, [hidden, weight])
        assert [g.dtype for g in grads] == [torch.bfloat16] * 2
        errors.append([error_against(e, g) for e, g in zip(expected, grads, strict=True)])
    torch.testing.assert_close(stats.entropy.double(), true_stats.entropy, rtol=1e-4, atol=1e-5)
    assert errors[1][0] < errors[0][0]
    assert errors[1][1] < errors[0][1]


def test_works_under_gradient_checkpointing(fused: Way) -> None:
    hidden, weight, _, targets = tensors(31, dtype=fused.dtype)

    def loss_of(hidden: torch.Tensor) -> torch.Tensor:
        return linear_objective(torch.tanh(hidden), weight, targets, OBJECTIVE, backend=fused.backend)[0]

    plain = torch.autograd.grad(loss_of(hidden), [hidden, weight])
    kept = torch.autograd.grad(checkpoint(loss_of, hidden, use_reentrant=False), [hidden, weight])
    assert_same(kept, plain, EXACT)


def test_works_inside_a_compiled_model(fused: Way) -> None:
    hidden, weight, _, targets = tensors(32, dtype=fused.dtype)

    def loss_of(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return linear_objective(torch.tanh(hidden), weight, targets, OBJECTIVE, backend=fused.backend)[0]

    plain = torch.autograd.grad(loss_of(hidden, weight), [hidden, weight])
    compiled = torch.compile(loss_of, backend="aot_eager")
    assert_same(torch.autograd.grad(compiled(hidden, weight), [hidden, weight]), plain, fused.tolerance)


def test_non_contiguous_inputs() -> None:
    hidden, weight, _, targets = tensors(8)
    strided = hidden.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    loss, _ = linear_objective(strided, weight, targets, OBJECTIVE)
    truth, _ = linear_objective(hidden, weight, targets, OBJECTIVE)
    torch.testing.assert_close(loss, truth, **EXACT)
    torch.testing.assert_close(
        torch.autograd.grad(loss, [strided])[0], torch.autograd.grad(truth, [hidden])[0], **EXACT
    )


def test_statistics_are_those_of_each_token() -> None:
    hidden, weight, _, targets = tensors(9)
    _, stats = linear_objective(hidden, weight, targets, "ce")
    log_p = (hidden @ weight.T).log_softmax(-1)
    p, mask = log_p.exp(), targets != -100
    entropy = -(p * log_p).sum(-1)
    torch.testing.assert_close(stats.entropy, entropy * mask, **EXACT)
    torch.testing.assert_close(stats.varentropy, (p * log_p**2).sum(-1) * mask - (entropy**2) * mask, **EXACT)
    assert torch.equal(stats.is_top1, (log_p.argmax(-1) == targets) & mask)
    assert stats.nll.shape == targets.shape


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"backend": "cuda"}, "there are auto, reference, torch, triton"),
        ({"backend": "triton"}, "has no float64"),
        ({"objective": "ce + kl(ref)"}, "compares with a reference; pass reference="),
        ({"reference": Reference(torch.zeros(3, 7, 4), torch.zeros(61, 4))}, "has no term with a reference"),
        ({"objective": "kl(ref)", "reference": Reference(torch.zeros(3, 6, 4), torch.zeros(61, 4))}, "the reference: "),
        ({"objective": "kl(ref)", "reference": Reference(torch.zeros(3, 7, 4), torch.zeros(60, 4))}, "a vocabulary of"),
        ({"logits_dtype": torch.bfloat16}, "narrower than"),
        ({"logit_scale": 0.0}, "logit_scale must be"),
        ({"softcap": -1.0}, "softcap must be"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"chunk_bytes": 0}, "chunk_bytes must be"),
        ({"bias": torch.zeros(5)}, "bias"),
        ({"targets": torch.full((3, 7), 61)}, "outside the vocabulary of 61"),
        ({"targets": torch.full((3, 7), -1)}, "outside the vocabulary"),
        ({"targets": torch.zeros(3, 6, dtype=torch.long)}, "needs targets"),
        ({"targets": torch.zeros(3, 7)}, "token ids"),
        ({"weight": torch.zeros(61, 15, dtype=torch.float64)}, "[..., D] and [V, D]"),
        ({"weight": torch.zeros(61, 16)}, "convert one"),
    ],
)
def test_bad_input_is_told(change: dict, says: str) -> None:
    hidden, weight, _, targets = tensors(10)
    arguments = {"hidden": hidden, "weight": weight, "targets": targets, "objective": "ce"} | change
    with pytest.raises(ValueError, match=re.escape(says)):
        linear_objective(**arguments)


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_a_count_of_nothing_is_one_and_a_wrong_count_is_refused(backend: str) -> None:
    hidden, weight = torch.randn(3, 4), torch.randn(9, 4)
    nothing = torch.full((3,), -100)
    for count in (0, torch.tensor(0), torch.tensor([0.0])):
        loss, _ = linear_objective(hidden, weight, nothing, "ce", num_items=count, backend=backend)
        assert loss.shape == ()
        assert loss.item() == 0
    for count, told in ((-1, "at least 0"), (torch.ones(2), "one number")):
        with pytest.raises(UserError, match=told):
            linear_objective(hidden, weight, torch.arange(3), "ce", num_items=count, backend=backend)


def test_targets_of_any_layout_and_of_smaller_integers_but_no_others() -> None:
    hidden, weight = torch.randn(2, 3, 4), torch.randn(9, 4)
    targets = torch.tensor([[1, -100], [2, 3], [-100, 4]]).T
    assert not targets.is_contiguous()
    expected, _ = linear_objective(hidden, weight, targets.contiguous(), "ce")
    for dtype in (torch.int64, torch.int32, torch.int16):
        loss, _ = linear_objective(hidden, weight, targets.to(dtype), "ce")
        assert loss.item() == expected.item()
    for dtype in (torch.uint8, torch.bool, torch.float32):
        with pytest.raises(UserError, match="targets are token ids"):
            linear_objective(hidden, weight, torch.ones(2, 3, dtype=dtype), "ce")
    with pytest.raises(UserError, match="floating-point"):
        linear_objective(torch.ones(2, 3, 4, dtype=torch.int64), weight, targets, "ce")


def test_targets_and_bias_may_be_parts_of_others(fused: Way) -> None:
    hidden, weight, _, _ = tensors(35, shape=(9,), dtype=fused.dtype)
    targets, bias = torch.arange(18, device=DEVICE), torch.linspace(-1, 1, 122, dtype=fused.dtype, device=DEVICE)

    def gradient(targets: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, bias=bias, backend=fused.backend)
        return torch.autograd.grad(loss, hidden)[0]

    expected = gradient(targets[::2].clone(), bias[::2].clone())
    assert torch.equal(gradient(targets[::2], bias[::2].clone()), expected)
    assert torch.equal(gradient(targets[::2].clone(), bias[::2]), expected)


@pytest.mark.parametrize("vocabulary", [61, 64], ids=["padded", "whole"])
@pytest.mark.parametrize("head", [{}, {"logit_scale": 0.5}, {"softcap": 3.0}], ids=["plain", "scaled", "capped"])
@pytest.mark.parametrize(("broken", "rows"), [("hidden", [1]), ("weight", [0, 1, 2])])
def test_what_is_not_a_number_shows(fused: Way, broken: str, rows: list[int], head: dict, vocabulary: int) -> None:
    hidden, weight, _, _ = (t.detach() for t in tensors(36, shape=(3,), vocabulary=vocabulary, dtype=fused.dtype))
    reference, targets = Reference(hidden.clone(), weight.clone()), torch.tensor([4, 2, 3], device=DEVICE)
    {"hidden": hidden, "weight": weight}[broken][1, 0] = torch.nan
    for objective in ("ce", "varentropy", "kl(ref)", "kl(ref, reverse=true)", "jsd(ref)", "focal"):
        options = head | ({"reference": reference} if "ref" in objective else {})
        loss, stats = linear_objective(hidden, weight, targets, objective, backend=fused.backend, **options)
        assert loss.isnan(), objective
        for value in (stats.loss, stats.entropy, stats.varentropy):
            assert value.isnan().nonzero().view(-1).tolist() == rows, objective
