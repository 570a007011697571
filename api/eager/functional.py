"""torch.autograd.functional: derivatives of a function at inputs, a tensor or a tuple of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import func as transforms
from .func import DEPTH, jacobian_of, pulled, settled
from .missing import missing
from .tape import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]


def _at(function: Function, inputs: Any, body: Callable[..., Any], create_graph: bool) -> Any:
    """What `body` makes of the inputs and of the function's value there; one tensor is given back as one."""
    single = not isinstance(inputs, (tuple, list))
    given = (inputs,) if single else tuple(inputs)
    DEPTH.count += 1
    try:
        with enable_grad():
            xs, _ = transforms.inputs_of(given)
            value, found = body(function(*xs), xs, single)
    finally:
        DEPTH.count -= 1
    return settled(value, create_graph), settled(found, create_graph)


def _one(parts: Any, single: bool) -> Any:
    return parts[0] if single else tuple(parts)


def _seeds(v: Any) -> Any:
    return v if v is None else tuple(v) if isinstance(v, (tuple, list)) else (v,)


def vjp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(value, v times the Jacobian)."""

    def body(value: Any, xs: Any, single: bool) -> Any:
        return value, _one(pulled(value, xs, _seeds(v)), single)

    return _at(func, inputs, body, create_graph)


def jvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(value, the Jacobian times v)."""
    xs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    found = transforms.jvp(func, xs, _seeds(v) if v is not None else tuple(x.detach() * 0 + 1 for x in xs))
    return settled(found, create_graph)


def jacobian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The Jacobian: a block for each output and each input; tuples where these are. Reverse mode, row by row."""

    def body(value: Any, xs: Any, single: bool) -> Any:
        several = isinstance(value, (tuple, list))
        rows = [_one(jacobian_of(y, xs), single) for y in (value if several else (value,))]
        return None, tuple(rows) if several else rows[0]

    return _at(func, inputs, body, create_graph)[1]


def hessian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The Hessian of a function that returns one number."""

    def body(value: Any, xs: Any, single: bool) -> Any:
        rows = [_one(jacobian_of(slope, xs), single) for slope in pulled(value, xs)]
        return None, _one(rows, single)

    return _at(func, inputs, body, create_graph)[1]


def vhp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(value, v times the Hessian)."""

    def body(value: Any, xs: Any, single: bool) -> Any:
        return value, _one(pulled(pulled(value, xs), xs, _seeds(v)), single)

    return _at(func, inputs, body, create_graph)


hvp = vhp
"""A Hessian is symmetric."""


def __getattr__(name: str) -> Any:
    raise missing("torch.autograd.functional", name)
