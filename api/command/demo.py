"""`python -m pullback demo`: logistic regression on measured data, with every stage of its gradient."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.datasets import load_breast_cancer

from .. import __version__
from ..runtime.compile import counts
from ..testing import check_grad
from ..transforms.public import value_and_grad
from .terminal import Page


def loss(theta, X, y):
    z = X @ theta[:-1] + theta[-1]
    fit = np.mean(np.logaddexp(0.0, z) - y * z)
    return fit + 1e-3 * np.sum(theta[:-1] ** 2)


loss.__module__ = "demo"  # a user's: pullback does not read its own functions, and would lose the names


def run() -> None:
    """Print the demo."""
    page = Page()
    page.title(f"pullback {__version__}", "the gradient of a NumPy function, compiled")
    data = load_breast_cancer()
    train, test = split(data.data, 1.0 - data.target)
    page.text(
        f"The Wisconsin breast cancer data: {len(data.data)} tumours, {data.data.shape[1]} measurements "
        f"of each. Which are malignant? A logistic regression is fitted to {len(train[1])} of them, by "
        "scipy's L-BFGS-B with a gradient from pullback, and tested on the "
        f"other {len(test[1])}."
    )
    theta = np.zeros(data.data.shape[1] + 1)

    page.heading("The function", "plain NumPy")
    page.code(
        "import pullback as pb\n\n" + inspect.getsource(loss) + "\nvalue_and_grad = pb.value_and_grad(loss)"
    )

    gradient = value_and_grad(loss)
    began = time.perf_counter()
    lowered = gradient.lower(theta, *train)
    ir, adjoint, source = str(lowered.ir), str(lowered.adjoint_ir), lowered.source
    traced = time.perf_counter() - began
    page.heading(
        "Its program", "value_and_grad.ir: every value has a name and a type, n is any number of rows"
    )
    page.code(ir)
    page.heading("The program of its gradient", "value_and_grad.adjoint_ir: the same, then backwards")
    page.code(adjoint)
    page.heading("What runs", "value_and_grad.source: Python, which numba compiles")
    page.code(source)

    page.heading("Is the gradient right?")
    with page.waiting("compiling"):
        began = time.perf_counter()
        counts.clear()
        gradient(theta, *train)
        compiled = time.perf_counter() - began
    point = np.random.default_rng(0).normal(size=theta.size)
    check_grad(loss, point, *train, argnums=0)
    found = gradient(point, *train)[1]
    expected = scipy.optimize.approx_fprime(point, loss, 1e-7, *train)
    off = np.max(np.abs(found - expected)) / np.max(np.abs(expected))
    page.text("It agrees with extrapolated finite differences in random directions to 6 digits or more,")
    page.text(f"and with scipy's approx_fprime, element by element, to {off:.0e} (what that can resolve).")

    page.heading("The fit", f"L-BFGS-B, {theta.size} parameters")
    ours = Fit(gradient, theta, train, test, jac=True)
    plain = Fit(loss, theta, train, test, jac=None)
    per_gradient = [
        per_call(lambda: gradient(point, *train)),
        per_call(lambda: scipy.optimize.approx_fprime(point, loss, 1e-8, *train)),
    ]
    rows = [["", "pullback", "scipy's finite differences"]]
    rows.append(["time per gradient", *map(duration, per_gradient)])
    rows.append(["iterations", str(ours.result.nit), str(plain.result.nit)])
    rows.append(["calls of the function", str(ours.result.nfev), str(plain.result.nfev)])
    rows.append(["time of the fit", duration(ours.seconds), duration(plain.seconds)])
    rows.append(["loss", f"{ours.result.fun:.6f}", f"{plain.result.fun:.6f}"])
    rows.append([f"right of {len(test[1])} held out", *(f"{100 * f.accuracy:.1f} %" for f in (ours, plain))])
    page.table(rows)
    page.text("")
    if counts["compiled"]:
        start = f"numba {duration(compiled)}, and only once: the code is kept on disk"
    else:
        start = f"loading numba and the code, which an earlier run left on disk, {duration(compiled)}"
    page.text(
        f"A gradient is {per_gradient[1] / per_gradient[0]:.0f} times faster than by finite differences. "
        f"Tracing and differentiating took {duration(traced)}, {start}."
    )


class Fit:
    """One run of the optimiser."""

    def __init__(self, function: Callable[..., Any], start: Any, train: Any, test: Any, jac: bool | None):
        began = time.perf_counter()
        self.result = scipy.optimize.minimize(function, start, args=train, jac=jac, method="L-BFGS-B")
        self.seconds = time.perf_counter() - began
        X, y = test
        self.accuracy = np.mean((X @ self.result.x[:-1] + self.result.x[-1] > 0) == (y == 1))


def split(X: Any, y: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Four fifths to fit and one to test, by a fixed seed, measured in standard deviations of the former."""
    order = np.random.default_rng(0).permutation(len(y))
    fit, held = order[: len(y) * 4 // 5], order[len(y) * 4 // 5 :]
    mean, scale = X[fit].mean(axis=0), X[fit].std(axis=0)
    X = (X - mean) / scale
    return (X[fit], y[fit]), (X[held], y[held])


def per_call(function: Callable[[], Any]) -> float:
    """The median time of a call, in about a tenth of a second."""
    times: list[float] = []
    end = time.perf_counter() + 0.15
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def duration(seconds: float) -> str:
    """
    >>> duration(1.234e-5), duration(0.0421), duration(2.5)
    ('12.3 µs', '42.1 ms', '2.50 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds / size >= 10 else f"{seconds / size:.2f} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
