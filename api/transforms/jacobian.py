"""Jacobians: forward mode along every direction at once, or reverse mode for every result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..calls.pickling import reduced
from ..calls.ravel import is_float
from ..calls.tree import flatten
from ..ir.adjoint.reverse_mode import split_adjoint
from ..ir.build import Builder, atom_dim, dim_atom
from ..ir.errors import ArgumentError, TypeMismatch
from ..ir.ops.array import dim, full_slice
from ..ir.ops.index import at_set
from ..ir.program import Atom, Exit, For, Index, Let, Lit, Node, Phi, Program, Slice, Var
from ..ir.tangent import tangent
from ..ir.types import I64, Type
from ..ir.vmap import mapped
from ..ir.walk import inline, names_of
from ..runtime import options
from ..tracer.session import Session
from ..tracer.values.symbol import Scalar, as_value, size, wrap
from .argnums import is_integer, positions
from .base import P
from .composed import Composed, Part
from .sparse import SparseJacobian

AT_ONCE = 64
"""Directions that forward mode takes at once: a few vectors of numbers. More only need more memory."""
FEW_AT_ONCE = 8
LARGE = 1 << 20
"""Numbers in an argument or a value of which forward mode takes only a few directions at once: 64 MB of each then."""
BEST_FORWARD = 2
"""Forward mode is taken for up to so many directions for each row of the Jacobian: they share the program's run, which
the reverse sweeps do not."""


def jacfwd(
    function: Callable[P, object], argnums: int | Sequence[int] | None = None, has_aux: bool = False,
    *, chunk_size: int | None = None, sparsity: object = None, format: str = "csr",
) -> Callable[P, Any]:
    """The Jacobian by forward mode: the function runs once, with all directions of the argument beside every value.

    argnums, has_aux   as for `grad`; the result is (jacobian, aux) with has_aux
    chunk_size         how many directions are taken at once: the function runs once for so many, and beside each of its
                       arrays are so many tangents. By default 64, and 8 beside arrays of more than a million numbers
    sparsity, format   as for `jacobian`

    The result has the structure of the function's value, with the structure of the argument in place of each leaf; the
    array there has the value's shape and behind it the argument's. Best where the argument has fewer elements than the
    value. Raises TypeMismatch if the argument or the value has no floats. The name and the arguments are those of
    `jax.jacfwd`.

    >>> jacfwd(lambda x: x[0] * x)(np.array([2.0, 3.0]))
    array([[4., 0.],
           [3., 2.]])
    """
    if sparsity is not None:
        return SparseJacobian(function, argnums, has_aux, sparsity, format, mode="forward")
    return Jacobian(function, argnums, has_aux, chunk_size, mode="forward")


def jacrev(
    function: Callable[P, object], argnums: int | Sequence[int] | None = None, has_aux: bool = False,
    *, sparsity: object = None, format: str = "csr",
) -> Callable[P, Any]:
    """The Jacobian by reverse mode: the function runs once, and the reverse sweep once for each element of its value.

    As `jacfwd`, without a chunk_size: the rows are made one by one. Best where the value has fewer elements than the
    argument.

    >>> jacrev(lambda x: np.sum(x ** 2))(np.array([2.0, 3.0]))
    array([4., 6.])
    """
    if sparsity is not None:
        return SparseJacobian(function, argnums, has_aux, sparsity, format, mode="reverse")
    return Jacobian(function, argnums, has_aux, mode="reverse")


def jacobian(
    function: Callable[P, object], argnums: int | Sequence[int] | None = None, has_aux: bool = False,
    *, chunk_size: int | None = None, sparsity: object = None, format: str = "csr",
) -> Callable[P, Any]:
    """The Jacobian by the cheaper of `jacfwd` and `jacrev`, chosen by the sizes of argument and value.

    As `jacfwd`; `.plan` says what was chosen for the last call, and why. chunk_size is for forward mode.

    sparsity   "detect": the places where the Jacobian may have entries follow from the program, and a few sweeps find
               them all. Or a `pb.sparse.Pattern`, a sparse array of SciPy's or a matrix of truth values that says where
    format     of the result, an array of scipy.sparse: "csr", "csc", "coo", ...

    With sparsity each block is a matrix: a row for each element of the value, in C order, a column for each element of
    the argument. `.pattern` and `.colouring` say what the last call used.

    >>> J = jacobian(lambda x: x ** 2)
    >>> J(np.array([2.0, 3.0]))
    array([[4., 0.],
           [0., 6.]])
    >>> J.plan
    'forward: 2 directions of the argument at once, against 2 reverse sweeps'
    >>> J = jacobian(lambda x: x[1:] * x[:-1], sparsity="detect")
    >>> J(np.arange(5.0)).toarray()
    array([[1., 0., 0., 0., 0.],
           [0., 2., 1., 0., 0.],
           [0., 0., 3., 2., 0.],
           [0., 0., 0., 4., 3.]])
    >>> J.plan
    '2 directions forward instead of 5'
    """
    if sparsity is not None:
        return SparseJacobian(function, argnums, has_aux, sparsity, format)
    return Chosen(function, argnums, has_aux, chunk_size)


def value_and_jacobian(
    function: Callable[P, object], argnums: int | Sequence[int] | None = None, has_aux: bool = False,
    *, chunk_size: int | None = None, sparsity: object = None, format: str = "csr",
) -> Callable[P, Any]:
    """As `jacobian`, but returns (value, jacobian), and ((value, aux), jacobian) with has_aux.

    >>> value_and_jacobian(lambda x: x ** 2)(np.array([2.0, 3.0]))
    (array([4., 9.]), array([[4., 0.],
           [0., 6.]]))
    """
    if sparsity is not None:
        return SparseJacobian(function, argnums, has_aux, sparsity, format, value=True)
    return Chosen(function, argnums, has_aux, chunk_size, value=True)


class Jacobian(Composed):
    """The Jacobian by one mode; with `value`, behind the value."""

    _kind = "jacobian"

    def __init__(
        self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False, chunk_size: Any = None,
        mode: str = "forward", value: bool = False,
    ):  # fmt: skip
        super().__init__(function, argnums, has_aux)
        self._chunk = checked_chunk(chunk_size, self._span)
        self._mode, self._value = mode, value
        if type(self) is Jacobian:
            self._kind = "jacfwd" if mode == "forward" else "jacrev"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return reduced(self, self._given, self._has_aux, self._chunk, self._mode, self._value)

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        part = self._part(args, kwargs)
        chosen = positions(self._argnums, len(part.tree.children[0].children), self._span)
        return self._given_back(part, chosen, self._blocks(part, chosen))

    def _part(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Part:
        """The function of which this is the Jacobian."""
        return Part(self._function, args, kwargs, self._has_aux)

    def _blocks(self, part: Part, chosen: Sequence[int]) -> Blocks:
        if self._mode == "forward":
            return ForwardBlocks(part, self._kind, chosen, self._chunk)
        return ReverseBlocks(part, self._kind, chosen)

    def _given_back(self, part: Part, chosen: Sequence[int], blocks: Blocks) -> Any:
        positional = part.tree.children[0].children
        rows: list[Any] = []
        for k in range(part.form.count):
            columns = []
            for position in chosen:
                leaves = [blocks.block(k, leaf) for leaf in part.argument(position)]
                columns.append(positional[position].unflatten(leaves))
            rows.append(columns[0] if isinstance(self._argnums, int) else tuple(columns))
        matrix = part.form.unflatten(rows)
        value, aux = part.returned(blocks.values)
        part.captured.store(blocks.values)
        if self._value:
            return ((value, aux), matrix) if self._has_aux else (value, matrix)
        return (matrix, aux) if self._has_aux else matrix


class Blocks:
    """The blocks of a Jacobian: one for each float of the value and each float of the chosen arguments."""

    values: Sequence[Atom]
    """The values of the program's results."""

    def __init__(self, part: Part, kind: str, chosen: Sequence[int]):
        self.part, self.session = part, part.session
        self.builder: Builder = part.session.builder
        self.params = {
            k: part.captured.positions[k] for position in chosen for k in part.argument(position)
        }
        if all(param is None for param in self.params.values()):
            raise part.error(f"{kind} differentiates by floats, and the argument has none")
        for k, path in zip(part.floats, part.form.paths("the value")):
            if k is None:
                raise part.error(f"{kind} differentiates floats; {path} is none. Return it as aux, with has_aux=True")

    def block(self, k: int, leaf: int) -> Any:
        """The derivative of leaf k of the value by a leaf of the arguments, None for what is no float."""
        raise NotImplementedError

    # -- building blocks ---------------------------------------------------------------------------------

    def count(self, type: Type) -> Atom:
        """The number of elements."""
        total: Atom = Lit("1", I64)
        for d in type.dims:
            total = self.builder.emit("mul", total, dim_atom(d))
        return total

    def shaped(self, block: Atom, value: Type, param: int, k: int, leaf: int) -> Any:
        """A block, in the shape of the value and behind it that of the argument."""
        dims = (*value.dims, *self.part.captured.values[param].type.dims)
        if block.type.dims != dims:
            block = self.builder.emit("reshape", block, tuple(map(dim_atom, dims)))
        return self.wrapped(block, leaf, self.part.captured.read[k][1])

    def wrapped(self, atom: Atom, leaf: int, weak: bool = True) -> Any:
        """A block, which is a number of Python's where the value (if it is `weak`) and the argument are."""
        weak = weak and as_value(self.session, self.part.leaves[leaf])[1]
        return wrap(self.session, atom, weak=weak and not atom.type.dims)


class ForwardBlocks(Blocks):
    """Columns: for each leaf of the arguments all its directions, some dozens at once."""

    def __init__(self, part: Part, kind: str, chosen: Sequence[int], chunk: int | None = None):
        super().__init__(part, kind, chosen)
        self.values = part.values
        self.chunk = chunk or self.usual_chunk()
        self.columns: dict[int, dict[int, Atom]] = {}
        for k, (leaf, param) in enumerate(self.params.items()):
            if param is not None:
                results = self.results(k)
                self.columns[leaf] = dict(zip(results, self.directions(param, results)))

    def results(self, leaf: int) -> list[int]:
        """The results of the program that are differentiated by this leaf of the chosen arguments."""
        return [k for k in dict.fromkeys(self.part.floats) if k is not None]

    def usual_chunk(self) -> int:
        """By memory: what is assumed of the sizes is a guard of the call."""
        types = [self.part.captured.values[p].type for p in self.params.values() if p is not None]
        for type in (*types, *(self.values[k].type for k in self.part.floats if k is not None)):
            if holds(self.session, elements(self.session, type) > LARGE):
                return FEW_AT_ONCE
        return AT_ONCE

    def directions(self, param: int, results: Sequence[int]) -> Sequence[Atom]:
        """What is kept of the tangents of the results along all directions of a parameter."""
        b, values = self.builder, self.part.captured.values
        type = values[param].type
        own = replace(self.part.program, results=tuple(self.part.program.results[k] for k in results))
        pushed = tangent(own, [param], value=False, batch=bool(type.dims))
        if not type.dims:
            return inline(b, pushed, [*values, b.ref(1, type.dtype).atom])
        count = self.count(type)
        if isinstance(count, Lit) and int(count.text) <= self.chunk:
            dots = inline(b, pushed, [*values, self.unit(type, Lit("0", I64), count, count)])
            return [self.kept(dot, Lit("0", I64), count, count) for dot in dots]
        outs = [self.room(self.values[k].type, count) for k in results]
        chunks = b.emit("floordiv", b.emit("add", count, self.chunk - 1), self.chunk)
        index = b.var("chunk", I64)
        heads = [b.var("columns", out.type) for out in outs]
        with b.open() as body:
            start = b.emit("mul", index, self.chunk)
            width = b.emit("minimum", b.emit("sub", count, start), Lit(str(self.chunk), I64))
            dots = inline(b, pushed, [*values, self.unit(type, start, width, count)])
            ends = []
            for head, dot in zip(heads, dots):
                found = self.kept(dot, start, width, count)
                here = Slice(start, b.emit("add", start, width), 1, atom_dim(width))
                place = Index((*map(full_slice, head.type.dims[:-1]), here))
                part = head.type.with_dims((*head.type.dims[:-1], atom_dim(width)))
                if found.type.dims != part.dims:  # sizes that the program computes have other names in here
                    found = b.emit("getitem", found, Index(tuple(map(full_slice, part.dims))), type=part)
                ends.append(b.emit("at_set", head, place, found))
        phis = tuple(Phi(h, out, end) for h, out, end in zip(heads, outs, ends))
        exits = tuple(Exit(b.again(h), h) for h in heads)
        b.add(For(index, Lit("0", I64), chunks, False, phis, tuple(body), exits))
        return [e.var for e in exits]

    def room(self, result: Type, count: Atom) -> Atom:
        """For what is kept of a result: here all of it, the directions along the last axis."""
        return self.builder.emit("empty", (*map(dim_atom, result.dims), count), result.dtype)

    def kept(self, dot: Atom, start: Atom, width: Atom, count: Atom) -> Atom:
        """What is kept of the tangents along the directions start, ..., start + width - 1."""
        return dot

    def unit(self, type: Type, start: Atom, width: Atom, count: Atom) -> Atom:
        """The directions start, start + 1, ...: unit vectors, along the last axis."""
        b = self.builder
        places = b.emit("iota", width)
        rows = places if start == Lit("0", I64) else b.emit("add", places, start)
        square = b.emit("zeros", (count, width), type.dtype)
        square = b.emit("at_set", square, Index((rows, places)), b.ref(1, type.dtype).atom)
        return b.emit("reshape", square, (*map(dim_atom, type.dims), width)) if type.rank != 1 else square

    def block(self, k: int, leaf: int) -> Any:
        param = self.params[leaf]
        if param is None:
            return None
        result = self.part.floats[k]
        assert result is not None
        return self.shaped(self.columns[leaf][result], self.values[result].type, param, k, leaf)


class Diagonals(ForwardBlocks):
    """Of the blocks whose value and argument have one form the diagonals, in that form."""

    def results(self, leaf: int) -> list[int]:
        return [self._own[leaf]]

    @functools.cached_property
    def _own(self) -> dict[int, int]:
        """For each float of the argument the result that has its form: there is nothing in place of the others."""
        floats = [k for k, param in enumerate(self.params.values()) if param is not None]
        return dict(zip(floats, (k for k in self.part.floats if k is not None), strict=True))

    def room(self, result: Type, count: Atom) -> Atom:
        return self.builder.emit("empty", (count,), result.dtype)

    def kept(self, dot: Atom, start: Atom, width: Atom, count: Atom) -> Atom:
        b = self.builder
        square = b.emit("reshape", dot, (count, width)) if dot.type.rank != 2 else dot
        places = b.emit("iota", width)
        rows = places if start == Lit("0", I64) else b.emit("add", places, start)
        return b.emit("getitem", square, Index((rows, places)))

    def block(self, k: int, leaf: int) -> Any:
        param = self.params[leaf]
        if param is None:
            return None
        found, dims = self.columns[leaf][self._own[k]], self.part.captured.values[param].type.dims
        if found.type.dims != dims:
            found = self.builder.emit("reshape", found, tuple(map(dim_atom, dims)))
        return self.wrapped(found, leaf)


class ReverseBlocks(Blocks):
    """Rows: for each leaf of the value one forward program, and the backward program for all its elements."""

    def __init__(self, part: Part, kind: str, chosen: Sequence[int]):
        super().__init__(part, kind, chosen)
        wrt = [param for param in self.params.values() if param is not None]
        self.values = part.values
        self.rows: list[dict[int, Atom]] = []
        for k in part.floats:
            assert k is not None
            self.rows.append(dict(zip(wrt, self.row(replace(part.program, results=(part.program.results[k],)), wrt))))

    def row(self, program: Program, wrt: list[int]) -> Sequence[Atom]:
        """The cotangents of the parameters for every element of the one result."""
        b = self.builder
        forward, backward = split_adjoint(program, wrt, checkpoint=options.current().checkpoint)
        value, *residuals = inline(b, forward, self.part.captured.values)
        if not value.type.dims:
            return inline(b, backward, [*residuals, b.ref(1, value.type.dtype).atom])
        count = self.count(value.type)
        sizes = b.emit("broadcast_to", b.ref(0, value.type.dtype), (count, *map(dim_atom, value.type.dims)))
        units = with_unit_seed(backward)
        over = [len(residuals), len(residuals) + 1]
        return inline(b, mapped(units, over), [*residuals, sizes, b.emit("iota", count)])

    def block(self, k: int, leaf: int) -> Any:
        param = self.params[leaf]
        if param is None:
            return None
        result = self.part.floats[k]
        assert result is not None
        return self.shaped(self.rows[k][param], self.values[result].type, param, k, leaf)


def with_unit_seed(backward: Program) -> Program:
    """The program of one cotangent, for a place where that is 1: it gets zeros of its shape, and the place."""
    *residuals, seed = backward.params
    b = Builder()
    b.names = names_of(backward)
    zeros, place = b.again(seed), b.var("place", I64)
    sizes = [b.var("size", I64) for _ in seed.type.dims]
    heads: list[Node] = [Let(size, dim, (zeros, axis)) for axis, size in enumerate(sizes)]
    body: list[Node] = []
    for node in backward.body:
        match node:
            case Let(var, op, (Var(seed.name), int(axis))) if op is dim:
                heads.append(Let(var, dim, (zeros, axis), node.span))
            case _:
                body.append(node)
    subscripts: list[Atom] = []
    rest: Atom = place
    for n in reversed(sizes[1:]):
        subscripts.insert(0, b.emit("mod", rest, n))
        rest = b.emit("floordiv", rest, n)
    write = Let(seed, at_set, (zeros, Index((rest, *subscripts)), b.ref(1, seed.type.dtype).atom))
    body = [*heads, *b.region, write, *body]
    return replace(backward, params=(*residuals, zeros, place), body=tuple(body))


class Chosen(Jacobian):
    """The Jacobian by the cheaper mode."""

    _kind = "jacobian"
    _seen = (0, 0)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        found = super().__call__(*args, **kwargs)
        matrix = found[1] if self._value else found[0] if self._has_aux else found
        given = [args[k] for k in positions(self._argnums, len(args), self._span)]
        self._seen = sum(map(np.size, floats_of(given))), sum(map(np.size, floats_of(matrix)))
        return found

    @property
    def plan(self) -> str:
        """Which mode the last call took, and why."""
        columns, size = self._seen
        if not columns:
            return "nothing was called yet"
        rows = size // columns
        if columns <= BEST_FORWARD * rows:
            at_once = self._chunk or (FEW_AT_ONCE if max(rows, columns) > LARGE else AT_ONCE)
            how = "at once" if columns <= at_once else f"{at_once} at once"
            return f"forward: {columns} directions of the argument {how}, against {rows} reverse sweeps"
        return f"reverse: {rows} reverse sweeps, against {columns} directions of the argument"

    def _blocks(self, part: Part, chosen: Sequence[int]) -> Blocks:
        session = part.session
        columns = rows = 0
        for param in (part.captured.positions[k] for position in chosen for k in part.argument(position)):
            if param is not None:
                columns = columns + elements(session, part.captured.values[param].type)
        for k in part.floats:
            rows = rows + (elements(session, part.values[k].type) if k is not None else 0)
        forward = holds(session, columns <= BEST_FORWARD * rows)
        if forward is None:  # a size is not known: many parameters, or more results than one can say
            forward = not (isinstance(rows, int) and not isinstance(columns, int))
        if forward:
            return ForwardBlocks(part, self._kind, chosen, self._chunk)
        return ReverseBlocks(part, self._kind, chosen)


def elements(session: Session, type: Type) -> Any:
    """The number of elements, as user code sees it: a number, or a traced integer."""
    total: Any = 1
    for d in type.dims:
        total = total * size(session, d)
    return total


def holds(session: Session, condition: Any) -> bool | None:
    """A condition on sizes in the present call, which becomes a guard; None where sizes are not known while tracing."""
    return session.decide(condition.atom) if isinstance(condition, Scalar) else bool(condition)


def checked_chunk(chunk_size: Any, span: Any) -> int | None:
    """Raise TypeMismatch or ArgumentError for what is neither None nor a number of directions."""
    if chunk_size is None:
        return None
    if not is_integer(chunk_size):
        raise TypeMismatch(f"chunk_size must be a positive integer or None, not {chunk_size!r}", span)
    if chunk_size < 1:
        raise ArgumentError(f"chunk_size must be a positive integer or None, not {chunk_size!r}", span)
    return int(chunk_size)


def floats_of(value: Any) -> list[Any]:
    return [leaf for leaf in flatten(value)[0] if is_float(leaf)]
