"""numba's vectorize, guvectorize and stencil: their Python, run for each element or row, as loops that are staged."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...ir.errors import UnsupportedFunction
from ..calls import CALLED, call, has_symbol, own
from ..staging.source import function_node
from ..values.symbol import FUNCTIONS, Scalar, require_session, size
from .arguments import array_operand
from .builtins import example


def _elements(f, shape, columns, dtype):
    return np.array([f(*values) for values in zip(*columns)], dtype).reshape(shape)


def _elements_of_one(f, shape, column, dtype):
    return np.array([f(value) for value in column], dtype).reshape(shape)


def _refuse(function: Any, what: str, advice: str) -> Exception:
    name = getattr(function, "__name__", type(function).__name__)
    return require_session().error(UnsupportedFunction, f"{what} of {name} cannot be traced. {advice}")


def _vectorized(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of what numba.vectorize made."""
    if not has_symbol(args) and not has_symbol(kwargs):
        return function(*args, **kwargs)
    if kwargs or len(args) != function.nin:
        raise _refuse(function, "out= and other options", "Assign the result instead")
    python = function._dispatcher.py_func
    takes, gives = _loop(function, args)
    args = tuple(a if t is None else _cast(a, t) for a, t in zip(args, takes))
    arrays = [array_operand(a, function.__name__) for a in args]
    if all(a.type.rank == 0 for a in arrays):
        found = call(python, args, {})
        return found if gives is None else _cast(found, gives)
    if len(arrays) > 1:
        arrays = list(FUNCTIONS[np.broadcast_arrays](*arrays))
    shape = FUNCTIONS["shape"](arrays[0])
    columns = [FUNCTIONS[np.ravel](a) for a in arrays]
    if len(columns) == 1:
        return own(_elements_of_one)(python, shape, columns[0], gives)
    return own(_elements)(python, shape, columns, gives)


def _cast(value: Any, dtype: np.dtype) -> Any:
    found = FUNCTIONS[np.asarray](value, dtype)
    return found if found.type.rank else Scalar(require_session(), found.read())


def _loop(function: Any, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """The dtypes that the function was declared for and that these arguments go into; None where it takes them all."""
    if not function._frozen:
        return (None,) * len(args), None
    for types in function.types:
        takes, gives = types.split("->")
        kinds = [np.dtype(t) for t in takes]
        if all(np.can_cast(np.result_type(example(a)), t, "safe") for a, t in zip(args, kinds)):
            return tuple(kinds), np.dtype(gives)
    raise TypeError(
        f"ufunc '{function.__name__}' not supported for the input types, and the inputs could not be safely coerced to "
        "any supported types according to the casting rule ''safe''"
    )


CALLED["numba.np.ufunc.dufunc.DUFunc"] = _vectorized

# -- guvectorize -------------------------------------------------------------------------------------------------------


def _rows(f, count, inputs, outputs):
    for i in range(count):
        f(*[a[i : i + 1] if one else a[i] for a, one in inputs], *[o[i : i + 1] if one else o[i] for o, one in outputs])


def _generalised(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of what numba.guvectorize made."""
    if not has_symbol(args) and not has_symbol(kwargs):
        return function(*args, **kwargs)
    maker = function.gufunc_builder
    inner, outer = maker.sin, maker.sout
    if kwargs or len(args) != len(inner) or not maker._sigs:
        raise _refuse(function, "out= and a call without declared types", "Declare types, and assign the result")
    session = require_session()
    declared = _declared(function, args)
    arrays = [
        FUNCTIONS[np.asarray](array_operand(a, function.__name__), np.dtype(str(getattr(t, "dtype", t))))
        for a, t in zip(args, declared)
    ]
    sizes: dict[str, Any] = {}
    for array, names in zip(arrays, inner):
        own_dims = array.type.dims[array.type.rank - len(names) :]
        if len(own_dims) < len(names):
            raise ValueError(f"{function.__name__}: an operand does not have enough dimensions ({names} of them)")
        for name, dim in zip(names, own_dims):
            known = sizes.setdefault(name, dim)
            if not session.equal_dims(known, dim, ((known,), (dim,)), function.__name__):
                raise _refuse(function, "a size that only a run can compare", "Write the loops")
    shape = FUNCTIONS["shape"]
    leads = [shape(a)[: a.type.rank - len(names)] for a, names in zip(arrays, inner)]
    lead = max(leads, key=len)
    if sum(map(bool, leads)) > 1:
        heads = [FUNCTIONS[np.zeros](each) for each in leads if each]
        lead = shape(FUNCTIONS[np.broadcast_arrays](*heads)[0])
    count = functools.reduce(operator.mul, lead, 1)
    flat = []
    for array, names, kind in zip(arrays, inner, declared):
        core = shape(array)[array.type.rank - len(names) :]
        wide = FUNCTIONS[np.broadcast_to](array, (*lead, *core))
        flat.append((FUNCTIONS[np.reshape](wide, (count, *core)), not names and hasattr(kind, "ndim")))
    results = []
    for names, kind in zip(outer, declared[len(inner) :]):
        core = tuple(size(session, sizes[name]) for name in names)
        results.append((FUNCTIONS[np.zeros]((count, *core), np.dtype(str(kind.dtype))), not names, core))
    own(_rows)(maker.py_func, count, flat, [(r, one) for r, one, _ in results])
    shaped = [FUNCTIONS[np.reshape](r, (*lead, *core)) if (*lead, *core) else r[0] for r, _, core in results]
    return shaped[0] if len(shaped) == 1 else tuple(shaped)


def _declared(function: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """numba's types of the first declaration that the arguments go into."""
    for signature in function.gufunc_builder._sigs:
        kinds = [np.dtype(str(getattr(t, "dtype", t))) for t in signature.args]
        if all(np.can_cast(np.result_type(example(a)), t, "safe") for a, t in zip(args, kinds)):
            return tuple(signature.args)
    raise TypeError(f"{function.__name__}: no declared types fit the arguments")


CALLED["numba.np.ufunc.gufunc.GUFunc"] = _generalised

# -- stencil -----------------------------------------------------------------------------------------------------------


class _Near:
    """An array as the kernel of a stencil sees it: subscripts count from the element that is computed."""

    def __init__(self, array: Any, place: tuple[Any, ...]):
        self.array = array
        self.place = place

    def __getitem__(self, offset: Any) -> Any:
        offsets = offset if isinstance(offset, tuple) else (offset,)
        return self.array[tuple(i + o for i, o in zip(self.place, offsets, strict=True))]


def _filled(f, out, bounds, near):
    if len(bounds) == 1:
        for i in range(*bounds[0]):
            out[i] = f(*near((i,)))
    elif len(bounds) == 2:
        for i in range(*bounds[0]):
            for j in range(*bounds[1]):
                out[i, j] = f(*near((i, j)))
    else:
        for i in range(*bounds[0]):
            for j in range(*bounds[1]):
                for k in range(*bounds[2]):
                    out[i, j, k] = f(*near((i, j, k)))
    return out


def _stencil(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of what numba.stencil made: its kernel inside, `cval` at the border."""
    if not has_symbol(args) and not has_symbol(kwargs):
        return function(*args, **kwargs)
    kernel = function.kernel_ir.func_id.func
    options = dict(function.options)
    absolute = options.pop("standard_indexing", ())
    around, fill = options.pop("neighborhood", None), options.pop("cval", 0.0)
    if kwargs or function.mode != "constant" or any(v is not None for v in options.values()):
        raise _refuse(kernel, f"the options {sorted({*kwargs, *options})} of the stencil", "Assign the result instead")
    names = kernel.__code__.co_varnames[: kernel.__code__.co_argcount]
    given = dict(zip(names, args, strict=True))
    relative = [n for n in names if n not in absolute and np.ndim(example(given[n]))]
    arrays = {n: array_operand(given[n], kernel.__name__) for n in relative}
    first = arrays[relative[0]]
    rank = first.type.rank
    if rank > 3 or any(a.type.rank != rank or a.type.numpy.kind != "f" for a in arrays.values()):
        raise _refuse(kernel, "a stencil of these arrays", "Write the loops")
    if around is None:
        offsets = list(_offsets(kernel, set(relative), rank))
        around = [(min(o[k] for o in offsets), max(o[k] for o in offsets)) for k in range(rank)]
    shape = FUNCTIONS["shape"](first)
    bounds = tuple((max(0, -int(low)), n - max(0, int(high))) for (low, high), n in zip(around, shape))
    out = FUNCTIONS[np.full](shape, fill, np.float64)

    def near(place: tuple[Any, ...]) -> list[Any]:
        return [_Near(arrays[n], place) if n in arrays else given[n] for n in names]

    return own(_filled)(kernel, out, bounds, near)


def _offsets(kernel: Any, arrays: set[str], rank: int) -> Iterator[tuple[int, ...]]:
    """The offsets that the kernel's source reads the arrays at."""
    node = function_node(kernel)
    for inner in ast.walk(node) if node is not None else ():
        if isinstance(inner, ast.Subscript) and isinstance(inner.value, ast.Name) and inner.value.id in arrays:
            try:
                offset = ast.literal_eval(inner.slice)
            except ValueError:
                offset = None
            found = offset if isinstance(offset, tuple) else (offset,)
            if len(found) != rank or not all(isinstance(o, int) for o in found):
                raise _refuse(
                    kernel, "a subscript that is no number", "Say neighborhood= where the stencil is made"
                )
            yield found
    yield (0,) * rank


CALLED["numba.stencils.stencil.StencilFunc"] = _stencil
