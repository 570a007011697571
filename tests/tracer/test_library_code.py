"""Functions of NumPy and SciPy that have no rule, and are written with others: their own code is traced."""

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.signal
import scipy.spatial.distance as distance

import pullback as pb

X = np.array([3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0])
POINTS = np.array([0.0, 1.0, 3.0, 4.0, 6.0, 7.0, 9.0])
POLYNOMIALS = np.polynomial

SMOOTH = {
    "insert": lambda x: np.insert(x, [3, 1, 1, -1], [7.0, 8.0, 9.0, 10.0]),
    "insert one value": lambda x: np.insert(x, [2, 2], x[0]),
    "insert columns": lambda x: np.insert(np.stack([x, x]), [1, 3], [[1.0, 2.0], [3.0, 4.0]], axis=1),
    "insert in a slice": lambda x: np.insert(x, slice(1, 4), x[:3]),
    "delete": lambda x: np.delete(x, [1, -1, 1]),
    "delete a slice": lambda x: np.delete(x, slice(None, None, 2)),
    "delete columns": lambda x: np.delete(np.stack([x, x * 2]), [0, 2], axis=1),
    "gradient": lambda x: np.gradient(x, POINTS),
    "gradient, second order": lambda x: np.gradient(x, POINTS, edge_order=2),
    "gradient by itself": lambda x: np.gradient(x, np.cumsum(x)),
    "choose": lambda x: np.choose([0, 1, 1, 0, 2, 2, 0], [x, x * 2.0, 1.0]),
    "ravel_multi_index": lambda x: x[np.ravel_multi_index(([0, 1], [1, 2]), (2, 3))],
    "cov": lambda x: np.cov(x, aweights=np.arange(1.0, 8.0)),
    "polyadd": lambda x: np.polyadd(x, x[:2]),
    "polyder": lambda x: np.polyder(x),
    "polyint": lambda x: np.polyint(x),
    "chebval": lambda x: POLYNOMIALS.chebyshev.chebval(0.3, x),
    "legval": lambda x: POLYNOMIALS.legendre.legval(0.3, x),
    "hermval": lambda x: POLYNOMIALS.hermite.hermval(0.3, x),
    "polyvander": lambda x: POLYNOMIALS.polynomial.polyvander(x, 3),
    "simpson": lambda x: scipy.integrate.simpson(x, dx=0.3),
    "simpson of points": lambda x: scipy.integrate.simpson(x, x=np.cumsum(x)),
    "trapezoid": lambda x: scipy.integrate.trapezoid(x, dx=0.1),
    "cumulative_trapezoid": lambda x: scipy.integrate.cumulative_trapezoid(x, initial=0),
    "cosine": lambda x: distance.cosine(x, x**2),
    "euclidean": lambda x: distance.euclidean(x, x**2),
    "correlation": lambda x: distance.correlation(x, x**2),
    "minkowski": lambda x: distance.minkowski(x, x**2, 3),
    "toeplitz": lambda x: scipy.linalg.toeplitz(x),
    "hankel": lambda x: scipy.linalg.hankel(x),
    "detrend": lambda x: scipy.signal.detrend(x, type="constant"),
}
STEPS = {
    "isin": lambda x: x * np.isin(x, [1.0, 9.0]),
    "setdiff1d": lambda x: np.setdiff1d(x, [1.0, 9.0]),
    "union1d": lambda x: np.union1d(x, x**2),
    "intersect1d": lambda x: np.intersect1d(x, [1.0, 9.0, 100.0]),
    "delete where": lambda x: np.delete(x, x > 3.0),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*SMOOTH, *STEPS])
def test_values(name):
    function = SMOOTH.get(name) or STEPS[name]
    wanted = np.asarray(function(X))
    with pb.options(jit=False):
        found = pb.jit(function)(X)
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-13)
    assert np.shape(found) == wanted.shape
    assert np.asarray(found).dtype == wanted.dtype


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name):
    with pb.options(jit=False):
        pb.testing.check_grad(lambda x: np.sum(np.sin(0.7 * SMOOTH[name](x))), X)


def test_what_cannot_be_traced_is_refused_by_its_name():
    def f(x):
        return scipy.signal.lfilter([1.0], [1.0, 0.5], x)[-1]

    with pytest.raises(pb.PullbackError, match=r"lfilter cannot be traced: pullback has no rule for it") as caught:
        pb.grad(f)(X)
    assert "scipy.signal.lfilter([1.0]" in str(caught.value)
