"""`program.graph()`: the dataflow of a program as a picture, loops and branches as boxes.

An adjoint is drawn as it is thought of: the forward sweep runs down on the left, the reverse sweep up on the right,
and what the one keeps for the other runs across. Drawn by Graphviz where its Python package and its program `dot`
are installed, else by layout.py.
"""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from ..program import Check, Exit, For, If, Let, Lit, Node, Phi, Program, Span, Var, While, atoms
from ..sizes import Sizes
from ..text import operation
from ..text.page import shortened, sweeps_of
from ..walk import bound
from .layout import drawn
from .picture import Box, Edge, Item, Spot, spots_of

ENGINES = ("graphviz", "plain")
LABEL = 30
"""Longest text of an operation; all of it is in the tooltip."""


@dataclass(frozen=True)
class Graph:
    """The picture of a program. A notebook displays it; `svg()` is its text, `dot` that of Graphviz."""

    name: str
    items: tuple[Item, ...]
    edges: tuple[Edge, ...]
    engine: str | None = None

    def svg(self, engine: str | None = None) -> str:
        """The picture as SVG, by this engine ("graphviz" or "plain"), or by what is installed.

        Raises ValueError for another engine, RuntimeError if Graphviz is asked for and not installed.
        """
        engine = engine or self.engine or ("graphviz" if _graphviz() else "plain")
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
        if engine == "plain":
            return drawn(self.name, self.items, self.edges)
        package = _graphviz()
        if package is None:
            raise RuntimeError(
                "Graphviz is not installed: it is a Python package (pip install 'pullback[graph]') and the program dot"
            )
        text = package.Source(self.dot).pipe(format="svg", encoding="utf-8")
        return str(text[text.index("<svg") :])

    @property
    def dot(self) -> str:
        """The picture in Graphviz's language."""
        lines = [
            "digraph {",
            '  graph [rankdir=TB, fontname="monospace", fontsize=11, nodesep=0.2, ranksep=0.35, bgcolor=white]',
            '  node [shape=box, style="rounded,filled", fillcolor="#f4f7fb", color="#1766a8", fontname="monospace",'
            ' fontsize=10, margin="0.08,0.04"]',
            '  edge [color="#8a8f96", arrowsize=0.6]',
        ]
        for item in self.items:
            lines += _dot_item(item, "  ")
        spots = {spot.key: spot for spot in spots_of(self.items)}
        for edge in self.edges:
            style = _DOT_EDGES.get(edge.kind, "")
            up = edge.kind == "data" and spots[edge.source].reverse and spots[edge.target].reverse
            ends = (edge.target, edge.source) if up else (edge.source, edge.target)
            extra = ", ".join(filter(None, (style, "dir=back" if up else "")))
            lines.append(f"  {_quoted(ends[0])} -> {_quoted(ends[1])}" + (f" [{extra}]" if extra else ""))
        return "\n".join([*lines, "}"])

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the picture to a file, .svg or .dot; gives its path."""
        target = Path(path)
        target.write_text(self.dot if target.suffix == ".dot" else self.svg(), encoding="utf-8")
        return target

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        count = sum(1 for _ in spots_of(self.items))
        return (
            f'<graph of {self.name}: {count} values, {len(self.edges)} edges; .save("graph.svg") writes it>'
        )


def _graphviz() -> Any:
    """Graphviz's Python package, if that and the program are there."""
    if shutil.which("dot") is None:
        return None
    try:
        return importlib.import_module("graphviz")
    except ImportError:
        return None


_DOT_EDGES = {"back": "style=dashed, constraint=false", "kept": 'color="#6a3fa5", constraint=false'}


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _dot_item(item: Item, pad: str) -> Iterator[str]:
    if isinstance(item, Box):
        colour = "#b4470a" if item.reverse else "#1766a8"
        yield f"{pad}subgraph {_quoted('cluster ' + item.key)} {{"
        yield f'{pad}  label={_quoted(item.label)}; style="rounded,filled"; fillcolor="#00000008"; color="{colour}"'
        for inner in item.items:
            yield from _dot_item(inner, pad + "  ")
        yield f"{pad}}}"
        return
    label = f"{item.name}\n{item.label}" if item.label else item.name
    colours = ', color="#b4470a", fillcolor="#fdf4ee"' if item.reverse else ""
    bold = ", penwidth=2" if item.kind in ("param", "result") else ""
    yield f"{pad}{_quoted(item.key)} [label={_quoted(label)}, tooltip={_quoted(item.title)}{colours}{bold}]"


# -- from programs -------------------------------------------------------------------------------------------


def graph(program: Program, engine: str | None = None) -> Graph:
    """The dataflow of a program: a spot for every value, an edge for every use of one by another.

    >>> from ..text import parse
    >>> graph(parse('''
    ... def f(x: f64, w: f64) -> f64:
    ...     t: f64 = x * w
    ...     y: f64 = sin(t)
    ...     return y'''))
    <graph of f: 5 values, 4 edges; .save("graph.svg") writes it>
    """
    if engine is not None and engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    return _Reader(program).graph(engine)


@dataclass
class _Reader:
    program: Program
    edges: dict[tuple[str, str, str], Edge] = field(default_factory=dict)
    reverse: set[str] = field(default_factory=set)
    sizes: Sizes = field(default_factory=Sizes)
    count: int = 0

    def graph(self, engine: str | None) -> Graph:
        program = self.program
        turn = _turn(program)
        behind = program.body[turn:] if turn is not None else ()
        self.reverse = {v.name for v in bound(behind)}
        if turn is not None:
            made = {v.name for v in bound(program.body)}
            self.reverse |= {p.name for p in program.params if primal_of(p.name, made) is not None}
        items: list[Item] = []
        for k, param in enumerate(program.params):
            self.sizes.bind(param)
            origin = program.origins[k] if k < len(program.origins) else ""
            items.append(self.spot(param, str(param.type), "param", None, origin))
        for k, node in enumerate(program.body):
            items += self.node(node, turn is not None and k >= turn)
        for k, result in enumerate(program.results):
            name = result.name if isinstance(result, Var) else result.text
            key = f"return {k}"
            items.append(
                Spot(key, f"return {name}", "", "result", name in self.reverse, f"result {k}: {name}")
            )
            self.use(result, key)
        known = {spot.key for spot in spots_of(items)}
        edges = tuple(e for e in self.edges.values() if e.source in known)
        return Graph(program.name, tuple(items), edges, engine)

    def spot(self, var: Var, label: str, kind: str, span: Span | None, note: str = "") -> Spot:
        title = f"{var.name}: {var.type} = {label}" if kind != "param" else f"{var.name}: {var.type}"
        line = f"line {span.line}: {span.text.strip()}" if span else ""
        text = "\n".join(filter(None, (title, line, note)))
        return Spot(var.name, var.name, shortened(label, LABEL), kind, var.name in self.reverse, text)

    def use(self, operand: object, target: str, kind: str = "data") -> None:
        for atom in atoms(operand):
            if isinstance(atom, Var):
                source = atom.name
                across = kind == "data" and source not in self.reverse and self.is_reverse(target)
                own = "kept" if across and self.reverse else kind
                self.edges.setdefault((source, target, kind), Edge(source, target, own))

    def is_reverse(self, key: str) -> bool:
        return key in self.reverse or key.startswith("check reverse")

    def node(self, node: Node, reverse: bool) -> Iterator[Item]:
        match node:
            case Let(var, _, args, span):
                yield self.spot(var, operation(node, self.sizes), "op", span)
                self.sizes.let(node)
                self.use(args, var.name)
            case Check(cond, message, span):
                self.count += 1
                key = f"check {'reverse ' if reverse else ''}{self.count}"
                yield Spot(key, "assert", shortened(message, LABEL), "check", reverse, f"assert: {message}")
                self.use(cond, key)
            case For(index, start, stop, backwards, phis, body, exits, span):
                bounds = _text(stop) if start == Lit("0", start.type) else f"{_text(start)}, {_text(stop)}"
                trips = f"reversed(range({bounds}))" if backwards else f"range({bounds})"
                head = f"for {index.name} in {trips}"
                self.use((start, stop), index.name)
                self.sizes.bind(index)
                inner: list[Item] = [self.spot(index, trips, "index", span)]
                inner += self.phis(phis, loop=True)
                inner += self.nodes(body, reverse)
                yield Box(self.key(), head, tuple(inner), reverse)
                yield from self.exits(exits)
            case While(phis, test, cond, body, exits):
                inner = list(self.phis(phis, loop=True))
                inner += self.nodes((*test, *body), reverse)
                yield Box(self.key(), f"while {_text(cond)}", tuple(inner), reverse)
                yield from self.exits(exits)
            case If(cond, then, orelse, phis):
                arms: list[Item] = []
                for label, arm in (("then", then), ("else", orelse)):
                    if arm:
                        arms.append(Box(self.key(), label, tuple(self.nodes(arm, reverse)), reverse))
                if arms:
                    yield Box(self.key(), f"if {_text(cond)}", tuple(arms), reverse)
                for phi in phis:
                    self.use(cond, phi.var.name)
                yield from self.phis(phis, loop=False)

    def nodes(self, nodes: tuple[Node, ...], reverse: bool) -> list[Item]:
        return [item for node in nodes for item in self.node(node, reverse)]

    def key(self) -> str:
        self.count += 1
        return f"box {self.count}"

    def phis(self, phis: tuple[Phi, ...], loop: bool) -> Iterator[Item]:
        for phi in phis:
            self.sizes.bind(phi.var)
            label = f"phi({_text(phi.first)}, {_text(phi.second)})"
            yield self.spot(phi.var, label, "phi", None)
            self.use(phi.first, phi.var.name)
            self.use(phi.second, phi.var.name, "back" if loop else "data")

    def exits(self, exits: tuple[Exit, ...]) -> Iterator[Item]:
        for end in exits:
            self.sizes.bind(end.var)
            yield self.spot(end.var, f"last({end.phi.name})", "phi", None)
            self.use(end.phi, end.var.name)


def _text(atom: Var | Lit) -> str:
    return atom.name if isinstance(atom, Var) else atom.text


def primal_of(name: str, known: set[str]) -> str | None:
    """What a cotangent belongs to, by its name.

    >>> primal_of("y_bar_2", {"y"}), primal_of("y", {"y"}), primal_of("open_bar", {"y"})
    ('y', None, None)
    """
    found = re.fullmatch(r"(.+)_bar(_\d+)?", name)
    return found[1] if found and found[1] in known else None


def _turn(program: Program) -> int | None:
    """Where the reverse sweep of an adjoint begins in its body; None for other programs."""
    known = {v.name for v in (*program.params, *bound(program.body))}
    for k, node in enumerate(program.body):
        if sweeps_of((node,)) - {"", "count"}:
            return k
        if any(primal_of(v.name, known) for v in bound((node,))):
            return k
    return None


# As with printing: program.py itself knows nothing of pictures.
Program.graph = graph
