"""JAX: a NumPy function as a callback with a derivative, inside of `jax.jit`, `jax.grad` and `jax.vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..calls.forms import Traceable
from ..calls.tree import Tree, flatten
from ..ir.errors import TypeMismatch
from ..ir.types import dtype_name
from ..tracer.trace import Abstract
from ..transforms.base import Jit
from ..transforms.vjp import vjp
from .optional import require


def function(f: Callable[..., Any]) -> Callable[..., Any]:
    """f as a function of JAX arrays: `jax.pure_callback` with `jax.custom_vjp`.

    Arguments and results may be containers; every leaf is an array or a number, and becomes a NumPy array (of rank 0 a
    number). The results' shapes must follow from the arguments' shapes. The derivative runs f again, because nothing is
    kept between two callbacks, and cannot be differentiated again. `jax.vmap` calls f once for each row.
    """
    compiled, traceable = Jit[..., Any](f), Traceable(f)

    @functools.wraps(f)
    def call(*args: Any) -> Any:
        jax = require("jax", "jax")
        leaves, tree = flatten(args)
        leaves = [jax.numpy.asarray(leaf) for leaf in leaves]
        kinds = [(leaf.shape, np.dtype(leaf.dtype)) for leaf in leaves]
        out, results = _results(traceable, kinds, tree)
        # Without jax_enable_x64 JAX has no 64 bits: what f computes in them is rounded.
        shapes = [jax.ShapeDtypeStruct(s, jax.dtypes.canonicalize_dtype(kind)) for s, kind in results]

        def value(*flat: Any) -> list[Any]:
            found, _ = flatten(compiled(*_arguments(tree, flat)))
            return [np.asarray(v, known.dtype) for v, known in zip(found, shapes)]

        def pulled(*flat: Any) -> list[Any]:
            _, pull = vjp(f, *_arguments(tree, flat[: len(leaves)]))
            seeds = [_array(np.asarray(s, kind)) for s, (_, kind) in zip(flat[len(leaves) :], results)]
            bars = tree.take(pull(out.unflatten(seeds)), "the cotangents")
            return [np.asarray(bar, kind) for bar, (_, kind) in zip(bars, kinds) if kind.kind == "f"]

        @jax.custom_vjp
        def run(*flat: Any) -> Any:
            return jax.pure_callback(value, shapes, *flat, vmap_method="sequential")

        def backward(flat: Any, seeds: Any) -> tuple[Any, ...]:
            seeds = [  # of integers the seed is no array
                s if k.dtype.kind == "f" else jax.numpy.zeros(k.shape, k.dtype) for s, k in zip(seeds, shapes)
            ]
            wanted = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in kinds if kind.kind == "f"]
            bars = iter(jax.pure_callback(pulled, wanted, *flat, *seeds, vmap_method="sequential"))
            nothing = [np.zeros(shape, jax.dtypes.float0) for shape, _ in kinds]
            return tuple(next(bars) if kind.kind == "f" else nothing[k] for k, (_, kind) in enumerate(kinds))

        run.defvjp(lambda *flat: (run(*flat), flat), backward)
        return out.unflatten(run(*leaves))

    return call


def _results(
    traceable: Traceable, kinds: Sequence[tuple[Any, Any]], tree: Tree
) -> tuple[Tree, list[tuple[tuple[int, ...], np.dtype]]]:
    """The form of the results, and shape and dtype of each."""
    leaves = []
    for shape, kind in kinds:
        dtype = dtype_name(kind)
        if dtype is None:
            raise TypeMismatch(f"an array of {kind}: pullback takes float64, float32, integers and bool")
        leaves.append(Abstract(dtype, tuple(map(int, shape))))
    form = traceable.trace(leaves, Tree(tuple, (), (tree, flatten({})[1]), tree.count))
    results = []
    for entry in form.results:
        type_ = form.program.results[entry.k].type if hasattr(entry, "k") else None
        if type_ is None or any(isinstance(d, str) for d in type_.dims):
            raise TypeMismatch(
                "JAX needs arrays whose shapes follow from the shapes of the arguments: return them padded"
            )
        results.append((type_.dims, type_.numpy))
    return form.out, results


def _arguments(tree: Tree, flat: Sequence[Any]) -> Any:
    return tree.unflatten([_array(value) for value in flat])


def _array(value: Any) -> Any:
    array = np.asarray(value)
    return array if array.ndim else array[()]
