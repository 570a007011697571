"""Loops that may run on all cores: which ones, what each part needs of its own, and when it is worth it.

A loop qualifies if no iteration can disturb another. Proven with the dependence test of `reorder`: of two
accesses to an array that the loop updates, one of which writes, no two iterations touch the same element.
Other than that a loop may carry sums (and the like), and arrays that it only adds to: each part then adds to
a copy of its own, and what the copies hold is added up afterwards, in order. Where only iterations near each
other add to the same element, as in a stencil's adjoint, parts beside each other take turns instead. So
results do not depend on the number of cores or on who came first; they differ from those of one core by the
order of additions.

Checks, while loops and calls for whole arrays keep a loop as it is: an error inside could not leave it.
Of nested loops the outermost that qualifies is taken. `outline` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...ir import walk
from ...ir.affine import Affine, Facts
from ...ir.ops import arith
from ...ir.primitive import Kind, Trait
from ...ir.program import Atom, For, If, Index, Let, Lit, Node, Phi, Program, Var, While, atoms
from ...ir.types import I64
from ..analysis.dependence import PAIRS, pairs_of
from ..loops.reorder import Orders
from ..primitives import radd

LONG = 2_000_000
"""How many operations make it worth waking other cores: some hundred microseconds, which that costs ten of."""

USUAL = 100.0
SHARE = 0.02
"""Loops with less of the whole work, were all sizes USUAL, are not worth the time to compile them twice."""
UNKNOWN = 8
"""How often a loop is taken to run whose bounds are not known in advance."""
FEW = 8
"""Loops known to run less often than this are left to what is inside them."""


@dataclass(frozen=True)
class Work:
    """How much there is to do: so many operations, and some more per iteration of inner loops."""

    operations: int
    loops: tuple[tuple[Affine, int, Work], ...] = ()
    """Per inner loop: its trips are form / divisor."""

    def typical(self) -> float:
        """The operations if every size that is not known is USUAL."""
        inner = (_usual(form) / divisor * work.typical() for form, divisor, work in self.loops)
        return self.operations + sum(inner)

    def and_also(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.loops + other.loops)


def _usual(trips: Affine) -> float:
    return USUAL * sum(c for _, c in trips.terms) + trips.constant if trips.terms else trips.constant


@dataclass(frozen=True)
class Plan:
    """How the parts of a loop are made independent."""

    joined: tuple[tuple[Phi, str], ...]
    """Scalars: each part has its own, and this function of `support` joins them."""
    added: tuple[Phi, ...]
    """Arrays that are only added to: each part has its own, of zeros."""
    scratch: tuple[Phi, ...]
    """Buffers that each iteration writes before it reads: each part has its own."""
    work: Work
    """Of one iteration."""
    trips: Affine
    reach: int = 0
    """Above 0: iterations add to elements that others up to so far away add to; parts beside each other take turns."""
    weight: float = 0.0
    """What it has to do in all, loops around it included, were all sizes USUAL."""
    carried: frozenset[str] = field(default_factory=frozenset)
    """All that the loop carried when it was looked at."""


Plans = dict[str, Plan]
"""By the name of the loop's index."""


def parallel_loops(
    program: Program, before: Mapping[str, Plan] | None = None, reassociate: bool = True
) -> Plans:
    """The loops that may run on all cores.

    With `before`, what was found before buffers moved out of loops: only those loops are looked at, and what
    one carries that it did not carry then is a buffer of each iteration. Without `reassociate`, sums that the
    user wrote as loops keep their order.

    >>> from ...ir.text import parse
    >>> plans = parallel_loops(parse('''
    ... def f(x: f64[n], w: f64) -> (f64[n], f64):
    ...     n: i64 = dim(x, 0)
    ...     y: f64[n] = empty((n,), f64)
    ...     for i in range(n):
    ...         y_1: f64[n] = phi(y, y_2)
    ...         s: f64 = phi(0.0, s_1)
    ...         t: f64 = x[i]
    ...         u: f64 = t * w
    ...         y_2: f64[n] = y_1.at[i].set(u)
    ...         s_1: f64 = s + u
    ...     y_end: f64[n] = last(y_1)
    ...     s_end: f64 = last(s)
    ...     return y_end, s_end'''))
    >>> plans["i"].joined[0][1], plans["i"].added, plans["i"].work.operations
    ('total', (), 4)
    """
    finder = _Finder(program, before, reassociate)
    finder.look(program.body, Facts())
    return finder.plans


def worthwhile(plans: Plans) -> Plans:
    """Those that have a share in the work."""
    most = max((plan.weight for plan in plans.values()), default=0.0)
    return {index: plan for index, plan in plans.items() if plan.weight >= SHARE * most}


class _Finder(Orders):
    def __init__(self, program: Program, before: Mapping[str, Plan] | None, reassociate: bool):
        super().__init__(program, reassociate)
        self.before = before
        self.plans: Plans = {}
        self.least: dict[str, tuple[Atom, ...]] = {}  # of what an i64 is the minimum

    def look(self, nodes: Iterable[Node], facts: Facts, times: float = 1.0) -> None:
        for node in nodes:
            if isinstance(node, Let):
                self.deps.learn(node)
            elif isinstance(node, For):
                self.deps.learn_all(node.body)
                plan = self.plan_of(node, facts)
                times_inside = times * max(_usual(self.deps.length(node)), 1.0)
                if plan is not None:
                    weight = times_inside * plan.work.typical()
                    self.plans[node.index.name] = replace(plan, weight=weight)
                else:
                    self.look(node.body, self.deps.inside(facts, (node,)), times_inside)
            else:
                for region in walk.regions(node):
                    self.look(region, facts, times * USUAL if isinstance(node, While) else times)

    # -- one loop --------------------------------------------------------------------------------------

    def plan_of(self, node: For, facts: Facts) -> Plan | None:
        if self.before is not None and node.index.name not in self.before:
            return None
        trips = self.deps.length(node)
        if not trips.terms and trips.constant < FEW:
            return None
        carried = frozenset(p.var.name for p in node.phis)
        known = carried if self.before is None else self.before[node.index.name].carried
        scratch = tuple(p for p in node.phis if p.var.type.rank and p.var.name not in known)
        arrays = [p for p in node.phis if p.var.type.rank and p.var.name in known]
        joined = tuple((p, self.joins(p, node)) for p in node.phis if not p.var.type.rank)
        written = {p.var.name for p in (*arrays, *scratch)}
        if any(kind is None for _, kind in joined) or not _independent(node.body, written):
            return None
        if not any(isinstance(n, Let) and n.op.accesses for n in walk.walk(node.body)):
            return None  # it only counts something
        if any(isinstance(n, Let) and n.op.has(Trait.RAISES) for n in walk.walk(node.body)):
            return None
        shared = self.shared(node, arrays, facts)
        if shared is None:
            return None
        added, reach = shared
        kinds = tuple((p, kind) for p, kind in joined if kind is not None)
        return Plan(kinds, added, scratch, self.work(node.body, (node,)), trips, reach, carried=carried)

    def joins(self, phi: Phi, loop: For) -> str | None:
        kind = joins(phi, loop)
        last = next((n for n in walk.walk(loop.body) if isinstance(n, Let) and n.var == phi.second), None)
        free = last is not None and last.op is radd or self.may_move(phi.var)
        return kind if free or kind != "total" or not phi.var.type.is_float else None

    def shared(self, node: For, arrays: Sequence[Phi], facts: Facts) -> tuple[tuple[Phi, ...], int] | None:
        """The arrays that parts need copies of, and how far apart iterations may be that add to the same element.

        None if iterations disturb each other in another way.
        """
        found = self.deps.accesses(node, [p.var.name for p in arrays])
        if found is None:
            return None
        added, reach = [], 0
        for p in arrays:
            every = found[p.var.name]
            pairs = pairs_of(every)
            if not isinstance(p.first, Var) or len(pairs) > PAIRS:
                return None
            # Additions, too: their order does not matter, but here they would happen at the same time.
            clashes = [(a, b) for a, b in pairs if not self.deps.never_meet(a, b, node, facts)]
            distances = [self.deps.distance(a, b, node) for a, b in clashes]
            near = [d for d in distances if d is not None]
            if not all(a.kind == "at_add" and self.may_move(a.let.var) for pair in clashes for a in pair):
                return None
            if len(near) == len(clashes):
                reach = max([reach, *near])
            elif all(a.kind == "at_add" for a in every):
                added.append(p)
            else:
                return None
        return tuple(added), reach

    # -- how much there is to do -----------------------------------------------------------------------

    def work(self, nodes: Iterable[Node], around: tuple[For, ...]) -> Work:
        operations = 0
        loops: list[tuple[Affine, int, Work]] = []
        for node in nodes:
            match node:
                case Let():
                    operations += cost(node)
                    if node.op is arith.minimum:
                        self.least[node.var.name] = node.values
                case For():
                    trips = self.trips(node, around)
                    inner = self.work(node.body, (*around, node))
                    if loops and loops[-1][:2] == trips:
                        inner = loops.pop()[2].and_also(inner)
                    loops.append((*trips, inner))
                case If(then=then, orelse=orelse):
                    arms = [self.work(arm, around) for arm in (then, orelse)]
                    operations += 1 + max(arm.operations for arm in arms)
                    loops += [loop for arm in arms for loop in arm.loops]
        return Work(operations, tuple(loops))

    def trips(self, node: For, around: Sequence[For]) -> tuple[Affine, int]:
        """How often an inner loop runs, as form / divisor: on average where that depends on outer indices."""
        ends = self.least.get(getattr(node.stop, "name", ""), (node.stop,))  # a block of rows ends at the last row
        form, divisor = self.deps.form(ends[0]) - self.deps.form(node.start), 1
        for outer in reversed(around):
            if outer.index.name in form.names:
                both = (form.substitute(outer.index.name, self.deps.form(e)) for e in (outer.start, outer.stop))
                form, divisor = next(both) + next(both), 2 * divisor
        bound = {v.name for v in walk.bound(around[0].body)} | {p.var.name for p in around[0].phis}
        return (Affine(UNKNOWN), 1) if bound & set(form.names) else (form, divisor)


def cost(let: Let) -> int:
    """About how many simple operations this is."""
    return max(let.op.cost, 1)


def joins(phi: Phi, loop: For) -> str | None:
    """How the parts of a scalar that a loop carries are joined, if it is a sum or the like of its iterations.

    Every use of what has come together so far must only add to it.
    """
    so_far = {phi.var.name}
    kinds: set[str] = set()
    if not _only_joined(loop.body, so_far, kinds) or len(kinds) != 1:
        return None
    if any(_in(p.second, so_far) != (p == phi) for p in loop.phis):
        return None
    return kinds.pop() if phi.var.type.is_float or kinds == {"total"} and phi.var.type == I64 else None


def _in(operand: object, names: set[str]) -> bool:
    return any(isinstance(a, Var) and a.name in names for a in atoms(operand))


def _only_joined(nodes: Iterable[Node], so_far: set[str], kinds: set[str]) -> bool:
    for node in nodes:
        match node:
            case Let(var, op, args):
                places = [k for k, a in enumerate(args) if _in(a, so_far)]
                if not places:
                    continue
                if op.accumulates is None or len(places) != 1 or op is arith.sub and places != [0]:
                    return False
                so_far.add(var.name)
                kinds.add(op.accumulates)
            case For(start=start, stop=stop, phis=phis, body=body, exits=exits):
                entered = [p for p in phis if _in(p.first, so_far)]
                so_far |= {p.var.name for p in entered}
                if _in((start, stop), so_far) or not _only_joined(body, so_far, kinds):
                    return False
                if any(_in(p.second, so_far) != (p in entered) for p in phis):
                    return False
                so_far |= {e.var.name for e in exits if e.phi.name in so_far}
            case If(cond=cond, then=then, orelse=orelse, phis=phis):
                if _in(cond, so_far) or not all(_only_joined(a, so_far, kinds) for a in (then, orelse)):
                    return False
                for p in phis:
                    if _in(p.first, so_far) != _in(p.second, so_far):
                        return False
                    if _in(p.first, so_far):
                        so_far.add(p.var.name)
            case _:
                return False
    return True


def _independent(nodes: Iterable[Node], ours: set[str]) -> bool:
    """Are these only operations on scalars and on elements, that write to nothing but these arrays?

    Arrays that the nodes allocate are added to `ours`.
    """
    for node in nodes:
        match node:
            case Let(var, op, args):
                if op.kind is Kind.WRITE:
                    if not _in(args[0], ours):
                        return False
                elif var.type.rank:
                    if not op.allocates:
                        return False
                elif op.name != "getitem" and any(a.type.rank for a in atoms(args)) and op.name != "dim":
                    return False
                if any(a.type.rank for index in args if isinstance(index, Index) for a in atoms(index)):
                    return False
                if var.type.rank:
                    ours.add(var.name)
            case For(phis=phis, body=body, exits=exits):
                if not all(_passed(p.first, ours) for p in phis if p.var.type.rank):
                    return False
                ours |= {p.var.name for p in phis if p.var.type.rank}
                if not _independent(body, ours):
                    return False
                if not all(_passed(p.second, ours) for p in phis if p.var.type.rank):
                    return False
                ours |= {e.var.name for e in exits if e.var.type.rank}
            case If(then=then, orelse=orelse, phis=phis):
                if not (_independent(then, ours) and _independent(orelse, ours)):
                    return False
                arrays = [p for p in phis if p.var.type.rank]
                if not all(_passed(a, ours) for p in arrays for a in (p.first, p.second)):
                    return False
                ours |= {p.var.name for p in arrays}
            case _:
                return False
    return True


def _passed(atom: Atom, ours: set[str]) -> bool:
    return isinstance(atom, Lit) or atom.name in ours
