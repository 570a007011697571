"""What a page shows of a value: numbers in full, arrays as statistics and a small heat map."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

ROWS, COLUMNS = 16, 32
WRITTEN_OUT = 8
"""Arrays of at most this many elements are written out."""

Summary = dict[str, Any]


def number(value: Any) -> str:
    """A number with four digits.

    >>> number(2 / 3), number(12345678.0), number(7), number(True)
    ('0.6667', '1.235e+07', '7', 'True')
    """
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


def summary(value: Any) -> Summary:
    """A value as the page's script takes it.

    `t` the text. Arrays also have their shape `s`, the heat map's rows and columns `r` and `c`, its cells `q`
    (one byte each, base64: 128 is 0, 1 and 255 are minus and plus the largest magnitude, 0 is no number), and
    whether it is a sample of the elements, `part`.

    >>> summary(np.float64(0.5))
    {'t': '0.5', 'f': '0.5'}
    >>> found = summary(np.array([[1.0, -2.0]]))
    >>> found["t"], found["s"], list(base64.b64decode(found["q"]))
    ('[1, -2]', '1×2', [192, 1])
    """
    array = np.asarray(value)
    if not array.ndim:
        return {"t": number(value), "f": repr(array.item())}
    cells, part = _sample(array)
    finite = np.isfinite(array)
    good = array[finite]
    shape = "×".join(map(str, array.shape))
    found: Summary = {"s": shape, "r": cells.shape[0], "c": cells.shape[1], "q": _bytes(cells, good)}
    if part:
        found["part"] = True
    if array.size <= WRITTEN_OUT:
        found["t"] = f"[{', '.join(number(v) for v in array.ravel())}]"
    elif array.dtype == bool:
        found["t"] = f"{int(array.sum())} of {array.size} true"
    elif good.size:
        found["t"] = f"{number(good.min())} … {number(good.max())}, mean {number(np.mean(good, dtype=float))}"
    else:
        found["t"] = "no finite number"
    if good.size < array.size:
        found["bad"] = int(array.size - good.size)
    return found


def _sample(array: np.ndarray) -> tuple[np.ndarray, bool]:
    """At most ROWS by COLUMNS elements, evenly spread, and whether some are missing."""
    flat = array.reshape(1, -1) if array.ndim == 1 else array.reshape(-1, array.shape[-1] or 1)
    rows = np.unique(np.linspace(0, max(flat.shape[0] - 1, 0), min(flat.shape[0], ROWS)).astype(int))
    columns = np.unique(np.linspace(0, max(flat.shape[1] - 1, 0), min(flat.shape[1], COLUMNS)).astype(int))
    cells = flat[np.ix_(rows, columns)] if flat.size else flat[:0]
    return cells, cells.size < array.size


def _bytes(cells: np.ndarray, good: np.ndarray) -> str:
    with np.errstate(all="ignore"):
        top = float(np.max(np.abs(good.astype(float)), initial=0.0)) or 1.0
        scaled = np.rint(128 + 127 * (cells.astype(float) / top))
        codes = np.where(np.isfinite(scaled), np.clip(np.nan_to_num(scaled), 1, 255), 0)
    return base64.b64encode(codes.astype(np.uint8).tobytes()).decode()


class Table:
    """Summaries, each once; steps refer to them by number."""

    def __init__(self) -> None:
        self.rows: list[Summary] = []
        self._known: dict[str, int] = {}

    def add(self, value: Any) -> int:
        found = summary(value)
        key = json.dumps(found, sort_keys=True)
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(found)
        return self._known[key]
