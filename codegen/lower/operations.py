"""Array operations as nests of loops over scalars: from each `Let` to `Op`s, without writing any loop yet.

Views become index maps of those who read them. What is not a loop stays a `Plain` node: scalar operations,
allocations, matrix products of some size (calls), checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ...ir.affine import Affine
from ...ir.build import Builder, dim_atom, literal
from ...ir.errors import IRError
from ...ir.ops.array import iota, zeros
from ...ir.ops.index import index_dims
from ...ir.primitive import REGISTRY, Kind, Trait
from ...ir.program import Atom, Check, Index, Let, Lit, Operand, Span, Var, atoms
from ...ir.types import I64, Dim, Type
from .. import index_maps
from ..index_maps import Along, Counted, Fixed, Place, Read, Source, Taken
from .items import Item, Op, Plain, covers, distinct, frame, is_all, memory_order
from .matrix_products import SMALL, factor, product


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
                return Read(base, places) if view is None else index_maps.through(view, places)
            case Counted(place):
                return Counted(self.place(place))

    def place(self, place: Place) -> Place:
        if isinstance(place, Taken):
            return index_maps.scaled(Taken(self.resolved(place.source)), place.start, place.step)
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
        if let.op in (zeros, iota):
            return self.created(let)
        if name == "dim":
            return self.size(let)
        if not arrays and not let.var.type.rank or name == "empty":
            return [Plain(let)]
        places = index_maps.view_places(let)
        if places is not None:
            return self.view(let, places)
        if let.op.elementwise:
            return [self.elementwise(let)]
        lower = getattr(self, f"_{name}", None)
        if lower is None and let.op.kind is Kind.KERNEL:
            return self.called(let)
        if lower is None:
            raise IRError(f"codegen has no loops for {name}")
        return lower(let, *let.args)

    def called(self, let: Let) -> list[Item]:
        """A kernel of which nothing is known but that it takes arrays in memory, and makes a new one."""
        before: list[Item] = []
        args: list[Operand] = []
        for arg in let.args:
            if isinstance(arg, Var) and arg.type.rank:
                arg, first = self.memory(arg)
                before += first
            elif isinstance(arg, tuple):
                arg, first = self.in_memory(arg)
                before += first
            args.append(arg)
        return [*before, Plain(Let(let.var, let.op, tuple(args), let.span))]

    def in_memory(self, operands: Iterable[Operand]) -> tuple[tuple[Operand, ...], list[Item]]:
        """Operands of a call, and what must be done first."""
        before: list[Item] = []
        args: list[Operand] = []
        for arg in operands:
            if isinstance(arg, Var) and arg.type.rank:
                arg, first = self.memory(arg)
                before += first
            args.append(arg)
        return tuple(args), before

    def _set_call(self, let: Let, x: Var, index: Index, name: str, operands: tuple[Operand, ...]) -> list[Item]:
        args, before = self.in_memory(operands)
        return [*before, Plain(Let(let.var, let.op, (x, index, name, args), let.span))]

    def op(self, var: Var, space: Sequence[Dim], out: Sequence[int | None], *args: Any, **options: Any) -> Op:
        prim = options.pop("prim", None)
        return Op(var, tuple(space), tuple(out), prim, args, span=self.span, **options)

    def fresh(self, hint: str, type: Type) -> Var:
        return self.builder.var(hint, type)

    def again(self, var: Var, type: Type | None = None) -> Var:
        return self.builder.again(var, type)

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
        source = self.read(x, [index_maps.replaced(p, ones) for p in places])
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
        return self.op(var, space, out, index_maps.through(source, places))

    def memory(self, atom: Atom) -> tuple[Var, list[Item]]:
        """An array in memory with this value, and what must be done first."""
        source = self.read(atom, index_maps.whole(atom.type.rank))
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
        where = [index_maps.replaced(p, places) for p in index_maps.index_places(index, x.type.dims)]
        return [self.op(let.var, space, out, self.read(x, where))]

    def _at_set(self, let: Let, x: Var, index: Index, v: Atom) -> list[Item]:
        part = index_dims(x.type.dims, index)
        if not part:
            return [Plain(let)]
        if covers(index, x.type.dims):
            return [self.all_written(let, x, v)]
        space, _, axes = frame(part)
        places = tuple(self.place(index_maps.replaced(p, axes)) for p in index_maps.index_places(index, x.type.dims))
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
            clash = any(r.base == op.target for r in index_maps.reads(source))
            if not clash or (source == Read(op.target, op.places) and distinct(op.places)):  # type: ignore[arg-type]
                return source
            loops = sorted(set(index_maps.loops_of(source)))
            dtype = source.base.type.dtype if isinstance(source, Read) else "i64"
            var = self.fresh("t", Type(dtype, tuple(op.space[k] for k in loops)))
            inner = index_maps.through(
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
        whole = self.again(let.var)
        items: list[Item] = [Plain(Let(whole, REGISTRY["empty"], (shape, let.var.type.dtype), let.span))]
        offset = Affine()
        for k, part in enumerate(parts):
            var = let.var if k == len(parts) - 1 else self.again(let.var)
            space, _, places = frame(part.type.dims)
            here = [index_maps.scaled(p, offset, 1) if a == axis else p for a, p in enumerate(places)]
            items.append(self.op(var, space, (), self.read(part, places), target=whole, places=tuple(here)))
            offset += index_maps.form_of(dim_atom(part.type.dims[axis]))
            whole = var
        return items

    def _nonzero(self, let: Let, mask: Var, size: Atom) -> list[Item]:
        array, before = self.memory(mask)
        return [*before, Plain(Let(let.var, let.op, (array, size), let.span))]

    def _again(self, let: Let, x: Var, bar: Atom) -> list[Item]:
        """Another name, which there is when `bar` has been computed."""
        array, before = self.memory(x)
        shown = self.read(bar, index_maps.whole(bar.type.rank))
        after = shown.base if isinstance(shown, Read) else literal(0, "i64")
        return [*before, Plain(Let(let.var, let.op, (array, after), let.span))]

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
        folded = REGISTRY[fold]
        if getattr(REGISTRY[folded.step or ""].numpy, "identity", None) is not None:
            return []
        items: list[Item] = []
        for dim in (x.type.dims[a] for a in axes):
            if dim == 0 or isinstance(dim, str):
                ok = self.fresh("t", Type("bool"))
                message = f"zero-size array to reduction operation {folded.step} which has no identity"
                if folded.has(Trait.PLACES):
                    message = f"attempt to get {fold} of an empty sequence"
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

    def _matmul(self, let: Let, a: Var, b: Var) -> list[Item]:
        return product(self, let, a, b)

    def _set_matmul(self, let: Let, x: Var, index: Index, alpha: Atom, a: Var, b: Var) -> list[Item]:
        (left, before), (right, also) = factor(self, a), factor(self, b)
        return [*before, *also, Plain(Let(let.var, let.op, (x, index, alpha, left, right), let.span))]

    _add_matmul = _set_matmul


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
