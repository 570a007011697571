"""From a program of loops over scalars to Python text: delete phis, inline temporaries, write lines.

Decides nothing about memory: every `at_set` is an assignment to an element. Runs after scalarise and storage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...ir import walk
from ...ir.errors import IRError
from ...ir.ops import arith
from ...ir.ops.array import full_slice, transpose
from ...ir.primitive import Kind
from ...ir.program import (
    Atom,
    Check,
    For,
    If,
    Index,
    Let,
    Lit,
    Node,
    Phi,
    Program,
    Slice,
    Span,
    Var,
    While,
    atoms,
)
from ...ir.text import page
from ...ir.text.page import block_headings, shortened
from ...ir.types import Dim
from . import spelling
from .inlining import is_element, is_temporary, loose_names, uses_of
from .out_of_ssa import stem, variables
from .spelling import ATOM, Text

WIDTH = 88
"""A line that would be longer than this keeps its temporaries."""
ERRORS = (
    "ArithmeticError", "AssertionError", "AttributeError", "FloatingPointError", "IndexError", "KeyError",
    "LookupError", "NotImplementedError", "OverflowError", "RuntimeError", "TypeError", "UnboundLocalError",
    "ValueError", "ZeroDivisionError",
)  # fmt: skip


def emit(program: Program, *, comments: bool = True) -> str:
    """The source of a function that computes the program.

    >>> from ...ir.text import parse
    >>> print(emit(parse('''
    ... def f(x: f64, n: i64) -> f64:
    ...     for i in range(n):
    ...         s: f64 = phi(x, s1)
    ...         t: f64 = sin(s)
    ...         s1: f64 = s * t
    ...     s_end: f64 = last(s)
    ...     return s_end''')))
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def f(x, n):
        for i in range(n):
            x = x * np.sin(x)
        return (x,)
    <BLANKLINE>
    """
    return "\n".join(line.text for line in emit_lines(program, comments=comments)) + "\n"


def emit_lines(program: Program, *, comments: bool = True) -> list[Written]:
    """The lines of `emit`, each with what it comes from."""
    return Emitter(program, comments).source()


@dataclass(frozen=True, slots=True)
class Part:
    """A name of the program that a line computes, and the user's line behind it."""

    name: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class Written:
    """A line of generated text: what went into it, inlined temporaries too. A comment has the span it shows."""

    text: str
    parts: tuple[Part, ...] = ()


def with_imports(lines: Sequence[Written]) -> list[Written]:
    """The lines below the imports that they need."""
    body = "\n".join(line.text for line in lines)
    imports = [
        line
        for word, line in (
            (r"\bmath\.", "import math\n"),
            (r"\bnp\.", "import numpy as np\n"),
            (r"\bsupport\.", "\nfrom pullback.runtime import support\n"),
        )
        if re.search(word, body)
    ]
    above = [line for text in imports for line in text.splitlines()]
    return [*map(Written, [*above, *(["", ""] if above else [])]), *lines]


@dataclass(slots=True)
class _Waiting:
    """A temporary that is not written yet: it becomes part of the expression that uses it."""

    text: Text
    variables: frozenset[str]  # Python variables it reads
    memory: bool  # does it read elements of arrays?
    span: Span | None
    parts: tuple[Part, ...]
    fixed: bool = False  # index arithmetic that is written wherever it is used


class Emitter:
    def __init__(self, program: Program, comments: bool):
        self.program = program
        self.comments = comments
        self.variable = variables(program)
        self.lines: list[Written] = []
        self.parts: list[Part] = []  # of the line that is being made
        self.depth = 1
        self.shown: str | None = None
        self.headings = block_headings(program)
        self.waiting: dict[str, _Waiting] = {}
        self.sums: set[str] = set()  # temporaries that are sums
        self.uses, self.loose = uses_of(program), loose_names(program)
        counts: dict[str, int] = {}
        for spelled in self.variable.values():
            counts[spelled] = counts.get(spelled, 0) + 1
        self.constant = {n for n, spelled in self.variable.items() if counts[spelled] == 1}
        self.constant |= {n.index.name for n in walk.walk(program.body) if isinstance(n, For)}

    def source(self) -> list[Written]:
        return with_imports(self.definition())

    def definition(self) -> list[Written]:
        program = self.program
        self.region(program.body)
        results = [self.text(r).text for r in program.results]
        self.line(f"return ({', '.join(results)}{',' if len(results) == 1 else ''})")
        head = f"def {program.name}({', '.join(self.variable[p.name] for p in program.params)}):"
        return [Written(head, tuple(Part(p.name, None) for p in program.params)), *self.lines]

    # -- lines -----------------------------------------------------------------------------------------

    def line(self, text: str, span: Span | None = None, parts: Iterable[Part] | None = None) -> None:
        """Write a line; its parts are what went into it since the last one, or these."""
        parts = tuple(self.taken() if parts is None else parts)
        pad = "    " * self.depth
        if self.comments and span is not None and span.text and span.text != self.shown:
            if span.text.strip() != text:  # the user's line itself needs no comment
                comment = shortened(f"# {span.text.strip()}", page.WIDTH - len(pad))
                self.lines.append(Written(pad + comment, (Part("", span),)))
            self.shown = span.text
        if span is not None and all(part.span is None for part in parts):
            parts = (*parts, Part("", span))
        self.lines.append(Written(pad + text, parts))

    def taken(self, *names: Var, span: Span | None = None) -> list[Part]:
        """What went into the expressions made since the last line, and these names."""
        parts = [*self.parts, *(Part(v.name, span) for v in names)]
        self.parts = []
        return parts

    def write(self, text: str, let: Let, span: Span | None, store: bool = False) -> None:
        """A line that changes a variable or an array, after the temporaries that still read the old value."""
        variable = self.variable[let.var.name]
        parts = self.taken(let.var, span=let.span)
        self.settle(lambda w: variable in w.variables or (store and w.memory))
        self.line(text, span, parts)

    def settle(self, which: Callable[[_Waiting], bool] | None = None) -> None:
        """Write the temporaries that are waiting, all or those that `which` says."""
        for name, waiting in list(self.waiting.items()):
            if not waiting.fixed and (which is None or which(waiting)):
                del self.waiting[name]
                self.line(f"{self.variable[name]} = {waiting.text.text}", waiting.span, waiting.parts)

    # -- expressions -----------------------------------------------------------------------------------

    def text(self, atom: Atom) -> Text:
        if isinstance(atom, Lit):
            return spelling.literal(atom)
        if atom.name in self.waiting:
            waiting = self.waiting[atom.name]
            self.parts += waiting.parts
            if not waiting.fixed:
                del self.waiting[atom.name]
            return waiting.text
        return Text(self.variable[atom.name])

    def reads(self, operands: Iterable[object]) -> tuple[frozenset[str], bool]:
        """The variables that the operands read once written out, and whether they read memory."""
        found: set[str] = set()
        memory = False
        for operand in operands:
            for atom in atoms(operand):
                if isinstance(atom, Var) and atom.name in self.waiting:
                    found |= self.waiting[atom.name].variables
                    memory |= self.waiting[atom.name].memory
                elif isinstance(atom, Var):
                    found.add(self.variable[atom.name])
        return frozenset(found), memory

    def subscript(self, index: Index) -> str:
        """How a subscript is spelled; positions are never negative."""
        return ", ".join(self.subscript_item(item) for item in index.items)

    def part(self, array: str, index: Index, dims: Sequence[Dim]) -> str:
        """A part of an array: whole axes at the end are not spelled."""
        items = list(index.items)
        while items and items[-1] == full_slice(dims[len(items) - 1]):
            items.pop()
        texts = [":" if i == full_slice(d) else self.subscript_item(i) for i, d in zip(items, dims)]
        return f"{array}[{', '.join(texts)}]" if items else array

    def product(self, let: Let) -> str:
        """A matrix product, or a call, into a part of an array."""
        base, index, *rest = let.args
        part = self.part(self.variable[base.name], index, base.type.dims)  # type: ignore[union-attr, arg-type]
        if isinstance(rest[0], str):
            operands = [self.text(a).text for a in rest[1]]  # type: ignore[union-attr, arg-type]
            return f"support.{rest[0]}({', '.join([*operands, part])})"
        alpha, a, b = rest
        operands = [self.text(a).text, self.text(b).text, part]  # type: ignore[arg-type]
        if not (isinstance(alpha, Lit) and float(alpha.text) == 1.0):
            operands.append(self.text(alpha).text)  # type: ignore[arg-type]
        return f"{spelling.template(let.op)}({', '.join(operands)})"

    def subscript_item(self, item: Atom | Slice | None) -> str:
        if item is None:
            return "None"
        if not isinstance(item, Slice):
            return self.text(item).text
        start = self.text(item.start).text
        stop = "" if item.stop is None else self.text(item.stop).text
        start = "" if start == "0" and item.step > 0 else start
        return f"{start}:{stop}" + (f":{item.step}" if item.step != 1 else "")

    def several(self, operands: tuple[Atom, ...]) -> Text:
        return Text(f"({', '.join(self.text(a).text for a in operands)}{',' if len(operands) == 1 else ''})")

    def expression(self, let: Let) -> Text:
        op, args = let.op, let.args
        match op.name:
            case "getitem":
                base, index = args
                array = self.text(base).within(ATOM)  # type: ignore[arg-type]
                assert isinstance(index, Index)
                return Text(self.part(array, index, base.type.dims))  # type: ignore[union-attr]
            case "empty" | "zeros":
                shape, kind = args
                sizes = [self.text(s).text for s in shape]  # type: ignore[union-attr, arg-type]
                size = sizes[0] if len(sizes) == 1 else f"({', '.join(sizes)})"
                return Text(f"np.{op.name}({size}{'' if kind == 'f64' else ', ' + spelling.NUMPY[str(kind)]})")
            case "again":
                return self.text(args[0])  # type: ignore[arg-type]
            case "copy":
                return Text(f"{self.text(args[0]).within(ATOM)}.copy()")  # type: ignore[arg-type]
            case "transpose" if args[1] == (1, 0):
                return Text(f"{self.text(args[0]).within(ATOM)}.T")  # type: ignore[arg-type]
            case "reshape":
                sizes = [self.text(s).text for s in args[1]]  # type: ignore[union-attr, arg-type]
                shape = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
                return Text(f"{self.text(args[0]).within(ATOM)}.reshape({shape})")  # type: ignore[arg-type]
            case "nonzero":
                return Text(f"np.nonzero({self.text(args[0]).text})[0]")  # type: ignore[arg-type]
        if spelling.template(op) is None or (let.var.type.rank and op.elementwise):
            raise IRError(f"{op.name} on arrays cannot be emitted: scalarise has not been run")
        operands = tuple(
            Text(repr(a)) if k in op.static else self.several(a) if isinstance(a, tuple) else self.text(a)  # type: ignore[arg-type]
            for k, a in enumerate(args)
        )
        if spelling.may_raise(op) and all(isinstance(a, Lit) or a.name in self.loose for a in args):  # type: ignore[union-attr]
            # Python's own numbers raise where NumPy's give inf or nan.
            operands = (Text(f"{spelling.NUMPY[let.var.type.dtype]}({operands[0].text})"), *operands[1:])
        return spelling.operation(op, operands, let.var.type.dtype)

    # -- nodes -----------------------------------------------------------------------------------------

    def region(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            if self.comments and id(node) in self.headings:
                self.lines += [Written(text) for text in ("", f"    {self.headings[id(node)]}")]
                self.shown = None
            match node:
                case Let():
                    self.let(node)
                case Check(cond, message, span):
                    surely = isinstance(cond, Lit) and cond.text == "False"
                    text = Text("True") if surely else spelling.call("not {0}", self.text(cond))
                    self.line(f"if {text.text}:", span)
                    own = [Part("", span)]
                    kind, _, rest = message.partition(": ")
                    where = "np.linalg." if hasattr(np.linalg, kind) else ""
                    error = f"{where}{kind}({rest!r})" if where or kind in ERRORS else f"ValueError({message!r})"
                    self.line(f"    raise {error}", parts=own)
                case For():
                    self.loop(node)
                case While():
                    self.repeat(node)
                case If():
                    self.branch(node)
        self.settle()

    def let(self, let: Let) -> None:
        name, op = let.var.name, let.op.name
        if let.op.kind is Kind.WRITE:
            base, index, value = let.args
            sign = "+=" if op == "at_add" else "="
            variable = self.variable[name]
            position = self.subscript(index)  # type: ignore[arg-type]
            stored = self.text(value).text  # type: ignore[arg-type]
            element = f"{variable}[{position}]"
            if isinstance(value, Var) and value.name in self.sums and stored.startswith(f"{element} + "):
                term = stored.removeprefix(f"{element} + ")
                if not re.search(r" [-+] | if ", term):
                    sign, stored = "+=", term
            self.write(f"{element} {sign} {stored}", let, let.span, store=True)
            return
        if let.op.kind is Kind.UPDATE:
            self.write(self.product(let), let, let.span, store=True)
            return
        reads, memory = self.reads(let.args)
        memory |= let.op.kind is Kind.KERNEL or op == "getitem" and not let.var.type.rank
        if self.uses[name].count == 0 and not let.var.type.rank:
            return
        # What stands at the head of a loop or a function is for the lines below: without a comment of its own.
        at_head = let.op.kind in (Kind.ALLOCATE, Kind.SIZE)
        text = self.expression(let)
        if self.may_wait(let, text):
            if op == "add":
                self.sums.add(name)
            parts = tuple(self.taken(let.var, span=let.span))
            self.waiting[name] = _Waiting(text, reads, memory, let.span, parts)
            return
        if not memory and self.is_position(let, text):
            parts = tuple(self.taken(let.var, span=let.span))
            self.waiting[name] = _Waiting(text, reads, memory, let.span, parts, fixed=True)
            return
        variable = self.variable[name]
        if text.text != variable:
            self.write(f"{variable} = {text.text}", let, None if at_head else let.span)
        else:
            self.parts = []

    def may_wait(self, let: Let, text: Text) -> bool:
        """May a temporary become part of the one expression that uses it?"""
        name = let.var.name
        use = self.uses[name]
        ours = is_temporary(name) or is_element(let) or stem(name) == use.stored
        once = use.count == 1 and use.region == use.home
        array = let.var.type.rank and let.op is not transpose and let.op.kind is not Kind.READ
        return bool(ours and once and not array and len(text.text) <= WIDTH // 2)

    def is_position(self, let: Let, text: Text) -> bool:
        """Index arithmetic on names that never change reads best where it is used, however often.

        What reads an array is none: its element may have been written to by then.
        """
        fixed = all(isinstance(a, Lit) or a.name in self.constant for a in atoms(let.args))
        return (
            is_temporary(let.var.name) and let.var.type.dtype == "i64" and let.op in (arith.add, arith.sub)
            and self.uses[let.var.name].subscripts_only and fixed and len(text.text) < 12
        )  # fmt: skip

    def assign(self, pairs: Sequence[tuple[Var, Atom]], span: Span | None) -> None:
        """Bind names to values at once."""
        moves = []
        for var, atom in pairs:
            text = self.text(atom).text
            parts = self.taken(var, span=span)
            if text != self.variable[var.name]:
                moves.append((self.variable[var.name], text, parts))
        if not moves:
            return
        targets = {m[0] for m in moves}
        self.settle(lambda w: bool(w.variables & targets))
        entangled = any(a[0] in re.findall(r"\w+", b[1]) for k, a in enumerate(moves) for b in moves[k + 1 :])
        if entangled:
            every = [part for m in moves for part in m[2]]
            self.line(f"{', '.join(m[0] for m in moves)} = {', '.join(m[1] for m in moves)}", span, every)
        else:
            for variable, text, parts in moves:
                self.line(f"{variable} = {text}", span, parts)

    def block(self, nodes: Sequence[Node], ends: Sequence[tuple[Var, Atom]], span: Span | None) -> None:
        self.depth += 1
        start = len(self.lines)
        self.region(nodes)
        self.assign(ends, None)
        if len(self.lines) == start:
            self.line("pass")
        self.depth -= 1

    def loop(self, node: For) -> None:
        start, stop = self.text(node.start), self.text(node.stop)
        parts = self.taken(node.index, span=node.span)
        self.settle()
        self.assign([(p.var, p.first) for p in node.phis], node.span)
        zero = start.text == "0"
        if node.reverse:
            first = spelling.call("{0} - {1}", stop, Text("1")).text
            if stop.text.endswith(" + 1") and stop.precedence == spelling.SUM:
                first = stop.text.removesuffix(" + 1")
            last = spelling.call("{0} - {1}", start, Text("1")).text
            if isinstance(node.start, Lit):
                last = str(int(node.start.text) - 1)
            bounds = f"{first}, {last}, -1"
        else:
            bounds = stop.text if zero else f"{start.text}, {stop.text}"
        self.line(f"for {self.variable[node.index.name]} in range({bounds}):", node.span, parts)
        self.block(node.body, _seconds(node.phis), node.span)
        self.assign([(e.var, e.phi) for e in node.exits], None)

    def repeat(self, node: While) -> None:
        self.settle()
        self.assign([(p.var, p.first) for p in node.phis], node.span)
        head = len(self.lines)
        self.depth += 1
        for inner in node.test:
            match inner:
                case Let():
                    self.let(inner)
                case _:
                    self.region([inner])
        pending = len(self.waiting) > (isinstance(node.cond, Var) and node.cond.name in self.waiting)
        if pending or len(self.lines) > head:
            if isinstance(node.cond, Var) and node.cond.name in self.waiting:
                cond = self.text(node.cond)
                parts = self.taken()
                self.settle()
            else:
                self.settle()
                cond = self.text(node.cond)
                parts = self.taken()
            own = [Part("", node.span)]
            self.line(f"if not {cond.within(5)}:", parts=[*parts, *own])
            self.line("    break", parts=own)
            self.lines.insert(head, Written("    " * (self.depth - 1) + "while True:", tuple(own)))
            self.depth -= 1
        else:
            self.depth -= 1
            self.line(f"while {self.text(node.cond).text}:", node.span)
        self.block(node.body, _seconds(node.phis), node.span)
        self.assign([(e.var, e.phi) for e in node.exits], None)

    def branch(self, node: If) -> None:
        cond = self.text(node.cond)
        parts = [*self.taken(), Part("", node.span)]
        self.settle()
        firsts = [(p.var, p.first) for p in node.phis]
        then_moves = self.moves(node.then, firsts)
        seconds = _seconds(node.phis)
        else_moves = self.moves(node.orelse, seconds)
        if not then_moves and else_moves:
            self.line(f"if not {cond.within(5)}:", node.span, parts)
            self.block(node.orelse, seconds, node.span)
            return
        self.line(f"if {cond.text}:", node.span, parts)
        self.block(node.then, firsts, node.span)
        if else_moves:
            self.line("else:")
            self.block(node.orelse, seconds, node.span)

    def moves(self, nodes: Sequence[Node], ends: Sequence[tuple[Var, Atom]]) -> bool:
        """Does an arm do anything?"""
        return bool(nodes) or any(
            isinstance(atom, Lit) or self.variable[atom.name] != self.variable[var.name] for var, atom in ends
        )


def _seconds(phis: Sequence[Phi]) -> list[tuple[Var, Atom]]:
    return [(p.var, p.second) for p in phis]
