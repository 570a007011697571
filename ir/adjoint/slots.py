"""Loops whose state is kept in a number of slots, for checkpointing: the binomial schedule (Griewank and Walther's).

The forward sweep fills the slots on its way. The reverse sweep wants the states from the last to the first: for each it
starts from the latest one that is in a slot, and on its way to the wanted one fills the slots that have become free.
Where the next slot is filled is computed when one is (`next_mark`): so that no step is done again more often than need
be, for l steps and s slots at most r times where C(s + r, s) >= l.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..build import Builder, dim_atom
from ..errors import UnsupportedFunction
from ..ops.arith import CONVERT, add, and_, eq, floordiv, ge, lt, maximum, minimum, mul, or_, sub
from ..ops.array import empty, full_slice
from ..ops.index import at_set, getitem
from ..ops.math import cbrt
from ..program import Atom, Exit, For, If, Index, Let, Lit, Phi, Var, While
from ..types import I64
from .segments import ZERO, trips_of

NONE = Lit("-1", I64)


@dataclass(frozen=True)
class Stack:
    """Slots that are filled from the first one on, at some place of a program."""

    snapshots: tuple[Atom, ...]
    """For each phi of the loop what it was, an axis for the slots in front."""
    places: Atom
    """By slot, before which trip that was."""
    top: Atom
    """How many are filled."""
    mark: Atom
    """Before which trip the next one is."""

    @property
    def atoms(self) -> tuple[Atom, ...]:
        return (*self.snapshots, self.places, self.top, self.mark)

    @classmethod
    def of(cls, atoms: Sequence[Atom]) -> Stack:
        return cls(tuple(atoms[:-3]), *atoms[-3:])


@dataclass(frozen=True)
class Slotted:
    """A loop that keeps its state in slots."""

    loop: For
    """As it is in the program."""
    flat: For
    """The loop over its trips from 0 on, without the slots."""
    slots: Atom
    left: tuple[Var, ...]
    """What the loop leaves of the stack."""


def slotted(b: Builder, loop: For, schedule: str | int) -> Slotted:
    """Write a loop that keeps its state in slots: so many, or so many that no trip is done again more than 3 times."""
    trips = trips_of(b, loop)
    for phi in loop.phis:
        if any(d == other.var.name for d in phi.var.type.dims for other in loop.phis):
            raise UnsupportedFunction(
                f"checkpoint={schedule!r}: this loop carries an array whose size changes from trip to trip, which does "
                'not fit into slots. Use checkpoint="sqrt"', loop.span,
            )  # fmt: skip
    if isinstance(schedule, str):
        root = b.emit(cbrt, b.emit(CONVERT["f64"], b.emit(mul, trips, 6)))
        slots = b.emit(maximum, b.emit(CONVERT["i64"], root), 1, hint="slots")
    else:
        slots = b.emit(minimum, b.emit(maximum, trips, 1), schedule, hint="slots")
    flat = _flat(b, loop, trips)
    rows = b.emit(add, slots, 1)  # one for the state before the last trip, which is reversed first
    start = [
        b.emit(empty, (rows, *map(dim_atom, v.type.dims)), v.type.dtype, hint=f"{v.name}_slots")
        for v in (phi.var for phi in flat.phis)
    ]
    entry = Stack((*start,), b.emit(empty, (rows,), "i64", hint="places"), ZERO, ZERO)
    arrays = [variable(b, a) for a in (*start, entry.places)]
    stack = Stack.of((*arrays, b.var("top", I64), b.var("mark", I64)))
    with b.open() as body:
        state = [phi.var for phi in flat.phis]
        last = b.emit(eq, flat.index, b.emit(sub, trips, 1))
        marked = b.emit(or_, b.emit(eq, flat.index, stack.mark), last)
        after = pushed(b, marked, stack, state, flat.index, trips, slots)
        body += flat.body
    joined = tuple(Phi(v, f, s) for v, f, s in zip(stack.atoms, entry.atoms, after.atoms))  # type: ignore[arg-type]
    left = tuple(b.again(v) for v in stack.atoms[:-1])  # type: ignore[arg-type]
    exits = tuple(Exit(v, phi.var) for v, phi in zip(left, joined))
    whole = replace(flat, phis=(*flat.phis, *joined), body=tuple(body), exits=(*flat.exits, *exits))
    b.add(whole)
    return Slotted(whole, flat, slots, left)


def variable(b: Builder, atom: Atom) -> Var:
    """Another version of a part of a stack."""
    assert isinstance(atom, Var)
    return b.again(atom)


def _flat(b: Builder, loop: For, trips: Atom) -> For:
    """The loop with an index from 0 on."""
    if loop.start == ZERO and not loop.reverse:
        return replace(loop, stop=trips)
    index = b.var("trip", I64)
    with b.open() as head:
        if loop.reverse:
            back = b.emit(sub, loop.stop, index)
            head.append(Let(loop.index, sub, (back, Lit("1", I64)), loop.span))
        else:
            head.append(Let(loop.index, add, (loop.start, index), loop.span))
    return For(index, ZERO, trips, False, loop.phis, (*head, *loop.body), loop.exits, loop.span)


def pushed(
    b: Builder, marked: Atom, stack: Stack, state: Sequence[Atom], here: Atom, end: Atom, slots: Atom
) -> Stack:
    """The stack with the state before trip `here` in a slot if `marked`; trips up to `end` are to be reversed."""
    with b.open() as then:
        parts = [
            b.emit(at_set, array, Index((stack.top, *map(full_slice, value.type.dims))), value)
            for array, value in zip(stack.snapshots, state)
        ]
        places = b.emit(at_set, stack.places, Index((stack.top,)), here)
        left = b.emit(sub, slots, stack.top)
        mark = next_mark(b, here, b.emit(sub, end, here), left)
        filled = Stack((*parts,), places, b.emit(add, stack.top, 1), mark)
    phis = tuple(
        Phi(variable(b, before), after, before) for before, after in zip(stack.atoms, filled.atoms)
    )
    b.add(If(marked, tuple(then), (), phis, b.span))
    return Stack.of(tuple(phi.var for phi in phis))


def next_mark(b: Builder, here: Atom, length: Atom, slots: Atom) -> Atom:
    """Where the next slot is filled, of `length` trips from `here` on and so many slots, that for `here` among them."""
    enough = b.emit(and_, b.emit(ge, slots, 2), b.emit(ge, length, 2))
    with b.open() as then:
        times, low, high = (b.var(name, I64) for name in ("times", "low", "high"))
        with b.open() as test:
            go = b.emit(lt, high, length)
        with b.open() as body:
            more = b.emit(add, times, 1)
            higher = b.emit(floordiv, b.emit(mul, high, b.emit(add, slots, more)), more)
        one = Lit("1", I64)
        phis = Phi(times, ZERO, more), Phi(low, one, high), Phi(high, one, higher)
        ends = b.again(times), b.again(low)
        exits = tuple(map(Exit, ends, (times, low)))
        b.add(While(phis, tuple(test), go, tuple(body), exits, b.span))
        # low = C(slots + times - 1, slots); the trips behind the mark have a slot less and are done `times` - 1 times.
        divisor = b.emit(sub, b.emit(add, slots, ends[0]), 1)
        fewest = b.emit(floordiv, b.emit(mul, ends[1], slots), divisor)
        steps = b.emit(maximum, b.emit(minimum, ends[1], b.emit(sub, length, fewest)), 1)
        mark = b.emit(add, here, steps)
    phi = Phi(b.var("mark", I64), mark, NONE)
    b.add(If(enough, tuple(then), (), (phi,), b.span))
    return phi.var


def popped(b: Builder, snapshots: Sequence[Atom], slot: Atom, phis: Sequence[Phi]) -> list[Atom]:
    """What is in a slot."""
    return [
        b.emit(getitem, array, Index((slot, *map(full_slice, phi.var.type.dims))), hint=phi.var.name, type=phi.var.type)
        for array, phi in zip(snapshots, phis)
    ]
