"""Python's operators on symbols: NumPy's functions, and on Python's own numbers what Python means by them."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from .staged_list import Numbers
from .symbol import FUNCTIONS, Array, PythonNumber, Scalar, Symbol, call_function

PYTHON: dict[str, Callable[..., Any]] = {}
"""What operators mean on Python's own numbers; `tracer.numpy.pynumbers` fills it."""


def is_python(value: Any) -> bool:
    """Is it a number of Python's own, traced or not?"""
    if isinstance(value, Scalar):
        return value.weak
    return isinstance(value, PythonNumber) and not isinstance(value, np.generic)


def _as_float(value: Any, other: Any) -> Any:
    """An integer of Python's that no 64 bits hold, beside a float: it becomes one."""
    if type(value) is int and not -(2**63) <= value < 2**63 and isinstance(other, Symbol) and other.type.is_float:
        return float(value)
    return value


def _binary(name: str, function: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def apply(a: Any, b: Any) -> Any:
        if name not in COMPARISONS:
            a, b = _as_float(a, b), _as_float(b, a)
        if name in PYTHON and is_python(a) and is_python(b):
            return PYTHON[name](a, b)
        return call_function(function, f"np.{function.__name__}", (a, b), {})

    def forward(self: Symbol, other: Any) -> Any:
        elementwise = name in ("eq", "ne") and isinstance(self, Array) and isinstance(other, (str, type(None)))
        return apply(self, other) if elementwise or _operand(self, other) else NotImplemented

    def backward(self: Symbol, other: Any) -> Any:
        return apply(other, self) if _operand(self, other) else NotImplemented

    return forward, backward


def _unary(name: str, function: Any) -> Callable[[Symbol], Any]:
    return lambda self: (PYTHON[name] if is_python(self) else FUNCTIONS[function])(self)


def _operand(symbol: Symbol, value: Any) -> bool:
    """Does NumPy's operation apply? A Python number leaves lists alone: `[0.0] * n` repeats one."""
    if isinstance(value, (list, tuple, Numbers)):
        return not (isinstance(symbol, Scalar) and symbol.weak)
    return isinstance(value, (Symbol, np.ndarray, np.generic, numbers.Number))


OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
    "floordiv": np.floor_divide, "mod": np.remainder, "matmul": np.matmul, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
    "divmod": np.divmod,
}  # fmt: skip
COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip


def _inplace(function: Any) -> Callable[..., Any]:
    def update(self: Array, other: Any) -> Any:
        FUNCTIONS["inplace"](self, FUNCTIONS[function](self, other))
        return self

    return update


for _name, _function in OPERATORS.items():
    _forward, _backward = _binary(_name, _function)
    setattr(Symbol, f"__{_name}__", _forward)
    setattr(Symbol, f"__r{_name}__", _backward)
    if _name != "divmod":
        setattr(Array, f"__i{_name}__", _inplace(_function))
for _name, _function in COMPARISONS.items():
    setattr(Symbol, f"__{_name}__", _binary(_name, _function)[0])
for _name, _function in {
    "neg": np.negative,
    "abs": np.absolute,
    "invert": np.invert,
    "pos": np.positive,
}.items():
    setattr(Symbol, f"__{_name}__", _unary(_name, _function))
for _name in ("round", "floor", "ceil", "trunc"):
    setattr(Symbol, f"__{_name}__", lambda self, *a, _name=_name: FUNCTIONS["__" + _name](self, *a))
