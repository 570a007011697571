"""`Builder` writes a program: it names values, folds and shares index arithmetic, and knows sizes.

Used by the tracer and by every pass that emits code. Regions (loop bodies, arms) are a stack: what is
bound in one is not in scope after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import ops as _ops  # noqa: F401  (fills the registry)
from .affine import Affine, Facts, combined
from .errors import IRError
from .names import Names
from .primitive import REGISTRY, Primitive, Ref, Trait
from .program import Atom, Check, If, Index, Let, Lit, Node, Program, Slice, Span, Var, map_operand
from .types import I64, INTEGERS, Dim, Type


def literal(value: Any, dtype: str) -> Lit:
    """A number as a literal of this dtype: 1 in a float operation is 1.0.

    >>> literal(1, "f64").text, literal(0.1, "f32").text, literal(float("inf"), "f32").text
    ('1.0', '0.1', 'inf')
    """
    if dtype == "bool":
        return Lit(str(bool(value)), Type("bool"))
    if dtype in INTEGERS:
        if not isinstance(value, (bool, np.bool_)) and int(value) != value:
            raise IRError(f"{value} is not an integer")
        return Lit(str(int(value)), Type(dtype))
    return Lit(_single(np.float32(value)) if dtype == "f32" else repr(float(value)), Type(dtype))


def _single(value: np.float32) -> str:
    """The shortest text of a number in single precision: 0.1, not 0.10000000149011612."""
    short = str(value)
    return short if value != value or np.float32(float(short)) == value else repr(float(value))


def number(lit: Lit) -> Any:
    """The NumPy scalar that a literal stands for."""
    value = lit.text == "True" if lit.type.dtype == "bool" else float(lit.text)
    return lit.type.numpy.type(int(lit.text) if lit.type.is_integer else value)


def dim_atom(dim: Dim) -> Atom:
    return Lit(str(dim), I64) if isinstance(dim, int) else Var(dim, I64)


def atom_dim(atom: Atom) -> Dim:
    return int(atom.text) if isinstance(atom, Lit) else atom.name


class Builder:
    """Writes nodes into the innermost open region.

    `decide` answers whether a form is >= 0 where the facts do not tell; the tracer looks at the present
    call and adds a guard. Without it the answer is None: not known.
    """

    def __init__(self, decide: Callable[[Affine], bool | None] | None = None):
        self.names = Names()
        self.wishes: dict[str, str] = {}  # better names for temporary ones, given when tracing ends
        self._numbers: dict[str, int] = {}  # per stem: where to look for a free name
        self.inputs: set[str] = set()  # i64 values in scope everywhere
        self.facts = Facts()
        self.span: Span | None = None
        self._decide = decide
        self._regions: list[list[Node]] = [[]]
        self._known: list[dict[Any, Atom]] = [{}]  # per region: (op, args) or affine form -> value
        self._affine: dict[str, Affine] = {}
        self._formed: set[str] = set()  # names in affine forms that are, or were, in the tables of what is known
        self._alias: dict[str, Affine] = {}  # sizes found equal to another form
        self._mentioned: dict[str, set[str]] = {}  # by name, the sizes whose alias mentions it

    # -- names and regions -------------------------------------------------------------------------

    def fresh(self, hint: str, of: str | None = None) -> str:
        """A new name: the hint, or the hint with a number; for something that is made of what `of` names, see Names.

        >>> b = Builder()
        >>> b.fresh("t"), b.fresh("t"), b.fresh("t_1")
        ('t', 't_1', 't_2')
        """
        if hint not in self.names:
            return self.names.take(hint, of)
        stem = re.sub(r"_\d+$", "", hint)
        k = self._numbers.get(stem, 1)
        while f"{stem}_{k}" in self.names:
            k += 1
        self._numbers[stem] = k + 1
        return self.names.take(f"{stem}_{k}", of)

    def var(self, hint: str, type: Type, of: str | None = None) -> Var:
        return Var(self.fresh(hint, of), type)

    def again(self, var: Var, type: Type | None = None) -> Var:
        """A new name for another version of a value, a part of it, or a copy."""
        return Var(self.fresh(var.name, var.name), type or var.type)

    @property
    def depth(self) -> int:
        """How many regions are open: 0 outside of loops and branches."""
        return len(self._regions) - 1

    @property
    def region(self) -> list[Node]:
        return self._regions[-1]

    @property
    def open_regions(self) -> tuple[list[Node], ...]:
        """The regions that are being written, the outermost first."""
        return tuple(self._regions)

    @contextmanager
    def open(self) -> Iterator[list[Node]]:
        """A region of its own; the list is what was written in it."""
        self._regions.append([])
        self._known.append({})
        try:
            yield self._regions[-1]
        finally:
            self._regions.pop()
            self._known.pop()

    @contextmanager
    def reopen(self, nodes: list[Node]) -> Iterator[None]:
        """Write at the end of a region that was closed."""
        self._regions.append(nodes)
        self._known.append({})
        try:
            yield
        finally:
            self._regions.pop()
            self._known.pop()

    def in_scope(self, name: str, depth: int | None = None) -> bool:
        """Is the i64 value bound in an open region (one of the outermost `depth`), or an input?"""
        return name in self.inputs or any(
            name
            in (
                getattr(getattr(n, "var", None), "name", None),
                *(e.var.name for e in getattr(n, "exits", ())),
                *(v.name for v in getattr(n, "vars", ())),
                *(p.var.name for p in getattr(n, "phis", ()) if isinstance(n, If)),
            )
            for region in self._regions[:depth]
            for n in region
        )

    def name_last(self, atom: Atom, hint: str) -> bool:
        """Wish a better name for the value written last, if its name is a temporary one.

        It gets it when tracing ends: until then others may hold the value under its old name.
        """
        last = self.region[-1] if self.region else None
        if not isinstance(atom, Var) or not re.fullmatch(r"t(_\d+)?", atom.name) or atom.type == I64:
            return False
        if not isinstance(last, Let) or last.var != atom:
            return False
        return self.wishes.setdefault(atom.name, hint) == hint

    def add(self, node: Node) -> None:
        self.region.append(node)

    # -- operations --------------------------------------------------------------------------------

    def ref(self, value: Any, dtype: str = "f64") -> Ref:
        if isinstance(value, Ref):
            return value
        if isinstance(value, (Var, Lit)):
            return Ref(self, value)
        return Ref(self, literal(value, dtype))

    def apply(self, op: Primitive, *args: Any) -> Ref:
        return Ref(self, self.emit(op, *args))

    def emit(
        self, op: Primitive | str, *args: Any, hint: str = "t", type: Type | None = None, of: str | None = None
    ) -> Atom:
        """Write `hint = op(args)`. Numbers become literals of the dtype that the other operands have."""
        if isinstance(op, str):
            op = REGISTRY[op]
        operands = self._operands(op, args)
        if op.name == "zeros" and operands[0] == ():  # an array without axes is a number
            return literal(0, operands[1])
        if op.accesses and not operands[0].type.rank:
            found = self._in_number(op, operands, hint)
            if found is not None:
                return found
        if type is None:
            type = self.result_type(op, operands)
        if type == I64:
            known = self._integer(op, operands)
            if known is not None:
                return known
        var = self.var(hint, type, of)
        self.add(Let(var, op, operands, self.span))
        self.know(Let(var, op, operands))
        return var

    def _in_number(self, op: Primitive, operands: tuple[Any, ...], hint: str) -> Atom | None:
        """An array without axes is a number: what is read or stored at a subscript without places is all of it."""
        x, index, *rest = operands
        if any(item is not None for item in index.items):
            return None
        if op.name == "getitem":
            ones = tuple(literal(1, "i64") for _ in index.items)
            return self.emit("reshape", x, ones, hint=hint) if ones else x
        value = self.emit("reshape", rest[0], (), hint=hint) if rest[0].type.rank else rest[0]
        return value if op.name == "at_set" else self.emit("add", x, value, hint=hint)

    def know(self, let: Let, in_scope: bool = True) -> None:
        """Learn what an i64 is; what is in scope is shared with what is written from here on."""
        if let.var.type != I64:
            return
        form = self._form(let.op, let.args)
        if form is not None:
            self._affine[let.var.name] = form
        if in_scope:
            self._known[-1].setdefault((let.op, let.args), let.var)
            if form is not None:
                self._known[-1].setdefault(form, let.var)
                self._formed.update(form.names)

    def result_type(self, op: Primitive, operands: tuple[Any, ...]) -> Type:
        return op.result(
            *(
                self._canonical(o) if k in op.sizes or k in op.static else self._types(o)
                for k, o in enumerate(operands)
            )
        )

    def _types(self, operand: Any) -> Any:
        match operand:
            case Var(_, type) | Lit(_, type):
                return type.with_dims(tuple(map(self.canonical_dim, type.dims)))
            case tuple():
                return tuple(map(self._types, operand))
            case Index():
                return self._canonical(operand)
        return operand

    def _canonical(self, operand: Any) -> Any:
        if isinstance(operand, (Index, tuple, Slice)):
            return map_operand(operand, self._canonical, self.canonical_dim)
        if isinstance(operand, Var):
            if operand.type == I64:
                return dim_atom(self.canonical_dim(operand.name))
            return Var(operand.name, self._types(operand))
        return operand

    def _operands(self, op: Primitive, args: tuple[Any, ...]) -> tuple[Any, ...]:
        def unwrap(value: Any) -> Any:
            if isinstance(value, Ref):
                return value.atom
            return tuple(map(unwrap, value)) if isinstance(value, tuple) else value

        values = [a if k in op.static else unwrap(a) for k, a in enumerate(args)]
        dtypes = [
            v.type.dtype for k, v in enumerate(values) if isinstance(v, (Var, Lit)) and k not in op.sizes
        ]
        if op.name == "where" and isinstance(values[0], (Var, Lit)):
            dtypes = dtypes[1:]
        for k, value in enumerate(values):
            if k not in op.static and isinstance(value, (int, float, np.number, np.bool_)):
                dtype = "i64" if k in op.sizes else dtypes[0] if dtypes else "f64"
                values[k] = literal(value, dtype)
        return tuple(values)

    def known(self, key: Any) -> Atom | None:
        """A value that was remembered in an open region."""
        return next((table[key] for table in reversed(self._known) if key in table), None)

    def remember(self, key: Any, value: Atom) -> None:
        self._known[-1][key] = value
        if isinstance(key, Affine):
            self._formed.update(key.names)

    # -- i64 scalars: folded, shared, compared as affine forms ---------------------------------------

    def _integer(self, op: Primitive, operands: tuple[Any, ...]) -> Atom | None:
        """The i64 value if it is a literal or already has a name."""
        if op.elementwise and op.name != "where" and all(isinstance(o, Lit) for o in operands):
            with np.errstate(all="ignore"):
                return literal(op.numpy(*map(number, operands)), "i64")  # type: ignore[operator]
        form = self._form(op, operands)
        if form is not None and not form.terms:
            return Lit(str(form.constant), I64)
        if form is not None and form.terms == ((form.terms[0][0], 1),) and not form.constant:
            return Var(form.terms[0][0], I64)
        for key in (form, (op, operands)):
            for known in reversed(self._known):
                if key is not None and key in known:
                    return known[key]
        return None

    def _form(self, op: Primitive, operands: tuple[Any, ...]) -> Affine | None:
        return combined(op, [self.affine(o) for o in operands]) if op.has(Trait.AFFINE) else None

    def affine(self, value: Atom | Dim | Ref) -> Affine:
        """An i64 value as an affine form of names that are not affine themselves."""
        if isinstance(value, Ref):
            value = value.atom
        if isinstance(value, (int, Lit)):
            return Affine(int(value.text) if isinstance(value, Lit) else value)
        name = value if isinstance(value, str) else value.name
        form = self._affine.get(name, Affine.name(name))
        for known in form.names:
            if known in self._alias:
                form = form.substitute(known, self._alias[known])
        return form

    def integer(self, form: Affine, hint: str = "t") -> Atom:
        """The value of an affine form, written if it has no name yet."""
        form = self._resolve(form)
        total: Atom | None = None
        for known in reversed(self._known):
            if form in known:
                return known[form]
        for name, coefficient in sorted(form.terms, key=lambda term: -term[1]):
            term: Atom = Var(name, I64)
            if total is not None and coefficient < 0:
                size = term if coefficient == -1 else self.emit("mul", term, -coefficient)
                total = self.emit("sub", total, size)
                continue
            if coefficient != 1:
                term = self.emit("mul", term, coefficient)
            total = term if total is None else self.emit("add", total, term)
        if total is None:
            return Lit(str(form.constant), I64)
        if form.constant:
            op = "add" if form.constant > 0 else "sub"
            return self.emit(op, total, abs(form.constant), hint=hint)
        return total

    def _resolve(self, form: Affine) -> Affine:
        for name in form.names:
            if name in self._affine or name in self._alias:
                form = form.substitute(name, self.affine(name))
        return form

    def canonical_dim(self, dim: Dim) -> Dim:
        """One name for equal sizes."""
        if isinstance(dim, int):
            return dim
        form = self.affine(dim)
        if not form.terms:
            return form.constant
        if form == Affine.name(dim):
            return dim
        if form.constant == 0 and len(form.terms) == 1 and form.terms[0][1] == 1:
            return form.terms[0][0]
        for known in reversed(self._known):
            if form in known:
                return atom_dim(known[form])
        return dim

    def same_dim(self, a: Dim, b: Dim) -> bool:
        """Are two sizes known to be equal?"""
        return a == b or self.affine(a) == self.affine(b)

    def unify(self, name: str, form: Affine) -> None:
        """From now on `name` is known to equal `form`."""
        form = self._resolve(form)
        for other in self._mentioned.pop(name, ()):
            self._alias[other] = self._alias[other].substitute(name, form)
            self._mention(other)
        self._alias[name] = form
        self._mention(name)
        # Forms in the tables mention the old name: make them again from the new one.
        again = name in self._formed
        self._formed.update(form.names)
        for known in self._known:
            for key, atom in list(known.items()) if again else ():
                if isinstance(key, Affine) and any(n == name for n, _ in key.terms):
                    known.setdefault(key.substitute(name, form), atom)
            if len(form.terms) > 1 or (form.terms and form.constant):
                known[form] = Var(name, I64)  # an input's size is the name that is bound first

    def _mention(self, size: str) -> None:
        for name in self._alias[size].names:
            self._mentioned.setdefault(name, set()).add(size)

    @property
    def integers(self) -> tuple[str, ...]:
        """Names of the affine i64 values written so far."""
        return tuple(self._affine)

    @property
    def aliases(self) -> dict[str, Affine]:
        return dict(self._alias)

    def holds(self, form: Affine) -> bool | None:
        """Is form >= 0? By the facts; else by the present call, under a guard; else None."""
        form = self._resolve(form)
        if self.facts.proves(form):
            return True
        if self.facts.proves(form.scaled(-1) - 1):
            return False
        return self._decide(form) if self._decide else None

    # -- effects and the finished program ----------------------------------------------------------

    def check(self, cond: Atom, message: str) -> None:
        if not (isinstance(cond, Lit) and cond.text == "True"):
            self.add(Check(cond, message, self.span))

    def program(
        self, name: str, params: tuple[Var, ...], results: tuple[Atom, ...], origins: tuple[str, ...] = ()
    ) -> Program:
        """The finished program; the only open region must be the outermost."""
        (body,) = self._regions
        return Program(name, params, tuple(body), results, origins)
