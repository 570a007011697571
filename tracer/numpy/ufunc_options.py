"""The options that all ufuncs share: `out=`, `where=` and `dtype=`.

They mean the same for every ufunc, so the implementations need not know them: what is registered for a ufunc is wrapped
here, after all of them are registered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.errors import UnsupportedFunction
from ..values.symbol import FUNCTIONS, Symbol, require_session
from .elementwise import store_out

_ANSWERS = (
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.logical_and, np.logical_or,
    np.logical_xor, np.logical_not, np.isnan, np.isinf, np.isfinite, np.signbit,
)  # fmt: skip


def with_options(ufunc: np.ufunc, implementation: Callable[..., Any]) -> Callable[..., Any]:
    """The implementation, with NumPy's meaning of the options of ufuncs."""

    def called(*args: Any, **options: Any) -> Any:
        if len(args) <= ufunc.nin and not options:
            return implementation(*args)
        outs = options.pop("out", None)
        if len(args) > ufunc.nin:
            outs, args = args[ufunc.nin :], args[: ufunc.nin]
        if len(args) < ufunc.nin:
            raise TypeError(
                f"{ufunc.__name__}() takes from {ufunc.nin} to {ufunc.nargs} positional arguments but {len(args)} were "
                "given"
            )
        where, dtype = options.pop("where", True), options.pop("dtype", None)
        _refuse_others(ufunc, options)
        if dtype is not None and not (ufunc in _ANSWERS and np.dtype(dtype) == bool):
            if ufunc in _ANSWERS:
                raise require_session().error(UnsupportedFunction, f"np.{ufunc.__name__}(dtype=...) cannot be traced")
            args = tuple(FUNCTIONS[np.asarray](a, dtype) if _is_array(a) else _number(a, dtype) for a in args)
        targets = _targets(ufunc, outs)
        if where is True:
            return _stored(implementation(*args), targets)
        if any(t is None for t in targets):
            raise require_session().error(
                UnsupportedFunction,
                f"np.{ufunc.__name__}(where=...) without out= leaves elements undefined. Use np.where",
            )
        if ufunc in (np.floor_divide, np.remainder, np.divmod, np.fmod):
            args = (args[0], FUNCTIONS[np.where](where, args[1], 1))  # a zero that is left out does not raise
        values = implementation(*args)
        chosen = [
            FUNCTIONS[np.where](where, value, target)
            for value, target in zip(values if ufunc.nout > 1 else (values,), targets)
        ]
        return _stored(tuple(chosen) if ufunc.nout > 1 else chosen[0], targets)

    called.__name__ = ufunc.__name__
    return called


def _is_array(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray)) or (isinstance(value, Symbol) and value.type.rank > 0)


def _number(value: Any, dtype: Any) -> Any:
    return FUNCTIONS[np.asarray](value, dtype)


def _refuse_others(ufunc: np.ufunc, options: dict[str, Any]) -> None:
    for option, value in options.items():
        if option not in ("casting", "order", "subok") or value not in ("same_kind", "unsafe", "K", "C", True):
            raise require_session().error(UnsupportedFunction, f"np.{ufunc.__name__}({option}=...) cannot be traced")


def _targets(ufunc: np.ufunc, outs: Any) -> tuple[Any, ...]:
    if outs is None:
        return (None,) * ufunc.nout
    targets = tuple(outs) if isinstance(outs, tuple) else (outs,)
    if len(targets) > ufunc.nout:
        raise TypeError(f"{ufunc.__name__}(): too many values for out=")
    return targets + (None,) * (ufunc.nout - len(targets))


def _stored(values: Any, targets: tuple[Any, ...]) -> Any:
    if len(targets) == 1:
        return store_out(values, targets[0])
    return tuple(store_out(v, t) for v, t in zip(values, targets))


def install() -> None:
    """Wrap what is registered for ufuncs."""
    for function, implementation in list(FUNCTIONS.items()):
        if isinstance(function, np.ufunc):
            FUNCTIONS[function] = with_options(function, implementation)
