"""np.einsum: sums of products by labelled axes.

Operands are taken together from left to right. A step that sums over shared labels and leaves labels of both
operands is a matrix product; the others multiply with broadcasting, and code generation fuses the sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.build import atom_dim
from ...ir.errors import ShapeMismatch, UnsupportedFunction
from ...ir.types import Dim
from ..values.convert import agree, common
from ..values.symbol import implements, require_session, wrap
from .arguments import dims_of, emit_reshape, emit_transpose, operand, product, refuse_options, same_size
from .elementwise import store_out
from .linalg import product_of
from .select import diagonal_of

SPARE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@implements(np.einsum)
def einsum(subscripts: Any, *operands: Any, out: Any = None, optimize: Any = False, **options: Any) -> Any:
    refuse_options("np.einsum", options)
    session = require_session()
    if not isinstance(subscripts, str):
        raise session.error(
            UnsupportedFunction,
            "np.einsum with lists of axes cannot be traced. Write a string such as 'ij,jk->ik'",
        )
    atoms, _ = common(session, list(operands), "np.einsum")
    values = [wrap(session, a) for a in atoms]
    inputs, output = _parsed(subscripts, [v.type.rank for v in values])
    terms = [_Term(value, labels) for value, labels in zip(values, inputs)]
    _unify(terms)
    terms = [t.single() for t in terms]
    result = terms[0]
    for k, term in enumerate(terms[1:], start=1):
        needed = set(output).union(*(t.labels for t in terms[k + 1 :]))
        result = _combined(
            result.summed(needed | set(term.labels)), term.summed(needed | set(result.labels)), needed
        )
    result = result.summed(set(output))
    return store_out(result.arranged(output), out)


def _parsed(subscripts: str, ranks: list[int]) -> tuple[list[str], str]:
    """The labels of each operand and of the result; an ellipsis becomes labels of its own."""
    session = require_session()
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ranks):
        raise session.error(
            ShapeMismatch,
            f"np.einsum: {len(ranks)} operands for the subscripts {subscripts!r}, which have {len(inputs)}",
        )
    spare = [c for c in SPARE if c not in text]
    longest = max((r - len(i.replace("...", "")) for i, r in zip(inputs, ranks) if "..." in i), default=0)
    dots = "".join(spare[:longest])
    for k, (labels, rank) in enumerate(zip(inputs, ranks)):
        own = rank - len(labels.replace("...", ""))
        inputs[k] = labels.replace("...", dots[len(dots) - own :])
        if len(inputs[k]) != rank or own < 0:
            raise session.error(
                ShapeMismatch, f"np.einsum: the operand of {rank} axes does not fit the subscripts {labels!r}"
            )
    if arrow:
        output = output.replace("...", dots)
    else:
        joined = "".join(inputs)
        output = dots + "".join(sorted(c for c in set(joined) if joined.count(c) == 1 and c not in dots))
    if len(set(output)) != len(output) or any(c not in "".join(inputs) for c in output):
        raise session.error(
            ShapeMismatch, f"np.einsum: the output of {subscripts!r} has an unknown or repeated label"
        )
    return inputs, output


class _Term:
    """A value and the label of each of its axes."""

    def __init__(self, value: Any, labels: str):
        self.value = value
        self.labels = labels

    def size(self, label: str) -> Dim:
        return dims_of(self.value)[self.labels.index(label)]

    def single(self) -> _Term:
        """A label that occurs twice stands for the diagonal."""
        value, labels = self.value, self.labels
        while len(set(labels)) != len(labels):
            label = next(c for c in labels if labels.count(c) > 1)
            one = labels.index(label)
            two = labels.index(label, one + 1)
            value = diagonal_of(value, 0, one, two)
            labels = labels[:one] + labels[one + 1 : two] + labels[two + 1 :] + label
        return _Term(value, labels)

    def summed(self, kept: set[str]) -> _Term:
        axes = tuple(k for k, c in enumerate(self.labels) if c not in kept)
        if not axes:
            return self
        value = operand(np.sum(self.value, axis=axes, dtype=self.value.type.numpy), "np.einsum")
        return _Term(value, "".join(c for c in self.labels if c in kept))

    def arranged(self, labels: str) -> Any:
        """The value with its axes in this order."""
        return emit_transpose(self.value, [self.labels.index(c) for c in labels])

    def placed(self, labels: str) -> Any:
        """The value with an axis for each of these labels, of size 1 where it has none."""
        own = "".join(c for c in labels if c in self.labels)
        value = self.arranged(own)
        key = tuple(slice(None) if c in own else None for c in labels)
        return value[key] if own != labels and own else value


def _unify(terms: list[_Term]) -> None:
    """Equal labels have equal sizes; an axis of size 1 beside a longer one is dropped, as it broadcasts."""
    session = require_session()
    sizes: dict[str, tuple[Dim, Any]] = {}
    for term in terms:
        for label, dim in zip(term.labels, dims_of(term.value)):
            if label not in sizes or sizes[label][0] == 1:
                sizes[label] = (dim, term.value.type.dims)
    for term in terms:
        for label, dim in zip(term.labels, dims_of(term.value)):
            wanted, shape = sizes[label]
            if dim == 1 and wanted != 1 and term.labels.count(label) == 1:
                axis = term.labels.index(label)
                dims = dims_of(term.value)
                term.value = emit_reshape(term.value, (*dims[:axis], *dims[axis + 1 :]))
                term.labels = term.labels.replace(label, "")
        for axis, label in enumerate(term.labels):
            wanted, shape = sizes[label]
            shapes = (shape, term.value.type.dims)
            atom = same_size(
                session, term.value.read(), axis, session.builder.canonical_dim(wanted), shapes, "np.einsum"
            )
            term.value = wrap(session, atom)


def _combined(a: _Term, b: _Term, needed: set[str]) -> _Term:
    """The product of two terms, summed over the labels that nothing needs any more."""
    shared = [c for c in a.labels if c in b.labels]
    inner = "".join(c for c in shared if c not in needed)
    batch = "".join(c for c in shared if c in needed)
    rows = "".join(c for c in a.labels if c not in shared)
    columns = "".join(c for c in b.labels if c not in shared)
    vectors = not batch and len(inner) == 1 and not (rows and columns)
    if inner and ((rows and columns) or vectors):
        return _matrix_product(a, b, batch, rows, inner, columns)
    order = batch + rows + columns + inner
    if a.value.type.dtype == "bool":
        raise require_session().error(
            UnsupportedFunction, "np.einsum of booleans cannot be traced. Use .astype(int)"
        )
    left, right = agree(require_session(), [a.placed(order).read(), b.placed(order).read()], "np.einsum")
    session = require_session()
    value = wrap(session, session.builder.emit("mul", left, right))
    return _Term(value, order).summed(needed)


def _matrix_product(a: _Term, b: _Term, batch: str, rows: str, inner: str, columns: str) -> _Term:
    session = require_session()

    def joined(term: _Term, labels: str) -> Dim:
        return atom_dim(product(session, [term.size(c) for c in labels]))

    def matrix(term: _Term, first: str, second: str) -> Any:
        value = term.arranged(batch + first + second)
        groups = [joined(term, group) for group in (first, second) if group]
        return emit_reshape(value, (*(term.size(c) for c in batch), *groups))

    result = product_of(matrix(a, rows, inner), matrix(b, inner, columns), "np.einsum")
    dims = [*(a.size(c) for c in batch + rows), *(b.size(c) for c in columns)]
    return _Term(emit_reshape(result, dims), batch + rows + columns)
