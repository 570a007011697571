"""How large arrays get that a program makes again and again: what a part that is done again saves, see recompute.py."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace

from ..build import Builder, literal
from ..ops.arith import maximum
from ..program import Atom, Check, Exit, For, If, Node, Phi, While
from ..types import I64
from ..walk import Nodes, defined
from .save import elements


def largest(b: Builder, nodes: Iterable[Node], arrays: Container[str]) -> tuple[Nodes, dict[str, Atom]]:
    """The nodes, without checks, and by the name of an array the most elements that it has."""
    found: dict[str, Atom] = {}
    with b.open() as written:
        for node in nodes:
            here: dict[str, Atom] = {}
            match node:
                case Check():
                    continue
                case For() | While():
                    node, here = _of_loop(b, node, arrays)
                case If(then=then, orelse=orelse, phis=phis):
                    arms = [largest(b, then, arrays), largest(b, orelse, arrays)]
                    joined = list(phis)
                    for name in (*arms[0][1], *arms[1][1]):
                        sizes = [arm[1].get(name, literal(0, "i64")) for arm in arms]
                        joined.append(Phi(b.var("largest", I64), sizes[0], sizes[1]))
                        here[name] = joined[-1].var
                    node = replace(node, then=arms[0][0], orelse=arms[1][0], phis=tuple(joined))
            b.add(node)
            for var in defined(node):
                if var.name in arrays:
                    here[var.name] = elements(b, var.type.dims)
            found |= here
    return tuple(written), found


def _of_loop(b: Builder, loop: For | While, arrays: Container[str]) -> tuple[For | While, dict[str, Atom]]:
    body, inner = largest(b, loop.body, arrays)
    found: dict[str, Atom] = {}
    phis, exits, rest = list(loop.phis), list(loop.exits), list(body)
    for name, size in inner.items():
        phi, end = b.var("largest", I64), b.var("largest", I64)
        with b.open() as written:
            phis.append(Phi(phi, literal(0, "i64"), b.emit(maximum, phi, size)))
        rest += written
        exits.append(Exit(end, phi))
        found[name] = end
    return replace(loop, phis=tuple(phis), body=tuple(rest), exits=tuple(exits)), found
