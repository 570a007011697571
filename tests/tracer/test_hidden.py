"""Whatever a traced function read from outside may change between calls: the next gradient is of what it is then."""

import enum
import functools
import itertools
import sys
import types

import numpy as np
import pytest

import pullback as pb

x = np.array([0.3, 0.7, 0.2])


class Rates:
    rate = 0.5
    mode = "square"


class Other:
    rate = 11.0


class Mode(enum.Enum):
    PLAIN = 1
    SQUARE = 2


class Model:
    def __init__(self):
        self.w = 2.0
        self.act = np.tanh
        self.bias = None
        self.names = ["square"]

    def __call__(self, v):
        return v * self.w

    def loss(self, v):
        return np.sum(v * self.w)

    def double(self, v):
        return v * 2.0


class Loss(Model):
    def __call__(self, v):
        return np.sum(v * self.w)


class Point:
    factor = 2.0

    def __init__(self, v):
        self.v = v

    @property
    def tripled(self):
        return self.v * 3.0

    @classmethod
    def weight(cls):
        return 2.0


    def scaled(self):
        return self.v * 2.0


def squared(v):
    return v * v


def helper(v):
    return inner(v)


def inner(v):
    return v * 2.0


def scaled(v, k=2.0):
    return np.sum(v * k)


def chosen(v, *, mode="square"):
    return np.sum(v * v) if mode == "square" else np.sum(v)


def counted(v):
    return np.sum(v * counted.k)


counted.k = 2.0

act = np.tanh
weight = None
functions = [np.tanh, np.sin]
pairs = [("a", np.tanh)]
words = ["square", "plain"]
allowed = {"square"}
settings = {"mode": "square"}
kind = Rates
mode = Mode.PLAIN
model = Model()
part = functools.partial(lambda k, v: v * k, 3.0)
doubled = pb.jit(lambda v: v * 2.0)
user = types.ModuleType("user_module_of_test_hidden")
user.mode, user.helper, user.act, user.weight = "square", inner, np.tanh, None
numbers = np.array([1.0, 2.0, 3.0])
with_array = functools.partial(lambda a, v: np.sum(a * v), numbers)
method_of = Model()
callable_model = Loss()


def chain(v):
    for f in functions:
        v = f(v)
    return np.sum(v)


def named_chain(v):
    for _, f in pairs:
        v = f(v)
    return np.sum(v)


def counted_words(v):
    s = 0.0
    for word in words:
        s = s + (np.sum(v * v) if word == "square" else np.sum(v))
    return s


THIS = sys.modules[__name__]
CASES = {
    "a global function of NumPy": (lambda v: np.sum(act(v)), THIS, "act", np.sin),
    "a global None": (lambda v: np.sum(v) if weight is None else np.sum(v * weight), THIS, "weight", 3.0),
    "a global class": (lambda v: np.sum(v * kind.rate), THIS, "kind", Other),
    "a global enum": (lambda v: np.sum(v) if mode is Mode.PLAIN else np.sum(v * v), THIS, "mode", Mode.SQUARE),
    "a global partial": (
        lambda v: np.sum(part(v)), THIS, "part", functools.partial(lambda k, v: v * k, 4.0),
    ),
    "a global jit": (lambda v: np.sum(doubled(v)), THIS, "doubled", pb.jit(lambda v: v * 9.0)),
    "a helper's helper": (lambda v: np.sum(helper(v)), THIS, "inner", lambda v: v * 3.0),
    "the code of a helper": (lambda v: np.sum(helper(v)), inner, "__code__", squared.__code__),
    "a list of functions": (chain, THIS, "functions", [np.tanh]),
    "a list of tuples": (named_chain, THIS, "pairs", [("a", np.sin)]),
    "a list of texts": (counted_words, THIS, "words", ["plain"]),
    "a set": (lambda v: np.sum(v * v) if "square" in allowed else np.sum(v), THIS, "allowed", set()),
    "a dict of texts": (
        lambda v: np.sum(v * v) if settings["mode"] == "square" else np.sum(v), THIS, "settings", {"mode": "plain"},
    ),
    "a module's text": (lambda v: np.sum(v * v) if user.mode == "square" else np.sum(v), user, "mode", "plain"),
    "a module's function": (lambda v: np.sum(user.helper(v)), user, "helper", lambda v: v * 5.0),
    "a module's ufunc": (lambda v: np.sum(user.act(v)), user, "act", np.sin),
    "a module's None": (lambda v: np.sum(v) if user.weight is None else np.sum(v * 4.0), user, "weight", 1.0),
    "a number of a class": (lambda v: np.sum(v * Rates.rate), Rates, "rate", 2.0),
    "a text of a class": (lambda v: np.sum(v * v) if Rates.mode == "square" else np.sum(v), Rates, "mode", ""),
    "a function of an object": (lambda v: np.sum(model.act(v)), model, "act", np.sin),
    "a None of an object": (lambda v: np.sum(v) if model.bias is None else np.sum(v * 3.0), model, "bias", 1.0),
    "a list of an object": (
        lambda v: np.sum(v * v) if model.names[0] == "square" else np.sum(v), model, "names", ["plain"],
    ),
    "a method": (lambda v: np.sum(model.double(v)), Model, "double", lambda self, v: v * 7.0),
    "a method of what the function makes": (lambda v: np.sum(Point(v).scaled()), Point, "scaled", lambda p: p.v * 6.0),
    "a number of the class of what it makes": (lambda v: np.sum(v * Point(v).factor), Point, "factor", 6.0),
    "a property of what it makes": (
        lambda v: np.sum(Point(v).tripled), Point, "tripled", property(lambda p: p.v * 6.0),
    ),
    "a class method": (lambda v: np.sum(v * Point.weight()), Point, "weight", classmethod(lambda cls: 7.0)),
    "a class method of what it makes": (
        lambda v: np.sum(v * Point(v).weight()), Point, "weight", classmethod(lambda cls: 7.0),
    ),
    "an object that is called": (lambda v: np.sum(model(v)), model, "w", 5.0),
    "the object of a method": (method_of.loss, method_of, "w", 5.0),
    "an object as the function": (callable_model, callable_model, "w", 5.0),
    "a default": (scaled, scaled, "__defaults__", (5.0,)),
    "a default of a keyword": (chosen, chosen, "__kwdefaults__", {"mode": "plain"}),
    "an attribute of a function": (counted, counted, "k", 4.0),
}  # fmt: skip


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.parametrize("case", CASES)
def test_a_change_outside_is_seen(case, monkeypatch):
    function, owner, name, value = CASES[case]
    g = pb.grad(function)
    before = g(x)
    assert np.array_equal(g(x), before) and g._traceable.traces == 1
    monkeypatch.setattr(owner, name, value)
    after = g(x)
    assert np.array_equal(after, pb.grad(function)(x)) and not np.array_equal(after, before)
    monkeypatch.undo()
    assert np.array_equal(g(x), before)


LIST, DICT, SET = ["square"], {"a": "square"}, {"square"}


@pytest.mark.parametrize(
    ("function", "change"),
    [
        (lambda v: np.sum(v * v) if LIST[0] == "square" else np.sum(v), lambda: LIST.insert(0, "plain")),
        (lambda v: np.sum(v * v) if DICT["a"] == "square" else np.sum(v), lambda: DICT.update(a="plain")),
        (lambda v: np.sum(v * v) if "square" in SET else np.sum(v), SET.clear),
    ],
)
def test_contents_that_change_in_place(function, change):
    g = pb.grad(function)
    assert np.array_equal(g(x), 2.0 * x)
    change()
    assert np.array_equal(g(x), np.ones(3))


def test_the_array_of_a_partial_is_read_anew():
    g = pb.grad(with_array)
    assert np.array_equal(g(x), [1.0, 2.0, 3.0])
    numbers[:] = 9.0
    assert np.array_equal(g(x), [9.0, 9.0, 9.0])
    numbers[:] = 1.0, 2.0, 3.0


def test_a_name_that_hides_a_builtin_later(monkeypatch):
    g = pb.grad(lambda v: np.sum(abs(v)))
    assert np.array_equal(g(x), np.ones(3))
    monkeypatch.setitem(globals(), "abs", lambda v: 3.0 * v)
    assert np.array_equal(g(x), 3.0 * np.ones(3))


def test_what_has_gone_is_python_s_own_error(monkeypatch):
    monkeypatch.setitem(globals(), "gone", 2.0)
    g = pb.grad(lambda v: np.sum(v * gone))  # noqa: F821
    assert np.array_equal(g(x), 2.0 * np.ones(3))
    monkeypatch.delitem(globals(), "gone")
    with pytest.raises(NameError, match="gone"):
        g(x)


class Emitting:
    """Holds methods of its own containers."""

    def __init__(self):
        self.seen, self.last = [], {}
        self.emit, self.put = self.seen.append, self.last.update
        self.observers = [self.seen.append, lambda v: self.last.update(other=v)]
        self.by_name = {"a": self.last.setdefault}


@pytest.mark.parametrize("use", (
    lambda o, v: o.emit(v), lambda o, v: o.put(v=v), lambda o, v: [f(v) for f in o.observers],
    lambda o, v: o.by_name["a"]("k", v), lambda o, v: (o.seen.append(v), o.emit(2.0 * v)),
))  # fmt: skip
def test_bound_methods_of_containers_outside(use):
    ours, plain = Emitting(), Emitting()

    def loss(x, o):
        v = np.sum(x * x)
        use(o, v)
        return v

    gradient = pb.grad(lambda x: loss(x, ours))
    with pb.options(jit=False, cache=False):
        for k in range(4):
            x = np.array([0.5, 2.0 + k])
            np.testing.assert_array_equal(gradient(x), 2.0 * x)
            loss(x, plain)
            assert (ours.seen, ours.last) == (plain.seen, plain.last)


COUNT, GENERATOR, PAIRS = itertools.count(), (k for k in range(9)), zip([1, 2], [3, 4])


@pytest.mark.parametrize("take", (
    lambda x: next(COUNT) * x[0], lambda x: next(GENERATOR) * x[0], lambda x: sum(a * b * x[0] for a, b in PAIRS),
    lambda x: sum(itertools.islice(COUNT, 2)) * x[0],
))  # fmt: skip
def test_iterators_outside_are_refused(take):
    """What one call takes from them another one does not get."""
    with pytest.raises(pb.PullbackError, match=r"an iterator \(\w+\), which a call moves on.*pass list\(...\) of it"):
        pb.jit(take)(np.ones(2))
    with pytest.raises(pb.PullbackError, match="argument it is an iterator"):
        pb.jit(lambda x, it: next(it) * x)(np.ones(2), iter([1.0, 2.0]))
    made_inside = pb.jit(lambda x: next(iter([x[1], x[0]])) * sum(v for v in x))
    assert made_inside(np.array([2.0, 3.0])) == 15.0
