"""The contract of `linear_objective` beyond any one term: heads, precision, memory, autograd, bad input."""

import re

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from entrotune import linear_objective
from entrotune.objectives import Objective
from tolerances import EXACT, SINGLE

OBJECTIVE = "ce - 0.1*entropy + 0.3*gem(beta=0.7)"


def tensors(seed: int, *, shape: tuple[int, ...] = (3, 7), width: int = 16, vocabulary: int = 61, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(*shape, width, generator=generator, dtype=torch.float64).to(dtype)
    weight = torch.randn(vocabulary, width, generator=generator, dtype=torch.float64).to(dtype)
    bias = torch.randn(vocabulary, generator=generator, dtype=torch.float64).to(dtype)
    targets = torch.randint(vocabulary, shape, generator=generator)
    targets.view(-1)[::4] = -100
    return hidden.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets


HEADS = [
    {},
    {"logit_scale": 0.25},
    {"softcap": 3.0},
    {"temperature": 1.7},
    {"logit_scale": 2.0, "softcap": 5.0, "temperature": 0.6},
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("with_bias", [False, True])
def test_scale_cap_temperature_and_bias(head: dict, with_bias: bool) -> None:
    hidden, weight, bias, targets = tensors(0)
    bias = bias if with_bias else None
    inputs = [hidden, weight] + [bias] * with_bias
    x = hidden @ weight.T + (bias if with_bias else 0)
    x = x * head.get("logit_scale", 1.0)
    if "softcap" in head:
        x = head["softcap"] * torch.tanh(x / head["softcap"])
    expected, _ = Objective(OBJECTIVE).from_logits(x / head.get("temperature", 1.0), targets)
    for backend in ("reference", "torch"):
        loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, bias=bias, backend=backend, **head)
        torch.testing.assert_close(loss, expected, **EXACT)
        truths = torch.autograd.grad(expected, inputs, retain_graph=True)
        for found, truth in zip(torch.autograd.grad(loss, inputs), truths, strict=True):
            torch.testing.assert_close(found, truth, **EXACT)


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor any operation made."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(t, torch.Tensor):
                self.largest = max(self.largest, t.numel())
        return out


def test_full_logits_never_exist() -> None:
    hidden, weight, _, targets = tensors(1, shape=(400,), width=8, vocabulary=997, dtype=torch.float32)
    budget = 997 * 4 * 64
    with LargestTensor() as fused:
        loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, backend="torch", chunk_bytes=budget)
        loss.backward()
    with LargestTensor() as plain:
        linear_objective(hidden, weight, targets, OBJECTIVE, backend="reference")
    assert fused.largest <= budget / 4
    assert plain.largest == 300 * 997


@pytest.mark.parametrize("chunk_rows", [1, 2, 5, 128, 200])
def test_chunk_size_changes_nothing(chunk_rows: int) -> None:
    hidden, weight, _, targets = tensors(2, shape=(150,))
    whole = torch.autograd.grad(linear_objective(hidden, weight, targets, OBJECTIVE)[0], [hidden, weight])
    loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE, chunk_bytes=61 * 8 * chunk_rows)
    for found, truth in zip(torch.autograd.grad(loss, [hidden, weight]), whole, strict=True):
        torch.testing.assert_close(found, truth, **EXACT)


@pytest.mark.parametrize("frozen", ["hidden", "weight", "both"])
def test_frozen_inputs(frozen: str) -> None:
    hidden, weight, _, targets = tensors(3)
    truth_loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE)
    truth = torch.autograd.grad(truth_loss, [hidden, weight])
    if frozen in ("hidden", "both"):
        hidden = hidden.detach()
    if frozen in ("weight", "both"):
        weight = weight.detach()
    loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE)
    torch.testing.assert_close(loss.detach(), truth_loss.detach(), **EXACT)
    if frozen == "both":
        assert not loss.requires_grad
        return
    loss.backward()
    live, expected = (weight, truth[1]) if frozen == "hidden" else (hidden, truth[0])
    torch.testing.assert_close(live.grad, expected, **EXACT)


def test_no_grad_scores_without_a_graph() -> None:
    hidden, weight, _, targets = tensors(4)
    with torch.no_grad():
        loss, stats = linear_objective(hidden, weight, targets, "ce")
    assert not loss.requires_grad
    assert not stats.nll.requires_grad
    torch.testing.assert_close(stats.mean("nll"), loss, **EXACT)


def test_backward_twice_gives_the_same_gradient() -> None:
    hidden, weight, _, targets = tensors(5)
    loss, _ = linear_objective(hidden, weight, targets, OBJECTIVE)
    first = torch.autograd.grad(loss, [hidden, weight], retain_graph=True)
    second = torch.autograd.grad(3 * loss, [hidden, weight])
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(3 * a, b, **EXACT)


def test_tied_head_gets_both_gradients() -> None:
    embedding = torch.randn(61, 16, dtype=torch.float64).requires_grad_()
    ids = torch.arange(10)
    loss, _ = linear_objective(torch.tanh(embedding[ids]), embedding, ids + 1, OBJECTIVE)
    plain, _ = Objective(OBJECTIVE).from_logits(torch.tanh(embedding[ids]) @ embedding.T, ids + 1)
    found, truth = (torch.autograd.grad(value, [embedding])[0] for value in (loss, plain))
    torch.testing.assert_close(found, truth, **EXACT)


def test_autocast_runs_products_in_its_precision() -> None:
    hidden, weight, _, targets = tensors(6, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, stats = linear_objective(hidden, weight, targets, OBJECTIVE)
        plain = (hidden @ weight.T).float()
    loss.backward()
    expected, expected_stats = Objective(OBJECTIVE).from_logits(plain, targets)
    assert loss.dtype == weight.grad.dtype == hidden.grad.dtype == torch.float32
    torch.testing.assert_close(loss, expected, **SINGLE)
    torch.testing.assert_close(stats.entropy, expected_stats.entropy, **SINGLE)


def test_half_precision_statistics_are_exact_for_the_rounded_logits() -> None:
    hidden, weight, _, targets = tensors(7, shape=(64,), vocabulary=5003, dtype=torch.bfloat16)
    _, stats = linear_objective(hidden, weight, targets, "ce")
    _, truth = Objective("ce").from_logits((hidden @ weight.T).double(), targets)
    torch.testing.assert_close(stats.entropy.double(), truth.entropy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(stats.varentropy.double(), truth.varentropy, rtol=1e-4, atol=1e-4)


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
        ({"backend": "cuda"}, "there are auto, reference, torch"),
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
