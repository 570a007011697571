"""Errors are part of the product: their class, their text, and the user's line in it."""

from __future__ import annotations

import re
import sys
import threading
import time
import traceback

import numpy as np
import pytest

import pullback as pb
from pullback.missing import ADVICE

X = np.array([0.5, -1.0, 2.0])
LOCK = threading.Lock()


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def refused(kind, pattern, call, *args, line=None):
    """The call raises this kind of PullbackError with this text, and shows the line (part of it) of this file."""
    with pytest.raises(kind, match=pattern) as caught:
        call(*args)
    error = caught.value
    assert isinstance(error, pb.PullbackError), type(error)
    if line is not None:
        assert re.search(rf'File "{re.escape(__file__)}", line \d+\n.*{re.escape(line)}', str(error)), str(
            error
        )
    shown = "".join(traceback.format_exception(error))
    assert shown.count("\n  File ") < 8, "internal frames in the traceback:\n" + shown
    return error


# -- arguments and results of the transforms --------------------------------------------------------


def test_integers_are_not_differentiated():
    refused(TypeError, r"argument 0 is of type int: pass float\(x\)", pb.grad(lambda x: x * 2.0), 3)
    g = pb.grad(lambda x: np.sum(x * 2.0))
    refused(TypeError, r"argument 0 is of type array of int64: pass x.astype\(float\)", g, np.arange(3))
    refused(TypeError, "argument 0 is of type str", pb.grad(lambda x, y: y), "a", 2.0)


def test_a_result_that_is_no_scalar():
    def f(x):
        return x * 2.0

    refused(
        TypeError,
        r"f returns an array of type f64\[n\]; grad needs a scalar.*pb.vjp",
        pb.grad(f),
        X,
        line="def f(x):",
    )


def test_a_function_without_a_result():
    def f(x):
        x * 2.0

    refused(
        TypeError,
        "f returns None: grad needs a float. Is a return missing",
        pb.grad(f),
        2.0,
        line="def f(x):",
    )


def test_several_results():
    refused(TypeError, "needs one float.*has_aux=True", pb.grad(lambda x: (x, x)), 2.0)
    refused(TypeError, "must return .value, aux.", pb.grad(lambda x: x, has_aux=True), 2.0)


def test_an_integer_result():
    refused(TypeError, "returns i64; grad needs a float", pb.grad(lambda x: int(x)), 2.0)


def test_argnums():
    f = lambda x: x * 2.0
    refused(ValueError, "argnums=2 is out of range: the call has 1 positional", pb.grad(f, argnums=2), 1.0, line="f =")
    refused(ValueError, "argnums=-2 is out of range", pb.grad(f, argnums=-2), 1.0, line="f =")
    refused(ValueError, "twice", pb.grad(f, argnums=(0, -1)), 1.0, line="f =")
    for odd in ("x", "0", 1.5, True, (0.0,), (True,), {0}, {0: 1}, object(), b"", ((0,),), np.array([0.0]), np.eye(2)):
        for transform in (pb.grad, pb.value_and_grad):
            refused(TypeError, "argnums must be an integer or a tuple of integers, not", transform, f, odd, line="f =")
        with pytest.raises(TypeError, match="argnums must be an integer"):
            pb.testing.check_grad(f, 1.0, argnums=odd)
        with pytest.raises(TypeError, match="argnums must be an integer"):
            pb.explain(f, 1.0, argnums=odd)
    for none in ((), [], np.array([], int)):
        refused(ValueError, "argnums is empty", pb.grad, f, none)
    for one in (0, -1, np.int64(0), np.array(0)):
        assert pb.grad(f, argnums=one)(1.0) == 2.0
    for several in ([0], (0,), range(1), np.array([0]), [np.int8(-1)]):
        assert pb.grad(f, argnums=several)(1.0) == (2.0,)
    for odd in (None, "yes", 1.5, [], 2):
        refused(TypeError, "has_aux must be True or False", pb.grad, f, 0, odd)
    assert pb.grad(lambda x: (x * x, x), has_aux=np.True_)(3.0) == (6.0, 3.0)


def test_seeds():
    _, pull = pb.vjp(lambda x: (x * 2.0, {"a": x[0]}), X)
    refused(
        ValueError,
        r"the seed\[0\] has shape \(4,\), but the value has shape \(3,\)",
        pull,
        (np.ones(4), {"a": 1.0}),
    )
    refused(TypeError, r"the seed\[0\] has dtype float32, but the value has dtype float64", pull,
            (np.ones(3, np.float32), {"a": 1.0}))  # fmt: skip
    refused(TypeError, r"the seed should be a tuple|the seed", pull, np.ones(3))
    refused(TypeError, "the seed", pull, (np.ones(3), {"b": 1.0}))
    refused(TypeError, "there is no float", pb.vjp, lambda n: n, 3)


def test_seeds_may_be_lists():
    f = lambda x: x * np.arange(1.0, 4.0)
    traced = lambda seed: pb.grad(lambda x: np.sum(pb.vjp(f, x * x)[1](seed)[0] * x))(X)
    y, pull = pb.vjp(f, X)
    for seed in ([1.0, 2.0, 3.0], (1, 2, 3), [1, 2, 3], [np.float32(1), 2, np.int8(3)]):
        np.testing.assert_array_equal(pull(seed)[0], [1.0, 4.0, 9.0])
        np.testing.assert_array_equal(traced(seed), [1.0, 4.0, 9.0])
    single = pb.vjp(lambda x: x * x, X.astype(np.float32))[1]([1.0, 2.0, 3.0])[0]
    np.testing.assert_array_equal(single, [1.0, -4.0, 12.0])
    assert single.dtype == np.float32
    np.testing.assert_array_equal(pb.vjp(lambda x: np.outer(x, x), X[:2])[1]([[1, 0], [0, 1]])[0], [1.0, -2.0])
    pull_list = pb.vjp(lambda x: [x, 2.0 * x], X)[1]
    np.testing.assert_array_equal(pull_list([[1, 2, 3], [0, 0, 1]])[0], [1.0, 2.0, 5.0])
    refused(ValueError, r"has shape \(2,\), but", pull, [1.0, 2.0])
    refused(TypeError, r"must be an array of shape \(3,\), not list", pull, ["a", "b", "c"])
    refused(TypeError, r"must be an array of shape \(3,\), not list", pull, [[1.0], [2.0, 3.0], 4.0])
    refused(TypeError, "the seed must be an array of shape.*, not None", pull, None)
    refused(TypeError, "MaskedArray: its mask", pull, np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]))
    for one in (2.0, np.array(2.0)):  # a number, and an array without axes
        pull = pb.vjp(lambda x: x * x, one)[1]
        for seed in (1, 1.0, np.array(1.0), np.float64(1.0)):
            assert pull(seed)[0] == 4.0
        refused(TypeError, "the seed must be a number, not list", pull, [1.0])
        refused(ValueError, r"has shape \(1,\)", pull, np.ones(1))


# -- names ------------------------------------------------------------------------------------------------


def test_dir_shows_the_public_names():
    assert set(dir(pb)) == {*pb.__all__, "adapters", "eager", "__version__"}
    assert all(hasattr(pb, name) for name in dir(pb))
    assert pb.eager is sys.modules["pullback.eager"]


def test_names_that_do_not_exist_yet():
    assert not set(ADVICE) & set(pb.__all__), "it exists now: take it out of the table"
    for name in ADVICE:
        with pytest.raises(AttributeError, match=rf"pullback\.{name} does not exist yet. Instead: .{{12}}"):
            getattr(pb, name)
    with pytest.raises(AttributeError, match="has no attribute 'vjq'"):
        pb.vjq  # noqa: B018
    assert not hasattr(pb, "__wrapped__")


def test_what_they_say_to_write_instead():
    each = pb.vmap(pb.grad(lambda x: x**3))(X)
    np.testing.assert_allclose(each, 3 * X**2)
    np.testing.assert_allclose(pb.grad(lambda x: np.sum(x**3))(X), each)


def test_something_that_is_no_function():
    with pytest.raises(TypeError, match="expected a function, not int"):
        pb.grad(3)


# -- values --------------------------------------------------------------------------------------------


def test_dtypes():
    f = lambda x: x[0]
    for array, text in (
        (np.array([1.0, None], object), "dtype object.*np.asarray"),
        (np.array(["a"]), "strings"),
        (np.array(["2020-01-01"], "M8[D]"), "dates"),
        (np.array([1], "m8[s]"), "time differences"),
        (np.array([1j]), "complex"),
        (np.ones(2, np.float16), "float64 or float32"),
        (np.ones(2, np.longdouble), "float64 or float32"),
    ):
        refused(TypeError, f"argument x has dtype.*{text}|argument x .*{text}", pb.grad(f), array)
    refused(TypeError, "complex", pb.grad(lambda x: x), 1j)


def test_shapes():
    def f(x, y):
        return np.sum(x + y)

    refused(
        ValueError,
        r"shapes \(3,\) and \(4,\) do not go together",
        pb.grad(f),
        X,
        np.ones(4),
        line="np.sum(x + y)",
    )

    def g(x):
        return np.sum(x @ np.ones((4, 2)))

    refused(ValueError, r"\(3,\).*\(4, 2\)", pb.grad(g), X, line="x @ np.ones")

    def h(x):
        x[1:] = np.ones(5)
        return x[0]

    refused(ValueError, r"\(5,\) and \(2,\)", pb.grad(h), X, line="x[1:] = np.ones(5)")


def test_functions_without_a_rule():
    def f(x):
        y = np.histogram2d(x, x)
        return y[0][0, 0]

    refused(TypeError, "np.histogram2d", pb.grad(f), X, line="y = np.histogram2d(x, x)")

    def g(x):
        return np.linalg.eigvals(x)[0]

    refused(TypeError, "np.linalg.eigvals", pb.grad(g), np.eye(3), line="np.linalg.eigvals(x)")


def test_questions_without_an_answer():
    def f(x):
        return sorted(x, key=lambda v: v)[0]

    refused(TypeError, "sorted|bool", pb.grad(f), X)
    no_source = eval("lambda x: 1.0 * x if x > 0 else x")
    refused(TypeError, r"bool\(\) of a traced value", pb.grad(no_source), 2.0)
    refused(TypeError, r"float\(\)|complex", pb.grad(lambda x: complex(x)), 2.0)
    refused(TypeError, "ambiguous", pb.grad(lambda x: 1.0 if x > 0 else 2.0), X)


@pytest.mark.parametrize("text", (
    'f"{x[0]}"', 'f"{x[0]:.3f}"', 'f"{x!r}"', "str(x)", "repr([x])", "format(x[0])", '"{}".format(x[0])', '"%s" % x[0]',
    '", ".join(map(str, x))', "[t for t in map(str, [x[0]])][0]", 'print(n := f"{x[0]}") or n',
))  # fmt: skip
def test_nothing_is_computed_from_the_name_of_a_symbol(text, tmp_path, monkeypatch):
    (tmp_path / "text_model.py").write_text(f"def f(x):\n    return x[0] * len({text})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("text_model", None)
    import text_model  # noqa: PLC0415

    assert text_model.f(X) > 0.0
    error = refused(TypeError, "the text of a traced value.*printed, logged", pb.grad(text_model.f), X)
    assert 'text_model.py", line 2\n    return x[0] * len(' in str(error)
    typed = eval(f"lambda x: x[0] * len({text})")
    refused(pb.PullbackError, "text of a traced value.*source of '<lambda>' cannot be read", pb.grad(typed), X)


def test_numbers_are_not_sequences():
    for f in (lambda x: sum(x), lambda x: [v * 1.0 for v in x][0], lambda x: len(x), lambda x: np.sum(list(x))):
        with pytest.raises(TypeError):
            pb.grad(f)(2.0)


def test_indices():
    def f(x):
        return x[5]

    refused(IndexError, "index 5 is out of bounds for axis 0 with size 3", pb.grad(f), X, line="return x[5]")
    refused(IndexError, "too many indices", pb.grad(lambda x: x[0, 0]), X)
    refused(IndexError, "only integers, slices", pb.grad(lambda x: x["a"]), X)

    def g(x, i):
        return np.sum(x[i])

    with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 3"):
        pb.grad(g)(X, np.array([0, 3]))


def test_bounds_checks_can_be_left_out():
    def f(x, i):
        return np.sum(x[i] ** 2)

    args = X, np.array([0, 2])
    assert "IndexError" in pb.grad(f).lower(*args).ir
    g = pb.grad(f)
    with pb.options(bounds_check=False):
        np.testing.assert_allclose(g(*args), [2 * X[0], 0.0, 2 * X[2]])
        form = g._last
        assert not any("IndexError" in source for source in form._sources.values())
    with pytest.raises(IndexError):
        g(X, np.array([3]))


# -- syntax --------------------------------------------------------------------------------------------


def test_syntax():
    def with_try(x):
        try:
            return sum(1.0 / (x - k) for k in range(int(x)))
        except ZeroDivisionError:
            return x

    def with_with(x):
        with LOCK:
            return x

    def with_yield(x):
        got = yield x
        return got

    def with_match(x):
        match x > 1.0:
            case True:
                return x
        return x

    def with_is(x):
        y = x * 2.0
        return x if x is y else y

    for function, text, line in (
        (with_is, "`is` between traced values.*==", "x is y"),
        (with_try, "cannot trace this try.*an `if`", "1.0 / (x - k)"),
        (with_with, "with a lock", "with LOCK"),
        (with_yield, "yield as an expression", "yield x"),
        (with_match, "cannot trace `case True`.*an `if`", "case True:"),
    ):
        refused(SyntaxError, text, pb.grad(function), 2.0, line=line)
    async def coroutine(x):
        return x

    refused(SyntaxError, "async", pb.grad(coroutine), 2.0)


def test_types_that_change():
    def f(x):
        if x > 0.0:
            y = x
        else:
            y = np.zeros(3)
        return np.sum(y)

    refused(
        TypeError, r"'y' is f64 on one path and f64\[3\] on the other", pb.grad(f), 2.0, line="if x > 0.0"
    )

    def g(x):
        if x > 0.0:
            return x

    assert pb.grad(g)(2.0) == 1.0
    refused(TypeError, "the function returns None here", pb.grad(g), -2.0)


def test_containers_that_change_in_a_loop():
    def f(x):
        values = {}
        for v in x:
            values[len(values)] = v
        return values[0]

    long = np.ones(1001)
    refused(SyntaxError, "a list or dict grows in a loop of 1001 iterations.*Use an array", pb.grad(f), long)

    def g(x):
        values = []
        for i in range(len(x)):
            values.append(x[:i])
        return values[1][0]

    refused(SyntaxError, "a list or dict grows in a loop of 1001 iterations.*Use an array", pb.grad(g), long)
    for each in (f, g):  # few iterations are written out
        np.testing.assert_array_equal(pb.grad(each)(X), [1.0, 0.0, 0.0])

    def h(x):
        values = []
        while np.sum(x) < 10.0:
            values.append(x[: len(values)])
            x = 2.0 * x
        return values[1][0]

    refused(SyntaxError, "the elements of the list 'values' differ", pb.grad(h), X)

    def k(x):
        values = {}
        while np.sum(x) < 10.0:
            values[len(values)] = x
            x = 2.0 * x
        return values[0][0]

    refused(SyntaxError, "a dict changes its length.*Use an array", pb.grad(k), X)


def test_aliases_that_a_loop_makes():
    def f(x):
        u = x * 1.0
        v = u[::-1]
        for i in range(len(x)):
            u, v = v, u
            u[0] = u[0] + x[i]
        return np.sum(u) + np.sum(v)

    refused(SyntaxError, "'[uv]' and '[uv]'.*copy", pb.grad(f), X)


def test_impure_functions():
    refused(
        TypeError,
        "another result at each call.*pass the time",
        pb.grad(lambda x: x * time.time()),
        2.0,
    )

    def f(x):
        return x * float(open("numbers.txt").read())

    refused(TypeError, r"open\(\) in a traced function", pb.grad(f), 2.0)
    refused(TypeError, r"loadtxt\(\) in a traced function", pb.grad(lambda x: x * np.loadtxt("numbers.txt")), 2.0)


def test_a_name_without_a_value():
    def f(x, n):
        for i in range(n):
            y = x * i
        return y

    assert pb.grad(f)(2.0, 3) == 2.0
    with pytest.raises(UnboundLocalError, match="'y' where it is not associated with a value"):
        pb.grad(f)(2.0, 0)


def test_errors_of_the_user_come_through():
    def f(x, n):
        if n < 1:
            raise ValueError("n must be positive")
        assert x > 0.0, "x must be positive"
        return x / n

    g = pb.grad(f)
    assert g(4.0, 2) == 0.5
    with pytest.raises(ValueError, match="n must be positive"):
        g(4.0, 0)
    with pytest.raises(AssertionError, match="x must be positive"):
        g(-4.0, 2)
    with pytest.raises(ZeroDivisionError):
        pb.grad(lambda x, n: x * (7 // n))(1.0, 0)


def test_symbols_do_not_leak():
    kept = []

    class Keeper:
        kept = None

    def f(x):
        type.__setattr__(Keeper, "kept", x)
        return x * 2.0

    pb.grad(f)(2.0)
    kept.append(Keeper.kept)
    with pytest.raises(pb.PullbackError, match="outside of the call that traced it"):
        kept[0] + 1.0


TABLE = {"a": 1.0}
WEIGHTS = np.ones(3)


class Model:
    def __init__(self):
        self.w = np.ones(3)
        self.calls = 0


def test_side_effects():
    kept = []
    model = Model()

    def appends(x):
        kept.append(x)
        return x * 2.0

    def counts(x):
        model.calls += 1
        return x * 2.0

    def stores(x):
        TABLE["a"] = x
        return x * 2.0

    def writes(x):
        WEIGHTS[0] = 2.0
        return x * WEIGHTS[0]

    def writes_attribute(x):
        model.w *= 2.0
        return x * model.w[0]

    for function, name in ((appends, "kept"), (counts, "model.calls"), (stores, "TABLE")):
        refused(SyntaxError, f"for all examples at once changes {name}", pb.vmap(function), np.ones(2))
        refused(SyntaxError, f"changes {name}.*cannot do that", pb.grad(function).cfunc, "float64(float64)")
    refused(
        TypeError,
        r"writes to 'WEIGHTS' \(global\).*WEIGHTS.copy\(\)",
        pb.grad(writes),
        2.0,
        line="WEIGHTS[0] = 2.0",
    )
    refused(TypeError, r"writes to 'w' \(model.w\)", pb.grad(writes_attribute), 2.0, line="model.w *= 2.0")
    assert kept == [] and TABLE == {"a": 1.0} and model.calls == 0 and WEIGHTS[0] == 1.0


def test_arguments_that_overlap():
    def f(x, y):
        x[0] = 5.0
        return np.sum(x * y)

    base = np.arange(6.0)
    np.testing.assert_allclose(pb.grad(f)(base[:3], base[3:]), [0.0, 4.0, 5.0])
    refused(TypeError, "arguments x and y share memory", pb.grad(f), base[:3], base[1:4])
    refused(TypeError, "arguments x and y share memory", pb.grad(f), base, base)
    refused(TypeError, "arguments [xy] and [xy] share memory", pb.grad(f), base, base[::-1])
    np.testing.assert_allclose(pb.grad(lambda x, y: np.sum(x * y))(base, base), base)


def test_functions_without_source():
    typed = eval("lambda x: x * 2.0 if x > 0.0 else x")
    refused(TypeError, "the source of '<lambda>' cannot be read.*Put it in a file", pb.grad(typed), 2.0)
    assert pb.grad(eval("lambda x: (x * x).sum()"))(X)[0] == 1.0
    for text in ("np.sum(np.add(x, 1.0, out=np.empty(3)))", "np.exp(x, np.empty(3)).sum()", "x.sum(out=np.empty(()))"):
        refused(TypeError, "out= is an array of NumPy's.*return the result", pb.grad(eval(f"lambda x: {text}")), X)
    loops = {}
    exec("def f(x):\n    s = 0.0\n    for i in range(len(x)):\n        s += x[i] * i\n    return s", loops)
    np.testing.assert_allclose(pb.grad(loops["f"])(X), [0, 1, 2])
    with pytest.raises(pb.PullbackError, match=r"Python needs n as a number here: give it as one \(f64\[5\] instead"):
        pb.grad(loops["f"]).lower("f64[n]")
    assert "x[3]" in pb.grad(loops["f"]).lower("f64[4]").ir


def test_a_file_that_changed_since_it_was_imported(tmp_path, monkeypatch):
    path = tmp_path / "changing_model.py"
    path.write_text("def f(x):\n    return x * 2.0\n\ng = lambda x: x * 2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import changing_model  # noqa: PLC0415

    assert pb.grad(changing_model.f)(1.0) == 2.0
    pb.tracer.staging.stage._STAGED.clear()
    path.write_text("# one line more\ndef f(x):\n    return x * 3.0\n\ng = lambda x: x * 3.0\n")
    refused(TypeError, "the source of 'f' has changed since it was imported", pb.grad(changing_model.f), 1.0)
    assert pb.grad(changing_model.g)(1.0) == 2.0  # found no source, traced as it runs


@pytest.mark.compiled
def test_numbas_errors_are_explained(monkeypatch):
    wrong = "def f_grad(x):\n    return (undefined_name(x),)\n"
    monkeypatch.setattr("pullback.stages.Compilation.source", property(lambda _: wrong))
    with pb.options(jit=True):
        text = "numba does not compile what pullback generated.*please report"
        refused(pb.PullbackError, text, pb.grad(lambda x: x * x), 2.0)
