"""The whole IR on one screen: SSA with structured loops and branches, and one join, `phi`.

Every name is bound once, with its type. Names of a loop body are not visible after it; `Exit`
names the value a phi has when the loop ends. Nodes are immutable; passes build new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Union

from .types import Dim, Type

if TYPE_CHECKING:
    from .draw.graph import Graph
    from .primitive import Primitive


@dataclass(frozen=True, slots=True)
class Span:
    """Where a node comes from: the user's file, line and source text.

    sweep   "" in the forward sweep; in the reverse sweep of an adjoint the operation whose derivative the node
            is part of, or "again" for a value that is computed a second time. For printing only.
    """

    file: str
    line: int
    text: str
    sweep: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Var:
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Lit:
    """A number, equal by its text: 1, 1.0 and True differ, and so do 0.0 and -0.0."""

    text: str
    type: Type


Atom = Var | Lit


@dataclass(frozen=True, slots=True)
class Slice:
    """`start:stop:step` of a subscript: the `size` places start, start + step, ...; all in range.

    `stop` is for the reader; it may be None, and `size` alone decides.
    """

    start: Atom
    stop: Atom | None
    step: int
    size: Dim


@dataclass(frozen=True, slots=True)
class Index:
    """A subscript: one item per axis (i64 atom, index array or Slice), and None for a new axis."""

    items: tuple[Atom | Slice | None, ...]


Operand = Union["Atom", "Slice", "Index", tuple["Operand", ...], int, str, None]
"""What an operation takes: values, subscripts, shapes (tuples), and static Python values."""


@dataclass(frozen=True, slots=True)
class Let:
    var: Var
    op: Primitive
    args: tuple[Operand, ...]
    span: Span | None = field(default=None, compare=False)

    def value(self, k: int) -> Atom:
        """Operand k, which is a value."""
        operand = self.args[k]
        assert isinstance(operand, (Var, Lit)), f"operand {k} of {self.op} is no value"
        return operand

    @property
    def values(self) -> tuple[Atom, ...]:
        """The operands that are values, as all of an operation on numbers are."""
        return tuple(a for a in self.args if isinstance(a, (Var, Lit)))

    @property
    def array(self) -> Var:
        """The array that is read, written or shown: the first operand."""
        operand = self.args[0]
        assert isinstance(operand, Var), f"{self.op} of no array"
        return operand

    @property
    def subscript(self) -> Index:
        """The subscript of what is read or written: the second operand."""
        operand = self.args[1]
        assert isinstance(operand, Index), f"{self.op} has no subscript"
        return operand

    @property
    def stored(self) -> Atom:
        """The value that is written: the third operand."""
        return self.value(2)


@dataclass(frozen=True, slots=True)
class Phi:
    """In a loop: value on entry, value after an iteration. After an if: then, else."""

    var: Var
    first: Atom
    second: Atom


@dataclass(frozen=True, slots=True)
class Exit:
    """`var = last(phi)`: the value of a loop's phi when the loop has ended."""

    var: Var
    phi: Var


@dataclass(frozen=True, slots=True)
class For:
    """`for index in range(start, stop)`, backwards if `reverse`."""

    index: Var
    start: Atom
    stop: Atom
    reverse: bool
    phis: tuple[Phi, ...]
    body: tuple[Node, ...]
    exits: tuple[Exit, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class While:
    """Run `test`; leave unless `cond`; run `body`; repeat."""

    phis: tuple[Phi, ...]
    test: tuple[Node, ...]
    cond: Atom
    body: tuple[Node, ...]
    exits: tuple[Exit, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class If:
    cond: Atom
    then: tuple[Node, ...]
    orelse: tuple[Node, ...]
    phis: tuple[Phi, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Check:
    """`assert cond, message`: an effect. The message starts with the error's class, or `guard`."""

    cond: Atom
    message: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`vars = function(*args)`: applies another program, which stays apart until its rules have been used."""

    vars: tuple[Var, ...]
    function: Function
    args: tuple[Atom, ...]
    span: Span | None = field(default=None, compare=False)


Node = Let | For | While | If | Check | Call


@dataclass(frozen=True, slots=True)
class Program:
    """A function of the IR. Prints as its text, see text.py.

    origins      per parameter where a hidden input comes from
    cotangents   names of the values that the adjoint pass accumulates: of its arithmetic the order of sums and the sign
                 of zeros are free, of the user's own they are not. A program that was read from text has none.
    computed     sizes of parameters that a run computes, as those of a backward program's: they may be 0 or 1, which
                 those of what a user gives may not
    """

    name: str
    params: tuple[Var, ...]
    body: tuple[Node, ...]
    results: tuple[Atom, ...]
    origins: tuple[str, ...] = field(default=(), compare=False)
    cotangents: frozenset[str] = field(default=frozenset(), compare=False)
    computed: frozenset[str] = field(default=frozenset(), compare=False)
    graph: ClassVar[Callable[..., Graph]]
    """The dataflow as a picture, see draw/graph.py."""

    def returning(self, count: int) -> Program:
        """The same with its first results only."""
        return Program(self.name, self.params, self.body, self.results[:count], self.origins)


@dataclass(eq=False)
class Function:
    """What a Call applies: a program, with the rule that stands for its derivative if there is one.

    Not frozen, because a rule may call the function that it belongs to. Equal are functions that print alike.

    count   its first parameters, so many, are the floats that the rule differentiates by; what follows is from outside
    own     its first results, so many, have derivatives; what follows are sizes of these, and what is kept for `pull`
    rule    for a user's function with a derivative of its own
    pull    of the forward half of a rule: the backward half, while an adjoint is made
    """

    name: str
    program: Program
    count: int = 0
    own: int = 0
    rule: Rule | None = None
    pull: Program | None = None
    text: ClassVar[Callable[[Function], str]]
    """The definitions of the function and of what it calls, see text/."""

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Function) and self.text() == other.text())

    def __hash__(self) -> int:
        return hash((self.name, self.count, self.own))


@dataclass(eq=False)
class Rule:
    """Derivatives of a function as programs; of `forward` with `backward`, and `push`, one may be missing.

    forward    of the function's parameters; gives its results, and then what is kept
    backward   of the parameters, the results, what is kept, and a cotangent for each float result; gives a cotangent
               for each parameter that the rule differentiates by
    push       of the parameters and a tangent for each that the rule differentiates by; gives the results, and then a
               tangent for each float result
    again      in place of programs: the derivative is that of the program itself, which the reverse sweep does again
    """

    forward: Program | None = None
    backward: Program | None = None
    push: Program | None = None
    again: bool = False
    missing: str = ""
    """Why there is none, where that has a reason of its own."""


def atoms(operand: Any) -> Sequence[Atom]:
    """The values inside an operand, however deep.

    Sizes of slices count: they are names of i64 values too, but only as far as they have a
    value of their own in `stop` and `start`; `dim_names` gives the others.
    """
    match operand:
        case Var() | Lit():
            return (operand,)
        case Index(items) | tuple(items):
            return [atom for item in items for atom in atoms(item)]
        case Slice(start, stop, _, _):
            return (start,) if stop is None else (start, stop)
    return ()


def map_operand(
    operand: Any, atom: Callable[[Atom], Atom], dim: Callable[[Dim], Dim] = lambda d: d
) -> Any:
    """The operand with every value and every size replaced."""
    match operand:
        case Var() | Lit():
            return atom(operand)
        case Index(items):
            return Index(tuple(map_operand(item, atom, dim) for item in items))
        case Slice(start, stop, step, size):
            new_stop = None if stop is None else atom(stop)
            return Slice(atom(start), new_stop, step, dim(size))
        case tuple():
            return tuple(map_operand(item, atom, dim) for item in operand)
        case _:
            return operand


def dim_names(operand: Any) -> Sequence[str]:
    """Names of i64 values that an operand mentions as sizes, in types and in slices."""
    match operand:
        case Var(_, type) | Lit(_, type):
            return [d for d in type.dims if isinstance(d, str)] if type.dims else ()
        case Index(items) | tuple(items):
            return [name for item in items for name in dim_names(item)]
        case Slice(start, stop, _, size):
            return [*dim_names(start), *dim_names(stop), *([size] if isinstance(size, str) else [])]
    return ()
