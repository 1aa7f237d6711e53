"""The suite every term joins by being registered: gradients, statistics and behaviour at the edges."""

import pickle

import pytest
import torch

from entrotune import linear_objective
from entrotune.objectives import TERMS, Objective
from tolerances import EXACT, FINITE_DIFFERENCE, SINGLE, error_against

# Terms whose meaning changes with an argument, and sums that use every scalar of the gradient at once.
VARIANTS = [
    "gem(beta=0.7, h=logsigmoid)",
    "gem(beta=1.7)",
    "alpha_divergence(a=1)",
    "alpha_divergence(a=1.5)",
    "focal(gamma=0.5)",
    "tsallis(q=0.5)",
    "ce - 0.1*entropy",
    "mse + 10*ce",
    "gem(beta=0.5) + 0.2*tsallis(q=2) - 0.1*renyi(q=2) + 0.3*label_smoothing + 0.05*varentropy + 0.01*z_loss + mse",
]
ALL = sorted(TERMS) + VARIANTS
MOMENTS_OF_LOGITS = ("mse", "label_smoothing")


@pytest.fixture(params=ALL)
def objective(request: pytest.FixtureRequest) -> Objective:
    return Objective(request.param)


def problem(seed: int, *, rows: int = 13, width: int = 12, vocabulary: int = 57, dtype: torch.dtype = torch.float64):
    """Hidden states, head and targets (three of them ignored)."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    weight = torch.randn(vocabulary, width, generator=generator, dtype=torch.float64)
    targets = torch.randint(vocabulary, (rows,), generator=generator)
    targets[[0, 4, rows - 1]] = -100
    return hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets


def gradients(hidden, weight, targets, objective, **options):
    loss, stats = linear_objective(hidden, weight, targets, objective, **options)
    return loss, stats, torch.autograd.grad(loss, [hidden, weight])


@pytest.mark.parametrize("seed", [0, 1])
def test_gradient_matches_finite_differences(objective: Objective, seed: int) -> None:
    # An identity head makes the hidden states the logits, so the whole row of the gradient is seen.
    vocabulary, step = 9, 1e-5
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(4, vocabulary, generator=generator, dtype=torch.float64)
    targets = torch.randint(vocabulary, (4,), generator=generator)
    head = torch.eye(vocabulary, dtype=torch.float64)
    rows = logits.clone().requires_grad_()
    loss, _ = linear_objective(rows, head, targets, objective, num_items=1, backend="torch")
    (found,) = torch.autograd.grad(loss, [rows])

    def value(changed: torch.Tensor) -> torch.Tensor:
        return sum(c * term.reference(changed, targets, logits) for c, term in objective.parts)

    for j in range(vocabulary):
        shift = torch.zeros_like(logits)
        shift[:, j] = step
        expected = (value(logits + shift) - value(logits - shift)) / (2 * step)
        torch.testing.assert_close(found[:, j], expected, **FINITE_DIFFERENCE)


@pytest.mark.parametrize("seed", [2, 3])
def test_fused_equals_reference_in_float64(objective: Objective, seed: int) -> None:
    hidden, weight, targets = problem(seed)
    # A budget of five rows of logits makes several chunks, the last one ragged.
    fused = gradients(hidden, weight, targets, objective, backend="torch", chunk_bytes=57 * 8 * 5)
    truth = gradients(hidden, weight, targets, objective, backend="reference")
    torch.testing.assert_close(fused[0], truth[0], **EXACT)
    for found, expected in zip(fused[2], truth[2], strict=True):
        torch.testing.assert_close(found, expected, **EXACT)
    for name in ("loss", "nll", "entropy", "varentropy", "lse", "target_logit", "is_top1", "mask"):
        torch.testing.assert_close(getattr(fused[1], name), getattr(truth[1], name), **EXACT)


def test_float32_is_close_to_float64(objective: Objective) -> None:
    truth = gradients(*problem(4), objective, backend="reference")
    single = gradients(*problem(4, dtype=torch.float32), objective, backend="torch")
    torch.testing.assert_close(single[0].double(), truth[0], **SINGLE)
    for found, expected in zip(single[2], truth[2], strict=True):
        torch.testing.assert_close(found.double(), expected, **SINGLE)


def test_bfloat16_is_no_worse_than_the_plain_way(objective: Objective) -> None:
    shape = {"rows": 301, "width": 64, "vocabulary": 997}
    hidden, weight, targets = problem(5, **shape, dtype=torch.bfloat16)
    exact = [t.detach().double().requires_grad_() for t in (hidden, weight)]
    truth = gradients(*exact, targets, objective, backend="reference")
    plain_loss, _ = objective.from_logits(hidden @ weight.T, targets)
    plain = torch.autograd.grad(plain_loss, [hidden, weight])
    fused = gradients(hidden, weight, targets, objective, backend="torch", chunk_bytes=997 * 2 * 64)
    for expected, ours, theirs in zip(truth[2], fused[2], plain, strict=True):
        # The same roundings (logits and their gradient to bfloat16) in another order: equal up to their scatter.
        assert error_against(expected, ours) <= 1.1 * error_against(expected, theirs) + 1e-3


def test_coefficients_multiply(objective: Objective) -> None:
    hidden, weight, targets = problem(6)
    once = gradients(hidden, weight, targets, objective)
    thrice = gradients(hidden, weight, targets, 3 * objective)
    torch.testing.assert_close(thrice[0], 3 * once[0], **EXACT)
    torch.testing.assert_close(thrice[2][1], 3 * once[2][1], **EXACT)


def test_ignored_positions_count_for_nothing(objective: Objective) -> None:
    hidden, weight, targets = problem(7)
    kept = targets != -100
    whole = gradients(hidden, weight, targets, objective)
    with torch.no_grad():
        hidden[~kept] = float("nan")
    poisoned = gradients(hidden, weight, targets, objective)
    torch.testing.assert_close(poisoned[0], whole[0], **EXACT)
    torch.testing.assert_close(poisoned[2][1], whole[2][1], **EXACT)
    assert not poisoned[2][0][~kept].any()
    assert not poisoned[1].nll[~kept].any()
    assert torch.equal(poisoned[1].mask, kept)


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_no_supervised_token_gives_zero(objective: Objective, backend: str) -> None:
    hidden, weight, targets = problem(8)
    loss, stats, grads = gradients(hidden, weight, torch.full_like(targets, -100), objective, backend=backend)
    assert loss.item() == 0
    assert not grads[0].any()
    assert not grads[1].any()
    assert not stats.mask.any()


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_impossible_tokens(objective: Objective, backend: str) -> None:
    hidden, weight, targets = problem(9)
    targets[1:4] = 0
    bias = torch.zeros(57, dtype=torch.float64)
    bias[50:] = -torch.inf
    targets[targets >= 50] = 7
    loss, stats, grads = gradients(hidden, weight, targets, objective, bias=bias, backend=backend)
    assert stats.entropy.isfinite().all()
    if any(term.name in MOMENTS_OF_LOGITS for _, term in objective.parts):
        assert loss.isposinf()  # these terms average over every logit, possible or not
        return
    assert loss.isfinite()
    assert grads[0].isfinite().all()
    assert not grads[1][50:].any()
    cut = gradients(hidden, weight[:50].detach().requires_grad_(), targets, objective, backend=backend)
    torch.testing.assert_close(loss, cut[0], **EXACT)
    torch.testing.assert_close(grads[0], cut[2][0], **EXACT)


@pytest.mark.parametrize("size", [1e3, 1e4])
def test_large_logits_stay_finite(objective: Objective, size: float) -> None:
    if any(getattr(term, "a", 0) > 1 for _, term in objective.parts):
        pytest.skip("an α-divergence above 1 grows exponentially in the nll, by definition")
    logits = torch.zeros(3, 8)
    logits[0, 2], logits[1, 3], logits[2] = size, -size, size
    rows = logits.requires_grad_()
    loss, stats = linear_objective(rows, torch.eye(8), torch.tensor([2, 3, 4]), objective)
    (grad,) = torch.autograd.grad(loss, [rows])
    assert loss.isfinite()
    assert grad.isfinite().all()
    torch.testing.assert_close(stats.entropy[2], torch.tensor(8.0).log())


def test_any_split_adds_up(objective: Objective) -> None:
    hidden, weight, targets = problem(10)
    count = int((targets != -100).sum())
    whole = gradients(hidden, weight, targets, objective)
    loss, grad = torch.zeros((), dtype=torch.float64), torch.zeros_like(weight)
    for part in (slice(0, 1), slice(1, 8), slice(8, 13)):
        piece = gradients(hidden[part], weight, targets[part], objective, num_items=torch.tensor(count))
        loss, grad = loss + piece[0], grad + piece[2][1]
    torch.testing.assert_close(loss, whole[0], **EXACT)
    torch.testing.assert_close(grad, whole[2][1], **EXACT)


def test_gradient_ignores_a_shift_of_all_logits(objective: Objective) -> None:
    if any(term.name in ("mse", "z_loss") for _, term in objective.parts):
        pytest.skip("a function of the raw logits, not of p")
    logits = torch.randn(5, 11, generator=torch.Generator().manual_seed(11), dtype=torch.float64).requires_grad_()
    loss, _ = linear_objective(logits, torch.eye(11, dtype=torch.float64), torch.arange(5), objective)
    (grad,) = torch.autograd.grad(loss, [logits])
    torch.testing.assert_close(grad.sum(-1), torch.zeros(5, dtype=torch.float64), **EXACT)


def test_reads_back_and_pickles(objective: Objective) -> None:
    assert Objective(str(objective)) == objective
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert hash(Objective(str(objective))) == hash(objective)
