"""Several steps at once of a reverse loop that waits for one product per step.

Where the carried cotangent is only multiplied from step to step, `c = c * f`, and sums collect products with it,
`s = s + c * g`, the factors of four steps are multiplied up first, beside the recurrence: it then waits for one
product in four steps. The rest, up to three steps, runs as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..ir import walk
from ..ir.build import Builder
from ..ir.names import Names
from ..ir.program import Atom, Exit, For, Let, Lit, Node, Phi, Var
from ..ir.types import I64

STEPS = 4
BRIEF = 16
"""A body of more operations takes longer than the product that the next step waits for."""
CHEAP = 4
"""The cost of an operation that takes longer."""


@dataclass(frozen=True)
class Sum:
    """`phi` gets `phi + carried * factor` (or minus that); a factor of None is 1."""

    phi: Phi
    factor: Atom | None
    negative: bool


@dataclass(frozen=True)
class Recurrence:
    """A loop that carries `carried = carried * factor` and sums; `rest` computes the factors."""

    carried: Phi
    factor: Atom
    sums: tuple[Sum, ...]
    rest: tuple[Let, ...]


def recurrence(loop: For, names: Names) -> Recurrence | None:
    """What the loop carries, if it is of this kind and short, and the adjoint's own."""
    if len(loop.body) > BRIEF or not all(isinstance(n, Let) and _scalar(n) for n in loop.body):
        return None
    lets = {n.var.name: n for n in loop.body if isinstance(n, Let)}
    uses = Counter(name for n in loop.body for name in walk.used_here(n))
    uses.update(p.second.name for p in loop.phis if isinstance(p.second, Var))
    for carried in (p for p in loop.phis if names.is_cotangent(p.var)):
        step = lets.get(getattr(carried.second, "name", ""))
        factor = None if step is None else _factor(step, carried.var)
        if step is None or factor is None or uses[step.var.name] != 1:
            continue
        sums: list[Sum] = []
        gone = {step.var.name}
        for phi in loop.phis:
            if phi is carried:
                continue
            last = lets.get(getattr(phi.second, "name", ""))
            if last is None or uses[last.var.name] != 1 or uses[phi.var.name] != 1:
                break
            places = {"add": (0, 1), "sub": (0,)}.get(last.op.name, ())
            old = next((k for k in places if last.args[k] == phi.var), None)
            if old is None:
                break
            term = last.args[1 - old]
            assert isinstance(term, (Var, Lit))
            product = lets.get(getattr(term, "name", ""))
            part = None if product is None else _factor(product, carried.var)
            if term == carried.var:
                sums.append(Sum(phi, None, last.op.name == "sub"))
            elif product is not None and part is not None and uses[product.var.name] == 1:
                sums.append(Sum(phi, part, last.op.name == "sub"))
                gone.add(product.var.name)
            else:
                break
            gone.add(last.var.name)
        rest = tuple(n for n in lets.values() if n.var.name not in gone)
        moving = {p.var.name for p in loop.phis} | gone
        if len(sums) == len(loop.phis) - 1 and not any(moving & set(walk.used_here(n)) for n in rest):
            return Recurrence(carried, factor, tuple(sums), rest)
    return None


def _scalar(let: Let) -> bool:
    return not let.var.type.rank and let.op.cost <= CHEAP


def _factor(let: Let, carried: Var) -> Atom | None:
    """What an operation multiplies the carried value by."""
    if let.op.name == "mul" and (let.args[0] == carried) != (let.args[1] == carried):
        return let.args[1] if let.args[0] == carried else let.args[0]  # type: ignore[return-value]
    return None


def strided(loop: For, names: Names) -> list[Node]:
    """The loop, four steps at a time if that is of use.

    >>> from ..ir.text import parse, show
    >>> p = parse('''
    ... def f(a: f64[n]) -> f64:
    ...     n: i64 = dim(a, 0)
    ...     for i in reversed(range(n)):
    ...         x_bar: f64 = phi(1.0, x_bar_1)
    ...         t: f64 = a[i]
    ...         x_bar_1: f64 = x_bar * t
    ...     x_bar_2: f64 = last(x_bar)
    ...     return x_bar_2''')
    >>> nodes = strided(p.body[1], Names(("a", "n", "i", "t", "x_bar", "x_bar_1", "x_bar_2"), {"x_bar"}))
    >>> print(show(replace(p, body=(p.body[0], *nodes))))
    def f(a: f64[n]) -> f64:
        n: i64 = dim(a, 0)
        t_1: i64 = maximum(n, 0)
        t_2: i64 = t_1 // 4
        for k in range(t_2):
            x_bar_3: f64 = phi(1.0, x_bar_4)
            t_3: i64 = k * 4
            t_4: i64 = n - t_3
            t_5: i64 = t_4 - 1
            t_6: f64 = a[t_5]
            t_7: i64 = t_4 - 2
            t_8: f64 = a[t_7]
            t_9: f64 = t_6 * t_8
            t_10: i64 = t_4 - 3
            t_11: f64 = a[t_10]
            t_12: f64 = t_9 * t_11
            t_13: i64 = t_4 - 4
            t_14: f64 = a[t_13]
            t_15: f64 = t_12 * t_14
            x_bar_4: f64 = x_bar_3 * t_15
        x_bar_5: f64 = last(x_bar_3)
        t_16: i64 = t_2 * 4
        t_17: i64 = t_1 - t_16
        for i in reversed(range(t_17)):
            x_bar: f64 = phi(x_bar_5, x_bar_1)
            t: f64 = a[i]
            x_bar_1: f64 = x_bar * t
        x_bar_2: f64 = last(x_bar)
        return x_bar_2
    """
    parts = recurrence(loop, names)
    known = isinstance(loop.start, Lit) and isinstance(loop.stop, Lit)
    if parts is None or known and int(loop.stop.text) - int(loop.start.text) < 2 * STEPS:  # type: ignore[union-attr]
        return [loop]
    b = Builder()
    b.names = names
    b.span = loop.span
    with b.open() as written:
        length = b.emit("sub", loop.stop, loop.start)
        length = b.emit("maximum", length, 0) if isinstance(length, Var) else length
        count = b.emit("floordiv", length, STEPS)
        heads = {p.var.name: b.again(p.var) for p in loop.phis}
        k = b.var("k", I64)
        with b.open() as body:
            after = _steps(b, loop, parts, k, heads)
        ends = {p.var.name: b.again(p.var) for p in loop.phis}
        phis = tuple(Phi(heads[p.var.name], p.first, after[p.var.name]) for p in loop.phis)
        exits = tuple(Exit(ends[p.var.name], heads[p.var.name]) for p in loop.phis)
        b.add(For(k, Lit("0", I64), count, False, phis, tuple(body), exits, loop.span))
        done = b.emit("mul", count, STEPS)
        if loop.reverse:
            start, stop = loop.start, b.emit("add", loop.start, b.emit("sub", length, done))
        else:
            start, stop = b.emit("add", loop.start, done), loop.stop
        left = tuple(replace(p, first=ends[p.var.name]) for p in loop.phis)
        b.add(replace(loop, start=start, stop=stop, phis=left))
    return list(written)


def _steps(b: Builder, loop: For, parts: Recurrence, k: Var, heads: Mapping[str, Var]) -> dict[str, Atom]:
    """Four steps; what the loop carries after them."""
    carried = heads[parts.carried.var.name]
    total: Atom | None = None  # the factor of the steps so far
    sums: dict[str, Atom] = {}
    far = b.emit("mul", k, STEPS)
    first = b.emit("sub", loop.stop, far) if loop.reverse else b.emit("add", loop.start, far)
    for step in range(STEPS):
        index = b.emit("sub", first, step + 1) if loop.reverse else b.emit("add", first, step)
        env: dict[str, Atom] = {loop.index.name: index}
        walk.copy_nodes(b, parts.rest, env)
        atom, _, _ = walk.substitution(env)
        one = Lit("1.0", carried.type)
        for s in parts.sums:
            name = s.phi.var.name
            term = one if s.factor is None else atom(s.factor)
            term = term if total is None else total if s.factor is None else b.emit("mul", total, term)
            if name in sums:
                sums[name] = b.emit("sub" if s.negative else "add", sums[name], term)
            else:
                sums[name] = b.emit("neg", term) if s.negative else term
        factor = atom(parts.factor)
        total = factor if total is None else b.emit("mul", total, factor)
    assert total is not None
    after = {parts.carried.var.name: b.emit("mul", carried, total, hint=carried.name, of=carried.name)}
    for name, factor in sums.items():
        product = b.emit("mul", carried, factor)
        after[name] = b.emit("add", heads[name], product, hint=name, of=name)
    return after
