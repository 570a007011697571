"""Several steps at once of a reverse loop that waits for a product of what it carries.

Where a carried cotangent c is only multiplied on its way to the next step, c = c * p * q, and sums collect what else
is made of it, the factors of four steps are multiplied up first, beside the recurrence: it then waits for one product
in four steps. c * (p * q) is (c * p) * q as long as no product is too large or too small for its dtype; it must be
inf, 0 or nan where that is, and nowhere else. So the factors are looked at before they are used, and where they are
far from 1, the four steps go one by one. What is left over, up to three steps, runs as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...ir import walk
from ...ir.build import Builder, literal, number
from ...ir.names import Names
from ...ir.ops import arith
from ...ir.program import Atom, Exit, For, If, Let, Lit, Node, Operand, Phi, Var
from ...ir.types import I64

STEPS = 4
BRIEF = 16
"""A body of more operations takes longer than the product that the next step waits for."""
CHEAP = 4
"""The cost of an operation that takes longer."""
REACH = {"f64": 40, "f32": 12}
"""Products of the factors of four steps, or of some of these, are taken if they are at most 10**REACH, ..."""
MOST = {"f64": 1e260, "f32": 1e26}
"""... and if what they meet is at most this: then no product of the two overflows, in any order."""


@dataclass(frozen=True)
class Sum:
    """`phi` gets `phi + term`, or minus that."""

    phi: Phi
    term: Atom
    negative: bool


@dataclass(frozen=True)
class Recurrence:
    """A loop that carries a cotangent times a factor and sums.

    beside   what does not depend on the cotangent, the factor among it
    leaves   what the factor is a product of, or a sum of products
    depth    of how many, at most
    behind   what is made of the cotangent for the sums
    """

    carried: Phi
    factor: Atom
    leaves: tuple[Atom, ...]
    depth: int
    sums: tuple[Sum, ...]
    beside: tuple[Let, ...]
    behind: tuple[Let, ...]


def recurrence(loop: For, names: Names) -> Recurrence | None:
    """What the loop carries, if it is of this kind and short, and the adjoint's own."""
    if len(loop.body) > BRIEF or not all(isinstance(n, Let) and _scalar(n) for n in loop.body):
        return None
    lets = {n.var.name: n for n in loop.body if isinstance(n, Let)}
    uses = Counter(name for n in loop.body for name in walk.used_here(n))
    uses.update(p.second.name for p in loop.phis if isinstance(p.second, Var))
    for carried in loop.phis:
        dtype = carried.var.type.dtype
        if carried.var.type.rank or dtype not in REACH or not all(names.is_cotangent(p.var) for p in loop.phis):
            continue
        sums = [_sum(p, lets, uses) for p in loop.phis if p is not carried]
        if None in sums:
            continue
        moving = {carried.var.name}
        for let in lets.values():
            if moving & set(walk.used_here(let)):
                moving.add(let.var.name)
        factors = _Factors(carried.var, lets, moving, names)
        factor = factors.of(carried.second)
        if not isinstance(factor, Var) or not factors.leaves:
            continue
        added = {p.second.name for p in loop.phis if p is not carried}  # type: ignore[union-attr]
        beside = [let for name, let in lets.items() if name not in moving | added]
        terms = {s.term.name for s in sums if s is not None and isinstance(s.term, Var)}
        behind = _needed([let for name, let in lets.items() if name in moving - added], terms)
        return Recurrence(
            carried, factor, tuple(dict.fromkeys(factors.leaves)), max(factors.depth.values()),
            tuple(s for s in sums if s is not None), (*beside, *factors.lets), tuple(behind),
        )  # fmt: skip
    return None


def _scalar(let: Let) -> bool:
    return not let.var.type.rank and let.op.cost <= CHEAP


def _sum(phi: Phi, lets: Mapping[str, Let], uses: Mapping[str, int]) -> Sum | None:
    """What a phi collects, if the loop does nothing else with it."""
    last = lets.get(getattr(phi.second, "name", ""))
    if last is None or uses[last.var.name] != 1 or uses[phi.var.name] != 1 or phi.var.type.rank:
        return None
    places = (0, 1) if last.op is arith.add else (0,) if last.op is arith.sub else ()
    old = next((k for k in places if last.args[k] == phi.var), None)
    return None if old is None else Sum(phi, last.args[1 - old], last.op is arith.sub)  # type: ignore[arg-type]


def _needed(lets: list[Let], names: set[str]) -> list[Let]:
    kept: list[Let] = []
    for let in reversed(lets):
        if let.var.name in names:
            names = names | set(walk.used_here(let))
            kept.append(let)
    return kept[::-1]


@dataclass
class _Factors:
    """Values of the body as factor * carried, where the body is linear in what it carries."""

    carried: Var
    made: Mapping[str, Let]
    moving: set[str]
    names: Names
    leaves: list[Atom] = field(default_factory=list)
    lets: list[Let] = field(default_factory=list)  # what computes the factors
    known: dict[str, Atom] = field(default_factory=dict)
    depth: dict[str, int] = field(default_factory=dict)

    def of(self, value: object) -> Atom | None:
        """The factor of a value; None if there is none, or if it may be out of all proportion."""
        if not isinstance(value, Var) or value.name not in self.moving:
            return None
        if value == self.carried:
            self.depth[value.name] = 0
            return Lit("1.0", value.type)
        if value.name not in self.known:
            found = self.made_by(self.made[value.name])
            if found is None:
                return None
            self.known[value.name] = found
        return self.known[value.name]

    def made_by(self, let: Let) -> Atom | None:
        op, args = let.op.name, let.args
        linear = [a for a in args if isinstance(a, Var) and a.name in self.moving]
        factors = [self.of(a) for a in linear]
        if None in factors:
            return None
        self.depth[let.var.name] = max(self.depth[a.name] for a in linear)
        if op == "neg":
            return self.emit(let, factors[0])
        if let.op in (arith.add, arith.sub) and len(linear) == 2:
            return self.emit(let, *factors)
        if len(linear) != 1 or not (op == "mul" or (op == "div" and linear == [args[0]] and isinstance(args[1], Lit))):
            return None
        other = args[1] if linear[0] == args[0] else args[0]
        self.depth[let.var.name] += 1
        if isinstance(other, Lit):
            size = abs(float(number(other)))
            if not 1e-2 <= size <= 1e2:
                return None
            self.leaves.append(literal(size if op == "mul" else 1.0 / size, other.type.dtype))
        else:
            self.leaves.append(other)  # type: ignore[arg-type]
        (factor,) = factors
        if op == "mul" and factor == Lit("1.0", let.var.type):
            return other  # type: ignore[return-value]
        return self.emit(let, *((factor, other) if linear[0] == args[0] else (other, factor)))

    def emit(self, let: Let, *args: Operand) -> Var:
        builder = Builder()
        builder.names = self.names
        var = builder.var("t", let.var.type)
        self.lets.append(replace(let, var=var, args=args))
        return var


def unroll_recurrence(loop: For, names: Names) -> list[Node]:
    """The loop, four steps at a time if that is of use.

    >>> from ...ir.text import parse, show
    >>> p = parse('''
    ... def f(a: f64[n]) -> f64:
    ...     n: i64 = dim(a, 0)
    ...     for i in reversed(range(n)):
    ...         x_bar: f64 = phi(1.0, x_bar_1)
    ...         t: f64 = a[i]
    ...         x_bar_1: f64 = x_bar * t
    ...     x_bar_2: f64 = last(x_bar)
    ...     return x_bar_2''', {"x_bar", "x_bar_1", "x_bar_2"})
    >>> nodes = unroll_recurrence(p.body[1], walk.names_of(p))
    >>> print(show(replace(p, body=(p.body[0], *nodes))))
    def f(a: f64[n]) -> f64:
        n: i64 = dim(a, 0)
        t_1: i64 = maximum(n, 0)
        t_2: i64 = t_1 // 4
        for k in range(t_2):
            x_bar_3: f64 = phi(1.0, x_bar_9)
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
            t_16: f64 = abs(t_6)
            t_17: f64 = abs(t_8)
            t_18: f64 = t_16 + t_17
            t_19: f64 = abs(t_11)
            t_20: f64 = t_18 + t_19
            t_21: f64 = abs(t_14)
            t_22: f64 = t_20 + t_21
            t_23: bool = t_22 <= 10000000000.0
            t_24: f64 = abs(t_15)
            t_25: bool = t_24 >= 1e-40
            t_26: bool = t_23 & t_25
            t_27: f64 = abs(x_bar_3)
            t_28: bool = t_27 <= 1e+260
            t_29: bool = t_26 & t_28
            if t_29:
                x_bar_4: f64 = x_bar_3 * t_15
            else:
                for i_1 in reversed(range(t_13, t_4)):
                    x_bar_6: f64 = phi(x_bar_3, x_bar_7)
                    t_30: f64 = a[i_1]
                    x_bar_7: f64 = x_bar_6 * t_30
                x_bar_8: f64 = last(x_bar_6)
            x_bar_9: f64 = phi(x_bar_4, x_bar_8)
        x_bar_10: f64 = last(x_bar_3)
        t_31: i64 = t_2 * 4
        t_32: i64 = t_1 - t_31
        for i in reversed(range(t_32)):
            x_bar: f64 = phi(x_bar_10, x_bar_1)
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
    far = b.emit("mul", k, STEPS)
    first = b.emit("sub", loop.stop, far) if loop.reverse else b.emit("add", loop.start, far)
    total: Atom | None = None  # the factor of the steps so far
    steps: list[tuple[dict[str, Atom], Atom | None]] = []
    leaves: dict[Atom, None] = {}
    for step in range(STEPS):
        index = b.emit("sub", first, step + 1) if loop.reverse else b.emit("add", first, step)
        env: dict[str, Atom] = {loop.index.name: index}
        walk.copy_nodes(b, parts.beside, env)
        atom, _, _ = walk.substitution(env)
        leaves |= dict.fromkeys(map(atom, parts.leaves))
        steps.append((env, total))
        total = atom(parts.factor) if total is None else b.emit("mul", total, atom(parts.factor))
    assert total is not None
    carried = heads[parts.carried.var.name]
    together = _in_proportion(b, list(leaves), total, carried, parts.depth)
    with b.open() as at_once:
        quick = _at_once(b, parts, steps, total, heads)
    with b.open() as one_by_one:
        start, stop = (b.emit("sub", first, STEPS), first) if loop.reverse else (first, b.emit("add", first, STEPS))
        phis = tuple(replace(p, first=heads[p.var.name]) for p in loop.phis)
        ends = {p.var.name: b.again(p.var) for p in loop.phis}
        exits = tuple(Exit(ends[p.var.name], p.var) for p in loop.phis)
        slow: dict[str, Atom] = {}
        walk.copy_nodes(b, [replace(loop, start=start, stop=stop, phis=phis, exits=exits)], slow)
    after = {p.var.name: b.again(p.var) for p in loop.phis}
    joined = tuple(Phi(after[n], quick[n], slow[ends[n].name]) for n in after)
    b.add(If(together, tuple(at_once), tuple(one_by_one), joined, loop.span))
    return dict(after)


def _at_once(
    b: Builder, parts: Recurrence, steps: list[tuple[dict[str, Atom], Atom | None]], total: Atom,
    heads: Mapping[str, Var],
) -> dict[str, Atom]:
    """What the loop carries after four steps, of which none waits for the one before."""
    carried = heads[parts.carried.var.name]
    sums: dict[str, Atom] = {}
    for env, factor in steps:
        if parts.sums:
            env[parts.carried.var.name] = carried if factor is None else b.emit("mul", carried, factor)
        walk.copy_nodes(b, parts.behind, env)
        for s in parts.sums:
            term = walk.substitution(env)[0](s.term)
            name = s.phi.var.name
            sums[name] = b.emit("add", sums[name], term) if name in sums else term
    after = {parts.carried.var.name: b.emit("mul", carried, total, hint=carried.name, of=carried.name)}
    for s in parts.sums:
        name = s.phi.var.name
        after[name] = b.emit("sub" if s.negative else "add", heads[name], sums[name], hint=name, of=name)
    return after


def _in_proportion(b: Builder, leaves: list[Atom], total: Atom, carried: Var, depth: int) -> Atom:
    """May the products be taken in any order?

    Each leaf is at most H, and a product of some at most H ** (STEPS * depth) = 10 ** REACH. As the product of all is
    at least 10 ** -REACH, that of some is not small either. So neither overflows, nor is anything lost that counts:
    each of the four values is as precise as step by step.
    """
    dtype = carried.type.dtype
    size: Atom | None = None
    for leaf in leaves:
        one = leaf if isinstance(leaf, Lit) else b.emit("abs", leaf)
        size = one if size is None else b.emit("add", size, one)
    fits = b.emit("le", size, 10.0 ** (REACH[dtype] / (STEPS * depth)))
    fits = b.emit("and", fits, b.emit("ge", b.emit("abs", total), 10.0 ** -REACH[dtype]))
    return b.emit("and", fits, b.emit("le", b.emit("abs", carried), MOST[dtype]))
