"""What is measured: shapes, their inputs, and the exact gradients of these inputs.

Shapes of tensors: N tokens, D width, V vocabulary.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from entrotune.objectives import Objective

BETA = 0.7
# Spread of the logits of a row, and the share of rows whose target is the token that the hidden state points to.
SPREAD, RIGHT = 2.0, 0.7


@dataclass(frozen=True)
class Shape:
    """Tokens, width and vocabulary."""

    tokens: int
    width: int
    vocabulary: int

    def __str__(self) -> str:
        return f"{self.tokens}x{self.width}x{self.vocabulary}"

    def flops(self, products: int) -> int:
        """Floating-point operations of that many products of hidden states with the head."""
        return 2 * products * self.tokens * self.width * self.vocabulary


SHAPES: tuple[Shape, ...] = (
    Shape(8192, 4096, 128256),
    Shape(16384, 2048, 128256),
    Shape(8192, 2304, 256000),
    Shape(16384, 576, 49152),
    Shape(32768, 2048, 151936),
)
TOY_SHAPES: tuple[Shape, ...] = (Shape(6, 16, 300),)


@dataclass
class Inputs:
    """Tensors of one call: hidden [N, D] and weight [V, D] with gradient, targets [N]."""

    hidden: Tensor
    weight: Tensor
    targets: Tensor

    def forget(self) -> None:
        """Drop the gradients of the last call."""
        self.hidden.grad = self.weight.grad = None


def make_inputs(shape: Shape, device: torch.device, dtype: torch.dtype, seed: int = 0) -> Inputs:
    """A moderately peaked distribution, so that methods which skip small gradients have work left.

    Logits are normal with standard deviation 2, and each hidden state points to one token, raised until its
    probability is about a half: sigmoid of a normal with standard deviation 2 over the rows. That token is the target
    of 7 rows in 10; other targets are drawn evenly.
    """
    generator = torch.Generator(device).manual_seed(seed)
    weight = torch.randn(shape.vocabulary, shape.width, generator=generator, device=device)
    weight *= SPREAD / math.sqrt(shape.width)
    hidden = torch.randn(shape.tokens, shape.width, generator=generator, device=device)
    pointed = torch.randint(shape.vocabulary, (shape.tokens,), generator=generator, device=device)
    raised = math.log(shape.vocabulary) + SPREAD**2 / 2
    hidden += raised / SPREAD**2 * weight[pointed]
    other = torch.randint(shape.vocabulary, (shape.tokens,), generator=generator, device=device)
    right = torch.rand(shape.tokens, generator=generator, device=device) < RIGHT
    targets = torch.where(right, pointed, other)
    return Inputs(hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets)


def plain_ce(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of float logits."""
    return F.cross_entropy(logits, targets)


def plain_entropic(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of ce - 0.1*entropy."""
    log_p = torch.log_softmax(logits, -1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return (F.nll_loss(log_p, targets, reduction="none") - 0.1 * entropy).mean()


def plain_gem(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of gem(beta=0.7): q is held fixed."""
    with torch.no_grad():
        q = torch.softmax(logits / BETA, -1)
    log_p = torch.log_softmax(logits, -1)
    return ((q * log_p).sum(-1) + F.nll_loss(log_p, targets, reduction="none")).mean()


PLAIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": plain_ce,
    "ce - 0.1*entropy": plain_entropic,
    "gem(beta=0.7)": plain_gem,
}


def truth(inputs: Inputs, objective: str, *, bytes_at_once: int = 1 << 30) -> tuple[Tensor, Tensor]:
    """Gradients [N, D] and [V, D] of the mean of `objective`, in float64 throughout, by autograd on chunks of rows."""
    weight = inputs.weight.detach().double()
    d_hidden = torch.empty_like(inputs.hidden, dtype=torch.float64)
    d_weight = torch.zeros_like(weight)
    total = inputs.hidden.shape[0]
    rows = max(1, bytes_at_once // (8 * weight.shape[0]))
    for start in range(0, total, rows):
        part = slice(start, min(start + rows, total))
        hidden, targets = inputs.hidden[part].detach().double(), inputs.targets[part]
        logits = (hidden @ weight.T).requires_grad_()
        if objective in PLAIN:
            loss = PLAIN[objective](logits, targets)
        else:
            loss = Objective(objective).from_logits(logits, targets)[0]
        (grad,) = torch.autograd.grad(loss * (hidden.shape[0] / total), logits)
        d_hidden[part] = grad @ weight
        d_weight.addmm_(grad.T, hidden)
    return d_hidden, d_weight


def mean_entropy(inputs: Inputs, rows: int = 512) -> float:
    """Nats, over the first rows."""
    log_p = torch.log_softmax((inputs.hidden[:rows].detach() @ inputs.weight.detach().T).float(), -1)
    return float(-(log_p.exp() * log_p).sum(-1).mean())


def error(found: Tensor | None, exact: Tensor) -> float | None:
    """‖found − exact‖ / ‖exact‖."""
    if found is None:
        return None
    squares = torch.zeros((), dtype=torch.float64, device=exact.device)
    for mine, right in zip(found.split(8192), exact.split(8192), strict=True):
        squares += (mine.double() - right).square().sum()
    return float(squares.sqrt() / exact.norm())
