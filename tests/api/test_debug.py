"""pb.debug runs generated code that a debugger can stop in; options(check_nan=True) names the first NaN or inf."""

import io
import linecache
import pdb
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
from lecture import cases, springs

import pullback as pb
from pullback.calls.tree import flatten
from pullback.ir.errors import NotFinite

CASES = cases()
FIRST = springs.__code__.co_firstlineno
X = np.array([0.0, 1.0, 3.0])


@pytest.fixture
def stops(monkeypatch):
    """What breakpoint() met: (function, the line that comes next)."""
    found = []

    def hook():
        frame = sys._getframe(1)
        file = frame.f_code.co_filename
        assert Path(file).exists()
        found.append((frame.f_code.co_name, linecache.getline(file, frame.f_lineno + 1).strip()))

    monkeypatch.setattr(sys, "breakpointhook", hook)
    return found


@pytest.mark.compiled
@pytest.mark.parametrize("name", CASES)
def test_debug_gives_value_and_gradient(name):
    f, args = CASES[name]
    y, bars = pb.debug(f, *args)
    assert y == pytest.approx(f(*args), rel=1e-12)
    exact = pb.grad(f, argnums=tuple(range(len(args))))(*args)
    assert len(bars) == len(args)
    for bar, expected in zip(flatten(bars)[0], flatten(exact)[0]):
        np.testing.assert_allclose(bar, expected, 1e-9, 1e-12)


def test_a_seed_for_an_array():
    y, (bar,) = pb.debug(lambda x: x * x, X, seed=np.array([1.0, 10.0, 100.0]))
    assert y.tolist() == [0.0, 1.0, 9.0] and bar.tolist() == [0.0, 20.0, 600.0]
    assert pb.debug(lambda x: x * x, X)[1][0].tolist() == [0.0, 2.0, 6.0]


def test_stops_at_the_programs(stops):
    pb.debug(springs, X, 2.0, stop="forward")
    assert stops == [("springs_forward", "n = x.shape[0]")]
    pb.debug(springs, X, 2.0, stop="backward")
    assert [name for name, _ in stops] == ["springs_forward", "springs_backward"]


def test_stops_at_every_pass_over_a_users_line(stops):
    y, (x_bar, _) = pb.debug(springs, X, 2.0, stop=FIRST + 3)  # stretch = x[i + 1] - x[i]
    assert (y, x_bar.tolist()) == (5.0, [-2.0, -2.0, 4.0])
    names = [name for name, _ in stops]
    assert names[:2] == ["springs_forward"] * 2 and names[-2:] == ["springs_backward"] * 2
    assert names == sorted(names, key=["springs_forward", "springs_backward"].index)
    assert "x[i + 1] - x[i]" in stops[0][1]


def test_a_line_that_made_nothing():
    with pytest.raises(ValueError, match=rf"or one of the lines .*{FIRST + 3}"):
        pb.debug(springs, X, 2.0, stop=1)
    with pytest.raises(ValueError, match="give 'forward', 'backward'"):
        pb.debug(springs, X, 2.0, stop="sideways")
    with pytest.raises(TypeError, match="no float"):
        pb.debug(lambda n: n + 1, 2)


def test_the_debugger_shows_generated_lines(monkeypatch):
    out = io.StringIO()

    def hook():
        session = pdb.Pdb(stdin=io.StringIO("next\nnext\np (n, t_bar)\ncontinue\n"), stdout=out)
        session.use_rawinput = False
        session.set_trace(sys._getframe(1))

    monkeypatch.setattr(sys, "breakpointhook", hook)
    pb.debug(lambda x, w: np.sum(x) * w, X, 2.0, stop="backward")
    assert "f_backward()\n-> t_bar = t_1_bar * w" in out.getvalue()
    assert "(3, 2.0)" in out.getvalue().replace("np.int64(3)", "3").replace("np.float64(2.0)", "2.0")


def test_errors_are_traced_through_generated_lines():
    def pick(x, k):
        return x[k[0]] * 2.0

    try:
        pb.debug(pick, X, np.array([7]))
    except IndexError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        assert frame.name == "pick_forward" and "raise IndexError" in frame.line
    else:
        raise AssertionError


# -- check_nan -----------------------------------------------------------------------------------------


def logs(x):
    y = np.log(x)
    return np.sum(y * y)


def roots(x):
    s = 0.0
    for i in range(len(x)):
        s += np.sqrt(x[i])
    return s


def norm(x):
    r = np.sqrt(np.sum(x**2))
    return 2.0 * r


def grow(x):
    while x < 1e100:
        x = x * x
    return x * x * x


def quotient(a, b):
    return np.sum(a @ b) / (a[0, 0] - a[0, 0])


def choose(x, flag):
    if flag > 0.0:
        y = np.arcsin(x)
    else:
        y = x
    return y * 2.0


def overwritten(x):
    y = np.empty(3)
    for i in range(3):
        y[i] = 1.0 / x[i]
    return np.sum(y)


def line_of(f, text):
    lines = linecache.getlines(__file__)
    start = f.__code__.co_firstlineno
    return next(k for k in range(start, start + 9) if text in lines[k - 1])


@pytest.mark.parametrize(
    "f, args, text, message",
    [
        (logs, (np.array([1.0, 0.0]),), "np.log", r"first -inf in y at line {}: log\(0.0\) is -inf at \[1\]"),
        (logs, (np.array([1.0, -1.0]),), "np.log", r"first NaN in y at line {}: log\(-1.0\) is NaN at \[1\]"),
        (roots, (np.array([1.0, 0.0, 4.0]),), "sqrt", "first inf in x_bar at line {}: derivative of sqrt at 0.0: "),
        (norm, (np.zeros(3),), "sqrt", "first inf in x_bar at line {}: derivative of sqrt at 0.0: 0.5 / 0.0 is inf"),
        (grow, (3.0,), "return x", r"first inf at line {}: 1.93233e\+244 \* 1.39008e\+122 is inf"),
        (quotient, (np.ones((2, 2)), np.ones(2)), "return", "first inf at line {}: 4.0 / 0.0 is inf"),
        (choose, (1.0, 1.0), "arcsin", "derivative of arcsin at 1.0: 1.0 / 0.0 is inf"),
        (choose, (2.0, 1.0), "arcsin", r"first NaN in y at line {}: arcsin\(2.0\) is NaN"),
        (overwritten, (np.array([1.0, 0.0, 2.0]),), "1.0 /", r"first inf in y at line {}: 1.0 / 0.0 is inf"),
    ],
)
def test_the_first_nan_is_named(f, args, text, message):
    with pb.options(check_nan=True), pytest.raises(NotFinite, match=message.format(line_of(f, text))) as info:
        pb.grad(f)(*args)
    assert isinstance(info.value, FloatingPointError)
    source = linecache.getline(__file__, line_of(f, text)).strip()
    assert str(info.value).endswith(f'line {line_of(f, text)}\n    {source}')


def test_forward_and_backward_of_vjp():
    with pb.options(check_nan=True):
        y, pull = pb.vjp(roots, np.array([1.0, 0.0]))
        assert y == 1.0
        with pytest.raises(NotFinite, match="derivative of sqrt"):
            pull(1.0)
        with pytest.raises(NotFinite, match="log"):
            pb.vjp(logs, np.zeros(2))
        with pytest.raises(NotFinite, match="log"):
            pb.jit(logs)(np.zeros(2))


def test_what_came_in_is_no_operations_fault():
    with pb.options(check_nan=True), pytest.raises(NotFinite, match=r"argument x is NaN at \[1\] already"):
        pb.grad(logs)(np.array([1.0, np.nan]))


def test_what_reaches_no_result_is_no_fault():
    def masked(x):
        lowest = np.inf
        for i in range(len(x)):
            lowest = min(lowest, x[i])
        return np.sum(np.where(x > 0, np.log(x), 0.0)) + lowest

    x = np.array([1.0, 0.0, 2.0])
    with pb.options(check_nan=True):
        assert pb.grad(masked)(x).tolist() == [1.0, 1.0, 0.5]


@pytest.mark.compiled
@pytest.mark.parametrize("name", CASES)
def test_the_same_numbers_where_all_is_finite(name):
    f, args = CASES[name]
    with pb.options(check_nan=True):
        value, gradient = pb.value_and_grad(f)(*args)
    expected, exact = pb.value_and_grad(f)(*args)
    assert value == pytest.approx(expected, rel=1e-12) and type(value) is type(expected)
    for found, bar in zip(flatten(gradient)[0], flatten(exact)[0]):
        assert type(found) is type(bar)
        np.testing.assert_allclose(found, bar, 1e-9, 1e-12)


@pytest.mark.compiled
def test_without_the_option_nothing_is_checked():
    assert pb.grad(logs)(np.array([1.0, 0.0]))[1] == -np.inf
