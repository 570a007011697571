"""What a function made of a user's function shares, and the simplest of them: the function, compiled."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from ..calls.effects import Effects, effects_of
from ..calls.fast_call import MISS, Call, Results, call_function, finish_function, no_call, results_of
from ..calls.forms import Specialisation, Traceable
from ..calls.frames import without_our_frames
from ..calls.pickling import reduced
from ..calls.plain_run import own_error
from ..calls.tree import Tree, flatten
from ..ir.errors import PullbackError
from ..ir.once import once
from ..ir.program import Program
from ..ir.text import show
from ..runtime import collector, options, progress, timings
from ..runtime.compile import by_numba
from ..runtime.lazy import lazy
from ..stages import Compilation
from ..tracer.calls import call_given
from ..tracer.nested import own
from ..tracer.session import current
from .argnums import checked_argnums, checked_flag


class Text(str):
    """Program or source text: printed as it is at a prompt, and monospaced in a notebook."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        escaped = self.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"<pre>{escaped}</pre>"


@dataclass(frozen=True)
class Lowered:
    """A function at all stages, for given types."""

    program: Program
    derived: Program | None

    @property
    def ir(self) -> Text:
        """The traced program."""
        return Text(show(self.program, spans=True))

    @property
    def adjoint_ir(self) -> Text:
        """The program of the gradient."""
        if self.derived is None:
            raise AttributeError(
                "a function that is only compiled (jit) has no adjoint: use grad or value_and_grad"
            )
        return Text(show(self.derived, spans=True))

    @property
    def source(self) -> Text:
        """The Python that numba compiles."""
        return Text(Compilation(self.derived or self.program).source)


P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class Transform(Generic[P, R]):
    """A function made of a user's function. Methods: accessed on an instance, it binds like a function."""

    def __init__(self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False):
        traceable = function._traceable if isinstance(function, Transform) and type(function) is Jit else None
        self._traceable = traceable or Traceable(function)
        self._given = None if argnums is None else checked_argnums(argnums, self._traceable.span)
        self._argnums = 0 if self._given is None else self._given
        self._has_aux = checked_flag("has_aux", has_aux, self._traceable.span)
        self._last: Specialisation | None = None
        self._hot: Call = no_call
        self.timings = timings.Timings()
        functools.update_wrapper(self, function, updated=())  # type: ignore[arg-type]
        self.__wrapped__ = function

    _kind = "jit"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return reduced(self, self._given, self._has_aux)

    def _first(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call that goes the long way, with a record of where the time went if anything was made for it."""
        if current() is not None:  # called by code that is not staged, such as map
            return self.__pullback_call__(*args, **kwargs)
        with collector.rarely(), timings.recording() as times, progress.shown(self._shown_name(), times):
            result = self._call(args, kwargs)
        if times.seconds.keys() - {"run"}:
            self.timings = times
            if options.current().timings:
                print(f"{self!r}: {times}")
        return result

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    def __pullback_call__(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside of a traced function."""
        raise NotImplementedError

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self._method, instance)  # type: ignore[arg-type]

    @once
    def _method(self) -> Transform:
        """What a bound method calls: the same, and by default the first argument behind the instance counts."""
        return self

    @property
    def user_function(self) -> Callable[..., Any]:
        """The user's own function, for what derives the transform from it anew. Raises TypeMismatch if nothing can."""
        return self._traceable.function

    def _shown_name(self) -> str:
        return f"{self._kind} of {getattr(self._traceable.function, '__name__', 'function')}"

    def __repr__(self) -> str:
        return f"<pullback.{self._shown_name()}>"

    @property
    def _numba_type_(self) -> Any:
        """What numba asks for: compiled code may call this object."""
        return lazy("native.njit").type_of(self)

    def cfunc(self, signature: str) -> Any:
        """A C function: its `.address`, `.ctypes`, and the line that declares it, `.declaration`.

        signature   of numbers, as numba writes it: "float64(float64, int64)"; the result must be one number
                    of arrays: "f64[n, 3], f64". Then C passes a pointer for each array and each result, and
                    the sizes before them; it gets 0, or 1 if the call failed.
        """
        return lazy("native.cfunc").cfunc(self, signature)

    # -- stages ----------------------------------------------------------------------------------------

    @property
    def ir(self) -> Text:
        """The traced program of the last call, as text."""
        return self._lowered().ir

    @property
    def adjoint_ir(self) -> Text:
        """The program of the gradient of the last call, as text."""
        return self._lowered().adjoint_ir

    @property
    def source(self) -> Text:
        """The generated Python of the last call."""
        return self._lowered().source

    def _lowered(self) -> Lowered:
        if self._last is None:
            raise AttributeError(
                "nothing was traced yet: call the function first, or say for which types with "
                ".lower(...), e.g. f.lower('f64[n, 3]', 'f64').ir"
            )
        return self._stages(self._last, self._last_wrt)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The stages for these arguments: arrays, numbers, or types such as "f64[n, 3]"."""
        leaves, tree = self._traceable.lowered_leaves(args, kwargs)
        try:
            form = self._traceable.trace(leaves, tree)
            return self._stages(form, self._wrt(form, tree, leaves))
        except PullbackError as error:  # says all; our frames would only hide it
            raise error.with_traceback(None) from None

    def _stages(self, form: Specialisation, wrt: tuple[int, ...]) -> Lowered:
        return Lowered(form.program, None)

    _last_wrt: tuple[int, ...] = ()

    def _wrt(self, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> tuple[int, ...]:
        return ()


class Entry:
    """One transform of one form under given options: how it is called, and how its results are given back."""

    def __init__(
        self,
        form: Specialisation,
        wrt: tuple[int, ...],
        settings: options.Options,
        kind: str,
        make: Callable[[Program], Program],
        results: Results,
        effects: Effects | None = None,
    ):
        self.wrt = wrt
        self._effects = effects
        self._form, self._settings, self._kind, self._make, self._results = form, settings, kind, make, results
        self._finish = finish_function(results)
        self._hot: Call | None = None
        self._again = False

    def call(
        self, transform: Transform, params: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run it; from the second call on the transform tries this form first.

        To compile an entry takes milliseconds, which a form that is called once need not wait for.
        """
        form, settings, effects = self._form, self._settings, self._effects
        run = form.compiled(self._kind, self._make, outside=True)
        failed = None
        try:
            with timings.stage("run"):
                values = run(*params) if effects is None else effects.run(run, params, flatten((args, kwargs))[0])
        except Exception as error:
            failed = error
        if failed is not None:
            raise own_error(transform._traceable.function, args, kwargs, failed)
        with form.lock:
            if self._hot is None and (self._again or not by_numba(run)):
                self._hot = call_function(form.traced, form.tree, run, params, self._results, settings, effects)
            self._again = True
        if self._hot is not None:
            transform._hot = self._hot
        return self._finish(values)


class Direct(Transform[P, R]):
    """A transform that is called as the user's function is: by the form of the last call, or the long way."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = self._hot(args, kwargs)
        except Exception as error:
            failed = error
        else:
            if result is not MISS:
                return result
            try:
                return self._first(args, kwargs)
            except Exception as error:
                raise without_our_frames(error) from error.__cause__
        raise own_error(self._traceable.function, args, kwargs, failed)


class Jit(Direct[P, R]):
    """The function itself, compiled."""

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The long way: find the form, or make it."""
        try:
            form, params, _, _ = self._traceable.find(args, kwargs)
            settings = options.current()
            with form.lock:
                entry = form.entries.get(("jit", settings))
                if entry is None:
                    entry = Entry(form, (), settings, "jit", _same, results_of(form.traced, form.out),
                                  effects_of(form.traced))  # fmt: skip
                    form.entries["jit", settings] = entry
            self._last = form
            return entry.call(self, params, args, kwargs)
        except PullbackError as error:  # says all; our frames would only hide it
            raise error.with_traceback(None) from None

    def __pullback_call__(self, *args: Any, **kwargs: Any) -> Any:
        """Traced through. What it writes to is its own, as it is outside of traced functions."""
        session = current()
        assert session is not None
        leaves, tree = flatten((args, kwargs))
        new_args, new_kwargs = tree.unflatten([own(session, leaf) for leaf in leaves], construct=False)
        return call_given(self._traceable.function, new_args, new_kwargs)


def _same(program: Program) -> Program:
    return program
