"""The forward sweep: the program's own nodes, and the saving that a plan (save.py) asks for.

Save arrays and counters run through their nest as phis ("threads"): made before the outermost loop, updated
where the value is at hand, left in an exit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..affine import Affine
from ..build import Builder, dim_atom, literal
from ..ops.arith import add, le, maximum
from ..ops.array import empty, zeros
from ..ops.index import at_set
from ..passes.dead_code import dead_code
from ..program import Atom, Call, Check, Exit, For, If, Let, Lit, Node, Phi, Program, Var, While, atoms
from ..types import I64
from ..walk import copy_nodes, free, in_sweep
from .save import Base, Export, Plan, Save, movable, place, product
from .scopes import Loop, Region, Scopes

Thread = Save | Base
ZERO = Lit("0", I64)


@dataclass
class Forward:
    """Writes the forward sweep into `builder`."""

    scopes: Scopes
    builder: Builder
    plan: Plan
    threads: Sequence[Thread]
    trips: dict[int, tuple[Var, Var]]
    """By the id of a While whose trips are counted: the counter inside, and the number behind it."""
    extra_exits: dict[int, list[Exit]] = field(default_factory=dict)
    instead: Mapping[str, Node] = field(default_factory=dict)
    """By name, what is written instead of the operation that binds it."""
    state: dict[Thread, Atom] = field(default_factory=dict)
    exported: dict[str, Var] = field(default_factory=dict)
    """What leaves arms, with its final type."""
    waiting: list[Var] | None = None
    """In the test of a While: values that are saved when it is known that the body will run."""
    totals: dict[int, Atom] = field(default_factory=dict)
    """By the id of a Base or While: its count, made before the nest."""

    def __post_init__(self) -> None:
        self.sites: dict[str, list[Thread]] = {}
        for thread in sorted(self.threads, key=lambda t: isinstance(t, Base)):
            name = thread.var.name if isinstance(thread, Save) else thread.trigger
            if name is not None:
                self.sites.setdefault(name, []).append(thread)

    def nodes(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            match node:
                case Let():
                    self.builder.add(self.instead.get(node.var.name, node))
                    self.builder.know(node)
                    self.bound(node.var)
                case Check():
                    self.builder.add(node)
                case Call(results):
                    self.builder.add(node)
                    for var in results:
                        self.bound(var)
                case For() | While():
                    self.loop(node)
                case If():
                    self.branch(node)

    def bound(self, var: Var) -> None:
        """A value has just been bound: save it if the plan says so."""
        if self.waiting is not None:
            self.waiting.append(var)
            return
        for thread in self.sites.get(var.name, ()):
            if isinstance(thread, Save):
                index, value = place(self.builder, thread, var)
                hint = f"{var.name}_saved"
                self.state[thread] = self.builder.emit(at_set, self.state[thread], index, value, hint=hint)
            else:
                self.advance(thread, [dim_atom(d) for d in thread.dims])

    # -- loops -----------------------------------------------------------------------------------------

    def loop(self, node: Loop) -> None:
        b = self.builder
        b.span = node.span
        carried = [t for t in self.threads if node in t.loops]
        for thread in carried:
            if thread.loops[0] is node:
                self.state[thread] = self.made(thread)
        first = [self.state[t] for t in carried]
        inner = [self.inside(t, node) for t in carried]
        self.state.update(zip(carried, inner))
        with b.open() as written:
            late: list[Var] = []
            if isinstance(node, While):
                outer, self.waiting = self.waiting, late
                self.nodes(node.test)
                self.waiting = outer
            else:
                b.facts.bound(node.index.name, b.affine(node.start), b.affine(node.stop) - 1)
            split = len(written)
            for var in (*(p.var for p in node.phis), *inner, *late):
                self.bound(var)
            self.nodes(node.body)
            b.span = node.span
            counter = []
            if id(node) in self.trips:
                trip = self.trips[id(node)][0]
                counter = [Phi(trip, ZERO, b.emit(add, trip, 1, hint="trip"))]
        joined = [Phi(v, atom, self.state[t]) for v, atom, t in zip(inner, first, carried)]
        leaving = [Exit(b.again(v), v) for v in inner]
        exits = [*node.exits, *self.extra_exits.get(id(node), ()), *leaving]
        exits += [Exit(self.trips[id(node)][1], phi.var) for phi in counter]
        phis = (*node.phis, *counter, *joined)
        body = tuple(written)
        if isinstance(node, For):
            bounds = node.start, node.stop, node.reverse
            b.add(For(node.index, *bounds, phis, body, tuple(exits), node.span))
        else:
            b.add(While(phis, body[:split], node.cond, body[split:], tuple(exits), node.span))
        for thread, exit in zip(carried, leaving):
            self.state[thread] = exit.var
            if isinstance(thread, Save) and thread.loops[0] is node:
                thread.array = self.hand_out(exit.var, self.scopes.around[id(node)])
        for exit in exits:
            self.bound(exit.var)
        for thread in self.threads:
            if isinstance(thread, Base) and thread.step is node:
                self.advance(thread, self.sizes(thread))

    def inside(self, thread: Thread, node: Loop) -> Var:
        """The phi of a thread in one of its loops."""
        if isinstance(thread, Base):
            return thread.var if thread.loops[-1] is node else self.builder.var(thread.var.name, I64)
        return self.builder.var(f"{thread.var.name}_saved", self.state[thread].type)

    def made(self, thread: Thread) -> Atom:
        """What a thread starts from, before its outermost loop."""
        if isinstance(thread, Base):
            return ZERO
        if thread.base is not None:
            shape = [self.count(thread.base)]
        else:
            region = self.scopes.around[id(thread.loops[0])]
            shape = [self.trip_count(loop, region) for loop in thread.loops]
            shape += [self.moved(dim_atom(d), region) for d in thread.var.type.dims]
        hint = f"{thread.var.name}_saved"
        return self.builder.emit(empty, tuple(shape), thread.var.type.dtype, hint=hint)

    # -- counting --------------------------------------------------------------------------------------

    def advance(self, base: Base, sizes: list[Atom]) -> None:
        """One more execution of what a packed array counts."""
        b = self.builder
        self.state[base] = b.emit(add, self.state[base], product(b, sizes), hint="base")

    def sizes(self, base: Base) -> list[Atom]:
        """How many elements an execution of a packed array's inner loop takes, as factors."""
        assert base.step is not None
        region = self.scopes.around[id(base.step)]
        if isinstance(base.step, While):
            counts: list[Atom] = [self.trips[id(base.step)][1]]
        else:
            counts = [self.trip_count(base.step, region)]
        counts += [self.trip_count(loop, region) for loop in base.suffix]
        return counts + [self.moved(dim_atom(d), region) for d in base.dims]

    def trip_count(self, loop: Loop, region: Region) -> Atom:
        """How often a loop will run, in a region around it."""
        if isinstance(loop, While):
            return self.count(loop)
        b = self.builder
        form = b.affine(self.moved(loop.stop, region)) - b.affine(self.moved(loop.start, region))
        trips = b.integer(form)
        return trips if b.facts.proves(form) else b.emit(maximum, trips, 0)

    def moved(self, atom: Atom, region: Region) -> Atom:
        """The value of an i64 in a region around the one that it is bound in."""
        if isinstance(atom, Lit) or self.scopes.region[atom.name].encloses(region):
            return atom
        definition = self.scopes.definition[atom.name]
        assert isinstance(definition, Let) and movable(self.scopes, atom.name, region)
        return self.builder.emit(definition.op, *(self.moved(a, region) for a in atoms(definition.args)))

    def count(self, what: Base | While) -> Atom:
        """The total: the nest is run before, stripped to what its trip counts depend on."""
        if id(what) not in self.totals:
            bound, limit = self.plan.bounds.get(id(what), (None, 0))
            self.totals[id(what)] = self.counted(what) if bound is None else self.bounded(what, bound, limit)
        return self.totals[id(what)]

    def bounded(self, what: Base | While, bound: Affine, limit: int) -> Atom:
        """The bound itself where it is small, else the count."""
        b = self.builder
        most = b.emit(maximum, b.integer(bound), 0)
        small = b.emit(le, most, limit)
        with b.open() as written:
            exact = self.counted(what)
        total = b.var("trips", I64)
        b.add(If(small, (), tuple(written), (Phi(total, most, exact),), b.span))
        return total

    def counted(self, what: Base | While) -> Atom:
        b = self.builder
        if isinstance(what, While):
            nest: Loop = what
            counted: list[Loop | None] = [what]
            threads: list[Thread] = []
        else:
            nest = what.loops[0]
            counted = [*what.loops, what.step]
            threads = [Base(b.var("count", I64), *what.where())]
        trips = {id(n): (b.var("trip", I64), b.var("trips", I64)) for n in counted if isinstance(n, While)}
        inner = Builder()
        inner.names = b.names
        inner.facts = b.facts.copy()
        again = Forward(self.scopes, inner, Plan(), threads, trips, instead=self.instead)
        again.nodes((nest,))
        total = again.state[threads[0]] if threads else trips[id(nest)][1]
        assert isinstance(total, Var)
        nodes = tuple(inner.region)
        params = tuple(self.scopes.var[name] for name in sorted(free(nodes)))
        stripped = dead_code(Program("count", params, nodes, (total,)))
        env: dict[str, Atom] = {}
        before = len(b.region)
        copy_nodes(b, stripped.body, env)
        b.region[before:] = in_sweep(b.region[before:], "count")
        b.span = nest.span
        return env[total.name]

    # -- arms ------------------------------------------------------------------------------------------

    def branch(self, node: If) -> None:
        b = self.builder
        before = self.state
        arms: list[list[Node]] = []
        states: list[dict[Thread, Atom]] = []
        for nodes in (node.then, node.orelse):
            self.state = dict(before)
            with b.open() as written:
                self.nodes(nodes)
            arms.append(written)
            states.append(self.state)
        b.span = node.span
        phis = list(node.phis)
        for export in self.plan.exports.get(id(node), ()):
            phis += self.leave(export, arms, self.scopes.around[id(node)])
        self.state = {**states[0], **states[1], **before}
        for thread in before:
            then, orelse = states[0][thread], states[1][thread]
            if then != orelse:
                hint = "base" if isinstance(thread, Base) else f"{thread.var.name}_saved"
                phis.append(Phi(b.var(hint, before[thread].type), then, orelse))
                self.state[thread] = phis[-1].var
        b.add(If(node.cond, tuple(arms[0]), tuple(arms[1]), tuple(phis), node.span))
        for phi in phis:
            self.bound(phi.var)

    def leave(self, export: Export, arms: Sequence[list[Node]], outside: Region) -> list[Phi]:
        """The phi that hands a value out of its arm; in the other arm it is nothing, of that type."""
        b = self.builder
        var = self.exported.get(export.var.name, export.var)
        phis: list[Phi] = []

        def join(result: Var, value: Atom, nothing: Atom) -> None:
            phis.append(Phi(result, *((value, nothing) if export.arm == 0 else (nothing, value))))

        dims = []
        shape: list[Atom] = []
        for d in var.type.dims:
            region = self.scopes.region.get(d) if isinstance(d, str) else self.scopes.top
            if region is not None and region.encloses(outside):
                shape.append(dim_atom(d))
            else:
                join(b.var(str(d), I64), dim_atom(d), ZERO)
                d = phis[-1].var.name
                shape.append(ZERO)
            dims.append(d)
        result = Var(export.result.name, var.type.with_dims(tuple(dims)))
        if dims:
            with b.open() as written:
                nothing = b.emit(zeros, tuple(shape), var.type.dtype, hint=var.name)
            arms[1 - export.arm].extend(written)
        else:
            nothing = literal(0, var.type.dtype)
        join(result, var, nothing)
        self.exported[result.name] = result
        return phis

    def hand_out(self, var: Var, region: Region) -> Var:
        """Let a save array leave the arms of Ifs outside all loops."""
        while isinstance(region.node, If):
            assert region.parent is not None
            arm = self.scopes.body[id(region.node)].index(region)
            result = self.builder.again(var)
            self.plan.exports.setdefault(id(region.node), []).append(Export(var, arm, result))
            var, region = result, region.parent
        return var
