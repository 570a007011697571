"""What is recorded, to look at: `grad_fn`, and the programs of a tensor (`graph`, `adjoint_ir`, `source`)."""

from __future__ import annotations

import sys
from typing import Any

from ..ir.draw.graph import Graph as Picture
from ..ir.program import Program
from ..ir.text import show
from ..stages import Compilation
from ..transforms.base import Text
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
        return Text(Compilation(program).source)

    def __repr__(self) -> str:
        return str(self.ir)

    __str__ = __repr__

    # -- drawn -------------------------------------------------------------------------------------------

    def draw(self, adjoint: bool = False) -> Picture:
        """The picture of the program, or of what backward will run; `.save("graph.svg")` writes it."""
        return (self.adjoint if adjoint else self.program).graph()

    def dot(self) -> str:
        """The picture in Graphviz's language."""
        return self.draw().dot

    def _repr_svg_(self) -> str:
        return self.draw().svg()


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
