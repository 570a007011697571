"""Every primitive on every sample: it evaluates to its declared type, prints and parses, and its partial
derivatives are those of its SymPy form."""

import numpy as np
import pytest
import sympy
from samples import cases, inputs

from pullback.inspection.sympy_bridge import to_sympy
from pullback.ir.build import Builder
from pullback.ir.evaluate import evaluate, function, operand_value
from pullback.ir.primitive import REGISTRY, Ref, Trait
from pullback.ir.program import atoms
from pullback.ir.tangent import tangent
from pullback.ir.text import parse, show
from pullback.ir.types import F64, Type
from pullback.ir.verify import verify

WIDENED = {"polygamma"}
"""Operations whose NumPy function does not keep f32."""


@pytest.mark.parametrize("op, program, ranges", cases())
def test_evaluates_to_its_declared_type(op, program, ranges, rng):
    verify(program)
    args = inputs(program, op, rng, ranges)
    env = {p.name: np.asarray(a, p.type.numpy)[()] for p, a in zip(program.params, args)}
    (result,) = evaluate(program, *args, watch=lambda node, part, bound, known: env.update(bound))
    declared = program.results[0].type
    assert np.shape(result) == declared.dims
    assert np.asarray(result).dtype == declared.numpy
    let = program.body[-1]
    with np.errstate(all="ignore"):
        raw = function(op)(*(operand_value(a, env) for a in let.args))
    if op.name not in WIDENED:
        assert np.asarray(raw).dtype == declared.numpy, "the NumPy function gives another dtype"


@pytest.mark.parametrize("op, program, ranges", cases())
def test_text_is_read_back(op, program, ranges):
    text = show(program)
    assert parse(text) == program
    assert show(parse(text)) == text


@pytest.mark.parametrize("op, program, ranges", cases())
def test_arguments_are_left_alone(op, program, ranges, rng):
    args = inputs(program, op, rng, ranges)
    before = [np.array(a) for a in args]
    (result,) = evaluate(program, *args)
    for arg, copy in zip(args, before):
        np.testing.assert_array_equal(arg, copy)
        assert not np.shares_memory(np.asarray(result), np.asarray(arg))


@pytest.mark.parametrize("op, program, ranges", [case for case in cases() if case.values[0].linear])
def test_linear_operands_are_linear(op, program, ranges, rng):
    """f(2 a - b) = 2 f(a) - f(b) in the operands that are declared linear, all together."""
    let = program.body[0]
    linear = {a.name for k in op.linear for a in atoms(let.args[k])}
    a, b = (inputs(program, op, rng, ranges) for _ in range(2))
    if not all(p.type.is_float for p in program.params if p.name in linear):
        pytest.skip("integers here")
    b = [v if p.name in linear else u for p, u, v in zip(program.params, a, b)]
    both = [2 * u - v if p.name in linear else u for p, u, v in zip(program.params, a, b)]
    fa, fb, f = (evaluate(program, *args)[0] for args in (a, b, both))
    np.testing.assert_allclose(f, 2 * fa - fb, rtol=1e-5, atol=1e-5)


# -- partial derivatives against SymPy -----------------------------------------------------------------

# Not proved symbolically, but compared with 50 digits at random points: a constant is a double (log 2), SymPy
# writes a step as Heaviside, or does not simplify sign(a * |b|).
NUMERIC = {"rmax", "rmin", "maximum", "minimum", "copysign", "exp2", "log2", "log10", "erf", "erfc"}
NUMERIC |= {op.name for op in REGISTRY.values() if op.numpy == f"scipy.special.{op.name}"}


def partials():
    return [
        pytest.param(op, k, id=f"d {op.name}/d {k}, {'50 digits' if op.name in NUMERIC else 'proved'}")
        for op in REGISTRY.values()
        for k, partial in enumerate(op.partials or ())
        if callable(partial) and op.sympy and op.name != "to_f32"  # rounding is no function of SymPy
    ]


def value_and_partial(op, k, *types):
    """A program that gives y = op(a, b, ...) and the declared dy/d(operand k)."""
    builder = Builder()
    params = tuple(builder.var("abcd"[i], type) for i, type in enumerate(types))
    operands = tuple(Ref(builder, p) for p in params)
    y = builder.apply(op, *operands)
    partial = builder.ref(op.partials[k](*operands, y), y.type.dtype)
    return verify(builder.program("f", params, (y.atom, partial.atom)))


def almost_everywhere(expression):
    """Without single points: conventions at kinks, and the derivative of steps (floor, sign), which is 0."""
    expression = sympy.sympify(expression).replace(
        lambda e: isinstance(e, (sympy.Subs, sympy.Derivative)), lambda e: sympy.Integer(0)
    )
    return expression.replace(lambda e: isinstance(e, sympy.Eq), lambda e: sympy.false)


@pytest.mark.parametrize("op, k", partials())
def test_partial_is_the_derivative(op, k, rng):
    program = value_and_partial(op, k, *[F64] * len(op.partials))
    symbols = tuple(sympy.Symbol(p.name, real=True) for p in program.params)
    y, declared = to_sympy(program, *symbols)
    exact = almost_everywhere(sympy.diff(y, symbols[k]))
    declared = almost_everywhere(declared)
    if op.name not in NUMERIC:
        assert sympy.simplify(exact - declared) == 0
        return
    for _ in range(8):
        point = {s: sympy.Rational(rng.uniform(*op.domain)) for s in symbols}
        here, there = (sympy.sympify(e).subs(point).evalf(50) for e in (exact, declared))
        assert abs(here - there) < 1e-15 * (1 + abs(here))


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if op.partials and not op.sympy])
def test_partial_without_a_form_is_the_difference(op, rng):
    """Inverse functions, which SymPy does not have."""
    for k, partial in enumerate(op.partials):
        if callable(partial) and op.name != "to_f32":
            point = rng.uniform(*op.domain, size=len(op.partials))
            program = value_and_partial(op, k, *[F64] * len(point))
            step = 1e-5 * np.eye(len(point))[k]
            above, below = (evaluate(program, *(point + sign * step))[0] for sign in (1, -1))
            assert evaluate(program, *point)[1] == pytest.approx((above - below) / 2e-5, rel=1e-7)


@pytest.mark.parametrize("op, program, ranges", cases())
def test_partials_have_the_type_of_the_result(op, program, ranges):
    types = [a.type for a in program.body[-1].args] if op.partials else []
    if not all(t.is_float for t in types):
        pytest.skip("not differentiated here")
    for k, partial in enumerate(op.partials or ()):
        if callable(partial):
            y, d = value_and_partial(op, k, *types).results
            assert d.type.dtype == y.type.dtype


def test_refs_compare_elementwise():
    """`a == b` in a rule is an operation of the program, never Python's identity."""
    builder = Builder()
    a, b = (Ref(builder, builder.var(name, F64)) for name in "ab")
    assert (a == b).type == Type("bool")
    assert (a != b).type == Type("bool")
    with pytest.raises(TypeError, match="no truth value"):
        bool(a == b)


NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, np.pi / 2, 1e-310, 5e-324, 1e16, 1e200, np.finfo(float).max, np.inf]


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if op.has(Trait.TAME)], ids=lambda op: op.name)
def test_tame_partials_are_finite_where_the_value_is_a_number(op):
    """A tangent of 0 stays 0 without a test, at the ends of the numbers too."""
    numbers = [*NUMBERS, *(-x for x in NUMBERS), *np.geomspace(1e-5, 1e5, 41), *-np.geomspace(1e-5, 1e5, 41)]
    arity = len(op.partials)
    points = np.array(np.meshgrid(*[numbers] * arity)).reshape(arity, -1)
    for dtype in ("f64", "f32"):
        names = [f"x{k}" for k in range(arity)]
        params = ", ".join(f"{n}: {dtype}[{points.shape[1]}]" for n in names)
        text = op.text.format(*names)
        type = f"{dtype}[{points.shape[1]}]"
        program = parse(f"def f({params}) -> {type}:\n    y: {type} = {text}\n    return y")
        args = [np.asarray(p, "f8" if dtype == "f64" else "f4") for p in points]
        with np.errstate(all="ignore"):
            for k in range(arity):
                pushed = tangent(program, [k])
                value, slope = evaluate(pushed, *args, np.ones_like(args[0]))
                assert np.isfinite(slope[~np.isnan(value)]).all()
