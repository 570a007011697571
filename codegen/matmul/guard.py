"""Loops beside the calls of BLAS that `replace` writes: the test that a call may be made, and what else is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...ir.affine import Affine
from ...ir.build import literal
from ...ir.ops.index import at_add, getitem
from ...ir.primitive import REGISTRY
from ...ir.program import Atom, Exit, For, Index, Let, Node, Phi, Var
from ...ir.types import I64
from ..primitives import radd
from .combine import Half, Places

if TYPE_CHECKING:
    from .replace import Rewrite

Element = tuple[Half, Var, tuple[Affine, Affine]]
"""What is multiplied, and which element of which matrix has the other factor."""


def finite(rewrite: Rewrite, array: Var, part: Places) -> Atom:
    """Is every element of this part of an array finite? Written into the open region."""
    builder, span = rewrite.builder, rewrite.loop.span
    type = array.type.with_dims(())
    spans = [p for p in part if isinstance(p, tuple)]
    counters = [builder.var("i", I64) for _ in spans]
    sums = [builder.var("t", type) for _ in range(5)]
    value, zero = builder.var("t", type), builder.var("t", type)
    none = literal(0.0, type.dtype)
    fixed = iter(counters)
    index = Index(tuple(rewrite.number(p, builder.region) if isinstance(p, Affine) else next(fixed) for p in part))
    body = (
        Let(value, getitem, (array, index), span),
        Let(zero, REGISTRY["mul"], (value, none), span),
        Let(sums[0], radd, (sums[1], zero), span),
    )
    (first, stop), (start, end) = ([rewrite.number(form, builder.region) for form in span] for span in spans)
    inner = For(
        counters[1], start, end, False, (Phi(sums[1], sums[3], sums[0]),), body, (Exit(sums[2], sums[1]),),
        span,
    )  # fmt: skip
    builder.add(
        For(counters[0], first, stop, False, (Phi(sums[3], none, sums[2]),), (inner,), (Exit(sums[4], sums[3]),),
            span)
    )  # fmt: skip
    return builder.emit("eq", sums[4], 0.0)


def multiplied(rewrite: Rewrite, base: Var, alpha: Atom, element: Element, out: list[Node]) -> Var:
    """A product added by loops, which multiply no more than those did that it stands for."""
    half, matrix, place = element
    extents, span = half.found.extents, half.found.total.let.span
    outer = rewrite.loop.index.name
    names = {name: rewrite.builder.var(name, I64) for name in (outer, half.other, half.shared)}

    def form(old: Affine) -> Affine:
        for name, new in names.items():
            old = old.substitute(name, Affine.name(new.name))
        return old

    def at(places: Sequence[Affine], body: list[Node]) -> Index:
        return Index(tuple(rewrite.number(form(p), body) for p in places))

    type = base.type.with_dims(())
    ours, factor, term = (rewrite.builder.var("t", type) for _ in range(3))
    heads, ends = [rewrite.fresh(base) for _ in names], [rewrite.fresh(base) for _ in names]
    stored = rewrite.fresh(base)
    inner: list[Node] = []
    inner.append(Let(factor, getitem, (half.common.value, at(half.common.places, inner)), span))
    inner.append(Let(term, REGISTRY["mul"], (factor, ours), span))
    if alpha != literal(1.0, type.dtype):
        term = rewrite.emit("mul", term, alpha, inner)
    inner.append(Let(stored, at_add, (heads[2], at(half.found.total.places, inner), term), span))
    second = stored
    read: list[Node] = []
    read.append(Let(ours, getitem, (matrix, at(place, read)), span))
    for k, name in reversed(list(enumerate(names))):
        around: list[Node] = [] if k else out
        loop = extents[name].loop
        start, stop = (rewrite.number(form(rewrite.inside.form(end)), around) for end in (loop.start, loop.stop))
        body = (*(read if k == 2 else ()), For(
            names[name], start, stop, False,
            (Phi(heads[k], heads[k - 1] if k else base, second),), tuple(inner), (Exit(ends[k], heads[k]),), span,
        ))  # fmt: skip
        around.extend(body)
        inner, second = around, ends[k]
    return ends[0]
