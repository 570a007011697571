"""NumPy and SciPy functions on symbols: every call gives what NumPy gives, and so does its gradient.

A case is a function and its arguments as types: `n m` is a float64 array of two symbolic sizes, `3 n` has a fixed
one, `` is a float. Prefixes: `f4:` float32, `i8:` integers, `b:` booleans, `+:` positive floats, `u:` floats
in (0, 1). Each is traced once and run at two sizes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.errors import PullbackError
from pullback.ir.evaluate import evaluate
from pullback.ir.primitive import REGISTRY
from pullback.ir.program import Program
from pullback.ir.text import show
from pullback.ir.verify import verify
from pullback.tracer.outside import small_sizes
from pullback.tracer.trace import Traced, trace

SIZES = ({"n": 4, "m": 3, "k": 5, "p": 2}, {"n": 6, "m": 5, "k": 3, "p": 4})
CASES: list[Any] = []


def case(name: str, function: Callable[..., Any], *types: str, flat: bool = False) -> None:
    """`flat`: the derivative is 0 or there is none."""
    CASES.append(pytest.param(function, types, flat, id=name))


def flatten(result: Any) -> tuple[list[Any], Any]:
    return (list(result), type(result)) if isinstance(result, (tuple, list)) else ([result], None)


def traced(function: Callable[..., Any], arguments: list[Any]) -> Traced:
    names = list(inspect.signature(function).parameters)
    return trace(function, arguments, names, lambda leaves: (tuple(leaves), {}), flatten=flatten)


def sample(type: str, sizes: dict[str, int], rng: np.random.Generator) -> Any:
    kind, _, dims = type.rpartition(":")
    shape = tuple(sizes[d] if d in sizes else int(d) for d in dims.split())
    match kind:
        case "i8":
            return rng.integers(0, 3, size=shape)
        case "b":
            return rng.random(shape) < 0.5
        case "+":
            value: Any = rng.uniform(0.5, 2.0, size=shape)
        case "u":
            value = rng.uniform(0.1, 0.9, size=shape)
        case _:
            value = rng.normal(size=shape).astype(np.float32 if kind == "f4" else np.float64)
    return value if shape else value.dtype.type(value) if kind == "f4" else float(value)


@pytest.fixture(autouse=True)
def sizes_are_symbols(monkeypatch):
    """Also small ones that a function runs over in a loop: one trace is run at two sizes."""
    monkeypatch.setattr(small_sizes, "SMALL", 1)


def fits(t: Traced, values: list[Any]) -> bool:
    """Do these arguments pass the guards of the trace?"""
    sizes = {
        name: int(values[k]) if axis < 0 else np.shape(values[k])[axis]
        for name, (k, axis) in t.size_slots.items()
    }
    static = all(
        np.shape(v) == tuple(s if d is None else d for s, d in zip(np.shape(v), i.sizes))
        for v, i in zip(values, t.inputs)
    )
    return static and (not t.guards or bool(eval(t.guards, sizes)))


# -- reductions ------------------------------------------------------------------------------------------

case("sum", lambda x: np.sum(x), "n m")
case("sum axis", lambda x: np.sum(x, axis=0), "n m")
case("sum negative axis", lambda x: x.sum(-1), "n m")
case("sum axes", lambda x: x.sum(axis=(0, 2)), "n m p")
case("sum keepdims", lambda x: x / x.sum(axis=1, keepdims=True), "+:n m")
case("sum all keepdims", lambda x: np.sum(x, keepdims=True), "n m")
case("sum of integers", lambda x: np.sum(x, axis=0), "i8:n m", flat=True)
case("sum of booleans", lambda x: np.sum(x), "b:n m", flat=True)
case("sum dtype", lambda x: np.sum(x, dtype=np.float64), "f4:n")
case("sum float32", lambda x: np.sum(x, axis=1), "f4:n m")
case("sum of a number", lambda x: np.sum(x), "")
case("sum of a list", lambda x, y: np.sum([x, y * 2.0]), "", "")
case("np.add.reduce", lambda x: np.add.reduce(x), "n m")
case("prod", lambda x: np.prod(x), "n")
case("prod of a matrix", lambda x: np.prod(x), "n m")
case("prod axis", lambda x: x.prod(axis=0), "n m")
case("prod axes keepdims", lambda x: np.prod(x, axis=(0, 2), keepdims=True), "n m p")
case("prod of few", lambda x: np.prod(x, axis=1), "n 3")
case("prod of integers", lambda x: np.prod(x), "i8:n", flat=True)
case("np.multiply.reduce", lambda x: np.multiply.reduce(x), "n m")
case("mean", lambda x: np.mean(x), "n m")
case("mean axis", lambda x: x.mean(axis=1), "n m")
case("mean keepdims", lambda x: x - x.mean(axis=0, keepdims=True), "n m")
case("mean float32", lambda x: np.mean(x), "f4:n")
case("mean of integers", lambda x: np.mean(x, axis=0), "i8:n m", flat=True)
case("var", lambda x: np.var(x), "n m")
case("var ddof", lambda x: x.var(axis=0, ddof=1), "n m")
case("var keepdims", lambda x: np.var(x, axis=-1, keepdims=True), "n m")
case("std", lambda x: np.std(x), "n m")
case("std axis ddof", lambda x: x.std(axis=1, ddof=1), "n m")
case("std float32", lambda x: np.std(x, axis=0), "f4:n m")
case("average", lambda x: np.average(x, axis=0), "n m")
case("average weights", lambda x, w: np.average(x, weights=w), "n m", "+:n m")
case("average axis weights", lambda x, w: np.average(x, axis=1, weights=w), "n m", "+:m")
case("average returned", lambda x, w: np.average(x, axis=0, weights=w, returned=True), "n m", "+:n")
case("max", lambda x: np.max(x), "n m")
case("max axis", lambda x: x.max(axis=0), "n m")
case("max axes keepdims", lambda x: np.max(x, axis=(0, 1), keepdims=True), "n m p")
case("amax", lambda x: np.amax(x, -1), "n m")
case("min", lambda x: x.min(), "n m")
case("min axis", lambda x: np.min(x, axis=1), "n m")
case("max of booleans", lambda x: np.max(x, axis=0), "b:n m", flat=True)
case("np.maximum.reduce", lambda x: np.maximum.reduce(x), "n m")
case("np.minimum.reduce", lambda x: np.minimum.reduce(x, axis=1), "n m")
case("ptp", lambda x: np.ptp(x, axis=0), "n m")
case("any", lambda x: np.any(x > 0, axis=0), "n m", flat=True)
case("all", lambda x: (x > -1).all(), "n m", flat=True)
case("any of floats", lambda x: np.any(x), "n m", flat=True)
case("np.logical_or.reduce", lambda x: np.logical_or.reduce(x > 0), "n m", flat=True)
case("np.logical_and.reduce", lambda x: np.logical_and.reduce(x > 0), "n m", flat=True)
case("count_nonzero", lambda x: np.count_nonzero(x > 0, axis=1), "n m", flat=True)
case("argmax", lambda x: np.argmax(x), "n m", flat=True)
case("argmax axis", lambda x: x.argmax(axis=0), "n m", flat=True)
case("argmin keepdims", lambda x: np.argmin(x, axis=1, keepdims=True), "n m", flat=True)
case("max at argmax", lambda x: x[np.argmax(x)] * 2.0, "n")
case("nansum", lambda x: np.nansum(np.where(x > 0, x, np.nan), axis=0), "n m")
case("nanmean", lambda x: np.nanmean(np.where(x > -0.5, x, np.nan)), "n m")
case("nanvar", lambda x: np.nanvar(np.where(x > -0.5, x, np.nan)), "n m")
case("nanstd", lambda x: np.nanstd(np.where(x > -0.5, x, np.nan), axis=0, keepdims=True), "k 9")
case("nanmax", lambda x: np.nanmax(np.where(x > -0.5, x, np.nan)), "n m")
case("nanmin", lambda x: np.nanmin(np.where(x > -0.5, x, np.nan)), "n m")
case("nanprod", lambda x: np.nanprod(np.where(x > -0.5, x, np.nan)), "n m")
case("nanargmax", lambda x: np.nanargmax(np.where(x > -0.5, x, np.nan), axis=1), "3 9", flat=True)
case("nanargmin", lambda x: np.nanargmin(np.where(x > -0.5, x, np.nan)), "n m", flat=True)
case("nancumsum", lambda x: np.nancumsum(np.where(x > -0.5, x, np.nan)), "n m")
case("nancumprod", lambda x: np.nancumprod(np.where(x > -0.5, x, np.nan)), "n")
case("cumsum", lambda x: np.cumsum(x), "n m")
case("cumsum axis", lambda x: x.cumsum(axis=0), "n m")
case("cumsum of booleans", lambda x: np.cumsum(x), "b:n", flat=True)
case("cumprod", lambda x: np.cumprod(x), "n")
case("cumprod axis", lambda x: x.cumprod(axis=0), "n m")
case("cumprod middle axis", lambda x: np.cumprod(x, axis=1), "n m p")
case("np.add.accumulate", lambda x: np.add.accumulate(x), "n m")
case("np.multiply.accumulate", lambda x: np.multiply.accumulate(x, axis=1), "n m")
case("np.maximum.accumulate", lambda x: np.maximum.accumulate(x), "n m")
case("np.minimum.accumulate", lambda x: np.minimum.accumulate(x, axis=1), "n m")
case("np.logaddexp.reduce", lambda x: np.logaddexp.reduce(x), "n m")
case("sum out", lambda x: np.sum(x, axis=0, out=np.zeros(x.shape[1])) * 2.0, "n m")
case("builtin sum of an array", lambda x: sum(x), "n m")
case("builtin sum of a list", lambda x, y: sum([x, y, x * y]), "n", "n")
case("builtin sum with start", lambda x, y: sum([x, y], 1.0), "", "")
case("builtin max", lambda x, y: max(x, y, 0.1), "", "")
case("builtin min", lambda x, y: min(x, y), "", "")
case("builtin max of an array", lambda x: max(x), "n")
case("builtin any", lambda x, y: any([x > 0, y > 0]), "", "", flat=True)
case("builtin all of an array", lambda x: all(x > -9), "n", flat=True)
case("math.fsum", lambda x, y: math.fsum([x, y]), "", "")
case("math.prod", lambda x, y: math.prod([x, y, x]), "", "")

# -- products --------------------------------------------------------------------------------------------

case("dot 1 1", lambda x, y: np.dot(x, y), "n", "n")
case("dot 2 1", lambda x, y: x.dot(y), "n m", "m")
case("dot 1 2", lambda x, y: np.dot(x, y), "n", "n m")
case("dot 2 2", lambda x, y: np.dot(x, y), "n m", "m k")
case("dot 3 2", lambda x, y: np.dot(x, y), "n m k", "k p")
case("dot 3 1", lambda x, y: np.dot(x, y), "n m k", "k")
case("dot of numbers", lambda x, y: np.dot(x, y), "", "n")
case("@ 1 1", lambda x, y: x @ y, "n", "n")
case("@ 2 2", lambda x, y: x @ y, "n m", "m k")
case("@ stacked", lambda x, y: x @ y, "k n m", "k m p")
case("@ stack and matrix", lambda x, y: x @ y, "k n m", "m p")
case("@ broadcast stacks", lambda x, y: x @ y, "k 1 n m", "p m n")
case("@ stack and vector", lambda x, y: x @ y, "k n m", "m")
case("@ vector and stack", lambda x, y: x @ y, "n", "k n m")
case("@ transposed", lambda x: x.T @ x, "n m")
case("@ float32", lambda x, y: x @ y, "f4:n m", "f4:m")
case("@ mixed", lambda x, y: x @ y, "n m", "f4:m")
case("@ integers", lambda x, y: x @ y, "i8:n m", "i8:m", flat=True)
case("matmul", lambda x, y: np.matmul(x, y), "n m", "m k")
case("inner", lambda x, y: np.inner(x, y), "n m", "k m")
case("inner of vectors", lambda x, y: np.inner(x, y), "n", "n")
case("outer", lambda x, y: np.outer(x, y), "n", "m")
case("outer of matrices", lambda x, y: np.outer(x, y), "n m", "k")
case("vdot", lambda x, y: np.vdot(x, y), "n m", "n m")
case("tensordot 2", lambda x, y: np.tensordot(x, y), "n m k", "m k p")
case("tensordot 1", lambda x, y: np.tensordot(x, y, 1), "n m", "m k")
case("tensordot 0", lambda x, y: np.tensordot(x, y, axes=0), "n", "m k")
case("tensordot axes", lambda x, y: np.tensordot(x, y, axes=([0, 2], [1, 0])), "n m k", "k n p")
case("tensordot axis", lambda x, y: np.tensordot(x, y, axes=(0, 1)), "n m", "k n")
case("tensordot all", lambda x, y: np.tensordot(x, y, axes=([0, 1], [0, 1])), "n m", "n m")
case("kron", lambda x, y: np.kron(x, y), "n m", "k p")
case("kron of vectors", lambda x, y: np.kron(x, y), "n", "m")
case("cross", lambda x, y: np.cross(x, y), "3", "3")
case("cross of stacks", lambda x, y: np.cross(x, y), "n 3", "n 3")
case("cross axis", lambda x, y: np.cross(x, y, axis=0), "3 n", "3 n")
case("vecdot", lambda x, y: np.vecdot(x, y), "n m", "n m")
case("multi_dot", lambda x, y, z: np.linalg.multi_dot([x, y, z]), "n m", "m k", "k p")
case("matrix_power", lambda x: np.linalg.matrix_power(x, 3), "n n")
case("matrix_power 0", lambda x: np.linalg.matrix_power(x, 0) + x, "n n")
case("einsum matmul", lambda x, y: np.einsum("ij,jk->ik", x, y), "n m", "m k")
case("einsum transposed", lambda x, y: np.einsum("ji,kj->ik", x, y), "m n", "k m")
case("einsum implicit", lambda x, y: np.einsum("ij,jk", x, y), "n m", "m k")
case("einsum matvec", lambda x, y: np.einsum("ij,j->i", x, y), "n m", "m")
case("einsum vecmat", lambda x, y: np.einsum("i,ij", x, y), "n", "n m")
case("einsum outer", lambda x, y: np.einsum("i,j->ij", x, y), "n", "m")
case("einsum dot", lambda x, y: np.einsum("i,i", x, y), "n", "n")
case("einsum full", lambda x, y: np.einsum("ij,ij->", x, y), "n m", "n m")
case("einsum rows", lambda x, y: np.einsum("ij,ij->i", x, y), "n m", "n m")
case("einsum batched", lambda x, y: np.einsum("bij,bjk->bik", x, y), "k n m", "k m p")
case("einsum batched last", lambda x, y: np.einsum("ijb,jkb->bik", x, y), "n m k", "m p k")
case("einsum bilinear", lambda x, a, y: np.einsum("i,ij,j->", x, a, y), "n", "n m", "m")
case("einsum three", lambda x, y, z: np.einsum("ij,jk,kl->il", x, y, z), "n m", "m k", "k p")
case("einsum diagonal", lambda x: np.einsum("ii->i", x), "n n")
case("einsum trace", lambda x: np.einsum("ii", x), "n n")
case("einsum diagonal of three", lambda x: np.einsum("iij->ji", x), "n n m")
case("einsum transpose", lambda x: np.einsum("ijk->kji", x), "n m k")
case("einsum sum", lambda x: np.einsum("ij->j", x), "n m")
case("einsum contract two", lambda x, y: np.einsum("ijk,jkl->il", x, y), "n m k", "m k p")
case("einsum ellipsis", lambda x, y: np.einsum("...ij,...jk->...ik", x, y), "k n m", "k m p")
case("einsum ellipsis broadcast", lambda x, y: np.einsum("...i,i->...", x, y), "k n m", "m")
case("einsum of size 1", lambda x, y: np.einsum("ij,ij->ij", x, y), "1 m", "n m")
case("einsum of integers", lambda x, y: np.einsum("ij,j->i", x, y), "i8:n m", "i8:m", flat=True)
case("trace", lambda x: np.trace(x), "n m")
case("trace offset", lambda x: x.trace(offset=1), "n n")
case("trace of a stack", lambda x: np.trace(x, axis1=1, axis2=2), "k n m")
case("diag of a vector", lambda x: np.diag(x), "n")
case("diag of a vector above", lambda x: np.diag(x, 2), "n")
case("diag of a vector below", lambda x: np.diag(x, -1), "n")
case("diag of a matrix", lambda x: np.diag(x), "n m")
case("diag of a matrix above", lambda x: np.diag(x, k=1), "n n")
case("diagonal", lambda x: np.diagonal(x, offset=-1), "n m")
case("diagonal of a stack", lambda x: x.diagonal(axis1=0, axis2=2), "n m n")
case("diagflat", lambda x: np.diagflat(x), "n m")
case("tril", lambda x: np.tril(x), "n m")
case("tril above", lambda x: np.tril(x, 1), "k n m")
case("triu", lambda x: np.triu(x), "n m")
case("triu below", lambda x: np.triu(x, k=-1), "n m")
case("norm", lambda x: np.linalg.norm(x), "n m")
case("norm of rows", lambda x: np.linalg.norm(x, axis=1), "n m")
case("norm keepdims", lambda x: x / np.linalg.norm(x, axis=0, keepdims=True), "n m")
case("norm 1", lambda x: np.linalg.norm(x, 1), "n")
case("norm 2", lambda x: np.linalg.norm(x, 2), "n")
case("norm 3", lambda x: np.linalg.norm(x, 3, axis=0), "n m")
case("norm inf", lambda x: np.linalg.norm(x, np.inf), "n")
case("norm -inf", lambda x: np.linalg.norm(x, -np.inf), "n")
case("norm 0", lambda x: np.linalg.norm(x, 0), "n", flat=True)
case("norm fro", lambda x: np.linalg.norm(x, "fro"), "n m")
case("norm of a matrix 1", lambda x: np.linalg.norm(x, 1), "n m")
case("norm of a matrix inf", lambda x: np.linalg.norm(x, np.inf, axis=(0, 1), keepdims=True), "n m")
case("vector_norm", lambda x: np.linalg.vector_norm(x), "n m")

# -- shapes ----------------------------------------------------------------------------------------------

case("reshape", lambda x: x.reshape(x.shape[1], x.shape[0]) * 2.0, "n m")
case("reshape -1", lambda x: np.reshape(x, -1) * 2.0, "n m")
case("reshape by halves", lambda x: x.reshape(x.shape[0] // 2, 2).sum(axis=1), "n")
case("reshape by -1 and 2", lambda x: x.reshape(-1, 2).sum(axis=0), "n m 2")
case("reshape n,-1", lambda x: x.reshape(x.shape[0], -1).max(axis=1), "n m p")
case("reshape order F", lambda x: np.reshape(x, -1, order="F") * 2.0, "n m")
case("reshape of a number", lambda x: np.reshape(x, (1, 1)), "")
case("reshape to one", lambda x: x.reshape(1, -1, 1), "n m")
case("ravel", lambda x: x.ravel() ** 2, "n m")
case("ravel transposed", lambda x: x.T.ravel(), "n m")
case("flatten", lambda x: x.flatten() * 3.0, "n m")
case("flatten F", lambda x: x.flatten("F"), "n m")
case("transpose", lambda x: np.transpose(x) * 2.0, "n m")
case("transpose axes", lambda x: x.transpose(2, 0, 1) * 1.0, "n m k")
case("T", lambda x: x.T * 1.0, "n m k")
case("mT", lambda x: x.mT * 1.0, "n m k")
case("swapaxes", lambda x: x.swapaxes(0, -1) * 1.0, "n m k")
case("moveaxis", lambda x: np.moveaxis(x, 0, -1) * 1.0, "n m k")
case("moveaxis several", lambda x: np.moveaxis(x, [0, 1], [-1, -2]) * 1.0, "n m k")
case("rollaxis", lambda x: np.rollaxis(x, 2) * 1.0, "n m k")
case("squeeze", lambda x: x.squeeze() * 1.0, "1 n 1")
case("squeeze axis", lambda x: np.squeeze(x, axis=2) * 1.0, "1 n 1")
case("expand_dims", lambda x: np.expand_dims(x, (0, 2)) * 1.0, "n m")
case("broadcast_to", lambda x: np.broadcast_to(x, (3, x.shape[0])) * 1.0, "n")
case("broadcast_to of a number", lambda x, y: np.broadcast_to(x, y.shape) * y, "", "n m")
case("broadcast_arrays", lambda x, y: np.broadcast_arrays(x, y), "n 1", "m")
case("atleast_1d", lambda x: np.atleast_1d(x), "")
case("atleast_2d", lambda x: np.atleast_2d(x) * 1.0, "n")
case("atleast_3d", lambda x: np.atleast_3d(x) * 1.0, "n m")
case("concatenate", lambda x, y: np.concatenate([x, y, x]), "n m", "k m")
case("concatenate axis", lambda x, y: np.concatenate((x, y), axis=1), "n m", "n k")
case("concatenate none", lambda x, y: np.concatenate((x, y), axis=None), "n m", "k")
case("concatenate one array", lambda x: np.concatenate(x, axis=1), "n m k")
case("concatenate dtypes", lambda x, y: np.concatenate([x, y]), "n", "i8:k")
case("stack", lambda x, y: np.stack([x, y]), "n m", "n m")
case("stack last", lambda x, y: np.stack([x, y], axis=-1), "n", "n")
case("vstack", lambda x, y: np.vstack([x, y]), "n", "n")
case("hstack", lambda x, y: np.hstack([x, y]), "n", "k")
case("hstack matrices", lambda x, y: np.hstack([x, y]), "n m", "n k")
case("dstack", lambda x, y: np.dstack([x, y]), "n m", "n m")
case("column_stack", lambda x, y: np.column_stack([x, y]), "n", "n m")
case("block", lambda a, b, c, d: np.block([[a, b], [c, d]]), "n m", "n k", "p m", "p k")
case("append", lambda x, y: np.append(x, y), "n m", "k")
case("append axis", lambda x, y: np.append(x, y, axis=0), "n m", "k m")
case("insert", lambda x, v: np.insert(x, 1, v), "n", "")
case("insert several", lambda x, v: np.insert(x, -1, v), "n", "k")
case("insert axis", lambda x, v: np.insert(x, 1, v, axis=1), "n m", "n")
case("delete", lambda x: np.delete(x, -2), "n")
case("delete axis", lambda x: np.delete(x, 0, axis=1), "n m")
case("split", lambda x: np.split(x, 2), "n")
case("split places", lambda x: np.split(x, [1, 3]), "n m")
case("array_split", lambda x: np.array_split(x, 3), "k")
case("hsplit", lambda x: np.hsplit(x, [1]), "n m")
case("vsplit", lambda x: np.vsplit(x, 2), "n m")
case("unstack", lambda x: np.unstack(x), "3 n")
case("flip", lambda x: np.flip(x) * 1.0, "n m")
case("flip axis", lambda x: np.flip(x, axis=1) * 1.0, "n m")
case("flipud", lambda x: np.flipud(x) * 1.0, "n m")
case("fliplr", lambda x: np.fliplr(x) * 1.0, "n m")
case("rot90", lambda x: np.rot90(x) * 1.0, "n m")
case("rot90 twice", lambda x: np.rot90(x, 2) * 1.0, "n m")
case("rot90 back", lambda x: np.rot90(x, -1) * 1.0, "n m")
case("roll", lambda x: np.roll(x, 1), "n")
case("roll back", lambda x: np.roll(x, -2, axis=0), "n m")
case("roll flat", lambda x: np.roll(x, 2), "n m")
case("roll axes", lambda x: np.roll(x, (1, 1), axis=(0, 1)), "n m")
case("roll far", lambda x: np.roll(x, 7), "n")
case("repeat", lambda x: np.repeat(x, 3), "n m")
case("repeat axis", lambda x: x.repeat(2, axis=0), "n m")
case("tile", lambda x: np.tile(x, 3), "n")
case("tile axes", lambda x: np.tile(x, (2, 1, 2)), "n m")
case("pad", lambda x: np.pad(x, 1), "n m")
case("pad pairs", lambda x: np.pad(x, ((1, 0), (2, 3))), "n m")
case("pad constants", lambda x, c: np.pad(x, (1, 2), constant_values=(1.0, c)), "n", "")
case("pad edge", lambda x: np.pad(x, (1, 2), mode="edge"), "n m")
case("pad reflect", lambda x: np.pad(x, (1, 2), mode="reflect"), "n 4")
case("pad symmetric", lambda x: np.pad(x, 2, mode="symmetric"), "n")
case("pad wrap", lambda x: np.pad(x, (2, 1), mode="wrap"), "n")
case("take", lambda x: np.take(x, [0, 2, 0]), "n")
case("take axis", lambda x, i: x.take(i, axis=1), "n m", "i8:k")
case("take wrap", lambda x: np.take(x, np.array([7, -1]), mode="wrap"), "n m")
case("take_along_axis", lambda x: np.take_along_axis(x, np.argmax(x, axis=1)[:, None], axis=1), "n m")
case("compress", lambda x, b: np.compress(b, x, axis=0).sum(), "n m", "b:n")
case("compress method", lambda x: x.compress(np.array([True, False, True]), axis=0), "3 m")
case("extract", lambda x: np.extract(x > 0, x).sum(), "n m")
case("meshgrid", lambda x, y: np.meshgrid(x, y), "n", "m")
case("meshgrid ij", lambda x, y: np.meshgrid(x, y, indexing="ij", sparse=True), "n", "m")
case("item", lambda x: x.item() * 2.0, "1 1")
case("item place", lambda x: x.item(2) * 2.0, "n")
case("astype", lambda x: x.astype(np.float32), "n")
case("ix_", lambda x: x[np.ix_([0, 2], np.arange(2))] * 2.0, "n m")
case("bincount", lambda i: np.bincount(i, minlength=3), "i8:n", flat=True)
case("bincount weights", lambda i, w: np.bincount(i, w, 5) * 2.0, "i8:n", "n")
case("np.ix_ by hand", lambda x: x[np.arange(2)[:, None], np.array([0, 2])], "n m")

# -- making arrays ---------------------------------------------------------------------------------------

case("arange", lambda x: x * np.arange(x.shape[0]), "n")
case("arange floats", lambda x: np.arange(0.0, 1.0, 0.25) * x, "")
case("arange start step", lambda x: np.arange(1, 2 * x.shape[0], 2) * x, "n")
case("arange dtype", lambda x: np.arange(3, dtype=np.float32) * x, "f4:3")
case("linspace", lambda x, y: np.linspace(x, y, 7), "", "")
case("linspace n", lambda x: np.linspace(0.0, 1.0, x.shape[0]) * x, "n")
case("linspace open", lambda x: np.linspace(0, x, 4, endpoint=False), "")
case("linspace retstep", lambda x: np.linspace(0, x, 4, retstep=True), "")
case("linspace of arrays", lambda x, y: np.linspace(x, y, 4), "n", "n")
case("linspace of arrays axis", lambda x, y: np.linspace(x, y, 4, axis=-1), "n", "n")
case("linspace 1", lambda x: np.linspace(x, 2.0, 1), "")
case("logspace", lambda x: np.logspace(0.0, x, 4), "")
case("geomspace", lambda x, y: np.geomspace(x, y, 5), "+:", "+:")
case("eye", lambda x: np.eye(x.shape[0]) * x, "n")
case("eye offset", lambda x: np.eye(3, 4, 1) * x, "")
case("identity", lambda x: np.identity(x.shape[0]) @ x, "n")
case("tri", lambda x: np.tri(x.shape[0], k=-1) @ x, "n")
case("tril_indices", lambda x: x[np.tril_indices(x.shape[0])] * 1.0, "n n")
case("triu_indices", lambda x: x[np.triu_indices(x.shape[0], 1)] * 1.0, "n n")
case("diag_indices", lambda x: x[np.diag_indices(x.shape[0])] * 1.0, "n n")
case("tril_indices_from", lambda x: x[np.tril_indices_from(x, -1)] * 1.0, "n m")
case("diag_indices_from", lambda x: x[np.diag_indices_from(x)] * 1.0, "n n")
case("indices", lambda x: np.indices(x.shape).sum(axis=0) * x, "n m")
case("vander", lambda x: np.vander(x, 3), "n")
case("vander increasing", lambda x: np.vander(x, increasing=True), "n")
case("full_like", lambda x, y: np.full_like(x, y), "n m", "")
case("ones_like", lambda x: np.ones_like(x) * x, "n m")

# -- values ----------------------------------------------------------------------------------------------

case("heaviside", lambda x: np.heaviside(x, 0.5) * x, "n")
case("heaviside float32", lambda x: np.heaviside(x, 0.5) * x, "f4:n")
case("sinc", lambda x: np.sinc(x), "n m")
case("sinc near 0", lambda x: np.sinc(x * 0.01), "n m")
case("nan_to_num", lambda x: np.nan_to_num(np.where(x > 0, x, np.nan), nan=1.0), "n")
case("isclose", lambda x, y: np.isclose(x, y, atol=0.5), "n", "n", flat=True)
case("allclose", lambda x: np.allclose(x, x + 1e-12), "n", flat=True)
case("array_equal", lambda x: np.array_equal(x, x * 1.0), "n", flat=True)
case("array_equal of other shapes", lambda x, y: np.array_equal(x, y), "n", "n m", flat=True)
case("fmax", lambda x, y: np.fmax(x, y), "n", "n")
case("fmin", lambda x, y: np.fmin(x, np.where(y > 0, y, np.nan)), "n", "n")
case("float_power", lambda x: np.float_power(x, 2), "+:n")
case("float_power of integers", lambda x, y: np.float_power(x + 1, y), "i8:n", "")
case("ldexp", lambda x, i: np.ldexp(x, i), "n", "i8:n")
case("modf", lambda x: np.modf(x * 3.0), "n")
case("signbit", lambda x: np.signbit(x), "n", flat=True)
case("real", lambda x: np.real(x) + x.imag + np.conj(x), "n")
case("angle", lambda x: np.angle(x) * x, "n")
case("np.astype", lambda x: np.astype(x, np.float64) * 2.0, "n")
case("unwrap", lambda x: np.unwrap(x * 4.0), "n")
case("np.subtract.outer", lambda x, y: np.subtract.outer(x, y), "n", "m")
case("np.add.outer", lambda x, y: np.add.outer(x, y), "n m", "k")
case("select", lambda x: np.select([x < -0.5, x < 0.5], [x * 2.0, x**2], 1.0), "n")
case("piecewise", lambda x: np.piecewise(x, [x < -0.5, x > 0.5], [lambda t: t * t, 2.0, np.sin]), "n m")
case("where of nonzero", lambda x: x[np.where(x > 0)] * 2.0, "n m")
case("nonzero", lambda x: np.nonzero(x > 0), "n m", flat=True)
case("flatnonzero", lambda x: np.flatnonzero(x > 0), "n m", flat=True)
for op in REGISTRY.values():
    if op.numpy == f"scipy.special.{op.name}" and op.partials is not None:
        fixed = [0.7, 1.3, 2.2][: sum(p is NotImplemented for p in op.partials)]
        known = len(op.partials) - len(fixed)
        case(f"special {op.name}", eval(f"lambda x, y: f(*a, {'x, y' if known == 2 else 'x'}) * y",
             {"f": getattr(sp, op.name), "a": fixed}), "u:n", "u:")  # fmt: skip
case("comb", lambda x: sp.comb(5, x) + sp.factorial(x), "u:n")
case("searchsorted", lambda x, y: np.searchsorted(np.cumsum(x), y), "+:n", "m", flat=True)
case("searchsorted right", lambda x: np.searchsorted(np.arange(4), x, side="right"), "i8:m", flat=True)
case("interp", lambda x, y, z: np.interp(x, np.cumsum(y), z), "+:n", "+:m", "m")
case("interp of a number", lambda x, y: np.interp(x, np.arange(y.shape[0]), y), "+:", "n")
case("diff", lambda x: np.diff(x), "n m")
case("diff twice", lambda x: np.diff(x, n=2, axis=0), "n m")
case("diff prepend", lambda x: np.diff(x, prepend=0.0), "n")
case("ediff1d", lambda x: np.ediff1d(x), "n m")
case("ediff1d ends", lambda x: np.ediff1d(x, to_end=[1.0, 2.0], to_begin=0.0), "n")
case("gradient", lambda x: np.gradient(x), "n")
case("gradient spacing", lambda x, h: np.gradient(x, h, axis=0), "n m", "+:")
case("gradient all axes", lambda x: np.gradient(x, 2.0), "n m")
case("gradient order 2", lambda x: np.gradient(x, edge_order=2), "n")
case("trapezoid", lambda x: np.trapezoid(x), "n")
case("trapezoid x", lambda y, x: np.trapezoid(y, x), "n m", "m")
case("trapezoid dx axis", lambda y: np.trapezoid(y, dx=0.5, axis=0), "n m")
case("convolve", lambda x, y: np.convolve(x, y), "n", "p")
case("convolve same", lambda x, y: np.convolve(x, y, "same"), "n", "p")
case("convolve valid", lambda x, y: np.convolve(x, y, mode="valid"), "n", "p")
case("convolve shorter first", lambda x, y: np.convolve(x, y, "full"), "p", "n")
case("convolve same odd", lambda x, y: np.convolve(x, y, "same"), "n", "3")
case("correlate", lambda x, y: np.correlate(x, y), "n", "p")
case("correlate same", lambda x, y: np.correlate(x, y, "same"), "n", "p")
case("correlate same odd", lambda x, y: np.correlate(x, y, "same"), "n", "3")
case("correlate full shorter first", lambda x, y: np.correlate(x, y, "full"), "p", "n")
case("polyval", lambda p, x: np.polyval(p, x), "n", "m")
case("polyval of a number", lambda p, x: np.polyval(p, x), "n", "")
case("polyval of a list", lambda a, b, x: np.polyval([a, b, 1.0], x), "", "", "m")
case("cov", lambda x: np.cov(x), "n m")
case("cov columns", lambda x: np.cov(x, rowvar=False, bias=True), "n m")
case("cov of two", lambda x, y: np.cov(x, y), "n", "n")
case("cov of one", lambda x: np.cov(x), "n")
case("corrcoef", lambda x: np.corrcoef(x), "3 k")
case("np.isscalar", lambda x, y: x * 2.0 if np.isscalar(y) else x, "n", "")
case("isinstance", lambda x: x * 2.0 if isinstance(x, np.ndarray) else x, "n")
case("isinstance float", lambda x: x * 2.0 if isinstance(x, float) else x, "")
case("np.ndim", lambda x: x * np.ndim(x), "n m")
case("np.result_type", lambda x: x * (2.0 if np.result_type(x) == np.float32 else 1.0), "f4:n")

# -- scipy.special ---------------------------------------------------------------------------------------

case("erf", lambda x: sp.erf(x), "n m")
case("erfc", lambda x: sp.erfc(x), "n")
case("expit", lambda x: sp.expit(x), "n")
case("expit float32", lambda x: sp.expit(x), "f4:n")
case("logit", lambda x: sp.logit(x), "u:n")
case("log_expit", lambda x: sp.log_expit(x), "n")
case("gammaln", lambda x: sp.gammaln(x), "+:n")
case("loggamma", lambda x: sp.loggamma(x), "+:n")
case("gamma", lambda x: sp.gamma(x), "+:n")
case("gamma of negative", lambda x: sp.gamma(-x), "u:n")
case("digamma", lambda x: sp.digamma(x), "+:n")
case("psi", lambda x: sp.psi(x), "+:")
case("polygamma", lambda x: sp.polygamma(1, x), "+:n")
case("beta", lambda x, y: sp.beta(x, y), "+:n", "+:")
case("beta of negative", lambda x, y: sp.beta(-x, y), "u:n", "+:n")
case("betaln", lambda x, y: sp.betaln(x, y), "+:n", "+:n")
case("multigammaln", lambda x: sp.multigammaln(x + 2.0, 3), "+:n")
case("xlogy", lambda x, y: sp.xlogy(x, y), "n", "+:n")
case("xlog1py", lambda x, y: sp.xlog1py(x, y), "n", "+:n")
case("entr", lambda x: sp.entr(x), "+:n")
case("rel_entr", lambda x, y: sp.rel_entr(x, y), "+:n", "+:n")
case("kl_div", lambda x, y: sp.kl_div(x, y), "+:n", "+:n")
case("huber", lambda x: sp.huber(1.0, x), "n m")
case("pseudo_huber", lambda d, x: sp.pseudo_huber(d, x), "+:", "n")
case("ndtr", lambda x: sp.ndtr(x), "n")
case("log_ndtr", lambda x: sp.log_ndtr(x), "n")
case("log_ndtr in the tail", lambda x: sp.log_ndtr(x - 30.0), "n")
case("log_ndtr to the right", lambda x: sp.log_ndtr(x + 5.0), "n")
case("log_ndtr float32", lambda x: sp.log_ndtr(x), "f4:n")
case("logsumexp", lambda x: sp.logsumexp(x), "n m")
case("logsumexp axis", lambda x: sp.logsumexp(x, axis=1), "n m")
case("logsumexp keepdims", lambda x: x - sp.logsumexp(x, axis=0, keepdims=True), "n m")
case("logsumexp of large", lambda x: sp.logsumexp(x * 1000.0, axis=-1), "n m")
case("logsumexp b", lambda x, b: sp.logsumexp(x, b=b, axis=1), "n m", "+:n m")
case("softmax", lambda x: sp.softmax(x, axis=1), "n m")
case("log_softmax", lambda x: sp.log_softmax(x, axis=0), "n m")
case("exprel", lambda x: sp.exprel(x) + sp.exprel(x * 0.01), "n m")
case("boxcox", lambda x, k: sp.boxcox(x, k) + sp.boxcox(x, k * 0.01), "+:n", "")
case("boxcox1p", lambda x, k: sp.boxcox1p(x, k), "+:n", "n")
case("exp10 cosm1", lambda x: sp.exp10(x) + sp.cosm1(x), "n")
case("sp.expm1", lambda x: sp.expm1(x) + sp.log1p(x) + sp.exp2(x) + sp.cbrt(x), "+:n")
case("math.gamma", lambda x: math.gamma(x), "+:")
case("math.lgamma", lambda x: math.lgamma(x), "+:")
case("math.pow", lambda x, y: math.pow(x, y), "+:", "")
case("math.dist", lambda x, y: math.dist([x, y], [0.0, 1.0]), "", "")


# -- the checks ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "types", "flat"), CASES)
def test_agrees_with_numpy(function, types, flat, rng):
    arguments = [sample(t, SIZES[0], rng) for t in types]
    t = traced(function, arguments)
    verify(t.program)
    places = [k for k, p in enumerate(t.leaves) if p is not None]
    check_run(function, t, arguments, places, flat, rng)
    if any(d in SIZES[0] for type in types for d in type.rpartition(":")[2].split()):
        arguments = [sample(t, SIZES[1], rng) for t in types]
        assert fits(t, [arguments[k] for k in places] + [h.value for h in t.hidden]), t.guards
        check_run(function, t, arguments, places, flat, rng)


def check_run(function, t: Traced, arguments: list[Any], places: list[int], flat: bool, rng) -> None:
    values = [arguments[k] for k in places] + [h.value for h in t.hidden]
    wanted = flatten(function(*(np.copy(a)[()] if isinstance(a, np.ndarray) else a for a in arguments)))[0]
    found = iter(evaluate(t.program, *values))
    single = any(v.dtype == np.float32 for v in values if isinstance(v, (np.ndarray, np.generic)))
    tolerance = {"rtol": 2e-5, "atol": 1e-6} if single else {"rtol": 1e-10, "atol": 1e-12}
    for want, (_, _, is_traced) in zip(wanted, t.out_leaves, strict=True):
        if not is_traced:
            continue
        have = next(found)
        assert np.shape(have) == np.shape(want)
        if not isinstance(want, (int, float)) or isinstance(want, np.generic):
            assert np.asarray(have).dtype == np.asarray(want).dtype
        np.testing.assert_allclose(have, want, **tolerance)
    check_gradient(function, t.program, arguments, places, values, flat, rng)


def check_gradient(
    function, program: Program, arguments: list[Any], places: list[int], values: list[Any], flat: bool, rng
) -> None:
    """The vector-Jacobian product against a difference quotient of NumPy's own function in a random direction."""
    wrt = [k for k, p in enumerate(program.params[: len(places)]) if p.type.dtype == "f64"]
    results = evaluate(program, *values)
    seeds = [
        rng.normal(size=np.shape(r)).astype(r.dtype)[()]
        for r, a in zip(results, program.results)
        if a.type.is_float
    ]
    if not wrt or not seeds:
        assert flat or any(a.type.dtype == "f32" for a in program.params)
        return
    pulled = evaluate(verify(adjoint(program, wrt)), *values, *seeds)
    direction = [rng.normal(size=np.shape(values[k])) for k in wrt]
    slope = sum(float(np.vdot(bar, u)) for bar, u in zip(pulled, direction))

    def moved(step: float) -> float:
        changed = list(arguments)
        for k, u in zip(wrt, direction):
            changed[places[k]] = (
                arguments[places[k]] + step * u if np.shape(u) else arguments[places[k]] + step * float(u)
            )
        out = [r for r in flatten(function(*changed))[0] if np.asarray(r).dtype.kind == "f"]
        return sum(float(np.vdot(s, r)) for s, r in zip(seeds, out))

    single = any(r.dtype == np.float32 for r in results)
    h = 1e-3 if single else 1e-6
    quotient = (moved(h) - moved(-h)) / (2.0 * h)
    scale = max(1.0, abs(quotient), *(float(np.max(np.abs(s), initial=0.0)) for s in seeds))
    assert abs(slope - quotient) <= (1e-2 if single else 2e-6) * scale, (slope, quotient)


# SciPy makes these float64 if one argument is a Python number, and float32 if none is.
WIDENED_BY_SCIPY = {"beta"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("function", "types"),
    [pytest.param(*c.values[:2], id=c.id) for c in CASES if c.id not in WIDENED_BY_SCIPY],
)
def test_single_precision_stays_where_numpy_keeps_it(function, types, rng):
    def narrow(value: Any) -> Any:
        return value.astype(np.float32) if getattr(value, "dtype", None) == np.float64 else value

    arguments = [narrow(sample(t, SIZES[0], rng)) for t in types]
    t = traced(function, arguments)
    values = [arguments[k] for k, p in enumerate(t.leaves) if p is not None] + [h.value for h in t.hidden]
    found = iter(evaluate(t.program, *values))
    for want, (_, _, is_traced) in zip(flatten(function(*arguments))[0], t.out_leaves, strict=True):
        have = next(found) if is_traced else want
        if is_traced and (isinstance(want, (np.generic, np.ndarray))):
            assert have.dtype == want.dtype
            np.testing.assert_allclose(have, want, rtol=3e-4, atol=1e-4)


# -- views -----------------------------------------------------------------------------------------------


def write_reshaped(x):
    y = x * 1.0
    y.reshape(-1)[3] = 7.0
    y[1:3].ravel()[1] = 5.0
    y[1].reshape(2, -1)[1, 0] = 3.0
    return y


def write_transposed(x):
    y = x * 1.0
    y.T[1, 2] = 7.0
    np.swapaxes(y, 0, 1)[2, 1] = 1.0
    np.moveaxis(y, 0, 1)[0, 0] = x[0, 0] ** 2
    np.rot90(y)[0, 0] = 11.0
    return y


def write_flipped(x):
    y = x * 1.0
    r = np.flip(y, 0)
    r[0, 1] = x[1, 0] * 3.0
    np.expand_dims(y, 1)[1, 0, 1] = 5.0
    np.atleast_3d(y)[0, 2, 0] = 4.0
    return y + r


def write_split(x):
    y = x * 1.0
    a, b = np.split(y, 2)
    a[0] = 3.0
    b += a
    return y


def write_copies(x):
    y = x * 1.0
    y.T.reshape(-1)[0] = 100.0
    y[:, 1:].ravel()[0] = 100.0
    y.flatten()[0] = 100.0
    np.take(y, [0], axis=0)[0, 0] = 100.0
    return y


def write_with_functions(x):
    y = x * 1.0
    np.fill_diagonal(y, 2.0)
    np.add.at(y, (np.array([0, 0, 1]), np.array([1, 1, 2])), x[0, 0])
    np.subtract.at(y, (0, 0), 1.0)
    np.copyto(y[2], 1.0)
    np.put_along_axis(y, np.array([[1], [2], [0], [1]]), 6.0, axis=1)
    np.putmask(y, y > 6.5, 0.5)
    y[3].fill(x[1, 1])
    np.put(y, [1, 8], x[0, :2])
    return y


def write_out(x):
    y = np.zeros((x.shape[0], 6))
    np.multiply(x, 2.0, out=y)
    np.sum(x, axis=0, out=y[1])
    np.matmul(x, x.T, out=y[:, :4])
    np.cumsum(x[0], out=y[3])
    return y


@pytest.mark.parametrize(
    "function",
    [
        write_reshaped,
        write_transposed,
        write_flipped,
        write_split,
        write_copies,
        write_with_functions,
        write_out,
    ],
    ids=lambda f: f.__name__,
)
def test_writes_go_where_numpy_puts_them(function, rng):
    x = rng.normal(size=(4, 6))
    t = traced(function, [x])
    check_run(function, t, [x], [0], False, rng)


def unknown_reshape(x, k):
    y = x * 1.0
    y[:, :k].ravel()[0] = 1.0
    return y


def order_of_operand(x):
    y = x.T * 2.0
    y.ravel()[1] = 5.0
    return y


def broadcast_then_write(x):
    y = x * 1.0
    b = np.broadcast_to(y, (3, *y.shape))
    y[0] = 2.0
    return b


def write_diagonal(x):
    y = x * 1.0
    np.diagonal(y)[0] = 1.0
    return y


@pytest.mark.parametrize(
    "function", [order_of_operand, broadcast_then_write, write_diagonal], ids=lambda f: f.__name__
)
def test_refuses_writes_that_cannot_be_followed(function, rng):
    with pytest.raises(PullbackError, match="copy"):
        traced(function, [rng.normal(size=(4, 6))])


def test_refuses_to_guess_whether_a_reshape_copies(rng):
    with pytest.raises(PullbackError, match="depends on sizes"):
        traced(unknown_reshape, [rng.normal(size=(4, 6)), 3])


# -- special points --------------------------------------------------------------------------------------


def gradients(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """The gradient of the sum of the results."""
    t = traced(function, list(arguments))
    p = t.program
    wrt = [k for k, v in enumerate(p.params) if v.type.is_float]
    seeds = [np.ones(np.shape(r), r.dtype)[()] for r in evaluate(p, *arguments)]
    return list(evaluate(verify(adjoint(p, wrt)), *arguments, *seeds))


KINKS = [
    ("boxcox at 0", lambda x, k: sp.boxcox(x, k), [2.0, 0.0], [0.5, 0.5 * math.log(2.0) ** 2]),
    ("prod with a zero", lambda x: np.prod(x), [[2.0, 0.0, 3.0]], [[0, 6, 0]]),
    ("prod with two zeros", lambda x: np.prod(x), [[2.0, 0.0, 0.0]], [[0, 0, 0]]),
    ("cumprod with a zero", lambda x: np.cumprod(x), [[2.0, 0.0, 3.0]], [[1, 8, 0]]),
    ("norm of zeros", lambda x: np.linalg.norm(x), [[0.0, 0.0]], [[0, 0]]),
    ("norm 3 of zeros", lambda x: np.linalg.norm(x, 3), [[0.0, 0.0]], [[0, 0]]),
    ("norm inf with ties", lambda x: np.linalg.norm(x, np.inf), [[-2.0, 2.0]], [[-0.5, 0.5]]),
    ("std of equal values", lambda x: np.std(x), [[1.0, 1.0, 1.0]], [[0, 0, 0]]),
    ("max with ties", lambda x: np.max(x), [[1.0, 1.0, 0.0]], [[0.5, 0.5, 0]]),
    ("builtin max with ties", lambda x, y: max(x, y), [1.0, 1.0], [0.5, 0.5]),
    ("sinc at 0", lambda x: np.sinc(x), [0.0], [0]),
    ("xlogy at 0, 0", lambda x, y: sp.xlogy(x, y), [0.0, 0.0], [0, 0]),
    ("xlogy at 0", lambda x, y: sp.xlogy(x, y), [0.0, 2.0], [math.log(2.0), 0]),
    ("entr at 0", lambda x: sp.entr(x), [0.0], [0]),
    ("kl_div at 0", lambda x, y: sp.kl_div(x, y), [0.0, 1.0], [-1, 1]),
    ("logsumexp with -inf", lambda x: sp.logsumexp(x), [[-np.inf, 0.0, 0.0]], [[0, 0.5, 0.5]]),
    ("logsumexp b = 0", lambda x, b: sp.logsumexp(x, b=b), [[0.0, 0.0], [1.0, 0.0]], [[1, 0], [1, 1]]),
    ("nanmax", lambda x: np.nanmax(x), [[np.nan, 1.0, 0.0]], [[0, 1, 0]]),
    ("nanmean", lambda x: np.nanmean(x), [[np.nan, 1.0, 0.0]], [[0, 0.5, 0.5]]),
    ("full_like", lambda x, y: np.full_like(x, y), [[1.0, 2.0], 3.0], [[0, 0], 2]),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "arguments", "wanted"), [pytest.param(*k[1:], id=k[0]) for k in KINKS])
def test_derivative_at_a_special_point(function, arguments, wanted):
    values = [np.array(a) if isinstance(a, list) else a for a in arguments]
    for have, want in zip(gradients(function, *values), wanted, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-12)


SINGULAR = np.array([0.0, -0.0, 1.0, 2.0, -0.5, -1.5, 30.0, -30.5, 700.0, -800.5, np.inf, -np.inf, np.nan])
VALUES = [
    ("gamma", lambda x: sp.gamma(x)),
    ("gammaln", lambda x: sp.gammaln(x)),
    ("gammasgn", lambda x: sp.gammasgn(x)),
    ("loggamma", lambda x: sp.loggamma(x)),
    ("entr", lambda x: sp.entr(x)),
    ("ndtr", lambda x: sp.ndtr(x)),
    ("log_ndtr", lambda x: sp.log_ndtr(x)),
    ("logit", lambda x: sp.logit(x)),
    ("log_expit", lambda x: sp.log_expit(x)),
    ("xlogy", lambda x: sp.xlogy(x[:, None], x)),
    ("xlog1py", lambda x: sp.xlog1py(x[:, None], x)),
    ("rel_entr", lambda x: sp.rel_entr(x[:, None], x)),
    ("kl_div", lambda x: sp.kl_div(x[:, None], x)),
    ("heaviside", lambda x: np.heaviside(x, 0.5)),
    ("sinc", lambda x: np.sinc(x[:-3])),
    ("nan_to_num", lambda x: np.nan_to_num(x)),
    ("modf", lambda x: np.modf(x)),
    ("signbit", lambda x: np.signbit(x)),
    ("fmax", lambda x: np.fmax(x, x[::-1])),
    ("isclose", lambda x: np.isclose(x[:, None], x, equal_nan=True)),
    ("interp", lambda x: np.interp(x, np.arange(3.0), np.array([1.0, 4.0, 2.0]))),
    ("interp ends", lambda x: np.interp(x, np.arange(3.0), np.array([1.0, 4.0, 2.0]), left=-9.0, right=9.0)),
    ("searchsorted", lambda x: np.searchsorted(np.arange(3.0), x)),
    ("max with nan", lambda x: np.max(x)),
    ("maximum.accumulate", lambda x: np.maximum.accumulate(x)),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", [pytest.param(f, id=name) for name, f in VALUES])
def test_values_at_singular_points(function):
    t = traced(function, [SINGULAR])
    for have, want in zip(evaluate(t.program, SINGULAR), flatten(function(SINGULAR))[0], strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-10)


EMPTY = [
    ("sum", lambda x: np.sum(x)),
    ("prod", lambda x: np.prod(x)),
    ("mean", lambda x: np.mean(x)),
    ("std", lambda x: np.std(x)),
    ("cumsum", lambda x: np.cumsum(x)),
    ("cumprod", lambda x: np.cumprod(x)),
    ("flip", lambda x: np.flip(x)),
    ("roll", lambda x: np.roll(x, 1)),
    ("dot", lambda x: x @ x),
    ("linspace", lambda x: np.linspace(0.0, 1.0, 0) + x),
    ("concatenate", lambda x: np.concatenate([x, x, np.ones(1)])),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("data", [False, True], ids=["given", "masked"])
@pytest.mark.parametrize("function", [pytest.param(f, id=name) for name, f in EMPTY])
def test_empty_arrays(function, data):
    """Empty arrays as arguments, and arrays that turn out to be empty when the program runs."""
    x = np.array([1.0, 2.0, 3.0]) if data else np.zeros(0)
    outer = (lambda x: function(x[x > 5])) if data else (lambda x: function(x * 1.0))
    have = evaluate(traced(outer, [x]).program, x)[0]
    np.testing.assert_allclose(have, function(np.zeros(0)))


@pytest.mark.parametrize("function", [lambda x: np.max(x), lambda x: np.argmin(x), lambda x: sp.logsumexp(x)])
def test_extremes_of_nothing_raise(function):
    with pytest.raises(ValueError, match=r"empty|zero-size"):
        traced(lambda x: function(x), [np.zeros(0)])
    program = traced(lambda x: function(x[x > 5]), [np.ones(3)]).program
    with pytest.raises(ValueError, match=r"empty|zero-size"):
        evaluate(program, np.ones(3))


def test_mismatches_that_only_a_run_can_tell():
    program = traced(lambda x: x[x > 1] @ x, [np.array([2.0, 2.0])]).program
    assert evaluate(program, np.array([2.0, 3.0]))[0] == 13.0
    with pytest.raises(ValueError, match="do not go together"):
        evaluate(program, np.array([0.0, 3.0]))
    program = traced(lambda x: x[x > 1].reshape(2, 2), [np.array([2.0, 2.0])]).program
    with pytest.raises(ValueError, match="cannot reshape"):
        evaluate(program, np.array([2.0, 3.0]))


# -- what is refused -------------------------------------------------------------------------------------

REFUSED = [
    (lambda x: np.sum(x, where=x > 0), "where"),
    (lambda x: np.max(x, initial=0.0), "initial"),
    (lambda x: np.unique(x, axis=0), "np.unique"),
    (lambda x: np.histogram(x, "auto"), "np.histogram"),
    (lambda x: np.histogram2d(x, x), "np.histogram2d"),
    (lambda x: np.repeat(x, [1, 2, 3, 4], axis=0), "np.repeat"),
    (lambda x: np.subtract.reduce(x), "np.subtract.reduce"),
    (lambda x: np.linalg.inv(x), "np.linalg.inv"),
    (lambda x: np.einsum(x, [0, 1], [0]), "string"),
    (lambda x: np.pad(x, 1, mode="mean"), "mean"),
    (lambda x: np.pad(x, 9, mode="reflect"), "shorter"),
    (lambda x: np.reshape(x, -1, order="A"), "order"),
    (lambda x: np.sum(x, dtype=np.float16), "float16"),
    (lambda x: sp.struve(1, x), "scipy.special.struve"),
    (lambda x: sp.logsumexp(x, return_sign=True), "return_sign"),
    (lambda x: sp.polygamma(x, x), "while tracing"),
    (lambda x: sorted(x[0]), "sorted"),
    (lambda x: math.factorial(x[0, 0]), "math.factorial"),
    (lambda x: x @ x, r"\(4, 6\) and \(4, 6\)"),
    (lambda x: np.dot(x, x[0, :3]), r"\(4, 6\) and \(3,\)"),
    (lambda x: np.tensordot(x, x, 1), r"\(4, 6\) and \(4, 6\)"),
    (lambda x: np.einsum("ij,jk", x, x), r"\(4, 6\) and \(4, 6\)"),
    (lambda x: np.einsum("ijk->i", x), "does not fit"),
    (lambda x: np.concatenate([x, x.T]), r"\(4, 6\) and \(6, 4\)"),
    (lambda x: np.concatenate([x, x[0]]), "number of dimensions"),
    (lambda x: x.reshape(5, 2), r"\(4, 6\) into shape \(5, 2\)"),
    (lambda x: x.reshape(5, -1), r"\(4, 6\)"),
    (lambda x: np.broadcast_to(x, (6, 4)), r"\(6, 4\)"),
    (lambda x: np.sum(x, axis=2), "axis 2 is out of bounds"),
    (lambda x: np.sum(x, axis=(0, 0)), "duplicate"),
    (lambda x: np.squeeze(x, axis=0), "squeeze"),
    (lambda x: np.split(x, 3), "equal division"),
    (lambda x: np.take(x, x), "integers"),
]


@pytest.mark.parametrize(("function", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_refusals_name_the_function_and_show_the_line(function, text):
    with pytest.raises(PullbackError, match=text) as caught:
        traced(function, [np.arange(24.0).reshape(4, 6)])
    assert caught.value.span is not None
    assert "lambda x:" in str(caught.value)


# -- numbers that are globals ----------------------------------------------------------------------------

AXIS, PARTS, ORDER = 1, 2, 2.5

GLOBALS = [
    ("axis", lambda x: np.sum(x, axis=AXIS)),
    ("reshape", lambda x: x.reshape(-1, PARTS).sum(axis=AXIS)),
    ("roll", lambda x: np.roll(x, PARTS, axis=AXIS)),
    ("repeat", lambda x: np.repeat(x, PARTS)),
    ("pad", lambda x: np.pad(x, PARTS)),
    ("diff", lambda x: np.diff(x, PARTS)),
    ("ddof", lambda x: np.var(x, ddof=PARTS)),
    ("split", lambda x: np.split(x, PARTS)),
    ("eye", lambda x: np.eye(PARTS) * x[0, 0]),
    ("linspace", lambda x: np.linspace(0.0, x[0, 0], PARTS)),
    ("diag", lambda x: np.diag(x, PARTS)),
    ("norm", lambda x: np.linalg.norm(x, PARTS, axis=AXIS)),
    ("norm of a float order", lambda x: np.linalg.norm(x, ORDER, axis=AXIS)),
]


@pytest.mark.parametrize("function", [pytest.param(f, id=name) for name, f in GLOBALS])
def test_options_may_be_globals(function, rng):
    x = rng.normal(size=(4, 6))
    t = traced(function, [x])
    check_run(function, t, [x], [0], False, rng)


def join_in_branches(x, y):
    if x.sum() > 0:
        z = np.concatenate([x, y])
    else:
        z = np.stack([x, y]).ravel()
    return np.einsum("i,i", z, z)


def reduce_in_a_loop(x):
    s = 0.0
    for i in range(1, x.shape[0]):
        a, b = x[:i], x[i:]
        s += np.mean(a) * np.std(x[: i + 1]) + np.max(b) + np.cumsum(a)[-1] + a @ a + np.prod(a)
        s += np.outer(a, b).sum() + np.concatenate([a, b])[0] + np.roll(x, i)[0] + np.linalg.norm(a)
        s += (
            np.tile(a, 2).sum()
            + np.diag(a).sum()
            + np.arange(i).sum() * x[i]
            + np.linspace(0.0, x[i], i + 2).sum()
        )
        s += max(x[i], 0.1) + min(x[max(0, i - 2)], x[min(i + 1, x.shape[0] - 1)])
    return s


@pytest.mark.parametrize("function", [join_in_branches, reduce_in_a_loop], ids=lambda f: f.__name__)
def test_inside_of_control_flow(function, rng):
    arguments = [rng.normal(size=5) for _ in inspect.signature(function).parameters]
    t = traced(function, arguments)
    verify(t.program)
    for size in (5, 7):
        arguments = [rng.normal(size=size) for _ in arguments]
        check_run(function, t, arguments, list(range(len(arguments))), False, rng)


SUBSCRIPTS = [
    ("arange", lambda x: x[np.arange(x.shape[0])]),
    ("arange both", lambda x: x[np.arange(4), np.arange(4) + 2]),
    ("arange reversed", lambda x: x[3 - np.arange(4)]),
    ("neighbours around", lambda x: x[(np.arange(4) + 1) % 4] - x),
    ("clipped", lambda x: x[:, np.clip(np.arange(6) - 1, 0, 5)]),
    ("every second", lambda x: x[:, 2 * np.arange(3)]),
    ("argmax", lambda x: x[np.argmax(x[:, 0])]),
    ("argmax of rows", lambda x: x[np.arange(4), np.argmax(x, axis=1)]),
    ("nonzero", lambda x: x[np.nonzero(x > 0)]),
    ("tril_indices", lambda x: x[np.tril_indices(4)]),
    ("broadcast", lambda x: x[np.arange(4)[:, None], np.arange(6)[::-1]]),
]


@pytest.mark.parametrize("function", [pytest.param(f, id=name) for name, f in SUBSCRIPTS])
def test_places_known_to_be_in_range_are_not_checked(function, rng):
    x = rng.normal(size=(4, 6))
    t = traced(function, [x])
    assert "IndexError" not in show(t.program)
    np.testing.assert_array_equal(evaluate(t.program, x)[0], function(x))


def test_places_beyond_the_range_are_checked(rng):
    x = rng.normal(size=(4, 6))
    t = traced(lambda x, k: x[np.arange(4) + k], [x, 0])
    with pytest.raises(IndexError):
        evaluate(t.program, x, 1)
