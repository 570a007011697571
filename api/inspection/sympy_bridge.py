"""Programs as SymPy expressions: what a program computes, as mathematics.

Every operation is applied to object arrays of expressions: elementwise ones by the SymPy form in their
declaration, structural ones (indexing, shapes, sums, products of matrices) by the NumPy function that
evaluates them. Import this module only when it is needed: SymPy takes half a second.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import sympy

from ..calls.tree import flatten
from ..ir.build import number
from ..ir.calls import inline_calls
from ..ir.errors import TypeMismatch, UnsupportedFunction
from ..ir.evaluate import function
from ..ir.ops import reduce
from ..ir.ops.index import numpy_index
from ..ir.primitive import REGISTRY, Kind, Primitive
from ..ir.program import Atom, Check, For, If, Let, Lit, Node, Phi, Program, Var, While, map_operand

Env = dict[str, Any]  # NumPy values where all is known, object arrays of expressions elsewhere


def to_sympy(program: Program, *args: Any, sizes: Mapping[str, int] | None = None) -> Any:
    """The result of a program as a SymPy expression of its parameters; an object array for an array.

    Arguments may be numbers, expressions or object arrays of them; the default is `symbols(program)`. Sizes
    of arrays must be known, from the arguments or by name. Loops must have a known number of trips;
    branches become Piecewise. Several results come as a tuple.

    >>> from pullback.ir.text import parse
    >>> to_sympy(parse('''
    ... def f(x: f64[2], w: f64) -> f64:
    ...     a: f64[2] = sin(x)
    ...     b: f64[2] = a * w
    ...     y: f64 = sum(b, axis=(0,))
    ...     return y'''))
    w*sin(x[0]) + w*sin(x[1])
    """
    if not args:
        args = symbols(program, sizes)
    if len(args) != len(program.params):
        raise TypeError(f"{program.name} takes {len(program.params)} arguments, got {len(args)}")
    results = values_of(program, args)[1]
    return results[0] if len(results) == 1 else results


def values_of(program: Program, args: Sequence[Any]) -> tuple[Env, tuple[Any, ...]]:
    """All values of a program by name, and its results, as expressions."""
    program = inline_calls(program)
    env = {param.name: _argument(param, arg) for param, arg in zip(program.params, args)}
    _run(program.body, env)
    return {name: _open(value) for name, value in env.items()}, tuple(_open(_value(r, env)) for r in program.results)


def symbols(program: Program, sizes: Mapping[str, int] | None = None) -> tuple[Any, ...]:
    """One real symbol per scalar parameter, an object array of symbols `x[0, 1]` per array.

    >>> from pullback.ir.text import parse
    >>> symbols(parse("def f(x: f64[2], n: i64) -> f64[2]: return x"))
    (array([x[0], x[1]], dtype=object), n)
    """
    made = []
    for param in program.params:
        shape = tuple(_size(dim, {} if sizes is None else sizes, param) for dim in param.type.dims)
        made.append(symbol_array(param.name, shape, param.type.dtype))
    return tuple(made)


def symbol_array(name: str, shape: tuple[int, ...], dtype: str = "f64") -> Any:
    """A symbol, or an object array of symbols named by their place (brackets cannot clash with names)."""
    if dtype == "bool":
        raise UnsupportedFunction(f"to_sympy: give a value for the bool parameter {name}")
    make = functools.partial(sympy.Symbol, real=True, integer=True if dtype == "i64" else None)
    if not shape:
        return make(name)
    array = np.empty(shape, object)
    for place in np.ndindex(shape):
        array[place] = make(f"{name}[{', '.join(map(str, place))}]")
    return array


def _size(dim: int | str, sizes: Mapping[str, int], param: Var) -> int:
    if isinstance(dim, int):
        return dim
    if dim not in sizes:
        raise TypeError(
            f"to_sympy needs the size {dim} of {param.name}: {param.type}; say sizes={{'{dim}': 3}}"
        )
    return sizes[dim]


def _argument(param: Var, arg: Any) -> Any:
    value = np.asarray(arg)
    if value.ndim != param.type.rank:
        raise TypeError(f"{param.name} has {value.ndim} axes, its type is {param.type}")
    if value.dtype != object:
        return value.astype(param.type.numpy)[()]
    return _expressions(value)


# -- running a program on expressions ----------------------------------------------------------------


def _run(nodes: tuple[Node, ...], env: Env) -> None:
    for node in nodes:
        match node:
            case Let(var, op, args):
                env[var.name] = apply(op, *(_operand(a, env) for a in args))
            case For(index, start, stop, reverse, phis, body, exits):
                trips = range(_known(start, env, "a loop's range"), _known(stop, env, "a loop's range"))
                state = {phi.var.name: _value(phi.first, env) for phi in phis}
                for i in reversed(trips) if reverse else trips:
                    env.update(state, **{index.name: np.int64(i)})
                    _run(body, env)
                    state = {phi.var.name: _value(phi.second, env) for phi in phis}
                env.update({exit.var.name: state[exit.phi.name] for exit in exits})
            case While(phis, test, cond, body, exits):
                state = {phi.var.name: _value(phi.first, env) for phi in phis}
                while True:
                    env.update(state)
                    _run(test, env)
                    if not _known(cond, env, "the test of a while loop"):
                        break
                    _run(body, env)
                    state = {phi.var.name: _value(phi.second, env) for phi in phis}
                env.update({exit.var.name: state[exit.phi.name] for exit in exits})
            case If(cond, then, orelse, phis):
                _branch(_value(cond, env), then, orelse, phis, env)
            case Check():
                pass  # the expression holds where the program does not fail


def _branch(
    cond: Any, then: tuple[Node, ...], orelse: tuple[Node, ...], phis: tuple[Phi, ...], env: Env
) -> None:
    if not _is_symbolic(cond):
        _run(then if cond else orelse, env)
        env.update({p.var.name: _value(p.first if cond else p.second, env) for p in phis})
        return
    _run(then, env)
    _run(orelse, env)  # names are unique: the arms do not meet
    for phi in phis:
        env[phi.var.name] = _WHERE(cond, _value(phi.first, env), _value(phi.second, env))


def _operand(operand: Any, env: Env) -> Any:
    return map_operand(operand, lambda a: _value(a, env), lambda d: d if isinstance(d, int) else env[d])


def _value(atom: Atom, env: Env) -> Any:
    return number(atom) if isinstance(atom, Lit) else env[atom.name]


def _known(atom: Atom, env: Env, what: str) -> Any:
    value = _value(atom, env)
    if _is_symbolic(value):
        raise UnsupportedFunction(f"to_sympy: {what} depends on a symbol: {_open(value)}")
    return value


# -- operations --------------------------------------------------------------------------------------


def apply(op: Primitive, *args: Any) -> Any:
    """An operation on expressions; on numbers where no operand has a symbol."""
    if not _mentions_symbols(args):
        with np.errstate(all="ignore"):
            return np.asarray(function(op)(*args))[()]
    if op.elementwise:
        return elementwise(op)(*args)
    if op in _REDUCTIONS:
        return _reduce(_REDUCTIONS[op], *args)
    # Where they find the place of a value, NumPy's functions would ask expressions for an order.
    by_value = op.kind in (Kind.REDUCE, Kind.KERNEL) and not op.differentiable
    if by_value or isinstance(op.numpy, str):
        raise UnsupportedFunction(f"to_sympy: {op.name} has no SymPy form")
    if any(_mentions_symbols((a,)) for k, a in enumerate(args) if k in op.sizes) or _symbolic_subscript(args):
        raise UnsupportedFunction(f"to_sympy: a size or subscript of {op.name} depends on a symbol")
    if op.name == "getitem":  # the ellipsis keeps a single element an array: an expression has no axes
        return _expressions(args[0][(*numpy_index(args[1]), ...)])
    result = np.asarray(op.numpy(*map(_as_operand, args)))
    return _expressions(result) if result.dtype == object else result[()]  # dim(x, 0) is a number


@functools.cache
def elementwise(op: Primitive) -> Callable[..., np.ndarray]:
    """The SymPy form of an elementwise operation as a function of object arrays."""
    if op.sympy is None:
        raise UnsupportedFunction(f"to_sympy: {op.name} has no SymPy form")
    count = 1 + max(k for k in range(8) if f"{{{k}}}" in op.text)
    names = [f"operand{k}" for k in range(count)]
    form = eval(f"lambda {', '.join(names)}: {op.sympy.format(*names)}", dict(vars(sympy)))
    ufunc = np.frompyfunc(lambda *values: form(*map(expression, values)), count, 1)
    return lambda *args: _expressions(ufunc(*args))


def _where(cond: Any, a: Any, b: Any) -> Any:
    return sympy.Piecewise((expression(a), expression(cond)), (expression(b), True))


_where_ufunc = np.frompyfunc(_where, 3, 1)


def _WHERE(cond: Any, a: Any, b: Any) -> np.ndarray:  # noqa: N802
    return _expressions(_where_ufunc(cond, a, b))


_REDUCTIONS = {reduce.max_: sympy.Max, reduce.min_: sympy.Min, reduce.any_: sympy.Or, reduce.all_: sympy.And}


def _reduce(form: Callable[..., Any], x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = x.transpose([*kept, *axes]).reshape([x.shape[a] for a in kept] + [-1])
    result = np.empty(rows.shape[:-1], object)
    for place in np.ndindex(result.shape):
        result[place] = form(*rows[place])
    return _expressions(result)


def expression(value: Any) -> Any:
    """A number or expression for SymPy: whole numbers become exact, so that x**2.0 is x**2.

    >>> expression(2.0), expression(np.float64("-inf")), expression(0.5), expression(np.True_)
    (2, -oo, 0.500000000000000, True)
    """
    if isinstance(value, sympy.Basic):
        return value
    if isinstance(value, (bool, np.bool_)):
        return sympy.true if value else sympy.false
    if value != value:
        return sympy.nan
    if isinstance(value, (int, np.integer)) or float(value).is_integer():
        return sympy.Integer(int(value))
    return sympy.sympify(float(value))


_to_expressions = np.frompyfunc(expression, 1, 1)


def _expressions(values: Any) -> np.ndarray:
    with np.errstate(all="ignore"):  # the nan of `empty`
        return np.asarray(_to_expressions(np.asarray(values, object)), object)


def _as_operand(arg: Any) -> Any:
    """Float arrays as objects, so that expressions can be stored in them; the rest as it is."""
    if isinstance(arg, np.ndarray) and arg.dtype.kind == "f" or isinstance(arg, np.floating):
        arg = _expressions(arg)
    if _is_symbolic(arg) and arg.ndim == 0:
        return arg[()]  # an object array would keep the array itself as an element
    return tuple(map(_as_operand, arg)) if isinstance(arg, tuple) else arg


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _mentions_symbols(args: Any) -> bool:
    if isinstance(args, (tuple, list)):
        return any(map(_mentions_symbols, args))
    return _is_symbolic(args) or _symbolic_subscript((args,))


def _symbolic_subscript(args: tuple[Any, ...]) -> bool:
    items = [item for arg in args for item in getattr(arg, "items", ())]
    return any(_is_symbolic(part) for item in items for part in (item, getattr(item, "start", None)))


# -- calling a NumPy function with symbols -----------------------------------------------------------


class Expressions(np.ndarray):
    """An object array of expressions on which NumPy functions work: a NumPy function called with it gives
    the mathematics of the function without pullback's tracer, which is what makes it a test of the tracer.
    """

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        operands = [x.view(np.ndarray) if isinstance(x, Expressions) else x for x in inputs]
        op = _by_ufunc().get(ufunc.__name__)
        if method == "__call__" and op is not None and not options:
            result = elementwise(op)(*operands)
        elif method == "reduce" and ufunc in (np.maximum, np.minimum):
            form = sympy.Max if ufunc is np.maximum else sympy.Min
            result = _reduce_as_numpy(form, operands[0], *operands[1:], **options)
        else:
            result = np.asarray(getattr(ufunc, method)(*operands, **options), object)
        if out is None:
            return result.view(Expressions)
        out[0][...] = result
        return out[0]

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.where and len(args) == 3:
            return _WHERE(*(np.asarray(a, object) for a in args)).view(Expressions)
        return super().__array_function__(func, types, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_with_ellipsis(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_with_ellipsis(index), value)

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))


def _with_ellipsis(index: Any) -> tuple[Any, ...]:
    """A subscript for which a single element stays an array with no axes."""
    index = index if isinstance(index, tuple) else (index,)
    return index if any(item is ... for item in index) else (*index, ...)


def wrap(value: Any) -> Expressions:
    """An expression, or an object array of them, for calling NumPy functions."""
    return np.array(value, object).view(Expressions)


def expressions_of(
    f: Callable[[list[Any]], Any], leaves: list[Any], chosen: list[int], symbols: list[Any]
) -> list[Any] | None:
    """The float results of `f(leaves)`, called with symbols for the chosen leaves; None if it cannot be."""
    leaves = list(leaves)
    for place, symbol in zip(chosen, symbols):
        leaves[place] = wrap(symbol)
    try:
        results, _ = flatten(f(leaves))
        return [_expressions(result) for result in results if np.asarray(result).dtype.kind in "fO"]
    except (TypeError, ValueError, AttributeError, IndexError, RecursionError):
        return None  # what Python, NumPy and SymPy say when a symbol is asked for a number


class ValueAndGradient:
    """Expressions and their derivatives, weighted by cotangents, as a function of numbers with 30 digits."""

    def __init__(self, expressions: list[Any], seeds: list[Any], symbols: list[Any]):
        flat = [symbol for array in symbols for symbol in np.ravel(np.asarray(array, object))]
        values = [e for array in expressions for e in np.ravel(np.asarray(array, object))]
        weights = [expression(s) for array in seeds for s in np.ravel(array)]
        total = sympy.Add(*(w * e for w, e in zip(weights, values)))
        bars = [without_steps(sympy.diff(total, symbol)) for symbol in flat]
        self._value_shapes = [np.shape(np.asarray(e, object)) for e in expressions]
        self._shapes = [np.shape(np.asarray(s, object)) for s in symbols]
        functions = {
            "Heaviside": lambda x, at_zero=0.5: (x > 0) if x else at_zero,
            "DiracDelta": lambda *x: 0,
        }
        self._function = sympy.lambdify(flat, values + bars, [functions, "mpmath"], cse=True)

    def __call__(self, points: list[Any]) -> tuple[list[Any], list[Any]]:
        numbers = [mpmath.mpf(float(x)) for array in points for x in np.ravel(array)]
        with mpmath.workdps(30):
            results = np.array([float(mpmath.re(r)) for r in self._function(*numbers)])
        count = sum(int(np.prod(shape)) for shape in self._value_shapes)
        return _split(results[:count], self._value_shapes), _split(results[count:], self._shapes)


def _split(flat: np.ndarray, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes)]


def without_steps(derivative: Any) -> Any:
    """SymPy leaves the derivative of floor and the like as it is: it is 0 between the steps."""
    steps = (sympy.floor, sympy.ceiling, sympy.sign)
    return derivative.replace(
        lambda e: isinstance(e, (sympy.Derivative, sympy.Subs)) and e.has(*steps), lambda e: sympy.Integer(0)
    )


@functools.cache
def _by_ufunc() -> dict[str, Primitive]:
    """Operations by the name of their ufunc: SciPy's are declared by name."""
    names = {}
    for op in REGISTRY.values():
        if op.elementwise and op.sympy and isinstance(op.numpy, (str, np.ufunc)):
            names[op.numpy.rpartition(".")[2] if isinstance(op.numpy, str) else op.numpy.__name__] = op
    return names


def _reduce_as_numpy(form: Any, x: Any, axis: Any = 0, keepdims: Any = False, **options: Any) -> np.ndarray:
    given = {name: value for name, value in options.items() if value is not None and value is not True}
    if any(name != "initial" or value is not np._NoValue for name, value in given.items()):
        raise TypeError(given)  # the function is traced instead: its program has them written out
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    positive = tuple(sorted(a % x.ndim for a in axes))
    result = _reduce(form, x, positive)
    return np.expand_dims(result, positive) if keepdims else result


def _open(value: Any) -> Any:
    """Expressions themselves instead of 0-d arrays."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value[()]
    return value if isinstance(value, np.ndarray) else expression(value)


def partials_of(form: Any, names: Sequence[str]) -> list[Callable[..., Any]]:
    """The partial derivatives of an expression, or of its text, as functions of NumPy of all names.

    Raises TypeMismatch if it has other names.
    """
    known = {name: sympy.Symbol(name) for name in names}
    expression = sympy.sympify(form, locals=known)
    by_name = {symbol.name: symbol for symbol in expression.free_symbols}
    other = sorted(by_name.keys() - known.keys())
    if other:
        raise TypeMismatch(f"the form {expression} is of {', '.join(other)}, and the function is of {', '.join(names)}")
    symbols = [by_name.get(name, known[name]) for name in names]
    return [sympy.lambdify(symbols, sympy.diff(expression, symbol), ["numpy", "scipy"]) for symbol in symbols]
