"""The text of an entry: a function of Python, in LLVM's language, that tests arguments and enters machine code.

It does what the Python of `pullback.calls.fast_call` does, with the same answers: it tests types, sizes and
guards, allocates the results, runs the kernel and gives the results their form. Where anything does not fit, it
gives the object MISS, and the ordinary way finds out what to do or to say. Arithmetic of sizes that leaves 64 bits
does not fit either.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.types import DTYPES, OF_PYTHON
from . import abi
from .front import FrontWriter
from .instructions import Outside, object_at
from .record import Form, Kernel, Param

ITEMSIZE = {name: row.numpy.itemsize for name, row in DTYPES.items()}
LLVM = {name: row.c if row.is_float else f"i{8 * row.numpy.itemsize}" for name, row in DTYPES.items()}
SCALARS = {row.numpy.type: name for name, row in DTYPES.items()}
WEAK: dict[str, type] = {name: python for python, name in OF_PYTHON.items()}
BOXED = {
    "f64": "PyFloat_FromDouble", "f32": "PyFloat_FromDouble", "i64": "PyLong_FromLongLong", "bool": "PyBool_FromLong",
}  # fmt: skip
_LONG = f"i{np.dtype('l').itemsize * 8}"
MANY = 4096
"""Operations of a kernel from which on other threads of Python may run in the meantime."""
MOST = 400
"""Words of a stack frame that Windows need not be asked for."""


def entry_text(form: Form, kernel: Kernel, miss: Any, facts: abi.Facts) -> tuple[str, list[Any]]:
    """LLVM's text of the function `entry` for METH_FASTCALL, and objects that it mentions. Raises Outside."""
    writer = _Writer(form, kernel, miss, facts)
    return writer.text(), writer.kept_objects


MISSES = (AttributeError, LookupError, TypeError, ValueError, OverflowError, MemoryError)
"""Met where a value outside has gone, a number does not fit, or there is no memory: the ordinary way sees to it. Other
errors are the user's, of a property that was read, and come out as they are, once."""

class _Writer(FrontWriter):
    def __init__(self, form: Form, kernel: Kernel, miss: Any, facts: abi.Facts):
        super().__init__(facts)
        self.form, self.kernel = form, kernel
        self.miss = object_at(miss)
        self.given: list[str] = []  # the kernel's arguments

    def text(self) -> str:
        form = self.form
        objects = self.arguments(form.front) if form.front else self.objects()
        for k, (param, obj) in enumerate(zip(form.params, objects)):
            if param.rank is None:
                self.number(k, param, obj)
            else:
                self.array(k, param, obj)
        if form.guards:
            conditions = self.truth(ast.parse(form.guards, mode="eval").body)
            self.exact()
            for condition in conditions:
                self.require(condition)
        self.allocate()
        numbers = self.run()
        self.results(numbers)
        if sys.platform == "win32" and self.frame + 2 * len(self.given) > MOST:
            raise Outside("a large frame")
        self.ends()
        declared = [f"declare i64 @llvm.s{name}.i64(i64, i64)" for name in ("min", "max")]
        for name in ("sadd", "ssub", "smul"):
            declared.append(f"declare {{i64, i1}} @llvm.{name}.with.overflow.i64(i64, i64)")
        head = "define ptr @entry(ptr %self, ptr %args, i64 %count) {\nstart:"
        return "\n".join([*declared, head, *self.stack, *self.lines, "}", ""])

    def objects(self) -> list[str]:
        """The arguments, one by one."""
        count = len(self.form.params)
        self.require(self.new(f"icmp eq i64 %count, {count}"))
        return [self.load("ptr", "%args", 8 * k) for k in range(count)]

    def number(self, k: int, param: Param, obj: str) -> None:
        kinds = WEAK if param.weak else {d: s for s, d in SCALARS.items()}
        self.require(self.same(self.load("ptr", obj, abi.TYPE), kinds[param.dtype]))
        if param.weak and param.dtype == "bool":
            value = self.new(f"zext i1 {self.same(obj, True)} to i8")
        elif param.weak and param.dtype == "i64":
            value = self.call("i64", "PyLong_AsLongLong", f"ptr {obj}")
            odd, on = self.label(), self.label()
            self.lines.append(f"  br i1 {self.new(f'icmp eq i64 {value}, -1')}, label %{odd}, label %{on}")
            self.block(odd)
            error = self.call("ptr", "PyErr_Occurred")
            self.lines.append(
                f"  br i1 {self.new(f'icmp eq ptr {error}, null')}, label %{on}, label %{self.drop()}"
            )
            self.block(on)
        else:
            value = self.load(LLVM[param.dtype], obj, abi.NUMBER)
        if param.dtype == "i64":
            self.values[f"a{k}"] = value
        self.given.append(f"{LLVM[param.dtype]} {value}")

    def array(self, k: int, param: Param, obj: str) -> None:
        self.require(self.same(self.load("ptr", obj, abi.TYPE), np.ndarray))
        flags = self.new(f"and i32 {self.load('i32', obj, abi.FLAGS)}, {abi.CARRAY}")
        self.both([
            self.same(self.load("ptr", obj, abi.DESCR), DTYPES[param.dtype].numpy),
            self.new(f"icmp eq i32 {self.load('i32', obj, abi.NDIM)}, {param.rank}"),
            self.new(f"icmp eq i32 {flags}, {abi.CARRAY}"),
        ])  # fmt: skip
        rank = param.rank or 0
        dims = self.load("ptr", obj, abi.DIMS) if rank else ""
        sizes = [self.load("i64", dims, 8 * axis) for axis in range(rank)]
        for axis, size in enumerate(sizes):
            self.values[f"a{k}_{axis}"] = size
        seen: dict[str, str] = {}
        for size, dim in zip(sizes, param.dims):
            if isinstance(dim, int):
                self.require(self.new(f"icmp eq i64 {size}, {dim}"))
            elif dim in seen:
                self.require(self.new(f"icmp eq i64 {size}, {seen[dim]}"))
            elif dim is not None:
                seen[dim] = size
                self.require(self.new(f"icmp sge i64 {size}, 2"))
        self.give(obj, param.dtype, sizes)
        self.values[f"a{k}_size"] = self.total

    def give(self, obj: str, dtype: str, sizes: Sequence[str]) -> None:
        """An array to the kernel, as numba has it: no owner, number and size of the elements, data, sizes, strides."""
        total = sizes[0] if sizes else "1"
        for size in sizes[1:]:
            total = self.new(f"mul i64 {total}, {size}")
        self.total = total
        strides = self.load("ptr", obj, abi.STRIDES) if sizes else ""
        self.given += ["ptr null", "ptr null", f"i64 {total}", f"i64 {ITEMSIZE[dtype]}"]
        self.given.append(f"ptr {self.load('ptr', obj, abi.DATA)}")
        self.given += [f"i64 {size}" for size in sizes]
        self.given += [f"i64 {self.load('i64', strides, 8 * axis)}" for axis in range(len(sizes))]

    def allocate(self) -> None:
        """The arrays that the kernel fills."""
        made: dict[str, str] = {}
        shapes: dict[str, tuple[list[str], str]] = {}
        for k, param in enumerate(self.form.params):
            if param.rank is not None:
                shapes[f"a{k}"] = [self.values[f"a{k}_{axis}"] for axis in range(param.rank)], param.dtype
        for line in self.form.head:
            match ast.parse(line).body[0]:
                case ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(_, "empty_like"), [ast.Name(like)])):
                    if like not in shapes:
                        raise Outside(line)
                    shapes[name] = shapes[like]
                    made[name] = self.made_array("empty", *shapes[name])
                case ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(ast.Name("np"), how), [shape, *dtype])):
                    elements = shape.elts if isinstance(shape, ast.Tuple) else [shape]
                    sizes = [self.integer(e) for e in elements]
                    self.exact()
                    shapes[name] = sizes, _dtype_of(dtype)
                    made[name] = self.made_array(how, *shapes[name])
                case ast.Assign([ast.Name(name)], value):
                    self.values[name] = self.integer(value)
                case _:
                    raise Outside(line)
        self.arrays = [made[name] for name in self.form.arrays]

    def made_array(self, how: str, sizes: list[str], dtype: str) -> str:
        dims = self.room(f"[{max(1, len(sizes))} x i64]", len(sizes))
        for axis, size in enumerate(sizes):
            self.lines.append(f"  store i64 {size}, ptr {self.at(dims, 8 * axis)}")
        descr = f"ptr {object_at(DTYPES[dtype].numpy)}"
        self.call("", "Py_IncRef", descr)  # the new array keeps it
        rank = f"i32 {len(sizes)}"
        if how == "zeros":
            made = self.call("ptr", "PyArray_Zeros", rank, f"ptr {dims}", descr, "i32 0")
        else:
            kind = f"ptr {object_at(np.ndarray)}"
            rest = ("ptr null", "ptr null", "i32 0", "ptr null")
            made = self.call("ptr", "PyArray_NewFromDescr", kind, descr, rank, f"ptr {dims}", *rest)
        self.object(made)
        self.give(made, dtype, sizes)
        return made

    def run(self) -> list[str]:
        """Call the kernel: the numbers that it gives."""
        kernel = self.kernel
        if tuple(g.partition(" ")[0] for g in self.given) != kernel.takes:
            raise Outside(f"the kernel takes {kernel.takes}")
        result = self.room(kernel.returns, max(1, len(kernel.numbers)))
        error = self.room("ptr", 1)
        self.lines.append(f"  store {kernel.returns} zeroinitializer, ptr {result}")
        self.lines.append(f"  store ptr null, ptr {error}")
        long = self.long()
        start, release, run, back, on = (self.label() for _ in range(5))
        self.lines.append(f"  br label %{start}")
        self.block(start)
        self.lines.append(f"  br i1 {long}, label %{release}, label %{run}")
        self.block(release)
        thread = self.call("ptr", "PyEval_SaveThread")
        self.lines.append(f"  br label %{run}")
        self.block(run)
        thread = self.new(f"phi ptr [ null, %{start} ], [ {thread}, %{release} ]")
        arguments = ", ".join((f"ptr {result}", f"ptr {error}", *self.given))
        status = self.new(f"call i32 inttoptr (i64 {kernel.address} to ptr)({arguments})")
        self.lines.append(f"  br i1 {long}, label %{back}, label %{on}")
        self.block(back)
        self.call("", "PyEval_RestoreThread", f"ptr {thread}")
        self.lines.append(f"  br label %{on}")
        self.block(on)
        self.require(self.any([self.new(f"icmp eq i32 {status}, {code}") for code in kernel.codes]))
        numbers = []
        for k, (_, kind) in enumerate(kernel.numbers):
            place = self.new(f"getelementptr {kernel.returns}, ptr {result}, i32 0, i32 {k}")
            numbers.append(self.load(kind, place))
        return numbers

    def long(self) -> str:
        """Does the kernel take so long that other threads are let run?

        To let them costs as much as a gradient of some numbers. What a thread waits in the other case is nothing
        beside the milliseconds between Python's own switches.
        """
        if self.form.work is None:
            return "true"
        work = self.integer(ast.parse(self.form.work, mode="eval").body)
        found = self.any([self.new(f"icmp sge i64 {work}, {MANY}"), *self.overflows])
        self.overflows = []
        return found

    # -- results ---------------------------------------------------------------------------------------

    def results(self, numbers: list[str]) -> None:
        arrays = dict(zip(self.form.arrays, self.arrays))
        rest = iter(zip(numbers, self.kernel.numbers))
        given = ("",) * len(numbers) if self.form.results is None else self.form.results
        self.program: list[Any] = [arrays[r] if r in arrays else next(rest) for r in given]
        self.left = list(self.arrays)  # arrays that nobody holds yet
        self.fills: list[tuple[str, str, int, str]] = []
        form = self.form.form or f"({''.join(f'r{k}, ' for k in range(len(given)))})"
        result = self.part(ast.parse(form, mode="eval").body)
        for kind, holder, k, item in self.fills:  # from here on nothing can go wrong
            self.call("i32", f"Py{kind}_SetItem", f"ptr {holder}", f"i64 {k}", f"ptr {item}")
        for array in self.left:
            self.call("", "Py_DecRef", f"ptr {array}")
        for obj in self.kept:
            self.call("", "Py_DecRef", f"ptr {obj}")
        self.lines.append(f"  ret ptr {result}")

    def part(self, e: ast.expr, inside: bool = False) -> str:
        """A new reference to a part of the user's result; `inside` of a dict."""
        match e:
            case ast.Tuple(elements) | ast.List(elements):
                kind = "Tuple" if isinstance(e, ast.Tuple) else "List"
                items = [self.part(item, inside) for item in elements]
                made = self.call("ptr", f"Py{kind}_New", f"i64 {len(items)}")
                self.object(made)
                if not inside:  # it takes the references, when nothing can go wrong any more
                    self.fills += [(kind, made, k, item) for k, item in enumerate(items)]
                    return made
                for k, item in enumerate(items):  # a tuple that a dict holds cannot be filled
                    self.call("", "Py_IncRef", f"ptr {item}")
                    self.call("i32", f"Py{kind}_SetItem", f"ptr {made}", f"i64 {k}", f"ptr {item}")
                self.kept += items
                return made
            case ast.Dict(keys, values) if all(isinstance(key, ast.Constant) for key in keys):
                items = [self.part(value, True) for value in values]
                made = self.call("ptr", "PyDict_New")
                self.object(made)
                for key, item in zip(keys, items):
                    name = key.value  # type: ignore[union-attr]
                    self.kept_objects.append(name)
                    failed = self.call("i32", "PyDict_SetItem", f"ptr {made}", f"ptr {object_at(name)}", f"ptr {item}")
                    self.require(self.new(f"icmp eq i32 {failed}, 0"))
                self.kept += items
                return made
            case ast.Constant(None):
                self.call("", "Py_IncRef", f"ptr {object_at(None)}")
                self.made.append(f"{object_at(None)}")
                return object_at(None)
            case ast.Name(name) if name[:1] == "r" and name[1:].isdigit():
                found = self.program[int(name[1:])]
                if not isinstance(found, str):
                    return self.boxed(*found)
                if found in self.left:
                    self.left.remove(found)
                else:
                    self.call("", "Py_IncRef", f"ptr {found}")
                    self.made.append(found)
                return found
            case ast.Call(ast.Name(kind), [ast.Name(name)], []) if name[:1] == "r" and name[1:].isdigit():
                found = self.program[int(name[1:])]
                if not isinstance(found, str):
                    value, (dtype, llvm) = found
                    if kind == "float" or self.form.scope.get(kind) is float:
                        if DTYPES[dtype].is_float:
                            return self.boxed(value, (dtype, llvm))
                    elif self.form.scope.get(kind) in SCALARS:
                        return self.scalar(value, dtype, llvm, SCALARS[self.form.scope[kind]])
        raise Outside(ast.dump(e))

    def boxed(self, value: str, kind: tuple[str, str]) -> str:
        """A number of Python."""
        dtype, llvm = kind
        if dtype == "f32":
            value, llvm = self.new(f"fpext float {value} to double"), "double"
        elif dtype == "bool":
            value = self.new(f"trunc i8 {value} to i1") if llvm == "i8" else value
            value, llvm = self.new(f"zext i1 {value} to {_LONG}"), _LONG
        made = self.call("ptr", BOXED[dtype], f"{llvm} {value}")
        self.object(made)
        return made

    def scalar(self, value: str, dtype: str, llvm: str, wanted: str) -> str:
        """A number of NumPy."""
        if (dtype, wanted) == ("f64", "f32"):
            value, llvm = self.new(f"fptrunc double {value} to float"), "float"
        elif dtype != wanted:
            raise Outside(f"{dtype} as {wanted}")
        if dtype == "bool":
            value = self.new(f"trunc i8 {value} to i1") if llvm == "i8" else value
            value, llvm = self.new(f"zext i1 {value} to i8"), "i8"
        place = self.room("i64", 1)
        self.lines.append(f"  store {llvm} {value}, ptr {place}")
        descr = f"ptr {object_at(DTYPES[wanted].numpy)}"
        made = self.call("ptr", "PyArray_Scalar", f"ptr {place}", descr, "ptr null")
        self.object(made)
        return made

    def ends(self) -> None:
        """Where calls go that do not fit: what was made is dropped, with whatever error there was."""
        for k in range(len(self.made), 0, -1):
            self.block(f"drop{k}")
            self.call("", "Py_DecRef", f"ptr {self.made[k - 1]}")
            self.lines.append(f"  br label %drop{k - 1}")
        clear, away, miss = self.label(), self.label(), self.label()
        self.block("drop0")
        error = self.call("ptr", "PyErr_Occurred")
        self.lines.append(f"  br i1 {self.there(error)}, label %{clear}, label %{miss}")
        self.block(clear)
        usual = self.call("i32", "PyErr_ExceptionMatches", f"ptr {object_at(MISSES)}")
        usual = self.new(f"icmp ne i32 {usual}, 0")
        self.lines.append(f"  br i1 {usual}, label %{away}, label %{away}.raise")
        self.block(f"{away}.raise")
        self.lines.append("  ret ptr null")
        self.block(away)
        self.call("", "PyErr_Clear")
        self.lines.append(f"  br label %{miss}")
        self.block(miss)
        self.call("", "Py_IncRef", f"ptr {self.miss}")
        self.lines.append(f"  ret ptr {self.miss}")


def _dtype_of(given: Sequence[ast.expr]) -> str:
    match given:
        case []:
            return "f64"
        case [ast.Attribute(ast.Name("np"), name)]:
            found = SCALARS.get(getattr(np, name, None))  # type: ignore[arg-type]
            if found:
                return found
    raise Outside("a dtype")
