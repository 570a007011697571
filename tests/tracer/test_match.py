"""`match` statements, differentiated as they are written."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

X = np.array([0.3, 0.4, 1.2])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@dataclasses.dataclass
class Pair:
    a: float
    b: float


def by_name(x, kind="cos"):
    match kind:
        case "sin" | "sine":
            return np.sum(np.sin(x))
        case "cos":
            y = np.cos(x)
        case _:
            raise ValueError(kind)
    return np.sum(y)


def by_traced_number(x, n=2):
    match n:
        case 0:
            return x[0]
        case 1:
            y = x[1] * 2.0
        case k if k > 5:
            y = x[2] * k
        case other:
            y = x[0] * other
    return y * 3.0


def structures(x):
    s = 0.0
    for op in [
        ("add", x[0]), ("mul", x[1], 3.0), ["many", x[0], x[1], x[2]], {"k": x[2], "z": 1}, None, Pair(x[0], 2.0), 7,
        "ab",
    ]:  # fmt: skip
        match op:
            case ("add", v):
                s = s + v
            case ["mul", v, w]:
                s = s + v * w
            case ["many", *rest]:
                s = s + rest[2] * len(rest)
            case {"k": v, **more}:
                s = s * v + len(more)
            case None:
                continue
            case Pair(a, b=factor):
                s = s + a * factor
            case str() | bytes():
                s = s + 0.5
            case int(k):
                s = s + k
            case _:
                s = 100.0
        s = s * 1.5
    return s


def in_a_loop(x):
    for i in range(3):
        match i:
            case 0:
                x = x * 2.0
            case 1:
                if x[0] > 1.0:
                    break
            case _:
                return x[2]
    return x[1]


def elements(x):
    match x[0] > 0.35, [x[1], len(x)]:
        case (_, [first, 3]):
            return first * x[0]
    return x[1]


@pytest.mark.parametrize("function", [by_name, by_traced_number, structures, in_a_loop, elements])
def test_gradient(function):
    for x in (X, X * 3.0):
        assert pb.value_and_grad(function)(x)[0] == pytest.approx(function(x), rel=1e-14)
        check_grad(function, x)


def test_other_arms():
    for n in (0, 1, 2, 6):
        assert pb.value_and_grad(by_traced_number)(X, n)[0] == by_traced_number(X, n)
    assert pb.value_and_grad(by_name)(X, "sine")[0] == by_name(X, "sine")
    with pytest.raises(ValueError, match="tan"):
        pb.grad(by_name)(X, "tan")
