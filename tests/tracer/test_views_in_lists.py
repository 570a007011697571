"""Lists that loops over arrays fill with views: rows, columns, parts of them, alone and in tuples."""

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

ELEMENTS = {
    "a row": lambda x, i: x[i],
    "a part of a row": lambda x, i: x[i][1:],
    "a row backwards": lambda x, i: x[i, ::-1],
    "a column": lambda x, i: x.T[i],
    "a row with a new axis": lambda x, i: x[i, None],
    "a reshaped row": lambda x, i: x[i].reshape(2, 2),
    "an element without axes": lambda x, i: x[i, 1, ...],
    "a row of a copy": lambda x, i: (x * 2.0)[i],
    "two rows": lambda x, i: (x[i], x[0]),
}


def by_index(x, element):
    return [element(x, i) for i in range(len(x))]


def appended(x, element):
    found = []
    for i in range(x.shape[0]):
        found.append(element(x, i))
    return found


def enumerated(x, element):
    return [element(x, i) for i, _ in enumerate(x)]


def extended(x, element):
    found = []
    for i in range(len(x)):
        found += [element(x, i), element(x, i)]
    return found


def on_one_path(x, element):
    found = []
    for i in range(len(x)):
        if np.sum(x[i]) > 0.0:
            found.append(element(x, i))
    return found


def nested(x, element):
    return [element(x, i) for j in range(len(x)) for i in range(j + 1)]


FILLED = (by_index, appended, enumerated, extended, on_one_path, nested)


@pytest.mark.parametrize("filled", FILLED)
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("rows", (2, 4))
def test_views_that_a_loop_puts_in_a_list(filled, element, rows):
    def f(x):
        found = filled(x, ELEMENTS[element])
        if element == "two rows":
            return np.array([a * b for a, b in found])
        return np.array(found)

    x = np.arange(4.0 * rows).reshape(rows, 4) / 10.0
    if element == "a column":
        x = x[:, :rows]
    with pb.options(jit=False, cache=False):
        check_grad(f, x, directions=1)


CONSUMERS = {
    "concatenate": lambda rows: np.concatenate([r for r in rows]),  # noqa: C416
    "vstack": lambda rows: np.vstack([r for r in rows]),  # noqa: C416
    "sum": lambda rows: sum(r * r for r in rows),
    "dot": lambda rows: np.array([a @ b for a in rows for b in rows]),
    "unpacked": lambda rows: np.array([a * b for a, b in zip(rows, rows[1:])]),
    "windows": lambda rows: np.array([rows[i : i + 3] for i in range(len(rows) - 2)]),
    "a list of lists": lambda rows: np.array([[a, a * a] for a in rows]),
    "written later": lambda rows: np.array([r.copy() for r in rows]) * rows,
}


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_rows_themselves(consumer):
    with pb.options(jit=False, cache=False):
        check_grad(CONSUMERS[consumer], np.arange(12.0).reshape(4, 3) / 10.0)
