"""The names of a traced program."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..ir.affine import Affine
from ..ir.build import Builder
from ..ir.names import Names
from ..ir.program import Node, Program, Var, While
from ..ir.types import I64, Dim
from ..ir.walk import bound, defined, map_type, regions, rename


def tidy_names(p: Program, kept: frozenset[str], wishes: Mapping[str, str]) -> Program:
    """The program with the names that were wished for, numbered from the top: regions may have been traced twice."""
    fixed = {v.name for v in p.params} | kept
    taken = Names(fixed)
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    for var in bound(p.body):
        if var.name in fixed or var.name in names:
            continue
        stem = re.sub(r"_\d+$", "", wishes.get(var.name, var.name))
        name = stem
        while name in taken or keyword.iskeyword(name):
            counts[stem] = counts.get(stem, 0) + 1
            name = f"{stem}_{counts[stem]}"
        taken.add(name)
        names[var.name] = name
    results = tuple(
        Var(names.get(r.name, r.name), map_type(r.type, lambda d: names.get(d, d) if isinstance(d, str) else d))
        if isinstance(r, Var) else r
        for r in p.results
    )  # fmt: skip
    cotangents = frozenset({names[n] for n in p.cotangents if n in names} | p.cotangents & fixed)
    return replace(p, body=rename(p.body, names), results=results, cotangents=cotangents)


def identifier(name: str) -> str:
    """A name of the user's (a path such as `w[0]`) as one of the program."""
    clean = "".join(c if c.isalnum() or c == "_" else "_" for c in name).strip("_") or "x"
    clean = f"x{clean}" if clean[0].isdigit() else clean
    return f"{clean}_" if keyword.iskeyword(clean) else clean


def program_name(name: str) -> str:
    """A name under which no function of Python's or module of generated code is hidden: `abs` calls abs."""
    found = identifier(name)
    return f"{found}_" if hasattr(builtins, found) or found in ("np", "math", "support") else found


def equal_sizes(builder: Builder, body: Sequence[Node], outside: Iterable[str]) -> dict[str, Dim]:
    """Integers that the trace found equal, under one name: the first one that is in scope wherever the other is.

    outside   names that are in scope before the body, which keep theirs if they can
    """
    renamed: dict[str, Dim] = {}

    def settle(name: str, first: dict[Affine, Dim]) -> None:
        form = builder.affine(name)
        known: Dim
        if not form.terms:
            known = form.constant
        else:
            alone = form.terms[0][0] if form == Affine.name(form.terms[0][0]) else name
            there = alone != name and Affine.name(alone) in first
            known = first.setdefault(form, alone if there else name)
        if known != name:
            renamed[name] = known

    def region(nodes: Sequence[Node], first: dict[Affine, Dim]) -> dict[Affine, Dim]:
        first = dict(first)
        for node in nodes:
            if isinstance(node, While):
                region(node.body, region(node.test, first))
            else:
                for inner in regions(node):
                    region(inner, first)
            for var in defined(node):
                if var.type == I64:
                    settle(var.name, first)
        return first

    inputs: dict[Affine, Dim] = {}
    for name in outside:
        settle(name, inputs)
    region(body, inputs)
    return renamed
