"""Does NumPy give a view or a copy when it reshapes? Decided from sizes and strides that are symbols.

Writes go through a view to its base and not through a copy, so the answer matters for what a program
means. A stride counts elements of the cell, whose content lies in C order,
but for what was computed from a transposed array.
"""

from __future__ import annotations

from collections import Counter

from ...ir.primitive import Kind, Trait
from ...ir.program import Atom, Let, atoms
from ...ir.types import Dim
from ..session import Session
from ..values.symbol import Array
from ..values.view import Run, Strided
from .arguments import lower_bound

Monomial = tuple[int, tuple[str, ...]]
"""A product of a number and sizes (sorted names)."""

ONE: Monomial = (1, ())


def times(a: Monomial, b: Monomial) -> Monomial:
    return a[0] * b[0], tuple(sorted((*a[1], *b[1])))


def monomial(session: Session, dims: tuple[Dim, ...]) -> Monomial:
    result = ONE
    for dim in dims:
        dim = session.builder.canonical_dim(dim)
        result = times(result, (dim, ()) if isinstance(dim, int) else (1, (dim,)))
    return result


def divided(a: Monomial, b: Monomial) -> Monomial | None:
    """a / b where that is a monomial."""
    if b[0] == 0 or a[0] % b[0]:
        return None
    names = list(a[1])
    for name in b[1]:
        if name not in names:
            return None
        names.remove(name)
    return a[0] // b[0], tuple(names)


def reshape_gives(session: Session, x: Array, dims: tuple[Dim, ...]) -> str:
    """What NumPy returns for x.reshape(dims): a "view", a "copy", or "unknown" if only a run can tell."""
    cell, order = x.cell, session.order
    kept = cell.number not in order.in_order and cell.value.type.rank > 1 and keeps_order(session, cell.value)
    if kept or cell.number in order.unknown:
        return "unknown"
    strides = strides_of(session, x)
    if strides is None:
        return "unknown"
    result = _reshaped(session, x.dims, strides, dims)
    return result if isinstance(result, str) else "view"


def keeps_order(session: Session, value: Atom) -> bool:
    """May the array lie in another order than C? NumPy gives `x.T * 2` the order of x.T."""
    made = {
        node.var.name: node
        for region in session.builder._regions
        for node in region
        if isinstance(node, Let) and node.var.type.rank > 1
    }
    todo, seen = [value], set()
    while todo:
        let = made.get(getattr(todo.pop(), "name", ""))
        if let is None or let.var.name in seen or let.op.has(Trait.CONTIGUOUS):
            continue
        if let.op.name == "transpose":
            return True
        seen.add(let.var.name)
        updates = let.op.kind is Kind.WRITE
        todo += [let.array] if updates else [a for a in atoms(let.args) if a.type.rank > 1]
    return False


def order_from(session: Session, x: Array) -> frozenset[str]:
    """The parameters whose order in memory decides in which order the array lies."""
    order = session.order
    if x.cell.number in order.in_order:
        return frozenset()
    everything = frozenset(v.name for v in session.parameters if v.type.rank)
    made = {
        node.var.name: node
        for region in session.builder._regions
        for node in region
        if isinstance(node, Let) and node.var.type.rank
    }
    found: set[str] = set(order.follows.get(x.cell.number, ()))
    todo, seen = [x.cell.value], set()
    while todo:
        name = getattr(todo.pop(), "name", "")
        if name in everything:
            found.add(name)
        elif name not in made:
            found |= everything  # of a loop or a branch
        elif name not in seen and not made[name].op.has(Trait.CONTIGUOUS):
            seen.add(name)
            args = made[name].args
            updates = made[name].op.kind is Kind.WRITE  # what is written has the order that it had
            todo += atoms(args[:1]) if updates else [a for a in atoms(args) if a.type.rank > 1]
    return frozenset(found)


def note_reshape(session: Session, x: Array, result: object = None) -> None:
    """The array was reshaped: what it and the result show if one is written depends on the order of arguments."""
    parameters = order_from(session, x)
    for array in (x, result):
        if isinstance(array, Array):
            session.order.reshape(array.cell, parameters, bool(session.binding))


def strides_of(session: Session, x: Array) -> list[Monomial] | None:
    """The stride of each axis of a view, None if it is not known."""
    dims = x.cell.value.type.dims
    strides = [monomial(session, dims[k + 1 :]) for k in range(len(dims))]
    for step in x.maps:
        if isinstance(step, Strided):
            shown = [ONE] * step.rank
            for item, stride in zip(step.items, strides):
                if isinstance(item, Run):
                    shown[item.out] = times(stride, (item.step, ()))
            dims, strides = step.dims, shown
            continue
        result = _reshaped(session, dims, strides, step)
        if isinstance(result, str):
            return None
        dims, strides = step, result
    return strides


def _reshaped(
    session: Session, old: tuple[Dim, ...], strides: list[Monomial], new: tuple[Dim, ...]
) -> list[Monomial] | str:
    """The strides after a reshape without copying, or why there are none: "copy" or "unknown".

    As NumPy does it: axes that stand for the same elements are grouped (the products of the leading sizes
    agree), and a group of several old axes must lie evenly in memory.
    """
    axes = [(d, s) for d, s in zip(old, strides) if session.builder.canonical_dim(d) != 1]
    places = [k for k, d in enumerate(new) if session.builder.canonical_dim(d) != 1]
    before = _prefixes(session, [d for d, _ in axes])
    after = _prefixes(session, [new[k] for k in places])
    result: list[Monomial] = [ONE] * len(new)
    i = j = 0
    for end, prefix in enumerate(before):
        if end <= i or (prefix not in after[j + 1 :] and end < len(axes)):
            continue
        stop = after.index(prefix, j + 1) if prefix in after[j + 1 :] else len(places)
        for cut in range(i + 1, end):
            (_, outer), (size, inner) = axes[cut - 1 : cut + 1]
            even = equal(session, outer, times(monomial(session, (size,)), inner))
            if not even:
                # No copy is needed, either, if the new shape separates these axes, too.
                apart = all(equal(session, before[cut], other) is False for other in after[j + 1 : stop])
                return "copy" if even is False and apart else "unknown"
        stride = axes[end - 1][1]
        for k in reversed(places[j:stop]):
            result[k] = stride
            stride = times(stride, monomial(session, (new[k],)))
        i, j = end, stop
    return result


def _prefixes(session: Session, dims: list[Dim]) -> list[Monomial]:
    """Products of the first 0, 1, 2, ... sizes."""
    return [monomial(session, tuple(dims[:k])) for k in range(len(dims) + 1)]


def equal(session: Session, a: Monomial, b: Monomial) -> bool | None:
    """Are two strides equal? None if that depends on the sizes."""
    common = 1, tuple((Counter(a[1]) & Counter(b[1])).elements())
    left, right = divided(a, common), divided(b, common)
    assert left is not None and right is not None
    if left == right:
        return True
    if (left[0] < 0) != (right[0] < 0):
        return False
    sizes = [abs(m[0]) * _least(session, m) for m in (left, right)]
    if (not left[1] and sizes[1] > abs(left[0])) or (not right[1] and sizes[0] > abs(right[0])):
        return False
    if max(len(left[1]), len(right[1])) > 1:
        return None
    builder = session.builder
    one, two = (builder.affine(m[1][0] if m[1] else 1).scaled(abs(m[0])) for m in (left, right))
    if builder.facts.proves(one - two - 1) or builder.facts.proves(two - one - 1):
        return False
    return None


def _least(session: Session, m: Monomial) -> int:
    """What is known of the smallest value of the sizes in a product."""
    least = 1
    for name in m[1]:
        least *= lower_bound(session, name)
    return least
