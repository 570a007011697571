"""Arithmetic, comparison, selection and conversion of scalars and arrays, with broadcasting.

Partials take the operands and the result: `lambda a, b, y: dy/da`.
"""

from __future__ import annotations

import numpy as np

from ..primitive import Kind, Primitive, Trait
from ..program import Lit
from ..types import DTYPES, FLOATS, NARROW, Type
from .array import expand
from .declare import constant, elementwise, same_dtype, to_bool

AFFINE, COMMUTATIVE, SELECTS, QUIET = Trait.AFFINE, Trait.COMMUTATIVE, Trait.SELECTS, Trait.QUIET
CONVERTS, DIVIDES, GROWS, OVERFLOWS = Trait.CONVERTS, Trait.DIVIDES, Trait.GROWS, Trait.OVERFLOWS

INTS = ("i64, i64", "i64[4, 3], i64[3]")

add = elementwise(
    "add", "{0} + {1}", np.add, (lambda a, b, y: 1.0, lambda a, b, y: 1.0),
    result=same_dtype, linear=(0, 1), sympy="{0} + {1}", traits=AFFINE | COMMUTATIVE | GROWS | OVERFLOWS,
    accumulates="total",
)  # fmt: skip
sub = elementwise(
    "sub", "{0} - {1}", np.subtract, (lambda a, b, y: 1.0, lambda a, b, y: -1.0),
    result=same_dtype, linear=(0, 1), sympy="{0} - {1}", traits=AFFINE | GROWS | OVERFLOWS, accumulates="total",
)  # fmt: skip
mul = elementwise(
    "mul", "{0} * {1}", np.multiply, (lambda a, b, y: b, lambda a, b, y: a),
    result=same_dtype, sympy="{0} * {1}", traits=AFFINE | COMMUTATIVE | GROWS | OVERFLOWS,
    guard="({0}) * ({1})",
)  # fmt: skip
div = elementwise(
    "div", "{0} / {1}", np.true_divide, (lambda a, b, y: 1.0 / b, lambda a, b, y: by_divisor(a, b, y)),
    linear=(0,), sympy="{0} / {1}", domain=(0.5, 2.0), cost=4,
)  # fmt: skip
neg = elementwise(
    "neg", "-{0}", np.negative, (lambda a, y: -1.0,), result=same_dtype, linear=(0,), sympy="-{0}",
    traits=AFFINE | GROWS | QUIET,
)  # fmt: skip


def power_base(a, b, y):
    # b * a**(b-1) is nan at a == 0, b == 0 (0 * inf); the derivative of a**0 is 0. Only that point is
    # special: at b == 0 the factor b has a derivative of its own.
    if not _is_variable(b):
        known = float(b.atom.text)
        return known if known in (0.0, 1.0) else b * a ** (b - 1.0)
    base = where((a == 0.0) & (b == 0.0), 1.0, a)
    return b * base ** (b - 1.0)


def power_exponent(a, b, y):
    # 0**b is constant for b > 0: its derivative is 0, not 0 * log(0).
    return where(a == 0.0, 0.0, y * log_of(a))


def _is_variable(value) -> bool:
    return not hasattr(value.atom, "text")


def log_of(a):
    return a._apply("log", where(a == 0.0, 1.0, a))


power = elementwise(
    "power", "{0} ** {1}", np.power, (power_base, power_exponent),
    cost=20, sympy="{0} ** {1}", domain=(0.3, 2.0), also=("math.pow",),
)  # fmt: skip
int_power = elementwise(
    "int_power", "ipow({0}, {1})", lambda a, b: np.power(a, b), (None, None),
    result=same_dtype, cost=10, samples=("i64, i64[0:4]",), traits=GROWS,
)  # fmt: skip
floordiv = elementwise(
    "floordiv", "{0} // {1}", np.floor_divide, (None, None), result=same_dtype, cost=4,
    samples=("f64, f64", "f64[4, 3], f64[3]"), domain=(0.5, 2.0),
    sympy="floor({0} / {1})", traits=DIVIDES | GROWS,
    guard="({0}) // ({1})",
)  # fmt: skip
mod = elementwise(
    "mod", "{0} % {1}", np.mod, (lambda a, b, y: 1.0, lambda a, b, y: -(a // b)),
    result=same_dtype, cost=4, sympy="{0} - {1} * floor({0} / {1})", domain=(0.5, 2.0),
    traits=DIVIDES, guard="({0}) % ({1})",
)  # fmt: skip
fmod = elementwise(
    "fmod", "fmod({0}, {1})", np.fmod, (lambda a, b, y: 1.0, lambda a, b, y: -_trunc(a / b)),
    cost=4, sympy="{0} - {1} * sign({0} / {1}) * floor(Abs({0} / {1}))", domain=(0.5, 2.0),
    also=("math.fmod",),
)  # fmt: skip


def _trunc(x):
    return x._apply("trunc", x)


# Ties of maximum and minimum share the derivative equally, as JAX and autograd do.
maximum = elementwise(
    "maximum", "maximum({0}, {1})", np.maximum,
    (lambda a, b, y: share(a, b, a > b), lambda a, b, y: share(a, b, b > a)),
    result=same_dtype, sympy="Max({0}, {1})", traits=SELECTS | QUIET, accumulates="largest",
    guard="max({0}, {1})",
)  # fmt: skip
minimum = elementwise(
    "minimum", "minimum({0}, {1})", np.minimum,
    (lambda a, b, y: share(a, b, a < b), lambda a, b, y: share(a, b, b < a)),
    result=same_dtype, sympy="Min({0}, {1})", traits=SELECTS | QUIET, accumulates="smallest",
    guard="min({0}, {1})",
)  # fmt: skip


def by_divisor(a, b, y):
    """-y / b. Of a number c, y / c is a reciprocal of b already: cheaper than another division."""
    c = float(a.atom.text) if isinstance(a.atom, Lit) else 0.0
    if c == 1.0:
        return -(y * y)
    return -(y * (1.0 / c)) * y if 1e-30 < abs(c) < 1e30 else -y / b


def share(a, b, wins):
    """1 where this operand wins, 0.5 at a tie, else 0."""
    return where(a == b, 0.5, where(wins, constant(a, 1.0), 0.0))


def abs_sign(x):
    """The derivative of abs: sign(x), and 0 at 0."""
    return x._apply("sign", x)


copysign = elementwise(
    "copysign", "copysign({0}, {1})", np.copysign,
    (lambda a, b, y: abs_sign(a) * abs_sign(y), None),
    sympy="Abs({0}) * sign({1})", traits=QUIET, also=("math.copysign",),
)  # fmt: skip


lt = elementwise("lt", "{0} < {1}", np.less, (None, None), result=to_bool, samples=INTS, traits=QUIET, sympy="{0} < {1}")
le = elementwise("le", "{0} <= {1}", np.less_equal, (None, None), result=to_bool, samples=INTS, traits=QUIET, sympy="{0} <= {1}")
gt = elementwise("gt", "{0} > {1}", np.greater, (None, None), result=to_bool, samples=INTS, traits=QUIET, sympy="{0} > {1}")
ge = elementwise("ge", "{0} >= {1}", np.greater_equal, (None, None), result=to_bool, samples=INTS, traits=QUIET, sympy="{0} >= {1}")
eq = elementwise("eq", "{0} == {1}", np.equal, (None, None), result=to_bool, samples=INTS, traits=COMMUTATIVE | QUIET, sympy="Eq({0}, {1})")
ne = elementwise("ne", "{0} != {1}", np.not_equal, (None, None), result=to_bool, samples=INTS, traits=COMMUTATIVE | QUIET, sympy="Ne({0}, {1})")

LOGIC = ("bool, bool", "bool[4, 3], bool[3]", "i64, i64")
and_ = elementwise("and", "{0} & {1}", np.bitwise_and, (None, None), result=same_dtype, samples=LOGIC, traits=COMMUTATIVE | QUIET, sympy="And({0}, {1})")
or_ = elementwise("or", "{0} | {1}", np.bitwise_or, (None, None), result=same_dtype, samples=LOGIC, traits=COMMUTATIVE | QUIET, sympy="Or({0}, {1})")
xor = elementwise("xor", "{0} ^ {1}", np.bitwise_xor, (None, None), result=same_dtype, samples=LOGIC, traits=COMMUTATIVE | QUIET, sympy="Xor({0}, {1})")
invert = elementwise(
    "invert", "~{0}", np.invert, (None,), result=same_dtype, samples=("bool", "bool[4]", "i64"),
    sympy="Not({0})", traits=QUIET,
)  # fmt: skip
shift_left = elementwise(
    "shift_left", "{0} << {1}", np.left_shift, (None, None), result=same_dtype, samples=("i64, i64[0:4]",)
)
shift_right = elementwise(
    "shift_right", "{0} >> {1}", np.right_shift, (None, None), result=same_dtype, samples=("i64, i64[0:4]",)
)


def _where_result(c: Type, a: Type, b: Type) -> Type:
    both = same_dtype(a, b)
    return same_dtype(Type(both.dtype, c.dims), both)


def _where_vjp(y_bar, y, c, a, b):
    # Selects instead of multiplying by 0 or 1: inf and nan do not leak into the arm that is not taken.
    return None, where(c, y_bar, 0.0), where(c, 0.0, y_bar)


def _where_batched(size, c, a, b):
    return expand(c, (c.type.rank,)), a, b


where = Primitive(
    "where", "where({0}, {1}, {2})", _where_result, np.where, kind=Kind.ELEMENTWISE, linear=(1, 2),
    vjp=_where_vjp, batched=_where_batched, traits=SELECTS | QUIET, sympy="Piecewise(({1}, {0}), ({2}, True))",
    samples=("bool, f64, f64", "bool[4, 3], f64[3], f64", "bool, i64, i64"),
)  # fmt: skip


def _convert(name: str, dtype: str):
    numpy_dtype = Type(dtype).numpy.type
    quiet = {"f64": GROWS | QUIET, "f32": OVERFLOWS, "bool": QUIET}
    return elementwise(
        name, f"{dtype}({{0}})", lambda x: np.asarray(x).astype(numpy_dtype)[()],
        ((lambda x, y: 1.0) if dtype in FLOATS else None,),
        result=lambda x: x.with_dtype(dtype),
        linear=(0,) if dtype in FLOATS else (), sympy="{0}" if dtype == "f64" else None,
        traits=CONVERTS | quiet.get(dtype, Trait.NONE),
        samples=("f64", "f32[3]", "i64[2, 2]") if dtype not in NARROW else ("i64[0:4]", "bool[3]"),
    )  # fmt: skip


CONVERT = {dtype: _convert(f"to_{dtype}", dtype) for dtype in DTYPES}
"""The conversion to each dtype."""

stop = Primitive(
    "stop_gradient", "stop_gradient({0})", same_dtype, lambda x: x, kind=Kind.ELEMENTWISE, partials=(None,),
    traits=QUIET, sympy="{0}",
)  # fmt: skip
"""The same number, for derivatives a constant. Generated code does without it."""
