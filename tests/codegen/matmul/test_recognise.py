"""Loops that are matrix products become calls of BLAS; what only looks like it stays as it is."""

import doctest
import itertools

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import PIPELINE, Context, generate, recognise_products
from pullback.codegen.matmul import recognise
from pullback.ir.evaluate import evaluate
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source
from pullback.tracer.outside import small_sizes

SIZES = ((7, 9, 8), (3, 5, 4))  # above and below what is worth a call


@pytest.fixture(autouse=True)
def sizes_are_symbols(monkeypatch):
    """Small ones too: loops of known small sizes are written out instead."""
    monkeypatch.setattr(small_sizes, "SMALL", 1)


@pytest.fixture(autouse=True)
def _worth_a_call(monkeypatch):
    """Smaller sizes than in earnest: the interpreter is slow."""
    monkeypatch.setattr(recognise, "LARGE", 6)


def lowered(program):
    """A program as the pass gets it."""
    return verify(PIPELINE.before("recognise_products").run(program))


def products(program):
    return str(program).count("_matmul(")


def check(program, *args):
    """The number of products, after the results were compared with those of the loops."""
    loops = lowered(program)
    found = verify(recognise_products(loops))
    run = compile_source(generate(program), program.name, jit=False)
    with np.errstate(all="ignore"):
        written = run(*(np.array(a) for a in args))
    for wanted, value, again in zip(evaluate(loops, *args), evaluate(found, *args), written):
        np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(again, wanted, rtol=1e-10, atol=1e-10)
    return products(found)


def program_of(function, *args, adjoint=False):
    """The program of a function, or of its vector-Jacobian product summed with weights that are an argument."""
    if not adjoint:
        traced = pb.jit(function)
    else:
        traced = pb.grad(lambda w, *x: np.sum(w * function(*x)), argnums=tuple(range(1, len(args) + 1)))
        args = np.random.default_rng(5).normal(size=np.shape(function(*args))), *args
    with pb.options(jit=False, cache=False):
        traced(*args)
        made = traced._lowered()
    return made.derived if adjoint else made.program, args


def matrices(n, m, k):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, m)), rng.normal(size=(n, k)), rng.normal(size=(k, m))


# -- products ------------------------------------------------------------------------------------------

NEST = """
def product(C, A, B):
    C = C.copy()
    n, m, k = C.shape[0], C.shape[1], {k}
    for {x} in range({0}):
        for {y} in range({1}):
            for {z} in range({2}):
                C[i, j] {sign}= {a} * {b}
    return C
"""


def nest(order, a="A[i, l]", b="B[l, j]", sign="+"):
    """Three loops in this order, written out."""
    size = {"i": "n", "j": "m", "l": "k"}
    k = "A.shape[0]" if a == "A[l, i]" else "A.shape[1]"
    return NEST.format(
        *(size[c] for c in order), k=k, a=a, b=b, sign=sign, x=order[0], y=order[1], z=order[2]
    )


def function_of(text, tmp_path):
    """A function from text, with a file that its source can be read from."""
    path = tmp_path / "written.py"
    path.write_text(text)
    space: dict = {}
    exec(compile(text, str(path), "exec"), space)
    return space["product"]


@pytest.mark.parametrize("order", ["".join(p) for p in itertools.permutations("ijl")])
def test_loops_in_any_order(order, tmp_path):
    function = function_of(nest(order), tmp_path)
    program, _ = program_of(function, *matrices(*SIZES[0]))
    for size in SIZES:
        assert check(program, *matrices(*size)) == 1


@pytest.mark.parametrize("a", ["A[i, l]", "A[l, i]"])
@pytest.mark.parametrize("b", ["B[l, j]", "B[j, l]", "2.5 * B[l, j]"])
@pytest.mark.parametrize("sign", "+-")
def test_transposes_and_scales(a, b, sign, tmp_path):
    function = function_of(nest("ilj", a, b, sign), tmp_path)
    for size in SIZES:
        C, A, B = matrices(*size)
        args = C, A.T.copy() if a == "A[l, i]" else A, B.T.copy() if b == "B[j, l]" else B
        program, _ = program_of(function, *args)
        assert check(program, *args) == 1


def local_sum(A, B):
    C = np.empty((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            s = 1.5
            for k in range(A.shape[1]):
                s += A[i, k] * B[k, j]
            C[i, j] = np.sin(s)
    return C


def scaled_rows(A, B):
    C = np.ones((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            C[i, j] *= 0.5
        for k in range(A.shape[1]):
            for j in range(B.shape[1]):
                C[i, j] += A[i, k] * B[k, j]
    return C


def parts(A, B):
    C = np.ones((A.shape[0] + 2, 2, B.shape[1] + 1))
    for i in range(A.shape[0] - 1):
        for j in range(B.shape[1]):
            for k in range(1, A.shape[1]):
                C[i + 2, 1, j + 1] += A[i + 1, k - 1] * B[k, j]
    return C


def triangle(A, B):
    C = np.ones((A.shape[0], A.shape[0]))
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            for j in range(i + 1):
                C[i, j] += 1.5 * A[i, k] * A[j, k]
    return C + np.sum(B)


def covariance(A, B):
    m = A.shape[1]
    C = np.zeros((m, m))
    for i in range(m):
        for j in range(i, m):
            for k in range(A.shape[0]):
                C[i, j] += A[k, i] * A[k, j]
            C[i, j] /= 3.0
            C[j, i] = C[i, j]
    return C + np.sum(B)


def correlation(A, B):
    m = A.shape[1]
    C = np.eye(m)
    for i in range(m - 1):
        C[i + 1 : m, i] = A[:, i] @ A[:, i + 1 : m]
        C[i, i + 1 : m] = C[i + 1 : m, i]
    return C + np.sum(B)


def rows_and_columns(A, B):
    """Full rows and columns: nothing is left out, so nothing meets zeros."""
    C = np.zeros((A.shape[0], A.shape[0]))
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * A[j, k]
            C[i, j] = np.sin(C[i, j])
    return C + np.sum(B)


def triangular_factor(A, B):
    C = np.zeros((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for k in range(i):
            for j in range(B.shape[1]):
                C[i, j] += A[i, k] * B[k, j]
    return C


def changed_later(A, B):
    C = np.ones((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * B[k, j]
        for j in range(B.shape[1]):
            C[0, j] *= 1.5
    return C


PROGRAMS = {
    # forward and adjoint: how many products
    local_sum: (1, 3), scaled_rows: (1, 2), parts: (1, 2), triangular_factor: (1, 2), changed_later: (1, 2),
    # S @ A + S.T @ A is one product
    triangle: (1, 1), covariance: (1, 1), correlation: (1, 1), rows_and_columns: (1, 2),
}  # fmt: skip


def factors(function, n, m, k):
    _, A, B = matrices(n, m, k)
    return (np.random.default_rng(1).normal(size=(n, n)) if function is triangular_factor else A), (
        np.random.default_rng(2).normal(size=(n, m)) if function is triangular_factor else B
    )


@pytest.mark.fuzz
@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_programs(function):
    forward, backward = PROGRAMS[function]
    program, _ = program_of(function, *factors(function, *SIZES[0]))
    for size in SIZES:
        assert check(program, *factors(function, *size)) == forward
    program, _ = program_of(function, *factors(function, *SIZES[0]), adjoint=True)
    for size in SIZES:
        args = factors(function, *size)
        w = np.random.default_rng(6).normal(size=function(*args).shape)
        assert check(program, w, *args) == backward


@pytest.mark.parametrize("function", [triangle, triangular_factor, covariance, correlation], ids=lambda f: f.__name__)
def test_triangles_multiply_nothing_with_nan(function):
    """The zeros of a triangle meet only finite numbers; where there are others, the loops run."""
    program, args = program_of(function, *factors(function, *SIZES[0]), adjoint=True)
    found = recognise_products(lowered(program))
    assert products(found)
    args = tuple(np.array(a) for a in args)
    for poison in (np.nan, np.inf):
        args[1][3, 4] = poison
        for value, wanted in zip(evaluate(found, *args), evaluate(program, *args)):
            np.testing.assert_array_equal(np.isfinite(value), np.isfinite(wanted))


@pytest.mark.compiled
@pytest.mark.parametrize("function", [triangular_factor, covariance, correlation], ids=lambda f: f.__name__)
def test_compiled_at_many_sizes(function, monkeypatch):
    """Products, and loops over the same matrices where numbers are not finite, against the interpreter."""
    monkeypatch.setattr(recognise, "LARGE", 16)
    program, _ = program_of(function, *factors(function, *SIZES[0]), adjoint=True)
    with pb.options(cache=False):
        run = compile_source(generate(program), program.name)
    for size in ((2, 3, 2), (3, 2, 4), (15, 5, 3), (16, 17, 2), (17, 16, 3)):
        args = factors(function, *size)
        w = np.random.default_rng(6).normal(size=function(*args).shape)
        for poison in (None, np.nan, np.inf):
            if poison is not None:
                args[0][-1, 0] = poison
            for value, wanted in zip(run(w, *args), evaluate(program, w, *args)):
                np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-10)


def test_products_are_written_once():
    """The loop that fills a matrix is there once, and neither sizes nor numbers choose between two of it."""
    program, _ = program_of(correlation, *factors(correlation, *SIZES[0]), adjoint=True)
    text = str(recognise_products(lowered(program)))
    assert text.count(".set(0.0)") == str(lowered(program)).count(".set(0.0)") == 2  # rows and columns, done with
    assert " >= " not in text and " & " not in text


def old_values(C, A, B):
    old = C
    C = C.copy()
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            for k in range(A.shape[0]):
                C[i, j] += old[i, k] * A[k, j]
    return C * old


def twice(C, A, B):
    C = C.copy()
    for _ in range(2):
        D = C.copy()
        for i in range(A.shape[0]):
            for j in range(A.shape[0]):
                for k in range(A.shape[0]):
                    D[i, j] += C[i, k] * C[k, j] + A[i, k] * B[k, j]
        C = 0.1 * D
    return C


@pytest.mark.parametrize("function", [old_values, twice], ids=lambda f: f.__name__)
def test_factors_and_result_in_one_memory(function):
    args = tuple(np.random.default_rng(4).normal(size=(3, 7, 7)))
    program, _ = program_of(function, *args)
    check(program, *args)
    program, all_of_them = program_of(function, *args, adjoint=True)
    check(program, *all_of_them)


@pytest.mark.compiled
def test_compiled_gradients():
    gradient = pb.grad(lambda A, B: np.sum(local_sum(A, B) ** 2) + np.sum(scaled_rows(A, B) ** 2), argnums=(0, 1))
    for size in ((17, 19, 18), (3, 5, 4)):
        _, A, B = matrices(*size)
        C, D = np.sin(1.5 + A @ B), np.cos(1.5 + A @ B)
        bar = 2.0 * C * D + 2.0 * (0.5 + A @ B)
        with pb.options(cache=False):
            A_bar, B_bar = gradient(A, B)
        np.testing.assert_allclose(A_bar, bar @ B.T, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(B_bar, A.T @ bar, rtol=1e-10, atol=1e-10)
    assert "support.add_matmul(" in str(gradient.source)


# -- what is not one -----------------------------------------------------------------------------------


def reads_itself(C, A, B):
    C = C.copy()
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            for k in range(A.shape[0]):
                C[i, j] += C[i, k] * A[k, j]
    return C


def alias(C, A, B):
    C = C.copy()
    view = C.T
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            for k in range(A.shape[0]):
                C[i, j] += view[i, k] * A[k, j]
    return C


def cholesky(C, A, B):
    C = A @ A.T + 20.0 * np.eye(A.shape[0])
    for i in range(C.shape[0]):
        for j in range(i):
            for k in range(j):
                C[i, j] -= C[i, k] * C[j, k]
            C[i, j] /= C[j, j]
        for k in range(i):
            C[i, i] -= C[i, k] * C[i, k]
        C[i, i] = np.sqrt(C[i, i])
    return C


def partial_sums(C, A, B):
    C = C.copy()
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            s = 0.0
            for k in range(A.shape[0]):
                s += A[i, k] * B[k, j]
                C[i, k] += np.sin(s)
    return C


def guarded(C, A, B):
    C = C.copy()
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            for k in range(A.shape[0]):
                if A[i, k] > 0.0:
                    C[i, j] += A[i, k] * B[k, j]
    return C


def strided(C, A, B):
    C = C.copy()
    for i in range(A.shape[0] // 2):
        for j in range(A.shape[0]):
            for k in range(A.shape[0]):
                C[i, j] += A[2 * i, k] * B[k, j]
    return C


def three_factors(C, A, B):
    C = C.copy()
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            for k in range(A.shape[0]):
                C[i, j] += A[i, k] * B[k, j] * B[j, i]
    return C


def convolution(C, A, B):
    C = C.copy()
    for i in range(A.shape[0] // 2):
        for j in range(A.shape[0] // 2):
            for k in range(A.shape[0] // 2):
                C[i, j] += A[i + k, j] * B[k, j]
    return C


def smallest(C, A, B):
    C = C.copy()
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            for k in range(A.shape[0]):
                C[i, j] = min(C[i, j], A[i, k] * B[k, j])
    return C


OTHERS = (
    reads_itself, alias, cholesky, partial_sums, guarded, strided, three_factors, convolution, smallest,
)  # fmt: skip


@pytest.mark.parametrize("function", OTHERS, ids=lambda f: f.__name__)
def test_other_loops_stay(function):
    args = tuple(np.random.default_rng(3).normal(size=(3, 12, 12)))
    program, _ = program_of(function, *args)
    loops = lowered(program)
    found = recognise_products(loops)
    assert products(found) == products(loops)
    np.testing.assert_allclose(evaluate(found, *args)[0], function(*args), rtol=1e-9, atol=1e-9)


def weighted(A, B, s, t):
    C = np.zeros((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(A.shape[1]):
                C[i, j] += s * A[i, k] * (t * B[k, j])
    return C


@pytest.mark.parametrize("a, b, s, t", [
    (1.0, 1.0, 2.0, -0.5), (1e-200, 1e-200, 1e200, 1.0), (1e160, 1e160, 1e-200, 1.0), (0.0, 1.0, 1e200, 1e200),
    (1e-100, 1.0, 1e-300, 1e300), (1e200, 1e200, 1e-160, 1e-160), (1.0, 1.0, 0.0, 1.0), (1e300, 1e300, 0.0, 1.0),
])  # fmt: skip
def test_numbers_far_from_one_stay_with_their_terms(a, b, s, t):
    _, A, B = matrices(*SIZES[0])
    A, B = A * a, B * b
    with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
        found = pb.jit(weighted)
        np.testing.assert_allclose(found(A, B, s, t), weighted(A, B, s, t), rtol=1e-9, atol=1e-250)
        assert "add_matmul" in found.source or "@" in found.source


def test_the_order_of_sums_can_be_kept():
    program, _ = program_of(local_sum, *factors(local_sum, *SIZES[0]))
    assert "matmul" in generate(program) and "matmul" not in generate(program, Context(reassociate=False))


def test_doctest():
    assert doctest.testmod(recognise).failed == 0
