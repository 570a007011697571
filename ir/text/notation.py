"""What the printer and the reader of programs agree on: templates, literals, slices."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..errors import IRError
from ..ops.index import index_dims
from ..primitive import Primitive
from ..program import Index, Lit, Slice, Var, atoms
from ..sizes import Sizes
from ..types import BOOL, FLOATS, I64, Dim, Type

PLACEHOLDER = re.compile(r"\{(\d+)\}")
WORDS = ("nan", "inf")
"""Names that are literals in the text, so no value can have them."""


@dataclass(frozen=True, slots=True)
class Template:
    """An operation's text as a syntax tree, its operands being the names `_0_`, `_1_`, ..."""

    op: Primitive
    tree: ast.expr
    tight: frozenset[int]  # operands beside an operator: negative literals need parentheses there
    index: frozenset[int]  # operands that are subscripts


@cache
def template(op: Primitive) -> Template:
    tree = ast.parse(PLACEHOLDER.sub(r"_\1_", op.text), mode="eval").body
    tight, index = set(), set()
    for parent in ast.walk(tree):
        for field, child in ast.iter_fields(parent):
            for node in child if isinstance(child, list) else (child,):
                k = placeholder(node)
                if k is None or k in op.static:
                    continue
                if isinstance(parent, ast.Subscript) and field == "slice":
                    index.add(k)
                elif not isinstance(parent, (ast.Call, ast.keyword)):
                    tight.add(k)
    return Template(op, tree, frozenset(tight), frozenset(index))


def placeholder(node: object) -> int | None:
    """k if the node of a template stands for operand k."""
    if isinstance(node, ast.Name) and re.fullmatch(r"_\d+_", node.id):
        return int(node.id[1:-1])
    return None


def context_dtype(operands: tuple[Any, ...], result: Type) -> str:
    """The dtype of a float literal among these operands: of the first float there, else of the result."""
    for operand in operands:
        if not isinstance(operand, Index):
            for atom in atoms(operand):
                if isinstance(atom, Var) and atom.type.is_float:
                    return atom.type.dtype
    return result.dtype if result.is_float else "f64"


def literal_type(text: str, dtype: str) -> Type:
    """What the text of a literal is read as, where a float literal would be `dtype`."""
    if text in ("True", "False"):
        return BOOL
    return I64 if text.removeprefix("-").isdecimal() else Type(dtype if dtype in FLOATS else "f64")


def full(axis: Dim) -> Slice:
    """The slice that prints as `:`."""
    return Slice(Lit("0", I64), Lit(str(axis), I64) if isinstance(axis, int) else Var(axis, I64), 1, axis)


def slice_sizes(
    index: Index, args: tuple[Any, ...], k: int, result: Type, sizes: Sizes
) -> dict[int, Dim | None]:
    """The size that each slice is read with, by position: what both `show` and `parse` infer.

    The part that a subscript selects has the shape of the operand behind it (the value stored), or of the
    result. Where that is a scalar, `stop - start` tells, as an affine form.
    """
    part = args[k + 1].type if k + 1 < len(args) and isinstance(args[k + 1], (Var, Lit)) else result
    known: dict[int, Dim | None] = {}
    marked = []
    for position, item in enumerate(index.items):
        if isinstance(item, Slice):
            known[position] = sizes.slice_size(item.start, item.stop, item.step)
            item = Slice(item.start, item.stop, item.step, f"#{position}")
        marked.append(item)
    try:
        shape = index_dims((1,) * sum(item is not None for item in marked), Index(tuple(marked)))
    except IRError:
        return known
    if len(shape) == part.rank:
        for mark, dim in zip(shape, part.dims):
            if isinstance(mark, str) and mark.startswith("#"):
                known[int(mark[1:])] = dim
    return known
