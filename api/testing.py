"""Checks of gradients: against finite differences, and against SymPy's derivatives.

Both raise AssertionError with the places that disagree and both numbers, and are meant for tests of users as
much as for our own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .calls.tree import Tree, flatten
from .inspection.check_primitive import check_primitive as check_primitive
from .runtime.lazy import lazy
from .transforms.argnums import checked_argnums, positions
from .transforms.public import jvp, trace, vjp

_STEPS = 14
_SHOWN = 6


def check_grad(
    f: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    rtol: float | None = None,
    directions: int = 3,
    seed: int = 0,
) -> None:
    """Compare the gradient of `f` with finite differences of `f` as NumPy runs it.

    Arguments and results may be of any shape and in any containers; `argnums` says which arguments are
    differentiated (all that have floats). In each of some random directions `d`, with random cotangents
    `s` of the results, `<vjp(s), d>` is compared with extrapolated central differences of `<s, f(x + h d)>`,
    to `rtol` (1e-6; 1e-3 with float32) and what the differences themselves are uncertain by. On the way:
    is the value that of NumPy, are the arguments left alone, does a second pull give the same?
    What is nan or inf among the arguments (missing data) stays as it is, and its own gradient is not compared.

    >>> check_grad(lambda x, w: np.sin(x) @ w, np.array([0.1, 2.0]), np.array([1.0, -1.0]))
    """
    problem = _Problem.of(f, args, argnums)
    rtol = problem.rtol(rtol)
    if any(x.size for x in problem.points) and not any(np.isfinite(x).any() for x in problem.points):
        raise ValueError("every number to differentiate is nan or inf: there is nothing to compare")
    rng = np.random.default_rng(seed)
    before = _copies(problem.leaves)
    y, pull = vjp(f, *args)
    _compare_values(f, y, f(*problem.arguments(_copies(problem.leaves))), rtol)
    found = flatten(y)[0]
    problem.results, problem.count = [k for k, leaf in enumerate(found) if _is_float(leaf)], len(found)
    for _ in range(directions):
        seeds = _random_seeds(y, rng)
        bars = problem.cotangents(pull(seeds))
        for bar, again, path in zip(bars, problem.cotangents(pull(seeds)), problem.paths):
            if not np.array_equal(bar, again, equal_nan=True):
                raise AssertionError(f"check_grad: a second pull gives another gradient of {path}")
        steps = [_random_step(x, rng) for x in problem.points]
        _compare_slopes(problem, seeds, bars, steps, rtol)
    for leaf, kept in zip(problem.leaves, before):
        if isinstance(leaf, np.ndarray) and not np.array_equal(leaf, kept, equal_nan=leaf.dtype.kind == "f"):
            raise AssertionError("check_grad: an argument was changed")


def check_rule(
    f: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    rtol: float | None = None,
    differences: bool = True,
    directions: int = 3,
    seed: int = 0,
) -> None:
    """Check the derivative rule of a function: `custom_vjp`, `custom_jvp`, `register`, `primitive`, `root`, ...

    Value and shapes are those of the function as Python runs it; the rule for reverse mode is held against finite
    differences, as `check_grad` does, and forward mode against it, `<s, jvp d> == <vjp s, d>` for random d and s.

    differences   False for a rule that is not the derivative of the function on purpose (clipping, straight-through)

    Raises AssertionError with what differs.

    >>> from .transforms.public import custom_jvp
    >>> square = custom_jvp(lambda x: x * x)
    >>> square.defjvps(lambda t, y, x: 2.0 * x * t)
    >>> check_rule(square, np.array([0.5, -1.0]))
    """
    if differences:
        check_grad(f, *args, argnums=argnums, rtol=rtol, directions=directions, seed=seed)
    problem = _Problem.of(f, args, argnums)
    rtol = problem.rtol(rtol)
    rng = np.random.default_rng(seed)
    y, pull = vjp(f, *args)
    _compare_values(f, y, f(*problem.arguments(_copies(problem.leaves))), rtol)
    for _ in range(directions):
        seeds = _random_seeds(y, rng)
        bars = problem.cotangents(pull(seeds))
        steps = [_random_step(x, rng) for x in problem.points]
        tangents: list[Any] = [None] * len(problem.leaves)
        for k, step in zip(problem.chosen, steps):
            dtype = np.asarray(problem.leaves[k]).dtype
            tangents[k] = step.astype(dtype) if np.ndim(step) else dtype.type(step)
        again, moved = jvp(f, args, tuple(problem.arguments(tangents)))
        _compare_values(f, again, y, rtol)
        pairs = list(zip(_floats(seeds), _floats(moved), strict=True))
        for s, d in pairs:
            if np.shape(s) != np.shape(d):
                shapes = f"{np.shape(d)}, and the value {np.shape(s)}"
                raise AssertionError(f"check_rule: a tangent of {_name(f)} has the shape {shapes}")
        left = float(sum(np.sum(s * d) for s, d in pairs))
        products = [np.sum(np.asarray(bar, np.float64) * step) for bar, step in zip(bars, steps)]
        scale = float(sum(map(np.abs, products))) + float(sum(np.sum(np.abs(s * d)) for s, d in pairs))
        if not abs(left - float(sum(products))) <= rtol * scale + 1e-300:
            raise AssertionError(
                f"check_rule: forward and reverse mode of {_name(f)} differ: <s, jvp d> is {left:.10g}, <vjp s, d> is "
                f"{float(sum(products)):.10g}"
            )


@dataclass
class _Problem:
    """A function at a point: `points` are the leaves that are differentiated."""

    f: Callable[..., Any]
    trees: list[Tree]
    leaves: list[Any]
    chosen: list[int]  # positions in leaves
    paths: list[str]  # of the chosen
    count: int = 0  # how many leaves the result has
    results: list[int] | None = None  # which leaves of the result are floats here; None: those that are in NumPy

    @staticmethod
    def of(f: Callable[..., Any], args: tuple[Any, ...], argnums: int | Sequence[int] | None) -> _Problem:
        wanted = range(len(args)) if argnums is None else positions(checked_argnums(argnums), len(args))
        leaves: list[Any] = []
        trees, chosen, paths = [], [], []
        for k, arg in enumerate(args):
            own, tree = flatten(arg)
            for leaf, path in zip(own, tree.paths(f"argument {k}")):
                if k in wanted and _is_float(leaf):
                    chosen.append(len(leaves))
                    paths.append(path)
                leaves.append(leaf)
            trees.append(tree)
        if not chosen:
            raise TypeError("there is no float to differentiate among the arguments")
        return _Problem(f, trees, leaves, chosen, paths)

    @property
    def points(self) -> list[Any]:
        return [np.asarray(self.leaves[k], np.float64) for k in self.chosen]

    def rtol(self, given: float | None) -> float:
        single = any(np.asarray(self.leaves[k]).dtype == np.float32 for k in self.chosen)
        return given if given is not None else 1e-3 if single else 1e-6

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        """The arguments again, from leaves."""
        rest = iter(leaves)
        return [
            tree.unflatten(list(itertools.islice(rest, tree.count)), construct=True) for tree in self.trees
        ]

    def at(self, points: Sequence[Any]) -> list[Any]:
        """The float results of f, with these values of the differentiated leaves, in double precision."""
        leaves = _copies(self.leaves)
        for k, point in zip(self.chosen, points):
            kind = np.array if isinstance(leaves[k], np.ndarray) else float if type(leaves[k]) is float else np.float64
            leaves[k] = kind(point)
        with np.errstate(all="ignore"):
            result = self.f(*self.arguments(leaves))
        if self.results is None:
            return _floats(result)
        found = flatten(result)[0]  # Python's 7 in one arm and a float in the other are a float in a program
        if len(found) != self.count:  # a list that is longer here
            return []
        return [np.asarray(found[k], np.float64) for k in self.results]

    def cotangents(self, pulled: tuple[Any, ...]) -> list[Any]:
        """The cotangents of the chosen leaves; each must have the shape and dtype of its leaf."""
        if len(pulled) != len(self.trees):
            raise AssertionError(f"pull gave {len(pulled)} cotangents for {len(self.trees)} arguments")
        leaves = [leaf for bar, tree in zip(pulled, self.trees) for leaf in _matching(bar, tree)]
        bars = [leaves[k] for k in self.chosen]
        for bar, k, path in zip(bars, self.chosen, self.paths):
            x = np.asarray(self.leaves[k])
            found = np.asarray(bar)
            if found.shape != x.shape or found.dtype != x.dtype.newbyteorder("="):
                raise AssertionError(
                    f"{path} is {x.dtype}{list(x.shape)}, its gradient {found.dtype}{list(found.shape)}"
                )
        return bars


def _matching(bar: Any, tree: Tree) -> list[Any]:
    """The leaves of a cotangent, where that of an integer may be None."""
    if bar is None:
        return [None] * tree.count
    try:
        return tree.take(bar, "the gradient")
    except ValueError as error:
        raise AssertionError(str(error)) from None


def _is_float(leaf: Any) -> bool:
    return not isinstance(leaf, (str, bytes)) and np.asarray(leaf).dtype.kind == "f"


def _floats(y: Any) -> list[Any]:
    return [np.asarray(leaf, np.float64) for leaf in flatten(y)[0] if _is_float(leaf)]


def _copies(leaves: Sequence[Any]) -> list[Any]:
    return [leaf.copy(order="K") if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]


def _random_seeds(y: Any, rng: np.random.Generator) -> Any:
    """Random cotangents in the form of y; None for what is not a float."""
    leaves, tree = flatten(y)
    seeds = []
    for leaf in leaves:
        if _is_float(leaf):
            dtype = np.asarray(leaf).dtype
            value = rng.normal(size=np.shape(leaf)).astype(dtype)
            seeds.append(value if np.ndim(leaf) else dtype.type(value))
        else:
            seeds.append(None)
    return tree.unflatten(seeds)


def _random_step(x: Any, rng: np.random.Generator) -> Any:
    """A random direction in the scale of x; 0 where x is not finite, because there is no number near."""
    step = rng.normal(size=np.shape(x))
    return np.multiply(step, np.maximum(np.abs(x), 0.1), out=np.zeros(np.shape(x)), where=np.isfinite(x))


def _compare_values(f: Any, found: Any, expected: Any, rtol: float) -> None:
    found_leaves, form = flatten(found)
    leaves, tree = flatten(expected)
    if len(leaves) != len(found_leaves):
        raise AssertionError(f"{_name(f)} gives {tree} in NumPy, {form} here")
    for a, b, path in zip(found_leaves, leaves, tree.paths("the result")):
        if np.shape(a) != np.shape(b):
            raise AssertionError(f"{path} of {_name(f)} has shape {np.shape(b)} in NumPy, {np.shape(a)} here")
        if np.asarray(b).dtype.kind in "US":
            if not np.array_equal(a, b):
                raise AssertionError(f"{path} of {_name(f)} is {b!r} in NumPy, {a!r} here")
        elif not np.allclose(a, b, rtol=rtol, atol=1e-12, equal_nan=True):
            raise AssertionError(f"{path} of {_name(f)} is\n{b}\nin NumPy, here\n{a}")


def _name(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)


# -- finite differences ------------------------------------------------------------------------------


@dataclass
class _Slope:
    """An extrapolated derivative, and by how much it may be wrong."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.10g} (within {self.error:.1g})"


def _slope(problem: _Problem, seeds: list[Any], steps: Sequence[Any]) -> _Slope:
    """d/dh <seeds, f(x + h steps)> at h = 0: Richardson's table of central differences, its best entry."""
    points = problem.points

    def along(h: float) -> tuple[float, float] | None:
        results = problem.at([x + h * step for x, step in zip(points, steps)])
        if [np.shape(r) for r in results] != [np.shape(s) for s in seeds]:
            return None
        terms = [np.sum(s * r) for s, r in zip(seeds, results)]
        return float(sum(terms)), float(sum(np.sum(np.abs(s * r)) for s, r in zip(seeds, results)))

    best = _Slope(np.nan, np.inf)
    previous: list[float] = []
    for k in range(_STEPS):
        h = 0.05 * 0.5**k
        one, two = along(h), along(-h)
        if one is None or two is None:  # other shapes there: nearer ones may be the same
            previous = []
            continue
        (above, size), (below, _) = one, two
        row = [(above - below) / (2 * h)]
        noise = np.finfo(float).eps * (size + abs(above)) / h
        for j, old in enumerate(previous):
            row.append(row[j] + (row[j] - old) / (4.0 ** (j + 1) - 1))
            error = max(abs(row[j + 1] - row[j]), abs(row[j + 1] - old)) + noise
            if error < best.error:
                best = _Slope(row[j + 1], error)
        previous = row[:6]
        if best.error <= 1e-11 * abs(best.value):
            break
    if not previous:
        raise AssertionError(
            f"check_grad: finite differences of {_name(problem.f)} do not settle: near these arguments its results "
            "have other shapes"
        )
    return best


def _compare_slopes(
    problem: _Problem, seeds: Any, bars: Sequence[Any], steps: Sequence[Any], rtol: float
) -> None:
    weights = _floats(seeds)
    slope = _slope(problem, weights, steps)
    # Where there is no step (missing data) the gradient may be anything, nan too.
    products = [np.asarray(bar, np.float64)[step != 0.0] * step[step != 0.0] for bar, step in zip(bars, steps)]
    found = float(sum(np.sum(p) for p in products))
    scale = max(abs(slope.value), float(sum(np.sum(np.abs(p)) for p in products)))
    if abs(found - slope.value) <= rtol * scale + 4 * slope.error and not _unsettled(slope, scale):
        return
    lines = [f"check_grad: the gradient of {_name(problem.f)} is not what finite differences give"]
    lines.append(f"  in a random direction: gradient {found:.10g}, finite differences {slope}")
    if _unsettled(slope, scale):
        lines[0] = (
            f"check_grad: finite differences of {_name(problem.f)} do not settle (a kink or a jump here?)"
        )
    raise AssertionError("\n".join(lines + _worst_elements(problem, weights, bars, rtol)))


def _unsettled(slope: _Slope, scale: float) -> bool:
    return not slope.error <= 1e-3 * scale + 1e-6


def _worst_elements(problem: _Problem, seeds: list[Any], bars: Sequence[Any], rtol: float) -> list[str]:
    """Lines for the elements that disagree most, among at most 300."""
    points = enumerate(problem.points)
    places = [(k, place) for k, x in points for place in np.ndindex(x.shape) if np.isfinite(x[place])]
    rng = np.random.default_rng(0)
    if len(places) > 300:
        places = [places[k] for k in sorted(rng.choice(len(places), 300, replace=False))]
    wrong = []
    for k, place in places:
        steps = [np.zeros(x.shape) for x in problem.points]
        unit = max(abs(float(problem.points[k][place])), 0.1)
        steps[k][place] = unit
        slope = _slope(problem, seeds, steps)
        slope = _Slope(slope.value / unit, slope.error / unit)
        found = float(np.asarray(bars[k])[place])
        off = abs(found - slope.value)
        if not off <= rtol * max(abs(found), abs(slope.value)) + 4 * slope.error:
            where = problem.paths[k] + (f"[{', '.join(map(str, place))}]" if place else "")
            wrong.append((-off, f"  {where}: gradient {found:.10g}, finite differences {slope}"))
    wrong.sort()
    lines = [line for _, line in wrong[:_SHOWN]]
    if len(wrong) > _SHOWN:
        lines.append(f"  ... and {len(wrong) - _SHOWN} more of the {len(places)} elements tried")
    return lines


# -- SymPy -------------------------------------------------------------------------------------------


def assert_matches_sympy(
    f: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    points: int = 3,
    rtol: float = 1e-10,
    seed: int = 0,
) -> None:
    """Compare value and gradient of `f` with SymPy's derivative of `f`, evaluated with 30 digits.

    `f` is called with SymPy symbols in place of the floats of `args`, so that nothing of pullback is on
    that side; where Python or NumPy cannot do that (a branch on a symbol, ...), the traced program is
    translated and its value is compared with NumPy's. Points are `args` and others near it.

    >>> assert_matches_sympy(lambda x, w: np.sum(np.tanh(w * x)), np.array([0.1, 2.0]), 0.7)
    """
    bridge = lazy("inspection.sympy_bridge")
    problem = _Problem.of(f, args, argnums)
    names = [path.replace("argument ", "x") for path in problem.paths]
    symbols = [bridge.symbol_array(name, x.shape) for name, x in zip(names, problem.points)]
    expressions = bridge.expressions_of(
        lambda leaves: f(*problem.arguments(leaves)), problem.leaves, problem.chosen, symbols
    )
    if expressions is None:
        expressions = _traced_expressions(bridge, problem, symbols)
    rng = np.random.default_rng(seed)
    y, _ = vjp(f, *args)
    seeds = _random_seeds(y, rng)
    exact = bridge.ValueAndGradient(expressions, _floats(seeds), symbols)
    for k in range(points):
        near = problem.points if k == 0 else [x * rng.uniform(0.8, 1.2, x.shape) for x in problem.points]
        leaves = _copies(problem.leaves)
        for place, x in zip(problem.chosen, near):
            leaves[place] = x if isinstance(leaves[place], np.ndarray) else float(x)
        values, bars = exact(near)
        now = problem.arguments(leaves)
        y, pull = vjp(f, *now)
        for source, results in (("NumPy", problem.at(near)), ("pullback", _floats(y))):
            for found, value in zip(results, values):
                _close(found, value, rtol, f"the value of {_name(f)} in {source}")
        for found, bar, path in zip(problem.cotangents(pull(seeds)), bars, problem.paths):
            _close(found, bar, rtol, f"the gradient of {path}")


def _traced_expressions(bridge: Any, problem: _Problem, symbols: list[Any]) -> list[Any]:
    program = trace(problem.f, *problem.arguments(problem.leaves))
    leaves = list(problem.leaves)
    for place, symbol in zip(problem.chosen, symbols):
        leaves[place] = symbol
    results = bridge.to_sympy(program, *leaves)
    return list(results) if isinstance(results, tuple) else [results]


def _close(found: Any, exact: Any, rtol: float, what: str) -> None:
    scale = float(np.max(np.abs(exact), initial=0.0))
    if np.shape(found) != np.shape(exact) or not np.allclose(found, exact, rtol=rtol, atol=rtol * scale):
        raise AssertionError(f"{what} is\n{found}\nSymPy gives\n{exact}")
