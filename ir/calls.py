"""Calls of programs by programs: writing one, and putting the called program in its place.

Calls stand for functions with a derivative rule of their own until the adjoint or the tangent has used the rule.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

from .build import Builder, dim_atom
from .errors import UnsupportedFunction
from .ops.arith import stop
from .ops.array import dim
from .program import Atom, Call, Function, Let, Node, Program, Var, dim_names
from .types import I64
from .walk import Nodes, free, in_sweep, inline, map_node, map_type, names_of, rebuilt, substitution, walk


def has_calls(program: Program) -> bool:
    return any(isinstance(node, Call) for node in walk(program.body))


def has_marks(program: Program) -> bool:
    """Is there anything that means something for derivatives alone: a call, a `stop_gradient`?"""
    return any(isinstance(node, Call) or (isinstance(node, Let) and node.op is stop) for node in walk(program.body))


def call(builder: Builder, function: Function, args: Sequence[Atom]) -> tuple[Var, ...]:
    """Write a call, with fresh names for its results."""
    vars = results_of(builder, function.program, args)
    builder.add(Call(vars, function, tuple(args), builder.span))
    return vars


def results_of(
    builder: Builder, program: Program, args: Sequence[Atom], known: Sequence[Var] = ()
) -> tuple[Var, ...]:
    """Names for the results of a program that is called with these arguments, of the types they have there.

    Where sizes are results too, the types name these. The first results are `known`.
    """
    env: dict[str, Atom] = {}
    for param, arg in zip(program.params, args, strict=True):
        env[param.name] = arg
        for formal, actual in zip(param.type.dims, arg.type.dims):
            if isinstance(formal, str):
                env.setdefault(formal, dim_atom(actual))
    _, _, size = substitution(env)
    found = dict(enumerate(known))
    for k in sorted(range(len(program.results)), key=lambda k: program.results[k].type.rank > 0):
        result = program.results[k]
        hint = result.name if isinstance(result, Var) else "t"
        if k not in found:
            found[k] = builder.var(hint, map_type(result.type, size))
        if isinstance(result, Var) and result.type == I64:
            env.setdefault(result.name, found[k])
    return tuple(found[k] for k in range(len(found)))


def called_again(builder: Builder, program: Program, values: Sequence[Atom]) -> tuple[Var, ...]:
    """A call of a program with those of the values that it uses."""
    kept, trimmed = used_only(program)
    return call(builder, Function(program.name, trimmed), [values[k] for k in kept])


def used_only(program: Program) -> tuple[list[int], Program]:
    """The program without the parameters that it does not use, and which stay."""
    heads = size_lines(program)
    rest = tuple(node for node in program.body if id(node) not in heads)
    used = free(rest) | {d for r in program.results for d in dim_names(r)}
    used |= {r.name for r in program.results if isinstance(r, Var)}
    kept = [k for k, p in enumerate(program.params) if p.name in used]
    while True:
        bound = {d for k in kept for d in dim_names(program.params[k])}
        missing = [d for d in {let.var.name for let in heads.values()} & used if d not in bound]
        if not missing:
            break
        kept.append(max(k for k, p in enumerate(program.params) if missing[0] in p.type.dims))
    params = tuple(program.params[k] for k in sorted(kept))
    return sorted(kept), replace(program, params=params, body=(*size_heads(params), *rest))


def size_lines(program: Program) -> dict[int, Let]:
    """The lines that bind the sizes of parameters, by identity."""
    given = {p.name: p for p in program.params}
    return {
        id(node): node
        for node in program.body
        if isinstance(node, Let) and node.op is dim and node.var.name in dim_names(given.get(node.array.name))
    }


def size_heads(params: Sequence[Var]) -> tuple[Let, ...]:
    """The lines that bind the sizes of these parameters."""
    found: dict[str, Let] = {}
    for param in params:
        for axis, size in enumerate(param.type.dims):
            if isinstance(size, str) and not any(p.name == size for p in params):
                found.setdefault(size, Let(Var(size, I64), dim, (param, axis)))
    return tuple(found.values())


def require_own(call: Call, active: Container[str]) -> None:
    """Refuse a derivative by what the function of a rule uses from outside: its rule does not know of it."""
    for arg in call.args[call.function.count :]:
        if isinstance(arg, Var) and arg.type.is_float and arg.name in active:
            raise UnsupportedFunction(
                f"{call.function.name} has a derivative rule of its own, and uses {arg.name}, which depends on what is "
                f"differentiated by, without being an argument that the rule is for. Pass it as such an argument, or "
                f"pb.stop_gradient({arg.name})", call.span,
            )  # fmt: skip


def inline_calls(program: Program, plain: bool = False, again: bool = False) -> Program:
    """The program with the called programs in place of the calls, and what is stopped in place of `stop_gradient`;
    with `plain`, the calls of programs without a rule only, and with `again` of those that are done again."""
    if not (has_calls(program) if plain else has_marks(program)):
        return program
    inliner = _Inliner(program, plain, again)
    body = inliner.nodes(program.body)
    return replace(program, body=body, results=tuple(map(inliner.atom, program.results)))


class _Inliner:
    def __init__(self, program: Program, plain: bool, again: bool):
        self.plain, self.again = plain, again
        self.builder = Builder()
        self.builder.names = names_of(program)
        self.values: dict[str, Atom] = {}
        self.atom, self.var, self.dim = substitution(self.values)

    def nodes(self, nodes: Iterable[Node]) -> Nodes:
        written: list[Node] = []
        for node in nodes:
            node = map_node(rebuilt(node, self.nodes), self.atom, self.var, self.dim, tuple)
            if isinstance(node, Call) and not self.stays(node.function):
                written += self.inlined(node)
            elif isinstance(node, Let) and node.op is stop and not self.plain:
                self.values[node.var.name] = node.value(0)
            else:
                written.append(node)
        return tuple(written)

    def stays(self, function: Function) -> bool:
        rule = function.rule
        return self.plain and rule is not None and not (self.again and rule.again)

    def inlined(self, node: Call) -> Nodes:
        """The nodes of the called program; what they compute stands for the results of the call."""
        builder = self.builder
        builder.span = node.span
        with builder.open() as written:
            results = inline(builder, node.function.program, node.args)
        sweep = node.span.sweep if node.span else ""
        nodes = self.nodes(in_sweep(written, sweep) if sweep else written)
        for var, result in zip(node.vars, results):
            self.values[var.name] = self.atom(result)
        return nodes
