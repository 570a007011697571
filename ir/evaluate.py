"""An interpreter of programs in plain NumPy: slow and obvious, the oracle of every test."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from .build import number
from .errors import IRError, ShapeMismatch
from .primitive import Primitive
from .program import Atom, Call, Check, For, If, Let, Lit, Node, Phi, Program, Var, While, map_operand
from .types import Dim, Type

Env = dict[str, Any]
Watch = Callable[[Node, str, Env, Env], None]
"""Called after each operation of a run: the node, which part of it was run, the values it bound, all values.

The part is "" for a Let or a Check; for loops "head" (an iteration begins: index and phis), "test" (of a while)
and "exit"; for an if "head" (its condition is known) and "join" (its phis).
"""


def evaluate(program: Program, *args: Any, watch: Watch | None = None) -> tuple[Any, ...]:
    """The results for these arguments, as NumPy scalars and new arrays; `watch` sees every operation.

    >>> from .text import parse
    >>> program = parse('''
    ... def f(x: f64, n: i64) -> f64:
    ...     for i in range(n):
    ...         p: f64 = phi(1.0, p1)
    ...         p1: f64 = p * x
    ...     y: f64 = last(p)
    ...     return y''')
    >>> evaluate(program, 3.0, 4)
    (np.float64(81.0),)
    """
    if len(args) != len(program.params):
        raise TypeError(f"{program.name} takes {len(program.params)} arguments, got {len(args)}")
    env: Env = {}
    sizes: dict[str, int] = {}
    for param, arg in zip(program.params, args):
        value = np.asarray(arg, param.type.numpy)
        _check_argument(param, value, sizes)
        env[param.name] = value[()]
    with np.errstate(all="ignore"):
        _run(program.body, env, watch)
    return tuple(np.array(_value(r, env))[()] for r in program.results)


def _check_argument(param: Var, value: np.ndarray, sizes: dict[str, int]) -> None:
    """Refuse a shape that is not of the declared type, where one name is one size."""
    fits = value.ndim == param.type.rank
    for dim, size in zip(param.type.dims, value.shape):
        fits = fits and size == (dim if isinstance(dim, int) else sizes.setdefault(dim, size))
    if not fits:
        raise ShapeMismatch(f"{param.name} has shape {value.shape}, its type is {param.type}")


def _run(nodes: tuple[Node, ...], env: Env, watch: Watch | None) -> None:
    def bind(node: Node, part: str, values: Env) -> None:
        env.update(values)
        if watch is not None:
            watch(node, part, values, env)

    for node in nodes:
        match node:
            case Let(var, op, args):
                value = _typed(function(op)(*(operand_value(a, env) for a in args)), var.type, env, node)
                bind(node, "", {var.name: value})
            case Check(cond, message):
                if not _value(cond, env):
                    raise failure(message)
                bind(node, "", {})
            case Call(results, applied, args):
                called = _applied(applied.program, [_value(arg, env) for arg in args])
                bind(node, "", {var.name: value for var, value in zip(results, called)})
            case For(index, start, stop, reverse, phis, body, exits):
                trips = range(int(_value(start, env)), int(_value(stop, env)))
                state = _firsts(phis, env)
                for i in reversed(trips) if reverse else trips:
                    bind(node, "head", {index.name: np.int64(i), **state})
                    _run(body, env, watch)
                    state = _seconds(phis, env)
                bind(node, "exit", {exit.var.name: state[exit.phi.name] for exit in exits})
            case While(phis, test, cond, body, exits):
                state = _firsts(phis, env)
                while True:
                    bind(node, "head", state)
                    _run(test, env, watch)
                    bind(node, "test", {})
                    if not _value(cond, env):
                        break
                    _run(body, env, watch)
                    state = _seconds(phis, env)
                bind(node, "exit", {exit.var.name: state[exit.phi.name] for exit in exits})
            case If(cond, then, orelse, phis):
                taken = bool(_value(cond, env))
                bind(node, "head", {})
                _run(then if taken else orelse, env, watch)
                bind(node, "join", _firsts(phis, env) if taken else _seconds(phis, env))


def _applied(program: Program, values: list[Any]) -> list[Any]:
    """The results of a program that is called by another one."""
    env: Env = dict(zip((v.name for v in program.params), values))
    _run(program.body, env, None)
    return [_value(r, env) for r in program.results]


def _value(atom: Atom, env: Env) -> Any:
    return number(atom) if isinstance(atom, Lit) else env[atom.name]


def operand_value(operand: Any, env: Env) -> Any:
    """The operand with numbers for its values and sizes; static values stay as they are."""
    return map_operand(operand, lambda atom: _value(atom, env), lambda dim: _size(dim, env))


def _size(dim: Dim, env: Env) -> int:
    return dim if isinstance(dim, int) else int(env[dim])


def _firsts(phis: tuple[Phi, ...], env: Env) -> Env:
    return {phi.var.name: _value(phi.first, env) for phi in phis}


def _seconds(phis: tuple[Phi, ...], env: Env) -> Env:
    return {phi.var.name: _value(phi.second, env) for phi in phis}


def _typed(result: Any, type: Type, env: Env, let: Let) -> Any:
    """The result in the dtype of its type, as some functions of SciPy widen; its shape must be right."""
    value = np.asarray(result).astype(type.numpy, copy=False)
    dims = tuple(_size(d, env) for d in type.dims)
    if value.shape != dims:
        raise IRError(f"{let.op.name} gives {let.var.name}: {type} the shape {value.shape}, not {dims}")
    return value[()]


@cache
def function(op: Primitive) -> Any:
    """The function of NumPy values that an operation stands for."""
    if not isinstance(op.numpy, str):
        return op.numpy
    module, _, name = op.numpy.rpartition(".")
    return getattr(import_module(module), name)


def failure(message: str) -> Exception:
    """The exception of a failed Check, by the class its message names; a guard is a ValueError.

    >>> failure("IndexError: index 3 is out of bounds"), failure("guard: n >= 4")
    (IndexError('index 3 is out of bounds'), ValueError('guard: n >= 4'))
    """
    name, _, text = message.partition(": ")
    kind = getattr(builtins, name, None) or getattr(np.linalg, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        return kind(text)
    return ValueError(message)
