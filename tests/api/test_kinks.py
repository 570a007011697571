"""The derivatives at kinks and singular points are those of the table in docs/design.md, compiled or not."""

from pathlib import Path

import numpy as np
import pytest
import scipy.special

import pullback as pb

INF, NAN = np.inf, np.nan
KINKS = {
    "maximum": (lambda a, b: np.maximum(a, b), (1.0, 1.0), (0.5, 0.5)),
    "minimum": (lambda a, b: np.minimum(a, b), (1.0, 1.0), (0.5, 0.5)),
    "Python's max": (lambda a, b: max(a, b), (1.0, 1.0), (0.5, 0.5)),
    "max of an array": (lambda a: np.max(a), ([1.0, 2.0, 2.0, 0.0, 2.0],), ([0, 1 / 3, 1 / 3, 0, 1 / 3],)),
    "min of an array": (lambda a: a.min(), ([1.0, 2.0, 1.0, 3.0, 4.0],), ([0.5, 0, 0.5, 0, 0],)),
    "clip": (lambda a: np.sum(np.clip(a, 0.0, 1.0)), ([-1.0, 0.0, 0.5, 1.0, 2.0],), ([0, 0.5, 1, 0.5, 0],)),
    "abs": (lambda a: abs(a), (0.0,), (0.0,)),
    "sign": (lambda a: np.sign(a), (0.0,), (0.0,)),
    "floor": (lambda a: np.floor(a), (1.0,), (0.0,)),
    "floor division": (lambda a, b: a // b, (4.0, 2.0), (0.0, 0.0)),
    "remainder": (lambda a, b: a % b, (4.0, 2.0), (1.0, -2.0)),
    "fmod": (lambda a, b: np.fmod(a, b), (4.0, 2.0), (1.0, -2.0)),
    "sqrt(0)": (lambda a: np.sqrt(a), (0.0,), (INF,)),
    "cbrt(0)": (lambda a: np.cbrt(a), (0.0,), (INF,)),
    "0**0": (lambda a: a**0, (0.0,), (0.0,)),
    "0**1": (lambda a: a**1, (0.0,), (1.0,)),
    "0**2": (lambda a: a**2, (0.0,), (0.0,)),
    "0**0.5": (lambda a: a**0.5, (0.0,), (INF,)),
    "0**-1": (lambda a: a**-1, (0.0,), (-INF,)),
    "0**b at 0": (lambda a, b: a**b, (0.0, 0.0), (0.0, 0.0)),
    "0**b at 1": (lambda a, b: a**b, (0.0, 1.0), (1.0, 0.0)),
    "0**b at 2": (lambda a, b: a**b, (0.0, 2.0), (0.0, 0.0)),
    "(-2)**b": (lambda a, b: a**b, (-2.0, 2.0), (-4.0, NAN)),
    "1/0": (lambda a, b: a / b, (1.0, 0.0), (INF, -INF)),
    "log(0)": (lambda a: np.log(a), (0.0,), (INF,)),
    "hypot": (lambda a, b: np.hypot(a, b), (0.0, 0.0), (0.0, 0.0)),
    "norm": (lambda a: np.linalg.norm(a), ([0.0] * 5,), ([0.0] * 5,)),
    "std": (lambda a: np.std(a), ([2.0] * 5,), ([0.0] * 5,)),
    "arctan2": (lambda a, b: np.arctan2(a, b), (0.0, 0.0), (NAN, NAN)),
    "logaddexp": (lambda a, b: np.logaddexp(a, b), (3.0, 3.0), (0.5, 0.5)),
    "logaddexp(-inf, -inf)": (lambda a, b: np.logaddexp(a, b), (-INF, -INF), (0.5, 0.5)),
    "logaddexp(inf, inf)": (lambda a, b: np.logaddexp(a, b), (INF, INF), (0.5, 0.5)),
    "logsumexp of -inf": (lambda a: scipy.special.logsumexp(a), ([-INF] * 5,), ([NAN] * 5,)),
    "logsumexp with inf": (lambda a: scipy.special.logsumexp(a), ([INF, 0.0, 1.0],), ([NAN, 0.0, 0.0],)),
    "xlogy(0, 0)": (lambda a, b: scipy.special.xlogy(a, b), (0.0, 0.0), (0.0, 0.0)),
    "where": (
        lambda a: np.sum(np.where(a > 0, np.log(a), 0.0)),
        ([-1.0, 0.0, 2.0, 4.0, NAN],),
        ([0, 0, 0.5, 0.25, 0],),
    ),
    "prod with a zero": (lambda a: np.prod(a), ([0.0, 1.0, 2.0, 3.0, 4.0],), ([24.0, 0, 0, 0, 0],)),
    "prod with two zeros": (lambda a: np.prod(a), ([0.0, 0.0, 2.0, 3.0, 4.0],), ([0.0] * 5,)),
}  # fmt: skip


@pytest.mark.compiled
@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("name", KINKS)
def test_the_derivative_at_a_kink(name, jit):
    f, args, expected = KINKS[name]
    args = [np.array(a) if isinstance(a, list) else a for a in args]
    with pb.options(jit=jit):
        found = pb.grad(f, argnums=tuple(range(len(args))))(*args)
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [0.001, -3.0, 0.0, 1.0, np.inf, np.nan])
def test_a_number_divided_by_an_array(c, dtype):
    x = np.array([0.5, -2.0, 1e12, 0.0, -0.0, np.inf], dtype)

    def f(x):
        return np.sum(c / x)

    with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
        np.testing.assert_allclose(
            pb.grad(f)(x), -(dtype(c) / x) / x, rtol=1e-6 if dtype is np.float32 else 1e-15
        )


def product_of_others(values):
    """The Hessian of prod."""
    n = len(values)
    return [[0.0 if i == j else np.prod(np.delete(values, [i, j])) for j in range(n)] for i in range(n)]


SECOND = {
    "`maximum(a, b)`, `minimum(a, b)` at a == b": [("maximum", 0), ("minimum", 0), ("Python's max", 0)],
    "`max`, `min` of an array with ties": [("max of an array", 0), ("min of an array", 0)],
    "`prod` of an array with zeros": [
        ("prod with a zero", product_of_others([0.0, 1.0, 2.0, 3.0, 4.0])),
        ("prod with two zeros", product_of_others([0.0, 0.0, 2.0, 3.0, 4.0])),
    ],
    "`clip(x, lo, hi)` at its ends": [("clip", 0)],
    "`abs(x)` at 0": [("abs", 0)],
    "`sign`, `floor`, `ceil`, `trunc`, `rint`, `a // b`": [("sign", 0), ("floor", 0), ("floor division", 0)],
    "`a % b`, `fmod(a, b)` at a jump": [("remainder", 0), ("fmod", 0)],
    "`sqrt(x)`, `cbrt(x)`, `log(x)` at 0": [("sqrt(0)", -INF), ("cbrt(0)", NAN), ("log(0)", -INF)],
    "`x ** c` at x == 0": [("0**0", 0), ("0**1", 0), ("0**2", 2), ("0**0.5", -INF), ("0**-1", INF)],
    "`0 ** b` with respect to b": [("0**b at 0", [[0, 1], [0, 0]]), ("0**b at 2", [[2, 0], [0, 0]])],
    "`a ** b` with respect to b, for a < 0": [("(-2)**b", [[2, NAN], [NAN, NAN]])],
    "`hypot(0, 0)`, `norm` of a zero vector": [("hypot", 0), ("norm", 0)],
    "`logaddexp(a, b)` at a == b, also both inf or both -inf": [
        ("logaddexp", [[0.25, -0.25], [-0.25, 0.25]]), ("logaddexp(-inf, -inf)", 0), ("logaddexp(inf, inf)", 0),
    ],
    "`std` of equal values": [("std", 0)],
    "`xlogy(0, 0)`": [("xlogy(0, 0)", 0)],
    "`where(c, a, b)`": [("where", np.diag([0, 0, -0.25, -0.0625, 0]))],
}  # fmt: skip
"""Rows of the table in docs/design.md, and the Hessians of the kinks that they are about."""


@pytest.mark.parametrize("name, expected", [pytest.param(*c, id=c[0]) for cases in SECOND.values() for c in cases])
def test_the_second_derivative_at_a_kink(name, expected):
    f, args, _ = KINKS[name]
    args = [np.array(a) if isinstance(a, list) else a for a in args]
    numbers = tuple(range(len(args)))
    with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
        for made in (pb.hessian(f, numbers), pb.jacrev(pb.grad(f, numbers), numbers)):
            found = np.block([[np.asarray(block) for block in row] for row in made(*args)])
            np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))


def test_every_row_of_the_table_says_what_its_second_derivative_is():
    text = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8")
    table = text[text.index("| where | derivative | second derivative |") :].split("\n\n")[0].splitlines()[2:]
    assert len(table) >= 18 and all(row.count(" | ") >= 3 and row.split(" | ")[-2].strip() for row in table)
