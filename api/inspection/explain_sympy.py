"""`explain_sympy`: SymPy's derivative of a function, pullback's beside it, and whether they are equal."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..calls.forms import Traceable
from ..ir.adjoint.reverse_mode import adjoint
from ..ir.errors import PullbackError
from ..ir.passes import optimise
from ..ir.program import Let, Program, Var
from ..ir.text import lines
from ..ir.text.page import WIDTH, shortened
from ..runtime.lazy import lazy
from ..transforms.base import Text, Transform

__all__ = ["explain_sympy"]

_POINTS = 5
_LARGE = 400
"""Differences of more operations are not simplified, which may take minutes, but computed at random points."""


def explain_sympy(
    function: Callable[..., object], *args: object, sizes: Mapping[str, int] | None = None, derivation: bool = True
) -> None:
    """Print a function as mathematics, each derivative by SymPy and by pullback, and whether they are equal.

    args        arrays, numbers or types such as "f64[n]"; without, every parameter is a number
    sizes       of arrays whose type names them; 2 where it says nothing
    derivation  print the gradient's program too, beside each line the expression that it computes

    Results with axes, and several, are weighted by symbols `y_bar`, the cotangents. Loops must have a known number
    of trips; branches become Piecewise. Raises UnsupportedFunction for what has no formula, AssertionError if a
    derivative is not equal to SymPy's.

    >>> explain_sympy(lambda x, w: np.sin(w * x), derivation=False)
    f(x, w) = sin(w*x)
    <BLANKLINE>
    df/dx
      by SymPy     w*cos(w*x)
      by pullback  w*cos(w*x)
      equal        the difference is 0
    <BLANKLINE>
    df/dw
      by SymPy     x*cos(w*x)
      by pullback  x*cos(w*x)
      equal        the difference is 0
    """
    text, wrong = explained(function, args, sizes, derivation)
    print(text)
    if wrong:
        raise AssertionError(f"the derivative by {', '.join(wrong)} is not equal to SymPy's")


def explained(
    function: Callable[..., Any],
    args: tuple[Any, ...] = (),
    sizes: Mapping[str, int] | None = None,
    derivation: bool = True,
) -> tuple[Text, list[str]]:
    """What `explain_sympy` prints, and the names whose derivatives differ."""
    bridge = lazy("inspection.sympy_bridge")
    compare = lazy("inspection.sympy_compare")
    program, gradient, wrt = _programs(function, args)
    names = _Sizes(sizes, args, program)
    symbols = list(bridge.symbols(program, names))
    seeds = list(bridge.symbols(gradient, names))[len(symbols) :]
    _, results = bridge.values_of(program, symbols)
    floats = [r for r, atom in zip(results, program.results) if atom.type.is_float]
    total = compare.weighted(floats, seeds)
    env, bars = bridge.values_of(gradient, [*symbols, *seeds])
    name = program.name
    head = [f"{name}({', '.join(p.name for p in program.params)}) = {_short(compare.readable(r))}" for r in results]
    if seeds:
        weights = ", ".join(p.name for p in gradient.params[len(symbols) :])
        head.append(f"Below, {name} stands for the sum of its results, weighted by the cotangents {weights}")
    parts = ["\n".join(head)]
    wrong = []
    for k, bar in zip(wrt, bars):
        for symbol, ours in zip(np.ravel(symbols[k]), np.ravel(bar)):
            exact, ours = compare.derivative(total, symbol), compare.readable(ours)
            equal, how = _compared(compare, exact, ours)
            if not equal:
                wrong.append(str(symbol))
            parts.append("\n".join([
                f"d{name}/d{symbol}",
                _entry("by SymPy", str(exact)),
                _entry("by pullback", str(ours)),
                _entry("equal" if equal else "NOT EQUAL", how),
            ]))  # fmt: skip
    if derivation:
        parts.append(_derivation(gradient, {name: compare.readable(value) for name, value in env.items()}))
    return Text("\n\n".join(parts)), wrong


def _programs(function: Any, args: tuple[Any, ...]) -> tuple[Program, Program, tuple[int, ...]]:
    """The program, its gradient by all float arguments (of a seed too, if it gives no scalar), and which those are."""
    if isinstance(function, Program):
        program = function
        wrt = tuple(k for k, p in enumerate(program.params) if p.type.is_float)
    else:
        traceable = function._traceable if isinstance(function, Transform) else Traceable(function)
        if not args:
            args = ("f64",) * len(inspect.signature(traceable.function).parameters)
        leaves, tree = traceable.lowered_leaves(args, {})
        try:
            form = traceable.trace(leaves, tree)
        except PullbackError as error:  # says all; our frames would only hide it
            raise error.with_traceback(None) from None
        program, given = form.program, set(form.traced.leaves)
        wrt = tuple(k for k, p in enumerate(program.params) if p.type.is_float and k in given)
    scalar = len(program.results) == 1 and not program.results[0].type.dims
    made = optimise(adjoint(program, wrt, seeds=not scalar))
    name = f"{program.name}_grad" if scalar else made.name
    return program, replace(made, name=name), wrt


class _Sizes(dict[str, int]):
    """Sizes by name: as given, else of the arrays among the arguments, else 2."""

    def __init__(self, sizes: Mapping[str, int] | None, args: tuple[Any, ...], program: Program):
        super().__init__()
        shapes = [np.shape(a) for a in args if not isinstance(a, str)]
        if len(shapes) == len(program.params):
            for param, shape in zip(program.params, shapes):
                self.update({d: n for d, n in zip(param.type.dims, shape) if isinstance(d, str)})
        self.update(sizes or {})

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> int:
        return 2


def _compared(compare: Any, exact: Any, ours: Any) -> tuple[bool, str]:
    """Are two expressions equal, and how that was found."""
    difference = compare.difference(exact, ours, _LARGE)
    if difference == 0:
        return True, "the difference is 0"
    if compare.largest_difference(exact, ours, _POINTS) < 1e-12:
        return True, f"at {_POINTS} random points, to 12 digits"
    return False, f"the difference is {_short(difference)}"


def _derivation(gradient: Program, env: dict[str, Any]) -> str:
    """The gradient's program, with the expressions of its values."""
    written = []
    for line in lines(gradient):
        what = line.what
        known = isinstance(what, Let) and isinstance(what.var, Var) and what.var.type.is_float
        value = env.get(what.var.name) if known else None  # type: ignore[union-attr]
        text = "" if value is None else f"# {_short(value, 10 * WIDTH)}"
        written.append((line.text, text))
    column = min(max((len(code) for code, text in written if text), default=0) + 2, 48)
    return "\n".join(
        f"{code:<{column - 2}}  {shortened(text, WIDTH - max(column, len(code) + 2))}" if text else code
        for code, text in written
    )


def _short(value: Any, width: int = 200) -> str:
    text = str(value.tolist()) if isinstance(value, np.ndarray) and value.ndim else str(value)
    return shortened(text, width)


def _entry(label: str, text: str) -> str:
    start = f"  {label:<11}  "
    whole = re.sub(r"\[[^]]*\]", lambda m: m[0].replace(" ", "\0"), text)  # no line ends inside of x[0, 1]
    wrapped = textwrap.wrap(whole, WIDTH - len(start), break_on_hyphens=False, break_long_words=False)
    return ("\n" + " " * len(start)).join([start + wrapped[0], *wrapped[1:]]).replace("\0", " ")
