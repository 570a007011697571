"""Loops over the entries of sparse matrices, as one text that is compiled: greedy colourings.

A matrix is its rows: `ptr` says where each begins in `ind`, its columns. Colours count from 0.
"""

import numpy as np


def transposed(ptr, ind, columns):
    """The columns of a matrix, as its rows are given."""
    out_ptr = np.zeros(columns + 1, np.int64)
    for k in range(ind.size):
        out_ptr[ind[k] + 1] += 1
    for j in range(columns):
        out_ptr[j + 1] += out_ptr[j]
    place = np.zeros(columns + 1, np.int64)
    for j in range(columns):
        place[j] = out_ptr[j]
    out_ind = np.empty(ind.size, np.int32)
    for i in range(ptr.size - 1):
        for k in range(ptr[i], ptr[i + 1]):
            j = ind[k]
            out_ind[place[j]] = i
            place[j] += 1
    return out_ptr, out_ind


def degrees(ptr, ind, row_ptr):
    """For each row how many entries the columns in it have, its own among them."""
    out = np.zeros(ptr.size - 1, np.int64)
    for j in range(ptr.size - 1):
        for k in range(ptr[j], ptr[j + 1]):
            i = ind[k]
            out[j] += row_ptr[i + 1] - row_ptr[i]
    return (out,)


def apart(ptr, ind, col_ptr, col_ind, order, skip):
    """Colours of columns, so that no row that is not skipped has two of one colour."""
    columns = col_ptr.size - 1
    colour = np.empty(columns, np.int32)
    taken = np.empty(columns + 1, np.int64)
    for j in range(columns):
        colour[j] = -1
    for j in range(columns + 1):
        taken[j] = -1
    count = 0
    for step in range(order.size):
        j = order[step]
        for p in range(col_ptr[j], col_ptr[j + 1]):
            i = col_ind[p]
            if skip[i]:
                continue
            for q in range(ptr[i], ptr[i + 1]):
                c = colour[ind[q]]
                if c >= 0:
                    taken[c] = j
        c = 0
        while taken[c] == j:
            c += 1
        colour[j] = c
        if c + 1 > count:
            count = c + 1
    return colour, count


def star(ptr, ind, order):
    """Colours of a symmetric matrix: neighbours differ, and every path of four has three colours."""
    n = ptr.size - 1
    colour = np.empty(n, np.int32)
    taken = np.empty(n + 1, np.int64)
    for v in range(n):
        colour[v] = -1
    for v in range(n + 1):
        taken[v] = -1
    count = 0
    for step in range(order.size):
        v = order[step]
        for p in range(ptr[v], ptr[v + 1]):
            w = ind[p]
            if w == v:
                continue
            cw = colour[w]
            if cw >= 0:
                taken[cw] = v
            for q in range(ptr[w], ptr[w + 1]):
                x = ind[q]
                cx = colour[x]
                if cx < 0 or taken[cx] == v or x == w:  # v has no colour yet
                    continue
                if cw < 0:
                    taken[cx] = v
                    continue
                for r in range(ptr[x], ptr[x + 1]):
                    y = ind[r]
                    if y != w and y != x and colour[y] == cw:
                        taken[cx] = v
                        break
        c = 0
        while taken[c] == v:
            c += 1
        colour[v] = c
        if c + 1 > count:
            count = c + 1
    return colour, count


def symmetric_places(ptr, ind, colour, count):
    """Where in the product with the seeds each entry is: in its own row, or in that of its mirror image.

    -1 where it is in neither.
    """
    n = ptr.size - 1
    single = np.zeros(ind.size, np.bool_)
    seen = np.zeros(count + 1, np.int64)
    for i in range(n):
        for k in range(ptr[i], ptr[i + 1]):
            seen[colour[ind[k]]] += 1
        for k in range(ptr[i], ptr[i + 1]):
            single[k] = seen[colour[ind[k]]] == 1
        for k in range(ptr[i], ptr[i + 1]):
            seen[colour[ind[k]]] = 0
    out = np.empty(ind.size, np.int64)
    place = np.zeros(n + 1, np.int64)
    for j in range(n):
        place[j] = ptr[j]
    for j in range(n):
        for k in range(ptr[j], ptr[j + 1]):
            i = ind[k]  # the entries of column i of a symmetric matrix come in order
            m = place[i]
            place[i] += 1
            if single[m]:
                out[m] = i * count + colour[j]
            elif single[k]:
                out[m] = j * count + colour[i]
            else:
                out[m] = -1
    return (out,)
