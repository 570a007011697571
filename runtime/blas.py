"""Matrix products into arrays that are there already, for generated code.

`np.dot` in compiled code allocates its result, and takes numba half a second per combination of layouts to
compile. Here the call to BLAS is written down directly.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array
from numba.np.linalg import ensure_blas, get_blas_kind


def matmul(a, b, out):
    """out = a @ b, of matrices that lie in memory row by row or are transposes of such."""
    np.matmul(a, b, out=out)


def add_matmul(a, b, out):
    """out += a @ b."""
    out += np.matmul(a, b)


_CHAR, _INDEX, _POINTER = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
_GEMM = ir.FunctionType(
    ir.IntType(32),
    [
        _CHAR, _CHAR, _CHAR,  # kind of number, transpose the first, transpose the second
        _INDEX, _INDEX, _INDEX,  # rows and columns of the result, size that is summed over
        _POINTER, _POINTER, _INDEX, _POINTER, _INDEX, _POINTER, _POINTER, _INDEX,
    ],
)  # fmt: skip


def _gemm(beta):
    """BLAS's product out = a @ b + beta * out."""

    @intrinsic
    def gemm(context, a, b, out):

        def generate(context, builder, signature, args):
            matrices = [make_array(t)(context, builder, v) for t, v in zip(signature.args, args[:3])]
            left, right, result = matrices
            kind = signature.args[2].dtype

            def number(value):
                slot = cgutils.alloca_once(builder, context.get_data_type(kind))
                builder.store(context.get_constant(kind, value), slot)
                return builder.bitcast(slot, _POINTER)

            def factor(type, matrix):
                # BLAS counts by columns, so it computes the transposed product of the transposed factors.
                shape = cgutils.unpack_tuple(builder, matrix.shape)
                letter = ir.Constant(_CHAR, ord("n" if type.layout == "C" else "t"))
                return letter, builder.bitcast(matrix.data, _POINTER), shape[1 if type.layout == "C" else 0]

            rows, inner = cgutils.unpack_tuple(builder, left.shape)
            columns = cgutils.unpack_tuple(builder, right.shape)[1]
            (turn_a, data_a, lead_a), (turn_b, data_b, lead_b) = (
                factor(t, m) for t, m in zip(signature.args, (left, right))
            )
            function = cgutils.get_or_insert_function(builder.module, _GEMM, "numba_xxgemm")
            builder.call(
                function,
                [
                    ir.Constant(_CHAR, ord(get_blas_kind(kind))), turn_b, turn_a, columns, rows, inner,
                    number(1.0), data_b, lead_b, data_a, lead_a, number(beta),
                    builder.bitcast(result.data, _POINTER), columns,
                ],
            )  # fmt: skip
            return context.get_dummy_value()

        ensure_blas()
        return types.void(a, b, out), generate

    return gemm


def _product(beta):
    gemm = _gemm(beta)

    def compiled(a, b, out):
        if all(t.layout in "CF" for t in (a, b)) and out.layout == "C":

            def call(a, b, out):
                if a.shape[0] > 0 and a.shape[1] > 0 and b.shape[1] > 0:
                    gemm(a, b, out)
                elif beta == 0:
                    for i in range(out.shape[0]):
                        for j in range(out.shape[1]):
                            out[i, j] = 0

            return call
        return None

    return compiled


overload(matmul)(_product(0))
overload(add_matmul)(_product(1))
