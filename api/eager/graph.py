"""What is recorded, to look at: `grad_fn`, and the programs of a tensor (`graph`, `adjoint_ir`, `source`)."""

from __future__ import annotations

import sys
from html import escape
from typing import Any

from ..call import source_of
from ..ir.program import Program
from ..ir.text import show
from ..transform import Text
from .compiled import Layout, backward_program, forward_program
from .tape import _FOLDER, Node, reachable


class GradFn:
    """A recorded operation: its name, what comes before it, the user's line and the program it stands for."""

    __slots__ = ("node",)

    def __init__(self, node: Node):
        self.node = node

    def name(self) -> str:
        return self.node.name

    @property
    def next_functions(self) -> tuple[tuple[GradFn | None, int], ...]:
        """Where the cotangents go: one pair per operand, (None, 0) for what needs none."""
        return tuple((None if p is None else GradFn(p), 0) for p in self.node.parents)

    @property
    def variable(self) -> Any:
        """The leaf that an AccumulateGrad fills."""
        if self.node.plan is not None or self.node.tensor is None:
            raise AttributeError("only AccumulateGrad has a variable")
        return self.node.tensor()

    @property
    def line(self) -> str:
        """The user's line that recorded it."""
        span = self.node.span
        return "" if span is None else f'File "{span.file}", line {span.line}: {span.text}'

    @property
    def ir(self) -> Text:
        """The operation as a program of its own."""
        return Text(show(self._plan.entry.form.program))

    @property
    def adjoint_ir(self) -> Text:
        """What backward runs of it."""
        return Text(show(self._plan.program))

    @property
    def _plan(self) -> Any:
        if self.node.plan is None:
            raise AttributeError("AccumulateGrad stands for no program: it adds to .grad of a leaf")
        return self.node.plan

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GradFn) and other.node is self.node

    def __hash__(self) -> int:
        return hash(self.node)

    def __repr__(self) -> str:
        return f"<{self.name()} at {id(self.node):#x}>"


class Graph:
    """The operations behind a tensor as a program. Prints as its text, and draws itself in a notebook."""

    def __init__(self, node: Node, names: dict[Any, str]):
        self.layout = Layout(reachable([node]), printing=True)
        layout = self.layout
        self.root = layout.place[node]
        self.names: dict[int, str] = {}
        for key, place in layout.place.items():
            name = names.get(id(key))
            if name is not None:
                self.names[place] = name

    @property
    def program(self) -> Program:
        return forward_program(self.layout, (self.root,), self.names)

    @property
    def ir(self) -> Text:
        return Text(show(self.program, spans=True))

    @property
    def adjoint(self) -> Program:
        layout = self.layout
        targets = tuple(layout.place[n] for n in layout.nodes if n is not None)
        kept = tuple(layout.place[n] for n in layout.order if n.keep)
        return backward_program(layout, (self.root,), targets + kept, self.names)

    @property
    def adjoint_ir(self) -> Text:
        return Text(show(self.adjoint, spans=True))

    @property
    def source(self) -> Text:
        program = self.adjoint
        return Text(source_of(program, program))

    def __repr__(self) -> str:
        return str(self.ir)

    __str__ = __repr__

    # -- drawn -------------------------------------------------------------------------------------------

    def _boxes(self) -> tuple[list[tuple[int, str]], list[tuple[int, int]]]:
        """(number, label) per box, leaves negative, and the arrows."""
        layout = self.layout
        boxes: list[tuple[int, str]] = []
        arrows: list[tuple[int, int]] = []
        leaves = {}
        for row, node in zip(layout.rows, layout.order):
            plan, *places = row
            for k, place in enumerate(places):
                arrows.append((place, len(boxes)))
                if place < 0:
                    leaves[place] = plan.entry.kinds[k]
            label = f"{plan.entry.function.name}: {node.kind}"
            own = self.names.get(len(boxes))
            boxes.append((len(boxes), label if own is None else f"{own} = {label}"))
        for place, kind in leaves.items():
            fixed = layout.nodes[-1 - place] is None
            boxes.append((place, f"{self.names.get(place, 'constant' if fixed else 'leaf')}: {kind}"))
        return boxes, arrows

    def dot(self) -> str:
        """The graph in Graphviz's language."""
        boxes, arrows = self._boxes()
        name = lambda k: f"n{k}" if k >= 0 else f"leaf{-k}"
        lines = ["digraph {", "  rankdir=TB; node [shape=box];"]
        lines += [
            f'  {name(k)} [label="{label}"{"" if k >= 0 else ", style=rounded"}];' for k, label in boxes
        ]
        lines += [f"  {name(a)} -> {name(b)};" for a, b in arrows]
        return "\n".join([*lines, "}"])

    def _repr_svg_(self) -> str:
        boxes, arrows = self._boxes()
        depth: dict[int, int] = {k: 0 for k, _ in boxes if k < 0}
        for k in range(len(self.layout.rows)):
            depth[k] = 1 + max(depth[a] for a, b in arrows if b == k)
        for k in [k for k in depth if k < 0]:
            depth[k] = min(depth[b] for a, b in arrows if a == k) - 1
        place: dict[int, tuple[int, int]] = {}
        filled: dict[int, int] = {}
        for k, label in boxes:
            x = filled.get(depth[k], 10)
            place[k] = x, 10 + 70 * depth[k]
            filled[depth[k]] = x + 8 * len(label) + 40
        size = f'width="{max(filled.values())}" height="{70 * (1 + max(depth.values()))}"'
        parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="13">']
        wide = {k: 8 * len(label) + 20 for k, label in boxes}
        for a, b in arrows:
            (x1, y1), (x2, y2) = place[a], place[b]
            ends = f'x1="{x1 + wide[a] // 2}" y1="{y1 + 32}" x2="{x2 + wide[b] // 2}" y2="{y2}"'
            parts.append(f'<line {ends} stroke="gray"/>')
        for k, label in boxes:
            x, y = place[k]
            look = f'rx="{0 if k >= 0 else 12}" fill="{"#eef" if k >= 0 else "#efe"}" stroke="black"'
            parts.append(f'<rect x="{x}" y="{y}" width="{wide[k]}" height="32" {look}/>')
            parts.append(f'<text x="{x + 10}" y="{y + 21}">{escape(label)}</text>')
        return "".join([*parts, "</svg>"])


def graph_of(t: Any) -> Graph:
    """The graph of a tensor, with the names that the caller's variables give to tensors."""
    if t.is_leaf:
        raise RuntimeError(
            "this tensor is a leaf: nothing was recorded for it"
            + (
                ""
                if t.requires_grad
                else ", or it was computed without recording (no_grad, or from constants only)"
            )
        )
    return Graph(t._node, _names(type(t)))


def _names(kind: Any) -> dict[Any, str]:
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_FOLDER):
        frame = frame.f_back
    names: dict[Any, str] = {}
    while frame is not None:
        for name, value in (*frame.f_locals.items(), *frame.f_globals.items()):
            if type(value) is kind and not name.startswith("_"):
                for key in (value._node, value._value):
                    if key is not None:
                        names.setdefault(id(key), name)
        frame = None
    return names
