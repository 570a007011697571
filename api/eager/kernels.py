"""`Function`, an operation on tensors written in NumPy, and what is made of it per dtypes and shapes.

The definition runs once on symbols and becomes a program, by the same tracer as any user's function. From
the program come the value (lowered to NumPy calls) and the derivative (`adjoint`, lowered likewise).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls.forms import Specialisation, Traceable
from ..ir.adjoint.activity import activity
from ..ir.adjoint.reverse_mode import adjoint
from ..ir.passes import optimise
from ..ir.program import Let, Program, Var, atoms, dim_names
from ..ir.walk import walk
from ..tracer.session import tracing
from ..tracer.values.symbol import METHODS, Symbol
from .kinds import Kind, dtype, get_default_dtype, result_dtype
from .lower import lower, straight


class Applied:
    """A function with its static arguments, to be called on symbols: the tracer runs it as it is."""

    def __init__(self, name: str, function: Callable[..., Any], static: tuple[Any, ...], to: dtype | None):
        self.function = function
        self.static = static
        self.to = to
        self.__name__ = name
        self.__signature__ = _signature(function)

    def __call__(self, *operands: Any) -> Any:
        if self.to is not None:
            operands = tuple(cast(x, self.to) for x in operands)
        return self.function(*operands, *self.static)

    __pullback_call__ = __call__


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """For the names of the operands in printed programs."""
    if isinstance(function, np.ufunc):
        names = ["x", "y"][: function.nin]
        return inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in names])
    return inspect.signature(function)


def cast(x: Any, to: dtype) -> Any:
    """The values in this dtype; for symbols."""
    if not isinstance(x, Symbol):
        return x
    return x if x.type.dtype == to.ir else METHODS["astype"](x, to.numpy)


class Plan:
    """The derivative of an entry by some of its operands: what it needs, and how it runs.

    masks   operands whose cotangents may come through a `where` or a mask: where those are 0, products with
            them are 0 further on
    masked  the plan for a cotangent that came through one (`after_mask`)
    """

    __slots__ = ("_masked", "_run", "after_mask", "entry", "masks", "needs", "program", "wrt")

    def __init__(self, entry: Entry, wrt: tuple[int, ...], masked: bool = False):
        self.entry = entry
        self.wrt = wrt
        forward = entry.form.program
        self.program = optimise(adjoint(forward, wrt, masked=masked))
        params = [forward.params[k].name for k in wrt]
        results = [r.name for r in forward.results if isinstance(r, Var)]
        strong = activity(forward, params, results, masked).strong
        self.masks = frozenset(k for k in wrt if forward.params[k].name in strong)
        self.after_mask = masked
        self._masked = self if masked else None
        used = _used(self.program)
        whole = not straight(self.program)
        self.needs = tuple(whole or v.name in used for v in self.program.params[: len(entry.kinds)])
        self._run: Callable[..., tuple[Any, ...]] | None = None

    @property
    def masked(self) -> Plan:
        if self._masked is None:
            self._masked = Plan(self.entry, self.wrt, masked=True)
        return self._masked

    @property
    def run(self) -> Callable[..., tuple[Any, ...]]:
        """(operands..., cotangent of the result) -> cotangents; kinds do for operands that are not needed."""
        if self._run is None:
            self._run = lower(self.program)
        return self._run


def _used(program: Program) -> set[str]:
    """Parameters whose numbers the program reads, not only their shape."""
    names = {r.name for r in program.results if isinstance(r, Var)}
    for node in walk(program.body):
        if isinstance(node, Let):
            if node.op.name != "dim":
                names |= {a.name for a in atoms(node.args) if isinstance(a, Var)} | set(dim_names(node.args))
        else:
            names |= {
                a.name for field in node.__slots__ for a in atoms(_operands(getattr(node, field)))
                if isinstance(a, Var)
            }  # fmt: skip
    return names


def _operands(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(x for p in value for x in (getattr(p, "first", p), getattr(p, "second", p)))
    return value


class DependsOnValue(Exception):  # noqa: N818  (control flow, never seen by a user)
    """The program holds for some values of an integer operand only: it must be made for that number."""


class Entry:
    """A function for operands of these kinds (or Python numbers of these types) and static arguments."""

    __slots__ = (
        "function",
        "key",
        "kinds",
        "converters",
        "applied",
        "form",
        "run",
        "plans",
        "dtype",
        "floating",
    )

    def __init__(self, function: Function, operands: list[Any], static: tuple[Any, ...]):
        to = function.operand_dtype(operands)
        self.function = function
        kinds: list[Kind] = []
        self.converters: list[Any] = []
        for operand in operands:
            if isinstance(operand, Kind):
                kinds.append(operand)
                self.converters.append(None)
            else:
                number = to or result_dtype([operand])
                kinds.append(_scalar_kind(number))
                self.converters.append(number.numpy.type)
        self.kinds = tuple(kinds)
        self.applied = Applied(function.name, function.definition, static, to)
        self.form: Specialisation = function.form(self.applied, self.kinds)
        self.key = (function, static, self.form)
        if guards_values(self.form):
            raise DependsOnValue
        result = self.form.program.results[0].type
        self.dtype, self.floating = result.numpy, result.is_float
        self.run = lower(self.form.program)
        self.plans: dict[tuple[int, ...], Plan] = {}

    def plan(self, wrt: tuple[int, ...]) -> Plan:
        plan = self.plans.get(wrt)
        if plan is None:
            plan = self.plans[wrt] = Plan(self, wrt)
        return plan


def guards_values(form: Specialisation) -> bool:
    """Does the form hold only for some values of an integer operand, places in subscripts aside?

    Those are in range and nonnegative when they get here.
    """
    return any(
        axis < 0 and not form.traced.inputs[k].name.startswith("at")
        for name, (k, axis) in form.traced.size_slots.items()
        if re.search(rf"\b{name}\b", form.traced.guards)
    )


_scalars: dict[str, Kind] = {}


def _scalar_kind(d: dtype) -> Kind:
    return _scalars.setdefault(d.name, Kind(d, ()))


class Function:
    """An operation on tensors.

    definition  in NumPy, of operands and then static arguments
    promote     "common": operands come to one dtype by torch's rule; "float": to a float one; None: as they are
    grad_name   the name of its grad_fn
    """

    def __init__(
        self,
        name: str,
        definition: Callable[..., Any],
        promote: str | None = None,
        grad_name: str | None = None,
    ):
        self.name = name
        self.definition = definition
        self.promote = promote
        self.grad_name = grad_name or "".join(part.capitalize() for part in name.split("_")) + "Backward"
        self.subscript: Callable[..., Any] | None = None  # of views by x[...]: (integers, *static) -> key
        self.entries: dict[Any, Entry] = {}
        self._traceables: dict[Any, Traceable] = {}
        self._pinned: Function | None = None

    def __repr__(self) -> str:
        return f"<eager function {self.name}>"

    def operand_dtype(self, operands: list[Any]) -> dtype | None:
        if self.promote is None:
            return None
        to = result_dtype(operands)
        if self.promote == "float" and to.category < 2:
            return get_default_dtype()
        return to

    def form(self, applied: Applied, kinds: tuple[Kind, ...]) -> Specialisation:
        """The traced form for these kinds; one serves all shapes that do not differ in what was burned in."""
        key = (applied.static, applied.to, tuple((k.dtype.name, k.ndim) for k in kinds))
        traceable = self._traceables.get(key)
        if traceable is None:
            traceable = self._traceables[key] = Traceable(applied)
        examples = tuple(k.example()[()] for k in kinds)
        with tracing(None):  # type: ignore[arg-type]
            return traceable.find(examples, {})[0]

    @property
    def pinned(self) -> Function:
        """The function whose integer operands are static: their values, None for the other operands."""
        if self._pinned is None:

            def definition(*given: Any) -> Any:
                *operands, values, static = given
                rest = iter(operands)
                return self.definition(*(next(rest) if v is None else v for v in values), *static)

            self._pinned = Function(self.name, definition, self.promote, self.grad_name)
        return self._pinned

    def entry(self, key: Any, operands: list[Any], static: tuple[Any, ...]) -> Entry:
        if len(self.entries) > 4096:  # a program whose shapes never repeat
            self.entries.clear()
        entry = self.entries[key] = Entry(self, operands, static)
        return entry


def as_array(value: Any) -> np.ndarray:
    return value if type(value) is np.ndarray else np.asarray(value)
