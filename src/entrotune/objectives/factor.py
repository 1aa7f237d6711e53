"""What a term is multiplied with: a number, or numbers times names that get their values later."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

Names = tuple[str, ...]


class Factor:
    """A sum of numbers times products of names, such as 0.5 + 2·alpha·beta. No name stands twice in a product.

    Args:
        products: each product of names, in order, with its number; the empty product is the number alone.
    """

    __slots__ = ("products",)

    def __init__(self, products: Mapping[Names, float]) -> None:
        self.products = dict(products)

    @classmethod
    def number(cls, value: float) -> Self:
        """A number without names."""
        return cls({(): value})

    @property
    def value(self) -> float | None:
        """The number, where there is no name."""
        return self.products.get((), 0.0) if not any(self.products) else None

    def __iter__(self) -> Iterator[tuple[float, Names]]:
        return iter((number, names) for names, number in self.products.items())

    def __add__(self, other: Self) -> Self:
        return type(self)(_summed([*self.products.items(), *other.products.items()]))

    def __mul__(self, other: "Factor | float") -> Self:
        """The product; a `ValueError` where a name would stand twice in it."""
        others = other.products if isinstance(other, Factor) else {(): other}
        pairs = [((*a, *b), x * y) for a, x in self.products.items() for b, y in others.items()]
        for names, _ in pairs:
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"{twice} is multiplied with itself; give another name the value you want")
        return type(self)(_summed((tuple(sorted(names)), x) for names, x in pairs))


def _summed(products: Iterable[tuple[Names, float]]) -> dict[Names, float]:
    totals: dict[Names, float] = {}
    for names, number in products:
        totals[names] = totals.get(names, 0.0) + number
    return totals
