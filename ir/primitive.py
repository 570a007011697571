"""`Primitive`: one operation with all that is known about it, and the registry of them all.

A declaration is the only place that knows an operation: what kind it is, how it prints (and therefore parses),
how it evaluates, the type of its result, its derivative, its SymPy form, its samples. How generated code spells
it is a table of that generator; passes ask for kinds and traits, never for names.
Derivative rules are ordinary functions of `Ref`s, values of a program under construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, Flag, auto
from typing import TYPE_CHECKING, Any, Protocol

from .errors import UnsupportedFunction
from .program import Atom, Lit, Var
from .types import Type

REGISTRY: dict[str, Primitive] = {}
_BY_TEXT: dict[str, Primitive] = {}
BY_FUNCTION: dict[object, Primitive] = {}
"""The first operation that each function of NumPy evaluates."""


class Applier(Protocol):
    """What a rule needs of the builder: apply an operation, get a reference to the result."""

    def apply(self, op: Primitive, *args: Any) -> Ref: ...


def nondifferentiable(*_: Any) -> tuple[()]:
    """The derivative rule of operations that have none: written out, never a default."""
    raise AssertionError("a nondifferentiable operation was asked for its rule")


class Kind(Enum):
    """What an operation does with arrays."""

    ELEMENTWISE = "elementwise"
    """One number for each place, from the numbers of the operands there, broadcast."""
    SIZE = "size"
    """The size of an axis."""
    ALLOCATE = "allocate"
    """New memory, of a shape."""
    COUNT = "count"
    """The numbers from 0 on, one for each place."""
    COPY = "copy"
    """New memory with the elements of the operand."""
    VIEW = "view"
    """The elements of the first operand, all of them, in other places."""
    READ = "read"
    """A part of the first operand, by the subscript that is the second."""
    WRITE = "write"
    """The first operand, with a part by the subscript that is the second set to the third, or the third added."""
    UPDATE = "update"
    """The first operand, with the result of a kernel in a part, or added to it."""
    REDUCE = "reduce"
    """One element for all those along axes."""
    SCAN = "scan"
    """For each place what all before it along an axis come to."""
    KERNEL = "kernel"
    """Whole arrays at once, by a method of its own."""


class Trait(Flag):
    """What else an operation is, where passes or the tracer need to know it."""

    NONE = 0
    AFFINE = auto()
    """A sum, a difference, a product or a negative: of affine forms of indices it may be one too."""
    COMMUTATIVE = auto()
    """The operands may change places."""
    SELECTS = auto()
    """The result is one of the operands, and so is its element type."""
    CONVERTS = auto()
    """The same number in another dtype."""
    DIVIDES = auto()
    """By the second operand: of integers, it has no result where that is 0."""
    GROWS = auto()
    """The result of integers may need more bits than they have."""
    PLACES = auto()
    """The result is a place along an axis, or a size: it is from 0 to the largest size there can be."""
    CONTIGUOUS = auto()
    """The result lies in C order whatever the operands do."""
    QUIET = auto()
    """Raises no floating-point exception, and with Python's numbers no error."""
    RAISES = auto()
    """May raise an error, or never end: it runs where the program says, and nowhere else."""
    OVERFLOWS = auto()
    """Of floating-point exceptions it raises overflow and invalid alone, and with Python's floats no error."""
    TAME = auto()
    """Its partial derivatives are finite wherever its value is a number, at inf too."""


@dataclass(frozen=True, eq=False)
class Primitive:
    """One operation.

    kind       what it does with arrays
    text       how it prints, `{k}` stands for operand k; the parser matches the same template
    result     type of the result from the types of the operands (operands that are not values as they are)
    numpy      evaluates it: a function of NumPy values, or its name if `ir` may not import it
    linear     operands in which it is jointly linear
    partials   elementwise operations: dy/d(operand k) as functions of (operands..., y), None where zero,
               NotImplemented where not known
    vjp        other operations: (y_bar, y, *operands) -> one cotangent per operand. A cotangent is a Ref,
               None, or a function from the accumulated cotangent to the new one (updates in place)
    jvp        (x_dots, y, *operands) -> y_dot, where it is neither linear nor has partials; x_dots holds for each
               operand its tangent, or None where that is zero (not all are)
    batched    (size, *operands) -> operands: those of the same operation where the linear ones have one more axis of
               this size at the end; None where the others stay as they are
    static     positions of operands that are plain Python values
    reads      of an operation that is a call into memory for its result: the operands that are read. The others are
               there for the derivative; `numpy` and `result` may get None for them
    means      the same in terms of other operations, which generated code computes: a function of Refs. Operands of
               which it asks the sizes alone are there for the derivative
    sizes      positions of operands that are sizes (an i64 atom, or a tuple of them): `result` and `vjp`
               get these as atoms, where they get types and Refs for the others
    cost       0 free (views, sizes), 1 a few cycles, 10 a transcendental function, 100 a whole-array kernel
    traits     what else passes and the tracer need to know of it
    accumulates   "total", "largest" or "smallest": what a number that a loop carries is if every iteration joins
               another one to it by this operation
    step       of a reduction or a scan: the name of the operation that joins one more element
    guard      how Python writes it of integers of its own, in conditions on arguments
    also       names of other functions that mean this, e.g. "math.exp"; `numpy` itself need not be named
    sympy      SymPy's form, `{k}` stands for operand k
    samples    operand types for tests, e.g. "f64[5], i64"; domain: where sampled floats lie
    programs   samples as parameters, type of the result, text, and lines before it, where operands have no such short
               notation
    """

    name: str
    text: str
    result: Callable[..., Type]
    numpy: Callable[..., Any] | str
    kind: Kind = Kind.KERNEL
    linear: tuple[int, ...] = ()
    partials: tuple[Callable[..., Any] | None, ...] | None = None
    vjp: Callable[..., Any] | None = None
    jvp: Callable[..., Any] | None = None
    batched: Callable[..., tuple[Any, ...]] | None = None
    static: tuple[int, ...] = ()
    reads: tuple[int, ...] | None = None
    means: Callable[..., Ref] | None = None
    sizes: tuple[int, ...] = ()
    cost: int = 1
    traits: Trait = Trait.NONE
    accumulates: str | None = None
    step: str | None = None
    guard: str | None = None
    also: tuple[str, ...] = ()
    sympy: str | None = None
    samples: tuple[str, ...] = ()
    programs: tuple[tuple[str, ...], ...] = ()
    domain: tuple[float, float] = (-2.0, 2.0)

    def __post_init__(self) -> None:
        if self.name in REGISTRY:
            raise ValueError(f"primitive {self.name} is declared twice")
        if (self.partials is None) == (self.vjp is None):
            raise ValueError(f"primitive {self.name} needs either partials or a vjp")
        REGISTRY[self.name] = self
        _BY_TEXT[self.text] = self
        BY_FUNCTION.setdefault(self.numpy, self)

    def __call__(self, *args: Any) -> Ref:
        return next(refs(args)).builder.apply(self, *args)

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name, (self.name,)

    def __repr__(self) -> str:
        return self.name

    @property
    def elementwise(self) -> bool:
        return self.kind is Kind.ELEMENTWISE

    @property
    def writes(self) -> bool:
        """Does the result take the place of the first operand?"""
        return self.kind in (Kind.WRITE, Kind.UPDATE)

    @property
    def allocates(self) -> bool:
        """Is the result memory of its own that may be written to?"""
        return self.kind in (Kind.ALLOCATE, Kind.COPY)

    @property
    def accesses(self) -> bool:
        """Does it read, set or add to a part of its first operand, by the subscript that is the second?"""
        return self.kind in (Kind.READ, Kind.WRITE)

    @property
    def shares(self) -> bool:
        """May the result lie in the memory of the first operand?"""
        return self.writes or self.kind in (Kind.VIEW, Kind.READ)

    def no_derivative(self, operand: Any) -> UnsupportedFunction:
        return UnsupportedFunction(
            f"the derivative of {self.name} by {operand.name} is not known. Leave it out of argnums, or give the "
            "function a rule of its own with pb.custom_vjp"
        )

    def has(self, trait: Trait) -> bool:
        return bool(self.traits & trait)

    @property
    def differentiable(self) -> bool:
        if self.partials is not None:
            return any(p is not None for p in self.partials)
        return self.vjp is not nondifferentiable


def by_name(name: str) -> Primitive:
    """The primitive of this name (pickled programs have names)."""
    return REGISTRY[name]


def refs(args: Any) -> Iterator[Ref]:
    for arg in args:
        if isinstance(arg, Ref):
            yield arg
        elif isinstance(arg, tuple):
            yield from refs(arg)


@dataclass(frozen=True, eq=False)
class Ref:
    """A value of the program that `builder` is writing, with Python's operators.

    What an operator means is the primitive that prints with its sign, so this class knows no operation.
    """

    builder: Applier = field(repr=False)
    atom: Atom

    @property
    def type(self) -> Type:
        return self.atom.type

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes, as operands (`zeros(x.shape, ...)`)."""
        return tuple(
            Lit(str(d), Type("i64")) if isinstance(d, int) else Var(d, Type("i64"))
            for d in self.type.dims
        )

    def _apply(self, name: str, *args: Any) -> Ref:
        return self.builder.apply(REGISTRY[name], *args)

    if TYPE_CHECKING:  # made below the class, from a table

        def __add__(self, other: Any) -> Ref: ...
        def __lt__(self, other: Any) -> Ref: ...
        def __eq__(self, other: Any) -> Ref: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Ref: ...  # type: ignore[override]

        __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__
        __pow__ = __rpow__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __add__
        __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __add__
        __le__ = __gt__ = __ge__ = __lt__

    def __neg__(self) -> Ref:
        return self._apply("neg", self)

    def __invert__(self) -> Ref:
        return self._apply("invert", self)

    def __bool__(self) -> bool:
        raise TypeError("a Ref has no truth value while a program is written; compare refs with `is`")


def _operator(symbol: str) -> tuple[Callable[..., Ref], Callable[..., Ref]]:
    """The operation that prints with this sign."""
    text = f"{{0}} {symbol} {{1}}"

    def forward(self: Ref, other: Any) -> Ref:
        return self.builder.apply(_BY_TEXT[text], self, other)

    def backward(self: Ref, other: Any) -> Ref:
        return self.builder.apply(_BY_TEXT[text], other, self)

    return forward, backward


for _symbol, _name in {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "**": "pow", "%": "mod", "//": "floordiv",
    "&": "and", "|": "or", "^": "xor",
}.items():  # fmt: skip
    _forward, _backward = _operator(_symbol)
    setattr(Ref, f"__{_name}__", _forward)
    setattr(Ref, f"__r{_name}__", _backward)
for _symbol, _name in {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}.items():
    setattr(Ref, f"__{_name}__", _operator(_symbol)[0])
Ref.__hash__ = object.__hash__  # type: ignore[method-assign]
