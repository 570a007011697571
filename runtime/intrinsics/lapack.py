"""The functions of `linalg` in compiled code: calls of SciPy's LAPACK and BLAS, written down as LLVM.

To compile `np.linalg.cholesky` takes numba seconds. Here a stack of matrices is one function of LLVM, a loop around
calls of routines by name. The names are bound to the pointers in scipy.linalg's `cython_lapack` and `cython_blas` when
code is compiled or loaded, so that machine code mentions no address and is kept on disk.

Matrices lie row by row, which to Fortran is the transpose. Where only solutions are wanted, the transposed system is
solved in place; matrices are turned where the routine must see what NumPy's sees, to give the same pivots and signs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding
import llvmlite.ir as ll
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import get_cython_function_address, lower_builtin, type_callable
from numba.np.arrayobj import make_array

from . import linalg

PREFIX = "pullback_scipy_"
"""Of the names that machine code has for routines of SciPy."""
BLAS = ("trsm", "trsv")
LETTERS = {types.float64: "d", types.float32: "s"}
_BYTE, _INT, _WORD = ll.IntType(8), ll.IntType(32), ll.IntType(64)
_POINTER = _BYTE.as_pointer()


def ready(symbols: Sequence[str]) -> None:
    """Bind those of the names that are routines of SciPy."""
    for symbol in symbols:
        if symbol.startswith(PREFIX) and llvmlite.binding.address_of_symbol(symbol) is None:
            routine = symbol.removeprefix(PREFIX)
            module = "cython_blas" if routine[1:] in BLAS else "cython_lapack"
            llvmlite.binding.add_symbol(symbol, get_cython_function_address(f"scipy.linalg.{module}", routine))


class Matrix:
    """One matrix of a stack: its sizes, and where it lies."""

    def __init__(self, rows: Any, columns: Any, data: Any):
        self.rows, self.columns, self.data = rows, columns, data


class Writer:
    """Writes the LLVM of one function of matrices."""

    def __init__(self, module: Any, builder: Any, dtype: types.Float):
        self.module, self.b = module, builder
        self.letter = LETTERS[dtype]
        self.number = ll.DoubleType() if self.letter == "d" else ll.FloatType()
        self.size = 8 if self.letter == "d" else 4

    # -- numbers and memory ----------------------------------------------------------------------------

    def word(self, value: Any) -> Any:
        return _WORD(value) if isinstance(value, int) else value

    def times(self, *factors: Any) -> Any:
        total = self.word(factors[0])
        for factor in factors[1:]:
            total = self.b.mul(total, self.word(factor))
        return total

    def plus(self, *terms: Any) -> Any:
        total = self.word(terms[0])
        for term in terms[1:]:
            total = self.b.add(total, self.word(term))
        return total

    def at(self, data: Any, *place: Any) -> Any:
        """The address of the element this many behind the first."""
        return self.b.gep(data, [self.plus(*place)])

    def load(self, data: Any, *place: Any) -> Any:
        return self.b.load(self.at(data, *place))

    def store(self, value: Any, data: Any, *place: Any) -> None:
        self.b.store(self.number(value) if isinstance(value, float) else value, self.at(data, *place))

    def copy(self, source: Any, target: Any, count: Any) -> None:
        cgutils.raw_memcpy(self.b, target, source, self.word(count), self.size)

    @contextmanager
    def room(self, count: Any, kind: Any) -> Any:
        """Memory for this many elements, inside of the block; the function returns 1 if there is none."""
        size = self.size if kind == self.number else 4
        malloc = ll.FunctionType(_POINTER, [_WORD])
        given = self.b.call(
            cgutils.get_or_insert_function(self.module, malloc, "malloc"), [self.times(self.plus(count, 1), size)]
        )
        with cgutils.if_unlikely(self.b, cgutils.is_null(self.b, given)):
            self.b.ret(_INT(1))
        yield self.b.bitcast(given, kind.as_pointer())
        free = ll.FunctionType(ll.VoidType(), [_POINTER])
        self.b.call(cgutils.get_or_insert_function(self.module, free, "free"), [given])

    @contextmanager
    def loop(self, count: Any) -> Any:
        with cgutils.for_range(self.b, self.word(count)) as loop:
            yield loop.index

    def choice(self, condition: Any, one: str, other: str) -> Any:
        """A letter for LAPACK, by a flag that is a number."""
        flag = self.b.icmp_signed("!=", condition, _WORD(0))
        return self.b.select(flag, _BYTE(ord(one)), _BYTE(ord(other)))

    # -- routines --------------------------------------------------------------------------------------

    def slot(self, value: Any) -> Any:
        """Where a value lies, as Fortran takes its arguments: letters and whole numbers."""
        if isinstance(value, str):
            value = _BYTE(ord(value))
        elif isinstance(value, float):
            value = self.number(value)
        value = self.word(value)
        if isinstance(value.type, ll.PointerType):
            return self.b.bitcast(value, _POINTER)
        if value.type == _WORD:
            value = self.b.trunc(value, _INT)
        return self.b.bitcast(cgutils.alloca_once_value(self.b, value), _POINTER)

    def call(self, routine: str, *operands: Any) -> Any:
        """Call a routine; gives its error code, if its last operand is `info`."""
        symbol = f"{PREFIX}{self.letter}{routine}"
        ready([symbol])
        given: list[Any] = []
        info = None
        for operand in operands:
            if operand == "info":
                info = cgutils.alloca_once(self.b, _INT)
                self.b.store(_INT(0), info)
                operand = info
            given.append(self.slot(operand))
        kind = ll.FunctionType(ll.VoidType(), [_POINTER] * len(given))
        self.b.call(cgutils.get_or_insert_function(self.module, kind, symbol), given)
        return None if info is None else self.b.load(info)

    def turn(self, rows: Any, columns: Any, source: Any, target: Any) -> None:
        """target[j, i] = source[i, j]: in tiles, so that neither is read across."""
        kind = ll.FunctionType(ll.VoidType(), [_WORD, _WORD, source.type, target.type])
        name = f"pullback_turn_{self.letter}"
        function = self.module.globals.get(name)
        if function is None:
            function = ll.Function(self.module, kind, name)
            function.linkage = "internal"
            w = Writer.__new__(Writer)
            w.__dict__ = dict(self.__dict__)
            w.b = ll.IRBuilder(function.append_basic_block())
            w._turn(*function.args)
            w.b.ret_void()
        self.b.call(function, [self.word(rows), self.word(columns), source, target])

    def _turn(self, rows: Any, columns: Any, source: Any, target: Any) -> None:
        b, tile = self.b, 16

        def tiles(size: Any) -> Any:
            return b.sdiv(b.add(size, _WORD(tile - 1)), _WORD(tile))

        def length(size: Any, start: Any) -> Any:
            rest = b.sub(size, start)
            return b.select(b.icmp_signed("<", rest, _WORD(tile)), rest, _WORD(tile))

        with self.loop(tiles(rows)) as p, self.loop(tiles(columns)) as q:
            top, left = self.times(p, tile), self.times(q, tile)
            with self.loop(length(rows, top)) as i, self.loop(length(columns, left)) as j:
                row, column = b.add(top, i), b.add(left, j)
                element = self.load(source, self.times(row, columns), column)
                self.store(element, target, self.times(column, rows), row)

    def swap_rows(self, data: Any, columns: Any, one: Any, other: Any) -> None:
        with self.loop(columns) as j:
            here, there = self.at(data, self.times(one, columns), j), self.at(data, self.times(other, columns), j)
            a, b = self.b.load(here), self.b.load(there)
            self.b.store(b, here)
            self.b.store(a, there)

    def triangular(self, side: Any, n: Any, columns: Any, uplo: Any, trans: Any, unit: Any, m: Any, x: Any) -> None:
        """Solve in place for x, whose rows lie one behind the other; `trans` is that of the transposed system."""
        one = self.b.icmp_signed("==", columns, _WORD(1))
        with self.b.if_else(one) as (vector, matrix):
            with vector:
                n_letter, t_letter = _BYTE(ord("N")), _BYTE(ord("T"))
                letter = _BYTE(ord(trans)) if isinstance(trans, str) else trans
                turned = self.b.select(self.b.icmp_signed("==", letter, t_letter), n_letter, t_letter)
                self.call("trsv", uplo, turned, unit, n, m, n, x, 1)
            with matrix:
                self.call("trsm", side, uplo, trans, unit, columns, n, 1.0, m, n, x, columns)


# -- one function for each of `linalg` -----------------------------------------------------------------


def _lu(w: Writer, a: Matrix, out: Matrix) -> None:
    n = a.columns
    factors = w.at(out.data, n)
    w.turn(n, n, a.data, factors)
    pivots = w.b.alloca(_INT, n)
    w.call("getrf", n, n, factors, n, pivots, "info")
    with w.loop(n) as k:
        row = w.b.sub(w.b.load(w.b.gep(pivots, [k])), _INT(1))
        w.store(w.b.sitofp(row, w.number), out.data, k)


def _lu_solve(w: Writer, f: Matrix, b: Matrix, transposed: Any, out: Matrix) -> None:
    n, columns = f.columns, b.columns
    factors = w.at(f.data, n)
    w.copy(b.data, out.data, w.times(n, columns))

    def swap(backwards: bool) -> None:
        with w.loop(n) as step:
            k = w.b.sub(w.b.sub(n, _WORD(1)), step) if backwards else step
            other = w.b.fptosi(w.load(f.data, k), _WORD)
            with w.b.if_then(w.b.icmp_signed("!=", other, k)):
                w.swap_rows(out.data, columns, k, other)

    def half(uplo: str, trans: str, unit: str) -> None:
        w.triangular("R", n, columns, uplo, trans, unit, factors, out.data)

    with w.b.if_else(w.b.icmp_signed("!=", transposed, _WORD(0))) as (turned, plain):
        with turned:
            half("U", "N", "N")
            half("L", "N", "U")
            swap(backwards=True)
        with plain:
            swap(backwards=False)
            half("L", "T", "U")
            half("U", "T", "N")


def _solve_triangular(
    w: Writer, a: Matrix, b: Matrix, lower: Any, transposed: Any, unit: Any, out: Matrix
) -> None:
    n, columns = a.columns, b.columns
    w.copy(b.data, out.data, w.times(n, columns))
    uplo, diagonal = w.choice(lower, "U", "L"), w.choice(unit, "U", "N")
    w.triangular("R", n, columns, uplo, w.choice(transposed, "T", "N"), diagonal, a.data, out.data)


def _cholesky(w: Writer, a: Matrix, out: Matrix) -> None:
    n = a.columns
    w.copy(a.data, out.data, w.times(n, n))
    info = w.call("potrf", "U", n, out.data, n, "info")
    with w.loop(n) as i:
        rest = w.b.sub(w.b.sub(n, i), _WORD(1))
        with w.loop(rest) as k:
            w.store(0.0, out.data, w.times(i, n), i, k, 1)
    with w.b.if_then(w.b.icmp_signed("!=", info, _INT(0))):
        w.store(-1.0, out.data, w.times(n, n), -1)


def _eigh(w: Writer, a: Matrix, out: Matrix) -> None:
    n = a.columns
    vectors = w.at(out.data, n)
    w.turn(n, n, a.data, vectors)
    size, whole = w.plus(1, w.times(6, n), w.times(2, n, n)), w.plus(3, w.times(5, n))
    with w.room(size, w.number) as work, w.room(whole, _INT) as integers:
        info = w.call("syevd", "V", "L", n, vectors, n, out.data, work, size, integers, whole, "info")
    with w.b.if_then(w.b.icmp_signed("!=", info, _INT(0))):
        w.store(float("inf"), out.data, 0)
        w.store(float("-inf"), out.data, n, -1)


def _svd(w: Writer, a: Matrix, out: Matrix) -> None:
    m, n, k = a.rows, a.columns, out.columns
    values, right = w.at(out.data, w.times(m, k)), w.at(out.data, w.times(w.plus(m, 1), k))
    with (
        w.room(w.times(m, n), w.number) as matrix,
        w.room(w.times(m, k), w.number) as left,
        w.room(w.times(8, k), _INT) as integers,
    ):
        w.turn(m, n, a.data, matrix)
        given = "S", m, n, matrix, m, values, left, m, right, k
        wish = cgutils.alloca_once(w.b, w.number)
        w.call("gesdd", *given, wish, -1, integers, "info")
        size = w.b.fptosi(w.b.load(wish), _WORD)
        with w.room(size, w.number) as work:
            info = w.call("gesdd", *given, work, size, integers, "info")
        w.turn(k, m, left, out.data)
    with w.b.if_then(w.b.icmp_signed("!=", info, _INT(0))):
        w.store(-1.0, values, 0)


def _qr(w: Writer, a: Matrix, out: Matrix) -> None:
    m, n = a.rows, a.columns
    size = w.times(64, n)
    with (
        w.room(w.times(m, n), w.number) as matrix,
        w.room(n, w.number) as scales,
        w.room(size, w.number) as work,
    ):
        w.turn(m, n, a.data, matrix)
        w.call("geqrf", m, n, matrix, m, scales, work, size, "info")
        with w.loop(n) as i, w.loop(n) as j:
            element = w.load(matrix, w.times(j, m), i)
            kept = w.b.select(w.b.icmp_signed("<=", i, j), element, w.number(0.0))
            w.store(kept, out.data, w.times(w.plus(m, i), n), j)
        w.call("orgqr", m, n, n, matrix, m, scales, work, size, "info")
        w.turn(n, m, matrix, out.data)


WRITTEN: dict[Callable[..., None], Callable[..., None]] = {
    linalg.lu: _lu,
    linalg.lu_solve: _lu_solve,
    linalg.solve_triangular: _solve_triangular,
    linalg.cholesky: _cholesky,
    linalg.eigh: _eigh,
    linalg.svd: _svd,
    linalg.qr: _qr,
}


# -- numba ---------------------------------------------------------------------------------------------


def _known(function: Callable[..., None]) -> None:
    """Let numba compile calls of a function of `linalg` for arrays in C order."""

    @type_callable(function)
    def type_of(context: Any) -> Any:
        def typer(*args: Any) -> Any:
            arrays = [t for t in args if isinstance(t, types.Array)]
            same = len({t.dtype for t in arrays}) == 1 and arrays[0].dtype in LETTERS
            if not same or any(t.layout != "C" for t in arrays) or arrays[0].ndim < 2:
                return None
            return signature(types.void, *(t if isinstance(t, types.Array) else types.intp for t in args))

        typer.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # numba asks for names
        return typer

    @lower_builtin(function, *[types.Any] * len(inspect.signature(function).parameters))
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lead = sig.args[0].ndim - 2
        count: Any = _WORD(1)
        given: list[Any] = []
        for k, (type, value) in enumerate(zip(sig.args, args)):
            if not isinstance(type, types.Array):
                given.append(value)
                continue
            array = make_array(type)(context, builder, value)
            shape = cgutils.unpack_tuple(builder, array.shape)
            for size in shape[:lead] if k == 0 else ():
                count = builder.mul(count, size)
            own = [_WORD(1), _WORD(1), *shape[lead:]][-2:]
            given += [*own, array.data]
        written = _function(builder.module, function, sig.args, [v.type for v in given])
        failed = builder.icmp_signed("!=", builder.call(written, [count, *given]), _INT(0))
        with cgutils.if_unlikely(builder, failed):
            context.call_conv.return_user_exc(builder, MemoryError, (f"no memory for {function.__name__}",))
        return context.get_dummy_value()


def _function(module: Any, function: Callable[..., None], args: Sequence[Any], kinds: Sequence[Any]) -> Any:
    """The function of LLVM for a stack, written once for each module."""
    dtype = next(t.dtype for t in args if isinstance(t, types.Array))
    name = f"pullback_{function.__name__}_{LETTERS[dtype]}"
    found = module.globals.get(name)
    if found is not None:
        return found
    result = ll.Function(module, ll.FunctionType(_INT, [_WORD, *kinds]), name)
    result.linkage = "internal"
    w = Writer(module, ll.IRBuilder(result.append_basic_block()), dtype)
    count, *values = result.args
    with w.loop(count) as at:
        operands: list[Any] = []
        rest = iter(values)
        for type in args:
            if isinstance(type, types.Array):
                rows, columns, data = next(rest), next(rest), next(rest)
                operands.append(Matrix(rows, columns, w.at(data, w.times(at, rows, columns))))
            else:
                operands.append(next(rest))
        with w.b.if_then(w.b.icmp_signed(">", w.times(operands[-1].rows, operands[-1].columns), _WORD(0))):
            WRITTEN[function](w, *operands)
    w.b.ret(_INT(0))
    return result


for _each in WRITTEN:
    _known(_each)
    linalg.jitable(_each)  # for what is not in C order
