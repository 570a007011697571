"""Calls of LAPACK in compiled code give what the plain functions give, for stacks, all sizes and both precisions."""

import numba
import numpy as np
import pytest

from pullback.runtime import support
from pullback.runtime.intrinsics import lapack, linalg

pytestmark = pytest.mark.compiled
SHAPES = [(), (3,), (2, 0)]


def operands(name, lead, n, dtype):
    """What a function is called with, and the shape of its result, several times."""
    rng = np.random.default_rng(n)
    a = (rng.normal(size=(*lead, n, n)) + 2 * np.eye(n)).astype(dtype)
    f = np.empty((*lead, n + 1, n), dtype)
    linalg.lu(a, f)
    right = [rng.normal(size=(*lead, n, k)).astype(dtype) for k in (1, 3, 0)]
    flags = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1)]
    match name:
        case "lu":
            return [((a,), f.shape)]
        case "lu_solve":
            return [((f, b, t), b.shape) for b in right for t in (0, 1)]
        case "eigh":
            return [((a,), f.shape)]
        case "svd":
            sizes = [(a[..., : n // 2], n // 2), (a[..., : n // 2, :], n // 2), (a, n)]
            return [((np.ascontiguousarray(x),), (*lead, sum(x.shape[-2:]) + 1, k)) for x, k in sizes]
        case "qr":
            tall = [np.ascontiguousarray(x) for x in (a, a[..., : n // 2])]
            return [((x,), (*lead, sum(x.shape[-2:]), x.shape[-1])) for x in tall]
        case "solve_triangular":
            return [((a, b, *how), b.shape) for b in right for how in flags]
        case "cholesky":
            return [((a @ np.swapaxes(a, -1, -2),), a.shape), ((-a,), a.shape)]
    raise NotImplementedError(name)


@pytest.mark.parametrize("function", lapack.WRITTEN, ids=lambda f: f.__name__)
def test_as_the_plain_function(function):
    name = function.__name__
    scope = {"support": support}
    for rank in (0, 1):
        for dtype in ("f8", "f4"):
            close = {"rtol": 1e-9, "atol": 1e-9} if dtype == "f8" else {"rtol": 2e-2, "atol": 1e-4}
            found = 0
            for lead in SHAPES:
                if (len(lead) > 0) != rank:
                    continue
                for n in (0, 1, 2, 5, 40) if lead != (2, 0) else (3,):
                    for args, shape in operands(name, lead, n, dtype):
                        names = ", ".join(f"a{k}" for k in range(len(args)))
                        exec(f"def call({names}, out):\n    support.{name}({names}, out)", scope)
                        compiled = scope.setdefault((name, len(lead)), numba.njit(scope["call"]))
                        out, wanted = np.full(shape, 9.0, dtype), np.full(shape, 9.0, dtype)
                        given = [np.array(a) for a in args]
                        with np.errstate(all="ignore"):
                            compiled(*args, out)
                            function(*args, wanted)
                        if name == "cholesky" and n and np.any(wanted[..., n - 1, n - 1] < 0):
                            out, wanted = out[..., n - 1, n - 1], wanted[..., n - 1, n - 1]
                        if name in ("eigh", "svd") and dtype == "f4":  # signs depend on rounding
                            out, wanted = np.abs(out), np.abs(wanted)
                        np.testing.assert_allclose(out, wanted, **close)
                        for a, before in zip(args, given):
                            np.testing.assert_array_equal(a, before)
                        found += 1
            assert found > 3


def test_no_address_is_in_the_code():
    @numba.njit
    def call(a, out):
        support.lu(a, out)

    call(np.eye(3), np.empty((4, 3)))
    (code,) = call.inspect_llvm().values()
    assert '"pullback_scipy_dgetrf"' in code or "@pullback_scipy_dgetrf" in code
    assert "inttoptr" not in code.split("define")[1]
