"""Matrix products into memory that is there already, for generated code.

`np.dot` in compiled code allocates its result, and takes numba half a second per combination of layouts to
compile. Here the call to BLAS is written down directly. Matrices may lie in memory row by row or column by
column, with gaps between rows or columns (a part of a larger array), but not between neighbours in one.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import intrinsic, lower_builtin, overload, type_callable
from numba.np.arrayobj import make_array
from numba.np.linalg import ensure_blas, get_blas_kind


def matmul(a, b, out, alpha=1.0):
    """out = alpha * a @ b; the rows of `out` lie in memory one behind the other, with gaps or without."""
    np.matmul(a, b, out=out)
    if alpha != 1.0:
        out *= alpha


def add_matmul(a, b, out, alpha=1.0):
    """out += alpha * a @ b."""
    product = np.matmul(a, b)
    out += product if alpha == 1.0 else alpha * product


_CHAR, _INDEX, _POINTER = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
_GEMM = ir.FunctionType(
    ir.IntType(32),
    [
        _CHAR, _CHAR, _CHAR,  # kind of number, transpose the first, transpose the second
        _INDEX, _INDEX, _INDEX,  # rows and columns of the result, size that is summed over
        _POINTER, _POINTER, _INDEX, _POINTER, _INDEX, _POINTER, _POINTER, _INDEX,
    ],
)  # fmt: skip


def _call(context, builder, matrices, arrays, alpha, beta):
    """Write the call out = alpha * a @ b + beta * out; the matrices have these types."""
    kind = matrices[2].dtype
    left, right, result = arrays

    def number(value):
        slot = cgutils.alloca_once_value(builder, value)
        return builder.bitcast(slot, _POINTER)

    def distance(matrix, axis):
        """From one row (or column) to the next, in elements."""
        stride = cgutils.unpack_tuple(builder, matrix.strides)[axis]
        return builder.sdiv(stride, matrix.itemsize)

    def factor(type, matrix):
        # BLAS counts by columns, so it computes the transposed product of the transposed factors.
        rows, columns = cgutils.unpack_tuple(builder, matrix.shape)
        plain, turned = (ir.Constant(_CHAR, ord(letter)) for letter in "nt")
        data = builder.bitcast(matrix.data, _POINTER)
        if type.layout != "A":
            c = type.layout == "C"
            return plain if c else turned, data, columns if c else rows
        down, along = distance(matrix, 0), distance(matrix, 1)
        c = builder.icmp_signed("==", along, ir.Constant(_INDEX, 1))
        return builder.select(c, plain, turned), data, builder.select(c, down, along)

    rows, inner = cgutils.unpack_tuple(builder, left.shape)
    columns = cgutils.unpack_tuple(builder, right.shape)[1]
    (turn_a, data_a, lead_a), (turn_b, data_b, lead_b) = (factor(t, m) for t, m in zip(matrices, (left, right)))
    function = cgutils.get_or_insert_function(builder.module, _GEMM, "numba_xxgemm")
    builder.call(
        function,
        [
            ir.Constant(_CHAR, ord(get_blas_kind(kind))), turn_b, turn_a, columns, rows, inner,
            number(alpha), data_b, lead_b, data_a, lead_a, number(context.get_constant(kind, beta)),
            builder.bitcast(result.data, _POINTER), distance(result, 0),
        ],
    )  # fmt: skip


def _direct(function, beta):
    """Calls without a factor are written where they stand: to compile a function for each layout takes numba longer."""

    @type_callable(function)
    def type_of(context):
        def typer(a, b, out, alpha=None):
            matrices = all(isinstance(t, types.Array) and t.ndim == 2 for t in (a, b, out))
            if alpha is not None or not matrices:
                return None
            ensure_blas()
            return signature(types.void, a, b, out)

        return typer

    @lower_builtin(function, types.Array, types.Array, types.Array)
    def generate(context, builder, sig, args):
        arrays = [make_array(t)(context, builder, v) for t, v in zip(sig.args, args)]
        left, right, result = arrays
        sizes = *cgutils.unpack_tuple(builder, left.shape), cgutils.unpack_tuple(builder, right.shape)[1]
        some = ir.Constant(ir.IntType(1), 1)
        for size in sizes:
            some = builder.and_(some, builder.icmp_signed(">", size, ir.Constant(_INDEX, 0)))
        with builder.if_else(some) as (product, nothing):
            with product:
                _call(context, builder, sig.args, arrays, context.get_constant(sig.args[2].dtype, 1), beta)
            with nothing:
                if beta == 0:
                    (rows, columns), (down, _) = (
                        cgutils.unpack_tuple(builder, t) for t in (result.shape, result.strides)
                    )
                    start = builder.bitcast(result.data, _POINTER)
                    with cgutils.for_range(builder, rows) as loop:
                        row = builder.gep(start, [builder.mul(loop.index, down)])
                        cgutils.memset(builder, row, builder.mul(columns, result.itemsize), 0)
        return context.get_dummy_value()


def _gemm(beta):
    """BLAS's product out = alpha * a @ b + beta * out."""

    @intrinsic
    def gemm(context, a, b, out, alpha):

        def generate(context, builder, signature, args):
            arrays = [make_array(t)(context, builder, v) for t, v in zip(signature.args[:3], args[:3])]
            _call(context, builder, signature.args[:3], arrays, args[3], beta)
            return context.get_dummy_value()

        ensure_blas()
        return types.void(a, b, out, out.dtype), generate

    return gemm


def _product(beta):
    gemm = _gemm(beta)

    def scaled(a, b, out, alpha=1.0):
        if a.shape[0] > 0 and a.shape[1] > 0 and b.shape[1] > 0 and alpha != 0.0:
            gemm(a, b, out, alpha)
            return
        # BLAS would not read the factors, where 0 times inf is nan.
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                total = alpha * 0.0
                for k in range(a.shape[1]):
                    total += alpha * a[i, k] * b[k, j]
                out[i, j] = total + beta * out[i, j] if beta else total

    def compiled(a, b, out, alpha=1.0):
        return scaled if isinstance(alpha, types.Float) else None

    return compiled


overload(matmul)(_product(0))
overload(add_matmul)(_product(1))
_direct(matmul, 0)
_direct(add_matmul, 1)
