"""Versions of one array, against all ways that small random programs can run.

Each way is gone through with a token for each piece of memory: an operation that makes an array makes a token, a write
hands its array's on, and phis and ends of loops hand on what they stand for. Names that had one token are versions of
one array, and no others.
"""

import itertools

import numpy as np
import pytest
from random_programs import random_program

from pullback.codegen.analysis.versions import Versions
from pullback.ir.program import For, If, Let, Var, While
from pullback.ir.walk import regions, walk


class Run:
    """One way through a program; `choices` says which arms are taken, and how often loops run."""

    def __init__(self, program, choices):
        self.choices = iter(choices)
        self.tokens = itertools.count()
        self.shown = {}  # name -> all tokens that it ever had
        env = {}
        for param in program.params:
            self.bind(env, param, next(self.tokens))
        self.region(program.body, env)

    def bind(self, env, var, token):
        if var.type.rank:
            env[var.name] = token
            self.shown.setdefault(var.name, set()).add(token)

    def value(self, env, atom):
        return env[atom.name] if isinstance(atom, Var) and atom.type.rank else None

    def region(self, nodes, env):
        for node in nodes:
            match node:
                case Let(var, op, args):
                    self.bind(env, var, env[args[0].name] if op.writes else next(self.tokens))
                case If(then=then, orelse=orelse, phis=phis):
                    second = next(self.choices) % 2
                    self.region(orelse if second else then, env)
                    for phi in phis:
                        self.bind(env, phi.var, self.value(env, phi.second if second else phi.first))
                case For() | While():
                    self.loop(node, env, next(self.choices))

    def loop(self, node, env, trips):
        values = [self.value(env, p.first) for p in node.phis]
        for trip in range(trips + 1):
            for phi, value in zip(node.phis, values):
                self.bind(env, phi.var, value)
            if isinstance(node, While):
                self.region(node.test, env)
            if trip < trips:
                self.region(node.body, env)
                values = [self.value(env, p.second) for p in node.phis]
        for end in node.exits:
            self.bind(env, end.var, self.value(env, end.phi))


def found_by_running(program, rng, ways):
    """The groups of names that had one token in some way of running, joined where they have a name in common."""
    length = sum(isinstance(n, (For, While, If)) for n in walk(program.body)) * 30 + 1
    groups = [{v.name} for v in arrays(program)]
    for way in range(ways):
        choices = [way % 3] * length if way < 3 else rng.integers(0, 4, size=length)
        by_token = {}
        for name, tokens in Run(program, choices).shown.items():
            for token in tokens:
                by_token.setdefault(token, set()).add(name)
        for together in by_token.values():
            touched = [g for g in groups if g & together]
            groups = [g for g in groups if not g & together] + [set().union(together, *touched)]
    return {frozenset(g) for g in groups}


def arrays(program):
    names = {v.name: v for v in program.params if v.type.rank}
    for node in walk(program.body):
        for var in (getattr(node, "var", None), *(x.var for x in getattr(node, "phis", ())),
                    *(x.var for x in getattr(node, "exits", ()))):  # fmt: skip
            if var is not None and var.type.rank:
                names[var.name] = var
    return names.values()


@pytest.mark.parametrize("seed", range(40))
def test_versions_are_what_runs_show(seed):
    program = random_program(np.random.default_rng(seed), steps=14)
    versions = Versions(program)
    groups = {frozenset(versions.group(v.name)) for v in arrays(program)}
    assert groups == found_by_running(program, np.random.default_rng(seed), 40)


def test_the_programs_have_versions_to_follow():
    kinds = set()
    for seed in range(40):
        program = random_program(np.random.default_rng(seed), steps=14)
        kinds |= {len(g) for g in Versions(program).groups()}
        kinds |= {type(n).__name__ for n in walk(program.body) if regions(n)}
    assert {2, 3, 4, "For", "While", "If"} <= kinds


def test_a_name_apart_joins_nothing():
    program = random_program(np.random.default_rng(3), steps=14)
    params = {p.name for p in program.params}
    assert not any(g & params for g in Versions(program, apart=params).groups())
