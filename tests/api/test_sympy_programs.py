"""Forty programs whose gradients must be SymPy's: the tracer, the adjoint and the compiled code at once."""

import math

import numpy as np
import pytest
import scipy.special

from pullback.testing import assert_matches_sympy

pytestmark = pytest.mark.compiled

V3 = np.array([0.7, 1.3, -0.4])
P3 = np.array([0.7, 1.3, 0.4])
M23 = np.array([[0.5, -1.2, 0.3], [2.0, 0.1, -0.7]])
M32 = M23.T.copy() + 0.2

PROGRAMS = {}


def program(*args):
    def register(f):
        PROGRAMS[f.__name__] = f, args
        return f

    return register


# -- scalars ---------------------------------------------------------------------------------------


@program(1.3)
def polynomial(x):
    return 3 * x**3 - 2 * x**2 + x / 4 - 1


@program(0.8, 1.7)
def quotient(x, y):
    return (x - y) / (x * y + 2)


@program(0.8, 1.7)
def powers(x, y):
    return x**y + y**2.5 - x**-1


@program(0.6)
def trigonometry(x):
    return np.sin(x) * np.cos(2 * x) + np.tan(x / 2) - np.arctan(x)


@program(0.4)
def inverse_trigonometry(x):
    return np.arcsin(x) + np.arccos(x) * np.arctan2(x, 1.5)


@program(0.6)
def hyperbolic(x):
    return np.sinh(x) + np.cosh(x) * np.tanh(x) + np.arcsinh(x) + np.arctanh(x)


@program(0.9, 2.1)
def logarithms(x, y):
    return np.log(x) * np.log2(y) + np.log10(x * y) + np.log1p(x) + np.exp(-x) * np.expm1(y)


@program(0.7)
def with_math(x):
    return math.sqrt(x) + math.exp(math.sin(x)) * math.log(x + 2)


@program(0.7, 1.1)
def special_functions(x, y):
    return scipy.special.erf(x) * scipy.special.gammaln(y + 1) + scipy.special.expit(x * y)


@program(1.4)
def branch(x):
    if x > 1:
        return x**2
    return np.exp(x)


@program(0.6)
def other_branch(x):
    y = x if x > 1 else np.exp(x)
    return y * x


@program(0.3, 1.2)
def newton(a, x):
    for _ in range(3):
        x = x - (x**2 - a - 1) / (2 * x)
    return x


@program(0.9)
def nested_functions(x):
    def twice(g, v):
        return g(g(v))

    return twice(lambda v: np.sin(v) + v, x)


@program(0.2, 0.5, 0.9)
def horner(a, b, x):
    total = 0.0
    for c in (a, b, 2.0, a * b):
        total = total * x + c
    return total


@program(1.1, 0.3)
def hypotenuse(x, y):
    return np.hypot(x, y) + np.sqrt(x * x + y * y)


@program(0.4, -0.9)
def kinks(x, y):
    return np.maximum(x, y) * np.abs(y) + np.minimum(x, 0.5) * np.sign(y)


# -- vectors ---------------------------------------------------------------------------------------


@program(V3, 0.7)
def sum_of_squares(x, w):
    return np.sum((w * x - 1) ** 2)


@program(V3)
def soft_max(x):
    e = np.exp(x - 1)
    p = e / e.sum()
    return p[0] * p[2]


@program(V3)
def log_sum_exp(x):
    return np.log(np.sum(np.exp(x)))


@program(V3)
def mean_and_variance(x):
    return x.mean() * np.var(x) + np.std(x)


@program(P3)
def products(x):
    return np.prod(x) + x[0] * x[1] / x[2]


@program(V3, P3)
def dot_products(x, y):
    return np.dot(x, y) * (x @ x) + np.inner(y, y)


@program(V3)
def slices(x):
    return np.sum(x[1:] * x[:-1]) + x[-1] * np.sum(x[::-1] * x[::2][0])


@program(V3)
def differences(x):
    d = x[1:] - x[:-1]
    return d @ d + np.sum(np.cumsum(x) ** 2)


@program(V3)
def loop_over_elements(x):
    total = 0.0
    for i in range(3):
        total += x[i] ** (i + 1)
    return total


@program(V3)
def recurrence(x):
    s = 1.0
    for i in range(len(x)):
        s = s * x[i] + np.sin(s)
    return s


@program(V3)
def in_place(x):
    y = np.zeros(3)
    y[0] = x[0]
    for i in range(1, 3):
        y[i] = y[i - 1] * x[i] + x[0]
    return y @ y


@program(V3)
def write_through_a_view(x):
    y = x.copy()
    v = y[1:]
    v *= 2.0
    y += y[0]
    return np.sum(y * x)


@program(V3, 0.3)
def chosen_elements(x, w):
    return np.sum(np.where(x > 0, x * w, np.exp(x)))


@program(V3)
def clipped(x):
    return np.sum(np.clip(x, -0.2, 1.0) * x)


@program(V3)
def largest_and_smallest(x):
    return np.max(x) * 2 - x.min() * np.sum(x)


@program(V3)
def joined(x):
    y = np.concatenate([x, 2 * x[:1], x[1:]])
    return np.sum(y * y[::-1])


@program(V3, 1.5)
def cross_entropy(z, scale):
    y = np.array([1.0, 0.0, 1.0])
    return np.mean(np.logaddexp(0.0, scale * z) - y * z)


# -- matrices --------------------------------------------------------------------------------------


@program(M23, V3)
def matrix_vector(A, x):
    y = A @ x
    return y @ y + np.sum(A[0] * x)


@program(M23, M32)
def matrix_matrix(A, B):
    return np.sum((A @ B) ** 2) + np.trace(A @ B)


@program(M23, np.array([0.1, -0.3]))
def broadcasting(A, b):
    return np.sum(np.tanh(A + b[:, None]) * A.mean(axis=0))


@program(M23)
def axes(A):
    return np.sum(A.sum(axis=0) ** 2) + np.sum(A.T.sum(axis=-1, keepdims=True) * A.T)


@program(M23)
def reshaped(A):
    return np.sum(A.reshape(3, 2) @ A) + A.ravel()[4] ** 2


@program(V3, np.array([0.2, -1.0]))
def outer_products(x, y):
    return np.sum(np.sin(np.outer(x, y))) + np.sum(np.einsum("i,j->ji", x, y)[1] * x)


@program(np.array([[2.0, 0.3], [0.3, 1.5]]), np.array([0.4, -1.1]))
def quadratic_form(A, x):
    return x @ A @ x / 2 - np.log(A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0])


# -- several results and containers ----------------------------------------------------------------


@program({"w": V3, "b": 0.2}, P3)
def layer(parameters, x):
    return np.tanh(parameters["w"] * x + parameters["b"])


@program((0.6, 0.2), 3)
def pair_and_integer(xy, n):
    x, y = xy
    return x**n * y, {"sum": x + n * y}


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradient_is_sympys(name):
    f, args = PROGRAMS[name]
    assert_matches_sympy(f, *args)


def test_there_are_forty():
    assert len(PROGRAMS) >= 40
