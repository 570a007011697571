"""Looking at and rebuilding nodes: names bound and used, renaming, substitution, inlining.

Passes use these so that none of them needs to know where names hide: in operands, in sizes of types and
slices, in phis and exits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .build import Builder, atom_dim, dim_atom
from .errors import IRError
from .names import Names
from .program import (
    Atom,
    Call,
    Check,
    Exit,
    For,
    If,
    Let,
    Lit,
    Node,
    Phi,
    Program,
    Span,
    Var,
    While,
    atoms,
    dim_names,
    map_operand,
)
from .types import Dim, Type

Nodes = tuple[Node, ...]

# -- looking ---------------------------------------------------------------------------------------


def regions(node: Node) -> tuple[Nodes, ...]:
    """The bodies inside a node."""
    match node:
        case For(body=body):
            return (body,)
        case While(test=test, body=body):
            return test, body
        case If(then=then, orelse=orelse):
            return then, orelse
    return ()


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """All nodes, each before what is inside it."""
    for node in nodes:
        yield node
        for region in regions(node):
            yield from walk(region)


def defined(node: Node) -> tuple[Var, ...]:
    """What a node binds for the nodes behind it."""
    match node:
        case Let(var):
            return (var,)
        case Call(vars):
            return vars
        case For(exits=exits) | While(exits=exits):
            return tuple(e.var for e in exits)
        case If(phis=phis):
            return tuple(p.var for p in phis)
    return ()


def bound(nodes: Iterable[Node]) -> Iterator[Var]:
    """Everything that is bound in the nodes, inside them too."""
    for node in walk(nodes):
        yield from defined(node)
        if isinstance(node, For):
            yield node.index
        if isinstance(node, (For, While)):
            yield from (p.var for p in node.phis)


def may_fail(nodes: Iterable[Node]) -> bool:
    """Is there a check, also in what is called?"""
    return any(
        isinstance(node, Check) or (isinstance(node, Call) and may_fail(node.function.program.body))
        for node in walk(nodes)
    )


def names_of(program: Program) -> Names:
    """The names that a program has taken: of values and of sizes."""
    names = Names(v.name for v in (*program.params, *bound(program.body)))
    names |= {d for v in program.params for d in dim_names(v)}
    names.cotangents |= program.cotangents & names
    return names


def used_atoms(node: Node) -> Iterator[Atom]:
    """Values that a node mentions itself, not in its regions: operands and phis."""
    for operand in _operands(node):
        yield from atoms(operand)


def _operands(node: Node) -> list[object]:
    operands: list[object] = []
    match node:
        case Let(_, _, args) | Call(_, _, args):
            operands += args
        case Check(cond):
            operands.append(cond)
        case For(_, start, stop, _, phis):
            operands += [start, stop, *_phi_atoms(phis)]
        case While(phis, _, cond):
            operands += [cond, *_phi_atoms(phis)]
        case If(cond, _, _, phis):
            operands += [cond, *_phi_atoms(phis)]
    return operands


def used_here(node: Node) -> Iterator[str]:
    """Names that a node mentions itself, not in its regions: operands, phis and sizes in types."""
    for operand in _operands(node):
        if isinstance(operand, Var):
            yield operand.name
            if operand.type.dims:
                yield from dim_names(operand)
        elif isinstance(operand, tuple) or not isinstance(operand, (Lit, str)):
            yield from (a.name for a in atoms(operand) if isinstance(a, Var))
            yield from dim_names(operand)
    for var in defined(node):
        yield from dim_names(var)
    if isinstance(node, (For, While)):
        yield from (e.phi.name for e in node.exits)
        for phi in node.phis:
            yield from dim_names(phi.var)


def _phi_atoms(phis: Iterable[Phi]) -> Iterator[Atom]:
    for phi in phis:
        yield phi.first
        yield phi.second


def free(nodes: Iterable[Node]) -> set[str]:
    """Names that the nodes use and do not bind.

    >>> from .text import parse
    >>> sorted(free(parse('''
    ... def f(x: f64, w: f64) -> f64:
    ...     a: f64 = sin(x)
    ...     b: f64 = a * w
    ...     return b''').body))
    ['w', 'x']
    """
    nodes = tuple(nodes)
    used = {name for node in walk(nodes) for name in used_here(node)}
    return used - {var.name for var in bound(nodes)}


# -- rebuilding ------------------------------------------------------------------------------------


def map_type(type: Type, dim: Callable[[Dim], Dim]) -> Type:
    return type.with_dims(tuple(map(dim, type.dims))) if type.dims else type


def map_node(
    node: Node,
    atom: Callable[[Atom], Atom],
    var: Callable[[Var], Var],
    dim: Callable[[Dim], Dim],
    region: Callable[[Nodes], Nodes] | None = None,
) -> Node:
    """The node with its uses, its bindings and its sizes replaced, and its regions too (or by `region`)."""
    if region is None:
        region = lambda nodes: tuple(map_node(n, atom, var, dim) for n in nodes)

    def phis_of(phis: tuple[Phi, ...]) -> tuple[Phi, ...]:
        return tuple(Phi(var(p.var), atom(p.first), atom(p.second)) for p in phis)

    def exits_of(exits: tuple[Exit, ...]) -> tuple[Exit, ...]:
        return tuple(Exit(var(e.var), var(e.phi)) for e in exits)

    match node:
        case Let(result, op, args, span):
            operands = tuple(a if k in op.static else map_operand(a, atom, dim) for k, a in enumerate(args))
            return Let(var(result), op, operands, span)
        case Check(cond, message, span):
            return Check(atom(cond), message, span)
        case Call(results, function, args, span):
            return Call(tuple(map(var, results)), function, tuple(map(atom, args)), span)
        case For(index, start, stop, reverse, phis, body, exits, span):
            bounds = atom(start), atom(stop)
            return For(var(index), *bounds, reverse, phis_of(phis), region(body), exits_of(exits), span)
        case While(phis, test, cond, body, exits, span):
            return While(phis_of(phis), region(test), atom(cond), region(body), exits_of(exits), span)
        case If(cond, then, orelse, phis, span):
            return If(atom(cond), region(then), region(orelse), phis_of(phis), span)


def rebuilt(node: Node, region: Callable[[Nodes], Nodes]) -> Node:
    """The node with its regions replaced."""
    same = lambda value: value
    return map_node(node, same, same, same, region)


def in_sweep(nodes: Iterable[Node], sweep: str, bare: bool = False) -> Nodes:
    """The nodes, whose spans say which sweep they are in; what a derivative's say already stays.

    sweep   "" (the forward sweep; what counts trips stays marked), "count", or "again" (the reverse sweep)
    bare    nodes without a span get one without a line, as programs written by hand have no lines
    """
    result = []
    for node in nodes:
        span = getattr(node, "span", None) or (Span("", 0, "") if bare else None)
        if span is not None and span.sweep != "count" and not (sweep == "again" and span.sweep):
            node = replace(node, span=replace(span, sweep=sweep))
        result.append(rebuilt(node, lambda inner: in_sweep(inner, sweep, bare)))
    return tuple(result)


def substitute(nodes: Iterable[Node], values: Mapping[str, Atom]) -> Nodes:
    """The nodes with other values in place of names that they do not bind, in sizes too."""
    nodes = tuple(nodes)
    if not values:
        return nodes
    atom, var, dim = substitution(values)
    return tuple(map_node(node, atom, var, dim) for node in nodes)


def substitution(
    values: Mapping[str, Atom],
) -> tuple[Callable[[Atom], Atom], Callable[[Var], Var], Callable[[Dim], Dim]]:
    """How atoms, bindings and sizes change when names are replaced by values.

    Reads `values` at each call, so a pass may add to it on its way.
    """

    def dim(d: Dim) -> Dim:
        return atom_dim(values[d]) if isinstance(d, str) and d in values else d

    def var(v: Var) -> Var:
        return Var(v.name, map_type(v.type, dim)) if v.type.dims else v

    def atom(a: Atom) -> Atom:
        if isinstance(a, Lit):
            return a
        return values[a.name] if a.name in values else var(a)

    return atom, var, dim


def rename(nodes: Iterable[Node], names: Mapping[str, str]) -> Nodes:
    """The nodes with other names, at bindings and uses alike."""

    def dim(d: Dim) -> Dim:
        return names.get(d, d) if isinstance(d, str) else d

    def var(v: Var) -> Var:
        return Var(names.get(v.name, v.name), map_type(v.type, dim))

    def atom(a: Atom) -> Atom:
        return a if isinstance(a, Lit) else var(a)

    return tuple(map_node(node, atom, var, dim) for node in nodes)


# -- inlining --------------------------------------------------------------------------------------


def inline(builder: Builder, program: Program, values: Sequence[Atom]) -> tuple[Atom, ...]:
    """Write a program's body into a builder, with fresh names; gives its results.

    Sizes of the parameters become those of the values; the lines that would bind them are left out.
    Index arithmetic goes through the builder, so it is shared with what is there.
    """
    if len(values) != len(program.params):
        raise IRError(f"{program.name} takes {len(program.params)} values, not {len(values)}")
    env: dict[str, Atom] = {}
    for param, value in zip(program.params, values):
        if (param.type.dtype, param.type.rank) != (value.type.dtype, value.type.rank):
            raise IRError(f"{program.name}: parameter {param.name} is {param.type}, not {value.type}")
        for formal, actual in zip(param.type.dims, value.type.dims):
            if isinstance(formal, str):
                env.setdefault(formal, dim_atom(actual))
            elif isinstance(actual, int) and actual != formal:
                raise IRError(f"{program.name}: parameter {param.name} is {param.type}, not {value.type}")
    env |= {param.name: value for param, value in zip(program.params, values)}
    span = builder.span
    copy_nodes(builder, in_sweep(program.body, ""), env)
    builder.span = span
    return tuple(substitution(env)[0](result) for result in program.results)


def copy_nodes(builder: Builder, nodes: Iterable[Node], env: dict[str, Atom]) -> None:
    """Write nodes again under fresh names; `env` says what outer names stand for, and learns the new ones."""
    atom, _, dim = substitution(env)

    def region(body: Iterable[Node]) -> Nodes:
        with builder.open() as written:
            copy_nodes(builder, body, env)
        return tuple(written)

    def close(phis: Iterable[Phi], variables: Iterable[Var]) -> tuple[Phi, ...]:
        return tuple(Phi(v, atom(p.first), atom(p.second)) for p, v in zip(phis, variables))

    def exits_of(exits: Sequence[Exit]) -> tuple[Exit, ...]:
        phis = [env[e.phi.name] for e in exits]
        names = _fresh(builder, [e.var for e in exits], env)
        return tuple(Exit(n, p) for n, p in zip(names, phis))  # type: ignore[arg-type]

    for node in nodes:
        builder.span = getattr(node, "span", None) or builder.span
        match node:
            case Let(var, op, args):
                if var.name in env and op.name == "dim":
                    continue  # the size of a parameter that is already known
                operands = (a if k in op.static else map_operand(a, atom, dim) for k, a in enumerate(args))
                env[var.name] = builder.emit(op, *operands, hint=var.name, type=map_type(var.type, dim))
            case Check(cond, message):
                builder.check(atom(cond), message)
            case Call(results, function, args):
                builder.add(Call(_fresh(builder, results, env), function, tuple(map(atom, args)), builder.span))
            case For(index, start, stop, reverse, phis, body, exits, span):
                first, end = atom(start), atom(stop)
                (new_index,) = _fresh(builder, [index], env)
                builder.facts.bound(new_index.name, builder.affine(first), builder.affine(end) - 1)
                variables = _fresh(builder, [p.var for p in phis], env)
                inner = region(body)
                builder.add(For(new_index, first, end, reverse, close(phis, variables), inner, exits_of(exits), span))
            case While(phis, test, cond, body, exits, span):
                variables = _fresh(builder, [p.var for p in phis], env)
                with builder.open() as written:
                    copy_nodes(builder, test, env)
                    split = len(written)
                    leave = atom(cond)
                    copy_nodes(builder, body, env)
                parts = tuple(written[:split]), leave, tuple(written[split:])
                builder.add(While(close(phis, variables), *parts, exits_of(exits), span))
            case If(cond, then, orelse, phis, span):
                arms = region(then), region(orelse)
                values = [(atom(p.first), atom(p.second)) for p in phis]
                names = _fresh(builder, [p.var for p in phis], env)
                joined = tuple(Phi(n, first, second) for n, (first, second) in zip(names, values))
                builder.add(If(atom(cond), *arms, joined, span))


def _fresh(builder: Builder, variables: Sequence[Var], env: dict[str, Atom]) -> tuple[Var, ...]:
    """New names for values that are bound together; scalars first, they may be sizes of the others."""
    _, _, dim = substitution(env)
    for var in sorted(variables, key=lambda v: v.type.rank > 0):
        env[var.name] = builder.var(var.name, map_type(var.type, dim), of=var.name)
    return tuple(env[var.name] for var in variables)  # type: ignore[misc]
