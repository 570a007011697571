"""Transforms inside of transforms, enumerated: every stack of them, in every place, for every kind of argument.

Each program is a plain function of a matrix that calls transforms of pullback. It is run with `exact` in their place:
differences that are exact for polynomials of degree 6, as all programs here are. pullback's value is that of the
program traced, and that of its plain call, where only what is inside is traced.

    python tests/api/nested.py              all of them, some minutes
    python tests/api/nested.py 200 --start 40   every 200th from the 40th
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import pullback as pb
from pullback.calls.tree import flatten

A = np.array([[0.5, 1.0, -0.75], [1.5, -0.5, 0.25], [1.25, 0.75, 1.0]])
W = np.array([1.0, -0.5, 2.0])
D = np.array([[1.0, 0.5, -1.0], [0.25, -0.5, 1.0], [-0.25, 0.75, 0.5]])  # the direction of derivatives
STEP = 0.25
STENCIL = ((1, 45.0), (2, -9.0), (3, 1.0))  # over 60: exact for polynomials of degree 6


@dataclasses.dataclass
class Pair:
    w: Any
    b: Any
    name: str = "pair"


# -- the same transforms by exact differences ----------------------------------------------------------


def _bars(f: Callable[..., float], args: tuple[Any, ...]) -> tuple[Any, ...]:
    leaves, tree = flatten(args)
    bars: list[Any] = []
    for k, leaf in enumerate(leaves):
        if not isinstance(leaf, (float, np.floating, np.ndarray)):
            bars.append(None)
            continue
        bar = np.zeros(np.shape(leaf))
        for at in np.ndindex(bar.shape):
            for steps, weight in STENCIL:
                for sign in (1, -1):
                    moved = np.array(leaf)
                    moved[at] += sign * steps * STEP
                    new = [np.array(x) if isinstance(x, np.ndarray) else x for x in leaves]
                    new[k] = moved if isinstance(leaf, np.ndarray) else moved[()]
                    bar[at] += sign * weight * f(*tree.unflatten(new, construct=False)) / (60 * STEP)
        bars.append(bar if isinstance(leaf, np.ndarray) else float(bar))
    return tree.unflatten(bars, construct=False)


def _copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    leaves, tree = flatten(args)
    return tree.unflatten([np.array(x) if isinstance(x, np.ndarray) else x for x in leaves], construct=False)


def _value_and_grad(f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    def both(*args: Any) -> Any:
        value = f(*_copied(args))
        bars = _bars(lambda *a: f(*a)[0] if has_aux else f(*a), args)
        return value, bars[argnums] if isinstance(argnums, int) else tuple(bars[k] for k in argnums)

    return both


def _grad(f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    def gradient(*args: Any) -> Any:
        value, bars = _value_and_grad(f, argnums, has_aux)(*args)
        return (bars, value[1]) if has_aux else bars

    return gradient


def _vjp(f: Callable[..., Any], *args: Any) -> Any:
    args = _copied(args)
    return f(*_copied(args)), lambda seed: _bars(lambda *a: float(np.sum(f(*a) * seed)), args)


def _jit(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: f(*_copied(args))


def _inner(bars: Any, dots: Any) -> float:
    found, tree = flatten(bars)
    return float(sum(np.sum(b * d) for b, d in zip(found, tree.take(dots)) if b is not None and d is not None))


def _jvp(f: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    return f(*_copied(primals)), _inner(_bars(f, primals), tangents)


def _jacobian(f: Callable[..., Any]) -> Callable[..., Any]:
    """The blocks of a function whose value is a vector of 3."""

    def blocks(x: Any) -> Any:
        rows = [_bars(lambda t, k=k: f(t)[k], (x,))[0] for k in range(3)]
        found, tree = flatten(rows[0])
        columns = zip(*(tree.take(row) for row in rows))
        return tree.unflatten([None if c[0] is None else np.stack(c) for c in columns], construct=False)

    return blocks


def _hvp(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, v: _bars(lambda t: _inner(_bars(f, (t,))[0], v), (x,))[0]


def _vmap(f: Callable[..., Any], in_axes: Any) -> Callable[..., Any]:
    return lambda x, ks: np.array([f(*_copied((x, k))) for k in ks])


exact = types.SimpleNamespace(
    grad=_grad, value_and_grad=_value_and_grad, vjp=_vjp, jit=_jit, jvp=_jvp, jacfwd=_jacobian, jacrev=_jacobian,
    hvp=_hvp, vmap=_vmap,
)  # fmt: skip


# -- what is differentiated ----------------------------------------------------------------------------


def total(tree: Any) -> Any:
    """The weighted sum of all floats in a structure."""
    if isinstance(tree, (list, tuple)):
        s = 0.0
        for k, part in enumerate(tree):
            s = s + (1.0 + 0.5 * k) * total(part)
        return s
    if isinstance(tree, dict):
        return total(list(tree.values()))
    if isinstance(tree, Pair):
        return total([tree.w, tree.b])
    if tree is None or isinstance(tree, (int, str)):
        return 0.0
    return np.sum(tree * W[: tree.shape[-1]]) if np.ndim(tree) else tree


def squared(tree: Any) -> Any:
    """The sum of squares of all floats in a structure."""
    if isinstance(tree, (list, tuple)):
        return sum([squared(part) for part in tree])
    if isinstance(tree, dict):
        return squared(list(tree.values()))
    if isinstance(tree, Pair):
        return squared([tree.w, tree.b])
    if tree is None or isinstance(tree, (int, str)):
        return 0.0
    return np.sum(tree * tree)


def direction(tree: Any) -> Any:
    """A direction for the floats of a structure, that depends on them."""
    if isinstance(tree, (list, tuple)):
        return type(tree)([direction(part) for part in tree])
    if isinstance(tree, dict):
        return {key: direction(part) for key, part in tree.items()}
    if isinstance(tree, Pair):
        return Pair(direction(tree.w), direction(tree.b), None)
    if tree is None or isinstance(tree, (int, str)):
        return None
    return tree * 0.5 + 1.0


def _first(tree: Any) -> Any:
    """The first array in a structure, None if there is none."""
    leaves, _ = flatten(tree)
    for leaf in leaves:
        if np.ndim(leaf):
            return leaf
    return None


def plain(c: Any, table: Any) -> Callable[[Any], Any]:
    return lambda x: squared(x) + total(x) * c


def curved(c: Any, table: Any) -> Callable[[Any], Any]:
    def f(x):
        t = total(x)
        return t * t * t * 0.5 + c * squared(x)

    return f


def writes(c: Any, table: Any) -> Callable[[Any], Any]:
    """Writes to its own argument, which nobody else sees."""

    def f(x):
        array = _first(x)
        if array is not None:
            array[..., 0] *= c
            array[..., -1] += 1.0
        return squared(x) + total(x)

    return f


def loops(c: Any, table: Any) -> Callable[[Any], Any]:
    """A loop that fills an array of its own, and reads a row of an array from outside."""

    def f(x):
        t = total(x)
        buffer = np.zeros(3)
        for k in range(table.shape[1]):
            if k > 0:
                buffer[k] = buffer[k - 1] * 0.5 + t * table[1, k]
            else:
                buffer[k] = t * c
        return np.sum(buffer * buffer)

    return f


BODIES = {f.__name__: f for f in (plain, curved, writes, loops)}


# -- one level of transforms: from a function of x to another one ----------------------------------------


def level(P: Any, name: str, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    outside = P.grad(f)
    both = P.value_and_grad(f)

    def grad(x):
        return total(outside(x))

    def made_inside(x):
        return total(P.grad(f)(x))

    def value_and_grad(x):
        value, bar = both(x)
        return 0.5 * value + total(bar)

    def vjp(x):
        y, pull = P.vjp(f, x)
        return y + total(pull(2.0 + total(x))[0])

    def pulled_twice(x):
        _, pull = P.vjp(lambda t, k: f(t) * k, x, 2)
        return total(pull(1.0)) - 0.25 * total(pull(3.0)[0])

    def jit(x):
        return P.jit(f)(x) * 2.0

    def argnums(x):
        a, b = P.grad(lambda u, n, v: f(u) * v + n * total(u), argnums=(0, 2))(x, 2, 0.5)
        return total(a) + b

    def has_aux(x):
        bar, aux = P.grad(lambda t: (f(t), {"t": total(t), "n": 3, "name": "aux"}), has_aux=True)(x)
        return total(bar) + aux["t"] * aux["n"]

    def lambdas(x):
        return total(P.grad(lambda t: f(t) * total(x))(x))

    def jvp(x):
        y, y_dot = P.jvp(f, (x,), (direction(x),))
        return y + 0.5 * y_dot

    def jacfwd(x):
        return total(P.jacfwd(lambda t: f(t) * W)(x))

    def jacrev(x):
        return total(P.jacrev(lambda t: f(t) * W)(x))

    def hvp(x):
        return total(P.hvp(f)(x, direction(x)))

    def vmap(x):
        return np.sum(P.vmap(lambda t, k: f(t) * k, in_axes=(None, 0))(x, W))

    levels = (jvp, jacfwd, jacrev, hvp, vmap)
    if name in FORWARD:
        return {g.__name__: g for g in levels}[name]
    levels = (grad, made_inside, value_and_grad, vjp, pulled_twice, jit, argnums, has_aux, lambdas)
    return {g.__name__: g for g in levels}[name]


LEVELS = ("grad", "value_and_grad", "vjp", "jit")
VARIANTS = ("made_inside", "pulled_twice", "argnums", "has_aux", "lambdas")

FORWARD = ("jvp", "jacfwd", "jacrev", "hvp", "vmap")

ARGUMENTS: dict[str, Callable[[Any, Any], Any]] = {
    "row": lambda M, i: M[i],
    "column": lambda M, i: M[:, i],
    "part": lambda M, i: M[i][::-1][1:],
    "scalar": lambda M, i: M[i, 1],
    "whole": lambda M, i: M,
    "fresh": lambda M, i: M[i] * 2.0,
    "number": lambda M, i: 0.5,
    "tuple": lambda M, i: (M[i], M[i, 0]),
    "list": lambda M, i: [M[i][0], M[i][1]],
    "dict": lambda M, i: {"w": M[i], "n": 2, "b": 1.5, "rest": [M[:, 0], None]},
    "record": lambda M, i: Pair(M[i], M[0, i]),
    "same": lambda M, i: (M[i], M[i]),
}


# -- where they are called -----------------------------------------------------------------------------


def once(G, arg, M):
    return G(arg(M, 0))


def twice(G, arg, M):
    return G(arg(M, 0)) + 3.0 * G(arg(M, 1))


def in_range(G, arg, M):
    s = 0.0
    for i in range(M.shape[0]):
        s += (i + 1.0) * G(arg(M, i))
    return s


def over_rows(G, arg, M):
    s = 0.0
    for row in M:
        s += G(arg(np.outer(row, W), 1))
    return s


def in_while(G, arg, M):
    s, i = 0.0, 0
    while i < len(M) - 1:
        i += 1
        s = s * 0.5 + G(arg(M, i))
    return s


def in_branch(G, arg, M):
    s = 1.0
    if M[0, 0] > -10.0:
        s = G(arg(M, 2)) * M[0, 0]
    return s + G(arg(M, 1))


def comprehension(G, arg, M):
    return sum([G(arg(M, i)) for i in range(2)])


def carried(G, arg, M):
    N = M.copy()
    s = 0.0
    for i in range(2):
        N[i] = N[i] * 0.5 + M[2]
        s += G(arg(N, i))
        N = N[:, ::-1]
    return s


def nested_loops(G, arg, M):
    s = 0.0
    for i in range(2):
        for j in range(i + 1):
            s += G(arg(M, j)) * M[i, j]
    return s


PLACES = (once, twice, in_range, over_rows, in_while, in_branch, comprehension, carried, nested_loops)
TOPS = ("jit", "grad", "value_and_grad", "vjp")


@dataclasses.dataclass(frozen=True)
class Case:
    """top(place(levels[0](levels[1](... body)))) for one kind of argument."""

    top: str
    levels: tuple[str, ...]
    body: str
    place: Callable[..., Any]
    argument: str

    def __str__(self) -> str:
        stack = " ".join((self.top, *self.levels))
        return f"{stack} of {self.body}, {self.place.__name__}, {self.argument}"

    def program(self, P: Any) -> Callable[[Any], Any]:
        arg, place, body, levels = ARGUMENTS[self.argument], self.place, BODIES[self.body], self.levels

        def f(M):
            G = body(M[0, 1], M)
            for name in levels[::-1]:
                G = level(P, name, G)
            return place(G, arg, M)

        return f

    def found(self) -> tuple[Any, Any]:
        """pullback's value and derivative along D, None for what this transform does not give."""
        f = self.program(pb)
        if self.top == "vjp":
            y, pull = pb.vjp(f, A)
            return y, 2.0 * np.sum(pull(0.5)[0] * D)
        result = getattr(pb, self.top)(f)(A)
        if self.top == "jit":
            return result, None
        value, bar = result if self.top == "value_and_grad" else (None, result)
        return value, np.sum(bar * D)


def cases() -> Iterator[Case]:
    stacks = [
        *((one,) for one in (*LEVELS, *VARIANTS)),
        *itertools.product(LEVELS, LEVELS),
        *((one, "grad") for one in VARIANTS),
        *(("vjp", one) for one in VARIANTS),
        *((one,) for one in FORWARD),
        *itertools.product(FORWARD, FORWARD),
        *itertools.product(FORWARD, ("grad", "vjp")),
        *itertools.product(("grad", "vjp"), FORWARD),
    ]
    for stack, body, place, argument in itertools.product(stacks, BODIES, PLACES, ARGUMENTS):
        for top in TOPS:
            yield Case(top, stack, body, place, argument)


def sample(count: int, seed: int = 0) -> list[Case]:
    """Cases from all over, each axis of the enumeration met about equally often."""
    everything = list(cases())
    return random.Random(seed).sample(everything, count)


def difference(case: Case) -> str | None:
    """What is wrong with a case: None if nothing."""
    f, before = case.program(exact), A.copy()
    value = f(A.copy())
    along = sum(
        sign * weight * f(A + sign * steps * STEP * D) for steps, weight in STENCIL for sign in (1, -1)
    ) / (60 * STEP)
    found = {"plain": (case.program(pb)(A.copy()), None), "traced": case.found()}
    for how, (a, b) in found.items():
        for what, got, expected in (("value", a, value), ("derivative", b, along)):
            if got is not None and not np.allclose(got, expected, rtol=1e-7, atol=1e-7):
                return f"{how} {what}: {got} for {expected}"
    return None if np.array_equal(before, A) else "the argument was changed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=0, help="how many, drawn at random (0: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    options = parser.parse_args()
    chosen = (
        sample(options.count, options.seed)
        if options.count
        else list(cases())[options.start :: options.every]
    )
    counts = {"right": 0, "refused": 0, "wrong": 0, "failed": 0}
    with pb.options(jit=False, cache=False):
        for case in chosen:
            try:
                problem = difference(case)
                outcome = "wrong" if problem else "right"
            except pb.PullbackError as error:
                outcome, problem = "refused", str(error)
            except Exception as error:
                outcome, problem = "failed", f"{type(error).__name__}: {error}"
            counts[outcome] += 1
            if problem:
                print(f"{outcome}: {case}\n    {problem.splitlines()[0]}", flush=True)
    print(counts)
    sys.exit(counts["wrong"] + counts["failed"] > 0)


if __name__ == "__main__":
    main()
