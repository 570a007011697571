"""Sorting and searching, for generated code: what numba makes of NumPy's own functions takes a second to compile."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

jitable = register_jitable(error_model="numpy")


@jitable
def before(a, b):
    """Does a stand before b in ascending order? A nan stands behind everything else."""
    return a < b or (b != b and a == a)


@jitable
def argsort(x):
    """The places of the elements in ascending order along the last axis; stable, nan last.

    Merge sort, from runs of 8 that are sorted by insertion.
    """
    n = x.shape[-1]
    result = np.empty(x.shape, np.int64)
    rows, values = result.reshape(-1), np.ascontiguousarray(x).reshape(-1)
    spare = np.empty(n, np.int64)
    for start in range(0, rows.shape[0], max(n, 1)):
        keys, places, other = values[start : start + n], rows[start : start + n], spare
        for i in range(n):
            j = i
            while j & 7 and before(keys[i], keys[places[j - 1]]):
                places[j] = places[j - 1]
                j -= 1
            places[j] = i
        width = 8
        while width < n:
            for k in range(n):
                at = k & (2 * width - 1)
                if at == 0:
                    i, j = k, min(k + width, n)
                    middle, end = j, min(k + 2 * width, n)
                if i >= middle or (j < end and before(keys[places[j]], keys[places[i]])):
                    other[k] = places[j]
                    j += 1
                else:
                    other[k] = places[i]
                    i += 1
            places, other, width = other, places, 2 * width
        for k in range(n):
            rows[start + k] = places[k]
    return result


@jitable
def search(x, value, right):
    """The number of elements of the sorted x before a value; with `right` the equal ones count as well."""
    low, high = 0, x.shape[0]
    while low < high:
        middle = (low + high) // 2
        if (right and not before(value, x[middle])) or before(x[middle], value):
            low = middle + 1
        else:
            high = middle
    return low


def search_left(x, values):
    """The number of elements of the sorted x that are smaller than each value."""
    return np.searchsorted(x, values, side="left")


def search_right(x, values):
    """The number of elements of the sorted x that are not larger than each value."""
    return np.searchsorted(x, values, side="right")


@overload(search_left)
def _search_left(x, values):
    if not isinstance(values, types.Array):
        return lambda x, values: search(x, values, False)
    return lambda x, values: search_all(x, values, False)


@overload(search_right)
def _search_right(x, values):
    if not isinstance(values, types.Array):
        return lambda x, values: search(x, values, True)
    return lambda x, values: search_all(x, values, True)


@jitable
def search_all(x, values, right):
    """`search` of each value."""
    result = np.empty(values.shape, np.int64)
    places, flat = result.reshape(-1), np.ascontiguousarray(values).reshape(-1)
    for k in range(flat.shape[0]):
        places[k] = search(x, flat[k], right)
    return result
