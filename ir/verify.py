"""`verify`: does a program keep the rules of the IR? Run after every pass in tests.

Names are bound once and used in scope, operations get what they take and give what is declared, sizes
are names of i64 values in scope. Sizes with different names are compared as affine forms, and by the
equalities that checks establish; where that does not decide, one named size is taken for another, but a
number is never taken for another number, nor `n` for `n - 1`.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from .affine import Affine
from .build import dim_atom, number
from .errors import IRError
from .program import (
    Atom,
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
    map_operand,
)
from .sizes import Sizes
from .text import lines
from .text.notation import PLACEHOLDER, WORDS
from .types import BOOL, DTYPES, I64, Dim, Type
from .walk import map_type


def verify(program: Program) -> Program:
    """The program itself; an IRError with the bad line marked if it breaks a rule.

    >>> from .text import parse
    >>> try:
    ...     verify(parse('''
    ... def f(x: f64[n]) -> f64:
    ...     n: i64 = dim(x, 0)
    ...     y: i64 = sin(x)
    ...     return 1.0'''))
    ... except IRError as error:
    ...     print(error)
    sin gives f64[n], declared is i64
      def f(x: f64[n]) -> f64:
          n: i64 = dim(x, 0)
          y: i64 = sin(x)
          ^^^^^^^^^^^^^^^
          return 1.0
    """
    _Verifier(program, set()).run()
    return program


class _Verifier:
    def __init__(self, program: Program, seen: set[int]):
        self.program = program
        self.seen = seen  # the functions that are looked at or have been, by identity
        self.here: Any = program  # what is looked at, for the message
        self.bound: set[str] = set()
        self.scope: dict[str, Type] = {}
        self.sizes = Sizes()
        self.equalities: dict[str, Affine] = {}  # comparisons `a == b`, as a - b

    def fail(self, why: str) -> NoReturn:
        raise IRError(f"{why}\n{marked(self.program, self.here)}")

    def run(self) -> None:
        program = self.program
        heads = {n.var.name for n in program.body if isinstance(n, Let) and n.op.name == "dim"}
        heads |= {p.name for p in program.params if p.type == I64}
        for param in program.params:
            self.type(param.type, check_dims=False)
            for dim in param.type.dims:
                if isinstance(dim, str) and dim not in heads:
                    self.fail(f"the size {dim} of parameter {param.name} is bound by no `dim` line")
            self.bind(param, check_dims=False)
        self.nodes(program.body)
        self.here = program
        for result in program.results:
            self.atom(result)

    # -- nodes -----------------------------------------------------------------------------------------

    def nodes(self, nodes: tuple[Node, ...]) -> None:
        for node in nodes:
            self.here = node
            match node:
                case Let():
                    self.let(node)
                case Check(cond, message):
                    self.scalar(cond, BOOL, "a check")
                    if ": " not in message:
                        self.fail("a check's message starts with the class of its error, or `guard`")
                    if isinstance(cond, Var) and cond.name in self.equalities:
                        self.sizes.assume_zero(self.equalities[cond.name])
                case Call():
                    self.call(node)
                case For(index, start, stop, _, phis, body, exits):
                    self.scalar(start, I64, "a range")
                    self.scalar(stop, I64, "a range")
                    self.firsts(phis)
                    with self.region():
                        self.bind(index)
                        if index.type != I64:
                            self.fail("a loop index is an i64")
                        self.heads(phis)
                        self.nodes(body)
                        self.seconds(phis)
                    self.exits(exits, phis)
                case While(phis, test, cond, body, exits):
                    self.firsts(phis)
                    with self.region():
                        self.heads(phis)
                        self.nodes(test)
                        self.here = node
                        self.scalar(cond, BOOL, "a loop")
                        self.nodes(body)
                        self.seconds(phis)
                    self.exits(exits, phis)
                case If(cond, then, orelse, phis):
                    self.scalar(cond, BOOL, "an if")
                    with self.region():
                        self.nodes(then)
                        self.firsts(phis)
                    with self.region():
                        self.nodes(orelse)
                        self.seconds(phis)
                    self.heads(phis)
                case _:
                    self.fail(f"{type(node).__name__} is not a node")

    def let(self, let: Let) -> None:
        op, declared = let.op, let.var.type
        if len(let.args) != len(set(PLACEHOLDER.findall(op.text))):
            self.fail(f"{op.name} does not take {len(let.args)} operands")
        operands = []
        for k, operand in enumerate(let.args):
            if k in op.static:
                self.static(operand)
                operands.append(operand)
            else:
                self.operand(operand)
                operands.append(self.types(operand, as_atoms=k in op.sizes))
        try:
            result = op.result(*operands)
        except IRError as error:
            self.fail(f"{op.name}: {error}")
        except (TypeError, AttributeError) as error:  # an operand of another kind than the rule looks at
            self.fail(f"{op.name} does not take such operands: {error}")
        if not self.fits(declared, result):
            self.fail(f"{op.name} gives {result}, declared is {declared}")
        # The size of a parameter is bound by its `dim` line, so there it stands for itself.
        self.bind(let.var)
        self.sizes.let(let)
        if op.name == "eq" and all(isinstance(a, (Var, Lit)) and a.type == I64 for a in let.args):
            a, b = (self.sizes.form(x) for x in let.args)  # type: ignore[arg-type]
            self.equalities[let.var.name] = a - b

    def call(self, call: Call) -> None:
        function = call.function
        self.function(function)
        params, results = function.program.params, function.program.results
        if len(params) != len(call.args) or len(results) != len(call.vars):
            self.fail(f"{function.name} takes {len(params)} values and gives {len(results)}")
        formal: dict[str, Dim] = {}
        for param, arg in zip(params, call.args):
            self.atom(arg)
            if param.type == I64:
                formal[param.name] = int(arg.text) if isinstance(arg, Lit) else arg.name
            if (param.type.dtype, param.type.rank) != (arg.type.dtype, arg.type.rank):
                self.fail(f"{function.name} takes {param.type} for {param.name}, not {arg.type}")
            for size, actual in zip(param.type.dims, arg.type.dims):
                known = formal.setdefault(size, actual) if isinstance(size, str) else size
                if not self.same(known, actual):
                    self.fail(f"{function.name} takes {param.type} for {param.name}, not {arg.type}")
        formal |= {r.name: v.name for r, v in zip(results, call.vars) if isinstance(r, Var) and r.type == I64}
        for var in sorted(call.vars, key=lambda v: v.type.rank > 0):  # sizes before the types that name them
            self.bind(var)
        for result, var in zip(results, call.vars):
            given = map_type(result.type, lambda d: formal.get(d, d) if isinstance(d, str) else d)
            if not self.fits(var.type, given):
                self.fail(f"{function.name} gives {given}, declared is {var.type}")

    def function(self, function: Function) -> None:
        """The programs of a called function, once."""
        if id(function) in self.seen:
            return
        self.seen.add(id(function))
        rule = function.rule
        halves = (rule.forward, rule.backward, rule.push) if rule is not None else ()
        for program in (function.program, *halves):
            if program is not None:
                _Verifier(program, self.seen).run()

    # -- phis: types are checked under the phis' own values ----------------------------------------------

    def firsts(self, phis: tuple[Phi, ...]) -> None:
        self.incoming(phis, {p.var.name: p.first for p in phis}, "first")

    def seconds(self, phis: tuple[Phi, ...]) -> None:
        self.incoming(phis, {p.var.name: p.second for p in phis}, "second")

    def incoming(self, phis: tuple[Phi, ...], values: dict[str, Atom], which: str) -> None:
        for phi in phis:
            self.here = phi
            value = values[phi.var.name]
            self.atom(value)
            wanted = map_type(phi.var.type, lambda d: _through(d, values))
            if not self.fits(wanted, value.type):
                self.fail(f"the {which} value of the phi is {value.type}, it needs {wanted}")

    def heads(self, phis: tuple[Phi, ...]) -> None:
        for phi in sorted(phis, key=lambda p: p.var.type.rank > 0):  # sizes before the types that name them
            self.here = phi
            self.bind(phi.var)

    def exits(self, exits: tuple[Exit, ...], phis: tuple[Phi, ...]) -> None:
        types = {p.var.name: p.var.type for p in phis}
        values: dict[str, Atom] = {e.phi.name: e.var for e in exits}
        for exit in sorted(exits, key=lambda e: e.var.type.rank > 0):
            self.here = exit
            if types.get(exit.phi.name) != exit.phi.type:
                self.fail(f"{exit.phi.name} is not a phi of this loop")
            if not self.fits(map_type(exit.phi.type, lambda d: _through(d, values)), exit.var.type):
                self.fail(f"{exit.phi.name} is {exit.phi.type}, its exit is declared {exit.var.type}")
            self.bind(exit.var)

    # -- names and types ---------------------------------------------------------------------------------

    @contextmanager
    def region(self) -> Iterator[None]:
        outer = dict(self.scope)
        with self.sizes.region():
            yield
        self.scope = outer

    def bind(self, var: Var, check_dims: bool = True) -> None:
        if var.name in self.bound:
            self.fail(f"{var.name} is bound twice")
        if not var.name.isidentifier() or keyword.iskeyword(var.name) or var.name in WORDS:
            self.fail(f"{var.name!r} cannot be a name")
        self.type(var.type, check_dims)
        self.bound.add(var.name)
        self.scope[var.name] = var.type
        self.sizes.bind(var)

    def type(self, type: Type, check_dims: bool = True) -> None:
        if type.dtype not in DTYPES:
            self.fail(f"{type.dtype} is not a dtype")
        if check_dims:
            for dim in type.dims:
                self.dim(dim)

    def dim(self, dim: Dim) -> None:
        if isinstance(dim, int):
            if dim < 0:
                self.fail(f"the size {dim} is negative")
        elif self.scope.get(dim) != I64:
            self.fail(f"the size {dim} is no i64 in scope")

    def atom(self, atom: Any) -> None:
        if isinstance(atom, Lit):
            try:
                number(atom)
            except ValueError:
                self.fail(f"{atom.text} is not a literal of type {atom.type}")
            if atom.type.dims:
                self.fail(f"a literal is a scalar, not {atom.type}")
        elif not isinstance(atom, Var):
            self.fail(f"{atom!r} is not a value")
        elif atom.name not in self.scope:
            known = "bound, but not in scope" if atom.name in self.bound else "not bound"
            self.fail(f"{atom.name} is {known} here")
        elif self.scope[atom.name] != atom.type:
            self.fail(f"{atom.name} is {self.scope[atom.name]}, used as {atom.type}")

    def scalar(self, atom: Atom, type: Type, what: str) -> None:
        self.atom(atom)
        if atom.type != type:
            self.fail(f"{what} takes a {type}, not a {atom.type}")

    def operand(self, operand: Any) -> None:
        match operand:
            case tuple():
                for item in operand:
                    self.operand(item)
            case Index(items):
                for item in items:
                    self.item(item)
            case _:
                self.atom(operand)

    def item(self, item: Any) -> None:
        if isinstance(item, Slice):
            self.scalar(item.start, I64, "a slice")
            if item.stop is not None:
                self.scalar(item.stop, I64, "a slice")
            self.dim(item.size)
            if item.step == 0 or (item.step > 0 and item.stop is None):
                self.fail("a slice needs a step other than 0, and a stop if it runs forwards")
            self.slice_size(item)
        elif item is not None:
            self.atom(item)
            if item.type.dtype != "i64":
                self.fail(f"a subscript is an i64, not a {item.type}")

    def slice_size(self, item: Slice) -> None:
        extent = self.sizes.slice_extent(item.start, item.stop, item.step)
        if extent is None:
            return
        if extent.terms and abs(item.step) == 1:
            wrong = self.differ(extent, self.sizes.form(item.size))
        else:
            size = self.sizes.slice_size(item.start, item.stop, item.step)
            wrong = size is not None and not self.same(size, item.size)
        if wrong:
            self.fail(f"a slice of {extent} places, step {item.step}, says it has {item.size} elements")

    def static(self, value: Any) -> None:
        if isinstance(value, tuple):
            for item in value:
                self.static(item)
        elif not isinstance(value, (int, float, str, bool, type(None))):
            self.fail(f"{value!r} stands where the operation takes a plain Python value")

    # -- sizes -------------------------------------------------------------------------------------------

    def types(self, operand: Any, as_atoms: bool) -> Any:
        """What `op.result` gets for an operand: types with one name for equal sizes."""
        match operand:
            case Var() | Lit() if as_atoms:
                if operand.type != I64:
                    self.fail(f"a size is an i64, not a {operand.type}")
                return dim_atom(self.canonical(operand.name)) if isinstance(operand, Var) else operand
            case Var(_, type) | Lit(_, type):
                return map_type(type, self.canonical)
            case tuple():
                return tuple(self.types(item, as_atoms) for item in operand)
        return map_operand(operand, self._index_atom, self.canonical)

    def _index_atom(self, atom: Atom) -> Atom:
        """An array in a subscript: its sizes are those of the part that it chooses."""
        return Var(atom.name, map_type(atom.type, self.canonical)) if isinstance(atom, Var) else atom

    def canonical(self, dim: Dim) -> Dim:
        if isinstance(dim, str) and dim not in self.scope:
            return dim  # a parameter's size before its `dim` line
        known = self.sizes.named(self.sizes.form(dim))
        return dim if known is None else known

    def fits(self, declared: Type, found: Type) -> bool:
        if (declared.dtype, declared.rank) != (found.dtype, found.rank):
            return False
        return all(map(self.same, declared.dims, found.dims))

    def same(self, a: Dim, b: Dim) -> bool:
        """Can two sizes be equal, as far as their forms tell?"""
        return not self.differ(self.sizes.form(a), self.sizes.form(b))

    def differ(self, a: Affine, b: Affine) -> bool:
        """Are two forms different numbers for sure?"""
        difference = a - b
        return not difference.terms and difference.constant != 0


def _through(dim: Dim, values: dict[str, Atom]) -> Dim:
    """A size, where a phi stands for one of its values."""
    value = values.get(dim) if isinstance(dim, str) else None
    if value is None:
        return dim
    return int(value.text) if isinstance(value, Lit) else value.name


def marked(program: Program, what: Any) -> str:
    """The program's text, with the line of a node underlined."""
    result = []
    open_mark = True
    for line in lines(program):
        result.append("  " + line.text)
        if line.what is what and open_mark:
            code = line.text.lstrip()
            result.append("  " + " " * (len(line.text) - len(code)) + "^" * len(code))
            open_mark = False
    return "\n".join(result)
