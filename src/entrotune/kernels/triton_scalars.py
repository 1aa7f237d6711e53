"""An objective's arithmetic on row statistics, as a Triton device function.

Terms are written once, with PyTorch operations on [N] vectors. Here they are traced with one symbol a statistic, and
the trace is written down as a function of scalars, so that one kernel can take statistics, know its coefficients and
write the gradient. What the terms are multiplied with is an argument too: weights that change every step compile once,
and rows may have their own.
"""

import functools
import hashlib
import linecache
import operator
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
import triton
import triton.language as tl
from torch import fx

from entrotune.errors import UserError
from entrotune.kernels import triton_math
from entrotune.objectives import Coefficients, Rows, Term

INPUTS = tuple(f.name for f in fields(Rows) if f.name != "vocabulary")
WEIGHTS = "weights"
OUTPUTS = ("value", *(f.name for f in fields(Coefficients)))


@dataclass(frozen=True)
class Scalars:
    """Compiled terms.

    Attributes:
        function: a Triton device function of `INPUTS` and the weight of each term, that returns `OUTPUTS`.
        used: the scalars of the gradient that are anything but 0.
    """

    function: Any
    used: frozenset[str]


@functools.lru_cache(maxsize=256)
def compile_scalars(terms: tuple[Term, ...], vocabulary: int, *, by_row: bool = False) -> Scalars:
    """Trace the weighted sum of `terms` for rows of `vocabulary` logits.

    The weights are a tuple, or in memory where they go `by_row`.

    Raises:
        UserError: a term uses an operation that the trace has no translation for.
    """
    graph = fx.Graph()
    tracer = fx.proxy.GraphAppendingTracer(graph)
    symbols = {name: fx.Proxy(graph.placeholder(name), tracer) for name in INPUTS}
    weights = [fx.Proxy(graph.placeholder(f"{WEIGHTS}_{index}"), tracer) for index in range(len(terms))]
    rows = Rows(vocabulary=vocabulary, **symbols)  # type: ignore[arg-type]
    read = f"tl.load({WEIGHTS} + {{}})" if by_row else f"{WEIGHTS}[{{}}]"
    lines = [f"    {_operand(weight.node)} = {read.format(index)}" for index, weight in enumerate(weights)]
    try:
        traced = _weighted_sum(terms, weights, rows)
        nodes = [node for node in graph.nodes if node.op != "placeholder"]
        lines += [f"    {_operand(node)} = {_written(node)}" for node in nodes]
    except (fx.proxy.TraceError, _UnknownOperationError) as error:
        shown = ", ".join(map(str, terms))
        raise UserError(f"the triton backend cannot trace {shown}: {error}; use backend='torch'") from None
    results = ", ".join(_operand(v.node if isinstance(v, fx.Proxy) else v) for v in traced)
    body = "\n".join(lines)
    inputs = ", ".join([*(_operand(symbol.node) for symbol in symbols.values()), WEIGHTS])
    source = f"def scalars({inputs}):\n{body}\n    return {results}\n"
    used = {name for name, v in zip(OUTPUTS[1:], traced[1:], strict=True) if isinstance(v, fx.Proxy)}
    return Scalars(_jitted(source), frozenset(used))


def _weighted_sum(terms: tuple[Term, ...], weights: list[Any], rows: Rows) -> list[Any]:
    """The traced `OUTPUTS`; what is 0 in every term stays the number 0."""
    totals: list[Any] = [0.0] * len(OUTPUTS)
    for term, weight in zip(terms, weights, strict=True):
        for index, value in enumerate((term.value(rows), *_values(term.coefficients(rows)))):
            if isinstance(value, fx.Proxy) or value != 0.0:
                part = weight * value
                totals[index] = totals[index] + part if isinstance(totals[index], fx.Proxy) else part
    return totals


def _values(coefficients: Coefficients) -> list[Any]:
    return [getattr(coefficients, f.name) for f in fields(coefficients)]


def _jitted(source: str) -> Any:
    """The function of a source text; Triton reads sources through `linecache`, and caches by name and text."""
    name = f"scalars_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    source = source.replace("def scalars(", f"def {name}(", 1)
    path = f"<entrotune {name}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    names: dict[str, Any] = {"__name__": __name__, "tl": tl, **_HELPERS}
    exec(compile(source, path, "exec"), names)
    return triton.jit(names[name])


_HELPERS = {name: getattr(triton_math, name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "maximum", "minimum")}
_HELPERS |= {name: getattr(triton_math, name) for name in ("where", "absolute", "sigmoid")}


def _operand(value: Any) -> str:
    if isinstance(value, fx.Node):
        return f"v_{value.name}"  # no function of that name
    return repr(float(value)) if not isinstance(value, bool) else repr(value)


class _UnknownOperationError(ValueError):
    """An operation without a translation."""


def _written(node: fx.Node) -> str:
    """The right-hand side of a traced operation."""
    key = node.target if node.op == "call_method" else _FUNCTIONS.get(node.target)
    write = _OPERATIONS.get(key) if node.op in ("call_function", "call_method") else None  # type: ignore[arg-type]
    if write is None:
        called = getattr(node.target, "__name__", node.target)
        raise _UnknownOperationError(f"there is no translation of {called}; there are {', '.join(sorted(_OPERATIONS))}")
    return write(*node.args, **node.kwargs)


def _call(name: str) -> Callable[..., str]:
    return lambda *values: f"{name}({', '.join(map(_operand, values))})"


def _infix(sign: str) -> Callable[..., str]:
    return lambda left, right: f"{_operand(left)} {sign} {_operand(right)}"


def _power(base: Any, exponent: Any) -> str:
    """Products for small whole exponents, which keep signs; else exp(k log x)."""
    if isinstance(exponent, fx.Node):
        return f"exp({_operand(exponent)} * log({_operand(base)}))"
    if exponent == 0:
        return f"{_operand(base)} * 0.0 + 1.0"
    if exponent in (1, 2, 3, 4):
        return " * ".join([_operand(base)] * int(exponent))
    return f"exp({float(exponent)!r} * log({_operand(base)}))"


def _clamp(value: Any, min: Any = None, max: Any = None) -> str:
    written = _operand(value)
    if min is not None:
        written = f"maximum({written}, {_operand(min)})"
    return written if max is None else f"minimum({written}, {_operand(max)})"


_OPERATIONS: dict[str, Callable[..., str]] = {
    "add": _infix("+"),
    "sub": _infix("-"),
    "mul": _infix("*"),
    "div": _infix("/"),
    "eq": _infix("=="),
    "lt": _infix("<"),
    "gt": _infix(">"),
    "neg": lambda value: f"-{_operand(value)}",
    "pow": _power,
    "square": lambda value: _power(value, 2),
    "clamp": _clamp,
    "where": _call("where"),
    "maximum": _call("maximum"),
    "minimum": _call("minimum"),
    "abs": _call("absolute"),
    "zeros_like": lambda value: f"{_operand(value)} * 0.0",
    "ones_like": lambda value: f"{_operand(value)} * 0.0 + 1.0",
    **{name: _call(name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "sigmoid")},
}

_FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.truediv: "div",
    operator.pow: "pow",
    operator.neg: "neg",
    operator.eq: "eq",
    operator.lt: "lt",
    operator.gt: "gt",
    **{getattr(torch, name): name for name in _OPERATIONS if hasattr(torch, name)},
}
