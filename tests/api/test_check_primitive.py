"""testing.check_primitive passes for every rule there is, and finds a wrong one."""

import numpy as np
import pytest

from pullback.ir.ops.math import sin
from pullback.ir.primitive import REGISTRY, Kind, Primitive
from pullback.testing import check_primitive

DIFFERENTIABLE = [op.name for op in REGISTRY.values() if op.differentiable]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_rule_is_right(name):
    if name == "to_f32":
        with pytest.raises(ValueError, match="no sample in double precision"):
            check_primitive(name)
        return
    check_primitive(name, points=1)


@pytest.fixture
def declared():
    """Declares primitives for one test."""
    made = []

    def declare(name, **rules):
        made.append(name)
        return Primitive(name, name + "({0}, {1})", lambda a, b: a, np.multiply, kind=Kind.ELEMENTWISE,
                         samples=("f64[3], f64[3]",), **rules)  # fmt: skip

    yield declare
    for name in made:
        del REGISTRY[name]


def test_a_wrong_rule_is_found_with_its_operand(declared):
    declared("right_mul", partials=(lambda a, b, y: b, lambda a, b, y: a))
    check_primitive("right_mul")
    declared("wrong_mul", partials=(lambda a, b, y: b, lambda a, b, y: a + sin(a)))
    with pytest.raises(AssertionError, match=r"wrong_mul\(f64\[3\], f64\[3\]\) is wrong for operand 1: .* at a = \["):
        check_primitive("wrong_mul")
    declared("sign_mul", vjp=lambda y_bar, y, a, b: (-(y_bar * b), y_bar * a))
    with pytest.raises(AssertionError, match="wrong for operand 0"):
        check_primitive(REGISTRY["sign_mul"])


def test_what_cannot_be_checked_says_so():
    with pytest.raises(ValueError, match="floor is declared not differentiable"):
        check_primitive("floor")
    with pytest.raises(ValueError, match="no primitive 'tahn', but tan, tanh"):
        check_primitive("tahn")
