"""Views, subscripts and joining. A view shares its memory with what it is a view of, as in torch."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .functions import FUNCTIONS, clone, public
from .kernels import Function
from .record import MODE, apply, operand, refuse_leaf, store, view, write
from .tensor import Tensor


def _ints(values: Sequence[Any]) -> tuple[int, ...]:
    flat = values[0] if len(values) == 1 and isinstance(values[0], (tuple, list)) else values
    return tuple(operator.index(v) for v in flat)


_RESHAPE = Function("view", lambda x, shape: np.reshape(x, shape))
_PERMUTE = Function("permute", lambda x, order: np.transpose(x, order))
_SWAP = Function("transpose", lambda x, a, b: np.swapaxes(x, a, b))
_T = Function("t", lambda x: np.transpose(x))
_EXPAND = Function("expand", lambda x, shape: np.broadcast_to(x, shape))
_SQUEEZE = Function("squeeze", lambda x, dims: np.squeeze(x, axis=dims))
_UNSQUEEZE = Function("unsqueeze", lambda x, dim: np.expand_dims(x, dim))
_DIAGONAL = Function("diagonal", lambda x, offset, a, b: np.diagonal(x, offset, a, b))


@public()
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """A view where the memory allows it, else a copy."""
    sizes = _ints(shape)
    known = int(np.prod([s for s in sizes if s >= 0], dtype=np.int64))
    if input.numel() != known and not (-1 in sizes and known and input.numel() % known == 0):
        raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {input.numel()}")
    return view(_RESHAPE, input, static=(sizes,))


def view_(input: Tensor, *shape: Any) -> Tensor:
    """As `reshape`; torch refuses where it would need a copy."""
    result = reshape(input, *shape)
    if result._base is None and result.numel():
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return result


@public("permute")
def permute(input: Tensor, *dims: Any) -> Tensor:
    return view(_PERMUTE, input, static=(_ints(dims),))


@public("transpose", "swapaxes", "swapdims")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    return view(_SWAP, input, static=(dim0, dim1))


@public()
def t(input: Tensor) -> Tensor:
    if input.ndim > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D: use .transpose(a, b)"
        )
    return view(_T, input)


@public("squeeze")
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    chosen = range(input.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    ones = tuple(d for d in chosen if input.ndim and input.shape[d] == 1)
    return view(_SQUEEZE, input, static=(ones,))


@public("unsqueeze")
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    return view(_UNSQUEEZE, input, static=(dim,))


@public("flatten", "ravel")
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    if not input.ndim:
        return reshape(input, 1)
    shape = tuple(input.shape)
    first, last = start_dim % input.ndim, end_dim % input.ndim
    middle = int(np.prod(shape[first : last + 1], dtype=np.int64))
    return reshape(input, shape[:first] + (middle,) + shape[last + 1 :])


def expand(input: Tensor, *sizes: Any) -> Tensor:
    wanted = _ints(sizes)
    lead = len(wanted) - input.ndim
    return view(
        _EXPAND, input, static=(tuple(input.shape[k - lead] if s == -1 else s for k, s in enumerate(wanted)),)
    )


FUNCTIONS["broadcast_to"] = lambda input, size: expand(input, size)


@public("diagonal")
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    return view(_DIAGONAL, input, static=(offset, dim1, dim2))


_DIAG = Function("diag", lambda x, k: np.diag(x, k))


@public("diag")
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    return apply(_DIAG, input, static=(diagonal,))


@public("narrow")
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    return getitem(input, (slice(None),) * (dim % input.ndim) + (slice(start, start + length),))


@public("select")
def select(input: Tensor, dim: int, index: int) -> Tensor:
    return getitem(input, (slice(None),) * (dim % input.ndim) + (index,))


@public("unbind")
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    return tuple(select(input, dim, k) for k in range(input.shape[dim]))


@public("split")
def split(input: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    total = input.shape[dim]
    sizes = split_size
    if isinstance(split_size, int):
        sizes = [min(split_size, total - k) for k in range(0, total, split_size)]
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(narrow(input, dim, start, size) for start, size in zip(starts, sizes))


@public("chunk")
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    return split(input, -(-input.shape[dim] // chunks), dim)


# -- subscripts --------------------------------------------------------------------------------------------

_NONE, _ALL, _INT, _ARRAY = "none", "all", "int", "array"
"""What stands in a subscript's pattern; a slice stands there as its three numbers."""


def _place(t: Tensor, items: tuple[Any, ...], k: int, value: int) -> int:
    """An integer of a subscript, nonnegative and in range, so that one program serves all of them."""
    after = Ellipsis in [i for i in items[:k] if i is None or i is Ellipsis]
    axis = sum(_width(i) for i in items[:k] if i is not Ellipsis)
    if after:
        axis = t.ndim - sum(_width(i) for i in items[k:] if i is not Ellipsis)
    if not 0 <= axis < t.ndim:
        raise IndexError(f"too many indices for tensor of dimension {t.ndim}")
    size = t.shape[axis]
    if not -size <= value < size:
        raise IndexError(f"index {value} is out of bounds for dimension {axis} with size {size}")
    return value % size


def _width(item: Any) -> int:
    """How many axes an item of a subscript takes."""
    if item is None:
        return 0
    boolean = isinstance(item, (Tensor, np.ndarray)) and str(item.dtype).endswith("bool")
    return item.ndim if boolean else 1


def _pattern(t: Tensor, key: Any) -> tuple[tuple[Any, ...], list[int], list[Tensor]]:
    """A subscript as a pattern, its integers and its arrays, which are operands."""
    items = key if isinstance(key, tuple) else (key,)
    pattern: list[Any] = []
    numbers: list[int] = []
    arrays: list[Tensor] = []
    for k, item in enumerate(items):
        if isinstance(item, Tensor) and not item.ndim and item.dtype.category == 1:
            item = item.item()
        if item is None:
            pattern.append(_NONE)
        elif item is Ellipsis:
            pattern.append(_ALL)
        elif isinstance(item, slice):
            if item.step is not None and item.step <= 0:
                raise ValueError("step must be greater than zero: use .flip(dim) to reverse")
            bounds = (item.start, item.stop, item.step)
            pattern.append(tuple(None if b is None else operator.index(b) for b in bounds))
        elif isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_)):
            pattern.append(_INT)
            numbers.append(_place(t, items, k, int(item)))
        elif isinstance(item, (Tensor, list, np.ndarray, bool, np.bool_)):
            array = item if isinstance(item, Tensor) else Tensor(np.array(item))
            if array.dtype.category == 2:
                raise IndexError("tensors used as indices must be int64 or bool tensors")
            pattern.append(_ARRAY)
            arrays.append(array)
        else:
            raise IndexError(f"a tensor cannot be indexed with {item!r}")
    return tuple(pattern), numbers, arrays


def _key(pattern: tuple[Any, ...], numbers: Sequence[Any], arrays: Sequence[Any]) -> tuple[Any, ...]:
    number, array = iter(numbers), iter(arrays)
    found = {
        _NONE: lambda: None,
        _ALL: lambda: Ellipsis,
        _INT: lambda: next(number),
        _ARRAY: lambda: next(array),
    }
    return tuple(slice(*p) if isinstance(p, tuple) else found[p]() for p in pattern)


def _select(x: Any, *at: Any) -> Any:
    *numbers, pattern = at
    key = _key(pattern, numbers, ())
    if type(x) is np.ndarray and _ALL not in pattern:
        key = (*key, ...)  # one element is a view too
    return x[key]


def _index(x: Any, *at: Any) -> Any:
    *given, pattern, count = at
    return x[_key(pattern, given[:count], given[count:])]


def _index_put(x: Any, v: Any, *at: Any) -> Any:
    *given, pattern, count = at
    result = np.copy(x)
    result[_key(pattern, given[:count], given[count:])] = v
    return result


_SELECT = Function("slice", _select, grad_name="SliceBackward")
_SELECT.subscript = lambda numbers, pattern: _key(pattern, numbers, ())
_INDEX = Function("index", _index)
_PUT = Function("index_put", _index_put, grad_name="CopySlices")


def getitem(t: Tensor, key: Any) -> Tensor:
    pattern, numbers, arrays = _pattern(t, key)
    if arrays:
        return apply(_INDEX, t, *numbers, *arrays, static=(pattern, len(numbers)))
    return view(_SELECT, t, tuple(numbers), (pattern,))


def setitem(t: Tensor, key: Any, value: Any) -> None:
    refuse_leaf(t)
    new = operand(value)
    recorded = MODE.recording and (t._requires or (isinstance(new, Tensor) and new._requires))
    pattern, numbers, arrays = _pattern(t, key)
    if not recorded:
        store(
            t,
            _key(pattern, numbers, [a._array for a in arrays]),
            new._array if isinstance(new, Tensor) else new,
        )
        return
    if not isinstance(new, Tensor):
        new = Tensor(np.asarray(new, t.dtype.numpy))
    elif new.dtype is not t.dtype:
        new = FUNCTIONS["to"](new, t.dtype)
    write(t, apply(_PUT, t, new, *numbers, *arrays, static=(pattern, len(numbers))))


# -- new tensors of old ones ---------------------------------------------------------------------------


def _joining(name: str, definition: Callable[..., Any], *aliases: str) -> None:
    function = Function(name, lambda *args: definition(args[:-1], args[-1]), "common")

    def run(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
        return apply(function, *tensors, static=(dim if axis is None else axis,))

    run.__name__ = name
    for alias in (name, *aliases):
        FUNCTIONS[alias] = run


_joining("cat", np.concatenate, "concat", "concatenate")
_joining("stack", np.stack)
for _name, _function in (("hstack", np.hstack), ("vstack", np.vstack)):
    _joining(_name, lambda parts, _, _function=_function: _function(parts))


def _plain(name: str, definition: Callable[..., Any], collect: bool = False, *aliases: str) -> None:
    """A function with static arguments that copies: `collect` takes f(x, 1, 2) for f(x, (1, 2))."""
    function = Function(name, definition)

    def run(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        static = (_ints(args or tuple(kwargs.values())),) if collect else tuple(
            tuple(a) if isinstance(a, list) else a for a in (*args, *kwargs.values())
        )  # fmt: skip
        return apply(function, input, static=static)

    run.__name__ = name
    for alias in (name, *aliases):
        FUNCTIONS[alias] = run


_plain("flip", lambda x, dims: np.flip(x, axis=dims), True)
_plain("roll", lambda x, shifts, dims=None: np.roll(x, shifts, axis=dims))
_plain("tile", lambda x, reps: np.tile(x, reps), True)
_plain("repeat", lambda x, reps: np.tile(x, reps), True)
_plain("repeat_interleave", lambda x, n, dim=None: np.repeat(x, n, axis=dim))
_plain("tril", lambda x, diagonal=0: np.tril(x, diagonal))
_plain("triu", lambda x, diagonal=0: np.triu(x, diagonal))
_plain("trace", lambda x: np.trace(x))
_plain("diff", lambda x, n=1, dim=-1: np.diff(x, n, axis=dim))

_MASKED_FILL = Function("masked_fill", lambda x, mask, v: np.where(mask, v, x))
_INDEX_SELECT = Function("index_select", lambda x, i, d: np.take(x, i, axis=d))


@public("masked_fill")
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    number = value if isinstance(value, Tensor) else Tensor(np.asarray(value, input.dtype.numpy))
    return apply(_MASKED_FILL, input, mask, number)


@public("masked_select")
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    return getitem(input, mask)


@public("index_select")
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    return apply(_INDEX_SELECT, input, index, static=(dim,))


def contiguous(input: Tensor) -> Tensor:
    return input if input.is_contiguous() else clone(input)
