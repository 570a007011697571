"""Python's own arithmetic of traced numbers: integers are exact, truth values count, results are Python's.

Operators come here if both operands are Python's numbers; `math` and the built-ins come here, too. Integers are i64:
where one might not fit, the finished program gets a check (`tracer/values/exact.py`).
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.build import literal, number
from ...ir.errors import TypeMismatch, UnsupportedFunction
from ...ir.primitive import REGISTRY
from ...ir.program import Atom, Lit, Var
from ...ir.types import I64
from ..raising import harmless
from ..session import NeedStatic, Session
from ..values.arithmetic import PYTHON
from ..values.convert import cast
from ..values.symbol import FUNCTIONS, Scalar, Symbol, as_value, implements, require_session, type_name
from .elementwise import apply, integer_quotient

LARGEST = 2**63 - 1


def python(session: Session, atom: Atom) -> Any:
    """The value as a number of Python's: one that is known is Python's own."""
    if isinstance(atom, Lit) and not atom.type.is_float:
        return number(atom).item()
    return Scalar(session, atom, weak=True)


def exact(session: Session, op: str, *operands: Atom) -> Any:
    """An operation on Python's integers, which must fit 64 bits when the program runs."""
    result = session.integer(op, *operands) if len(operands) == 2 else session.builder.emit(op, *operands)
    if isinstance(result, Var):
        session.exact.add(result.name)
        must_fit(session, result, LARGEST)
    return python(session, result)


def must_fit(session: Session, value: Atom, most: int) -> None:
    """What the inputs alone make too large in this call is computed by Python, with those inputs static."""
    form = session.builder.affine(value)
    if session.from_inputs(form) and not session.from_example(form) and abs(form.value(session.present)) > most:
        raise NeedStatic(session.root_names(form))


def integers(a: Any, b: Any) -> tuple[Session, tuple[Atom, Atom]] | None:
    """Both operands as i64, None if one is a float."""
    session = require_session()
    atoms = [as_value(session, v)[0] for v in (a, b)]
    if any(atom.type.is_float for atom in atoms):
        return None
    one, two = (cast(session, atom, "i64") for atom in atoms)
    return session, (one, two)


def weakened(value: Any) -> Any:
    """A number of NumPy's as the number of Python's that an operation gives."""
    return Scalar(value.session, value.atom, weak=True) if isinstance(value, Scalar) else value


def known(values: tuple[Atom, ...]) -> list[int] | None:
    """The numbers, if all are known."""
    return [int(v.text) for v in values if isinstance(v, Lit)] if all(isinstance(v, Lit) for v in values) else None


DIVISIONS = ("truediv", "floordiv", "mod")


def _nonzero(b: Any) -> Atom:
    return (FUNCTIONS[np.not_equal](b, 0)).read() if isinstance(b, Symbol) else literal(b != 0, "bool")


def _is_not(cond: Any) -> Atom:
    return literal(not cond, "bool") if isinstance(cond, (bool, np.bool_)) else FUNCTIONS["not"](cond).read()


def noted(value: Any, quiet: bool) -> Any:
    """The result of an operation, which raises nothing here if it is `quiet`."""
    if quiet and isinstance(value, Scalar) and isinstance(value.atom, Var):
        value.session.quiet.add(value.atom.name)
    return value


def _binary(name: str, function: Any, own: Callable[[Any, Any], Any], op: str) -> None:
    """One operator: on floats NumPy's function of it, on integers Python's."""

    def compute(a: Any, b: Any) -> Any:
        found = integers(a, b)
        quiet = name in DIVISIONS and harmless(require_session(), ZeroDivisionError, lambda: _nonzero(b))
        if found is None:
            return noted(weakened(FUNCTIONS[function](a, b)), quiet)
        session, atoms = found
        numbers = known(atoms)
        if numbers is not None:
            return own(*numbers)
        return noted(INTEGER.get(op, exact)(session, op, *atoms), quiet)

    PYTHON[name] = compute


def _quotient(session: Session, op: str, a: Atom, b: Atom) -> Any:
    result = integer_quotient(session, op, a, b)
    if isinstance(result, Var):
        session.exact.add(result.name)
    return python(session, result)


def _true_quotient(session: Session, op: str, a: Atom, b: Atom) -> Any:
    """Integers beyond 2**53 would be rounded twice."""
    one, two = as_float(session, a, b), as_float(session, b, a)
    return Scalar(session, session.builder.emit("div", one, two), weak=True)


def as_float(session: Session, atom: Atom, beside: Atom) -> Atom:
    """An integer as a float, which must not round it."""
    if isinstance(atom, Lit):
        value = int(atom.text)
        if int(float(value)) != value:
            if beside.type == I64:
                must_fit(session, beside, -1)  # known, too, if the inputs make it
            raise session.error(
                TypeMismatch, f"the integer {value} is not exact as a float: write float({value}) if that is meant"
            )
        return literal(float(value), "f64")
    result = session.builder.emit("to_f64", atom)
    assert isinstance(result, Var)
    session.exact.add(result.name)
    must_fit(session, atom, 2**53 - 1)
    return result


def _power(session: Session, op: str, a: Atom, b: Atom) -> Any:
    facts, form = session.builder.facts, session.builder.affine(b)
    if facts.proves(form.scaled(-1)) and not facts.proves(form):
        # Never above 0: a float, or 1.
        return weakened(FUNCTIONS[np.power](FUNCTIONS[float](Scalar(session, a)), Scalar(session, b)))
    if not facts.proves(form):
        good = session.builder.emit("ge", b, 0)
        base = a.text if isinstance(a, Lit) else "float(n)"
        write = f"{base}.0" if isinstance(a, Lit) else base
        session.check(good, f"ValueError: an integer to a negative power is a float: write {write} ** k")
    return exact(session, "int_power", a, b)


def _shift(session: Session, op: str, a: Atom, b: Atom) -> Any:
    builder = session.builder
    if not builder.facts.proves(builder.affine(b)):
        session.check(builder.emit("ge", b, 0), "ValueError: negative shift count")
    if op == "shift_left":
        # Of 0 nothing is shifted out, whatever the count.
        factor = 2 ** int(b.text) if isinstance(b, Lit) else exact(session, "int_power", literal(2, "i64"), b)
        return exact(session, "mul", a, as_value(session, factor, "a shift")[0])
    return exact(session, op, a, builder.emit("minimum", b, 63))


INTEGER: dict[str, Callable[..., Any]] = {
    "floordiv": _quotient, "mod": _quotient, "div": _true_quotient, "int_power": _power,
    "shift_left": _shift, "shift_right": _shift,
}  # fmt: skip

_function: Any
for _name, _function, _own, _op in (
    ("add", np.add, operator.add, "add"), ("sub", np.subtract, operator.sub, "sub"),
    ("mul", np.multiply, operator.mul, "mul"), ("truediv", np.true_divide, operator.truediv, "div"),
    ("floordiv", np.floor_divide, operator.floordiv, "floordiv"), ("mod", np.remainder, operator.mod, "mod"),
    ("pow", np.power, operator.pow, "int_power"), ("lshift", np.left_shift, operator.lshift, "shift_left"),
    ("rshift", np.right_shift, operator.rshift, "shift_right"),
):  # fmt: skip
    _binary(_name, _function, _own, _op)


def _logic(name: str, function: Any, own: Callable[[Any, Any], Any], op: str) -> None:
    def combine(a: Any, b: Any) -> Any:
        session = require_session()
        atoms = [as_value(session, v)[0] for v in (a, b)]
        if all(atom.type.dtype == "bool" for atom in atoms):
            return weakened(FUNCTIONS[function](a, b))
        if any(atom.type.is_float for atom in atoms):
            raise TypeError(f"unsupported operand types for {name}: a float is among them")
        one, two = (cast(session, atom, "i64") for atom in atoms)
        numbers = known((one, two))
        return own(*numbers) if numbers is not None else python(session, session.builder.emit(op, one, two))

    PYTHON[name] = combine


_logic("and", np.bitwise_and, operator.and_, "and")
_logic("or", np.bitwise_or, operator.or_, "or")
_logic("xor", np.bitwise_xor, operator.xor, "xor")


def _comparison(name: str, function: Any, own: Callable[[Any, Any], bool]) -> None:
    def compare(a: Any, b: Any) -> Any:
        session = require_session()
        atoms = [as_value(session, v)[0] for v in (a, b)]
        if len({atom.type.is_float for atom in atoms}) == 2:
            # Python compares an integer and a float exactly.
            pairs = zip(atoms, reversed(atoms))
            floats = [v if v.type.is_float else as_float(session, cast(session, v, "i64"), w) for v, w in pairs]
            a, b = (Scalar(session, v, weak=True) for v in floats)
        elif all(isinstance(atom, Lit) and not atom.type.is_float for atom in atoms):
            return own(*(number(atom).item() for atom in atoms))  # type: ignore[arg-type]
        return weakened(FUNCTIONS[function](a, b))

    PYTHON[name] = compare


for _name, _function, _compare in (
    ("lt", np.less, operator.lt), ("le", np.less_equal, operator.le), ("gt", np.greater, operator.gt),
    ("ge", np.greater_equal, operator.ge), ("eq", np.equal, operator.eq), ("ne", np.not_equal, operator.ne),
):  # fmt: skip
    _comparison(_name, _function, _compare)


PYTHON["divmod"] = lambda a, b: (PYTHON["floordiv"](a, b), PYTHON["mod"](a, b))


def _unary(name: str, function: Any, own: Callable[[int], int], compute: Callable[[Session, Atom], Any]) -> None:
    def apply(a: Any) -> Any:
        session = require_session()
        atom, _ = as_value(session, a)
        if atom.type.is_float:
            return weakened(FUNCTIONS[function](a))
        atom = cast(session, atom, "i64")
        return own(int(atom.text)) if isinstance(atom, Lit) else compute(session, atom)

    PYTHON[name] = apply


def _size(session: Session, atom: Atom) -> Any:
    builder = session.builder
    form = builder.affine(atom)
    if builder.facts.proves(form):
        return python(session, atom)
    return exact(session, "neg", atom) if builder.facts.proves(form.scaled(-1)) else exact(session, "abs", atom)


_unary("neg", np.negative, operator.neg, lambda session, atom: exact(session, "neg", atom))
_unary("abs", np.absolute, operator.abs, _size)
_unary("pos", np.positive, operator.pos, python)
_unary("invert", np.invert, operator.invert, lambda s, atom: python(s, s.builder.emit("invert", atom)))


@implements(builtins.abs)
def abs_(x: Any) -> Any:
    return abs(x)


@implements(builtins.pow)
def pow_(base: Any, exp: Any, mod: Any = None) -> Any:
    if mod is not None:
        raise require_session().error(
            UnsupportedFunction, "pow() with three arguments of traced numbers cannot be traced. Write b ** e % m"
        )
    return base**exp


@implements(builtins.divmod)
def divmod_(a: Any, b: Any) -> Any:
    return divmod(a, b)


# -- conversions ---------------------------------------------------------------------------------------------


def single(x: Any, what: str) -> tuple[Session, Atom]:
    """The operand of a function of Python numbers: arrays of one number are converted, others are not."""
    session = require_session()
    atom, _ = as_value(session, x, what)
    if atom.type.rank:
        raise session.error(
            TypeMismatch,
            f"{what} of an array of shape {session.shown(atom.type.dims)}: only a number can be converted",
        )
    return session, atom


@implements(float)
def float_(x: Any = 0.0) -> Any:
    session, atom = single(x, "float()")
    return Scalar(session, cast(session, atom, "f64"), weak=True)


@implements(bool)
def bool_(x: Any = False) -> Any:
    session, atom = single(x, "bool()")
    return python(session, FUNCTIONS["truth"](Scalar(session, atom)).read())


def whole_number(session: Session, atom: Atom, what: str) -> Any:
    """A float without a fraction, or an integer of NumPy's, as Python's integer."""
    builder = session.builder
    if atom.type.is_float:
        # 2**53, so that arithmetic on what comes out needs no checks.
        wide = cast(session, atom, "f64")
        fits = builder.emit("le", builder.emit("abs", wide), 2.0**53)
        if isinstance(wide, Lit):
            value = float(wide.text)
            return int(value)
        session.check(builder.emit("eq", wide, wide), f"ValueError: {what}: cannot convert float NaN to integer")
        session.check(fits, f"OverflowError: {what} of a number beyond 2**53")
        result = builder.emit("to_i64", wide)
        assert isinstance(result, Var)
        session.limits[result.name] = (-(2**53), 2**53)
        return python(session, result)
    if atom.type.dtype == "u64":
        session.check(builder.emit("le", atom, LARGEST), f"OverflowError: {what} of a number beyond 2**63")
    result = cast(session, atom, "i64")
    if isinstance(result, Var) and atom.type.dtype not in ("i64", "u64"):
        limits = np.iinfo(atom.type.numpy) if atom.type.is_integer else None
        session.limits[result.name] = (int(limits.min), int(limits.max)) if limits else (0, 1)
    return python(session, result)


def _whole(op: str, functions: tuple[Any, ...]) -> None:
    @implements(*functions)
    def convert(x: Any = 0) -> Any:
        what = f"{getattr(functions[0], '__name__', op)}()"
        session, atom = single(x, what)
        if atom.type.is_float:
            atom = session.builder.emit(op, atom)
        return whole_number(session, atom, what)


_whole("floor", (math.floor, "__floor"))
_whole("ceil", (math.ceil, "__ceil"))
_whole("trunc", (int, "__trunc"))


@implements(math.trunc)
def trunc(x: Any) -> Any:
    session, atom = single(x, "math.trunc()")
    if not as_value(session, x)[1] and atom.type.dtype != "f64":  # NumPy's float64 is a float of Python's
        raise TypeError(f"type {type_name(x)} doesn't define __trunc__ method")
    return FUNCTIONS[int](x)


@implements(builtins.round, "__round")
def round_(x: Any, ndigits: Any = None) -> Any:
    session = require_session()
    atom, weak = as_value(session, x)
    if atom.type.rank:
        raise TypeError("type numpy.ndarray doesn't define __round__ method")
    if ndigits is None:
        if atom.type.is_float:
            atom = session.builder.emit("rint", atom)
        return whole_number(session, atom, "round()")
    if not weak:
        return FUNCTIONS[np.round](x, ndigits)
    if not atom.type.is_float:
        raise session.error(UnsupportedFunction, "round(n, digits) of a traced integer cannot be traced. Leave it out")
    raise session.error(
        UnsupportedFunction,
        "round(x, digits) of a traced number rounds its decimal digits, which cannot be traced. "
        "np.round(x, digits) can be: it multiplies, rounds and divides",
    )


def _overflows(function: Any, x: Any, y: Any) -> Any:
    if function not in GROWING:
        return False
    return FUNCTIONS[np.logical_and](FUNCTIONS[np.isinf](y), FUNCTIONS[np.isfinite](x))


GROWING = (math.exp, math.expm1, math.cosh, math.sinh)
"""What raises an OverflowError."""
DOMAINS: dict[Any, Callable[[Any], Any]] = {
    math.sqrt: lambda x: x < 0.0, math.log: lambda x: x <= 0.0, math.log2: lambda x: x <= 0.0,
    math.log10: lambda x: x <= 0.0, math.log1p: lambda x: x <= -1.0, math.acos: lambda x: abs(x) > 1.0,
    math.asin: lambda x: abs(x) > 1.0, math.acosh: lambda x: x < 1.0, math.atanh: lambda x: abs(x) >= 1.0,
    **dict.fromkeys((math.sin, math.cos, math.tan), lambda x: FUNCTIONS[np.isinf](x)),
    **dict.fromkeys(GROWING, lambda x: False),
}  # fmt: skip
"""Where functions of `math` raise a ValueError."""


# -- the math module on floats -------------------------------------------------------------------------------


def math_function(function: Any, compute: Callable[..., Any]) -> None:
    """Register a function of `math`: operands become Python's floats, the result is one or a bool."""

    def of_floats(*args: Any) -> Any:
        session = require_session()
        operands = [Scalar(session, float_(a).read()) for a in args]
        domain = DOMAINS.get(function)
        if domain is None or len(args) != 1 or not session.attempts:
            return weakened(compute(*operands))
        (x,) = operands
        quiet = harmless(session, ValueError, lambda: _is_not(domain(x)))
        y = compute(x)
        quiet = quiet and harmless(session, OverflowError, lambda: _is_not(_overflows(function, x, y)))
        return noted(weakened(y), quiet)

    of_floats.__name__ = function.__name__
    implements(function)(of_floats)


for _primitive in REGISTRY.values():
    for _same in _primitive.also:
        if _same.startswith("math."):
            math_function(
                getattr(math, _same.removeprefix("math.")),
                lambda *values, _op=_primitive.name, _same=_same: apply(_op, list(values), _same),
            )


def _log(x: Any, base: Any = None) -> Any:
    natural = FUNCTIONS[np.log]
    return natural(x) if base is None else natural(x) / natural(base)


def _hypot(*coordinates: Any) -> Any:
    result = np.fabs(coordinates[0])
    for c in coordinates[1:]:
        result = np.hypot(result, c)
    return result


math_function(math.log, _log)
math_function(math.hypot, _hypot)
math_function(math.radians, FUNCTIONS[np.radians])
math_function(math.degrees, FUNCTIONS[np.degrees])


# -- the math module on integers -----------------------------------------------------------------------------


def _integer_operand(x: Any, what: str) -> tuple[Session, Atom]:
    session, atom = single(x, what)
    if atom.type.is_float:
        raise session.error(TypeMismatch, f"{what}: a float cannot be interpreted as an integer. Write int(x)")
    return session, as_value(session, whole_number(session, atom, what))[0]


def _of_integers(op: str, function: Any, advice: str) -> None:
    """A function of nonnegative integers whose result must fit 64 bits: the operation gives -1 where it does not."""
    what = f"math.{function.__name__}"

    def apply(*args: Any) -> Any:
        operands = [_integer_operand(a, what)[1] for a in args]
        session = require_session()
        numbers = known(tuple(operands))
        if numbers is not None:
            return function(*numbers)
        builder = session.builder
        for operand in operands:
            if not builder.facts.proves(builder.affine(operand)):
                session.check(builder.emit("ge", operand, 0), f"ValueError: {what} of a negative integer")
        result = builder.emit(op, *operands)
        session.check(
            builder.emit("ge", result, 0), f"OverflowError: {what}: the integer does not fit 64 bits. {advice}"
        )
        return python(session, result)

    implements(function)(apply)


_of_integers("factorial", math.factorial, "Use math.gamma(n + 1.0)")
_of_integers("binomial", math.comb, "Use scipy.special.gammaln")
_of_integers("isqrt", math.isqrt, "")


@implements(math.perm)
def perm(n: Any, k: Any = None) -> Any:
    return FUNCTIONS[math.factorial](n) if k is None else FUNCTIONS[math.comb](n, k) * FUNCTIONS[math.factorial](k)


@implements(math.gcd)
def gcd(*values: Any) -> Any:
    total: Any = 0
    for value in values:
        session, atom = _integer_operand(value, "math.gcd")
        size = abs(python(session, atom))
        operands = tuple(as_value(session, v)[0] for v in (total, size))
        numbers = known(operands)
        total = math.gcd(*numbers) if numbers is not None else python(session, session.builder.emit("gcd", *operands))
    return total


@implements(math.lcm)
def lcm(*values: Any) -> Any:
    total: Any = 1
    for given in values:
        session, atom = _integer_operand(given, "math.lcm")
        value = python(session, atom)
        common = gcd(total, value)
        common = FUNCTIONS[builtins.max](common, 1) if isinstance(common, Symbol) else max(common, 1)
        total = abs(total * (value // common))
    return total
