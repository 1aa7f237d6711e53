"""The suite every term joins by being registered: gradients, statistics and behaviour at the edges."""

import pickle

import pytest
import torch

from backends import DEVICE, EVERY, FUSED, Way
from entrotune.kernels import Reference, linear_objective
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
    "kl(ref, reverse=true)",
    "kl(ref, temperature=2)",
    "kl(ref, reverse=true, temperature=0.7)",
    "jsd(ref, weight=0.1, temperature=1.5)",
    "alpha_divergence(ref, a=0.3)",
    "alpha_divergence(ref, a=1)",
    "alpha_divergence(ref, a=1.3, temperature=2)",
    "ce - 0.1*entropy + 0.05*kl(ref)",
    "gem(beta=0.7) + kl(ref) + 0.5*kl(ref, reverse=true) + jsd(ref, weight=0.4) + alpha_divergence(ref, a=0.6)",
    "gem(beta=0.5) + 0.2*tsallis(q=2) - 0.1*renyi(q=2) + 0.3*label_smoothing + 0.05*varentropy + 0.01*z_loss + mse",
]
ALL = sorted(TERMS) + VARIANTS
MOMENTS_OF_LOGITS = ("mse", "label_smoothing")


@pytest.fixture(params=ALL)
def objective(request: pytest.FixtureRequest) -> Objective:
    return Objective(request.param)


@pytest.fixture(params=FUSED, ids=str)
def fused(request: pytest.FixtureRequest) -> Way:
    return request.param


def problem(seed: int, *, rows: int = 13, width: int = 12, vocabulary: int = 57, dtype: torch.dtype = torch.float64):
    """Hidden states, head, targets (three of them ignored) and a reference of another width."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)

    hidden, weight = draw(rows, width).requires_grad_(), draw(vocabulary, width).requires_grad_()
    targets = torch.randint(vocabulary, (rows,), generator=generator).to(DEVICE)
    targets[[0, 4, rows - 1]] = -100
    return hidden, weight, targets, Reference(draw(rows, 5), draw(vocabulary, 5))


def gradients(hidden, weight, targets, reference, objective, **options):
    """Loss, statistics and gradients; the reference is passed where the objective has a use for it."""
    reference = reference if objective.needs.reference else None
    loss, stats = linear_objective(hidden, weight, targets, objective, reference=reference, **options)
    return loss, stats, torch.autograd.grad(loss, [hidden, weight])


def at(part: slice, hidden, weight, targets, reference):
    """Some rows of a problem."""
    return hidden[part], weight, targets[part], Reference(reference.hidden[part], reference.weight)


def doubled(hidden, weight, targets, reference):
    """A problem's numbers in float64."""
    hidden, weight = (t.detach().double().requires_grad_() for t in (hidden, weight))
    return hidden, weight, targets, Reference(reference.hidden.double(), reference.weight.double())


@pytest.mark.parametrize("seed", [0, 1])
def test_gradient_matches_finite_differences(objective: Objective, seed: int) -> None:
    # An identity head makes the hidden states the logits, so the whole row of the gradient is seen.
    vocabulary, step = 9, 1e-5
    generator = torch.Generator().manual_seed(seed)
    logits, others = (2 * torch.randn(4, vocabulary, generator=generator, dtype=torch.float64) for _ in range(2))
    targets = torch.randint(vocabulary, (4,), generator=generator)
    head = torch.eye(vocabulary, dtype=torch.float64)
    rows = logits.clone().requires_grad_()
    reference = Reference(others, head) if objective.needs.reference else None
    loss, _ = linear_objective(rows, head, targets, objective, num_items=1, backend="torch", reference=reference)
    (found,) = torch.autograd.grad(loss, [rows])

    def value(changed: torch.Tensor) -> torch.Tensor:
        fixed = [(c, term, others if term.needs().reference else logits) for c, term in objective.parts]
        return sum(c * term.exact(changed, targets, other) for c, term, other in fixed)

    for j in range(vocabulary):
        shift = torch.zeros_like(logits)
        shift[:, j] = step
        expected = (value(logits + shift) - value(logits - shift)) / (2 * step)
        torch.testing.assert_close(found[:, j], expected, **FINITE_DIFFERENCE)


@pytest.mark.parametrize("seed", [2, 3])
def test_fused_equals_reference(objective: Objective, fused: Way, seed: int) -> None:
    # Five rows of logits (two with a reference) make several chunks, the last one ragged.
    found = gradients(
        *problem(seed, dtype=fused.dtype), objective, backend=fused.backend, chunk_bytes=57 * fused.dtype.itemsize * 5
    )
    truth = gradients(*doubled(*problem(seed, dtype=fused.dtype)), objective, backend="reference")
    torch.testing.assert_close(found[0].double(), truth[0], **fused.tolerance)
    for ours, expected in zip(found[2], truth[2], strict=True):
        torch.testing.assert_close(ours.double(), expected, **fused.tolerance)
    for name in ("loss", "nll", "entropy", "varentropy", "lse", "target_logit"):
        torch.testing.assert_close(getattr(found[1], name).double(), getattr(truth[1], name), **fused.tolerance)
    assert torch.equal(found[1].is_top1, truth[1].is_top1)
    assert torch.equal(found[1].mask, truth[1].mask)


def test_float32_is_close_to_float64(objective: Objective) -> None:
    truth = gradients(*problem(4), objective, backend="reference")
    single = gradients(*problem(4, dtype=torch.float32), objective, backend="torch")
    torch.testing.assert_close(single[0].double(), truth[0], **SINGLE)
    for found, expected in zip(single[2], truth[2], strict=True):
        torch.testing.assert_close(found.double(), expected, **SINGLE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_no_worse_than_the_plain_way(objective: Objective, fused: Way, dtype: torch.dtype) -> None:
    rows = 301 if fused.backend == "torch" or DEVICE.type == "cuda" else 23
    hidden, weight, targets, reference = problem(5, rows=rows, width=64, vocabulary=997, dtype=dtype)
    with torch.no_grad():
        hidden /= 4  # keeps float16 in range for α-divergences above 1
    truth = gradients(*doubled(hidden, weight, targets, reference), objective, backend="reference")
    others = reference.hidden @ reference.weight.T if objective.needs.reference else None
    plain_loss, _ = objective.from_logits(hidden @ weight.T, targets, reference_logits=others)
    plain = torch.autograd.grad(plain_loss, [hidden, weight])
    found = gradients(hidden, weight, targets, reference, objective, backend=fused.backend, chunk_bytes=997 * 2 * 64)
    # The same roundings (logits and their gradient to half precision) in another order: equal up to their scatter. The
    # interpreter of Triton cuts bfloat16 off where a GPU rounds, the gradient of the logits and what is returned: each
    # cut is twice as far off as a rounding in the mean square, and both are in the same direction.
    cuts = fused.backend == "triton" and DEVICE.type == "cpu" and dtype == torch.bfloat16
    for expected, ours, theirs in zip(truth[2], found[2], plain, strict=True):
        assert error_against(expected, ours) <= (3.3 if cuts else 1.1) * error_against(expected, theirs) + 1e-3


def test_coefficients_multiply(objective: Objective, fused: Way) -> None:
    inputs = problem(6, dtype=fused.dtype)
    once = gradients(*inputs, objective, backend=fused.backend)
    thrice = gradients(*inputs, 3 * objective, backend=fused.backend)
    torch.testing.assert_close(thrice[0], 3 * once[0], **fused.tolerance)
    torch.testing.assert_close(thrice[2][1], 3 * once[2][1], **fused.tolerance)


def test_ignored_positions_count_for_nothing(objective: Objective, fused: Way) -> None:
    hidden, weight, targets, reference = problem(7, dtype=fused.dtype)
    kept = targets != -100
    whole = gradients(hidden, weight, targets, reference, objective, backend=fused.backend)
    with torch.no_grad():
        hidden[~kept] = float("nan")
        reference.hidden[~kept] = float("nan")
    poisoned = gradients(hidden, weight, targets, reference, objective, backend=fused.backend)
    torch.testing.assert_close(poisoned[0], whole[0], **fused.tolerance)
    torch.testing.assert_close(poisoned[2][1], whole[2][1], **fused.tolerance)
    assert not poisoned[2][0][~kept].any()
    assert not poisoned[1].nll[~kept].any()
    assert torch.equal(poisoned[1].mask, kept)


@pytest.mark.parametrize("way", EVERY, ids=str)
def test_no_supervised_token_gives_zero(objective: Objective, way: Way) -> None:
    hidden, weight, targets, reference = problem(8, dtype=way.dtype)
    targets = torch.full_like(targets, -100)
    loss, stats, grads = gradients(hidden, weight, targets, reference, objective, backend=way.backend)
    assert loss.item() == 0
    assert not grads[0].any()
    assert not grads[1].any()
    assert not stats.mask.any()


@pytest.mark.parametrize("way", EVERY, ids=str)
@pytest.mark.parametrize("impossible", [slice(50, 57), slice(0, 40)], ids=["padding", "first"])
def test_impossible_tokens(objective: Objective, way: Way, impossible: slice) -> None:
    hidden, weight, targets, reference = problem(9, dtype=way.dtype)
    possible = torch.ones(57, dtype=torch.bool, device=DEVICE)
    possible[impossible] = False
    bias = torch.zeros(57, dtype=way.dtype, device=DEVICE).masked_fill(~possible, -torch.inf)
    targets[targets >= 0] = 41 + targets[targets >= 0] % 9
    reference = Reference(reference.hidden, reference.weight, bias)
    loss, stats, grads = gradients(hidden, weight, targets, reference, objective, bias=bias, backend=way.backend)
    assert stats.entropy.isfinite().all()
    if any(term.name in MOMENTS_OF_LOGITS for _, term in objective.parts):
        assert loss.isposinf()  # these terms average over every logit, possible or not
        return
    assert loss.isfinite()
    assert grads[0].isfinite().all()
    assert not grads[1][impossible].any()
    kept = Reference(reference.hidden, reference.weight[possible])
    names = torch.cumsum(possible, 0) - 1
    renamed = torch.where(targets >= 0, names[targets.clamp(min=0)], targets)
    cut = gradients(hidden, weight[possible].detach().requires_grad_(), renamed, kept, objective, backend=way.backend)
    torch.testing.assert_close(loss, cut[0], **way.tolerance)
    torch.testing.assert_close(grads[0], cut[2][0], **way.tolerance)


@pytest.mark.parametrize("size", [1e3, 1e4])
def test_large_logits_stay_finite(objective: Objective, fused: Way, size: float) -> None:
    if any(getattr(term, "a", 0) > 1 for _, term in objective.parts):
        pytest.skip("an α-divergence above 1 grows exponentially in the nll, by definition")
    logits = torch.zeros(3, 8, device=DEVICE)
    logits[0, 2], logits[1, 3], logits[2] = size, -size, size
    rows, head = logits.clone().requires_grad_(), torch.eye(8, device=DEVICE)
    reference = Reference(-logits, head) if objective.needs.reference else None
    targets = torch.tensor([2, 3, 4], device=DEVICE)
    loss, stats = linear_objective(rows, head, targets, objective, backend=fused.backend, reference=reference)
    (grad,) = torch.autograd.grad(loss, [rows])
    assert loss.isfinite()
    assert grad.isfinite().all()
    torch.testing.assert_close(stats.entropy[2].cpu(), torch.tensor(8.0).log())


def test_any_split_adds_up(objective: Objective, fused: Way) -> None:
    inputs = problem(10, dtype=fused.dtype)
    count = (inputs[2] != -100).sum()
    whole = gradients(*inputs, objective, backend=fused.backend)
    loss, grad = torch.zeros_like(whole[0]), torch.zeros_like(whole[2][1])
    for part in (slice(0, 1), slice(1, 8), slice(8, 13)):
        piece = gradients(*at(part, *inputs), objective, num_items=count, backend=fused.backend)
        loss, grad = loss + piece[0], grad + piece[2][1]
    torch.testing.assert_close(loss, whole[0], **fused.tolerance)
    torch.testing.assert_close(grad, whole[2][1], **fused.tolerance)


def test_gradient_ignores_a_shift_of_all_logits(objective: Objective) -> None:
    if any(term.name in ("mse", "z_loss") for _, term in objective.parts):
        pytest.skip("a function of the raw logits, not of p")
    generator = torch.Generator().manual_seed(11)
    logits, others = (torch.randn(5, 11, generator=generator, dtype=torch.float64) for _ in range(2))
    rows, head = logits.requires_grad_(), torch.eye(11, dtype=torch.float64)
    reference = Reference(others, head) if objective.needs.reference else None
    loss, _ = linear_objective(rows, head, torch.arange(5), objective, reference=reference)
    (grad,) = torch.autograd.grad(loss, [rows])
    torch.testing.assert_close(grad.sum(-1), torch.zeros(5, dtype=torch.float64), **EXACT)


def test_reads_back_and_pickles(objective: Objective) -> None:
    assert Objective(str(objective)) == objective
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert hash(Objective(str(objective))) == hash(objective)
