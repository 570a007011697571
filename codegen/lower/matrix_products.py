"""Matrix products: loops where they are small or have a vector in them, else calls of BLAS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...ir.affine import Affine
from ...ir.build import dim_atom, literal
from ...ir.ops import arith
from ...ir.ops.array import full_slice
from ...ir.ops.declare import broadcast_dims
from ...ir.ops.reduce import any_, sum_
from ...ir.primitive import REGISTRY
from ...ir.program import Atom, Index, Let, Slice, Var
from ...ir.types import I64, Dim, Type
from .. import index_maps
from ..index_maps import Along, Fixed, Read, Source, Taken
from ..primitives import add_matmul, set_matmul
from .items import Item, Op, Plain, frame, memory_order

if TYPE_CHECKING:
    from .operations import Loops

LARGE = 16
"""Loops that are a matrix product become one where each of the three sizes is at least this."""
SMALL = 8
"""Matrix products whose two inner sizes are known and at most this big are loops, not calls."""


def product(loops: Loops, let: Let, a: Var, b: Var) -> list[Item]:
    """The items of `a @ b`."""
    if a.type.rank == b.type.rank == 2 and worth_a_call(a, b):
        left, before = factor(loops, a)
        right, also = factor(loops, b)
        out = loops.again(let.var)
        shape = tuple(map(dim_atom, let.var.type.dims))
        empty = Let(out, REGISTRY["empty"], (shape, let.var.type.dtype), let.span)
        all_of_it = Index(tuple(map(full_slice, out.type.dims)))
        call = Let(let.var, set_matmul, (out, all_of_it, literal(1.0, out.type.dtype), left, right), let.span)
        return [*before, *also, Plain(empty, late=True), Plain(call)]
    rows = a.type.dims[-2:-1] if a.type.rank > 1 else ()
    columns = b.type.dims[-1:] if b.type.rank > 1 else ()
    batch = broadcast_dims(a.type.dims[:-2], b.type.dims[:-2])
    # Loops: the stack, rows, the inner size, columns.
    inner = a.type.dims[-1]
    dims = (*batch, *rows, inner, *columns)
    space, along, places = frame(dims)
    middle = len(batch) + len(rows)
    a_places = [*places[: len(batch)], *places[len(batch) : middle], places[middle]]
    b_places = [*places[: len(batch)], places[middle], *places[middle + 1 :]]
    left_source = loops.spread(a, a_places[len(a_places) - a.type.rank :])
    right_source = loops.spread(b, b_places[len(b_places) - b.type.rank :])
    kept = [o for k, o in enumerate(along) if k != middle]
    dtype = let.var.type.dtype
    times, fold = (arith.and_, any_) if dtype == "bool" else (arith.mul, sum_)
    terms = loops.fresh("t", Type(dtype, space))
    every = range(len(space))
    factors = loops.op(terms, space, every, left_source, right_source, prim=times)
    total = loops.op(let.var, space, kept, Read(terms, index_maps.whole(len(space))), fold=fold.name)
    larger = right_source if b.type.rank > a.type.rank else left_source
    order = memory_order(larger, len(space)) if not (rows and columns) else None
    if columns and isinstance(inner, int) and inner <= SMALL and along[middle] is not None:
        order = [k for k in every if k != along[middle]] + [along[middle]]  # type: ignore[list-item]
    if order is None:
        return [factors, total]
    return [factors.reordered(order), total.reordered(order)]


def worth_a_call(a: Var, b: Var) -> bool:
    """Is a product of matrices of these sizes better called than written as loops?"""
    (n, k), (_, m) = a.type.dims, b.type.dims
    tiny = isinstance(k, int) and isinstance(m, int) and k <= SMALL and m <= SMALL
    return a.type.is_float and not tiny and 0 not in (n, k, m) and 1 not in (n, k, m)


def factor(loops: Loops, x: Var) -> tuple[Var, list[Item]]:
    """A matrix that BLAS takes as it is, and what must be done first.

    Such are arrays in memory, parts of arrays whose rows or columns lie in memory in one piece, and transposes.
    """
    source = loops.read(x, index_maps.whole(2))
    items: list[Item] = []
    index = part(loops, source, x.type.dims, items)
    if index is None:
        return loops.memory(x)
    assert isinstance(source, Read) and isinstance(source.base, Var)
    matrix = source.base
    turned = source.places[-1].loop == 0  # type: ignore[union-attr]
    dims = x.type.dims[::-1] if turned else x.type.dims
    if index.items != tuple(map(full_slice, matrix.type.dims)):
        matrix = loops.fresh("t", x.type.with_dims(dims))
        items.append(Plain(Let(matrix, REGISTRY["getitem"], (source.base, index), loops.span), late=True))
    if turned:
        var = loops.fresh("t", x.type)
        items.append(Plain(Let(var, REGISTRY["transpose"], (matrix, (1, 0)), loops.span), late=True))
        matrix = var
    return matrix, items


def part(loops: Loops, source: Source, dims: tuple[Dim, ...], items: list[Item]) -> Index | None:
    """The subscript that selects the matrix which is read; None if BLAS cannot take it.

    `items` gets what computes the ends of slices.
    """
    if not isinstance(source, Read) or not isinstance(source.base, Var):
        return None
    runs = [p for p in source.places if isinstance(p, Along)]
    if sorted(p.loop for p in runs) != [0, 1] or not isinstance(source.places[-1], Along):
        return None
    if any(isinstance(p, Taken) for p in source.places) or min(p.step for p in runs) < 1 or runs[-1].step != 1:
        return None
    selected: list[Atom | Slice | None] = []
    for place, size in zip(source.places, source.base.type.dims):
        if not isinstance(place, Along):
            selected.append(number(loops, place.at, items))  # type: ignore[union-attr]
            continue
        length = dims[place.loop]
        if place == Along(place.loop) and size == length:
            selected.append(full_slice(size))
            continue
        stop = place.start + index_maps.form_of(dim_atom(length)).scaled(place.step)
        ends = number(loops, place.start, items), number(loops, stop, items)
        selected.append(Slice(*ends, place.step, length))
    return Index(tuple(selected))


def number(loops: Loops, form: Affine, items: list[Item]) -> Atom:
    """The value of an affine form; `items` gets what computes it."""
    if len(form.terms) == 1 and form == Affine.name(form.names[0]):
        return Var(form.names[0], I64)
    with loops.builder.open() as written:
        atom = loops.builder.integer(form)
    items.extend(Plain(node) for node in written if isinstance(node, Let))
    return atom


# -- sums of products ----------------------------------------------------------------------------------


def accumulated(
    items: Sequence[Item], uses: Mapping[str, int], spent: Callable[[Var], bool]
) -> list[Item]:
    """The items, where products that are only added to an array nobody else needs are added by BLAS.

    `uses` counts the uses of a name in the whole program; `spent` says whether nobody needs an array later.
    """
    products = {
        i.node.var.name: i.node
        for i in items
        if isinstance(i, Plain) and isinstance(i.node, Let) and i.node.op is set_matmul
    }
    result = list(items)
    gone: set[str] = set()
    last = {name: k for k, item in enumerate(items) for name in item.names()} if products else {}
    for k, item in enumerate(items):
        pair = sum_of_two(item)
        if pair is None:
            continue
        assert isinstance(item, Op)
        for x, product in (pair, pair[::-1]):
            alone = product.name in products and uses[product.name] == 1
            if alone and spent(x) and last[x.name] == k:
                args = x, *products[product.name].args[1:]
                result[k] = Plain(Let(item.var, add_matmul, args, item.span))
                gone.add(product.name)
                break
    return [i for i in result if i.var is None or i.var.name not in gone]


def sum_of_two(item: Item) -> tuple[Var, Var] | None:
    """The arrays whose sum the item is, element by element."""
    if not isinstance(item, Op) or item.prim is not REGISTRY["add"] or item.fold or item.target is not None:
        return None
    here = tuple(Fixed() if o is None else Along(o) for o in item.out)
    bases = [a.base for a in item.args if isinstance(a, Read) and a.places == here]
    if len(bases) != 2 or not all(isinstance(b, Var) and b.type == item.var.type for b in bases):
        return None
    return bases[0], bases[1]  # type: ignore[return-value]
