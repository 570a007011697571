"""What code asks of a value to see what it is: the answers are those of the number or array, not of its symbol."""

import collections.abc
import numbers

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad


def works(try_it):
    try:
        try_it()
    except (TypeError, AttributeError, IndexError):
        return False
    return True


KINDS = (
    collections.abc.Iterable, collections.abc.Sized, collections.abc.Sequence, collections.abc.Container,
    collections.abc.Hashable, numbers.Number, numbers.Real, float, np.ndarray, np.generic, np.floating, (list, tuple),
)  # fmt: skip
NAMES = (
    "shape", "ndim", "size", "dtype", "T", "sum", "copy", "astype", "item", "tolist", "real", "units", "values", "keys",
    "__len__", "__iter__", "__getitem__", "__setitem__", "__array__", "__float__", "__call__",
)  # fmt: skip
QUESTIONS = {
    **{f"isinstance {kind}": lambda v, kind=kind: isinstance(v, kind) for kind in KINDS},
    **{f"hasattr {name}": lambda v, name=name: hasattr(v, name) for name in NAMES},
    **{f"getattr {name}": lambda v, name=name: getattr(v, name, None) is None for name in NAMES[:-7]},
    "a default": lambda v: getattr(v, "ndim", 7) == 7,
    "iter": lambda v: works(lambda: iter(v)),
    "len": lambda v: works(lambda: len(v)),
    "a subscript": lambda v: np.ndim(v) == 0 or works(lambda: v[0]),
    "an attribute": lambda v: works(lambda: v.shape),
    "another attribute": lambda v: works(lambda: v.keys()),
    "a method": lambda v: works(lambda: v.astype(float)),
    "type": lambda v: type(v) is float,
    "the name of its type": lambda v: type(v).__name__ == "float",
    "issubclass": lambda v: issubclass(type(v), np.floating),
    "class": lambda v: v.__class__ is float,
    "the name of its class": lambda v: v.__class__.__name__ == "ndarray",
    "callable": callable,
    "isscalar": np.isscalar,
    "iterable": np.iterable,
}
MADE = {
    "itself": lambda x: x,
    "a product": lambda x: x * 2.0,
    "a ufunc": np.sin,
    "a sum": np.sum,
    "Python's": lambda x: float(np.sum(x)),
}


@pytest.mark.parametrize("x", (0.5, np.float64(0.5), np.array([0.3, 0.4]), np.array(0.3)), ids=repr)
@pytest.mark.parametrize("made", MADE)
def test_questions_are_answered_as_in_python(x, made):
    def answers(x):
        value = MADE[made](x)
        return [1.0 * np.sum(x) if ask(value) else 0.0 for ask in QUESTIONS.values()]

    with pb.options(jit=False, cache=False):
        value, _ = pb.vjp(answers, x)
    expected = answers(x)
    assert [q for q, a, b in zip(QUESTIONS, value, expected) if bool(a) != bool(b)] == []


def test_a_float_stays_one_in_finite_differences():
    with pb.options(jit=False, cache=False):
        check_grad(lambda x: x * x if type(x) is float else x, 0.5)
