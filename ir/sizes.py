"""Which sizes are equal: the i64 values of a program as affine forms, region by region.

The printer, the parser and the verifier read a finished program with it; `Builder` has its own, richer
knowledge while it writes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .affine import Affine, Facts, combined, excess
from .primitive import Trait
from .program import Atom, Check, For, If, Let, Lit, Program, Var, While
from .types import I64, Dim


class Sizes:
    """Affine forms of the i64 names bound so far, and the first name of each form."""

    def __init__(self) -> None:
        self._forms: dict[str, Affine] = {}
        self._first: dict[Affine, str] = {}

    @contextmanager
    def region(self) -> Iterator[None]:
        """Forget at the end what was bound inside."""
        saved = dict(self._forms), dict(self._first)
        try:
            yield
        finally:
            self._forms, self._first = saved

    def bind(self, var: Var, form: Affine | None = None) -> None:
        """Record an i64 name: a form of older names, or a new unknown."""
        if var.type == I64:
            form = form or Affine.name(var.name)
            self._forms[var.name] = form
            self._first.setdefault(form, var.name)

    def let(self, let: Let) -> None:
        """Record what an operation computes, if it is an i64.

        >>> from .text import parse
        >>> sizes = Sizes()
        >>> for let in parse('''
        ... def f(n: i64) -> i64:
        ...     a: i64 = n + 2
        ...     b: i64 = a - n
        ...     return b''').body:
        ...     sizes.let(let)
        >>> print(sizes.form("a"), sizes.form("b"))
        n + 2 2
        """
        if let.var.type == I64:
            self.bind(let.var, self._result(let))

    def computed(self, let: Let) -> Dim | None:
        """The number or the older name that an i64 operation computes, if there is one."""
        form = self._result(let)
        return None if form is None else self.named(form)

    def _result(self, let: Let) -> Affine | None:
        if let.op.name == "dim":
            array, axis = let.args
            known = isinstance(array, Var) and isinstance(axis, int) and axis < array.type.rank
            return self.form(array.type.dims[axis]) if known else None  # type: ignore[union-attr, index]
        return combined(let.op, [self.form(a) for a in let.values]) if let.op.has(Trait.AFFINE) else None

    def form(self, value: Atom | Dim) -> Affine:
        if isinstance(value, int):
            return Affine(value)
        if isinstance(value, Lit):
            return Affine(int(value.text))
        name = value if isinstance(value, str) else value.name
        return self._forms.get(name, Affine.name(name))

    def assume_zero(self, form: Affine) -> None:
        """Use from here on that a form is 0: a name with coefficient 1 or -1 gets a form of the others."""
        for name, coefficient in reversed(form.terms):
            if abs(coefficient) == 1:
                value = (form - Affine.name(name).scaled(coefficient)).scaled(-coefficient)
                self._forms = {n: f.substitute(name, value) for n, f in self._forms.items()}
                self._forms.setdefault(name, value)
                self._first = {}
                for known, changed in self._forms.items():
                    self._first.setdefault(changed, known)
                return

    def equal(self, a: Dim, b: Dim) -> bool:
        """Are two sizes known to be equal?"""
        return a == b or self.form(a) == self.form(b)

    def named(self, form: Affine) -> Dim | None:
        """A number, or the first name that has this form."""
        return self._first.get(form) if form.terms else form.constant

    def slice_extent(self, start: Atom, stop: Atom | None, step: int) -> Affine | None:
        """How far `start:stop` goes, in the direction of the step; None if the end is not said."""
        if step < 0:
            return self.form(start) - (Affine(-1) if stop is None else self.form(stop))
        return None if stop is None else self.form(stop) - self.form(start)

    def slice_size(self, start: Atom, stop: Atom | None, step: int) -> Dim | None:
        """The number of elements of `start:stop:step`; None if no name is known for it."""
        extent = self.slice_extent(start, stop, step) if step else None
        if extent is not None and not extent.terms:
            return max(0, -(-extent.constant // abs(step)))
        return self.named(extent) if extent is not None and abs(step) == 1 else None


TRACED = 2
"""Named sizes of a traced function are at least this: 0 and 1 are always numbers in its program."""


def facts_of(program: Program, affine: Callable[[Atom], Affine], least: int = 0) -> Facts:
    """What the head of a program says of its integers: a user's sizes are at least `least`, guards hold."""
    facts = Facts()
    comparisons: dict[str, Affine] = {}
    given = set(program.params)
    for node in program.body:
        match node:
            case Let(var, op, args) if op.name == "dim":
                sure = args[0] in given and var.name not in program.computed
                facts.bound(var.name, lower=Affine(least if sure else 0))
            case Let(var, op, (Var() | Lit() as left, Var() | Lit() as right)) if left.type == right.type == I64:
                above = excess(op, affine(left), affine(right))
                if above is not None:
                    comparisons[var.name] = above
            case Check(Var(name)) if name in comparisons:
                facts.assume(comparisons[name])
            case For() | While() | If():
                break
    return facts
