"""How tensors print: PyTorch's layout, values to 4 digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

WIDTH = 80
THRESHOLD = 1000
EDGE = 3


class Size(tuple):
    """The shape of a tensor."""

    def numel(self) -> int:
        return int(np.prod(self, dtype=np.int64))

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"


def _formatter(values: np.ndarray) -> Callable[[Any], str]:
    """How one element prints, all to one width."""
    if values.dtype == np.bool_ or values.dtype.kind == "i":
        texts = [str(v) for v in values]
        width = max(map(len, texts), default=0)
        return lambda v: str(v).rjust(width)
    finite = np.abs(values[np.isfinite(values) & (values != 0)].astype(float))
    spec = "{:.4f}"
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        whole = bool(np.all(finite == np.ceil(finite)))
        if whole:
            spec = "{:.4e}" if high / low > 1000.0 or high > 1e8 else "{:.0f}."
        elif high / low > 1000.0 or high > 1e8 or low < 1e-4:
            spec = "{:.4e}"
    else:
        spec = "{:.0f}."

    def text(v: Any) -> str:
        return spec.format(v) if np.isfinite(v) else str(float(v))

    width = max((len(text(v)) for v in values if v != 0 and np.isfinite(v)), default=0)
    return lambda v: text(v).rjust(width)


def _rows(array: np.ndarray, text: Callable[[Any], str], indent: int, short: bool) -> str:
    n = array.shape[0]
    cut = short and n > 2 * EDGE
    places: list[int | None] = [*range(EDGE), None, *range(n - EDGE, n)] if cut else list(range(n))
    if array.ndim == 1:
        parts = [" ..." if k is None else text(array[k]) for k in places]
        width = max((len(p) for p in parts), default=1) + 2
        line = max(1, (WIDTH - indent) // width)
        lines = [", ".join(parts[k : k + line]) for k in range(0, len(parts), line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = ["..." if k is None else _rows(array[k], text, indent + 1, short) for k in places]
    separator = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
    return "[" + separator.join(parts) + "]"


def _shown(array: np.ndarray) -> np.ndarray:
    """The elements that a shortened print shows, for the width."""
    for axis, n in enumerate(array.shape):
        if n > 2 * EDGE:
            array = np.take(array, [*range(EDGE), *range(n - EDGE, n)], axis)
    return array.ravel()


def show(array: np.ndarray, default: np.dtype, suffixes: list[str]) -> str:
    """`tensor(...)`.

    >>> print(show(np.array([[1.5, -2.0]], np.float32), np.dtype(np.float32), ["requires_grad=True"]))
    tensor([[ 1.5000, -2.0000]], requires_grad=True)
    """
    short = array.size > THRESHOLD
    if array.ndim == 0:
        body = _formatter(array.reshape(1))(array[()])
    elif array.size == 0:
        body = "[]"
        if array.shape != (0,):
            suffixes = [f"size=({', '.join(map(str, array.shape))})", *suffixes]
    else:
        body = _rows(array, _formatter(_shown(array) if short else array.ravel()), len("tensor("), short)
    known = array.dtype in (default, np.dtype(np.int64), np.dtype(np.bool_))
    if not known or (array.size == 0 and array.dtype != default):
        suffixes = [f"dtype=torch.{array.dtype.name}", *suffixes]
    text = f"tensor({body}"
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if last + len(suffix) + 2 > WIDTH:
            text += ",\n" + " " * len("tensor(") + suffix
            last = len("tensor(") + len(suffix)
        else:
            text += ", " + suffix
            last += len(suffix) + 2
    return text + ")"
