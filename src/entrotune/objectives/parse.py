"""Text → terms with coefficients: `0.5*(ce - alpha*entropy) + gem(beta=0.7)`.

The grammar is Python's own for sums, products and calls, read by `ast` and never evaluated. A word that multiplies a
term and is none itself is the name of a coefficient.
"""

import ast
import difflib
import math
from dataclasses import dataclass, fields

from entrotune.errors import UserError
from entrotune.objectives.factor import Factor, Names
from entrotune.objectives.rows import Needs
from entrotune.objectives.term import TERMS, Term, number, signature


@dataclass(frozen=True)
class Placed:
    """A term, its coefficient and where in the text it stands."""

    coefficient: Factor
    term: Term
    node: ast.expr


class ObjectiveError(UserError):
    """An objective that cannot be read, with the place marked."""

    def __init__(self, message: str, text: str, start: int = 0, end: int | None = None) -> None:
        end = len(text) if end is None else end
        marks = " " * start + "^" * max(1, end - start)
        super().__init__(f"{message}\n  {text}\n  {marks}\nTerms: {known_terms()}")


def known_terms() -> str:
    """Every term with its arguments, in one line."""
    return ", ".join(signature(TERMS[name]) for name in sorted(TERMS))


def parse(text: str) -> list[tuple[float, Names, Term]]:
    """Read an objective: numbers, the names they are multiplied with, and terms.

    Raises:
        ObjectiveError: a name, argument, operator or coefficient is wrong; the message marks the place.
    """
    text = " ".join(text.split())
    if not text:
        raise ObjectiveError("the objective is empty", text)
    if not text.isascii():
        place = next(i for i, character in enumerate(text) if not character.isascii())
        raise ObjectiveError(f"unexpected character {text[place]!r} in the objective", text, place, place + 1)
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = min(max((getattr(error, "offset", 1) or 1) - 1, 0), len(text))
        raise ObjectiveError("the objective is not a sum of terms", text, place, place + 1) from None
    placed = _Reader(text).sum_of(tree.body)
    _check(placed, text)
    return [(number, names, p.term) for p in placed for number, names in p.coefficient]


def _check(placed: list[Placed], text: str) -> None:
    needs = Needs()
    for p in placed:
        span = (p.node.col_offset, p.node.end_col_offset)
        try:
            needs = needs | p.term.needs()
        except ValueError as error:
            raise ObjectiveError(str(error), text, *span) from None


class _Reader:
    """Walks the syntax tree of one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def error(self, message: str, node: ast.AST) -> ObjectiveError:
        """An error at `node`."""
        return ObjectiveError(message, self.text, node.col_offset, node.end_col_offset)  # type: ignore[attr-defined]

    def sum_of(self, node: ast.expr) -> list[Placed]:
        """The terms of an expression that must have at least one."""
        result = self.read(node)
        if isinstance(result, Factor):
            raise self.no_term(result, node)
        return result

    def no_term(self, factor: Factor, node: ast.expr) -> ObjectiveError:
        """The error where a coefficient stands alone: a term that is not known, or a number."""
        if factor.value is not None:
            return self.error(f"the number {number(factor.value)} stands where a term is expected", node)
        return self.unknown(next(n for n in ast.walk(node) if isinstance(n, ast.Name)))

    def read(self, node: ast.expr) -> Factor | list[Placed]:
        """A coefficient or a sum of terms."""
        if isinstance(node, ast.BinOp):
            return self.operation(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            return self.scaled(-1.0 if isinstance(node.op, ast.USub) else 1.0, self.read(node.operand))
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            if not math.isfinite(node.value):
                raise self.error("a coefficient must be a finite number", node)
            return Factor.number(float(node.value))
        if isinstance(node, ast.Name) and node.id not in TERMS:
            if node.id.lower() in ("nan", "inf", "infinity"):
                raise self.error("a coefficient must be a finite number", node)
            return Factor({(node.id,): 1.0})
        if isinstance(node, ast.Name):
            return [Placed(Factor.number(1.0), self.term(node, node, {}), node)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return [Placed(Factor.number(1.0), self.term(node.func, node, self.arguments(node)), node)]
        raise self.error("expected a term, a number, + - * / or parentheses", node)

    def operation(self, node: ast.BinOp) -> Factor | list[Placed]:
        """A sum, difference, product or quotient."""
        if not isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
            raise self.error("terms combine by + and -, and with numbers by * and /", node)
        left, right = self.read(node.left), self.read(node.right)
        if isinstance(node.op, (ast.Add, ast.Sub)):
            right = self.scaled(1.0 if isinstance(node.op, ast.Add) else -1.0, right)
            if isinstance(left, Factor) and isinstance(right, Factor):
                return left + right
            for side, place in ((left, node.left), (right, node.right)):
                if isinstance(side, Factor):
                    raise self.no_term(self.read(place), place)  # type: ignore[arg-type]
            return [*left, *right]
        if isinstance(right, list) and (isinstance(left, list) or isinstance(node.op, ast.Div)):
            raise self.error("a term can be multiplied or divided by a number only", node)
        if isinstance(node.op, ast.Div):
            return self.scaled(1.0 / self.divisor(right, node), left)  # type: ignore[arg-type]
        try:
            return self.scaled(left, right) if isinstance(left, Factor) else self.scaled(right, left)  # type: ignore[arg-type]
        except ObjectiveError:
            raise
        except ValueError as error:
            raise self.error(str(error), node) from None

    def divisor(self, factor: Factor, node: ast.BinOp) -> float:
        """A number to divide by."""
        if factor.value is None:
            raise self.error("divide by a number; a named coefficient can only be multiplied with", node.right)
        if factor.value == 0:
            raise self.error("division by zero", node)
        return factor.value

    @staticmethod
    def scaled(factor: Factor | float, value: Factor | list[Placed]) -> Factor | list[Placed]:
        """`factor` times a coefficient or a sum."""
        if isinstance(value, Factor):
            return value * factor
        return [Placed(p.coefficient * factor, p.term, p.node) for p in value]

    def arguments(self, call: ast.Call) -> dict[str, ast.expr]:
        """The arguments of a call by name; by position, words go to what is a word and numbers to what is a number."""
        cls = self.lookup(call.func)  # type: ignore[arg-type]
        names = [f.name for f in fields(cls)]
        if len(call.args) > len(names):
            raise self.error(f"{cls.name} takes {len(names)} argument(s): {signature(cls)}", call.args[len(names)])
        given: dict[str, ast.expr] = {}
        for node in call.args:
            is_word = isinstance(node, ast.Name) and node.id.lower() not in ("true", "false")
            free = [f for f in fields(cls) if f.name not in given]
            given[next((f.name for f in free if (f.type is str) == is_word), free[0].name)] = node
        for keyword in call.keywords:
            if keyword.arg not in names:
                message = f"{cls.name} has no argument {keyword.arg!r}; it is written {signature(cls)}"
                raise self.error(message, keyword)
            if keyword.arg in given:
                raise self.error(f"{cls.name} got {keyword.arg} twice", keyword)
            given[keyword.arg] = keyword.value
        return given

    def lookup(self, name: ast.Name) -> type[Term]:
        """The term class of a name."""
        if name.id in TERMS:
            return TERMS[name.id]
        raise self.unknown(name)

    def unknown(self, name: ast.Name) -> ObjectiveError:
        """The error of a name that is no term."""
        near = difflib.get_close_matches(name.id, TERMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return self.error(f"unknown term {name.id!r}{hint}", name)

    def term(self, name: ast.Name, whole: ast.expr, arguments: dict[str, ast.expr]) -> Term:
        """The term of a name and its arguments."""
        cls = self.lookup(name)
        try:
            return cls(**{key: self.value(node) for key, node in arguments.items()})
        except ObjectiveError:
            raise
        except ValueError as error:
            raise self.error(str(error), whole) from None

    def value(self, node: ast.expr) -> float | str | bool:
        """An argument: a number, a word or true/false."""
        if isinstance(node, ast.Name):
            return {"true": True, "false": False}.get(node.id.lower(), node.id)
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self.value(node.operand)
            if isinstance(inner, (int, float)) and not isinstance(inner, bool):
                return -inner
        raise self.error("an argument must be a number or a word", node)
