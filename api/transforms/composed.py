"""Transforms that are programs inside of a traced function: outside of one, the function around them is compiled."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..calls.pickling import reduced
from ..calls.tree import Tree, flatten
from ..ir.errors import PullbackError, TypeMismatch
from ..ir.once import once
from ..ir.program import Atom
from ..ir.walk import inline
from ..runtime.timings import Timings
from ..tracer.calls import call_given
from ..tracer.nested import Captured, capture
from ..tracer.outside.paths import Path
from ..tracer.session import Session, current
from .base import Jit, Lowered, Transform


class Composed(Transform):
    """A transform whose meaning is `traced`: what it writes into the program of the function that calls it.

    Called from Python it is compiled as the whole of such a function, once for every shape.
    """

    def __init__(self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False):
        super().__init__(function, argnums, has_aux)
        self._function, self._span = self._traceable.function, self._traceable.span
        self._signature = self._traceable.signature
        self._whole = self._compiled()

    def _compiled(self) -> Jit[..., Any]:
        """The function around a call of the transform."""
        function = self._function

        def run(*args: Any, **kwargs: Any) -> Any:
            session = current()
            if session is None:
                return self.plainly(args, kwargs)
            known_outside(session, function)
            return self.traced(args, kwargs)

        run.__name__ = getattr(function, "__name__", "function")
        run.__signature__ = self._called_like()  # type: ignore[attr-defined]
        whole: Jit[..., Any] = Jit(run)
        self._traceable = whole._traceable  # what is shown of the transform is what it computes
        return whole

    @once
    def _method(self) -> Transform:
        """As for `grad`: behind an instance the arguments count from the next one on, if none is named."""
        if self._given is not None:
            return self
        method = copy.copy(self)
        method._behind_an_instance()
        method._whole = method._compiled()
        return method

    def _behind_an_instance(self) -> None:
        """Become what an instance binds: its arguments have the instance in front."""
        self._argnums = 1

    def _called_like(self) -> inspect.Signature | None:
        """The signature that calls of the transform have, for the names of what is traced."""
        return self._signature

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call inside of a traced function."""
        raise NotImplementedError

    def plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call of the user's function: what it raises is what the transform raises."""
        return self._function(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._whole(*args, **kwargs)

    def __pullback_call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.traced(args, kwargs)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return reduced(self, self._given, self._has_aux)

    @property
    def user_function(self) -> Callable[..., Any]:
        raise TypeMismatch(
            f"{self!r} is neither a function nor its gradient. Write a function that calls it, and give that",
            self._span,
        )

    @property
    def timings(self) -> Timings:
        """Where the time of the last call went that made something."""
        return self._whole.timings

    @timings.setter
    def timings(self, value: Timings) -> None:
        """The times are those of the function around."""

    @property
    def _numba_type_(self) -> Any:
        return self._whole._numba_type_

    def cfunc(self, signature: str) -> Any:
        return self._whole.cfunc(signature)

    def _shown_name(self) -> str:
        return f"{self._kind} of {self._name()}"

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        return self._whole.lower(*args, **kwargs)

    def _lowered(self) -> Lowered:
        return self._whole._lowered()

    def _name(self) -> str:
        return getattr(self._function, "__name__", "the function")


def known_outside(session: Session, function: Callable[..., Any]) -> None:
    """The function of a transform lives on: what it reads of its object is read anew, what it stores is an effect."""
    session.hidden.object("self", function, Path("object", function))


def session_here() -> Session:
    session = current()
    assert session is not None, "called while tracing only"
    return session


class Part:
    """A call of a function inside of a traced one, as a program of its own; with the forms of arguments and result."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], has_aux: bool = False,
        *, pure: str = "",
    ):  # fmt: skip
        self.session = session_here()
        self.leaves, self.tree = flatten((args, kwargs))
        self.name = getattr(function, "__name__", "the function")
        out: list[Tree] = []

        def run(symbols: list[Any]) -> list[Any]:
            new_args, new_kwargs = self.tree.unflatten(symbols, construct=False)
            flat, form = flatten(call_given(function, new_args, new_kwargs))
            out.append(form)
            return flat

        self.captured: Captured = capture(self.session, run, self.leaves, self.name, pure=pure)
        self.program = self.captured.program
        self.form = self.out = out[0]
        self.aux: Tree | None = None
        if has_aux:
            if self.form.kind is not tuple or len(self.form.children) != 2:
                raise self.error(f"with has_aux=True the function must return (value, aux), not {self.form}")
            self.form, self.aux = self.form.children

    def error(self, message: str) -> PullbackError:
        return self.session.error(TypeMismatch, message)

    @functools.cached_property
    def floats(self) -> list[int | None]:
        """For each leaf of the value, without aux, its result of the program if that is a float."""
        found = self.captured.results[: self.form.count]
        return [k if k is not None and self.program.results[k].type.is_float else None for k in found]

    @functools.cached_property
    def values(self) -> tuple[Atom, ...]:
        """The program's results in the program around: their sizes are known there under these names."""
        return inline(self.session.builder, self.program, self.captured.values)

    def argument(self, position: int) -> range:
        """The leaves of one positional argument."""
        counts = [child.count for child in self.tree.children[0].children]
        start = sum(counts[:position])
        return range(start, start + counts[position])

    def returned(self, atoms: Any) -> tuple[Any, Any]:
        """The value, and aux (None without), from the values of the program's results."""
        leaves = self.captured.returned(self.session, atoms)
        value = self.form.unflatten(leaves[: self.form.count])
        return value, None if self.aux is None else self.aux.unflatten(leaves[self.form.count :])
