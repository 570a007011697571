"""Transforms inside of the user's @njit functions.

numba asks for the type of the object and, where it compiles a call, for a function of the types of the
arguments. The user's function is traced for those types alone; what is compiled is glue that puts the
arguments in order, tests what the trace assumed, and calls the generated function. Where a test fails, it
calls the object itself, in Python.
"""

from __future__ import annotations

import re
import uuid
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from ..calls.guards import SCALARS
from ..calls.tree import Tree, flatten
from ..ir.errors import PullbackError, TracedValueError, TypeMismatch
from ..ir.types import DTYPES, Type
from ..runtime.jit import callable as native
from ..runtime.options import options
from ..tracer.trace import Abstract
from ..transforms.base import Transform
from ..transforms.layout import Layout, Result, built, changed, hidden_values, layout, samples
from ..transforms.vjp import Seeded

NUMBA = {name: from_dtype(row.numpy) for name, row in DTYPES.items()}
NAMES = {kind: name for name, kind in NUMBA.items()}
_types: weakref.WeakKeyDictionary[Transform, Any] = weakref.WeakKeyDictionary()
_kept: list[Any] = []
"""What machine code knows the addresses of."""


def type_of(transform: Transform) -> Any:
    """numba's type of this object."""
    if transform not in _types:
        weak = weakref.ref(transform)

        def specialise(args: tuple[Any, ...], names: dict[str, Any]) -> Any:
            own = weak()
            if own is None:
                raise ReferenceError("the function that is called has gone")
            return Glue(own, args, names).dispatcher()

        name = f"pullback.{transform._kind}"
        _types[transform] = native.FunctionObject(name, uuid.uuid4().hex, specialise)
    return _types[transform]


class Leaf:
    """An argument's leaf: numba's type, ours, the expression that reads it, and a value that decides structure."""

    def __init__(self, kind: Any, type: Type | None, text: str, value: Any = None):  # noqa: A002
        self.kind, self.type, self.text, self.value = kind, type, text, value


class Glue:
    """The function that numba compiles for a call of a transform with arguments of these types."""

    def __init__(self, transform: Transform, args: Sequence[Any], names: dict[str, Any]):
        self.transform = transform
        self.names = dict(names)
        self.seed = self.names.pop("seed", None) if isinstance(transform, Seeded) else None
        if isinstance(transform, Seeded) and self.seed is None:
            raise TypeMismatch(f"{transform!r} needs a seed: call it as v(*args, seed=s)")
        self.positional = [f"arg{k}_" for k in range(len(args))]
        self.kinds = list(args)
        self.scope: dict[str, Any] = {}
        given = tuple(described(kind, name) for kind, name in zip(args, self.positional))
        named = {name: described(kind, name) for name, kind in self.names.items()}
        self.given, self.tree = flatten((given, named))
        self.layout = self.trace()
        self.hidden = [v.copy() if isinstance(v, np.ndarray) else v for v in hidden_values(self.layout.form)]

    def trace(self) -> Layout:
        traceable = self.transform._traceable
        leaves: list[Any] = []
        for leaf, name in zip(self.given, traceable.names(self.tree)):
            if leaf.type is None:
                leaves.append(leaf.value)
            else:
                dims = tuple(f"{name}_shape_{axis}" for axis in range(leaf.type.rank))
                leaves.append(Abstract(leaf.type.dtype, dims))
        try:
            with options(jit=True, parallel=False):
                form = traceable.trace(leaves, self.tree)
                return layout(self.transform, form, self.tree, samples(leaves))
        except TracedValueError as error:
            what = error.bare_message.partition(": ")[0]
            raise TracedValueError(
                f"{what}, but inside of @njit only the types of arguments are known. Write that number in the "
                "function, or call it from Python", error.span,
            ) from None  # fmt: skip
        except PullbackError as error:
            raise error.with_traceback(None) from None

    # -- text --------------------------------------------------------------------------------------------

    def dispatcher(self) -> Any:
        """numba's dispatcher of the glue."""
        seed = ["seed"] if self.seed is not None else []
        params = [*self.positional, *self.names, *seed]
        name = re.sub(r"\W", "_", f"{self.transform._kind}_{getattr(self.transform, '__name__', 'function')}")
        body, tests = self.arguments()
        call = self.call()
        lines = [f"def {name}({', '.join(params)}):", "    uncached()", *body]
        if tests:
            lines.append(f"    if {' and '.join(tests)}:")
            lines += ["    " + line for line in call]
            lines.append(f"    return fallback({', '.join(params)})")
            self.scope["fallback"] = self.fallback(params)
        else:
            lines += call
        self.scope["inner"] = self.layout.compiled()
        compiled = native.compile_glue("\n".join(lines), name, self.scope)
        _kept.append((compiled, self.scope, self.transform))
        return compiled

    def arguments(self) -> tuple[list[str], list[str]]:
        """Lines that bind the parameters p0, p1, ... of the program, and what must be true of them."""
        traced = self.layout.form.traced
        lines, tests = [], []
        given: dict[int, str] = {}
        for k, (leaf, place) in enumerate(zip(self.given, traced.leaves)):
            if place is not None:
                lines.append(f"    p{place} = {self.parameter(leaf)}")
                given[place] = leaf.text
            elif leaf.type is not None:
                raise AssertionError(f"leaf {k} was made static")
        first = len(traced.inputs) - len(traced.hidden)
        for j, value in enumerate(self.hidden):
            self.scope[f"hidden{j}"] = value
            array = isinstance(value, np.ndarray) and traced.inputs[first + j].type.rank
            lines.append(f"    p{first + j} = " + (f"writeable(hidden{j})" if array else f"hidden{j}"))
        seen: dict[str, str] = {}
        for k, known in enumerate(traced.inputs):
            for axis, dim in enumerate(known.type.dims):
                size = f"p{k}.shape[{axis}]"
                if isinstance(dim, int):
                    tests.append(f"{size} == {dim}")
                elif dim in seen:
                    tests.append(f"{size} == {seen[dim]}")
                else:
                    seen[dim] = size
                    tests.append(f"{size} >= 2")
        if traced.guards:
            for name, (k, axis) in traced.size_slots.items():
                if re.search(rf"\b{name}\b", traced.guards):
                    lines.append(f"    {name} = " + (f"p{k}" if axis < 0 else f"p{k}.shape[{axis}]"))
            tests.append(f"({traced.guards})")
        arrays = [k for k, leaf in given.items() if traced.inputs[k].type.rank]
        pairs = {tuple(sorted((k, other))) for k in traced.written for other in arrays if other != k}
        tests += [f"apart({given[a]}, {given[b]})" for a, b in sorted(pairs) if a in given and b in given]
        return lines, tests

    def parameter(self, leaf: Leaf) -> str:
        """A leaf as compiled code takes it."""
        assert leaf.type is not None
        if not leaf.type.rank:
            return f"np.{SCALARS[leaf.type.dtype].__name__}({leaf.text})" if leaf.type.dtype != "bool" else leaf.text
        text = leaf.text
        if leaf.kind.layout != "C" or not leaf.kind.aligned:
            return f"np.ascontiguousarray({text})"
        return text if leaf.kind.mutable else f"writeable({text})"

    def call(self) -> list[str]:
        """Lines that call the program and return the user's result."""
        params = [f"p{k}" for k in range(len(self.layout.form.traced.inputs))]
        lines = [f"    r = inner({', '.join(params)})"]
        results = "r"
        if self.layout.backward is not None:
            lines += self.pull()
            results = "b"
        texts = []
        count = len(flatten(self.layout.tree.unflatten(self.layout.leaves)[0])[0]) if results == "b" else 0
        for k, leaf in enumerate(self.layout.leaves):
            texts.append(self.result(leaf, "r" if k < count or results == "r" else "b"))
        classes: dict[str, type] = {}
        lines.append(f"    return {built(self.layout.tree, texts, classes)}")
        self.check_result(self.layout.tree)
        self.scope.update(classes)
        return lines

    def pull(self) -> list[str]:
        """Lines for vjp: test the seeds against the value, and call the backward program."""
        seeds, tree = flatten(described(self.seed, "seed"))
        out = self.layout.form.out
        try:
            seeds = out.take(tree.unflatten(seeds), "the seed")
        except ValueError as error:
            raise TypeMismatch(str(error)) from None
        wanted = [entry for entry in zip(self.layout.form.results, seeds) if hasattr(entry[0], "k")]
        lines: list[str] = []
        texts: list[str] = []
        for entry, seed in wanted:
            type_ = self.layout.form.program.results[entry.k].type
            if not type_.is_float:
                continue
            fits = isinstance(seed, Leaf) and seed.type is not None and seed.type.rank == type_.rank
            if not fits or (type_.rank and seed.type.dtype != type_.dtype):
                raise TypeMismatch(
                    f"the seed must be like the value: {type_.dtype} of rank {type_.rank} where the value has {type_}"
                )
            name = f"s{len(texts)}"
            if type_.rank:
                lines.append(f"    {name} = {self.parameter(seed)}")
                lines.append(f"    if {name}.shape != r[{entry.k}].shape:")
                lines.append("        raise ValueError('the seed has another shape than the value')")
            else:
                lines.append(f"    {name} = np.{SCALARS[type_.dtype].__name__}({seed.text})")
            texts.append(name)
        self.scope["backward"] = self.layout.compiled_backward()
        forward = self.layout.form.derived(self.layout.kind, self.layout.make)
        residuals = [f"r[{k}]" for k in range(self.layout.count, len(forward.results))]
        lines.append(f"    b = backward({', '.join([*residuals, *texts])})")
        return lines

    def result(self, leaf: Any, flat: str) -> str:
        """A result of the program as an expression."""
        if isinstance(leaf, Result):
            text = f"{flat}[{leaf.k}]"
            if leaf.type.rank:
                return f"np.ascontiguousarray({text})"
            return f"bool({text})" if leaf.type.dtype == "bool" else f"np.{SCALARS[leaf.type.dtype].__name__}({text})"
        if leaf is None or isinstance(leaf, (bool, str)):
            return repr(leaf)
        kind = type(leaf).__name__
        raise TypeMismatch(f"inside of @njit a function cannot return a {kind}: return arrays and numbers")

    def check_result(self, tree: Tree) -> None:
        if tree.kind is not None and not issubclass(tree.kind, (tuple, type(None))):
            raise TypeMismatch(
                f"inside of @njit {self.transform!r} cannot return a {tree.kind.__name__}: numba has none of mixed "
                "types. Return a tuple"
            )
        for child in tree.children:
            self.check_result(child)

    # -- the way back to Python ----------------------------------------------------------------------------

    def fallback(self, params: list[str]) -> Any:
        """A compiled function that calls the object in Python, for sizes that the trace is not right for."""
        result = self.numba_result(self.layout.tree, iter(self.layout.leaves))
        return native.compile_fallback("fallback", ", ".join(params), self.python(), result)

    def python(self) -> Callable[..., Any]:
        """The call as Python makes it; what comes back has the types that compiled code expects."""
        tree, given = self.tree, self.given
        transform: Any = self.transform
        form, frozen = self.layout.form, self.hidden
        seeded = self.seed is not None
        count, names = len(self.positional), tuple(self.names)
        expected, leaves = self.layout.tree, self.layout.leaves

        nothing = expected.unflatten([_nothing(leaf) for leaf in leaves])

        def guarded(*values: Any) -> tuple[Any, int, str]:
            try:
                return call(*values), 0, ""
            except Exception as error:
                return nothing, *native.code_of(error)

        def call(*values: Any) -> Any:
            name = changed(form, frozen)
            if name is not None:
                raise TypeMismatch(
                    f"{name!r} is not what it was when the @njit function was compiled, and is a constant there: "
                    "pass it as an argument"
                )
            flat, _ = flatten((tuple(values[:count]), dict(zip(names, values[count:]))))
            flat = [_strong(value, leaf) for value, leaf in zip(flat, given)]
            args, kwargs = tree.unflatten(flat)
            if seeded:
                kwargs["seed"] = values[-1]
            back, form_ = flatten(transform(*args, **kwargs))
            if form_ != expected:
                raise TypeMismatch(f"for these sizes the result is {form_}, and the compiled code expects {expected}")
            return expected.unflatten([_settled(v, leaf) for v, leaf in zip(back, leaves)])

        return guarded

    def numba_result(self, tree: Tree, leaves: Any) -> Any:
        """numba's type of the result."""
        if tree.kind is None:
            leaf = next(leaves)
            if not isinstance(leaf, Result):
                return types.unliteral(native.typeof(leaf))
            kind = NUMBA[leaf.type.dtype]
            return types.Array(kind, leaf.type.rank, "C") if leaf.type.rank else kind
        if tree.kind is type(None):
            return types.none
        parts = [self.numba_result(child, leaves) for child in tree.children]
        if tree.kind is tuple:
            return types.Tuple(parts)
        same = len(set(parts)) == 1
        return types.NamedUniTuple(parts[0], len(parts), tree.kind) if same else types.NamedTuple(parts, tree.kind)


def _strong(value: Any, leaf: Leaf) -> Any:
    """A number as NumPy's, which is what it is for compiled code."""
    return value if leaf.type is None or leaf.type.rank else SCALARS[leaf.type.dtype](value)


def _nothing(leaf: Any) -> Any:
    """Some value of the type that compiled code expects."""
    if not isinstance(leaf, Result):
        return leaf
    return np.zeros((0,) * leaf.type.rank, leaf.type.numpy) if leaf.type.rank else leaf.type.numpy.type(0).item()


def _settled(value: Any, leaf: Any) -> Any:
    if not isinstance(leaf, Result):
        return value
    if not leaf.type.rank:
        return value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, np.ndarray) or value.ndim != leaf.type.rank or value.dtype != leaf.type.numpy:
        raise TypeMismatch(f"for these sizes a result is not {leaf.type}, which the compiled code expects")
    return np.ascontiguousarray(value)


def described(kind: Any, text: str) -> Any:
    """An argument of this type: a `Leaf`, or a tuple of them."""
    if isinstance(kind, types.NamedTuple | types.NamedUniTuple):
        return kind.instance_class(*(described(part, f"{text}[{k}]") for k, part in enumerate(kind.types)))
    if isinstance(kind, types.BaseTuple):
        return tuple(described(part, f"{text}[{k}]") for k, part in enumerate(kind))  # type: ignore[var-annotated, arg-type]
    if isinstance(kind, types.NoneType):
        return None
    if isinstance(kind, types.StringLiteral):
        return Leaf(kind, None, text, kind.literal_value)
    if isinstance(kind, types.Array):
        if kind.dtype not in NAMES:
            raise TypeMismatch(
                f"an array of {kind.dtype} inside of @njit: pullback takes float64, float32, integers and bool"
            )
        if not kind.ndim:
            raise TypeMismatch("an array of rank 0 inside of @njit: pass the number, x[()]")
        return Leaf(kind, Type(NAMES[kind.dtype], tuple(f"d{k}" for k in range(kind.ndim))), text)
    if kind in NAMES:
        return Leaf(kind, Type(NAMES[kind]), text)
    raise TypeMismatch(
        f"an argument of numba's type {kind} inside of @njit: pullback takes arrays, numbers, and tuples of them"
    )
