"""The loop of a group: one `For` whose body is the group's items with one loop less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import dim_atom, literal
from ...ir.primitive import REGISTRY, Trait
from ...ir.program import Atom, Exit, For, Lit, Phi, Var
from ...ir.types import BOOL, I64, INTEGERS, Type
from ..index_maps import Along, Counted, Fixed, Place, Read, Source, Taken
from ..primitives import IN_ANY_ORDER
from .fuse import Group, reads_where_written, row_axis
from .items import Item, Op

if TYPE_CHECKING:
    from .scalarise import Scalarise


def neutral(fold: str, dtype: str) -> Lit:
    """What a reduction starts from."""
    step = REGISTRY[fold].step
    match step:
        case "or" | "and":
            return Lit(str(step == "and"), BOOL)
        case "add":
            return literal(0, dtype)
    low = step == "maximum"
    if dtype == "bool":
        return Lit(str(not low), BOOL)
    if dtype in INTEGERS:
        limits = np.iinfo(Type(dtype).numpy)
        return Lit(str(limits.min if low else limits.max), Type(dtype))
    return Lit("-inf" if low else "inf", Type(dtype))


class Nest:
    """Takes the outermost loop off each item, and writes the `For` around what is left."""

    def __init__(self, writer: Scalarise, group: Group, needed: set[str], later: Callable[[str], bool]):
        self.writer = writer
        self.group = group
        self.needed = needed
        self.later = later  # does a later group read this name?
        self.index = writer.builder.var("ijklm"[min(writer.depth, 4)], I64)
        # What an iteration makes of an array, and along which axis of it the loop runs.
        self.rows: dict[str, tuple[Var, int]] = {}
        self.phis: list[Phi] = []
        self.exits: list[Exit] = []
        self.body: list[Item] = []
        self.boxes: list[tuple[Var, Atom]] = []
        # Arrays that items overwrite: at which item, the store, and the name in the loop.
        self.stores: list[tuple[int, Op, Var]] = []
        # Arrays from outside that nobody needs any more, and who in the group reads them.
        self.readers: dict[Var, list[tuple[int, Op]]] = {}
        changed = {v for item in group.items for v in (item.var, item.target) if v is not None}
        for n, item in enumerate(group.items):
            bases = dict.fromkeys(r.base for r in item.reads())  # type: ignore[union-attr]
            for x in bases:
                if isinstance(x, Var) and x not in changed and writer.spent(x) and not later(x.name):
                    self.readers.setdefault(x, []).append((n, item))  # type: ignore[arg-type]
        for k, op in enumerate(group.items):
            assert isinstance(op, Op)
            store = op if op.target is not None else self.taking(op, k)
            if store is not None and store.target is not None:
                self.stores.append((k, store, self.again(store.target)))

    def taking(self, op: Op, k: int) -> Op | None:
        """The op as a store into an operand that nobody needs any more: its memory becomes the result's."""
        if op.fold or op.var.name not in self.needed or set(op.out) - {None} != set(range(len(op.space))):
            return None
        places = tuple(Fixed() if o is None else Along(o) for o in op.out)
        last = [(n, x) for x, found in self.readers.items() if x.type == op.var.type for n, _ in found[-1:] if n <= k]
        for n, x in sorted(last, key=lambda entry: -entry[0]):  # what is read last first
            reads = self.group.items[n].reads()  # type: ignore[union-attr]
            if not any(r.base == x and r.places == places for r in reads):
                continue
            store = Op(op.var, op.space, (), None, (), target=x, places=places)
            if self.reads_before(x, store):
                return store
        return None

    def reads_before(self, x: Var, store: Op) -> bool:
        """Does nobody in the group read x elsewhere than where the store would write, and has nobody taken it?"""
        if not all(reads_where_written(item, store) for _, item in self.readers[x]):
            return False
        return all(taken.target != x for _, taken, _ in self.stores)

    def fresh(self, hint: str, type: Type) -> Var:
        return self.writer.builder.var(hint, type)

    def again(self, var: Var, type: Type | None = None) -> Var:
        return self.writer.builder.again(var, type)

    def write(self) -> None:
        writer = self.writer
        for k, op in enumerate(self.group.items):
            assert isinstance(op, Op)
            writer.builder.span = op.span
            self.item(op, k)
        needed = {p.second.name for p in self.phis if isinstance(p.second, Var)}
        writer.depth += 1
        body = writer.body(lambda: writer.lower(self.body, needed))
        writer.depth -= 1
        phis = tuple(Phi(p.var, p.first, writer.renamed(p.second)) for p in self.phis)
        stop = writer.renamed(dim_atom(self.group.size))  # type: ignore[arg-type]
        spans = {op.span for op in self.group.items}  # type: ignore[union-attr]
        span = spans.pop() if len(spans) == 1 else None
        writer.builder.add(For(self.index, Lit("0", I64), stop, False, phis, body, tuple(self.exits), span))
        for var, value in self.boxes:
            writer.named(var, value, self.needed)

    def item(self, op: Op, k: int) -> None:
        if op.target is not None:
            self.store(op, k)
        elif op.fold == "cumsum" and op.axis == 0:
            self.scan(op, k)
        elif op.fold and REGISTRY[op.fold].has(Trait.PLACES) and op.axis == 0:
            self.search(op, k)
        elif 0 in op.out:
            self.row(op, k, self.inside(op, k, self.row_var(op)))
        else:
            self.accumulate(op, k)

    # -- binding the loop ------------------------------------------------------------------------------

    def inside(self, op: Op, k: int, var: Var, **changes: Any) -> Op:
        """The op at one iteration: its first loop is at the index, arrays made here are rows."""
        here: list[Place] = [Fixed(Affine.name(self.index.name))]
        loops = here + [Along(j) for j in range(len(op.space) - 1)]
        args, places = op.placed(loops)
        swaps = self.swaps(op, k)
        return replace(
            op,
            var=var,
            space=op.space[1:],
            out=tuple(None if o is None else o - 1 for o in op.out if o != 0),
            args=tuple(self.local(a, swaps) if isinstance(a, (Read, Counted)) else a for a in args),
            places=tuple(self.local_place(p, swaps) for p in places),
            axis=op.axis - 1 if op.axis > 0 else op.axis,
            **changes,
        )

    def swaps(self, op: Op, k: int) -> dict[str, Var]:
        """Arrays that this or a later item overwrites just where this one reads: read the new version."""
        found: dict[str, Var] = {}
        for n, store, carried in self.stores:
            target = store.target
            assert target is not None
            reads = any(r.base == target for r in op.reads())
            if n >= k and target.name not in found and (n == k or (reads and reads_where_written(op, store))):
                found[target.name] = carried
        return found

    def overwrites(self, k: int) -> tuple[Op, Var] | None:
        """What item k overwrites, and its name in the loop."""
        return next(((store, carried) for n, store, carried in self.stores if n == k), None)

    def local(self, source: Source, swaps: dict[str, Var]) -> Source:
        match source:
            case Counted(place):
                return Counted(self.local_place(place, swaps))
            case Read(base, places):
                places = tuple(self.local_place(p, swaps) for p in places)
                if isinstance(base, Var) and base.name in self.rows:
                    row, axis = self.rows[base.name]
                    return Read(row, places[:axis] + places[axis + 1 :])
                if isinstance(base, Var) and base.name in swaps:
                    base = swaps[base.name]
                return Read(base, places)

    def local_place(self, place: Place, swaps: dict[str, Var]) -> Place:
        if isinstance(place, Taken):
            return Taken(self.local(place.source, swaps), place.start, place.step)
        return place

    # -- the kinds of items ----------------------------------------------------------------------------

    def row_var(self, op: Op) -> Var:
        axis = row_axis(op)
        assert axis is not None
        dims = op.var.type.dims
        type = op.var.type.with_dims(dims[:axis] + dims[axis + 1 :])
        name = op.var.name
        var = self.again(op.var, type) if name in self.needed else Var(name, type)
        self.rows[name] = var, axis
        return var

    def row(self, op: Op, k: int, inner: Op) -> None:
        """An iteration makes one row of the result; it is stored if somebody needs it later."""
        self.body.append(inner)
        if op.var.name in self.needed:
            self.keep(op, k, inner.var)

    def keep(self, op: Op, k: int, row: Var) -> None:
        _, axis = self.rows[op.var.name]
        taken = self.overwrites(k)
        if taken is None:
            first = self.again(op.var)
            self.writer.allocate(first)
            carried, after = self.carry(op, first)
        else:
            store, carried = taken
            assert store.target is not None
            after = self.again(op.var)
            self.phis.append(Phi(carried, store.target, after))
            self.exits.append(Exit(op.var, carried))
        space, places = result_places(op)
        here = places[:axis] + (Fixed(Affine.name(self.index.name)),) + places[axis + 1 :]
        value = Read(row, places[:axis] + places[axis + 1 :])
        self.body.append(
            Op(after, space, (), None, (value,), target=carried, places=here, own=True, span=op.span)
        )

    def carry(self, op: Op, first: Atom) -> tuple[Var, Var]:
        """Phis of an array that the loop fills; `op.var` is its name afterwards."""
        carried = self.again(op.var)
        after = self.again(op.var)
        self.phis.append(Phi(carried, first, after))
        self.exits.append(Exit(op.var, carried))
        return carried, after

    def carry_scalar(self, op: Op, first: Atom, after: Var, ends: bool = True) -> Var:
        """A phi of a scalar; with `ends` its last value is what `op` computes."""
        carried = self.again(op.var, after.type)
        self.phis.append(Phi(carried, first, after))
        if ends and not op.var.type.rank:
            self.exits.append(Exit(op.var, carried))
        elif ends:
            end = self.again(op.var, after.type)
            self.exits.append(Exit(end, carried))
            self.boxes.append((op.var, end))
        return carried

    def store(self, op: Op, k: int) -> None:
        assert op.target is not None
        after = self.again(op.var)
        for n, end in enumerate(self.exits):
            if end.var == op.target:  # goes on with the array that an item before has written to
                m = next(m for m, p in enumerate(self.phis) if p.var == end.phi)
                before = self.phis[m].second
                self.phis[m] = replace(self.phis[m], second=after)
                self.exits[n] = Exit(op.var, end.phi)
                self.body.append(self.inside(op, k, after, target=before))
                return
        carried = next(name for n, _, name in self.stores if n == k)
        self.phis.append(Phi(carried, op.target, after))
        self.exits.append(Exit(op.var, carried))
        self.body.append(self.inside(op, k, after, target=carried))

    def accumulate(self, op: Op, k: int) -> None:
        """The loop is one that is summed over: carry the sum."""
        space, places = result_places(op)
        partial = len(op.space) - 1 > len(space)  # more loops to sum over inside
        inner = self.inside(op, k, self.again(op.var) if partial else op.var)
        if partial:
            self.body.append(inner)
            source: Source = Read(inner.var, places)
        else:
            (source,) = inner.args
        dtype = op.var.type.dtype
        step = REGISTRY[REGISTRY[op.fold].step or ""]
        combine = IN_ANY_ORDER.get(step, step) if op.var.type.is_float or op.fold != "sum" else step
        start = neutral(op.fold, dtype)
        if not space:
            after = self.again(op.var, Type(dtype))
            carried = self.carry_scalar(op, start, after)
            self.body.append(Op(after, (), (), combine, (Read(carried), source), span=op.span))
            return
        first = self.again(op.var)
        if op.fold == "sum":
            self.writer.allocate(first, "zeros")
        else:
            out = tuple(p.loop if isinstance(p, Along) else None for p in places)
            self.writer.lower([Op(first, space, out, None, (Read(start),), span=op.span)], {first.name})
        carried, after = self.carry(op, first)
        if op.fold != "sum":
            more = self.again(op.var)
            out = tuple(p.loop if isinstance(p, Along) else None for p in places)
            old = Read(carried, places)
            self.body.append(Op(more, space, out, combine, (old, source), span=op.span))
            source = Read(more, places)
        add = op.fold == "sum"
        self.body.append(
            Op(
                after,
                space,
                (),
                None,
                (source,),
                target=carried,
                places=places,
                add=add,
                own=True,
                span=op.span,
            )
        )

    def scan(self, op: Op, k: int) -> None:
        """Row k of a cumulative sum is row k - 1 plus the input's."""
        row = self.row_var(op)
        inner = self.inside(op, k, row, fold="", prim=REGISTRY["add"])
        start = neutral("sum", op.var.type.dtype)
        if not inner.space:
            scalar = self.again(op.var, row.type.with_dims(()))
            carried = self.carry_scalar(op, start, scalar, ends=False)
            self.body.append(replace(inner, var=scalar, args=(Read(carried), *inner.args), out=()))
            self.body.append(replace(inner, args=(Read(scalar),), prim=None))
        else:
            first = self.again(op.var, row.type)
            self.writer.allocate(first, "zeros")
            sum_before = self.again(op.var, row.type)
            after = self.again(op.var, row.type)
            self.phis.append(Phi(sum_before, first, after))
            places = tuple(Fixed() if o is None else Along(o) for o in inner.out)
            self.body.append(replace(inner, args=(Read(sum_before, places), *inner.args)))
            self.body.append(
                Op(after, inner.space, (), None, (Read(row, places),), target=sum_before, places=places,
                   own=True, span=op.span)
            )  # fmt: skip
        if op.var.name in self.needed:
            self.keep(op, k, row)

    def search(self, op: Op, k: int) -> None:
        """The first place of the largest value; a nan is larger than all others."""
        inner = self.inside(op, k, op.var)
        (value,) = inner.args
        dtype = Type(value.base.type.dtype) if isinstance(value, Read) else I64
        best_after = self.fresh("best", dtype)
        best = self.fresh("best", dtype)
        self.phis.append(Phi(best, neutral(op.fold, dtype.dtype), best_after))
        place_after = self.again(op.var, I64)
        place = self.carry_scalar(op, Lit("0", I64), place_after)

        def scalar(name: str, *args: Source, type: Type = BOOL) -> Read:
            var = self.fresh("t", type)
            self.body.append(Op(var, (), (), REGISTRY[name], args, span=op.span))
            return Read(var)

        better = scalar("gt" if op.fold == "argmax" else "lt", value, Read(best))
        if dtype.is_float:
            first_nan = scalar("and", scalar("ne", value, value), scalar("eq", Read(best), Read(best)))
            better = scalar("or", better, first_nan)
        choose = REGISTRY["where"]
        position = Counted(Fixed(Affine.name(self.index.name)))
        self.body.append(Op(best_after, (), (), choose, (better, value, Read(best)), span=op.span))
        self.body.append(Op(place_after, (), (), choose, (better, position, Read(place)), span=op.span))


def result_places(op: Op) -> tuple[tuple[Any, ...], tuple[Place, ...]]:
    """Loops over what is left of the result when the first loop is bound, and the place on each axis.

    The axis of the first loop itself, if it has one, has no meaning here.
    """
    kept = sorted(o for o in op.out if o is not None and o > 0)
    number = {o: n for n, o in enumerate(kept)}
    places = tuple(Along(number[o]) if o is not None and o > 0 else Fixed() for o in op.out)
    return tuple(op.space[o] for o in kept), places
