"""Writing loops that run on all cores: each becomes a function of a part, called for all parts at once.

    parts = support.parts(2000000, 35 * n, n, 0)              in how many parts; 0 if the loop is short
    if parts:
        s_parts = np.empty(parts)
        support.on_all_cores(f_part, parts, (n, x, y, s_parts))
        s = support.total(0.0, s_parts)
    else:
        for i in range(n):                                     the loop as it is without
            ...

The loop stands there twice, because what runs small must cost what it cost before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ...ir.affine import Affine
from ...ir.build import Builder
from ...ir.names import Names
from ...ir.ops import arith
from ...ir.program import Check, Exit, For, If, Let, Lit, Node, Phi, Program, Var, While, atoms
from ...ir.types import I64, Type
from ...ir.walk import bound, walk
from ..emit import spelling
from ..emit.python import Emitter, Part, Written, with_imports
from ..emit.spelling import Text
from .partition import UNKNOWN, Plan, Plans, Work


def outlined_lines(program: Program, plans: Plans, limit: int, comments: bool = True) -> list[Written]:
    """The lines of the program's function, below those of its parallel loops.

    A loop runs on all cores if it has at least `limit` operations to do.
    """
    return _Outliner(program, plans, limit, comments).source()


class _Outliner(Emitter):
    def __init__(self, program: Program, plans: Plans, limit: int, comments: bool):
        super().__init__(program, comments)
        self.plans, self.limit = plans, limit
        self.helpers: list[Written] = []
        self.taken_names = {*self.variable, *self.variable.values(), program.name}
        self.parts_variable = self.fresh("parts")

    def source(self) -> list[Written]:
        main = self.definition()
        return with_imports([*self.helpers, *main])

    def fresh(self, hint: str) -> str:
        name, k = hint, 0
        while name in self.taken_names:
            k += 1
            name = f"{hint}_{k}"
        self.taken_names.add(name)
        return name

    def loop(self, node: For) -> None:
        plan = self.plans.get(node.index.name)
        if plan is None:
            super().loop(node)
            return
        self.settle()
        parts, name = self.parts_variable, self.fresh(f"{self.program.name}_part")
        own = {p.var.name: self.fresh(f"{self.variable[p.var.name]}_parts") for p in _own(plan)}
        made = _PartEmitter(node, plan, name, self)
        self.helpers += [*made.source(own), Written(""), Written("")]

        trips = self.trips(node)
        work = spelling.call("{0} * {1}", trips, self.work(plan.work)).text
        elements = [f"{self.variable[p.var.name]}.size" for p in plan.added]
        shares = spelling.call("{0} // {1}", trips, Text(str(plan.reach))) if plan.reach > 1 else trips
        count = f"support.parts({self.limit}, {work}, {shares.text}, {' + '.join(elements) or 0})"
        run = "in_two_turns" if plan.reach else "on_all_cores"
        self.line(f"{parts} = {count}", node.span)
        self.line(f"if {parts}:")
        self.depth += 1
        self.assign([(p.var, p.first) for p in node.phis if p.var.type.rank], node.span)
        for p, _ in plan.joined:
            self.line(f"{own[p.var.name]} = np.empty({parts}{_dtype(p.var.type)})")
        for p in plan.added:
            variable = self.variable[p.var.name]
            self.line(f"{own[p.var.name]} = np.empty({parts} * {variable}.size{_dtype(p.var.type)})")
        entered = {p.first.name: p.var for p in node.phis if p.var.type.rank and isinstance(p.first, Var)}
        args = [own.get(a.name) or self.text(entered.get(a.name, a)).text for a in made.args]
        self.line(f"support.{run}({name}, {parts}, ({', '.join(args)}{',' if len(args) == 1 else ''}))")
        targets = [self.variable[p.var.name] for p, _ in plan.joined]
        firsts = [self.text(p.first).text for p, _ in plan.joined]
        calls = [f"support.{kind}({f}, {own[p.var.name]})" for (p, kind), f in zip(plan.joined, firsts)]
        if any(t in firsts[k + 1 :] for k, t in enumerate(targets)):
            self.line(f"{', '.join(targets)} = {', '.join(calls)}")
        else:
            for target, call in zip(targets, calls):
                self.line(f"{target} = {call}")
        for p in plan.added:
            self.line(f"support.add_all({self.variable[p.var.name]}, {own[p.var.name]})")
        self.assign([(e.var, e.phi) for e in node.exits], None)
        self.depth -= 1
        self.line("else:")
        self.depth += 1
        super().loop(node)
        self.depth -= 1

    # -- how much there is to do -----------------------------------------------------------------------

    def trips(self, node: For) -> Text:
        start, stop = self.text(node.start), self.text(node.stop)
        return stop if start.text == "0" else spelling.call("{0} - {1}", stop, start)

    def work(self, work: Work) -> Text:
        text: Text | None = Text(str(work.operations)) if work.operations or not work.loops else None
        for form, divisor, inner in work.loops:
            trips = self.form(form)
            if divisor > 1:
                trips = spelling.call("{0} // {1}", trips, Text(str(divisor)))
            more = spelling.call("{0} * {1}", trips, self.work(inner))
            text = more if text is None else spelling.call("{0} + {1}", text, more)
        assert text is not None
        return text

    def form(self, form: Affine) -> Text:
        """A form in terms of variables, if all of them have their values here."""
        if not {n for n, _ in form.terms} <= self.constant:
            return Text(str(UNKNOWN))
        text: Text | None = Text(str(form.constant)) if form.constant > 0 or not form.terms else None
        for name, coefficient in sorted(form.terms, key=lambda term: -term[1]):
            term = self.text(Var(name, I64))
            if abs(coefficient) != 1:
                term = spelling.call("{0} * {1}", Text(str(abs(coefficient))), term)
            if text is None:
                text = term if coefficient > 0 else spelling.call("-{0}", term)
            else:
                text = spelling.call("{0} + {1}" if coefficient > 0 else "{0} - {1}", text, term)
        assert text is not None
        if form.constant < 0:
            text = spelling.call("{0} - {1}", text, Text(str(-form.constant)))
        return text


class _PartEmitter(Emitter):
    """Writes the function that does one part of a loop; `args` are what it is called with."""

    def __init__(self, node: For, plan: Plan, name: str, main: Emitter):
        self.plan, self.node = plan, node
        joined = {p.var.name: kind for p, kind in plan.joined}
        phis = tuple(
            replace(p, first=_nothing(p.var, main.program.cotangents)) if joined.get(p.var.name) == "total" else p
            for p in node.phis
        )
        needed = _needed(replace(node, phis=phis))
        self.args = [*needed, *(p.var for p in _own(plan))]  # the latter stand for those of all parts

        builder = Builder()
        builder.names = Names(v.name for v in (*needed, *bound([node])))
        self.which, self.count, self.first, self.trips, k = (
            builder.var(hint, I64) for hint in ("part", "parts", "first", "trips", "k")
        )
        exits = tuple(Exit(builder.again(p.var), p.var) for p, _ in plan.joined)
        own_index = Let(node.index, arith.add, (self.first, k))
        body = (own_index, *node.body)
        loop = For(k, Lit("0", I64), self.trips, node.reverse, phis, body, exits, node.span)
        params = (self.which, self.count, self.first, self.trips, *needed)
        super().__init__(Program(name, params, (loop,), tuple(e.var for e in exits)), main.comments)
        self.speak(main, [node.index, *(p.var for p in node.phis), *needed])

    def speak(self, main: Emitter, names: Sequence[Var]) -> None:
        """Call the same things by the same variables as the function around."""
        for var in names:
            old, new = self.variable[var.name], main.variable[var.name]
            if new not in self.variable.values():
                self.variable.update({n: new for n, v in self.variable.items() if v == old})

    def source(self, own: dict[str, str]) -> list[Written]:  # type: ignore[override]
        """The lines; `own` names what holds the parts' own values."""
        of = self.variable
        names = [own.get(a.name) or of[a.name] for a in self.args]
        part, count = of[self.which.name], of[self.count.name]
        head = f"def {self.program.name}({', '.join([part, count, *names])}):"
        bounds = ", ".join(self.text(end).text for end in (self.node.start, self.node.stop))
        self.line(f"{of[self.first.name]}, {of[self.trips.name]} = support.share({part}, {count}, {bounds})")
        for p in self.plan.added:
            array = of[p.first.name]  # type: ignore[union-attr]
            self.line(f"{array} = support.own_zeros({own[p.var.name]}, {part}, {array})")
        for p in self.plan.scratch:
            self.line(f"{of[p.first.name]} = np.empty_like({of[p.first.name]})")  # type: ignore[union-attr]
        self.region(self.program.body)
        for (p, _), end in zip(self.plan.joined, self.program.results):
            self.line(f"{own[p.var.name]}[{part}] = {self.text(end).text}")
        return [Written(head, tuple(Part(a.name, None) for a in self.args)), *self.lines]


def _own(plan: Plan) -> list[Phi]:
    """What each part has of its own and gives back."""
    return [*plan.added, *(p for p, _ in plan.joined)]


def _nothing(total: Var, cotangents: Collection[str]) -> Lit:
    """What a sum may start from: -0.0 + v is v, whatever its sign. Of cotangents that does not matter."""
    zero = "0" if total.type == I64 else "0.0" if total.name in cotangents else "-0.0"
    return Lit(zero, total.type)


def _dtype(type: Type) -> str:
    return "" if type.dtype == "f64" else f", {spelling.NUMPY[type.dtype]}"


def _needed(loop: For) -> list[Var]:
    """What a loop reads from outside, sizes in types left out."""
    found: dict[str, Var] = {}
    for node in walk([loop]):
        for operand in _operands(node):
            for atom in atoms(operand):
                if isinstance(atom, Var):
                    found.setdefault(atom.name, atom)
    inside = {v.name for v in bound([loop])}
    return [v for name, v in found.items() if name not in inside]


def _operands(node: Node) -> Iterable[object]:
    match node:
        case Let(_, _, args):
            yield args
        case Check(cond) | While(_, _, cond):
            yield cond
        case For(_, start, stop):
            yield start, stop
        case If(cond):
            yield cond
    for phi in getattr(node, "phis", ()):
        yield phi.first, phi.second
