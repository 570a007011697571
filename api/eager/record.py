"""Running an operation at once, and recording it: `apply` for new values, `view` for views, `write` in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kinds
from .kernels import DependsOnValue, Entry, Function
from .memory import protect, share, value_of
from .tape import MODE, Node, here
from .tensor import Tensor

NUMBERS = frozenset((bool, int, float))
_IN_PLACE_LEAF = (
    "a {}leaf Variable that requires grad is being used in an in-place operation. Write it inside of "
    "`with torch.no_grad():` (as an update of parameters), or compute a new tensor, t = t + 1, or change a "
    "copy, t.clone()"
)


def operand(x: Any) -> Any:
    """A tensor or a Python number."""
    kind = type(x)
    if kind is Tensor or kind in NUMBERS:
        return x
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return Tensor(np.array(x, kinds.as_dtype(x.dtype).numpy))
    raise TypeError(f"expected a tensor or a number, not {kind.__name__}")


def apply(function: Function, *operands: Any, static: tuple[Any, ...] = ()) -> Tensor:
    """The function of tensors and numbers, as a new tensor."""
    key: list[Any] = [static, kinds._default]
    tracked = False
    for x in operands:
        kind = type(x)
        if kind is Tensor:
            key.append(x._kind)
            tracked = tracked or x._requires
        elif kind in NUMBERS:
            key.append(kind)
        else:
            return apply(function, *map(operand, operands), static=static)
    try:
        entry = function.entries[tuple(key)]
    except KeyError:
        try:
            entry = function.entry(tuple(key), key[2:], static)
        except DependsOnValue:
            values = tuple(_integer(x) for x in operands)
            rest = [x for x, v in zip(operands, values) if v is None]
            if not rest:
                return _of_integers(function, values, static)
            return apply(function.pinned, *rest, static=(values, static))
    arrays = [x._array if convert is None else convert(x) for x, convert in zip(operands, entry.converters)]
    out = entry.run(*arrays)[0]
    if type(out) is not np.ndarray or out.dtype is not entry.dtype:
        out = np.asarray(out, entry.dtype)
    result = Tensor(out)
    if tracked and MODE.recording and entry.floating:
        result._node = record(entry, operands, arrays, result)
        result._requires = True
    return result


def _of_integers(function: Function, values: tuple[Any, ...], static: tuple[Any, ...]) -> Tensor:
    try:
        with np.errstate(divide="raise"):
            result = function.definition(*map(np.int64, values), *static)
    except FloatingPointError:
        raise ZeroDivisionError("integer division or modulo by zero") from None
    return Tensor(np.asarray(result))


def _integer(x: Any) -> int | None:
    """The value of an integer operand without axes."""
    if type(x) is Tensor:
        return x.item() if not x.ndim and x.dtype.category == 1 else None
    return x if type(x) is int else None


def record(entry: Entry, operands: tuple[Any, ...], arrays: list[Any], result: Tensor) -> Node:
    wrt = tuple([k for k, x in enumerate(operands) if type(x) is Tensor and x._requires])
    plan = entry.plans.get(wrt)
    if plan is None:
        plan = entry.plan(wrt)
    parents: list[Any] = []
    saved: list[Any] = []
    for x, array, needed in zip(operands, arrays, plan.needs):
        if type(x) is not Tensor:
            parents.append(None)
            saved.append(array)
            continue
        node = x._node
        parents.append(node)
        if needed or node is None or node.plan is None:
            saved.append(x._value or value_of(x))
        else:
            saved.append(x._kind)
    return Node(plan, parents, saved, result._kind, here())


def view(
    function: Function, t: Tensor, numbers: tuple[int, ...] = (), static: tuple[Any, ...] = ()
) -> Tensor:
    """A tensor in the same memory, where NumPy gives one; else a new one."""
    array = function.definition(t._array, *numbers, *static)
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    result = Tensor(array)
    if np.may_share_memory(array, t._array):
        share(t, result)
        result._base = t if t._base is None else t._base
        result._chain = (*t._chain, (function, numbers, static))
    if t._requires and MODE.recording:
        _record_view(function, t, numbers, static, result)
    return result


def _record_view(
    function: Function, t: Tensor, numbers: tuple[int, ...], static: tuple[Any, ...], result: Tensor
) -> None:
    operands = (t, *numbers)
    key = (static, kinds._default, t._kind, *(int for _ in numbers))
    entry = function.entries.get(key) or function.entry(key, list(key[2:]), static)
    result._node = record(entry, operands, [t._array, *map(np.int64, numbers)], result)
    result._requires = True


# -- in place ------------------------------------------------------------------------------------------


def refuse_leaf(t: Tensor) -> None:
    """torch's rule: while recording, a leaf that requires grad is not written, nor a view of one."""
    if not MODE.recording:
        return
    if t._requires and t.is_leaf:
        raise RuntimeError(_IN_PLACE_LEAF.format(""))
    base = t._base
    if base is not None and base._requires and base.is_leaf:
        raise RuntimeError(_IN_PLACE_LEAF.format("view of a "))


def write(t: Tensor, result: Tensor) -> Tensor:
    """Make t show the numbers of `result`, and its history."""
    refuse_leaf(t)
    if result._kind.shape != t._kind.shape:
        raise RuntimeError(
            f"output with shape {list(t.shape)} doesn't match the broadcast shape {list(result.shape)}: an in-place "
            "operation keeps the shape of what it writes to"
        )
    if result.dtype.category > t.dtype.category:
        raise RuntimeError(
            f"result type {result.dtype.name} can't be cast to the desired output type {t.dtype.name}: an in-place "
            "operation keeps the dtype of what it writes to"
        )
    store(t, Ellipsis, result._array)
    if MODE.recording and (result._requires or t._requires):
        if result._kind is not t._kind:
            result = apply(TO, result, static=(t.dtype,))
        _rebase(t, result)
    return t


def store(t: Tensor, key: Any, value: Any) -> None:
    """Write to the memory; what derivatives kept of it is copied before."""
    if not t._array.flags.writeable:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location "
            "(or the memory is read-only). Please clone() the tensor before performing the operation."
        )
    if isinstance(value, np.ndarray) and np.may_share_memory(value, t._array):
        value = value.copy()
    protect(t)
    t._array[key] = value


def _rebase(t: Tensor, result: Tensor) -> None:
    """The history of t, and of everything that is a view of the same base, after a write."""
    base = t._base
    if base is None:
        _adopt(t, result)
    else:
        merged = _merge(base, t, result)
        _adopt(base, merged)
    if t._shared is not None:
        owner = t if base is None else base
        for other in t._shared.alive():
            if other._base is owner:
                _rederive(owner, other)


def _adopt(t: Tensor, result: Tensor) -> None:
    t._node = result._node
    t._requires = result._requires
    t._grad = None


def _merge(base: Tensor, t: Tensor, result: Tensor) -> Tensor:
    """The base with the part that t shows replaced, as a recorded operation; its numbers are there already."""
    numbers = tuple(n for _, given, _ in t._chain for n in given)
    chain = tuple((function, len(given), static) for function, given, static in t._chain)
    operands = (base, result, *numbers)
    key = ((chain,), kinds._default, base._kind, result._kind, *(int for _ in numbers))
    entry = WRITE_VIEW.entries.get(key) or WRITE_VIEW.entry(key, list(key[2:]), (chain,))
    merged = Tensor(base._array)
    merged._node = record(entry, operands, [base._array, result._array, *map(np.int64, numbers)], merged)
    merged._requires = True
    return merged


def _rederive(base: Tensor, t: Tensor) -> None:
    """The history of a view again, from its base as it is now."""
    at = base
    for function, numbers, static in t._chain:
        array = function.definition(at._array, *numbers, *static)
        step = Tensor(np.asarray(array))
        if at._requires:
            _record_view(function, at, numbers, static, step)
        at = step
    t._node, t._requires = at._node, at._requires


def _write_view(base: Any, value: Any, *at: Any) -> Any:
    *numbers, chain = at
    copy = np.copy(base)
    target = copy
    for k, (function, count, static) in enumerate(chain):
        given, numbers = numbers[:count], numbers[count:]
        if k == len(chain) - 1 and function.subscript is not None:
            target[function.subscript(given, *static)] = value  # one element has no view in a traced program
            return copy
        target = function.definition(target, *given, *static)
    target[...] = value
    return copy


WRITE_VIEW = Function("write_view", _write_view, grad_name="CopySlices")
TO = Function("to", lambda x, d: x.astype(d.numpy), grad_name="ToCopyBackward")
