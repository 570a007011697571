"""vmap: a function of one example as a function of many, by a loop around its program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls.pickling import reduced
from ..calls.tree import Tree, flatten
from ..ir.build import dim_atom, literal
from ..ir.errors import TypeMismatch
from ..ir.program import Atom, Var
from ..ir.vmap import mapped
from ..ir.walk import inline
from ..tracer.numpy.arguments import same_size
from ..tracer.values.symbol import Symbol, as_value, wrap
from .composed import Composed, Part, session_here


def vmap(
    function: Callable[..., object], in_axes: object = 0, out_axes: object = 0
) -> Callable[..., Any]:
    """The function over many examples: the arguments have one more axis for them, and so has the result.

    in_axes    the place of that axis in the arguments: a number for all, or for each argument a number, None (the same
               for all examples) or a container of these in the structure of the argument
    out_axes   the place of the axis in the result: a number, or a container of numbers

    It is a loop around the function: each example takes its own branches and as many iterations as it needs, and what
    is the same for all is computed once. Inside and around `grad`, `jit` and the others. Raises TypeMismatch where no
    argument has an axis to map over, ShapeMismatch where their sizes differ. The name and the arguments are those of
    `jax.vmap`.

    >>> vmap(lambda x, w: np.sum(x) * w, in_axes=(0, None))(np.arange(6.0).reshape(2, 3), 10.0)
    array([ 30., 120.])
    """
    return Mapped(function, in_axes, out_axes)


MAPPED = "a function that vmap runs for all examples at once"


class Mapped(Composed):
    """vmap."""

    _kind = "vmap"
    _instances = 0

    def __init__(self, function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0):
        super().__init__(function)
        self._in, self._out = in_axes, out_axes

    def __reduce__(self) -> str | tuple[Any, ...]:
        return reduced(self, self._in, self._out)

    def _behind_an_instance(self) -> None:
        self._instances = 1

    def _axes(self, tree: Tree) -> list[int | None]:
        """The mapped axis of each leaf of the arguments; an instance in front is the same for all."""
        args, kwargs = tree.children
        own = args.children[: self._instances]
        rest = Tree(tuple, (), args.children[self._instances :], args.count - sum(one.count for one in own))
        return [None] * (args.count - rest.count) + spread(self._in, rest, "in_axes") + [0] * kwargs.count

    def plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Each example by itself, for what one of them raises."""
        leaves, tree = flatten((args, kwargs))
        axes = self._axes(tree)
        count = next(np.shape(leaf)[a] for leaf, a in zip(leaves, axes) if a is not None)
        for k in range(count):
            rows = [leaf if a is None else np.take(leaf, k, axis=a) for leaf, a in zip(leaves, axes)]
            own_args, own_kwargs = tree.unflatten(rows, construct=False)
            self._function(*own_args, **own_kwargs)

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        session = session_here()
        leaves, tree = flatten((args, kwargs))
        axes = self._axes(tree)
        stacks: dict[str, Atom] = {}
        first: Atom | None = None
        rows: list[Any] = []
        for leaf, axis in zip(leaves, axes):
            if axis is None:
                rows.append(leaf)
                continue
            stack = _in_front(as_value(session, leaf, "an argument of vmap")[0], axis, session)
            if first is None:
                first = stack
            else:
                shapes = first.type.dims, stack.type.dims
                stack = same_size(session, stack, 0, first.type.dims[0], shapes, "the mapped axes of vmap")
            name = f"{stack.name}_row" if isinstance(stack, Var) else "row"
            row = Var(session.builder.fresh(name), stack.type.with_dims(stack.type.dims[1:]))
            stacks[row.name] = stack
            rows.append(wrap(session, row))
        if first is None:
            raise session.error(TypeMismatch, "vmap has no argument to map over: every one of in_axes is None")
        part = Part(self._function, *tree.unflatten(rows, construct=False), pure=MAPPED)
        values, builder = part.captured.values, session.builder
        given = [stacks.get(v.name, v) if isinstance(v, Var) else v for v in values]
        over = [k for k, v in enumerate(values) if isinstance(v, Var) and v.name in stacks]
        size = dim_atom(first.type.dims[0])

        def repeated(atom: Atom) -> Atom:
            return builder.emit("broadcast_to", atom, (size, *map(dim_atom, atom.type.dims)))

        if over:
            atoms = inline(builder, mapped(part.program, over), given)
        else:  # the same for all
            atoms = tuple(map(repeated, inline(builder, part.program, given)))
        moved = []
        found = part.captured.returned(session, atoms)
        for value, place in zip(found, spread(self._out, part.form, "out_axes")):
            if isinstance(value, bool):
                value = wrap(session, repeated(literal(value, "bool")))
            moved.append(_moved(value, place) if isinstance(value, Symbol) else value)
        return part.form.unflatten(moved)


def spread(axes: Any, tree: Tree, what: str) -> list[int | None]:
    """The axis for each leaf, from a number for all of a container or a container of its own."""
    if axes is None or isinstance(axes, int):
        return [axes] * tree.count
    if isinstance(axes, (tuple, list)) and tree.kind in (tuple, list) and len(axes) == len(tree.children):
        return [a for part, child in zip(axes, tree.children) for a in spread(part, child, what)]
    if isinstance(axes, dict) and set(axes) == set(tree.keys):
        return [a for key, child in zip(tree.keys, tree.children) for a in spread(axes[key], child, what)]
    raise TypeMismatch(f"{what} must be a number, None, or a container of these like {tree}, not {axes!r}")


def _in_front(atom: Atom, axis: int, session: Any) -> Atom:
    """The value with this axis first."""
    rank = atom.type.rank
    if not -rank <= axis < rank:
        shown = f"an array of {rank} axes" if rank else "a number"
        raise session.error(
            TypeMismatch,
            f"vmap maps over axis {axis}, but gets {shown}: give None in in_axes for what is the same for all",
        )
    axis %= rank
    if axis == 0:
        return atom
    return session.builder.emit("transpose", atom, (axis, *(k for k in range(rank) if k != axis)))


def _moved(value: Any, place: int | None) -> Any:
    """The result with its first axis at this place."""
    rank = value.type.rank
    place = (place or 0) % rank
    if place == 0:
        return value
    axes = [*range(1, rank)]
    axes.insert(place, 0)
    return wrap(value.session, value.session.builder.emit("transpose", value.read(), tuple(axes)))
