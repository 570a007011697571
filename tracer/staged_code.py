"""What staged code calls: control flow, names, attributes and calls, with Python's own meaning where
nothing traced is involved.

One `Control` serves one staged function; it knows the function's file, for spans and for hidden inputs.
"""

from __future__ import annotations

import builtins
import importlib.util
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.build import literal
from ..ir.errors import UnsupportedSyntax
from ..ir.program import Atom, Lit, Var
from .calls import call
from .control.branches import choose
from .control.patterns import Patterns
from .control.targets import Outer
from .lists.columns import starred
from .lists.lists import List, element, is_stacked
from .lists.sequences import Sequence, Stream, taken
from .objects import operators
from .objects.objects import attribute, place
from .outside.scopes import SCOPES, scope_of
from .snapshot import Frame
from .staging.source import span_of
from .staging.stage import RESULT
from .values.optional import MaybeNone, all_present, equals, is_none, present
from .values.symbol import FUNCTIONS, Array, Scalar, Symbol, require_session
from .values.text import is_reporter, reporting

UNROLL_LIMIT = 1000


def _is_method(function: Any) -> bool:
    return isinstance(function, types.BuiltinMethodType | types.MethodType | types.MethodWrapperType)


class Control(Patterns):
    quiet = False
    """Is the function pullback's own, whose lines say nothing to a user?"""

    def __init__(self, file: str, function: types.FunctionType):
        self.file = file
        self.function = function
        code, defaults = function.__code__, function.__defaults__ or ()
        last = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        self.defaults = {
            name: (k, value)
            for k, (name, value) in enumerate(zip(last, defaults))
            if isinstance(value, (np.ndarray, list, dict))
        }

    # -- where we are ----------------------------------------------------------------------------------

    def at(self, line: int) -> None:
        if not self.quiet:
            require_session().builder.span = span_of(self.file, line)

    def frame(self, _function_: str, /, **variables: Any) -> Frame:
        session = require_session()
        for name, (k, default) in self.defaults.items():
            if variables.get(name) is default:
                variables[name] = session.hidden.default(self.function, name, k, default)
        return Frame(session, _function_, variables)

    def result(self, frame: Frame) -> Any:
        return getattr(frame, RESULT) if RESULT in vars(frame) else None

    # -- names -----------------------------------------------------------------------------------------

    def free(self, name: str, value: Any) -> Any:
        """A global or closure variable: its arrays and numbers are hidden inputs."""
        return require_session().hidden.free(self.function, name, value)

    def imported(self, module: str, name: str) -> Any:
        """What `from module import name` binds, after Python has imported it."""
        package = self.function.__globals__.get("__package__")
        return self.attribute(sys.modules[importlib.util.resolve_name(module, package)], name)

    def attribute(self, value: Any, name: str) -> Any:
        return attribute(present(value), name)

    def place(self, holder: Any) -> Any:
        return place(present(holder))

    def outer(self) -> Outer:
        """What holds the variables that are declared `global`, or `nonlocal` of a function around the traced one."""
        return Outer(self.function)

    def declared(self, name: str, value: Callable[[], Any]) -> Any:
        """A variable that is declared so; it need not exist before the call."""
        return require_session().hidden.declared(self.function, name, value)

    def item(self, value: Any, key: Any) -> Any:
        value, key = present(value), all_present(key)
        make = FUNCTIONS["subscripted"](value)
        if make is not None:
            return make(key)
        if isinstance(key, Symbol) and isinstance(value, (list, tuple, str, dict)):
            if isinstance(value, (list, tuple)):
                return value[key] if isinstance(value, List) else element(value, key)
            return value[operator.index(key)]
        return operators.item(value, key)

    def binary(self, op: str, a: Any, b: Any) -> Any:
        return operators.binary(op, present(a), present(b))

    def unary(self, op: str, a: Any) -> Any:
        return operators.unary(op, present(a))

    def slice(self, start: Any, stop: Any, step: Any) -> slice:
        return builtins.slice(present(start), present(stop), present(step))

    def named(self, name: str, value: Any) -> Any:
        session = require_session()
        if isinstance(value, List) and value.name == "items":
            value.name = name
        if isinstance(value, Scalar):
            session.builder.name_last(value.atom, name)
        elif isinstance(value, Array) and not value.maps:
            named = session.builder.name_last(value.cell.value, name)
            if named or value.cell.name.startswith("t"):
                value.cell.name = name
        return value

    def unpack(self, value: Any) -> Any:
        value = present(value)
        if isinstance(value, Stream):
            value = self.gather(value)
        if is_stacked(value):
            return starred(value)
        if isinstance(value, (Array, Sequence)):
            return list(value)
        return operators.iterated(value)

    def walrus(self, frame: Frame, name: str, value: Any) -> Any:
        setattr(frame, name, value)
        return value

    def staged(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function written inside of staged code is staged with it."""
        function._pullback_staged_ = True  # type: ignore[attr-defined]
        return function

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        session = require_session()
        span = session.builder.span
        if not args and any(function is scope for scope in SCOPES):
            function = scope_of(function, self.function)
        try:
            session.callers.append(self)
            result = call(function, args, kwargs)
        finally:
            session.callers.pop()
            session.builder.span = span
        session.hidden.givens.check_each((getattr(function, "__self__", None), *args) if _is_method(function) else args)
        return result

    def reported(self, function: Any, call_it: Callable[[Any], Any]) -> Any:
        """A call of print or a logger, as its name says: its arguments may be text of traced values."""
        return self.shown(lambda: call_it(function)) if is_reporter(function) else call_it(function)

    def shown(self, make: Callable[[], Any]) -> Any:
        """What is made here goes to print, to a log, or into the message of an error."""
        with reporting(require_session()):
            return make()

    # -- truth -----------------------------------------------------------------------------------------

    def _condition(self, value: Any) -> Atom | bool:
        """A bool, or the IR value of a traced truth value."""
        if is_stacked(value):
            value = FUNCTIONS[len](value) > 0
        if not isinstance(value, Symbol):
            value = operators.truth(value)
            if not isinstance(value, Symbol):
                return bool(value)
        value = FUNCTIONS["one element"](value)
        atom = value.read()
        if atom.type.dtype != "bool":
            atom = FUNCTIONS["truth"](value).atom
        if isinstance(atom, Lit):
            return atom.text == "True"
        return atom

    def asked(self, value: Any) -> Any:
        """The truth of a value, as one."""
        cond = self._condition(value)
        return cond if isinstance(cond, bool) else Scalar(require_session(), cond)

    def truth(self, value: Any) -> bool:
        """A truth value that must be known now (the condition of a comprehension)."""
        cond = self._condition(value)
        if isinstance(cond, bool):
            return cond
        return bool(value)

    def not_(self, value: Any) -> Any:
        cond = self._condition(value)
        if isinstance(cond, bool):
            return not cond
        session = require_session()
        result = FUNCTIONS["not"](Scalar(session, cond))
        if isinstance(result.atom, Var):
            session.made_of[result.atom.name] = "not", (cond,)
        return result

    def and_(self, left: Any, right: Callable[[], Any]) -> Any:
        cond = self._condition(left)
        if isinstance(cond, bool):
            return right() if cond else left
        return self._chosen("and", cond, right, left)

    def or_(self, left: Any, right: Callable[[], Any]) -> Any:
        cond = self._condition(left)
        if isinstance(cond, bool):
            return left if cond else right()
        return self._chosen("or", cond, right, left)

    def _chosen(self, op: str, cond: Atom, right: Callable[[], Any], left: Any) -> Any:
        """`and` or `or`; of two truth values it is noted, since conditions tell what may be None."""
        session = require_session()
        others: list[Any] = []

        def evaluated() -> Any:
            others.append(right())
            return others[-1]

        if op == "and":
            result = choose(session, cond, evaluated, lambda: left)
        else:
            result = choose(session, cond, lambda: present(left), evaluated)
        if others and type(others[-1]) is bool and isinstance(left, Scalar) and left.type.dtype == "bool":
            return left if others[-1] == (op == "and") else others[-1]
        same = bool(others) and others[-1] is (op == "and") and isinstance(getattr(result, "atom", None), Var)
        if same and isinstance(cond, Var) and cond.name in session.conditions:  # it is what the left side is
            session.conditions[result.atom.name] = session.conditions[cond.name]
        truths = (left, *others[-1:], result)
        if all(isinstance(v, Scalar) and v.type.dtype == "bool" for v in truths) and isinstance(result.atom, Var):
            session.made_of[result.atom.name] = op, (left.atom, *(v.atom for v in others[-1:]))
        return result

    def if_expression(self, test: Any, then: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
        cond = self._condition(test)
        if isinstance(cond, bool):
            return then() if cond else orelse()
        return choose(require_session(), cond, then, orelse)

    def compare(self, left: Any, names: tuple[str, ...], *rest: Callable[[], Any]) -> Any:
        right = rest[0]()
        result = self._compare(names[0], left, right)
        if len(rest) == 1:
            return result
        return self.and_(result, lambda: self.compare(right, names[1:], *rest[1:]))

    def _compare(self, name: str, a: Any, b: Any) -> Any:
        if name in ("Is", "IsNot") and type(b if a is None else a) is MaybeNone and (a is None or b is None):
            answer = is_none(b if a is None else a)
            return answer if name == "Is" else self.not_(answer)
        if name in ("Eq", "NotEq") and (type(a) is MaybeNone or type(b) is MaybeNone):
            equal = equals(a, b) if type(a) is MaybeNone else equals(b, a)
            return equal if name == "Eq" else self.not_(equal)
        a, b = present(a), present(b)
        if name in ("Is", "IsNot"):
            same = a is b
            if not same and isinstance(a, Symbol) and isinstance(b, Symbol):
                raise require_session().error(
                    UnsupportedSyntax, "`is` between traced values has no meaning. Write == or np.array_equal"
                )
            return same if name == "Is" else not same
        if name in ("In", "NotIn"):
            found = operators.contains(b, a)
            return found if name == "In" else self.not_(found)
        return operators.compare(name, a, b)

    # -- updates ---------------------------------------------------------------------------------------

    def augmented(self, op: str, old: Any, value: Any, name: str) -> Any:
        old, value = present(old), present(value)
        new = operators.inplace(op, old, value)
        return self.named(name, new) if not isinstance(old, Array) else new

    def augmented_item(self, op: str, holder: Any, key: Any, value: Any) -> None:
        holder, key, value = present(holder), all_present(key), present(value)
        if isinstance(holder, (list, dict)) and isinstance(key, Symbol) and not isinstance(holder, List):
            key = operator.index(key)
        old = present(operators.item(holder, key))
        new = operators.inplace(op, old, value)
        if not (
            isinstance(old, Array) and new is old and isinstance(holder, Array) and old.cell is holder.cell
        ):
            place(holder)[key] = new  # a view has been written through already

    def augmented_attribute(self, op: str, holder: Any, name: str, value: Any) -> None:
        setattr(place(holder), name, operators.inplace(op, present(self.attribute(holder, name)), present(value)))

    # -- control flow ----------------------------------------------------------------------------------

    def iterate(self, iterable: Any) -> Any:
        """What a comprehension runs over, which must be known now."""
        iterable = present(iterable)
        iterable = self.gather(iterable) if isinstance(iterable, Stream) else taken(iterable)
        if isinstance(iterable, Array) or is_stacked(iterable):
            return list(iterable)
        if isinstance(iterable, Sequence):
            session = require_session()
            length = session.concrete(iterable.length, "the length of a comprehension")
            return [iterable.item(literal(k, "i64")) for k in range(length)]
        return operators.iterated(iterable)
