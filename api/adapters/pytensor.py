"""PyTensor, and so PyMC: a NumPy function as an Op with a gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls.forms import Specialisation, Traceable
from ..calls.tree import flatten
from ..ir.errors import TypeMismatch
from ..ir.types import DTYPES, dtype_name
from ..tracer.trace import Abstract
from ..transforms.base import Jit
from ..transforms.vjp import vjp
from .optional import require


def function(f: Callable[..., Any]) -> Callable[..., Any]:
    """f as a function of PyTensor variables (arrays and numbers become constants); results are variables.

    f takes arrays and numbers, and returns one, or a tuple or list of them. The rank and dtype of the results are found
    by tracing for the types of the variables. The gradient cannot be differentiated again.
    """
    compiled, traceable = Jit[..., Any](f), Traceable(f)

    @functools.wraps(f)
    def call(*args: Any) -> Any:
        tensor = require("pytensor.tensor", "pytensor")
        variables = [tensor.as_tensor_variable(a) for a in args]
        form = _traced(traceable, [(v.type.dtype, v.type.ndim) for v in variables])
        kinds = [(form.program.results[e.k].type.dtype, form.program.results[e.k].type.rank) for e in form.results]
        outputs = [tensor.TensorType(DTYPES[kind].numpy.name, (None,) * rank) for kind, rank in kinds]

        def value(*arrays: Any) -> list[Any]:
            return flatten(compiled(*map(_plain, arrays)))[0]

        def pulled(*arrays: Any) -> list[Any]:
            given, seeds = arrays[: len(variables)], list(map(_plain, arrays[len(variables) :]))
            bars = vjp(f, *map(_plain, given))[1](form.out.unflatten(seeds))
            return [bar for bar in bars if bar is not None]

        made = _ops()[0](value, pulled, outputs, f)(*variables)
        return form.out.unflatten(made if isinstance(made, list) else [made])

    return call




def _traced(traceable: Traceable, kinds: list[tuple[str, int]]) -> Specialisation:
    """The form for arrays of these dtypes and ranks."""
    leaves, tree = flatten((tuple(range(len(kinds))), {}))
    leaves = []
    for k, (name, rank) in enumerate(kinds):
        dtype = dtype_name(name)
        if dtype is None:
            raise TypeMismatch(f"a variable of {name}: pullback takes float64, float32, integers and bool")
        leaves.append(Abstract(dtype, tuple(f"size_{k}_{axis}" for axis in range(rank))))
    form = traceable.trace(leaves, tree)
    if not all(hasattr(e, "k") for e in form.results) or not (form.out.is_leaf or form.out.kind in (tuple, list)):
        raise TypeMismatch(f"an Op returns an array, or a tuple or list of arrays, and not {form.out}")
    return form


def _plain(array: Any) -> Any:
    array = np.asarray(array)
    return array if array.ndim else array[()]


@functools.cache
def _ops() -> tuple[Any, Any]:
    """The Op of a function and the Op of its cotangents."""
    graph = require("pytensor.graph", "pytensor")
    disconnected = require("pytensor.gradient", "pytensor").DisconnectedType

    class Flat(graph.Op):  # type: ignore[name-defined]
        """Calls a Python function of arrays that returns a list of them."""

        def make_node(self, *inputs: Any) -> Any:
            return graph.Apply(self, list(inputs), [kind() for kind in self.kinds(inputs)])

        def perform(self, node: Any, inputs: Any, storage: Any) -> None:
            for cell, out, value in zip(storage, node.outputs, self.run(*inputs)):
                cell[0] = np.array(value, out.type.dtype)

    class Cotangents(Flat):
        def __init__(self, run: Any):
            self.run = run

        def kinds(self, inputs: Any) -> list[Any]:
            return [v.type for v in inputs[: self.run.count] if "float" in v.type.dtype]

    class Value(Flat):
        def __init__(self, run: Any, pulled: Any, outputs: Any, f: Any):
            self.run, self.pulled, self.outputs, self.f = run, pulled, outputs, f

        def kinds(self, inputs: Any) -> list[Any]:
            return list(self.outputs)

        def __str__(self) -> str:
            return f"pullback({getattr(self.f, '__name__', 'function')})"

        def _cotangents(self, inputs: Any, outputs: Any, seeds: Any) -> list[Any]:
            seeds = [out.zeros_like() if isinstance(s.type, disconnected) else s for s, out in zip(seeds, outputs)]
            self.pulled.count = len(inputs)
            bars = Cotangents(self.pulled)(*inputs, *seeds)
            bars = iter(bars if isinstance(bars, list) else [bars])
            return [next(bars) if "float" in v.type.dtype else disconnected()() for v in inputs]

        def connection_pattern(self, node: Any) -> list[list[bool]]:
            floats = ["float" in out.type.dtype for out in node.outputs]
            return [["float" in v.type.dtype and flag for flag in floats] for v in node.inputs]

    setattr(Value, "pullback" if hasattr(graph.Op, "pullback") else "L_op", Value._cotangents)
    return Value, Cotangents
