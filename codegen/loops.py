"""Array operations as nests of loops over scalars: from each `Let` to `Op`s, without writing any loop yet.

Views become index maps of those who read them. What is not a loop stays a `Plain` node: scalar operations,
allocations, matrix products of some size (calls), checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..ir.affine import Affine
from ..ir.build import Builder, dim_atom, literal
from ..ir.errors import IRError
from ..ir.ops.declare import broadcast_dims
from ..ir.ops.index import index_dims
from ..ir.primitive import REGISTRY, Primitive
from ..ir.program import Atom, Check, Index, Let, Lit, Slice, Span, Var, atoms, dim_names
from ..ir.types import I64, Dim, Type
from . import access
from .access import Along, Counted, Fixed, Place, Read, Source, Taken

SMALL = 8
"""Matrix products whose two inner sizes are known and at most this big are loops, not calls."""


@dataclass(frozen=True)
class Op:
    """A nest of loops over `space`, outermost first, that computes one value per point.

    prim over args gives the value (without prim: the value read). With `fold` the values are combined over the
    loops that are not in `out` (`cumsum`: along loop `axis`). With `target` the value is stored there.
    """

    var: Var
    space: tuple[Dim, ...]
    out: tuple[int | None, ...]  # the loop of each axis of the result; None for an axis of size one
    prim: Primitive | None
    args: tuple[Any, ...]  # Sources and static values
    fold: str = ""
    axis: int = -1
    target: Var | None = None
    places: tuple[Place, ...] = ()
    add: bool = False
    own: bool = False  # a store that scalarise made: nothing else reads or writes its target
    late: bool = False  # belongs in the loop of its only reader
    span: Span | None = field(default=None, compare=False)

    @property
    def size(self) -> Dim | None:
        """The size of the outermost loop, None for a scalar."""
        return self.space[0] if self.space else None

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(a for a in self.args if isinstance(a, (Read, Counted)))

    def reads(self) -> Iterator[Read]:
        for source in (*self.sources, *self.places):
            yield from access.reads(source)

    def names(self) -> Iterator[str]:
        """Every name that must be there before."""
        for source in (*self.sources, *self.places):
            yield from access.names(source)
        if self.target is not None:
            yield self.target.name
        yield from dim_names(self.var)
        yield from (d for d in self.space if isinstance(d, str))

    def placed(self, loops: Sequence[Place]) -> tuple[tuple[Any, ...], tuple[Place, ...]]:
        """Arguments and places with the loops replaced."""
        args = tuple(access.through(a, loops) if isinstance(a, (Read, Counted)) else a for a in self.args)
        return args, tuple(access.replaced(p, loops) for p in self.places)

    def reordered(self, order: Sequence[int]) -> Op:
        """The same nest with its loops in another order: `order[k]` is the old loop at k."""
        place = {old: new for new, old in enumerate(order)}
        args, places = self.placed([Along(place[k]) for k in range(len(order))])
        out = tuple(None if o is None else place[o] for o in self.out)
        space = tuple(self.space[o] for o in order)
        axis = place[self.axis] if self.axis >= 0 else -1
        return replace(self, args=args, places=places, out=out, space=space, axis=axis)


@dataclass(frozen=True)
class Plain:
    """A node that is not a loop over elements; it needs its arrays in memory."""

    node: Let | Check

    @property
    def size(self) -> None:
        return None

    @property
    def var(self) -> Var | None:
        return self.node.var if isinstance(self.node, Let) else None

    @property
    def target(self) -> Var | None:
        if isinstance(self.node, Let) and self.node.op.name in ("at_set", "at_add"):
            return self.node.args[0]  # type: ignore[return-value]
        return None

    def names(self) -> Iterator[str]:
        operands = self.node.args if isinstance(self.node, Let) else (self.node.cond,)
        for operand in operands:
            yield from (a.name for a in atoms(operand) if isinstance(a, Var))
            yield from dim_names(operand)
        if self.var is not None:
            yield from (d for d in dim_names(self.var) if d != self.var.name)

    def arrays(self) -> Iterator[str]:
        operands = self.node.args if isinstance(self.node, Let) else ()
        for operand in operands:
            yield from (a.name for a in atoms(operand) if isinstance(a, Var) and a.type.rank)


Item = Op | Plain


def frame(dims: Sequence[Dim]) -> tuple[tuple[Dim, ...], tuple[int | None, ...], tuple[Place, ...]]:
    """The loops over an array of these sizes: their sizes, the loop of each axis, the place on each axis."""
    space = tuple(d for d in dims if d != 1)
    numbers = iter(range(len(space)))
    out = tuple(None if d == 1 else next(numbers) for d in dims)
    return space, out, tuple(Fixed() if o is None else Along(o) for o in out)


def memory_order(source: Source, loops: int) -> list[int] | None:
    """The loops in the order in which the array that is read lies in memory."""
    places = source.places if isinstance(source, Read) else (source.place,)
    order = [p.loop for p in places if isinstance(p, Along)]
    return order if sorted(order) == list(range(loops)) else None


class Loops:
    """Turns `Let`s into items. Remembers which names are views, and of what."""

    def __init__(self, builder: Builder, pinned: set[str]):
        self.builder = builder
        self.pinned = pinned  # views that must have memory of their own
        self.views: dict[str, Source] = {}
        self.span: Span | None = None

    # -- reading -----------------------------------------------------------------------------------

    def resolved(self, source: Source) -> Source:
        """The read through all views."""
        match source:
            case Read(base, places):
                places = tuple(self.place(p) for p in places)
                view = self.views.get(base.name) if isinstance(base, Var) else None
                return Read(base, places) if view is None else access.through(view, places)
            case Counted(place):
                return Counted(self.place(place))

    def place(self, place: Place) -> Place:
        if isinstance(place, Taken):
            return access.scaled(Taken(self.resolved(place.source)), place.start, place.step)
        return place

    def read(self, atom: Atom, places: Sequence[Place]) -> Source:
        """What is read of an array where `places[k]` is the position on its axis k."""
        return self.resolved(Read(atom, tuple(places)))

    def spread(self, atom: Atom, places: Sequence[Place]) -> Source:
        """The same with broadcasting: the places are those of the last axes of a larger array."""
        dims = atom.type.dims
        lead = len(places) - len(dims)
        return self.read(atom, [Fixed() if d == 1 else places[lead + k] for k, d in enumerate(dims)])

    # -- one operation -----------------------------------------------------------------------------

    def items(self, let: Let) -> list[Item]:
        self.span = let.span
        name = let.op.name
        arrays = any(a.type.rank for operand in let.args for a in atoms(operand))
        if name in ("zeros", "iota"):
            return self.created(let)
        if name == "dim":
            return self.size(let)
        if not arrays and not let.var.type.rank or name == "empty":
            return [Plain(let)]
        places = access.view_places(let)
        if places is not None:
            return self.view(let, places)
        if let.op.elementwise:
            return [self.elementwise(let)]
        lower = getattr(self, f"_{name}", None)
        if lower is None:
            raise IRError(f"codegen has no loops for {name}")
        return lower(let, *let.args)

    def op(self, var: Var, space: Sequence[Dim], out: Sequence[int | None], *args: Any, **options: Any) -> Op:
        prim = options.pop("prim", None)
        return Op(var, tuple(space), tuple(out), prim, args, span=self.span, **options)

    def fresh(self, hint: str, type: Type) -> Var:
        return self.builder.var(hint, type)

    def created(self, let: Let) -> list[Item]:
        """Zeros and counts are not stored unless somebody writes to them."""
        if let.var.name in self.pinned:
            if let.op.name == "zeros":
                return [Plain(let)]
            space, out, places = frame(let.var.type.dims)
            return [self.op(let.var, space, out, Counted(places[0]))]
        zero = Read(literal(0, let.var.type.dtype))
        self.views[let.var.name] = zero if let.op.name == "zeros" else Counted(Along(0))
        return []

    def size(self, let: Let) -> list[Item]:
        x, axis = let.args
        dim = x.type.dims[axis]  # type: ignore[union-attr, index]
        if dim == let.var.name:
            return [Plain(let)]
        return [self.op(let.var, (), (), Read(dim_atom(dim)))]

    def view(self, let: Let, places: tuple[Place, ...]) -> list[Item]:
        x: Atom = let.args[0]  # type: ignore[assignment]
        # Axes of size one have no loop: their position is always 0.
        ones = [Fixed() if d == 1 else Along(k) for k, d in enumerate(let.var.type.dims)]
        source = self.read(x, [access.replaced(p, ones) for p in places])
        if let.var.type.rank and let.var.name not in self.pinned:
            self.views[let.var.name] = source
            return []
        if not let.var.type.rank and let.op.name == "getitem" and x.name not in self.views:  # type: ignore[union-attr]
            return [Plain(let)]
        if is_all(source, let.var.type):
            return [Plain(Let(let.var, REGISTRY["copy"], (source.base,), let.span))]  # type: ignore[union-attr]
        return [self.copied(let.var, source)]

    def copied(self, var: Var, source: Source) -> Op:
        """A read of every element; `source` is seen by loops over all axes of `var`."""
        space, out, places = frame(var.type.dims)
        return self.op(var, space, out, access.through(source, places))

    def memory(self, atom: Atom) -> tuple[Var, list[Item]]:
        """An array in memory with this value, and what must be done first."""
        source = self.read(atom, access.whole(atom.type.rank))
        if is_all(source, atom.type):
            return source.base, []  # type: ignore[union-attr, return-value]
        var = self.fresh("t", atom.type)
        return var, [self.copied(var, source)]

    def elementwise(self, let: Let) -> Op:
        space, out, places = frame(let.var.type.dims)
        args = [
            arg if k in let.op.static else self.spread(arg, places)  # type: ignore[arg-type]
            for k, arg in enumerate(let.args)
        ]
        return self.op(let.var, space, out, *args, prim=let.op)

    # -- subscripts with index arrays, and writing ---------------------------------------------------

    def _getitem(self, let: Let, x: Var, index: Index) -> list[Item]:
        space, out, places = frame(let.var.type.dims)
        where = [access.replaced(p, places) for p in access.index_places(index, x.type.dims)]
        return [self.op(let.var, space, out, self.read(x, where))]

    def _at_set(self, let: Let, x: Var, index: Index, v: Atom) -> list[Item]:
        part = index_dims(x.type.dims, index)
        if not part:
            return [Plain(let)]
        if covers(index, x.type.dims):
            return [self.all_written(let, x, v)]
        space, _, axes = frame(part)
        places = tuple(self.place(access.replaced(p, axes)) for p in access.index_places(index, x.type.dims))
        value = self.read(v, axes if v.type.rank else ())
        op = self.op(
            let.var, space, (), value, target=x, places=places, add=let.op.name == "at_add"
        )  # fmt: skip
        return self.unclashed(op)

    _at_add = _at_set

    def all_written(self, let: Let, x: Var, v: Atom) -> Op:
        """A store to every element is a new array; where the old one is dead it takes its memory."""
        space, out, places = frame(x.type.dims)
        value = self.read(v, places if v.type.rank else ())
        old = self.read(x, places)
        if let.op.name == "at_set" or (isinstance(old, Read) and isinstance(old.base, Lit)):  # zeros
            return self.op(let.var, space, out, value)
        return self.op(let.var, space, out, old, value, prim=REGISTRY["add"])

    def unclashed(self, op: Op) -> list[Item]:
        """The store, after copies of what it reads of its own target elsewhere than where it writes."""
        assert op.target is not None
        before: list[Item] = []

        def apart(source: Source) -> Source:
            clash = any(r.base == op.target for r in access.reads(source))
            if not clash or (source == Read(op.target, op.places) and distinct(op.places)):  # type: ignore[arg-type]
                return source
            loops = sorted(set(access.loops_of(source)))
            dtype = source.base.type.dtype if isinstance(source, Read) else "i64"
            var = self.fresh("t", Type(dtype, tuple(op.space[k] for k in loops)))
            inner = access.through(
                source, [Along(loops.index(k)) if k in loops else Fixed() for k in range(len(op.space))]
            )
            before.append(self.op(var, var.type.dims, range(len(loops)), inner))
            return Read(var, tuple(Along(k) for k in loops))

        args = tuple(apart(a) for a in op.args)
        places = tuple(
            Taken(apart(p.source), p.start, p.step) if isinstance(p, Taken) else p for p in op.places
        )
        return [*before, replace(op, args=args, places=places)]

    def _concatenate(self, let: Let, parts: tuple[Var, ...], axis: int, size: Atom) -> list[Item]:
        shape = tuple(map(dim_atom, let.var.type.dims))
        whole = self.fresh(let.var.name, let.var.type)
        items: list[Item] = [Plain(Let(whole, REGISTRY["empty"], (shape, let.var.type.dtype), let.span))]
        offset = Affine()
        for k, part in enumerate(parts):
            var = let.var if k == len(parts) - 1 else self.fresh(let.var.name, let.var.type)
            space, _, places = frame(part.type.dims)
            here = [access.scaled(p, offset, 1) if a == axis else p for a, p in enumerate(places)]
            items.append(self.op(var, space, (), self.read(part, places), target=whole, places=tuple(here)))
            offset += access.form_of(dim_atom(part.type.dims[axis]))
            whole = var
        return items

    def _nonzero(self, let: Let, mask: Var, size: Atom) -> list[Item]:
        array, before = self.memory(mask)
        return [*before, Plain(Let(let.var, let.op, (array, size), let.span))]

    def _reshape(self, let: Let, x: Var, shape: Any) -> list[Item]:
        array, before = self.memory(x)
        reshaped = Let(let.var, let.op, (array, shape), let.span)
        return [*before, Plain(reshaped)]

    # -- reductions and scans ------------------------------------------------------------------------

    def reduced(self, let: Let, x: Var, axes: tuple[int, ...], fold: str) -> list[Item]:
        space, loops, places = frame(x.type.dims)
        out = [o for k, o in enumerate(loops) if k not in axes]
        source = self.read(x, places)
        op = self.op(let.var, space, out, source, fold=fold)
        return [*self.nonempty(x, axes, fold), ordered(op, source)]

    def nonempty(self, x: Var, axes: Sequence[int], fold: str) -> list[Item]:
        """NumPy's error for the maximum of nothing."""
        if fold in ("sum", "any", "all"):
            return []
        items: list[Item] = []
        for dim in (x.type.dims[a] for a in axes):
            if dim == 0 or isinstance(dim, str):
                ok = self.fresh("t", Type("bool"))
                message = {
                    "max": "zero-size array to reduction operation maximum which has no identity",
                    "min": "zero-size array to reduction operation minimum which has no identity",
                }.get(fold, f"attempt to get {fold} of an empty sequence")
                greater = Let(ok, REGISTRY["gt"], (dim_atom(dim), Lit("0", I64)), self.span)
                items += [Plain(greater), Plain(Check(ok, f"ValueError: {message}", self.span))]
        return items

    def _sum(self, let: Let, x: Var, axes: tuple[int, ...]) -> list[Item]:
        return self.reduced(let, x, axes, "sum")

    def _max(self, let: Let, x: Var, axes: tuple[int, ...]) -> list[Item]:
        return self.reduced(let, x, axes, "max")

    def _min(self, let: Let, x: Var, axes: tuple[int, ...]) -> list[Item]:
        return self.reduced(let, x, axes, "min")

    def _any(self, let: Let, x: Var, axes: tuple[int, ...]) -> list[Item]:
        return self.reduced(let, x, axes, "any")

    def _all(self, let: Let, x: Var, axes: tuple[int, ...]) -> list[Item]:
        return self.reduced(let, x, axes, "all")

    def _argmax(self, let: Let, x: Var, axis: int) -> list[Item]:
        space, loops, places = frame(x.type.dims)
        out = [o for k, o in enumerate(loops) if k != axis]
        searched = loops[axis]
        if searched is None:
            return [self.op(let.var, space, out, Read(Lit("0", I64)))]
        op = self.op(let.var, space, out, self.read(x, places), fold=let.op.name, axis=searched)
        order = [k for k in range(len(space)) if k != searched] + [searched]
        return [*self.nonempty(x, (axis,), let.op.name), op.reordered(order)]

    _argmin = _argmax

    def _cumsum(self, let: Let, x: Var, axis: int) -> list[Item]:
        space, out, places = frame(x.type.dims)
        along = out[axis]
        source = self.read(x, places)
        if along is None:
            return [self.op(let.var, space, out, source)]
        return [self.op(let.var, space, out, source, fold="cumsum", axis=along)]

    # -- matrix products -----------------------------------------------------------------------------

    def _matmul(self, let: Let, a: Var, b: Var) -> list[Item]:
        if a.type.rank == b.type.rank == 2 and self.worth_a_call(a, b):
            left, before = self.factor(a)
            right, also = self.factor(b)
            return [*before, *also, Plain(Let(let.var, let.op, (left, right), let.span))]
        rows = a.type.dims[-2:-1] if a.type.rank > 1 else ()
        columns = b.type.dims[-1:] if b.type.rank > 1 else ()
        batch = broadcast_dims(a.type.dims[:-2], b.type.dims[:-2])
        # Loops: the stack, rows, the inner size, columns.
        inner = a.type.dims[-1]
        dims = (*batch, *rows, inner, *columns)
        space, loops, places = frame(dims)
        middle = len(batch) + len(rows)
        a_places = [*places[: len(batch)], *places[len(batch) : middle], places[middle]]
        b_places = [*places[: len(batch)], places[middle], *places[middle + 1 :]]
        left_source = self.spread(a, a_places[len(a_places) - a.type.rank :])
        right_source = self.spread(b, b_places[len(b_places) - b.type.rank :])
        out = [o for k, o in enumerate(loops) if k != middle]
        dtype = let.var.type.dtype
        times, fold = ("and", "any") if dtype == "bool" else ("mul", "sum")
        product = self.fresh("t", Type(dtype, space))
        every = range(len(space))
        factors = self.op(product, space, every, left_source, right_source, prim=REGISTRY[times])
        total = self.op(let.var, space, out, Read(product, access.whole(len(space))), fold=fold)
        larger = right_source if b.type.rank > a.type.rank else left_source
        order = memory_order(larger, len(space)) if not (rows and columns) else None
        if columns and isinstance(inner, int) and inner <= SMALL and loops[middle] is not None:
            order = [k for k in every if k != loops[middle]] + [loops[middle]]  # type: ignore[list-item]
        if order is None:
            return [factors, total]
        return [permuted(factors, order), permuted(total, order)]

    def worth_a_call(self, a: Var, b: Var) -> bool:
        (n, k), (_, m) = a.type.dims, b.type.dims
        tiny = isinstance(k, int) and isinstance(m, int) and k <= SMALL and m <= SMALL
        return a.type.is_float and not tiny and 0 not in (n, k, m) and 1 not in (n, k, m)

    def factor(self, x: Var) -> tuple[Var, list[Item]]:
        """A matrix that np.dot takes as it is: in memory, or a transpose of one."""
        source = self.read(x, access.whole(2))
        swapped = Read(source.base, (Along(1), Along(0))) if isinstance(source, Read) else None
        if source == swapped and source.base.type.dims == x.type.dims[::-1]:  # x[:3].T starts at 0 too
            var = self.fresh("t", x.type)
            return var, [Plain(Let(var, REGISTRY["transpose"], (source.base, (1, 0)), self.span))]
        return self.memory(x)


def covers(index: Index, dims: Sequence[Dim]) -> bool:
    """Does a subscript select the whole array, in its order?"""
    return len(index.items) == len(dims) and all(
        isinstance(item, Slice)
        and item.step == 1
        and item.size == d
        and access.form_of(item.start) == Affine()
        for item, d in zip(index.items, dims)
    )


def is_all(source: Source, type: Type) -> bool:
    """Is what is read just an array in memory?"""
    return (
        isinstance(source, Read)
        and type.rank > 0
        and source.base.type.dims == type.dims  # x[0:3] starts at 0 too
        and all(
            p == Along(k) or (p == Fixed() and d == 1)
            for k, (p, d) in enumerate(zip(source.places, type.dims))
        )
    )


def distinct(places: Sequence[Place]) -> bool:
    """Does a store go to another element at each position?"""
    return not any(isinstance(p, Taken) for p in places)


def ordered(op: Op, source: Source) -> Op:
    """A reduction with its loops in the order of memory; short ones of known length go inside."""
    order = memory_order(source, len(op.space)) or list(range(len(op.space)))
    short = [
        k
        for k in order
        if k not in op.out and isinstance(op.space[k], int) and op.space[k] <= SMALL  # type: ignore[operator]
    ]
    order = [k for k in order if k not in short] + short
    return op.reordered(order) if order != sorted(order) else op


def permuted(op: Op, order: Sequence[int]) -> Op:
    """`reordered`, and the result's axes with it where they are the loops (a product that is only summed)."""
    return op.reordered(order)
