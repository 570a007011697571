"""Every rewrite of loops happens in these tests, and changes no number: at all small sizes, with nan, inf and extremes.

What a pass makes is run by the interpreter, beside what it was given.
"""

from collections import Counter
from importlib import import_module

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import Context, lowered, parallel_loops
from pullback.ir.evaluate import evaluate
from pullback.ir.program import For
from pullback.ir.walk import walk

pytestmark = pytest.mark.fuzz

order, places, plan, splitting = (
    import_module(f"pullback.codegen.loops.{name}")
    for name in ("reorder", "interchange", "distribution_plan", "distribute")
)

SIZES = (0, 1, 2, 3, 4, 5, 6, 7, 9)
"""Around four lags, and thresholds made small."""


# -- shapes ------------------------------------------------------------------------------------------------


def stencil(x, y):
    z = y.copy()
    for i in range(1, len(x) - 1):
        z[i] = z[i] * x[i - 1] - x[i] + 0.5 * x[i + 1]
    return z


def wide_stencil(x, y):
    z = y.copy()
    for i in range(3, len(x) - 3):
        z[i] = np.sin(x[i - 3]) + x[i - 1] * x[i + 2] + x[i + 3]
    return z


def additions_to_neighbours(x, y):
    z = y.copy()
    for i in range(len(x) - 2):
        z[i] += x[i]
        z[i + 1] += x[i] * x[i + 1]
        z[i + 2] += 0.5 * x[i]
    return z


def from_above(x, y):
    z = y.copy()
    for i in range(len(x) - 1, -1, -1):
        z[i] = z[i] * x[i] + 1.0
    return z


def sum_from_above(x, y):
    z = y.copy()
    if len(x) > 1:
        for i in range(len(x) - 1, 0, -1):
            z[0] += x[i] * y[i]
    return z


def sum_in_an_element(x, y, k=1):
    z = y.copy()
    for j in range(len(x) - 2):
        z[k + 1] += x[j] * x[k]
    return z


def reads_one_element(x, y):
    z = y.copy()
    for j in range(2, len(x)):
        z[j] = z[j] * np.sqrt(np.abs(x[0])) + x[j] * x[1]
    return z


def recurrence(x, y):
    z = y.copy()
    for i in range(1, len(x)):
        z[i] = 0.5 * z[i - 1] + x[i]
    return z


def product_by_columns(A, x):
    y = np.zeros(A.shape[1])
    for j in range(A.shape[1]):
        for k in range(A.shape[0]):
            y[j] += A[k, j] * x[k]
    return y


def columns_with_lines(A, x):
    y = np.zeros(A.shape[1])
    for j in range(A.shape[1]):
        c = x[j] * 2.0
        y[j] = c
        for k in range(A.shape[0]):
            y[j] += A[k, j] * c
        y[j] = y[j] * 0.5
    return y


def columns_and_rows(A, x):
    B = A.copy()
    y = np.zeros(A.shape[1])
    for j in range(A.shape[0]):
        for k in range(A.shape[0]):
            y[j] += A[k, j] * x[k]
        for k in range(A.shape[1]):
            B[j, k] = A[j, k] * x[k]
    return B * y


def solve(L, B):
    X = B.copy()
    for j in range(B.shape[1]):
        for i in range(B.shape[0]):
            for k in range(i):
                X[i, j] -= L[i, k] * X[k, j]
            X[i, j] = X[i, j] / (L[i, i] + 4.0)
    return X


def rows_and_columns(C, v):
    C = C.copy()
    for i in range(C.shape[0]):
        C[i + 1 :, i] = C[i, i + 1 :] * v[i]
        C[i, i + 1 :] = C[i + 1 :, i]
    return C


def five_points(A, x):
    B = A.copy()
    for i in range(1, A.shape[0] - 1):
        for j in range(1, A.shape[1] - 1):
            B[i, j] = A[i, j] * x[i] + A[i - 1, j] * A[i, j - 1] + A[i + 1, j] + A[i, j + 1]
    return B


def rows_of_five(A, x):
    B = A.copy()
    for i in range(2, A.shape[0] - 2):
        for j in range(A.shape[1]):
            B[i, j] = np.exp(0.1 * A[i - 2, j]) * A[i - 1, j] * A[i, j] + A[i + 1, j] * A[i + 2, j] * x[j]
    return B


def triangle(A, x):
    y = x.copy()
    for i in range(A.shape[0] - 1, -1, -1):
        for j in range(i):
            y[i] -= A[i, j] * x[j]
    return y


def buffers(A, x):
    y = x.copy()
    for i in range(A.shape[0]):
        t = A[i] * x
        y += t * t[0]
    return y


VECTORS = (
    stencil, wide_stencil, additions_to_neighbours, from_above, sum_from_above, sum_in_an_element, reads_one_element,
    recurrence,
)  # fmt: skip
MATRICES = (
    product_by_columns, columns_with_lines, columns_and_rows, solve, rows_and_columns, five_points, rows_of_five,
    triangle, buffers,
)  # fmt: skip
LEAST = {sum_in_an_element: 3, reads_one_element: 2, buffers: 1}
"""The sizes below have no element that these read."""
PASSES = (
    "read_modify_write", "fuse_and_contract", "interchange", "reorder", "elide_zero_fill", "hoist_allocations",
    "bufferize",
)  # fmt: skip
SPECIAL = (np.nan, np.inf, -np.inf, 1e200, 1e-310, -0.0)


def arguments(function, n, special=None, seed=0):
    """Two arrays of this size, one element of which is special."""
    rng = np.random.default_rng(seed)
    second = (n, n) if function is solve else n
    args = [rng.uniform(0.5, 1.5, (n, n) if function in MATRICES else n), rng.uniform(0.5, 1.5, second)]
    if special is not None:
        which = args[seed % 2]
        if which.size:
            which.flat[(seed * 7) % which.size] = special
    return args


def sizes(function):
    return [n for n in (SIZES if function in VECTORS else (0, 1, 2, 3, 5)) if n >= LEAST.get(function, 0)]


def loss(function):
    def total(a, b):
        return np.sum(np.sin(function(a, b)))

    return total


def alike(found, wanted, message):
    for a, b in zip(found, wanted, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert np.array_equal(np.isnan(a), np.isnan(b)), f"{message}: nan\n{a}\n{b}"
        near = np.max(np.abs(b[np.isfinite(b)]), initial=0.0)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12 * min(near, 1.0), err_msg=message)


# -- counting ------------------------------------------------------------------------------------------------


class Fired(Counter):
    """How often each rewrite has happened."""

    def watch(self, patch):
        """Count what `plan` takes out of loops and what the passes do with it."""
        planned = order.planned

        def counting(*args):
            found, certain = planned(*args)
            for name in ("lifted", "summed", "moved", "again", "lines"):
                self[name] += len(getattr(found, name))
            self["kept"] += len(set(found.moved) - set(found.again)) > 0
            self["if it runs"] += not certain
            return found, certain

        patch.setattr(order, "planned", counting)
        rest = splitting._Split.rest

        def behind(split, line, before, after):
            self["rest of a line, tested" if not split.plan.runs else "rest of a line"] += 1
            return rest(split, line, before, after)

        patch.setattr(splitting._Split, "rest", behind)
        piece = places._Pieces.piece

        def cut(pieces, number, part):
            found = piece(pieces, number, part)
            kind = "turned" if part.turned else "loop beside" if part.loop else "lines beside"
            self[kind] += bool(found)
            self["repeated lines"] += bool(part.loop) and bool(pieces.sunk(part))
            return found

        patch.setattr(places._Pieces, "piece", cut)

    def parts(self, program):
        """Count what loops on all cores need."""
        plans = {}

        def look(name, before, after):
            if name == "reorder":
                plans.update(parallel_loops(after))

        final = lowered(program, Context(parallel=1), seen=look)
        for found in parallel_loops(final, plans).values():
            for name in ("joined", "added", "scratch"):
                self[f"parts: {name}"] += len(getattr(found, name))
            self["parts: reach"] += found.reach > 0

    def step(self, name, before, after):
        if before != after:
            self[name] += 1
        if name == "reorder":
            ways = [sum(isinstance(n, For) and n.reverse for n in walk(p.body)) for p in (before, after)]
            self["upwards"] += ways[0] > ways[1]


@pytest.fixture
def small(monkeypatch):
    """Thresholds at which small arrays count as large."""
    for module in (plan, places):
        monkeypatch.setattr(module, "SHORT", 2)


def programs(function, args):
    """The program of the function, and that of its loss and gradient."""
    with pb.options(jit=False, cache=False):
        forward, gradient = pb.jit(function), pb.value_and_grad(loss(function), argnums=(0, 1))
        forward(*args), gradient(*args)
    return forward._lowered().program, gradient._lowered().derived


@pytest.mark.parametrize("reassociate", (True, False))
@pytest.mark.parametrize("function", (*VECTORS, *MATRICES), ids=lambda f: f.__name__)
def test_rewrites_change_no_number(function, reassociate, small):
    for n in sizes(function) if reassociate else (3, 5):
        plain = arguments(function, n)
        odd = SPECIAL if n == 3 and reassociate else SPECIAL[:1] if n == 6 else ()
        given = [plain, *(arguments(function, n, special, n + k) for k, special in enumerate(odd))]
        for program in programs(function, plain):

            def compare(name, before, after, n=n, given=given):
                if name in PASSES and before != after:
                    for args in given:
                        found, wanted = evaluate(after, *args), evaluate(before, *args)
                        alike(found, wanted, f"{name} at {n}, {args}")

            lowered(program, Context(reassociate=reassociate), seen=compare)


@pytest.mark.parametrize("function", (*VECTORS, *MATRICES), ids=lambda f: f.__name__)
def test_without_reassociation_values_keep_every_bit(function, small):
    for n in (3, 6):
        program, _ = programs(function, arguments(function, n))
        final = lowered(program, Context(reassociate=False))
        for seed, special in enumerate((None, *SPECIAL)):
            args = arguments(function, n, special, seed)
            for a, b in zip(evaluate(final, *args), evaluate(program, *args), strict=True):
                signs = np.signbit(a) == np.signbit(b)
                assert np.array_equal(a, b, equal_nan=True) and np.all(signs | np.isnan(a))


@pytest.mark.parametrize("function", (*VECTORS, *MATRICES), ids=lambda f: f.__name__)
def test_sums_of_negative_zeros_stay_negative(function, small):
    program, _ = programs(function, arguments(function, 5))
    args = [np.full_like(a, -0.0) for a in arguments(function, 5)]
    for first in (args, [np.abs(args[0]), args[1]], [args[0], np.abs(args[1])]):
        for a, b in zip(evaluate(lowered(program), *first), evaluate(program, *first), strict=True):
            assert np.array_equal(np.signbit(a), np.signbit(b)) or np.isnan(b).any()


REWRITES = (
    *PASSES, "upwards",
    "lifted", "summed", "moved", "again", "kept", "lines", "rest of a line", "rest of a line, tested", "if it runs",
    "turned", "loop beside", "lines beside", "repeated lines",
    "parts: joined", "parts: added", "parts: scratch", "parts: reach",
)  # fmt: skip


def test_every_rewrite_happens(small, monkeypatch):
    fired = Fired()
    fired.watch(monkeypatch)
    for function in (*VECTORS, *MATRICES):
        for program in programs(function, arguments(function, 6)):
            lowered(program, seen=fired.step)
            fired.parts(program)
    print(fired)
    assert not [name for name in REWRITES if not fired[name]]
