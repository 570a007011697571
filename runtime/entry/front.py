"""The text of an entry that is a whole call: options, arguments and what the function looks at outside."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from . import abi
from .instructions import Outside, Writer, object_at
from .record import Condition, Container, Front, Look

EVERYWHERE = "everywhere"


class FrontWriter(Writer):
    """Reads what a call from Python needs besides numbers and arrays."""

    def arguments(self, front: Front) -> list[str]:
        """The parameters, from a tuple, an empty dict and what is outside, if the options and the rest are right.

        What may run Python comes first, and what is read stays alive until the end: from there on nothing changes.
        """
        self.require(self.new("icmp eq i64 %count, 2"))
        args, kwargs = self.load("ptr", "%args"), self.load("ptr", "%args", 8)
        self.parameters: dict[int, str] = {}
        self.take_apart(args, front.args, known=True)
        self.take_apart(kwargs, front.kwargs, known=True)
        self.options(front)
        for condition in front.conditions:
            self.condition(condition)
        objects = [self.parameters[k] for k in range(len(self.parameters))]
        for look in front.hidden:
            objects.append(self.look(look))
            if objects[-1] not in self.kept:
                self.hold(objects[-1])
        return objects

    def take_apart(self, obj: str, what: Any, known: bool = False) -> None:
        """An argument, or what is in it. Whatever others may take out of its container meanwhile is held."""
        if isinstance(what, int):
            self.parameters[what] = obj
            return
        if not isinstance(what, Container):
            self.compare(obj, *what)
            return
        if not known:
            self.require(self.same(self.load("ptr", obj, abi.TYPE), what.kind))
        count = len(what.children)
        if what.kind is tuple:
            size = self.load("i64", obj, abi.SIZE)
        else:
            size = self.call("i64", "PyDict_Size" if what.kind is dict else "PyList_Size", f"ptr {obj}")
        self.require(self.new(f"icmp eq i64 {size}, {count}"))
        if what.kind is dict and count:
            place, key, value = (f"ptr {self.room('i64', 1)}" for _ in range(3))
            self.lines.append(f"  store i64 0, {place}")
        for k, child in enumerate(what.children):
            if what.kind is tuple:
                item = self.load("ptr", obj, self.facts.items + 8 * k)
            elif what.kind is list:
                item = self.call("ptr", "PyList_GetItem", f"ptr {obj}", f"i64 {k}")
                self.require(self.there(item))
            else:
                more = self.call("i32", "PyDict_Next", f"ptr {obj}", place, key, value)
                self.require(self.new(f"icmp ne i32 {more}, 0"))
                item, name = self.new(f"load ptr, {value}"), self.new(f"load ptr, {key}")
                self.hold(item)
                self.compare(name, "equal", what.keys[k])
            if what.kind is list:
                self.hold(item)
            self.take_apart(item, child)

    def options(self, front: Front) -> None:
        slot = self.room("ptr", 1)
        self.lines.append(f"  store ptr null, ptr {slot}")
        self.call("i32", "PyContextVar_Get", f"ptr {object_at(front.local)}", "ptr null", f"ptr {slot}")
        local = self.load("ptr", slot)
        self.require(self.there(local))
        self.call("", "Py_DecRef", f"ptr {local}")
        usual, special, on = self.label(), self.label(), self.label()
        self.lines.append(f"  br i1 {self.same(local, None)}, label %{usual}, label %{special}")
        self.block(special)
        found = self.call("ptr", "PyObject_CallObject", f"ptr {object_at(front.current)}", "ptr null")
        self.require(self.there(found))
        self.call("", "Py_DecRef", f"ptr {found}")  # only compared from here on
        self.require(self.same(found, front.settings))
        self.lines.append(f"  br label %{on}")
        self.block(usual)
        names = (f"ptr {object_at(front.module)}", f"ptr {object_at(EVERYWHERE)}")
        self.require(self.same(self.call("ptr", "PyDict_GetItem", *names), front.settings))
        self.lines.append(f"  br label %{on}")
        self.block(on)

    def hold(self, borrowed: str) -> None:
        """Keep an object until the end."""
        self.call("", "Py_IncRef", f"ptr {borrowed}")
        self.keep(borrowed)

    def keep(self, obj: str) -> None:
        self.made.append(obj)
        self.kept.append(obj)

    def look(self, look: Look, last: bool = True) -> str:
        """The value outside, which somebody holds; with `last` false it may be null."""
        base, found = look.base, object_at(look.base)
        for k, (how, name) in enumerate(look.steps):
            self.kept_objects.append(name)
            borrowed = True
            if how == "item" and type(base) is dict:
                found = self.call("ptr", "PyDict_GetItem", f"ptr {found}", f"ptr {object_at(name)}")
            elif how == "attr" and name == "__code__" and type(base) is FunctionType:
                found = self.call("ptr", "PyFunction_GetCode", f"ptr {found}")
            else:
                names = {"attr": "PyObject_GetAttr", "item": "PyObject_GetItem", "cell": "PyCell_Get"}
                more = [] if how == "cell" else [f"ptr {object_at(name)}"]
                found = self.call("ptr", names[how], f"ptr {found}", *more)
                borrowed = False
            base = None
            if last or k + 1 < len(look.steps):
                self.require(self.there(found))
                if not borrowed:
                    self.keep(found)
            elif not borrowed:
                raise Outside("a value that may not be there")
        return found

    def condition(self, condition: Condition) -> None:
        found = self.look(condition.look, condition.kind != "absent")
        if condition.kind == "absent":
            self.require(self.new(f"icmp eq ptr {found}, null"))
        elif condition.kind == "type":
            self.require(self.same(self.load("ptr", found, abi.TYPE), condition.expected))
        elif condition.kind == "length":
            size = self.call("i64", "PyObject_Size", f"ptr {found}")
            self.require(self.new(f"icmp eq i64 {size}, {condition.expected}"))
        else:
            self.compare(found, condition.kind, condition.expected)

    def compare(self, obj: str, kind: str, expected: Any) -> None:
        """Is it the object, or (for "equal") of the same type and equal?"""
        self.kept_objects.append(expected)
        same = self.same(obj, expected)
        if kind == "is":
            self.require(same)
            return
        other, on = self.label(), self.label()
        self.lines.append(f"  br i1 {same}, label %{on}, label %{other}")
        self.block(other)
        self.require(self.same(self.load("ptr", obj, abi.TYPE), type(expected)))
        equal = self.call("i32", "PyObject_RichCompareBool", f"ptr {obj}", f"ptr {object_at(expected)}", "i32 2")
        self.require(self.new(f"icmp eq i32 {equal}, 1"))
        self.lines.append(f"  br label %{on}")
        self.block(on)
