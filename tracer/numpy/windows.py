"""Window functions, by NumPy's formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.errors import UnsupportedFunction
from ..session import NeedStatic
from ..values.symbol import Scalar, implements, require_session
from .arguments import integer_atom, iota


def _places(M: Any, what: str) -> tuple[Any, Any]:
    """1 - M, 3 - M, ..., M - 1 as floats, and M - 1; sizes below two are another formula, and made static."""
    session = require_session()
    atom = integer_atom(M, what)
    form = session.builder.affine(atom)
    if not session.ensure(form - Affine(2)):
        if session.from_inputs(form):
            raise NeedStatic(session.root_names(form))
        raise session.error(UnsupportedFunction, f"{what} of a size that only a run knows")
    last = Scalar(session, session.builder.integer(form - 1), weak=True)
    return 2.0 * iota(session, atom) - last, last


def _window(function: Any, formula: Callable[[Any, Any], Any]) -> None:
    what = f"np.{function.__name__}"

    @implements(function)
    def window(M: Any) -> Any:
        return formula(*_places(M, what))


_window(np.hanning, lambda n, last: 0.5 + 0.5 * np.cos(math.pi * n / last))
_window(np.hamming, lambda n, last: 0.54 + 0.46 * np.cos(math.pi * n / last))
_window(
    np.blackman, lambda n, last: 0.42 + 0.5 * np.cos(math.pi * n / last) + 0.08 * np.cos(2.0 * math.pi * n / last)
)
_window(np.bartlett, lambda n, last: np.where(n <= 0.0, 1.0 + n / last, 1.0 - n / last))
