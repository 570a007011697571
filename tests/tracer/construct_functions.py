"""Functions of ordinary Python: imports, decorators, partial, signatures, closures, recursion, numba's functions."""

from __future__ import annotations

import functools
import math
import operator

import numba
import numpy as np
from construct import M, V, case

RATE = 0.5
NAMES = {"double": 2.0, "half": 0.5}

# -- imports inside of functions ---------------------------------------------------------------------------------------


@case(2.0)
def import_module(r):
    import math

    return math.pi * r**2


@case(V)
def import_as(x):
    import numpy as n

    return n.sum(n.sin(x))


@case(V)
def import_submodule(x):
    import numpy.linalg

    return numpy.linalg.norm(x) * numpy.sum(x)


@case(V)
def import_submodule_as(x):
    import numpy.linalg as la

    return la.norm(x)


@case(2.5, 1.5)
def import_from(n, k):
    from scipy.special import gammaln, psi

    return np.sum(gammaln(n + k) - gammaln(k)) * psi(n)


@case(V)
def import_from_as(x):
    from math import exp as e, tau

    return e(x[0]) * x[1] + tau * x[2]


@case(V)
def import_in_loop(x):
    s = 0.0
    for v in x:
        from math import sin

        s += sin(v)
    return s


@case(V, True)
@case(V, False)
def import_in_branch(x, flag):
    if flag:
        from math import sin as f
    else:
        from math import cos as f
    return f(x[0]) * x[1]


@case(V)
def import_under_traced_condition(x):
    if x[0] > 0.0:
        from math import sin

        y = sin(x[0])
    else:
        y = x[1]
    return y


@case(V)
def import_in_nested(x):
    def inner(v):
        import math as m
        from math import cos

        return m.sin(v) * cos(v)

    return inner(x[0]) + inner(x[1])


def _imports(v):
    from math import log1p

    return log1p(v * v)


@case(V)
def import_in_helper(x):
    return sum(_imports(v) for v in (x[0], x[1]))


@numba.njit
def _jitted_range(x):
    s = 0.0
    for i in numba.prange(len(x)):
        s += x[i] * x[i]
    return s


@case(V)
def range_in_njit(x):
    return _jitted_range(x)


@case(V)
def import_read_by_lambda(x):
    import math

    f = lambda v: math.sin(v)  # noqa: E731
    return f(x[0]) + f(x[2])


@case(V)
def import_star_free(x):
    import os.path

    name = os.path.join("a", "b")
    return x[0] * len(name)


# -- decorators --------------------------------------------------------------------------------------------------------


def counted(f):
    @functools.wraps(f)
    def inner(*args, **kwargs):
        return f(*args, **kwargs)

    return inner


def scaled(factor):
    def decorate(f):
        @functools.wraps(f)
        def inner(*args):
            return factor * f(*args)

        return inner

    return decorate


def bare(f):
    def inner(x):
        return f(x) + 1.0

    return inner


@case(V)
@counted
def wrapped(x):
    return np.sum(x**2)


@case(V)
@scaled(3.0)
@counted
@scaled(2.0)
def wrapped_thrice(x):
    return np.sum(x**3)


@counted
def _energy(x, power=2):
    return np.sum(x**power)


@case(V)
def wrapped_helper(x):
    return 3.0 * _energy(x, power=3) + _energy(x)


@case(V)
def reaches_the_wrapped(x):
    return _energy.__wrapped__(x) * 2.0


@case(V)
@scaled(2.0)
@bare
def wrapped_bare(x):
    return x[0] * x[1]


@functools.lru_cache(maxsize=None)
def _coefficient(k):
    return 1.0 / (k + 1.0)


@functools.cache
def _table():
    return np.array([1.0, 2.0, 3.0, 4.0])


@functools.lru_cache
def _square(x):
    return x * x


@case(V)
def cached_of_constants(x):
    return np.sum(x * _table()) + _coefficient(3) * x[0]


@case(1.5)
def cached_of_traced(x):
    return _square(x) + _square(2.0 * x)


@case(V)
def wrapped_locally(x):
    @scaled(2.0)
    def f(v):
        return v * v

    @functools.wraps(f)
    def g(v):
        return f(v) + v

    return g(x[0]) + f(x[1])


@functools.singledispatch
def _describe(value):
    return 1.0


@_describe.register
def _(value: str):
    return 2.0


@case(V)
def singledispatch_of_constants(x):
    return _describe("a") * x[0] + _describe(3) * x[1]


# -- partial, reduce, operator -----------------------------------------------------------------------------------------


def _poly(a, b, x, c=0.0):
    return a * x * x + b * x + c


@case(V)
def partial_positional(x):
    return functools.partial(_poly, 2.0, x[0])(x[1])


@case(V)
def partial_keyword(x):
    return functools.partial(_poly, c=x[3], a=1.0)(b=x[0], x=x[1])


@case(V)
def partial_nested(x):
    return functools.partial(functools.partial(_poly, x[0]), 3.0)(x[1])


@case(V)
def partial_of_numpy(x):
    return np.sum(functools.partial(np.power, x)(2.0))


_GLOBAL_PARTIAL = functools.partial(_poly, 2.0, RATE)


@case(V)
def partial_global(x):
    return _GLOBAL_PARTIAL(x[1]) + _GLOBAL_PARTIAL(x[2], c=x[0])


@case(V)
def filtered(x):
    return sum(map(lambda v: v * x[0], filter(lambda v: v > 1.0, [0.5, 2.0, 3.0]))) * sorted([3.0, 1.0], key=lambda v: -v)[1]


@case(V)
def reduce_list(x):
    return functools.reduce(lambda a, b: a * b + 1.0, [x[0], x[1], x[2]])


@case(V)
def reduce_initial(x):
    return functools.reduce(operator.mul, (x[0], x[1]), 3.0)


@case(V)
def reduce_of_functions(x):
    return functools.reduce(lambda f, g: lambda v: g(f(v)), [np.sin, lambda v: v * v, np.exp])(x[0])


@case(V)
def operators(x):
    a, b = x[0], x[2]
    total = operator.add(a, b) * operator.sub(a, 1.0) / operator.truediv(b, 2.0) + operator.neg(a)
    total += operator.pow(b, 2) + operator.getitem(x, 1) + operator.abs(x[1])
    return total + operator.matmul(x, x) + operator.itemgetter(3)(x) + operator.itemgetter(0, 1)(x)[1]


@case(V)
def operator_compare(x):
    if operator.gt(x[0], 0.0):
        return x[0] * 2.0
    return x[1]


@case(V)
def operator_attribute(x):
    return operator.attrgetter("T")(x)[0] * operator.methodcaller("sum")(x)


@case(V)
def mapped(x):
    return sum(map(lambda v: v * v, [x[0], x[1]])) + sum(map(operator.mul, [x[0], x[1]], [2.0, 3.0]))


# -- signatures --------------------------------------------------------------------------------------------------------


def _keyword_only(x, *, scale=2.0, shift):
    return scale * x + shift


def _positional_only(x, y=3.0, /, z=1.0):
    return x * y + z


def _variadic(first, *rest, **named):
    s = first
    for r in rest:
        s = s * r
    for k in named:
        s = s + named[k]
    return s


def _expression_default(x, y=2.0 * math.pi, w=np.array([1.0, 2.0, 3.0, 4.0]), f=np.sin):
    return f(y) * x[0] + np.sum(w * x) + y


def _annotated(x: NoSuchName, y: list[Unknown] = 2.0) -> Nothing:  # noqa: F821
    z: Other = x * y  # noqa: F821
    return z


@case(V)
def keyword_only(x):
    return _keyword_only(x[0], shift=x[1]) + _keyword_only(x[0], scale=x[3], shift=1.0)


@case(V)
def positional_only(x):
    return _positional_only(x[0]) + _positional_only(x[1], x[2], z=x[3])


@case(V)
def variadic(x):
    return _variadic(x[0], x[1], x[2], b=x[3], a=2.0) + _variadic(*x[:2], **{"q": x[2]}) + _variadic(x[0])


@case(V)
def expression_defaults(x):
    return _expression_default(x) + _expression_default(x, y=x[0], f=np.cos)


@case(V)
def unimportable_annotations(x):
    return _annotated(x[0]) + _annotated(x[1], x[2])


@case(V)
def nested_defaults(x):
    def f(v, w=x[0] * 2.0, *, u=x[1]):
        return v * w + u

    return f(x[2]) + f(x[3], u=1.0)


@case(0.5)
def scalar_default(x, y=3.0, *args, k=2, **rest):
    return x * y * k + len(args) + len(rest)


# -- closures and lookups ----------------------------------------------------------------------------------------------


@case(V)
def closures_over_loop_variable(x):
    fs = []
    for k in [1, 2, 3]:
        fs.append(lambda v, k=k: v**k)
    late = [lambda v: v * j for j in (1.0, 5.0)]
    return fs[0](x[0]) + fs[1](x[1]) + fs[2](x[2]) + late[0](x[3])


@case(V)
def lambdas_in_dict(x):
    table = {"sq": lambda v: v * v, "id": lambda v: v}
    return table["sq"](x[0]) + table["id"](x[1])


ACTIVATIONS = {"tanh": np.tanh, "relu": lambda v: v if v > 0.0 else 0.0, "poly": _poly}


@case(V, "relu")
@case(V, "tanh")
def lookup_in_global_dict(x, name):
    return ACTIVATIONS[name](x[0]) + ACTIVATIONS.get(name)(x[1]) + ACTIVATIONS["poly"](1.0, 2.0, x[2])


@case(V)
def lookup_by_getattr(x):
    return getattr(np, "sin")(x[0]) + getattr(math, "exp")(x[1]) + getattr(np, "nothing", np.cos)(x[2])


@case(V)
def lookup_in_globals(x):
    return globals()["_poly"](x[0], x[1], x[2])


@case(V)
def reads_globals(x):
    return RATE * x[0] + NAMES["double"] * x[1]


@case(V)
def function_returning_functions(x):
    def outer(a):
        def middle(b):
            def inner(c):
                return a * b + c * x[0]

            return inner

        return middle

    return outer(x[1])(x[2])(x[3])


@case(V)
def function_as_argument(x):
    def apply(f, *args):
        return f(*args)

    return apply(_poly, x[0], x[1], x[2]) + apply(math.sin, x[3]) + apply(lambda: x[0])


def _attribute_function(x):
    return x * _attribute_function.factor


_attribute_function.factor = 4.0


@case(V)
def function_with_attributes(x):
    return _attribute_function(x[0])


@case(V)
def walrus_and_conditional(x):
    return (y := x[0] * x[1]) + (y * 2.0 if (z := x[2]) > 0.0 else z)


@case(V)
def starred(x):
    first, *rest = [x[0], x[1], x[2]]
    a, (b, c) = x[0], (x[1], x[3])
    return first * rest[0] + rest[-1] * a + b * c


# -- recursion ---------------------------------------------------------------------------------------------------------


@case(V)
def recursion_on_length(a):
    if a.shape[0] == 1:
        return a[0]
    return a[0] * recursion_on_length(a[1:])


@case(V)
def recursion_in_halves(a):
    n = len(a)
    if n <= 1:
        return a[0] * a[0]
    return recursion_in_halves(a[: n // 2]) + 2.0 * recursion_in_halves(a[n // 2 :])


@case(M)
def recursion_of_minors(a):
    n = a.shape[0]
    if n == 1:
        return a[0, 0]
    s = 0.0
    for j in range(n):
        s += (-1.0) ** j * a[0, j] * recursion_of_minors(np.concatenate((a[1:, :j], a[1:, j + 1 :]), axis=1))
    return s


@case(M)
def recursion_of_deleted_minors(a):
    if len(a) == 1:
        return a[0, 0]
    if len(a) == 2:
        return a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    total = 0.0
    for c in range(len(a)):
        minor = np.delete(np.delete(a, 0, axis=0), c, axis=1)
        total += ((-1) ** c) * a[0][c] * recursion_of_deleted_minors(minor)
    return total


@case(0.7, 5)
@case(0.7, 0)
@case(0.7, 1)
def recursion_on_integer(x, n):
    if n == 0:
        return 1.0
    return x * recursion_on_integer(x, n - 1)


@case(0.7, 6)
def recursion_twice(x, n):
    if n == 0:
        return 1.0
    if n == 1:
        return x
    return 2.0 * x * recursion_twice(x, n - 1) - recursion_twice(x, n - 2)


@case(0.7, 11)
def recursion_by_squaring(x, n):
    if n == 0:
        return 1.0
    half = recursion_by_squaring(x, n // 2)
    return half * half * x if n % 2 else half * half


@case(0.7, 4)
def recursion_of_nested(x, n):
    def f(k):
        return 1.0 if k <= 0 else x * f(k - 1) + k

    return f(n)


@case(0.7, 4)
def recursion_as_conditional(x, n):
    return 1.0 if n == 0 else x + x * recursion_as_conditional(x, n - 1)


def _even(x, n):
    return x if n == 0 else x * _odd(x, n - 1)


def _odd(x, n):
    return 2.0 if n == 0 else x + _even(x, n - 1)


@case(0.7, 5)
def recursion_mutual(x, n):
    return _even(x, n)


def _fft(re, im):
    n = re.shape[0]
    if n == 1:
        return re, im
    er, ei = _fft(re[::2], im[::2])
    odd_r, odd_i = _fft(re[1::2], im[1::2])
    angle = -2.0 * np.pi * np.arange(n // 2) / n
    c, s = np.cos(angle), np.sin(angle)
    tr, ti = c * odd_r - s * odd_i, c * odd_i + s * odd_r
    return np.concatenate([er + tr, er - tr]), np.concatenate([ei + ti, ei - ti])


@case(np.array([0.5, -1.0, 2.0, 0.25, 1.5, -0.75, 0.1, 0.9]))
def recursion_fft(x):
    re, im = _fft(x, np.zeros_like(x))
    return np.sum((re * re + im * im) * np.arange(len(x)))


TREE = (1.0, (2.0, None, None), (3.0, (4.0, None, None), None))


def _walk(node, x):
    if node is None:
        return 0.0
    value, left, right = node
    return value * x + _walk(left, x * x) - _walk(right, x)


@case(0.7)
def recursion_on_a_tree(x):
    return _walk(TREE, x)


@case(V)
def recursion_on_a_list(x):
    def total(items):
        return items[0] if len(items) == 1 else items[0] * total(items[1:])

    return total([x[0], x[1], x[2]])


@case(V, 3)
def recursion_in_a_loop(x, depth):
    s = 0.0
    for i in range(len(x)):
        s += recursion_on_integer(x[i], depth)
    return s




# -- numba's functions -------------------------------------------------------------------------------------------------


@numba.njit("float64(float64, float64)")
def _signed(a, b):
    return a * b + a


@numba.njit
def _unpacks(p):
    x, y = p
    return x * y


@numba.njit(cache=False, fastmath=True)
def _unpacks_rows(p):
    a, b, c = p
    return a[0] * b[1] + c[2]


@numba.vectorize(["float64(float64)"], nopython=True)
def _log_half(x):
    return np.log(0.5 * x)


@numba.vectorize
def _relu_product(x, y):
    if x > 0.0:
        return x * y
    return 0.0


@numba.njit
def _of_vectorized(x):
    return np.sum(_relu_product(x, 2.0)) + _relu_product(x[0], x[1])


@numba.guvectorize(["void(float64[:], float64[:], float64[:])"], "(n),()->(n)")
def _shifted(x, y, out):
    for i in range(x.shape[0]):
        out[i] = x[i] * y[0] + i


@numba.guvectorize(["void(float64[:], float64[:])"], "(n)->()")
def _row_sum(x, out):
    s = 0.0
    for v in x:
        s += v * v
    out[0] = s


@numba.stencil
def _laplace(a):
    return a[-1, 0] + a[1, 0] - 2.0 * a[0, 0]


@numba.stencil(cval=1.5)
def _two(a, b):
    return a[-1] * b[0] + a[2]


@numba.njit
def _stencil_in_njit(x):
    return np.sum(_laplace(x) * x)


@case(V)
def njit_with_signature(x):
    return _signed(x[0], x[1])


@case(V)
def njit_unpacks(x):
    return _unpacks((x[0], x[1])) + _unpacks(x[:2])


@case(M)
def njit_unpacks_rows(x):
    return _unpacks_rows(x)


@case(np.array([0.5, 1.25, 2.0]))
def vectorized(x):
    return np.sum(_log_half(x)) + _log_half(x[0])


@case(V, M[0])
def vectorized_broadcast(x, y):
    return np.sum(_relu_product(x[:, None], y) * np.arange(3.0)) + np.sum(_relu_product(x, 2.0))


@case(V)
def vectorized_in_njit(x):
    return _of_vectorized(x)


@case(V)
def guvectorized(x):
    return np.sum(_shifted(x, x[0]) ** 2) + _row_sum(x)


@case(M)
def guvectorized_broadcast(x):
    return np.sum(_row_sum(x) * np.arange(3.0)) + np.sum(_shifted(x, x[0]) ** 2)


@case(M)
def stencil(x):
    return np.sum(_laplace(x) * np.arange(3.0))


@case(V, V[::-1].copy())
def stencil_of_two(x, y):
    return np.sum(_two(x, y) ** 2)


@case(M)
def stencil_in_njit(x):
    return _stencil_in_njit(x)
