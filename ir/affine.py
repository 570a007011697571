"""Affine forms of i64 names, `2*n - i + 1`: how sizes and subscripts are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .primitive import Primitive, Trait


@dataclass(frozen=True, slots=True)
class Affine:
    """constant + sum of coefficient * name; terms are sorted and have no zero coefficient."""

    constant: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    @staticmethod
    def of(constant: int, terms: Mapping[str, int]) -> Affine:
        return Affine(constant, tuple(sorted((n, c) for n, c in terms.items() if c)))

    @staticmethod
    def name(name: str) -> Affine:
        return Affine(0, ((name, 1),))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(n for n, _ in self.terms)

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.constant + other, self.terms)
        terms = dict(self.terms)
        for name, coefficient in other.terms:
            terms[name] = terms.get(name, 0) + coefficient
        return Affine.of(self.constant + other.constant, terms)

    def __sub__(self, other: Affine | int) -> Affine:
        return self + (-other if isinstance(other, int) else other.scaled(-1))

    def scaled(self, factor: int) -> Affine:
        return Affine.of(self.constant * factor, {n: c * factor for n, c in self.terms})

    def substitute(self, name: str, value: Affine) -> Affine:
        coefficient = next((c for n, c in self.terms if n == name), 0)
        if not coefficient:
            return self
        rest = Affine.of(self.constant, {n: c for n, c in self.terms if n != name})
        return rest + value.scaled(coefficient)

    def renamed(self, names: Mapping[str, str]) -> Affine:
        """The form with other names.

        >>> print((Affine.name("i") - Affine.name("j")).renamed({"i": "j", "j": "i"}))
        -i + j
        """
        if names.keys().isdisjoint(self.names):
            return self
        terms: dict[str, int] = {}
        for name, coefficient in self.terms:
            name = names.get(name, name)
            terms[name] = terms.get(name, 0) + coefficient
        return Affine.of(self.constant, terms)

    def value(self, values: Mapping[str, int]) -> int:
        return self.constant + sum(c * values[n] for n, c in self.terms)

    def __str__(self) -> str:
        """
        >>> print(Affine.of(-1, {"n": 2, "i": -1}))
        -i + 2*n - 1
        """
        text = ""
        for name, coefficient in self.terms:
            size = "" if abs(coefficient) == 1 else f"{abs(coefficient)}*"
            text += (" - " if coefficient < 0 else " + ") + size + name
        if self.constant or not text:
            text += f" {'-' if self.constant < 0 else '+'} {abs(self.constant)}"
        return (
            text.removeprefix(" + ").replace(" - ", "-", 1)
            if text.startswith(" - ")
            else text.removeprefix(" + ")
        )


def combined(op: Primitive, forms: Sequence[Affine]) -> Affine | None:
    """What an operation makes of affine forms; None if it is none.

    >>> from .ops import arith
    >>> print(combined(arith.sub, (Affine.name("n"), Affine(1))), combined(arith.mul, (Affine(2), Affine.name("n"))))
    n - 1 2*n
    """
    if not op.has(Trait.AFFINE):
        return None
    match op.name, forms:
        case "neg", [a]:
            return a.scaled(-1)
        case "add", [a, b]:
            return a + b
        case "sub", [a, b]:
            return a - b
        case "mul", [a, b] if not a.terms:
            return b.scaled(a.constant)
        case "mul", [a, b] if not b.terms:
            return a.scaled(b.constant)
    return None


def excess(op: Primitive, left: Affine, right: Affine) -> Affine | None:
    """What is at least 0 where a comparison of integers holds; None if it compares otherwise than by order."""
    match op.name:
        case "ge":
            return left - right
        case "gt":
            return left - right - 1
        case "le":
            return right - left
        case "lt":
            return right - left - 1
    return None


class Facts:
    """What is known of i64 names: bounds, and forms known to be >= 0. `truths`: truth values that conditions settle."""

    def __init__(self) -> None:
        self.truths: dict[str, bool] = {}
        self.lower: dict[str, tuple[Affine, ...]] = {}
        self.upper: dict[str, tuple[Affine, ...]] = {}
        self.nonnegative: dict[tuple[tuple[str, int], ...], int] = {}  # by terms, the smallest constant

    def copy(self) -> Facts:
        """Facts to which a region may add its own."""
        new = Facts()
        new.truths = dict(self.truths)
        new.lower, new.upper, new.nonnegative = dict(self.lower), dict(self.upper), dict(self.nonnegative)
        return new

    def update(self, other: Facts) -> None:
        """Add what others say."""
        for mine, theirs in ((self.lower, other.lower), (self.upper, other.upper)):
            for name, bounds in theirs.items():
                known = mine.get(name, ())
                mine[name] = (*known, *(b for b in bounds if b not in known))
        for terms, constant in other.nonnegative.items():
            self._never_negative(Affine(constant, terms))

    def renamed(self, names: Mapping[str, str]) -> Facts:
        """What is said of these names, of others that stand for them: of another iteration's numbers.

        >>> facts = Facts()
        >>> facts.bound("k", lower=Affine.name("i"))
        >>> facts.renamed({"i": "i'", "k": "k'"}).proves(Affine.name("k'") - Affine.name("i'"))
        True
        """
        new = Facts()
        for old, mine in ((self.lower, new.lower), (self.upper, new.upper)):
            for name, bounds in old.items():
                mine[names.get(name, name)] = tuple(b.renamed(names) for b in bounds)
        for terms, constant in self.nonnegative.items():
            new._never_negative(Affine(constant, terms).renamed(names))
        return new

    def _never_negative(self, form: Affine) -> None:
        self.nonnegative[form.terms] = min(form.constant, self.nonnegative.get(form.terms, form.constant))

    def bound(self, name: str, lower: Affine | None = None, upper: Affine | None = None) -> None:
        """Record lower <= name <= upper."""
        if lower is not None:
            self.lower[name] = (*self.lower.get(name, ()), lower)
        if upper is not None:
            self.upper[name] = (*self.upper.get(name, ()), upper)

    def assume(self, form: Affine) -> None:
        """Record form >= 0."""
        self._never_negative(form)
        if len(form.terms) == 1:
            ((name, coefficient),) = form.terms
            if coefficient == 1:
                self.bound(name, lower=Affine(-form.constant))
            elif coefficient == -1:
                self.bound(name, upper=Affine(form.constant))

    def proves(self, form: Affine, depth: int = 4) -> bool:
        """Is form >= 0 in every run? False means not known.

        >>> facts = Facts()
        >>> facts.bound("n", lower=Affine(2))
        >>> facts.bound("i", lower=Affine(0), upper=Affine.name("n") - 1)
        >>> facts.proves(Affine.name("n") - Affine.name("i") - 1)
        True
        """
        if not form.terms:
            return form.constant >= 0
        least = self.nonnegative.get(form.terms)
        if least is not None and form.constant >= least:
            return True
        if depth == 0:
            return False
        for name, coefficient in form.terms:
            for bound in (self.lower if coefficient > 0 else self.upper).get(name, ()):
                if self.proves(form.substitute(name, bound), depth - 1):
                    return True
        return False
