"""Expressions beside each other: derivatives, readable numbers, and whether two are equal. Imports SymPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy

from .sympy_bridge import expression, without_steps

_PLAIN = 10_000
"""A decimal number is shown as a fraction up to this denominator."""


def weighted(results: Sequence[Any], seeds: Sequence[Any]) -> Any:
    """One expression to differentiate: the result itself, or results times their cotangents."""
    flat = [e for result in results for e in np.ravel(np.asarray(result, object))]
    weights = [s for seed in seeds for s in np.ravel(np.asarray(seed, object))] if seeds else [sympy.Integer(1)]
    return sympy.Add(*(readable(w * e) for w, e in zip(weights, flat)))


def derivative(total: Any, symbol: Any) -> Any:
    return without_steps(sympy.diff(total, symbol))


def readable(value: Any) -> Any:
    """With fractions for decimal numbers: 1/2 for 0.500000000000000. Arrays element by element.

    >>> x = sympy.Symbol("x")
    >>> readable(0.5 * x), readable(sympy.Float(0.1) + x)
    (x/2, x + 1/10)
    """
    if isinstance(value, np.ndarray):
        return _readable(value)
    if not isinstance(value, sympy.Basic):
        if not isinstance(value, (float, np.floating)):
            return value
        value = expression(value)
    exact = {f: sympy.Rational(repr(float(f))) for f in value.atoms(sympy.Float) if abs(float(f)) < np.inf}
    return value.xreplace({f: r for f, r in exact.items() if r.q <= _PLAIN})


def _readable(values: np.ndarray) -> np.ndarray:
    result = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        result[place] = readable(values[place])
    return result


def difference(a: Any, b: Any, largest: int) -> Any:
    """a - b, simplified, unless it has more than `largest` operations."""
    rest = sympy.expand(a - b)
    if rest == 0 or sympy.count_ops(rest) > largest:
        return rest
    return sympy.simplify(a - b)


def largest_difference(a: Any, b: Any, points: int) -> float:
    """The largest relative difference at random points between 0.2 and 0.9, where all usual functions are defined."""
    rng = np.random.default_rng(0)
    names = sorted((a - b).free_symbols, key=str)
    worst = 0.0
    for _ in range(points):
        values = {s: sympy.Rational(str(round(rng.uniform(0.2, 0.9), 6))) for s in names}
        left, right = (complex(sympy.N(e.subs(values), 30)) for e in (a, b))
        worst = max(worst, abs(left - right) / (1 + abs(left)))
    return worst
