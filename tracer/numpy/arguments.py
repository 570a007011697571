"""What the functions of this folder share: operands, axes, sizes, and options that are refused.

Symbols get their operators when they are defined, where type checkers do not see them: what functions here
and beside compute with is annotated `Any`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom, literal
from ...ir.errors import BoundsError, ShapeMismatch, TypeMismatch, UnsupportedFunction
from ...ir.ops.array import full_slice
from ...ir.program import Atom, Index, Lit, Var
from ...ir.types import I64, Dim, Type
from ..session import Session
from ..values.convert import cast, renamed
from ..values.subscripts import NARROW
from ..values.symbol import Array, Scalar, Symbol, as_value, implements, require_session, wrap
from .bounds import note
from .elementwise import dtype_argument

ADVICE = {
    "where": "Put np.where(mask, x, neutral value) around the operand instead",
    "initial": "Combine the result with the initial value afterwards",
}


def names(module: Any, *attributes: str) -> tuple[Any, ...]:
    """The functions of these names that this version of NumPy has."""
    return tuple(dict.fromkeys(getattr(module, a) for a in attributes if hasattr(module, a)))


def refuse_options(name: str, options: dict[str, Any]) -> None:
    """Raise for an option that was given and that cannot be traced."""
    for option, value in options.items():
        if value is (True if option == "where" else None) or value is getattr(np, "_NoValue", None):
            continue
        if option in ("casting", "order", "subok") and value in ("same_kind", "K", "C", True):
            continue
        advice = f". {ADVICE[option]}" if option in ADVICE else ""
        raise require_session().error(UnsupportedFunction, f"{name}({option}=...) cannot be traced{advice}")


def refuse(advice: str, *functions: Any) -> None:
    """Register functions that are refused, with what to write instead."""
    for function in functions:
        module = getattr(function, "__module__", "numpy").replace("numpy", "np", 1).replace("np.lib", "np")
        name = f"{module}.{function.__name__}" if module != "builtins" else function.__name__
        implements(function)(_refusal(name, advice))


def _refusal(name: str, advice: str) -> Callable[..., Any]:
    def refused(*_: Any, **__: Any) -> Any:
        raise require_session().error(UnsupportedFunction, f"{name} cannot be traced: {advice}")

    return refused


# -- operands ------------------------------------------------------------------------------------------


def operand(value: Any, what: str, dtype: Any = None, *, at_least: str = "bool") -> Any:
    """An operand as a symbol of its own, so that reading it twice is reading it once.

    `dtype` is what the user asked for; `at_least` is "i64" or "float" where NumPy widens.
    """
    session = require_session()
    atom, _ = as_value(session, value, what)
    name = atom.type.dtype if dtype is None else dtype_argument(session, dtype)
    if at_least == "float" and not Type(name).is_float:
        name = "f64"
    elif at_least == "i64" and dtype is None:
        name = summed(name)
    return wrap(session, cast(session, atom, name))


def summed(dtype: str) -> str:
    """The dtype in which NumPy sums: short integers and booleans are counted in 64 bits.

    >>> summed("bool"), summed("u8"), summed("f32")
    ('i64', 'u64', 'f32')
    """
    return {"b": "i64", "i": "i64", "u": "u64"}.get(Type(dtype).numpy.kind, dtype)


def array_operand(value: Any, what: str) -> Any:
    """An operand that the result may be a view of."""
    if isinstance(value, Array):
        return value
    session = require_session()
    return wrap(session, as_value(session, value, what)[0])


def dims_of(x: Symbol) -> tuple[Dim, ...]:
    """The sizes of an operand, under the names that are in use."""
    return tuple(map(x.session.builder.canonical_dim, x.type.dims))


# -- axes ----------------------------------------------------------------------------------------------


def axis_argument(axis: Any, rank: int, what: str) -> int:
    """One axis, made nonnegative."""
    place = _integer(axis, what)
    if not -rank <= place < rank:
        raise require_session().error(
            BoundsError, f"{what}: axis {place} is out of bounds for array of dimension {rank}"
        )
    return place % rank


def axes_argument(axis: Any, rank: int, what: str) -> tuple[int, ...]:
    """`axis=` of a reduction: None is all of them; sorted."""
    if axis is None:
        return tuple(range(rank))
    if not isinstance(axis, (tuple, list)):
        return (axis_argument(axis, rank, what),)
    axes = [axis_argument(a, rank, what) for a in axis]
    if len(set(axes)) != len(axes):
        raise require_session().error(ShapeMismatch, f"{what}: duplicate value in 'axis'")
    return tuple(sorted(axes))


def reduction_axes(axis: Any, rank: int, what: str) -> tuple[int, ...]:
    """`axes_argument` of NumPy's own reductions, to which a number has an axis 0 as well."""
    if not rank and not isinstance(axis, (tuple, list, type(None))) and _integer(axis, what) in (0, -1):
        return ()
    return axes_argument(axis, rank, what)


def _integer(value: Any, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        if isinstance(value, Symbol):
            raise
        raise require_session().error(TypeMismatch, f"{what}: {value!r} is not an integer") from error


def integer_argument(value: Any, what: str) -> int:
    """A number that has to be known while tracing."""
    return _integer(value, what)


def integer_atom(value: Any, what: str) -> Atom:
    """A whole number that only a run may know."""
    session = require_session()
    atom, _ = as_value(session, value, what)
    if atom.type.dtype in NARROW:
        atom = cast(session, atom, "i64")
    if atom.type != I64:
        raise session.error(TypeMismatch, f"{what} must be an integer, not {atom.type}")
    return atom


def with_axes(x: Scalar | Array, axes: Iterable[int]) -> Any:
    """The value with new axes of size 1 at these places of the result (`keepdims`)."""
    places = set(axes)
    if not places:
        return x
    session, atom = x.session, x.read()
    rank = atom.type.rank + len(places)
    if atom.type.rank == 0:
        return wrap(session, session.builder.emit("reshape", atom, (literal(1, "i64"),) * rank))
    dims = iter(atom.type.dims)
    index = Index(tuple(None if k in places else full_slice(next(dims)) for k in range(rank)))
    return wrap(session, session.builder.emit("getitem", atom, index))


# -- sizes ---------------------------------------------------------------------------------------------


def product(session: Session, dims: Sequence[Dim]) -> Atom:
    """The number of elements of an array of these sizes, as an i64 with a name (or a number)."""
    builder = session.builder
    total: Atom = dim_atom(1)
    least = 1
    for dim in sorted(map(builder.canonical_dim, dims), key=lambda d: (isinstance(d, int), str(d))):
        total = (
            dim_atom(dim) if total == dim_atom(1) else session.integer("mul", total, dim_atom(dim), hint="n")
        )
        least *= lower_bound(session, dim)
        form = builder.affine(total)
        if isinstance(total, Var) and not builder.facts.proves(form - least):
            builder.facts.bound(total.name, lower=Affine(least))
    return total


def lower_bound(session: Session, dim: Dim) -> int:
    """What is known of the smallest value of a size."""
    if isinstance(dim, int):
        return dim
    form = session.builder.affine(dim)
    return next((k for k in (4, 3, 2, 1) if session.builder.facts.proves(form - k)), 0)


def atom_dims(atoms: Sequence[Atom]) -> list[Dim]:
    """i64 values as sizes."""
    return [atom_dim(a) for a in atoms]


def count(session: Session, dims: Sequence[Dim], dtype: str) -> Scalar:
    """The number of elements as a number of this dtype."""
    return Scalar(session, cast(session, product(session, dims), dtype))


def size_symbol(session: Session, atom: Atom) -> Any:
    """A size as user code sees it: an int or a traced integer."""
    return int(atom.text) if isinstance(atom, Lit) else Scalar(session, atom, weak=True)


def holds_now(session: Session, form: Affine) -> bool:
    """Is form >= 0: known, or true in the present call and then guarded? No guard if it is not."""
    if session.builder.facts.proves(form):
        return True
    return session.from_inputs(form) and form.value(session.present) >= 0 and session.ensure(form)


def require_elements(session: Session, dims: Sequence[Dim], message: str, least: int = 1) -> None:
    """Raise ValueError, now or when the program runs, if one of these sizes is less."""
    builder = session.builder
    for dim in dims:
        form = builder.affine(dim) - least
        if not form.terms and form.constant < 0:
            raise session.error(ShapeMismatch, message)
        if not session.ensure(form):
            session.check(builder.emit("ge", dim_atom(dim), least), f"ValueError: {message}")
            builder.facts.assume(form)


def same_size(session: Session, x: Atom, axis: int, dim: Dim, shapes: tuple[Any, Any], what: str) -> Atom:
    """x, whose size on this axis is from here on known to be `dim`; ShapeMismatch if it is not."""
    if session.equal_dims(dim, x.type.dims[axis], shapes, what):
        return x
    return renamed(session, x, axis, dim, what)


def concrete_size(session: Session, dim: Dim, what: str) -> int:
    """A size that has to be a number while tracing; tracing starts again with that size static."""
    return session.concrete(dim_atom(session.builder.canonical_dim(dim)), what)


def emit_broadcast(x: Scalar | Array, dims: Sequence[Dim]) -> Any:
    """x as a new array of these sizes."""
    session = x.session
    return wrap(session, session.builder.emit("broadcast_to", x.read(), tuple(map(dim_atom, dims))))


def emit_reshape(x: Scalar | Array, dims: Sequence[Dim]) -> Any:
    """The elements of x as a new array of these sizes, which are known to fit."""
    session = x.session
    atom = x.read()
    if tuple(atom.type.dims) == tuple(dims):
        return wrap(session, atom)
    return wrap(session, session.builder.emit("reshape", atom, tuple(map(dim_atom, dims))))


def emit_transpose(x: Scalar | Array, axes: Sequence[int]) -> Any:
    """A new array whose axis k is axis axes[k] of x."""
    session = x.session
    if tuple(axes) == tuple(range(len(axes))):
        return wrap(session, x.read())
    return wrap(session, session.builder.emit("transpose", x.read(), tuple(axes)))


@implements("iota")
def iota(session: Session, dim: Dim | Atom) -> Any:
    """0, 1, ..., dim - 1."""
    atom = dim_atom(dim) if isinstance(dim, (int, str)) else dim
    result = session.builder.emit("iota", atom)
    note(session, result, Affine(), session.builder.affine(atom) - 1)
    return wrap(session, result)


def sum_of_sizes(session: Session, dims: Sequence[Dim]) -> Dim:
    """The sum of sizes, as a size."""
    builder = session.builder
    total = Affine(0)
    for dim in dims:
        total = total + builder.affine(dim)
    return atom_dim(builder.integer(total, hint="n"))
