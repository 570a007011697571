"""`check_primitive`: the derivative rule of one operation of the IR, against finite differences."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np

from ..ir.adjoint.reverse_mode import adjoint
from ..ir.evaluate import evaluate
from ..ir.primitive import REGISTRY, Primitive
from ..ir.program import Program
from ..ir.samples import inputs, programs, sample_program

__all__ = ["check_primitive"]

_STEP = 1e-4


def check_primitive(name: str | Primitive, points: int = 3, seed: int = 0) -> None:
    """Check the rule of a primitive by itself: for each sample of its declaration, operand by operand.

    With random cotangents `s` and directions `d`, `<vjp(s), d>` of an operand is compared with a central
    difference of `<s, op(.. x + h d ..)>` at `points` points of the primitive's domain, in double precision.

    Raises AssertionError, which names the sample, the operand and both numbers; ValueError for a name that
    is no primitive, and for one that is declared not differentiable.

    >>> check_primitive("tanh")
    """
    op = _primitive(name)
    if not op.differentiable:
        raise ValueError(f"check_primitive: {op.name} is declared not differentiable: there is no rule to check")
    rng = np.random.default_rng(seed)
    checked = 0
    for sample, (program, ranges) in _samples(op):
        floats = [k for k, p in enumerate(program.params) if p.type.is_float]
        if not floats or not program.results[0].type.is_float or "f32" in str(program):
            continue
        for k in floats:
            settled = 0
            for _ in range(10 * points):
                settled += _check(sample, program, inputs(program, op, rng, ranges), k, rng)
                if settled == points:
                    break
            checked += settled
    if not checked:
        raise ValueError(f"check_primitive: {op.name} declares no sample in double precision to check its rule with")


def _primitive(name: str | Primitive) -> Primitive:
    if isinstance(name, Primitive):
        return name
    if name not in REGISTRY:
        close = difflib.get_close_matches(name, REGISTRY, 3)
        raise ValueError(
            f"check_primitive: there is no primitive {name!r}" + (f", but {', '.join(close)}" if close else "")
        )
    return REGISTRY[name]


def _samples(op: Primitive) -> list[tuple[str, tuple[Program, Any]]]:
    given = [(f"{op.name}({sample})", sample_program(op, sample)) for sample in op.samples]
    more = list(programs(op))[len(op.samples) :]
    return given + [(str(p.body[-1]), (p, None)) for p in more]


def _check(sample: str, program: Program, args: list[Any], k: int, rng: np.random.Generator) -> bool:
    """Compare at one point; False if finite differences do not settle there, beside a jump."""
    (y,) = evaluate(program, *args)
    seed = rng.normal(size=np.shape(y))
    direction = rng.normal(size=np.shape(args[k]))

    def along(t: float) -> float:
        moved = [a + t * direction if i == k else a for i, a in enumerate(args)]
        return float(np.vdot(seed, evaluate(program, *moved)[0]))

    fine, coarse = ((along(h) - along(-h)) / (2 * h) for h in (_STEP, 2 * _STEP))
    expected = (4 * fine - coarse) / 3
    (bar,) = evaluate(adjoint(program, [k]), *args, seed)
    if np.shape(bar) != np.shape(args[k]):
        raise AssertionError(
            f"check_primitive: the rule of {sample} gives operand {k} of shape {np.shape(args[k])} a cotangent of "
            f"shape {np.shape(bar)}"
        )
    found = float(np.vdot(bar, direction))
    scale = 1 + abs(expected) + float(np.abs(bar * direction).sum())
    if abs(fine - coarse) > 1e-3 * scale:
        return False
    if not abs(found - expected) <= 1e-6 * scale:
        shown = (np.array2string(np.asarray(a), precision=4) for a in args)
        point = ", ".join(f"{p.name} = {text}" for p, text in zip(program.params, shown))
        raise AssertionError(
            f"check_primitive: the rule of {sample} is wrong for operand {k}: in a random direction it gives "
            f"{found:.8g}, finite differences {expected:.8g}, at {point}"
        )
    return True
