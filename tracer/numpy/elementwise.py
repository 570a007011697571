"""Elementwise functions: NumPy's ufuncs, `math`, and the built-ins that mean the same on numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import number
from ...ir.errors import TypeMismatch, UnsupportedFunction
from ...ir.ops.declare import float_dtype
from ...ir.primitive import REGISTRY
from ...ir.program import Atom, Lit, Var
from ...ir.types import DTYPES, I64, INTEGERS, dtype_name
from ..session import Session
from ..values.convert import adapted, agree, cast, cast_value, common, float_of
from ..values.symbol import FUNCTIONS, METHODS, Array, Scalar, as_value, implements, require_session, wrap
from .bounds import note_result


def apply(
    op: str, values: list[Any], what: str, *, at_least: str | None = None
) -> Any:
    """One primitive on operands brought to a common dtype and shape; the result as a symbol, a number of NumPy's."""
    session = require_session()
    return both(session, op, common(session, values, what, at_least=at_least)[0], what)


def store_out(value: Any, out: Any) -> Any:
    """`out=`: write the result there, as NumPy does."""
    if isinstance(out, tuple):
        (out,) = out
    if out is None:
        return value
    if not isinstance(out, Array):
        made = "an array of NumPy's" if isinstance(out, np.ndarray) else f"a {type(out).__name__}"
        raise require_session().error(
            TypeMismatch,
            f"out= is {made}, which cannot hold traced values. Leave it out and return the result "
            "(in a function with a source, np.empty makes an array that can hold them)",
        )
    FUNCTIONS["setitem"](out, Ellipsis if out.type.rank else (), value)
    return out


def select(where: Any, value: Any, out: Any, name: str) -> Any:
    """`where=` of a ufunc needs `out=`: elsewhere the content would be arbitrary."""
    if where is True:
        return store_out(value, out)
    if out is None or out == (None,):
        raise require_session().error(
            UnsupportedFunction, f"np.{name}(where=...) without out= leaves elements undefined. Use np.where"
        )
    target = out[0] if isinstance(out, tuple) else out
    return store_out(FUNCTIONS[np.where](where, value, target), out)


def check_options(name: str, options: dict[str, Any]) -> None:
    for option, value in options.items():
        if option in ("casting", "order", "subok", "dtype") and value in (None, "same_kind", "K", True):
            continue
        raise require_session().error(UnsupportedFunction, f"np.{name}({option}=...) cannot be traced")


def _define(op: str, arity: int, function: Any, at_least: str | None = None) -> None:
    implements(function)(meaning(op, arity, function.__name__, at_least))


def meaning(op: str, arity: int, name: str, at_least: str | None) -> Callable[..., Any]:
    """What a ufunc means on symbols that is an operation on numbers and nothing else."""

    def implementation(*args: Any, out: Any = None, where: Any = True, **options: Any) -> Any:
        check_options(name, options)
        if len(args) == arity + 1 and out is None:
            *args, out = args  # type: ignore[assignment]
        if len(args) != arity:
            raise TypeError(f"{name}() takes {arity} arguments, not {len(args)}")
        return select(where, apply(op, list(args), f"np.{name}", at_least=at_least), out, name)

    implementation.__name__ = name
    return implementation


for _op in REGISTRY.values():  # those whose functions do more than this are registered below, and elsewhere
    if isinstance(_op.numpy, np.ufunc) and _op.result is float_dtype and _op.name == _op.numpy.__name__:
        _define(_op.name, _op.numpy.nin, _op.numpy, "float")
_define("div", 2, np.true_divide, "f64")
_define("maximum", 2, np.maximum)
_define("minimum", 2, np.minimum)
_define("abs", 1, np.fabs, "float")


def _numbers_only(op: str, arity: int, function: Any, advice: str) -> None:
    """A function that NumPy refuses to apply to booleans."""

    def implementation(*args: Any, out: Any = None, where: Any = True, **options: Any) -> Any:
        check_options(function.__name__, options)
        if len(args) == arity + 1 and out is None:
            *args, out = args  # type: ignore[assignment]
        if len(args) != arity:
            raise TypeError(f"{function.__name__}() takes {arity} arguments, not {len(args)}")
        session = require_session()
        atoms, _ = common(session, list(args), f"np.{function.__name__}")
        if atoms[0].type.dtype == "bool":
            raise session.error(
                TypeMismatch, f"NumPy has no np.{function.__name__} of booleans. Write {advice}"
            )
        return select(where, both(session, op, atoms, f"np.{function.__name__}"), out, function.__name__)

    implements(function)(implementation)


_numbers_only("sub", 2, np.subtract, "a ^ b, or convert them: a.astype(float)")
_numbers_only("sign", 1, np.sign, "x.astype(float)")
_numbers_only("neg", 1, np.negative, "~x, or convert it: -x.astype(float)")


@implements(np.absolute)
def absolute(x: Any, out: Any = None, **options: Any) -> Any:
    check_options("absolute", options)
    session = require_session()
    atom, _ = as_value(session, x, "np.absolute")
    if atom.type.dtype != "bool" and atom.type.numpy.kind != "u":
        atom = session.builder.emit("abs", atom)
    return store_out(wrap(session, atom), out)


@implements(np.add)
def add(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    check_options("add", options)
    session = require_session()
    values, _ = common(session, [a, b], "np.add")
    op = "or" if values[0].type.dtype == "bool" else "add"
    return store_out(both(session, op, values, "np.add"), out)


@implements(np.multiply)
def multiply(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    check_options("multiply", options)
    session = require_session()
    values, _ = common(session, [a, b], "np.multiply")
    op = "and" if values[0].type.dtype == "bool" else "mul"
    if op == "mul" and values[0].type == I64 and values[1].type == I64:
        return store_out(Scalar(session, session.integer("mul", values[0], values[1])), out)
    return store_out(both(session, op, values, "np.multiply"), out)


def both(session: Session, op: str, values: list[Atom], what: str) -> Any:
    atoms = agree(session, values, what)
    atom = session.builder.emit(op, *atoms)
    note_result(session, op, atoms, atom)
    return wrap(session, atom)


def nonzero_divisor(session: Session, divisor: Atom) -> None:
    """An integer divided by zero raises, as the number would in Python."""
    builder = session.builder
    if isinstance(divisor, Lit):
        if int(divisor.text) == 0:
            raise ZeroDivisionError("integer division or modulo by zero")
        return
    if divisor.type == I64:
        form = builder.affine(divisor)
        if session.ensure(form - 1):
            return
    good = builder.emit("ne", divisor, 0)
    if good.type.rank:
        good = builder.emit("all", good, tuple(range(good.type.rank)))
    session.check(good, "ZeroDivisionError: integer division or modulo by zero")


def _integer_division(op: str, function: Any) -> Callable[..., Any]:
    @implements(function)
    def divide(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
        check_options(op, options)
        session = require_session()
        values, _ = common(session, [a, b], f"np.{op}", at_least="i64")
        if values[0].type.is_integer:
            if values[0].type == I64 and values[1].type == I64:
                return store_out(Scalar(session, integer_quotient(session, op, *values)), out)
            nonzero_divisor(session, values[1])
        return store_out(both(session, op, values, f"np.{op}"), out)

    return divide


def integer_quotient(session: Session, op: str, a: Atom, b: Atom) -> Atom:
    """Integer // and %, with what is known of their range."""
    nonzero_divisor(session, b)
    builder = session.builder
    result = session.integer(op, a, b)
    if isinstance(result, Var) and session.builder.holds(builder.affine(b) - 1):
        if op == "mod":
            builder.facts.bound(result.name, lower=Affine(0), upper=builder.affine(b) - 1)
        elif builder.facts.proves(builder.affine(a)):
            builder.facts.bound(result.name, lower=Affine(0), upper=builder.affine(a))
    return result


floor_divide = _integer_division("floordiv", np.floor_divide)
remainder = _integer_division("mod", np.remainder)


@implements(np.divmod)
def divmod_(a: Any, b: Any) -> Any:
    return floor_divide(a, b), remainder(a, b)


@implements(np.fmod)
def fmod(a: Any, b: Any, **options: Any) -> Any:
    check_options("fmod", options)
    session = require_session()
    values, _ = common(session, [a, b], "np.fmod", at_least="i64")
    if values[0].type.is_integer:
        raise session.error(UnsupportedFunction, "np.fmod of integers cannot be traced. Use %")
    return both(session, "fmod", values, "np.fmod")


@implements(np.power)
def power(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    check_options("power", options)
    session = require_session()
    exponent = as_value(session, b, "np.power")[0]
    values, _ = common(session, [a, b], "np.power", at_least="i64")
    if not values[0].type.is_integer:
        return store_out(both(session, "power", values, "np.power"), out)
    if isinstance(exponent, Lit) and int(number(exponent)) < 0:
        raise ValueError("Integers to negative integer powers are not allowed.")
    if not isinstance(exponent, Lit) and exponent.type.numpy.kind == "i":
        good = session.builder.emit("ge", exponent, 0)
        if good.type.rank:
            good = session.builder.emit("all", good, tuple(range(good.type.rank)))
        session.check(good, "ValueError: Integers to negative integer powers are not allowed.")
    return store_out(both(session, "int_power", values, "np.power"), out)


# -- rounding and conversion ---------------------------------------------------------------------------


def _rounding(op: str, *functions: Any) -> None:
    @implements(*functions)
    def rounded(x: Any, out: Any = None, **options: Any) -> Any:
        check_options(op, options)
        session = require_session()
        atom, _ = as_value(session, x)
        if not atom.type.is_float:
            if op == "rint":
                atom = cast(session, atom, float_of(session, atom.type.dtype, "np.rint"))
            return store_out(wrap(session, atom), out)
        return store_out(wrap(session, session.builder.emit(op, atom)), out)


_rounding("floor", np.floor)
_rounding("ceil", np.ceil)
_rounding("trunc", np.trunc, np.fix)
_rounding("rint", np.rint)


@implements(np.round, np.around, method="round")
def round_(x: Any, decimals: int = 0, out: Any = None) -> Any:
    session = require_session()
    atom, _ = as_value(session, x)
    if not atom.type.is_float:
        if decimals < 0:
            raise session.error(
                UnsupportedFunction, "np.round of integers to negative decimals cannot be traced"
            )
        if atom.type.dtype == "bool":
            raise session.error(
                TypeMismatch, "np.round of booleans is float16 in NumPy, which cannot be traced. Leave it out"
            )
        return store_out(wrap(session, atom), out)
    if decimals == 0:
        return store_out(wrap(session, session.builder.emit("rint", atom)), out)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return store_out(FUNCTIONS[np.rint](x * scale) / scale, out)
    return store_out(FUNCTIONS[np.rint](x / scale) * scale, out)


def astype(x: Any, dtype: Any, copy: bool = True, **_: Any) -> Any:
    """The values as another dtype; floats become integers by cutting off, as in NumPy."""
    session = require_session()
    atom, _weak = as_value(session, x)
    name = dtype_argument(session, dtype)
    if not copy and atom.type.dtype == name and isinstance(x, Array):
        return x
    return wrap(session, cast(session, atom, name) if atom.type.dtype != name else atom)


def _scalar_type(x: Any, kind: Any) -> Any:
    """np.uint8(x) and its like: a number of Python's must fit."""
    session = require_session()
    atom, weak = as_value(session, x)
    name = dtype_argument(session, kind)
    if weak and atom.type.is_float and name in INTEGERS:
        atom = as_value(session, FUNCTIONS[int](x))[0]
    return wrap(session, adapted(session, atom, weak, name, f"np.{np.dtype(kind).name}()"))


def dtype_argument(session: Session, dtype: Any) -> str:
    """The IR's name of a dtype that the user wrote."""
    if dtype is None or dtype is float:
        return "f64"
    if dtype is int:
        return "i64"
    if dtype is bool:
        return "bool"
    resolved = np.dtype(dtype)
    if resolved.kind == "c":
        raise session.dtype_error(f"dtype {resolved}", resolved)
    name = dtype_name(resolved)
    if name is None:
        raise session.error(
            UnsupportedFunction, f"dtype {resolved} cannot be traced: float64, float32, integers and bool can be"
        )
    return name


METHODS["astype"] = astype
if hasattr(np, "astype"):
    FUNCTIONS[np.astype] = astype
for _row in DTYPES.values():
    FUNCTIONS[_row.numpy.type] = lambda x=0, _type=_row.numpy.type: _scalar_type(x, _type)


# -- in place and other names ---------------------------------------------------------------------------


@implements("inplace")
def inplace(x: Array, value: Any) -> None:
    """`x += v` and its like: the array keeps its dtype and shape."""
    session = x.session
    atom, weak = as_value(session, value, "an in-place operation")
    if atom.type.rank > x.type.rank:
        raise session.mismatch((x.dims, atom.type.dims), "an in-place operation")
    atom = cast_value(session, atom, x.type.dtype, "an in-place operation", weak, inplace=True)
    from_shape = FUNCTIONS["setitem"]
    from_shape(x, Ellipsis if x.type.rank else (), wrap(session, atom))


@implements(np.square)
def square(x: Any, **options: Any) -> Any:
    check_options("square", options)
    session = require_session()
    (atom,), _ = common(session, [x], "np.square", at_least="i64")
    return both(session, "mul", [atom, atom], "np.square")


@implements(np.reciprocal)
def reciprocal(x: Any, **options: Any) -> Any:
    check_options("reciprocal", options)
    session = require_session()
    atom, _ = as_value(session, x)
    if not atom.type.is_float:
        raise session.error(TypeMismatch, "np.reciprocal of integers is 1 // x in NumPy. Write 1.0 / x")
    return FUNCTIONS[np.true_divide](1.0, wrap(session, atom))


@implements(np.positive)
def positive(x: Any, **_: Any) -> Any:
    session = require_session()
    atom = as_value(session, x)[0]
    if atom.type.dtype == "bool":
        raise session.error(TypeMismatch, "NumPy has no np.positive of booleans. Leave it out")
    return wrap(session, atom)


def _scaled(factor: float, *functions: Any) -> None:
    name = f"np.{functions[0].__name__}"

    @implements(*functions)
    def scaled(x: Any, **_: Any) -> Any:
        session = require_session()
        return apply("mul", [wrap(session, common(session, [x], name, at_least="float")[0][0]), factor], name)


_scaled(math.pi / 180.0, np.deg2rad, np.radians)
_scaled(180.0 / math.pi, np.rad2deg, np.degrees)


@implements(np.logaddexp2)
def logaddexp2(a: Any, b: Any, **_: Any) -> Any:
    session, scale = require_session(), math.log(2.0)
    one, two = (wrap(session, v) for v in common(session, [a, b], "np.logaddexp2", at_least="float")[0])
    return FUNCTIONS[np.logaddexp](one * scale, two * scale) / scale  # type: ignore[operator]
