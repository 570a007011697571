"""Functions of Python's integers. Where the result does not fit 64 bits they give -1, for a check behind them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import IRError
from ..primitive import Primitive
from ..types import Type
from .declare import elementwise, same_dtype


def _integers(*operands: Any) -> Type:
    """i64, of i64 operands."""
    result = same_dtype(*operands)
    if result.dtype != "i64":
        raise IRError(f"a function of integers, not of {result}")
    return result


def _of_integers(name: str, function: Callable[..., int], arity: int, samples: tuple[str, ...]) -> Primitive:
    def one(*values: np.int64) -> int:
        numbers = [int(v) for v in values]
        if name != "gcd" and min(numbers) < 0:
            return -1
        if name == "binomial":
            n, k = numbers
            numbers = [n, min(k, n - k)] if k <= n else [0, 1]
        if name in ("factorial", "binomial") and numbers[-1] > 100:
            return -1
        result = function(*numbers)
        return result if result < 2**63 else -1

    return elementwise(
        name, f"{name}({', '.join(f'{{{k}}}' for k in range(arity))})", np.vectorize(one, otypes=[np.int64]),
        (None,) * arity, result=_integers, cost=20, samples=samples,
    )  # fmt: skip


factorial = _of_integers("factorial", math.factorial, 1, ("i64[0:22]", "i64[4]"))
binomial = _of_integers("binomial", math.comb, 2, ("i64[0:80], i64[0:40]", "i64[4], i64[0:3]"))
isqrt = _of_integers("isqrt", math.isqrt, 1, ("i64[0:99]", "i64[4]"))
gcd = _of_integers("gcd", math.gcd, 2, ("i64[0:99], i64[0:99]", "i64[4], i64"))
