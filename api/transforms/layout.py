"""What is called for one form of a transform: flat programs, and where their results stand in the user's.

Shared by what calls generated code from elsewhere than Python: numba (njit.py), C (cfunc.py), and files (export.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..calls.effects import refuse_effects
from ..calls.forms import Specialisation
from ..calls.guards import canonical, is_drawn
from ..calls.tree import Elements, Tree, flatten
from ..ir.adjoint.reverse_mode import split_adjoint
from ..ir.errors import UnsupportedFunction, UnsupportedSyntax
from ..ir.program import Program
from ..ir.types import Type
from ..runtime import options
from .base import Jit, Transform
from .gradient import Gradient
from .vjp import Seeded, differentiable


class Result:
    """Stands for result k of the program in the user's structure."""

    def __init__(self, k: int, type: Type):  # noqa: A002  (a type of the IR)
        self.k = k
        self.type = type


@dataclass
class Layout:
    """One form of a transform.

    kind, make   name and maker of the program, as `Specialisation.compiled` takes them
    leaves, tree the result: `Result`s of the program and other values, and their structure
    seeds        for vjp: the float results of the function; `kind` is then the forward program, which returns
                 `count` results and the residuals, and `backward` takes the residuals and the seeds
    """

    form: Specialisation
    kind: str
    make: Callable[[Program], Program]
    leaves: list[Any]
    tree: Tree
    count: int = 0
    backward: tuple[str, Callable[[Program], Program]] | None = None
    seeds: list[Result] = field(default_factory=list)

    def compiled(self) -> Callable[..., Any]:
        """The program compiled by numba, whatever the options say."""
        with options.options(jit=True, parallel=False):
            return self.form.compiled(self.kind, self.make)

    def compiled_backward(self) -> Callable[..., Any]:
        assert self.backward is not None
        with options.options(jit=True, parallel=False):
            return self.form.compiled(*self.backward)


def layout(transform: Transform, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> Layout:
    """The layout of a transform for a traced form. `leaves` are the arguments, or arrays of their types."""
    refuse_effects(form, "code that runs without Python (njit, cfunc, an exported file)")
    if _has_elements(form.out):
        raise UnsupportedSyntax("a list whose length only a run knows cannot be made here. Return np.array(...) of it")
    if isinstance(transform, Gradient):
        return _gradient(transform, form, tree, leaves)
    if isinstance(transform, Seeded):
        return _seeded(form, tree)
    if isinstance(transform, Jit):
        value = form.out.unflatten(_placed(form, 0, form.results))
        return Layout(form, "jit", lambda program: program, *flatten(value))
    raise AssertionError(f"{transform!r} is composed of others, which have layouts")


def _has_elements(tree: Tree) -> bool:
    return tree.kind is Elements or any(map(_has_elements, tree.children))


def _placed(form: Specialisation, shift: int, entries: Sequence[Any]) -> list[Any]:
    types = [r.type for r in form.program.results]
    return [Result(e.k + shift, types[e.k]) if hasattr(e, "k") else e for e in entries]


def _gradient(transform: Gradient, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> Layout:
    wrt = transform._wrt(form, tree, leaves)
    transform._check_result(form)
    place = int(transform._value)
    params = {param: k for k, param in enumerate(wrt)}
    gradients = []
    for position in transform._positions(len(tree.children[0].children)):
        bars = []
        for k in transform._leaf_range(tree, position):
            param = form.traced.leaves[k]
            known = param in params
            bars.append(Result(place + params[param], form.program.params[param].type) if known else None)  # type: ignore[index]
        gradients.append(tree.children[0].children[position].unflatten(bars))
    gradient = gradients[0] if isinstance(transform._argnums, int) else tuple(gradients)
    value: Any = Result(0, form.program.results[form.results[0].k].type)
    answer = (value, gradient) if transform._value else gradient
    if transform._has_aux:
        flat = []
        place += len(wrt)
        for entry in form.results[1:]:
            if hasattr(entry, "k"):
                flat.append(Result(place, form.program.results[entry.k].type))
                place += 1
            else:
                flat.append(entry)
        aux = form.out.children[1].unflatten(flat)
        answer = ((value, aux), gradient) if transform._value else (gradient, aux)
    return Layout(form, transform._named(wrt), transform._make(form, wrt), *flatten(answer))


def _seeded(form: Specialisation, tree: Tree) -> Layout:
    wrt = differentiable(form)
    types = [r.type for r in form.program.results]
    placed = _placed(form, 0, form.results)
    seeds = [r for r in placed if isinstance(r, Result) and r.type.is_float]
    bars = {param: Result(k, form.program.params[param].type) for k, param in enumerate(wrt)}
    flat = [bars.get(param) if param is not None else None for param in form.traced.leaves]
    halves: list[Program] = []

    def half(k: int) -> Callable[[Program], Program]:
        def make(program: Program) -> Program:
            if not halves:
                halves.extend(split_adjoint(program, wrt, checkpoint=options.current().checkpoint))
            return halves[k]

        return make

    answer = (form.out.unflatten(placed), tree.unflatten(flat)[0])
    return Layout(
        form, f"forward {wrt}", half(0), *flatten(answer), count=len(types),
        backward=(f"backward {wrt}", half(1)), seeds=seeds,
    )  # fmt: skip


def samples(form_leaves: Sequence[Any]) -> list[Any]:
    """Leaves for messages: an array of ones or a number for each type."""
    return [
        np.ones((2,) * len(leaf.dims), Type(leaf.dtype).numpy)[()] if hasattr(leaf, "dims") else leaf
        for leaf in form_leaves
    ]


def hidden_values(form: Specialisation) -> list[Any]:
    """The hidden inputs as they are now, in the form that the program takes."""
    for found in form.traced.hidden:
        if is_drawn(found):
            raise UnsupportedFunction(
                f"{found.name}() draws random numbers at each call, which only a call from Python can do: pass them as "
                "an argument"
            )
    leaves = [form.traced.static.get(k) for k in range(len(form.traced.leaves))]
    values = [found.value if found.path is None else found.path(leaves) for found in form.traced.hidden]
    return [canonical(value) for value in values]


def changed(form: Specialisation, frozen: Sequence[Any]) -> str | None:
    """The name of something outside of the function that is not what it was; None if all is."""
    for found, value, now in zip(form.traced.hidden, frozen, hidden_values(form)):
        floats = np.asarray(value).dtype.kind == "f"
        if now is not value and not np.array_equal(now, value, equal_nan=floats):
            return found.name
    scope: dict[str, Any] = {f"s{k}": value for k, value in form.traced.static.items()}
    for guard in form.traced.hidden_guards:
        if eval(guard.differs(scope, "s{}"), scope):
            return guard.name
    return None


def built(tree: Tree, texts: Sequence[str], classes: dict[str, type] | None = None) -> str:
    """The expression that makes a container of these expressions; `classes` gets the names it mentions.

    >>> built(flatten({"w": (1, 2), "b": None})[1], ["a", "b"])
    "{'w': (a, b), 'b': None}"
    """
    return _built(tree, iter(texts), {} if classes is None else classes)


def _built(tree: Tree, texts: Any, classes: dict[str, type]) -> str:
    kind = tree.kind
    if kind is None:
        return next(texts)
    parts = [_built(child, texts, classes) for child in tree.children]
    if kind is tuple:
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if kind is list:
        return f"[{', '.join(parts)}]"
    if kind is type(None):
        return "None"
    if issubclass(kind, dict):
        pairs = ", ".join(f"{key!r}: {part}" for key, part in zip(tree.keys, parts))
        return f"{{{pairs}}}" if kind is dict else f"{kind.__name__}({{{pairs}}})"
    classes[kind.__name__] = kind
    return f"{kind.__name__}({', '.join(parts)})"
