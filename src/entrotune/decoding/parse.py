"""Text → the parts of a strategy: `temperature(0.7) + top_p(0.9)`, read by `ast` and never evaluated."""

import ast
import dataclasses
import difflib

import entrotune.decoding.parts  # noqa: F401  (registers the parts)
from entrotune.decoding.part import PARTS, Part, signature
from entrotune.errors import UserError

# What one may look for under another name.
_ELSEWHERE = {
    "contrastive": "contrastive search is written contrastive_search(k=4, alpha=0.6)",
    "group_beam": "beams in groups are written diverse_beam(beams=4, groups=4, diversity=0.5)",
    "constrained_beam": "words that responses must have are given with --force_words, beside beam(beams=8)",
}


class StrategyError(UserError):
    """A strategy that cannot be read, with the place marked."""

    def __init__(self, message: str, text: str, start: int = 0, end: int | None = None) -> None:
        end = len(text) if end is None else end
        super().__init__(f"{message}\n  {text}\n  {' ' * start}{'^' * max(1, end - start)}\nParts: {known_parts()}")


def known_parts() -> str:
    """Every part with its arguments, in the order in which they are applied."""
    return ", ".join(signature(part) for part in sorted(PARTS.values(), key=lambda part: (part.place, part.name)))


def parse(text: str) -> list[Part]:
    """The parts of a strategy, as they are written.

    Raises:
        StrategyError: a name, argument or sign is wrong; the message marks the place.
    """
    text = " ".join(text.split())
    if not text.isascii() or not text:
        place = next((i for i, character in enumerate(text) if not character.isascii()), 0)
        raise StrategyError("a strategy is a sum of parts such as temperature(0.8) + top_p(0.95)", text, place)
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = min(max((getattr(error, "offset", 1) or 1) - 1, 0), len(text))
        raise StrategyError("the strategy is not a sum of parts", text, place, place + 1) from None
    return _summed(tree.body, text)


def _summed(node: ast.expr, text: str) -> list[Part]:
    parts: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts.insert(0, node.right)
        node = node.left
    return [_part(one, text) for one in (node, *parts)]


def _part(node: ast.expr, text: str) -> Part:
    def error(message: str, at: ast.AST = node) -> StrategyError:
        return StrategyError(message, text, at.col_offset, at.end_col_offset)  # type: ignore[attr-defined]

    name = node.func if isinstance(node, ast.Call) else node
    if not isinstance(name, ast.Name):
        raise error("expected a part such as top_k(50); parts are joined by +")
    if name.id in _ELSEWHERE:
        raise error(_ELSEWHERE[name.id], name)
    if name.id not in PARTS:
        near = difflib.get_close_matches(name.id, PARTS, n=1)
        raise error(f"unknown part {name.id!r}{f'; did you mean {near[0]!r}?' if near else ''}", name)
    cls = PARTS[name.id]
    given = _arguments(node, cls, error) if isinstance(node, ast.Call) else {}
    missing = [
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.name not in given
    ]
    if missing:
        raise error(f"{cls.name} needs {missing[0]}; it is written {signature(cls)}")
    try:
        return cls(**given)
    except ValueError as problem:
        raise error(str(problem)) from None


def _arguments(call: ast.Call, cls: type[Part], error) -> dict[str, float]:  # type: ignore[no-untyped-def]
    names = [field.name for field in dataclasses.fields(cls)]
    if len(call.args) > len(names):
        raise error(f"{cls.name} takes {len(names)} argument(s): {signature(cls)}", call.args[len(names)])
    given = {name: _number(node, error) for name, node in zip(names, call.args, strict=False)}
    for keyword in call.keywords:
        if keyword.arg not in names:
            raise error(f"{cls.name} has no argument {keyword.arg!r}; it is written {signature(cls)}", keyword)
        if keyword.arg in given:
            raise error(f"{cls.name} got {keyword.arg} twice", keyword)
        given[keyword.arg] = _number(keyword.value, error)
    return given


def _number(node: ast.expr, error) -> float:  # type: ignore[no-untyped-def]
    sign = 1
    inner = node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner, sign = node.operand, -1 if isinstance(node.op, ast.USub) else 1
    is_number = isinstance(inner, ast.Constant) and isinstance(inner.value, int | float)
    if not is_number or isinstance(inner.value, bool):  # type: ignore[attr-defined]
        raise error("an argument must be a number", node)
    return sign * inner.value  # type: ignore[attr-defined]
