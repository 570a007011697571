"""Comparison, logic, shifts and questions about single values, as NumPy has them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import literal
from ...ir.errors import TypeMismatch
from ...ir.program import Atom, Lit, Var
from ...ir.types import I64
from ..session import Session
from ..values.convert import agree, cast, common
from ..values.symbol import FUNCTIONS, Array, Scalar, as_value, implements, require_session, wrap
from .arguments import dims_of, emit_reshape
from .elementwise import both, check_options, store_out


def compared(session: Session, a: Any, b: Any, what: str) -> list[Atom]:
    """Both sides of a comparison in one dtype that holds them: NumPy compares integers as the numbers that they are."""
    atoms = [as_value(session, v, what) for v in (a, b)]
    dtypes = [atom.type.dtype for atom, _ in atoms]
    if all(not atom.type.is_float for atom, _ in atoms) and len(set(dtypes)) == 2:
        if "u64" not in dtypes:
            return [cast(session, atom, "i64") for atom, _ in atoms]
        other = atoms[dtypes.index("u64") - 1][0]
        if other.type.numpy.kind == "i" and not (isinstance(other, Lit) and int(other.text) >= 0):
            raise session.error(
                TypeMismatch, f"{what} of uint64 and signed integers cannot be traced. Write x.astype(np.int64)"
            )
        return [cast(session, atom, "u64") for atom, _ in atoms]
    return common(session, [a, b], what)[0]


Forms = list[Affine]


def _comparison(
    op: str, function: Any, own: Callable[[int, int], bool], forms: Callable[[Affine, Affine], tuple[Forms, Forms]]
) -> None:
    """`own` compares integers of Python; `forms` are at least 0 all together where it holds, and where it does not."""

    @implements(function)
    def compare(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
        check_options(op, options)
        session = require_session()
        if isinstance(b, (str, type(None))) or isinstance(a, (str, type(None))):
            array = a if isinstance(a, Array) else b
            if function is not np.equal and function is not np.not_equal:
                raise session.error(TypeMismatch, f"np.{function.__name__} of a number and no number. Compare numbers")
            if isinstance(array, Array) and array.type.rank:  # NumPy compares each element
                return store_out(FUNCTIONS[np.full_like](array, op == "ne", dtype=bool), out)
            return op == "ne"
        values = compared(session, a, b, f"np.{function.__name__}")
        result = session.builder.emit(op, *agree(session, values, "a comparison"))
        if isinstance(result, Var) and values[0].type == I64 and values[1].type == I64:
            one, two = (session.builder.affine(v) for v in values)
            yes, no = forms(one, two)
            difference = one - two
            if not difference.terms:
                answer = own(difference.constant, 0)
                return Scalar(session, literal(answer, "bool"))
            sources = session.root_names(difference) if session.from_inputs(difference) else None
            session.conditions[result.name] = (yes, no, sources)
        return store_out(wrap(session, result), out)


_comparison("lt", np.less, operator.lt, lambda a, b: ([b - a - 1], [a - b]))
_comparison("le", np.less_equal, operator.le, lambda a, b: ([b - a], [a - b - 1]))
_comparison("gt", np.greater, operator.gt, lambda a, b: ([a - b - 1], [b - a]))
_comparison("ge", np.greater_equal, operator.ge, lambda a, b: ([a - b], [b - a - 1]))
_comparison("eq", np.equal, operator.eq, lambda a, b: ([a - b, b - a], []))
_comparison("ne", np.not_equal, operator.ne, lambda a, b: ([], [a - b, b - a]))


def _logic(op: str, functions: tuple[Any, ...], truth: bool) -> None:
    @implements(*functions)
    def combine(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
        check_options(op, options)
        session = require_session()
        if truth:
            a, b = truth_of(a), truth_of(b)
        values, _ = common(session, [a, b], functions[0].__name__)
        if values[0].type.is_float:
            raise session.error(TypeMismatch, f"np.{functions[0].__name__} of floats is not defined")
        return store_out(both(session, op, values, functions[0].__name__), out)


_logic("and", (np.bitwise_and,), False)
_logic("or", (np.bitwise_or,), False)
_logic("xor", (np.bitwise_xor,), False)
_logic("and", (np.logical_and,), True)
_logic("or", (np.logical_or,), True)
_logic("xor", (np.logical_xor,), True)
def _shift(op: str, function: Any) -> None:
    @implements(function)
    def shift(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
        """Where all bits are shifted out machines do what they like; NumPy gives 0 or -1."""
        check_options(op, options)
        session = require_session()
        values, _ = common(session, [a, b], f"np.{function.__name__}", at_least="i64")
        if values[0].type.is_float:
            raise TypeError(f"np.{function.__name__} of floats is not defined")
        one, two = agree(session, values, f"np.{function.__name__}")
        bits = 8 * one.type.numpy.itemsize
        builder = session.builder
        if isinstance(two, Lit) and 0 <= int(two.text) < bits:
            return store_out(wrap(session, builder.emit(op, one, two)), out)
        inside = builder.emit("lt", two, bits)
        if one.type.numpy.kind == "i":
            inside = builder.emit("and", inside, builder.emit("ge", two, 0))
        moved = builder.emit(op, one, builder.emit("where", inside, two, 0))
        beyond: Any = literal(0, one.type.dtype)
        if op == "shift_right" and one.type.numpy.kind == "i":
            beyond = builder.emit("where", builder.emit("lt", one, 0), literal(-1, one.type.dtype), beyond)
        return store_out(wrap(session, builder.emit("where", inside, moved, beyond)), out)


_shift("shift_left", np.left_shift)
_shift("shift_right", np.right_shift)


@implements("truth")
def truth_of(x: Any) -> Any:
    """x != 0, as a bool."""
    session = require_session()
    atom, _ = as_value(session, x)
    return wrap(session, cast(session, atom, "bool"))


@implements("one element")
def one_element(x: Any) -> Any:
    """The number whose truth is asked: of an array, its only element."""
    if any(dim != 1 for dim in dims_of(x)):
        raise x.session.error(
            TypeMismatch,
            "the truth value of an array with more than one element is ambiguous. Use a.any() or a.all()",
        )
    return emit_reshape(x, ()) if x.type.rank else x


@implements("not")
def not_(x: Any) -> Any:
    """Python's `not`, whose answer is a bool of its own."""
    return Scalar(x.session, logical_not(one_element(x)).read(), weak=True)


@implements(np.logical_not)
def logical_not(x: Any, out: Any = None, **options: Any) -> Any:
    check_options("logical_not", options)
    session = require_session()
    atom = truth_of(x).read()
    result = wrap(session, session.builder.emit("invert", atom))
    known = session.conditions.get(atom.name) if isinstance(atom, Var) else None
    new = result.read()
    if known is not None and isinstance(new, Var):
        session.conditions[new.name] = (known[1], known[0], known[2])
    return store_out(result, out)


@implements(np.invert)
def invert(x: Any, out: Any = None, **options: Any) -> Any:
    check_options("invert", options)
    session = require_session()
    atom, _ = as_value(session, x)
    if atom.type.is_float:
        raise session.error(TypeMismatch, "~ of floats is not defined")
    return store_out(wrap(session, session.builder.emit("invert", atom)), out)


def _predicate(op: str, function: Any) -> None:
    @implements(function)
    def test(x: Any, out: Any = None, **options: Any) -> Any:
        check_options(op, options)
        session = require_session()
        atom, _ = as_value(session, x)
        if not atom.type.is_float:
            atom = cast(session, atom, "f64")
        return store_out(wrap(session, session.builder.emit(op, atom)), out)


_predicate("isnan", np.isnan)
_predicate("isinf", np.isinf)
_predicate("isfinite", np.isfinite)
