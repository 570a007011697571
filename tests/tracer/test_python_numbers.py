"""Python's integers are exact or refused, its truth values count, its numbers stay weak."""

from __future__ import annotations

import importlib.util
import math
import random

import numpy as np
import pytest

import pullback as pb
from pullback import PullbackError

LARGE = 2**40 + 3


def run(function, *args):
    """The value as traced code computes it, uncompiled."""
    with pb.options(jit=False, cache=False):
        return pb.jit(function)(*args)


def same(function, *args):
    """Traced code gives what Python gives: the value, and the type of numbers."""
    have, want = run(function, *args), function(*args)
    assert have == want, (have, want)
    assert isinstance(have, type(want)) or isinstance(want, float), (type(have), type(want))


def binomials(p, n):
    c = 1
    total = 0.0
    for k in range(n + 1):
        total += k * c * p**k * (1.0 - p) ** (n - k)
        c = c * (n - k) // (k + 1)
    return total


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def powers(x, n):
    s = 0.0
    for k in range(n):
        s += x * 3**k
    return s


def polynomial(n):
    return n * n * n * n


def shifted(n):
    s = 0
    for k in range(n):
        s += 1 << k
    return s


def product_of(a):
    p = 1
    for v in a:
        p = p * int(v)
    return p


def last_power(a):
    p = 1
    for k in range(a.shape[0]):
        p = 3**k
    return p


INSIDE = {
    "jvp": lambda f: lambda x, a: pb.jvp(f, (x, a), (1.0, None))[1],
    "jacfwd": pb.jacfwd,
    "jacrev": pb.jacrev,
    "hessian": lambda f: pb.hessian(lambda x, a: f(x, a) * x / 2.0),
    "hvp": lambda f: lambda x, a: pb.hvp(lambda x, a: f(x, a) * x / 2.0)(x, 1.0, a),
    "grad in jit": lambda f: pb.jit(lambda x, a: pb.grad(f)(x, a)),
    "vjp in jit": lambda f: pb.jit(lambda x, a: pb.vjp(lambda z: f(z, a), x)[1](1.0)[0]),
    "grad in a loop": lambda f: pb.jit(lambda x, a: sum([pb.grad(f)(x + k, a) for k in range(3)]) / 3.0),
    "vmap": lambda f: lambda x, a: pb.vmap(f, in_axes=(0, None))(np.array([x, x]), a)[1] / x,
}


@pytest.mark.parametrize("transform", INSIDE)
@pytest.mark.parametrize("integer", [product_of, last_power])
def test_integers_in_a_function_that_a_transform_takes(integer, transform):
    """They are written into the program around under other names, and may wrap no more than elsewhere."""
    derivative = INSIDE[transform](lambda x, a: x * integer(a))
    with pb.options(jit=False, cache=False):
        few, many = np.arange(1, 8), np.arange(1, 60)
        assert derivative(0.5, few) == pytest.approx(float(integer(few)))
        with pytest.raises((OverflowError, PullbackError), match="does not fit 64 bits"):
            derivative(0.5, many)


@pytest.mark.parametrize(
    ("function", "fits", "overflows"),
    [
        (binomials, (0.3, 12), (0.3, 100)),
        (fibonacci, (80,), (100,)),
        (powers, (0.5, 30), (0.5, 60)),
        (polynomial, (30000,), None),
        (polynomial, (50000,), (60000,)),
        (shifted, (50,), (80,)),
        (lambda n: n + n, (5,), None),
        (lambda n: n + n, (2**61,), (2**62,)),
        (lambda n: 0.5 * (n + n), (2**62,), None),
        (lambda n: -n * 4 + 1, (2**60,), (2**61 + 1,)),
        (lambda n: 0.5 * abs(-n) ** 2, (10**9,), (LARGE,)),
    ],
)
def test_integers_are_exact_or_refused(function, fits, overflows):
    assert run(function, *fits) == pytest.approx(function(*fits), rel=1e-12, abs=0)
    if overflows is not None:
        with pytest.raises((OverflowError, PullbackError), match="does not fit 64 bits"):
            run(function, *overflows)


def test_a_compiled_form_is_not_used_for_integers_that_do_not_fit_it():
    def f(x, n):
        return x * float(n * n % 7)

    traced = pb.jit(f)
    with pb.options(jit=False, cache=False):
        for n in (5, 2**35, 9, 2**40 + 1):
            assert traced(2.0, n) == f(2.0, n)


def test_counters_and_subscripts_have_no_checks():
    def f(x, n):
        count = 0
        total = 0.0
        for i in range(1, x.shape[0] - 1):
            for j in range(i + 1, x.shape[0]):
                total += x[j - i] * x[2 * i - i] * (j - i)
                count += 1
        k = n
        while k > 0:
            k -= 1
            total += x[k % x.shape[0]]
        return total / count

    program = pb.jit(f).lower("f64[n]", "i64").ir
    assert "Overflow" not in str(program)


def bits(x):
    s = 0.0
    for k in range(3):
        s += x[k] * 2**-k
    return s


def test_two_to_the_minus_k_is_a_float():
    x = np.array([1.0, 0.0, 1.0])
    with pb.options(jit=False, cache=False):
        np.testing.assert_array_equal(pb.grad(bits)(x), [1.0, 0.5, 0.25])
        assert pb.jit(lambda x, n: x * 2**n)(3.0, 4) == 48.0
        with pytest.raises(ValueError, match=r"2\.0 \*\* k"):
            pb.jit(lambda x, i: x[0] * 2 ** int(i[0]))(x, np.array([-1]))


def sine(x, n):
    s = 0.0
    for k in range(n):
        s += (-1) ** k * x ** (2 * k + 1) / math.factorial(2 * k + 1)
    return s


def test_factorials_of_a_counter():
    with pb.options(jit=False, cache=False):
        assert pb.grad(sine)(0.7, 8) == pytest.approx(math.cos(0.7), abs=1e-9)
        with pytest.raises(OverflowError, match="gamma"):
            pb.grad(sine)(0.7, 14)


def sums(function):
    def of(n):
        s = 0
        for k in range(1, n):
            s += function(n, k)
        return s

    return of


@pytest.mark.parametrize(
    "function",
    [
        lambda n, k: math.factorial(k), lambda n, k: math.comb(n, k), lambda n, k: math.perm(n, k),
        lambda n, k: math.gcd(n, 3 * k), lambda n, k: math.lcm(n, k), lambda n, k: math.isqrt(n * k),
        lambda n, k: n // k - n % k, lambda n, k: -n // k, lambda n, k: -n % k, lambda n, k: divmod(n, k)[1],
        lambda n, k: (n << 2) + (n >> k), lambda n, k: n & k | 1 ^ k, lambda n, k: ~k, lambda n, k: -k + abs(k - n),
        lambda n, k: (k > 2) + (n > k), lambda n, k: True + (k == 2), lambda n, k: ~(k == 2), lambda n, k: -(k == 2),
        lambda n, k: int(k > 2) + bool(k), lambda n, k: k**2 - (-2) ** k, lambda n, k: max(n, k, 3) - min(n, k),
        lambda n, k: round(k / 2) + int(n / k) + math.floor(-n / k) + math.ceil(n / k) + math.trunc(-k / 2),
        lambda n, k: n / k, lambda n, k: math.sqrt(k) + math.hypot(n, k) + math.pow(2, k), lambda n, k: (k > 2) * 1.5,
    ],
)  # fmt: skip
def test_arithmetic_of_python_numbers(function):
    same(sums(function), 9)


def test_integers_and_floats_are_compared_exactly():
    def f(x, n):
        return x if n > 9007199254740992.0 else -x

    for n in (2**53, 2**53 + 1, 5):
        assert run(f, 1.5, n) == f(1.5, n)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -1e17])
def test_int_of_a_float_fits_or_raises(value):
    with pytest.raises((ValueError, OverflowError)):
        run(lambda x: int(x[0]) % 5, np.array([value]))


def weak(function):
    """Is the result weak, by what a float32 array makes of it?"""
    return lambda x, *args: x + function(*args)


@pytest.mark.parametrize(
    "function",
    [
        lambda a: a, lambda a: a * 2, lambda a: np.sin(a), lambda a: math.sin(a), lambda a: np.add(a, 1),
        lambda a: float(a), lambda a: abs(a), lambda a: np.abs(a), lambda a: np.float64(a), lambda a: max(a, 1.0),
        lambda a: np.maximum(a, 1.0), lambda a: int(a), lambda a: np.floor(a), lambda a: math.floor(a),
        lambda a: a > 1, lambda a: round(a), lambda a: -a, lambda a: np.where(a > 1, a, 1), lambda a: a if a > 1 else 2,
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [2, 2.5, np.float64(2.5), np.float32(2.5), np.int64(3), np.int8(3)])
def test_weakness(function, value):
    with np.errstate(all="ignore"):
        try:
            want = weak(function)(np.ones(2, np.float32), value)
        except (TypeError, OverflowError):
            return
        try:
            have = run(weak(function), np.ones(2, np.float32), value)
        except PullbackError as error:
            assert "float16" in str(error) or "max()" in str(error)
            return
    assert have.dtype == want.dtype
    np.testing.assert_array_equal(have, want)


def expression(rng, depth, names):
    """A random expression of integers."""

    def part():
        return expression(rng, depth - 1, names)

    if depth == 0 or rng.random() < 0.15:
        return rng.choice([*names, *map(str, (0, 1, 2, 3, -1, -2, 7, 31, 2**20, 2**40))])
    form = rng.choice(
        ["{} + {}"] * 2 + ["{} - {}"] * 2 + ["{} * {}"] * 4 + ["{} // {}", "{} % {}", "{} ** 2", "{} ** (k & 7)"]
        + ["{} << k", "{} >> 3", "{} & {}", "{} | {}", "{} ^ {}", "-{}", "~{}", "abs({})", "min({}, {})", "max({}, {})"]
        + ["({} > {}) + ({} == {})", "{} if {} > {} else {}", "int({} / 4)", "math.gcd({}, {})"]
    )  # fmt: skip
    return f"({form.format(*(part() for _ in range(form.count('{}'))))})"


def random_functions(rng, count):
    lines = ["import math"]
    for p in range(count):
        trips = rng.choice(["m", "n % 7", "1, m", "m, 0, -1"])
        lines += [f"def f{p}(n, m):", "    a, b, k = 1, n, 0", f"    for k in range({trips}):"]
        lines += [f"        a = {expression(rng, 3, ['n', 'k', 'a', 'b'])}"]
        indent = "        "
        if rng.random() < 0.4:
            lines += [f"        if {expression(rng, 1, ['n', 'k', 'a'])} > b:"]
            indent += "    "
        lines += [f"{indent}b {rng.choice(['+=', '-=', '='])} {expression(rng, 2, ['n', 'k', 'a', 'b'])}"]
        lines += [f"    return {expression(rng, 2, ['n', 'a', 'b', 'm'])}"]
    return "\n".join(lines)


ERRORS = (OverflowError, ZeroDivisionError, ValueError, PullbackError)


@pytest.mark.filterwarnings("ignore")
def test_random_programs_of_integers(tmp_path):
    """Equal to Python's, or an error: never a number that wrapped."""
    file = tmp_path / "integers.py"
    file.write_text(random_functions(random.Random(5), 40))
    spec = importlib.util.spec_from_file_location("integers", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    equal = 0
    with pb.options(jit=False, cache=False):
        for p in range(40):
            function = getattr(module, f"f{p}")
            traced = pb.jit(function)
            for args in ((3, 4), (-7, 3), (2**33 + 5, 3), (2**61, 2)):
                try:
                    have = traced(*args)
                except ERRORS:
                    continue
                assert have == function(*args), (p, args)
                equal += 1
    assert equal > 60
