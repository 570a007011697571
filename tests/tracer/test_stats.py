"""scipy.stats: values as SciPy's, inside, at the ends and outside of the support, and gradients by all arguments."""

import warnings

import numpy as np
import pytest
import scipy.stats
from scipy.stats import norm

import pullback as pb
from pullback.testing import check_grad
from pullback.tracer.numpy.stats import LAWS, _from

SHAPES = {
    "gamma": (2.5,), "chi2": (3.0,), "invgamma": (2.2,), "beta": (1.7, 2.4), "t": (4.0,), "lognorm": (0.7,),
    "weibull_min": (1.8,), "pareto": (2.5,), "skewnorm": (1.5,), "poisson": (2.3,), "bernoulli": (0.4,),
    "binom": (5.0, 0.3), "geom": (0.35,), "nbinom": (3.0, 0.4),
}  # fmt: skip
PLACES = np.array([-2.0, -0.5, 0.0, 0.3, 0.8, 1.0, 1.7, 2.0, 3.0, 5.0, 9.0, np.nan, np.inf, -np.inf])
SHARES = np.array([0.0, 0.1, 0.5, 0.9, 1.0, -0.2, 1.3, np.nan])
BY_INTEGRALS = ("gamma", "chi2", "invgamma", "beta", "t")
"""Whose distribution functions have no known derivative by their shapes."""
PRIOR = norm(0.5, 2.0)
CASES = [
    (name, method)
    for name, law in LAWS.items()
    for method in ("pdf", "logpdf", "pmf", "logpmf", "cdf", "sf", "logcdf", "logsf", "ppf", "isf")
    if (method.endswith(("pdf", "pmf")) and method.endswith("pmf") == law.discrete) or _from(law, method) is not None
]


@pytest.fixture(autouse=True)
def _uncompiled():
    with pb.options(jit=False, cache=False), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.fuzz
@pytest.mark.parametrize(("name", "method"), CASES, ids=lambda v: v)
def test_values_are_scipys(name, method):
    function = getattr(getattr(scipy.stats, name), method)
    shapes = SHAPES.get(name, ())

    def f(x, shapes, loc):
        return function(x, *shapes, loc=loc)

    def g(x, shapes, loc, scale):
        return function(x, *shapes, loc, scale)

    for x in (SHARES if method in ("ppf", "isf") else PLACES, np.float64(1.0)):
        np.testing.assert_allclose(pb.jit(f)(x, shapes, 0.0), f(x, shapes, 0.0), rtol=1e-9, atol=1e-14)
        if not LAWS[name].discrete:
            for scale in (0.5, -1.0):
                want = g(x, shapes, 0.3, scale)
                np.testing.assert_allclose(pb.jit(g)(x, shapes, 0.3, scale), want, rtol=1e-9, atol=1e-14)
    if shapes:
        bad = (-1.0,) * len(shapes)
        if name != "skewnorm":
            assert np.isnan(pb.jit(f)(np.float64(1.0), bad, 0.0)) == np.isnan(f(1.0, bad, 0.0))


@pytest.mark.fuzz
@pytest.mark.parametrize(("name", "method"), CASES, ids=lambda v: v)
def test_gradients(name, method):
    function = getattr(getattr(scipy.stats, name), method)
    shapes = SHAPES.get(name, ())
    if LAWS[name].discrete:
        places = np.array([1.0, 2.0]) if name != "bernoulli" else np.array([0.0, 1.0])
        argnums = tuple(range(1, 1 + len(shapes))) if name != "binom" else (2,)
        check_grad(function, places, *shapes, argnums=argnums)
    else:
        places = np.array([0.3, 0.8]) if name != "pareto" else np.array([1.4, 2.2])
        if name in BY_INTEGRALS and not method.endswith("pdf"):
            check_grad(lambda x, loc, scale: function(x, *shapes, loc, scale), places, 0.05, 1.1)
        else:
            check_grad(function, places, *shapes, 0.05 if name != "pareto" else -0.1, 1.1)


def test_by_a_shape_without_a_formula():
    with pytest.raises(pb.PullbackError, match="the derivative of stdtr by df is not known"):
        pb.grad(lambda df: scipy.stats.t.cdf(0.3, df))(4.0)


def test_frozen_with_and_without_traced_parameters():
    check_grad(lambda x, m, s: np.sum(norm(m, s).logpdf(x)) + norm(loc=m).cdf(x[0]), np.array([0.3, 0.8]), 0.2, 1.5)
    check_grad(lambda x: PRIOR.logpdf(x) + norm.logpdf(1.0) + norm.cdf(0.3), np.array([0.3, 0.8]))


def test_draws_are_made_at_each_call():
    f = pb.jit(lambda x: x + norm.rvs(size=2))
    np.random.seed(1)
    want = [1.0 + norm.rvs(size=2) for _ in range(3)]
    np.random.seed(1)
    np.testing.assert_allclose([f(1.0) for _ in range(3)], want)
    g = pb.jit(lambda x: x + norm.rvs(size=2, random_state=3))
    np.testing.assert_allclose([g(1.0), g(1.0)], [1.0 + norm.rvs(size=2, random_state=3)] * 2)


@pytest.mark.parametrize(
    "call", [lambda x: scipy.stats.skewnorm.ppf(x, 1.5), lambda x: scipy.stats.f.logpdf(x, 2.0, 3.0)]
)
def test_what_is_not_known_is_refused_by_name(call):
    with pytest.raises(pb.PullbackError, match=r"scipy\.stats\.(skewnorm\.ppf|f\.logpdf)"):
        pb.grad(call)(0.3)
