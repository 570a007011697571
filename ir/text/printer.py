"""The printed form of programs: a strict subset of Python.

    def f(x: f64[n], w: f64) -> (f64, f64[n]):    one `def`, types `dtype[sizes]`
        n: i64 = dim(x, 0)                        one operation on names and numbers per line
        assert c, "IndexError: ..."               a Check
        for i in reversed(range(1, n)):           or `range(n)`
            s: f64 = phi(0.0, s1)                 phis first: value on entry, value after an iteration
            ...
        s_end: f64 = last(s)                      right behind the loop: a phi's value when it has ended
        while True:                               phis, then the test, then `if not c: break`, then the body
            ...
        if c:                                     phis behind it: value of the first arm, of the second
            ...
        t: (f64, i64) = g(x, w)                   a Call of another program; of one result without the tuple
        y: f64 = t[0]
        k: i64 = t[1]
        return s_end, x

    @rule(2, 1, vjp=(g_fwd, g_bwd), jvp=g_jvp)    the programs that are called follow, with their rules; the numbers say
    def g(x: f64[n], w: f64) -> (f64, i64):       how many parameters the rule is for, and how many results

`show` writes it, `parse` (parse.py) reads it, and `parse(show(p)) == p`. How an operation prints is the
`text` template of its declaration; nothing here knows a single operation.

A float literal has the dtype of the floats beside it; where the plain form would not be read back as it was,
it says more: a literal of another type prints as `f32(1.0)`, a slice whose size cannot be inferred as
`a:b:size(k)`.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator
from typing import Any

from ..program import (
    Call,
    Check,
    Exit,
    For,
    Function,
    If,
    Index,
    Let,
    Lit,
    Node,
    Phi,
    Program,
    Slice,
    Var,
    While,
)
from ..sizes import Sizes
from ..types import BOOL, I64, Dim, Type
from .notation import PLACEHOLDER, context_dtype, full, literal_type, slice_sizes, template
from .page import WIDTH, Line, page
from .parse import parse, templates

__all__ = ["Line", "lines", "operation", "parse", "show"]


def show(program: Program, spans: bool = False) -> str:
    """The program as text; with `spans`, the user's source lines stand beside it as comments, see page.py.

    >>> print(show(parse('''
    ... def f(x: f64[n]) -> f64:
    ...     n: i64 = dim(x, 0)
    ...     for i in range(n):
    ...         s: f64 = phi(0.0, s1)
    ...         a: f64 = x[i]
    ...         s1: f64 = s + a
    ...     s_end: f64 = last(s)
    ...     return s_end''')))
    def f(x: f64[n]) -> f64:
        n: i64 = dim(x, 0)
        for i in range(n):
            s: f64 = phi(0.0, s1)
            a: f64 = x[i]
            s1: f64 = s + a
        s_end: f64 = last(s)
        return s_end
    """
    written = lines(program)
    return page(program, written) if spans else "\n".join(line.text for line in written)


def lines(program: Program) -> list[Line]:
    """The printed lines with their nodes, for those who annotate them."""
    called = _Called()
    result = _definition(program, called.taken(program.name), called)
    return [*result, *called.definitions()]


def _definition(program: Program, name: str, called: _Called) -> list[Line]:
    sizes = _Scope(called)
    for param in program.params:
        sizes.bind(param)
    result = list(_signature(program, name))
    result += _body(program.body, "    ", sizes)
    result.append(Line(f"    return {_results(program)}", program))
    return result


class _Called:
    """The functions that a text calls, and how they are named in it: no two alike, none as an operation is."""

    def __init__(self, neutral: bool = False) -> None:
        self.neutral = neutral
        self.names: dict[int, str] = {}
        self.waiting: list[Function] = []
        self.used: set[str] = set()

    def taken(self, name: str) -> str:
        """The name, with a number if something is called so."""
        stem, k = re.sub(r"_\d+$", "", name), 0
        if self.neutral:
            name = stem = "function"
        while name in self.used or (self.names and f"{name}()" in templates()):
            k += 1
            name = f"{stem}_{k}"
        self.used.add(name)
        return name

    def name(self, function: Function) -> str:
        if id(function) not in self.names:
            self.names[id(function)] = ""
            self.names[id(function)] = self.taken(function.name)
            self.waiting.append(function)
        return self.names[id(function)]

    def definitions(self) -> Iterator[Line]:
        while self.waiting:
            function = self.waiting.pop(0)
            name, rule = self.name(function), function.rule
            halves: dict[str, Program] = {}
            if rule is not None:
                given: list[str] = []
                if rule.forward is not None and rule.backward is not None:
                    both = self.taken(f"{name}_fwd"), self.taken(f"{name}_bwd")
                    halves |= zip(both, (rule.forward, rule.backward))
                    given.append(f"vjp=({', '.join(both)})")
                if rule.push is not None:
                    halves[self.taken(f"{name}_jvp")] = rule.push
                    given.append(f"jvp={list(halves)[-1]}")
                if rule.again:
                    given.append("again=True")
                yield from (Line(""), Line(f"@rule({', '.join([str(function.count), str(function.own), *given])})"))
            else:
                yield Line("")
            yield from _definition(function.program, name, self)
            for half, program in halves.items():
                yield from (Line(""), *_definition(program, half, self))


class _Scope(Sizes):
    """What is known of sizes where a line is printed, and of the functions of the text."""

    def __init__(self, called: _Called) -> None:
        super().__init__()
        self.called = called


def text_of(function: Function) -> str:
    """The definitions of a function and of what it calls, under names that say nothing."""
    called = _Called(neutral=True)
    called.name(function)
    return "\n".join(line.text for line in called.definitions())


def _signature(program: Program, name: str) -> Iterator[Line]:
    params = [f"{p.name}: {p.type}" for p in program.params]
    types = ", ".join(str(r.type) for r in program.results)
    arrow = types if len(program.results) == 1 else f"({types})"
    line = f"def {name}({', '.join(params)}) -> {arrow}:"
    if not any(program.origins) and len(line) <= WIDTH:
        yield Line(line, program)
        return
    yield Line(f"def {name}(", program)
    for k, param in enumerate(params):
        origin = program.origins[k] if k < len(program.origins) else ""
        yield Line(f"    {param},  # {origin}" if origin else f"    {param},", program)
    yield Line(f") -> {arrow}:", program)


def _results(program: Program) -> str:
    return ", ".join(_operand(result, result.type.dtype) for result in program.results) or "()"


def _body(nodes: tuple[Node, ...], pad: str, sizes: _Scope) -> Iterator[Line]:
    for node in nodes:
        yield from _node(node, pad, sizes)


def _region(nodes: tuple[Node, ...], pad: str, sizes: _Scope) -> Iterator[Line]:
    with sizes.region():
        yield from _body(nodes, pad, sizes)
    if not nodes:
        yield Line(f"{pad}pass")


def _node(node: Node, pad: str, sizes: _Scope) -> Iterator[Line]:
    inner = pad + "    "
    match node:
        case Let(var):
            yield Line(f"{pad}{var.name}: {var.type} = {operation(node, sizes)}", node, node.span)
            sizes.let(node)
        case Check(cond, message):
            quoted = json.dumps(message, ensure_ascii=False)
            yield Line(f"{pad}assert {_plain(cond, BOOL)}, {quoted}", node, node.span)
        case Call():
            yield from _call(node, pad, sizes)
        case For(index, start, stop, reverse, phis, body, exits):
            zero = start == Lit("0", I64)
            bounds = _plain(stop, I64) if zero else f"{_plain(start, I64)}, {_plain(stop, I64)}"
            trips = f"reversed(range({bounds}))" if reverse else f"range({bounds})"
            yield Line(f"{pad}for {index.name} in {trips}:", node, node.span)
            with sizes.region():
                sizes.bind(index)
                yield from _phis(phis, inner, sizes)
                yield from _body(body, inner, sizes)
            if not phis and not body:
                yield Line(f"{inner}pass")
            yield from _exits(exits, pad, sizes)
        case While(phis, test, cond, body, exits):
            yield Line(f"{pad}while True:", node, node.span)
            with sizes.region():
                yield from _phis(phis, inner, sizes)
                yield from _body(test, inner, sizes)
                yield Line(f"{inner}if not {_plain(cond, BOOL)}: break", node)
                yield from _body(body, inner, sizes)
            yield from _exits(exits, pad, sizes)
        case If(cond, then, orelse, phis):
            yield Line(f"{pad}if {_plain(cond, BOOL)}:", node, node.span)
            yield from _region(then, inner, sizes)
            if orelse:
                yield Line(f"{pad}else:")
                yield from _region(orelse, inner, sizes)
            yield from _phis(phis, pad, sizes)


def _call(node: Call, pad: str, sizes: _Scope) -> Iterator[Line]:
    """Several results are parts of a tuple, which has a name in the text alone; sizes stand before what they are of."""
    name = sizes.called.name(node.function)
    params = node.function.program.params
    args = ", ".join(_plain(arg, param.type) for arg, param in zip(node.args, params))
    if len(node.vars) == 1:
        yield Line(f"{pad}{node.vars[0].name}: {node.vars[0].type} = {name}({args})", node, node.span)
    else:
        types = ", ".join(str(v.type) for v in node.vars)
        yield Line(f"{pad}{name}_: ({types}) = {name}({args})", node, node.span)
        for k, var in sorted(enumerate(node.vars), key=lambda entry: entry[1].type.rank > 0):
            yield Line(f"{pad}{var.name}: {var.type} = {name}_[{k}]", node, node.span)
    for var in node.vars:
        sizes.bind(var)


def _phis(phis: tuple[Phi, ...], pad: str, sizes: _Scope) -> Iterator[Line]:
    for phi in phis:
        type = phi.var.type
        operands = f"{_plain(phi.first, type)}, {_plain(phi.second, type)}"
        yield Line(f"{pad}{phi.var.name}: {type} = phi({operands})", phi)
        sizes.bind(phi.var)


def _exits(exits: tuple[Exit, ...], pad: str, sizes: _Scope) -> Iterator[Line]:
    for exit in exits:
        yield Line(f"{pad}{exit.var.name}: {exit.var.type} = last({exit.phi.name})", exit)
        sizes.bind(exit.var)


# -- operations ------------------------------------------------------------------------------------


def operation(let: Let, sizes: Sizes | None = None) -> str:
    """The right side of a line: the operation's template with its operands."""
    op, args = let.op, let.args
    sizes = sizes or Sizes()
    dtype = context_dtype(tuple(a for k, a in enumerate(args) if k not in op.static), let.var.type)
    tight = template(op).tight

    def spell(match: re.Match[str]) -> str:
        k = int(match[1])
        operand = args[k] if k < len(args) else None
        if k in op.static:
            return static_text(operand)
        if isinstance(operand, Index):
            return _subscript(operand, args, k, let.var.type, sizes)
        text = _operand(operand, dtype)
        return f"({text})" if k in tight and text.startswith("-") else text

    return PLACEHOLDER.sub(spell, op.text)


def literal_text(lit: Lit, dtype: str) -> str:
    """The literal where a float literal would be read as `dtype`."""
    return lit.text if literal_type(lit.text, dtype) == lit.type else f"{lit.type.dtype}({lit.text})"


def _plain(atom: Any, type: Type) -> str:
    return _operand(atom, type.dtype)


def _operand(operand: Any, dtype: str) -> str:
    match operand:
        case Var(name):
            return name
        case Lit():
            return literal_text(operand, dtype)
        case tuple():
            items = [_operand(item, dtype) for item in operand]
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return f"<{operand!r}>"  # not a program; printed all the same, so that the verifier can show it


def static_text(value: Any) -> str:
    """A plain Python value; a string that is a word stands without quotes."""
    if isinstance(value, tuple):
        return f"({', '.join(map(static_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, str):
        return value if value.isidentifier() and not keyword.iskeyword(value) else json.dumps(value)
    return repr(value)


def _subscript(index: Index, args: tuple[Any, ...], k: int, result: Type, sizes: Sizes) -> str:
    whole = args[k - 1].type if k and isinstance(args[k - 1], (Var, Lit)) else None
    known = slice_sizes(index, args, k, result, sizes)
    axes = list(whole.dims) if whole is not None else []
    items = []
    for position, item in enumerate(index.items):
        axis = axes.pop(0) if axes and item is not None else None
        if item is None:
            items.append("None")
        elif isinstance(item, Slice):
            items.append(_slice(item, axis, known[position]))
        else:
            items.append(_plain(item, I64))
    return ", ".join(items) or "()"


def _slice(item: Slice, axis: Dim | None, size: Dim | None) -> str:
    if axis is not None and item == full(axis):
        return ":"
    start = "" if item.start == Lit("0", I64) and item.step > 0 else _plain(item.start, I64)
    if item.stop is None:
        stop = "" if item.step < 0 else "None"
    else:
        stop = _plain(item.stop, I64)
    if item.size != size:
        step = "" if item.step == 1 else f", step={item.step}"
        return f"{start}:{stop}:size({item.size}{step})"
    return f"{start}:{stop}" + ("" if item.step == 1 else f":{item.step}")


# Programs print as their text; program.py itself knows nothing of printing.
Program.__str__ = show  # type: ignore[method-assign, assignment]
Function.text = text_of
