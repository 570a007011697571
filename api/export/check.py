"""The check of itself that an exported module has: its derivatives against finite differences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.types import Type
from ..transforms.layout import Layout, built, hidden_values
from .specialised import Form, array_text, public_name, wrapped

SMALL_EXAMPLE = 60


@dataclass(frozen=True)
class Check:
    """A derivative that is compared with differences of the value: its kind, where it is in what its function gives
    (None: all of it), and the arguments that it is by."""

    kind: str
    at: int | None
    positions: tuple[int, ...]
    argnums: Any
    has_aux: bool


DIRECTIONAL = {"jvp": 1, "jacobian": 1, "jacfwd": 1, "jacrev": 1, "hessian": 2, "hvp": 2, "vhp": 2}
"""The order of a derivative that is compared along a random direction."""


def self_check(name: str, forms: list[Form], checks: Sequence[Check] = ()) -> str:
    lines = ["def self_check() -> None:", '    """Compare the derivatives with finite differences at an example."""']
    lines.append("    rng = np.random.default_rng(0)")
    for form in forms:
        example = _example(form)
        lines.append(f"    # {form.shown()}")
        if example is None:
            lines.append("    # No example was found that has the sizes this code is for.")
            continue
        if checks:
            lines.append("    given = (")
            lines += [wrapped(f"        {text},", " " * 12) for text in example]
            lines += ["    )", f"    p = _arguments_{form.label}(*given)"]
        else:
            lines.append(f"    p = _arguments_{form.label}(")
            lines += [wrapped(f"        {form.names[k]}={text},", " " * 12) for k, text in enumerate(example)]
            lines.append("    )")
        for kind, found in form.layouts.items():
            if kind == "value":
                continue
            bars, wrt = _bars(found, kind, form)
            if kind == "vjp":
                floats = [r.k for r in found.seeds]
                lines.append(f"    r = {name}_forward_{form.number}(*p)")
                lines.append(f"    seeds = [rng.normal(size=np.shape(r[k])) for k in {floats}]")
                if any(seed.type.dtype == "f32" for seed in found.seeds):
                    lines.append("    seeds = [np.asarray(seed, np.float32)[()] for seed in seeds]")
                lines.append(f"    b = {name}_backward_{form.number}(*r[{found.count}:], *seeds)")
                lines.append(f"    bars = [b[k] for k in {bars}]")
            else:
                floats = [form.form.results[0].k]
                lines.append(f"    r = {public_name(name, kind)}_{form.number}(*p)")
                lines.append(f"    seeds, bars = [1.0], [r[k] for k in {bars}]")
            lines.append(
                f"    _compare({public_name(name, kind)!r}, {name}_{form.number}, {floats}, seeds, bars, p, {wrt}, rng)"
            )
        lines += [_along(name, check, form) for check in checks]
    return "\n".join(lines)


def _along(name: str, check: Check, form: Form) -> str:
    """The line that compares a derivative along a direction d."""
    own, at = public_name(name, check.kind), "" if check.at is None else f"[{check.at}]"
    given = [f"given[{k}]" for k in range(len(form.names))]
    if check.kind in ("hvp", "vhp"):
        given.insert(max(check.positions) + 1, "d")
    elif check.kind == "jvp":
        given.append("d")
    derivative = f"lambda d: {own}({', '.join(given)}){at}"
    value = f"lambda *x: {name}_{form.number}(*_arguments_{form.label}(*x))"
    count = form.form.out.children[0].count if check.has_aux else len(form.form.results)
    floats = [r.k for r in form.form.results[:count] if hasattr(r, "k") and form.program.results[r.k].type.is_float]
    several = not isinstance(check.argnums, int)
    rest = f"{floats}, {derivative}, given, {check.positions}, {several}, {DIRECTIONAL[check.kind]}, rng"
    return f"    _along(\n        {own!r}, {value},\n        {rest},\n    )"


def _bars(found: Layout, kind: str, form: Form) -> tuple[list[int], list[int]]:
    """Which results are cotangents, and of which parameters."""
    wrt = [int(k) for k in re.findall(r"\d+", found.kind.partition("(")[2])]
    first = int(kind == "value_and_grad")
    return [first + k for k in range(len(wrt))], wrt


def _example(form: Form) -> list[str] | None:
    """Arguments for the check, as text; None if no sizes were found that the code is for."""
    if any(hasattr(leaf, "dims") for leaf in form.leaves):
        sizes = _fitting(form)
        if sizes is None:
            return None
    else:
        sizes = {}
    texts = []
    for leaf, place in zip(form.leaves, form.form.traced.leaves):
        if place is None:
            texts.append(repr(leaf))
        elif not hasattr(leaf, "dims"):
            texts.append(_sample(leaf))
        else:
            type_ = form.program.params[place].type
            shape = tuple(d if isinstance(d, int) else sizes[d] for d in type_.dims)
            number = sizes.get(form.program.params[place].name, 2)
            texts.append(_random(type_, shape, number))
    positional = form.tree.children[0]
    starts = np.cumsum([0, *(child.count for child in positional.children)])
    return [built(child, texts[a:b]) for child, a, b in zip(positional.children, starts, starts[1:])]


def _sample(value: Any) -> str:
    if not isinstance(value, np.ndarray) or value.size <= SMALL_EXAMPLE:
        return array_text(value, SMALL_EXAMPLE, "an argument")
    low, high = (np.nanmin(value), np.nanmax(value)) if value.size else (0, 1)
    if value.dtype.kind in "iub":
        return f"rng.integers({int(low)}, {int(high) + 1}, {value.shape}).astype(np.{np.dtype(value.dtype).name})"
    return f"rng.uniform({float(low)!r}, {float(high)!r}, {value.shape}).astype(np.{value.dtype.name})"


def _random(type_: Type, shape: tuple[int, ...], number: int) -> str:
    if type_.dtype == "bool":
        return f"rng.random({shape}) < 0.5" if shape else "True"
    if type_.is_integer:
        convert = "" if type_.dtype == "i64" else f".astype(np.{type_.numpy.name})"
        return f"rng.integers(0, 2, {shape}){convert}" if shape else str(number)
    if not shape:
        return "float(rng.uniform(0.5, 1.5))" if type_.dtype == "f64" else "np.float32(rng.uniform(0.5, 1.5))"
    return f"rng.uniform(0.5, 1.5, {shape})" + ("" if type_.dtype == "f64" else ".astype(np.float32)")


def _fitting(form: Form) -> dict[str, int] | None:
    """Numbers for the sizes and integers that the guards of a form are true for."""
    traced = form.form.traced
    count = len(traced.inputs) - len(traced.hidden)
    fixed = {}
    for name, (place, axis) in traced.size_slots.items():
        if place >= count:
            value = hidden_values(form.form)[place - count]
            fixed[name] = int(value) if axis < 0 else value.shape[axis]
    rng = np.random.default_rng(0)
    free = [name for name in traced.size_slots if name not in fixed]
    for attempt in range(3000):
        same = dict.fromkeys(free, 4 + attempt)
        drawn = {name: int(n) for name, n in zip(free, rng.integers(2, 9, len(free)))}
        sizes = {**(same if attempt < 3 else drawn), **fixed}
        if not traced.guards or eval(traced.guards, {"__builtins__": {"min": min, "max": max}}, dict(sizes)):
            return sizes
    return None


COMPARE = '''def _compare(name, function, results, seeds, bars, p, wrt, rng):
    """Compare cotangents with differences of <seeds, results> in a random direction; exits where they differ."""
    p = list(p)
    directions = [rng.normal(size=np.shape(p[k])) for k in wrt]
    terms = [np.sum(bar * direction) for bar, direction in zip(bars, directions)]
    scale = sum(np.sum(np.abs(bar * direction)) for bar, direction in zip(bars, directions)) + 1e-8
    single = any(np.asarray(p[k]).dtype == np.float32 for k in wrt)
    best = np.inf
    for step in 10.0 ** np.arange(-3.0, -1.0) if single else 10.0 ** np.arange(-7.0, -2.0):
        ends = []
        for sign in (1.0, -1.0):
            moved = list(p)
            for k, direction in zip(wrt, directions):
                moved[k] = (p[k] + sign * step * direction).astype(np.asarray(p[k]).dtype)[()]
            found = function(*moved)
            ends.append(sum(np.sum(seed * found[k], dtype=np.float64) for seed, k in zip(seeds, results)))
        best = min(best, abs((ends[0] - ends[1]) / (2.0 * step) - sum(terms)) / scale)
    print(f"{name}: differs from finite differences by {best:.1e}")
    if not best < (1e-2 if single else 1e-5):
        raise SystemExit(f"{name} does not agree with finite differences")'''



ALONG = '''def _leaves(x):
    """The floats of a container, as arrays."""
    if isinstance(x, dict):
        return [leaf for part in x.values() for leaf in _leaves(part)]
    if isinstance(x, (tuple, list)):
        return [leaf for part in x for leaf in _leaves(part)]
    return [np.asarray(x)] if np.asarray(x).dtype.kind == "f" else []


def _filled(x, leaves):
    """The container with these floats, and None for everything else."""
    if isinstance(x, dict):
        return {key: _filled(part, leaves) for key, part in x.items()}
    if isinstance(x, (tuple, list)):
        return type(x)(_filled(part, leaves) for part in x)
    if np.asarray(x).dtype.kind != "f":
        return None
    leaf = np.asarray(next(leaves), np.asarray(x).dtype)
    return leaf if isinstance(x, np.ndarray) else type(x)(leaf)


def _moved(x, y):
    """The container with the floats of another one."""
    if isinstance(x, dict):
        return {key: _moved(part, y[key]) for key, part in x.items()}
    if isinstance(x, (tuple, list)):
        return type(x)(map(_moved, x, y))
    return x if y is None else y


def _along(name, value, floats, derivative, given, chosen, several, order, rng):
    """Compare a derivative with differences of the value along a random direction; exits where they differ."""
    x = tuple(given[k] for k in chosen)
    leaves = _leaves(x)
    directions = [rng.normal(size=leaf.shape).astype(leaf.dtype) for leaf in leaves]
    d = _filled(x, iter(directions))
    found = _leaves(derivative(d if several else d[0]))
    if not name.endswith(("_jvp", "_hvp", "_vhp")):
        count = len(directions)
        rows = [found[k : k + count] for k in range(0, len(found), count)]
        found = [sum(np.tensordot(b, v, v.ndim) for b, v in zip(row, directions)) for row in rows]
    if order == 2:
        found = [sum(np.sum(b * v) for b, v in zip(found, directions))]

    def at(step):
        there = _filled(x, iter([leaf + step * v for leaf, v in zip(leaves, directions)]))
        arguments = list(given)
        for k, part, moved in zip(chosen, x, there):
            arguments[k] = _moved(part, moved)
        results = value(*arguments)
        return [np.asarray(results[k], np.float64) for k in floats]

    single = any(leaf.dtype == np.float32 for leaf in leaves)
    scale = 1e-8 + sum(np.sum(np.abs(b)) for b in found)
    best = np.inf
    for step in 10.0 ** (np.arange(-3.0, 0.0) if single else np.arange(-7.0, -2.0) + 2.0 * (order - 1)):
        ends = zip(at(step), at(-step), at(0.0))
        slopes = [(a - b) / (2.0 * step) if order == 1 else (a - 2.0 * c + b) / step**2 for a, b, c in ends]
        best = min(best, sum(np.sum(np.abs(s - b)) for s, b in zip(slopes, found)) / scale)
    print(f"{name}: differs from finite differences by {best:.1e}")
    if not best < (0.1 if single else 1e-5 if order == 1 else 1e-3):
        raise SystemExit(f"{name} does not agree with finite differences")'''
HELPERS = {"_compare": COMPARE, "_along": ALONG}
"""Functions that a check calls."""
