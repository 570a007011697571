"""A value that is None on some paths: `best = None`, and a number where a branch or a loop has bound one.

It is carried as two values: a truth value that says whether it is None, and a value of the other kind. `is None` asks
the first. Any other use is a check that it is not None, unless the conditions on the way there say so; where the
check fails the function is run plainly, and Python's own exception is raised.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from ...ir.affine import Affine
from ...ir.build import dim_atom, literal
from ...ir.program import Atom, Lit, Var
from ...ir.types import Dim
from ..session import Session
from .arithmetic import COMPARISONS, OPERATORS
from .staged_list import Optional, StagedList
from .symbol import FUNCTIONS, Array, Cell, PythonNumber, Scalar, as_value

MESSAGE = "TypeError: what is None here is used where a number or an array is needed. Ask `is None` first"


class MaybeNone(Optional):
    """`value` where `flag` is false, else None; the value is a number, an array or a tuple of them."""

    __slots__ = ("session", "flag", "value")

    def __init__(self, session: Session, value: Any, flag: Atom):
        self.session = session
        self.value = value
        self.flag = flag

    def answer(self) -> bool | Scalar:
        """Is it None?"""
        known = self.session.truth_of(self.flag)
        return Scalar(self.session, self.flag) if known is None else known

    def present(self, message: str = MESSAGE) -> Any:
        """The value, where it may not be None."""
        known = self.session.truth_of(self.flag)
        if known is None:
            self.session.check(FUNCTIONS["not"](Scalar(self.session, self.flag)).atom, message)
            self.session.assume(self.flag, False)
        return None if known else self.value

    # Code that is not staged uses it as any other object.

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.present(), name)

    def __iter__(self) -> Any:
        return iter(self.present())

    def __getitem__(self, key: Any) -> Any:
        return self.present()[key]

    def __bool__(self) -> bool:
        return not self.answer() and bool(self.value)

    def __repr__(self) -> str:
        return repr(self.value)

    __hash__ = None  # type: ignore[assignment]


def _operators() -> None:
    def binary(function: Any, swapped: bool) -> Any:
        def method(self: MaybeNone, other: Any) -> Any:
            one, two = self.present(), present(other)
            return function(two, one) if swapped else function(one, two)

        return method

    def unary(function: Any) -> Any:
        return lambda self: function(self.present())

    for name in OPERATORS:
        function = getattr(operator, f"__{name}__", divmod)
        setattr(MaybeNone, f"__{name}__", binary(function, False))
        setattr(MaybeNone, f"__r{name}__", binary(function, True))
    for name in COMPARISONS:
        setattr(MaybeNone, f"__{name}__", binary(getattr(operator, name), False))
    for name in ["__neg__", "__pos__", "__abs__", "__invert__"]:
        setattr(MaybeNone, name, unary(getattr(operator, name)))


_operators()


def present(value: Any) -> Any:
    """The value of something that may be None, which is checked; anything else is what it is."""
    return value.present() if type(value) is MaybeNone else value


def all_present(value: Any) -> Any:
    """The same for the arguments of a function that knows arrays and numbers: in lists, tuples and dicts, too."""
    if not holds_optional(value):
        return value
    if type(value) is MaybeNone:
        return value.present()
    if isinstance(value, dict):
        return {key: all_present(item) for key, item in value.items()}
    items = [all_present(item) for item in value]
    return items if isinstance(value, list) else type(value)(*items) if hasattr(value, "_fields") else tuple(items)


def holds_optional(value: Any) -> bool:
    if type(value) is MaybeNone:
        return True
    if isinstance(value, dict):
        return any(map(holds_optional, value.values()))
    if isinstance(value, StagedList) and value.rows is not None:
        return False  # elements of arrays are never None
    return isinstance(value, (list, tuple)) and any(map(holds_optional, value))


def shown(value: Any) -> str:
    if isinstance(value, (Scalar, Array)):
        return str(value.type)
    if type(value) is MaybeNone:
        return f"None or {shown(value.value)}"
    if value is None:
        return "None"
    kind = "list" if isinstance(value, list) else type(value).__name__
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"


def is_none(value: Any) -> bool | Scalar:
    return value.answer() if type(value) is MaybeNone else value is None


def equals(value: MaybeNone, other: Any) -> Any:
    """`value == other`, which may be asked of None, too."""
    if other is None:
        return value.answer()
    answer = value.answer()
    if not isinstance(answer, Scalar):
        return False if answer else value.value == other
    if not isinstance(value.value, Scalar) or not isinstance(other, (Scalar, *PythonNumber)):
        return value.present() == present(other)
    return FUNCTIONS[np.logical_and](FUNCTIONS["not"](answer), FUNCTIONS["truth"](value.value == other))


def truth(value: MaybeNone) -> Any:
    """What `if value` asks."""
    answer = value.answer()
    if not isinstance(answer, Scalar):
        return False if answer else FUNCTIONS["truth"](value.value)
    if not isinstance(value.value, Scalar):
        return FUNCTIONS["truth"](value.present()) if isinstance(value.value, Array) else bool(value.present())
    session = value.session
    given, true = FUNCTIONS["not"](answer), FUNCTIONS["truth"](value.value)
    result = FUNCTIONS[np.logical_and](given, true)
    for made, op, parts in ((given, "not", (value.flag,)), (result, "and", (given.atom, true.atom))):
        if isinstance(made.atom, Var):
            session.made_of[made.atom.name] = op, parts
    return result


def can_be_optional(value: Any) -> bool:
    """May a phi hold it, so that it can be joined with None?"""
    if isinstance(value, tuple):
        return all(map(can_be_optional, value))
    if type(value) is MaybeNone:
        return True
    return isinstance(value, (Scalar, Array, *PythonNumber)) or (
        hasattr(value, "dtype") and not getattr(value, "shape", 1)
    )


def apart(session: Session, value: Any, truths: dict[str, bool]) -> tuple[Atom, Any]:
    """Is it None, and what is it if it is not (None where nothing is known), where these truth values are known."""
    if value is None:
        return literal(True, "bool"), None
    if type(value) is not MaybeNone:
        return literal(False, "bool"), value
    known = truths.get(value.flag.name) if isinstance(value.flag, Var) else session.truth_of(value.flag)
    if known is None:
        return value.flag, value.value
    return literal(known, "bool"), None if known else value.value


class Join(Protocol):
    """What joins the values of two arms: regions.py."""

    session: Session
    states: list[Any]

    def value(self, name: str, a: Any, b: Any) -> Any: ...
    def atom(self, name: str, a: Atom, b: Atom) -> Atom: ...
    def stand_in(self, value: Any, arm: int) -> Any: ...


def joined(join: Join, name: str, a: Any, b: Any) -> Any:
    """What two arms leave behind of which one at least may be None."""
    pairs = [apart(join.session, v, state.truths) for v, state in zip((a, b), join.states)]
    values = [v for _, v in pairs]
    if values[0] is None and values[1] is None:
        return None
    for k in (0, 1):
        if values[k] is None:
            values[k] = join.stand_in(values[1 - k], k)
    value = join.value(name, *values)
    return simplest(join.session, value, join.atom(f"{name.strip('_')}_is_none", pairs[0][0], pairs[1][0]))


def simplest(session: Session, value: Any, flag: Atom) -> Any:
    """A value with this flag, as simple as it can be."""
    if isinstance(flag, Lit):
        return None if flag.text == "True" else value
    return MaybeNone(session, value, flag)


def started(session: Session, old: Any, found: Any, sizes: Iterator[tuple[Dim | Affine | None, ...]]) -> MaybeNone:
    """What a name holds before a loop that makes it None or a value: what it has, as what may be None.

    found   a value of it, sizes   those of its arrays, as they are known before the loop
    """
    if old is None:
        return MaybeNone(session, _stand_in(session, found, sizes), literal(True, "bool"))
    return MaybeNone(session, old, literal(False, "bool"))


def _stand_in(session: Session, value: Any, sizes: Iterator[tuple[Dim | Affine | None, ...]]) -> Any:
    if isinstance(value, tuple):
        items = [_stand_in(session, item, sizes) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if type(value) is MaybeNone:
        return _stand_in(session, value.value, sizes)
    atom, weak = as_value(session, value)
    if not isinstance(value, Array):
        return Scalar(session, literal(0, atom.type.dtype), weak)
    builder = session.builder
    dims = [builder.integer(d) if isinstance(d, Affine) else dim_atom(0 if d is None else d) for d in next(sizes)]
    made = builder.emit("zeros", tuple(dims), atom.type.dtype)
    return Array(session, Cell(session, made))
