"""Elementwise functions: NumPy's ufuncs, `math`, and the built-ins that mean the same on numbers."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import literal
from ...ir.errors import TypeMismatch, UnsupportedFunction
from ...ir.program import Atom, Lit, Var
from ...ir.types import I64
from ..convert import agree, cast, cast_value, common
from ..session import Session
from ..symbol import FUNCTIONS, METHODS, Array, Scalar, as_value, implements, require_session, wrap
from .bounds import note_result


def apply(
    op: str, values: list[Any], what: str, *, at_least: str | None = None, result: str | None = None
) -> Any:
    """One primitive on operands brought to a common dtype and shape; the result as a symbol."""
    session = require_session()
    atoms, weak = common(session, values, what, at_least=at_least)
    atoms = agree(session, atoms, what)
    atom = session.builder.emit(op, *atoms)
    note_result(session, op, atoms, atom)
    return wrap(session, atom, weak=weak and atom.type.rank == 0 and result is None)


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


def _check_options(name: str, options: dict[str, Any]) -> None:
    for option, value in options.items():
        if option in ("casting", "order", "subok", "dtype") and value in (None, "same_kind", "K", True):
            continue
        raise require_session().error(UnsupportedFunction, f"np.{name}({option}=...) cannot be traced")


def _define(
    op: str, arity: int, functions: tuple[Any, ...], at_least: str | None = None, method: str | None = None
) -> None:
    name = getattr(functions[0], "__name__", str(functions[0]))

    def implementation(*args: Any, out: Any = None, where: Any = True, **options: Any) -> Any:
        _check_options(name, options)
        if len(args) == arity + 1 and out is None:
            *args, out = args  # type: ignore[assignment]
        if len(args) != arity:
            raise TypeError(f"{name}() takes {arity} arguments, not {len(args)}")
        return select(where, apply(op, list(args), f"np.{name}", at_least=at_least), out, name)

    implementation.__name__ = name
    implements(*functions, method=method)(implementation)


_FLOAT_UNARY: dict[str, tuple[Any, ...]] = {
    "exp": (np.exp, math.exp), "exp2": (np.exp2, math.exp2), "expm1": (np.expm1, math.expm1),
    "log": (np.log,), "log2": (np.log2, math.log2), "log10": (np.log10, math.log10), "log1p": (np.log1p, math.log1p),
    "sqrt": (np.sqrt, math.sqrt), "cbrt": (np.cbrt, math.cbrt), "sin": (np.sin, math.sin), "cos": (np.cos, math.cos),
    "tan": (np.tan, math.tan), "arcsin": (np.arcsin, math.asin), "arccos": (np.arccos, math.acos),
    "arctan": (np.arctan, math.atan), "sinh": (np.sinh, math.sinh), "cosh": (np.cosh, math.cosh),
    "tanh": (np.tanh, math.tanh), "arcsinh": (np.arcsinh, math.asinh), "arccosh": (np.arccosh, math.acosh),
    "arctanh": (np.arctanh, math.atanh), "erf": (math.erf,), "erfc": (math.erfc,), "gammaln": (math.lgamma,),
}  # fmt: skip
for _op, _functions in _FLOAT_UNARY.items():
    _define(_op, 1, _functions, "float")
for _op, _functions in {"arctan2": (np.arctan2, math.atan2), "hypot": (np.hypot,), "logaddexp": (np.logaddexp,),
                        "copysign": (np.copysign, math.copysign), "fmod": (math.fmod,)}.items():  # fmt: skip
    _define(_op, 2, _functions, "float")
_define("div", 2, (np.true_divide,), "float")
for _op, _functions in {"sub": (np.subtract,), "maximum": (np.maximum,), "minimum": (np.minimum,)}.items():
    _define(_op, 2, _functions)
_define("abs", 1, (np.absolute, builtins.abs))
_define("sign", 1, (np.sign,))
_define("neg", 1, (np.negative,))
_define("abs", 1, (np.fabs, math.fabs), "float")


@implements(np.add)
def add(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    _check_options("add", options)
    session = require_session()
    values, weak = common(session, [a, b], "np.add")
    op = "or" if values[0].type.dtype == "bool" else "add"
    return store_out(_both(session, op, values, weak, "np.add"), out)


@implements(np.multiply)
def multiply(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    _check_options("multiply", options)
    session = require_session()
    values, weak = common(session, [a, b], "np.multiply")
    op = "and" if values[0].type.dtype == "bool" else "mul"
    if op == "mul" and values[0].type == I64 and values[1].type == I64:
        return store_out(Scalar(session, session.integer("mul", values[0], values[1]), weak), out)
    return store_out(_both(session, op, values, weak, "np.multiply"), out)


def _both(session: Session, op: str, values: list[Atom], weak: bool, what: str) -> Any:
    atoms = agree(session, values, what)
    atom = session.builder.emit(op, *atoms)
    note_result(session, op, atoms, atom)
    return wrap(session, atom, weak=weak and atom.type.rank == 0)


def _nonzero_divisor(session: Session, divisor: Atom, what: str) -> None:
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
        _check_options(op, options)
        session = require_session()
        values, weak = common(session, [a, b], f"np.{op}", at_least="i64")
        if values[0].type.dtype == "i64":
            _nonzero_divisor(session, values[1], op)
            if values[0].type == I64 and values[1].type == I64:
                return store_out(_positive(session, op, values, weak), out)
        return store_out(_both(session, op, values, weak, f"np.{op}"), out)

    return divide


def _positive(session: Session, op: str, values: list[Atom], weak: bool) -> Scalar:
    """Integer // and %, with what is known of their range."""
    builder = session.builder
    result = session.integer(op, values[0], values[1])
    if isinstance(result, Var) and session.builder.holds(builder.affine(values[1]) - 1):
        if op == "mod":
            builder.facts.bound(result.name, lower=Affine(0), upper=builder.affine(values[1]) - 1)
        elif builder.facts.proves(builder.affine(values[0])):
            builder.facts.bound(result.name, lower=Affine(0), upper=builder.affine(values[0]))
    return Scalar(session, result, weak)


floor_divide = _integer_division("floordiv", np.floor_divide)
remainder = _integer_division("mod", np.remainder)


@implements(np.divmod, builtins.divmod)
def divmod_(a: Any, b: Any) -> Any:
    return floor_divide(a, b), remainder(a, b)


@implements(np.fmod)
def fmod(a: Any, b: Any, **options: Any) -> Any:
    _check_options("fmod", options)
    session = require_session()
    values, _ = common(session, [a, b], "np.fmod", at_least="i64")
    if values[0].type.dtype == "i64":
        raise session.error(UnsupportedFunction, "np.fmod of integers cannot be traced. Use %")
    return _both(session, "fmod", values, False, "np.fmod")


@implements(np.power, np.float_power, math.pow, builtins.pow)
def power(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    _check_options("power", options)
    session = require_session()
    exponent = as_value(session, b, "np.power")[0]
    values, weak = common(session, [a, b], "np.power", at_least="i64")
    if values[0].type.dtype == "i64":
        if isinstance(exponent, Lit) and int(exponent.text) < 0:
            if weak:
                return power(FUNCTIONS[float](a), b)
            raise ValueError("Integers to negative integer powers are not allowed.")
        if not isinstance(exponent, Lit):
            good = session.builder.emit("ge", exponent, 0)
            if good.type.rank:
                good = session.builder.emit("all", good, tuple(range(good.type.rank)))
            session.check(good, "ValueError: Integers to negative integer powers are not allowed.")
        return store_out(_both(session, "int_power", values, weak, "np.power"), out)
    return store_out(_both(session, "power", values, weak, "np.power"), out)


@implements(math.log)
def math_log(x: Any, base: Any = None) -> Any:
    natural = FUNCTIONS[np.log]
    return natural(x) if base is None else natural(x) / natural(base)


@implements(math.hypot)
def math_hypot(*coordinates: Any) -> Any:
    result = FUNCTIONS[builtins.abs](coordinates[0])
    for c in coordinates[1:]:
        result = FUNCTIONS[np.hypot](result, c)
    return result


# -- comparison and logic ------------------------------------------------------------------------------


def _comparison(op: str, function: Any) -> None:
    forms = {
        "lt": lambda a, b: ([b - a - 1], [a - b]), "le": lambda a, b: ([b - a], [a - b - 1]),
        "gt": lambda a, b: ([a - b - 1], [b - a]), "ge": lambda a, b: ([a - b], [b - a - 1]),
        "eq": lambda a, b: ([a - b, b - a], []), "ne": lambda a, b: ([], [a - b, b - a]),
    }  # fmt: skip

    @implements(function)
    def compare(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
        _check_options(op, options)
        session = require_session()
        if isinstance(b, (str, type(None))) or isinstance(a, (str, type(None))):
            return op == "ne"
        values, _ = common(session, [a, b], f"np.{function.__name__}")
        result = session.builder.emit(op, *agree(session, values, "a comparison"))
        if isinstance(result, Var) and values[0].type == I64 and values[1].type == I64:
            one, two = (session.builder.affine(v) for v in values)
            yes, no = forms[op](one, two)
            difference = one - two
            if not difference.terms:
                answer = {"lt": int.__lt__, "le": int.__le__, "gt": int.__gt__, "ge": int.__ge__,
                          "eq": int.__eq__, "ne": int.__ne__}[op](difference.constant, 0)  # fmt: skip
                return Scalar(session, literal(answer, "bool"))
            sources = session.root_names(difference) if session.from_inputs(difference) else None
            session.conditions[result.name] = (yes, no, sources)
        return store_out(wrap(session, result), out)


for _op, _function in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
                       "eq": np.equal, "ne": np.not_equal}.items():  # fmt: skip
    _comparison(_op, _function)


def _logic(op: str, functions: tuple[Any, ...], truth: bool) -> None:
    @implements(*functions)
    def combine(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
        _check_options(op, options)
        session = require_session()
        if truth:
            a, b = truth_of(a), truth_of(b)
        values, weak = common(session, [a, b], functions[0].__name__)
        if values[0].type.is_float:
            raise session.error(TypeMismatch, f"np.{functions[0].__name__} of floats is not defined")
        return store_out(
            _both(session, op, values, weak and values[0].type.dtype != "bool", functions[0].__name__), out
        )


_logic("and", (np.bitwise_and,), False)
_logic("or", (np.bitwise_or,), False)
_logic("xor", (np.bitwise_xor,), False)
_logic("and", (np.logical_and,), True)
_logic("or", (np.logical_or,), True)
_logic("xor", (np.logical_xor,), True)
_define("shift_left", 2, (np.left_shift,), "i64")
_define("shift_right", 2, (np.right_shift,), "i64")


@implements("truth")
def truth_of(x: Any) -> Any:
    """x != 0, as a bool."""
    session = require_session()
    atom, _ = as_value(session, x)
    return wrap(session, cast(session, atom, "bool"))


@implements("not", np.logical_not)
def logical_not(x: Any, out: Any = None, **options: Any) -> Any:
    _check_options("logical_not", options)
    session = require_session()
    atom = truth_of(x).read()
    result = wrap(session, session.builder.emit("invert", atom))
    known = session.conditions.get(atom.name) if isinstance(atom, Var) else None
    new = result.read()
    if known is not None and isinstance(new, Var):
        session.conditions[new.name] = (known[1], known[0], known[2])
    return store_out(result, out)


@implements(np.invert)
def invert(x: Any, out: Any = None, **options: Any) -> Any:
    _check_options("invert", options)
    session = require_session()
    atom, weak = as_value(session, x)
    if atom.type.is_float:
        raise session.error(TypeMismatch, "~ of floats is not defined")
    return store_out(wrap(session, session.builder.emit("invert", atom), weak=weak), out)


def _predicate(op: str, functions: tuple[Any, ...], of_int: bool) -> None:
    @implements(*functions)
    def test(x: Any, out: Any = None, **options: Any) -> Any:
        session = require_session()
        atom, _ = as_value(session, x)
        if not atom.type.is_float:
            atom = cast(session, atom, "f64")
        return store_out(wrap(session, session.builder.emit(op, atom)), out)


_predicate("isnan", (np.isnan, math.isnan), False)
_predicate("isinf", (np.isinf, math.isinf), False)
_predicate("isfinite", (np.isfinite, math.isfinite), True)


# -- rounding and conversion ---------------------------------------------------------------------------


def _rounding(op: str, functions: tuple[Any, ...], to_int: bool) -> None:
    @implements(*functions)
    def rounded(x: Any, out: Any = None, **options: Any) -> Any:
        session = require_session()
        atom, weak = as_value(session, x)
        if not atom.type.is_float:
            return store_out(wrap(session, cast(session, atom, "i64"), weak=weak), out)
        result = session.builder.emit(op, atom)
        if to_int:
            return Scalar(session, session.builder.emit("to_i64", result), weak=True)
        return store_out(wrap(session, result, weak=weak and result.type.rank == 0), out)


_rounding("floor", (np.floor,), False)
_rounding("ceil", (np.ceil,), False)
_rounding("trunc", (np.trunc, np.fix), False)
_rounding("rint", (np.rint,), False)
_rounding("floor", (math.floor, "__floor"), True)
_rounding("ceil", (math.ceil, "__ceil"), True)
_rounding("trunc", (math.trunc, "__trunc", int), True)


@implements(np.round, method="round")
def round_(x: Any, decimals: int = 0, out: Any = None) -> Any:
    session = require_session()
    atom, weak = as_value(session, x)
    if not atom.type.is_float:
        if decimals < 0:
            raise session.error(
                UnsupportedFunction, "np.round of integers to negative decimals cannot be traced"
            )
        return x
    if decimals == 0:
        return store_out(
            wrap(session, session.builder.emit("rint", atom), weak=weak and not atom.type.rank), out
        )
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return store_out(FUNCTIONS[np.rint](x * scale) / scale, out)
    return store_out(FUNCTIONS[np.rint](x / scale) * scale, out)


FUNCTIONS[np.around] = round_


@implements(builtins.round, "__round")
def python_round(x: Any, digits: int | None = None) -> Any:
    if digits is not None:
        return round_(x, digits)
    session = require_session()
    atom, _ = as_value(session, x)
    if not atom.type.is_float:
        return x
    return Scalar(session, session.builder.emit("to_i64", session.builder.emit("rint", atom)), weak=True)


@implements(float)
def float_(x: Any) -> Any:
    session = require_session()
    atom, _ = as_value(session, x)
    if atom.type.rank:
        raise session.error(
            TypeMismatch,
            f"float() of an array of shape {session.shown(atom.type.dims)}: only a number can be converted",
        )
    return Scalar(session, cast(session, atom, "f64"), weak=True)


@implements(bool)
def bool_(x: Any) -> Any:
    session = require_session()
    atom = truth_of(x).read()
    if atom.type.rank:
        raise session.error(
            TypeMismatch,
            "the truth value of an array with more than one element is ambiguous. Use a.any() or a.all()",
        )
    return Scalar(session, atom)


def astype(x: Any, dtype: Any, copy: bool = True, **_: Any) -> Any:
    """The values as another dtype; floats become integers by cutting off, as in NumPy."""
    session = require_session()
    atom, _weak = as_value(session, x)
    name = dtype_argument(session, dtype)
    result = cast(session, atom, name) if atom.type.dtype != name or not copy else atom
    return wrap(session, result)


def dtype_argument(session: Session, dtype: Any) -> str:
    """The IR's name of a dtype that the user wrote."""
    if dtype is None or dtype is float:
        return "f64"
    if dtype is int:
        return "i64"
    if dtype is bool:
        return "bool"
    resolved = np.dtype(dtype)
    names = {"float64": "f64", "float32": "f32", "int64": "i64", "bool": "bool"}
    if resolved.kind == "c":
        raise session.dtype_error(f"dtype {resolved}", resolved)
    if resolved.name not in names:
        raise session.error(
            UnsupportedFunction, f"dtype {resolved} cannot be traced: float64, float32, int64 and bool can be"
        )
    return names[resolved.name]


METHODS["astype"] = astype
if hasattr(np, "astype"):
    FUNCTIONS[np.astype] = astype
for _type, _name in ((np.float64, "f64"), (np.float32, "f32"), (np.int64, "i64"), (np.bool_, "bool")):
    FUNCTIONS[_type] = lambda x=0, _type=_type: astype(x, _type)


# -- in place and other names ---------------------------------------------------------------------------


@implements("inplace")
def inplace(x: Array, value: Any) -> None:
    """`x += v` and its like: the array keeps its dtype and shape."""
    session = x.session
    atom, _ = as_value(session, value, "an in-place operation")
    if atom.type.rank > x.type.rank:
        raise session.mismatch((x.dims, atom.type.dims), "an in-place operation")
    atom = cast_value(session, atom, x.type.dtype, "an in-place operation")
    from_shape = FUNCTIONS["setitem"]
    from_shape(x, Ellipsis if x.type.rank else (), wrap(session, atom))


@implements(np.square)
def square(x: Any, **options: Any) -> Any:
    _check_options("square", options)
    return FUNCTIONS[np.multiply](x, x)


@implements(np.reciprocal)
def reciprocal(x: Any, **options: Any) -> Any:
    _check_options("reciprocal", options)
    return FUNCTIONS[np.true_divide](1.0, x)


@implements(np.positive)
def positive(x: Any, **_: Any) -> Any:
    return FUNCTIONS[np.add](x, 0) if not isinstance(x, Array) else wrap(x.session, x.read())


FUNCTIONS[np.deg2rad] = FUNCTIONS[np.radians] = FUNCTIONS[math.radians] = lambda x, **_: x * (math.pi / 180.0)
FUNCTIONS[np.rad2deg] = FUNCTIONS[np.degrees] = FUNCTIONS[math.degrees] = lambda x, **_: x * (180.0 / math.pi)


@implements(np.logaddexp2)
def logaddexp2(a: Any, b: Any, **_: Any) -> Any:
    scale = math.log(2.0)
    return FUNCTIONS[np.logaddexp](a * scale, b * scale) / scale
