"""Mistakes in the user's code: Python's own exception and words, and the frames of the user's functions only."""

import functools
import traceback
from pathlib import Path

import numpy as np
import pytest

import pullback as pb


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def helper(x, k):
    return x.nothing + k


class Thing:
    def __init__(self, a):
        self.a = a

    def method(self, x):
        return self.b * x

    @property
    def shown(self):
        return self.a.nothing

    def __add__(self, other):
        return self.a + undefined  # noqa: F821


def no_attribute(x):
    return helper(x, 1)


def no_attribute_of_a_number(x):
    return x[0].append(1)


def no_name(x):
    return undefined * x  # noqa: F821


def no_key(x):
    return {"a": x}["b"]


def no_index(x):
    return [1, 2][5] * x


def no_attribute_of_self(x):
    return Thing(1).method(x)


def no_attribute_in_a_property(x):
    return Thing(x).shown


def no_name_in_an_operator(x):
    return Thing(x) + 1.0


def missing_argument(x):
    return helper(x)


def too_many_arguments(x):
    return helper(x, 1, 2)


def unexpected_keyword(x):
    return helper(x, z=1)


def too_many_for_a_class(x):
    return Thing(1, 2).method(x)


def over_lines(x):
    return helper(
        x,
        x[0]
        + 1.0,
    )


def missing_self(x):
    return Thing.method(x)


def missing_in_a_nested_function(x):
    def inner(a, b):
        return a + b

    return inner(x)


def missing_in_a_lambda(x):
    return (lambda a, b: a + b)(x)


def missing_keyword_only(x, *, key):
    return x


def through_partial(x):
    return functools.partial(helper, 1, 2)(x)


def division_by_zero(x):
    n = len([])
    return x[0] * (1 / n)


def wrong_operand(x):
    return None + float(x[0])


def wrong_operand_of_an_object(x):
    return Thing(1) - float(x[0])


def not_callable(x):
    return x()


def not_in_numpy(x):
    return np.nothing(x)


def wrong_literal(x):
    return int("a") * x


def in_a_comprehension(x):
    return max(v.foo for v in [x])


def in_a_loop(x):
    s = 0.0
    for v in x:
        for _ in range(3):
            s += v.foo
    return s


def in_a_branch(x):
    if len(x) > 1:
        for v in [x]:
            helper(v, 2)
    return np.sum(x)


def too_many_to_unpack(x):
    a, b = x[0], x[1], x[2]
    return a + b


def not_iterable(x):
    for _ in 5:
        pass


def no_module(x):
    import nosuchmodule  # noqa: PLC0415

    return nosuchmodule.f(x)


def wrong_comparison(x):
    return "a" < 1


def raised(x):
    raise ValueError("my own words")


def deleted(x):
    del x[0]


MISTAKES = [
    no_attribute, no_attribute_of_a_number, no_name, no_key, no_index, no_attribute_of_self, no_attribute_in_a_property,
    no_name_in_an_operator, missing_argument, too_many_arguments, unexpected_keyword, too_many_for_a_class,
    missing_self, over_lines,
    missing_in_a_nested_function,
    missing_in_a_lambda, missing_keyword_only, through_partial, division_by_zero,
    wrong_operand, wrong_operand_of_an_object, not_callable, not_in_numpy, wrong_literal, in_a_comprehension, in_a_loop,
    too_many_to_unpack, not_iterable, no_module, wrong_comparison, raised, deleted,
]  # fmt: skip
PUBLIC = Path(pb.__file__).parent
SKIPPED = ("<lambda>", "<listcomp>", "<genexpr>")
"""Frames that tell no function of their own: later Pythons have none for comprehensions."""


def frames(error):
    found = traceback.extract_tb(error.__traceback__)
    return [(f.filename, f.name, f.lineno) for f in found if f.name not in SKIPPED]


@pytest.mark.parametrize("transform", [pb.grad, pb.value_and_grad, pb.jit, lambda f: lambda x: pb.vjp(f, x)])
@pytest.mark.parametrize("f", MISTAKES)
def test_the_user_sees_what_python_says(f, transform):
    x = np.array([1.0, 2.0, 3.0])
    with pytest.raises(Exception) as plain:  # noqa: B017, PT011
        f(x)
    with pytest.raises(type(plain.value)) as traced:
        transform(f)(x)
    assert str(traced.value) == str(plain.value)
    assert traced.value.__suppress_context__ or traced.value.__context__ is None
    ours = [f for f in frames(traced.value)[1:] if not Path(f[0]).is_relative_to(PUBLIC)]
    assert ours == frames(plain.value)[1:]
    assert len(frames(traced.value)) - len(ours) <= 3


def test_frames_of_arms_and_loops_are_one():
    with pytest.raises(AttributeError) as raised:
        pb.grad(in_a_branch)(np.ones(3))
    assert [name for _, name, _ in frames(raised.value)][-2:] == ["in_a_branch", "helper"]


def test_an_unknown_function_is_called_by_its_name():
    with pytest.raises(pb.PullbackError, match=r"np.frombuffer") as raised:
        pb.grad(lambda x: np.sum(x * np.frombuffer(x)))(np.ones(3))
    assert __file__ in str(raised.value)
