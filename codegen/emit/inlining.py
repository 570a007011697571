"""What is used where: how emit decides which temporaries become part of the expression that uses them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ...ir import walk
from ...ir.ops.math import abs_
from ...ir.primitive import Kind, Trait
from ...ir.program import Atom, Check, For, If, Index, Let, Lit, Node, Program, Var, While, atoms
from . import spelling
from .out_of_ssa import stem


@dataclass(slots=True)
class Use:
    """How often a name is used, in which region it is bound and (last) used."""

    count: int = 0
    home: int = -1
    region: int = -2
    subscripts_only: bool = True
    stored: str = ""  # the array whose element it becomes, if it is stored


def is_temporary(name: str) -> bool:
    return re.fullmatch(r"t(_\d+)?", name) is not None


def is_element(let: Let) -> bool:
    """Is this a read with a name of the form x_i?"""
    return let.op.name == "getitem" and let.var.name.startswith(f"{stem(let.array.name)}_")


def uses_of(program: Program) -> dict[str, Use]:
    uses = {p.name: Use() for p in program.params}
    uses |= {v.name: Use() for v in walk.bound(program.body)}
    regions = 0

    def use(operand: object, region: int, joined: bool = False, subscript: bool = False) -> None:
        for atom in atoms(operand):
            if isinstance(atom, Var):
                entry = uses[atom.name]
                entry.count += 2 if joined else 1  # a value that is joined is not inlined
                entry.region = region
                entry.subscripts_only &= subscript

    def visit(nodes: Iterable[Node], region: int) -> None:
        nonlocal regions
        for node in nodes:
            match node:
                case Let(var, _, args):
                    uses[var.name].home = region
                    if node.op.kind is Kind.WRITE and isinstance(args[2], Var):
                        uses[args[2].name].stored = stem(var.name)
                    for arg in args:
                        use(arg, region, subscript=isinstance(arg, Index) or var.type.dtype == "i64")
                case Check(cond):
                    use(cond, region)
                case For(start=start, stop=stop):
                    use((start, stop), region)
                case If(cond=cond):
                    use(cond, region)
            for phi in getattr(node, "phis", ()):
                use((phi.first, phi.second), region, joined=True)
            for end in getattr(node, "exits", ()):
                use(end.phi, region, joined=True)
            if isinstance(node, While):
                regions += 1
                here = regions
                visit(node.test, here)
                use(node.cond, here)
                visit(node.body, here + 10**6)
                continue
            for inner in walk.regions(node):
                regions += 1
                visit(inner, regions)

    visit(program.body, 0)
    use(program.results, 0, joined=True)
    return uses


def loose_names(program: Program) -> set[str]:
    """Float names that hold a plain Python number in an uncompiled run."""
    loose: set[str] = set()
    before = -1
    while len(loose) != before:
        before = len(loose)
        for node in walk.walk(program.body):
            for phi in getattr(node, "phis", ()):
                if _plain(phi.first, loose) or _plain(phi.second, loose):
                    loose.add(phi.var.name)
            for end in getattr(node, "exits", ()):
                if end.phi.name in loose:
                    loose.add(end.var.name)
            if isinstance(node, Let) and node.op.elementwise and not node.var.type.rank:
                values = [a for k, a in enumerate(node.args) if k not in node.op.static]
                kept = [_plain(v, loose) for v in (values[1:] if node.op.name == "where" else values)]  # type: ignore[arg-type]
                if (
                    (spelling.template(node.op) or "").startswith("math.")
                    or (node.op.has(Trait.AFFINE) or node.op is abs_)
                    and all(kept)
                    or node.op.name == "where"
                    and any(kept)
                ):
                    loose.add(node.var.name)
    return loose


def _plain(atom: Atom, loose: set[str]) -> bool:
    return isinstance(atom, Lit) or atom.name in loose
