"""What is recorded: `Value`, the numbers of a tensor at one time, and `Node`, the operation that made them.

Nothing is a program here. A node holds the entry of its operation, its parents, and the operands that the
derivative needs; `backward` frees those. compiled.py makes programs of nodes.
"""

from __future__ import annotations

import functools
import linecache
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import numpy as np

from ..ir.program import Span
from .kernels import Plan
from .kinds import Kind

_serial = count()
_FOLDER = __name__.rpartition(".")[0]


class _Mode(threading.local):
    recording = True


MODE = _Mode()


class Value:
    """The numbers of a tensor at one time; a write to the tensor that would change them copies them first."""

    __slots__ = ("array", "__weakref__")

    def __init__(self, array: np.ndarray):
        self.array = array


class Node:
    """A recorded operation, or a leaf (plan None).

    parents  per operand its node, or None for what needs no gradient
    saved    per operand its Value, a number, or its Kind if only the shape is needed; None once freed
    """

    __slots__ = (
        "serial",
        "plan",
        "parents",
        "saved",
        "kind",
        "line",
        "tensor",
        "keep",
        "hooks",
        "__weakref__",
    )

    def __init__(self, plan: Plan | None, parents: Any, saved: Any, kind: Kind, line: Any):
        self.serial = next(_serial)
        self.plan = plan
        self.parents = parents
        self.saved = saved
        self.kind = kind
        self.line = line
        self.tensor: weakref.ref[Any] | None = None
        self.keep = False
        self.hooks: list[Callable[..., Any]] | None = None

    @property
    def name(self) -> str:
        return "AccumulateGrad" if self.plan is None else self.plan.entry.function.grad_name

    @property
    def span(self) -> Span | None:
        return None if self.line is None else _span(*self.line)


def here() -> Any:
    """Where the user is: code and instruction, which `Node.span` makes a line of."""
    frame: Any = sys._getframe(3)
    while frame is not None and frame.f_globals.get("__package__") == _FOLDER:
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti)


@functools.lru_cache(maxsize=4096)
def _span(code: Any, instruction: int) -> Span:
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return Span(code.co_filename, line, linecache.getline(code.co_filename, line).strip())


class _Switch:
    """A context, and a decorator of functions, in which recording is on or off."""

    recording: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(MODE.recording)
        MODE.recording = self.recording

    def __exit__(self, *_: object) -> None:
        MODE.recording = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        kind = type(self)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with kind():
                return function(*args, **kwargs)

        return run


class no_grad(_Switch):  # noqa: N801
    """Nothing is recorded: `with no_grad():` or `@no_grad()`."""

    recording = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """`@no_grad` without parentheses is a decorator too, as in torch."""
        switch = super().__new__(cls)
        if function is None:
            return switch
        _Switch.__init__(switch)
        return switch(function)

    def __init__(self) -> None:
        super().__init__()


class enable_grad(no_grad):  # noqa: N801
    """Recording is on again inside of `no_grad`."""

    recording = True


class set_grad_enabled:  # noqa: N801
    """Switch recording on or off from here on, or for a `with` block."""

    def __init__(self, mode: bool):
        self._before = MODE.recording
        MODE.recording = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        MODE.recording = self._before


def is_grad_enabled() -> bool:
    return MODE.recording


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
    "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or if "
    "you need to access saved tensors after calling backward."
)


def reachable(roots: Iterable[Node]) -> list[Node]:
    """The operations behind these nodes, each after its operands."""
    found: dict[int, Node] = {}
    todo = [node for node in roots if node.plan is not None]
    while todo:
        node = todo.pop()
        if node.serial not in found:
            found[node.serial] = node
            for parent in node.parents:
                if parent is not None and parent.plan is not None:
                    todo.append(parent)
    return [found[serial] for serial in sorted(found)]


def freed(node: Node) -> RuntimeError:
    span = node.span
    where = "" if span is None else f'\n  {node.name} of line {span.line} of "{span.file}": {span.text}'
    return RuntimeError(FREED + where)


def interpret(
    order: Sequence[Node], seeds: dict[Node, np.ndarray], targets: Sequence[Node]
) -> list[np.ndarray | None]:
    """The cotangents of `targets`, operation by operation in NumPy."""
    bars: dict[Node, Any] = dict(seeds)
    wanted = set(targets)
    masked: set[Any] = set()  # their cotangents came through a `where`
    for node in reversed(order):
        bar = bars.get(node) if node in wanted else bars.pop(node, None)
        if bar is None:
            continue
        saved = node.saved
        if saved is None:
            raise freed(node)
        plan = node.plan
        assert plan is not None
        if node in masked:
            plan = plan.masked
        if plan.masks:
            masked.update(node.parents[k] for k in plan.masks)
        operands = [s.array if type(s) is Value else s for s in saved]
        for k, part in zip(plan.wrt, plan.run(*operands, bar)):
            parent = node.parents[k]
            before = bars.get(parent)
            bars[parent] = part if before is None else np.add(before, part)
    return [bars.get(node) for node in targets]


def free(order: Iterable[Node]) -> None:
    for node in order:
        node.saved = None
