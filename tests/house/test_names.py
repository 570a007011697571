"""How a user calls his variables means nothing: not where they are called as the compiler calls its own."""

import ast
import random
import re

import fuzz
import fuzz_programs
import numpy as np
import pytest
from fuzz_scope import SIZES
from test_house import FILES, name_of

import pullback as pb
from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.passes import optimise
from pullback.ir.program import Let, Program
from pullback.ir.types import BOOL, I64
from pullback.ir.walk import bound, defined, walk
from pullback.transforms.vjp import traceable_of

OURS = [
    "x_bar", "x_bar_1", "y_1_bar", "A_bar", "s_bar_2", "x_saved", "s_saved_1", "A_1_saved", "x_dot", "t",
    "t_1", "t_12", "x_i", "x_i_j", "x_before", "x_sum", "four", "block", "first", "stop", "rows", "k", "i",
    "i_1", "j_2", "n_1", "count", "trip", "trips", "base", "best", "part", "parts", "total", "support",
    "numba", "prange", "radd", "out", "result", "result_bar", "result_saved", "nan", "inf", "undef", "last",
    "phi", "dim", "empty", "zeros", "f_bar", "f_grad", "args", "x_0", "x_1", "x_1_bar_2", "s_1", "A_2",
    "free_order", "own", "alpha", "product", "index", "code", "error",
]  # fmt: skip
"""Names as the passes write them."""


def renamed(source: str, seed: int) -> str:
    """The source with other names for the local variables of each function; for odd seeds also for its parameters."""
    module = ast.parse(source)
    choose = random.Random(seed)
    known = {n.id for n in ast.walk(module) if isinstance(n, ast.Name)}
    known |= {n.arg for n in ast.walk(module) if isinstance(n, ast.arg)}
    by_name = {k.arg for n in ast.walk(module) if isinstance(n, ast.Call) for k in n.keywords}
    outside = {n.name for n in module.body if isinstance(n, ast.FunctionDef)} | {"np", "math"}
    for function in module.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        given = [a.arg for a in function.args.args]
        stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        inner = {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)} - set(given)
        kept = outside | inner | by_name | (set() if seed % 2 else set(given))
        free = [name for name in OURS if name not in known]
        choose.shuffle(free)
        old = sorted((stored | set(given)) - kept)
        names = dict(zip(old, free))
        for node in ast.walk(function):
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)
            elif isinstance(node, ast.arg) and node in function.args.args:
                node.arg = names.get(node.arg, node.arg)
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                node.names = [names.get(n, n) for n in node.names]
    return ast.unparse(module)


def gradient_of(function, args) -> tuple[Program, Program]:
    """The program of a function, and its adjoint by all floats."""
    form, *_ = traceable_of(function).find(tuple(fuzz.copies(args)), {})
    wrt = tuple(k for k, p in enumerate(form.program.params) if p.type.is_float)
    return form.program, optimise(adjoint(form.program, wrt, value=True))


def operations(program: Program) -> list[tuple[str, str, int]]:
    """What it computes, but for the arithmetic of sizes and for the order of what is independent: by names, too."""
    found = []
    for node in walk(program.body):
        kind = node.op.name if isinstance(node, Let) else type(node).__name__
        types = [v.type for v in defined(node)] or [BOOL]
        found += [(kind, type.dtype, type.rank) for type in types if type != I64]
    return sorted(found)


def flat(value) -> list[np.ndarray]:
    return [np.asarray(v) for v in value] if isinstance(value, tuple) else [np.asarray(value)]


def check(seed: int, folder) -> bool:
    """Does a random program, renamed, give the same numbers by the same programs? False: it is refused."""
    given = fuzz_programs.program(seed)
    before = fuzz.load(given.source, folder, given.name)
    text = renamed(given.source, seed)
    after = fuzz.load(text, folder, given.name)
    args = given.arguments(SIZES[seed % len(SIZES)])
    if fuzz.plain_problem(before, args) is not None:
        return False
    with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
        try:
            old = gradient_of(before, args)
        except pb.PullbackError:
            return False
        new = gradient_of(after, args)
        for program, other in zip(old, new):
            assert operations(program) == operations(other), text
        assert not new[1].cotangents & {v.name for v in (*new[0].params, *bound(new[0].body))}
        assert len(old[1].cotangents) == len(new[1].cotangents)
        with pb.options(**({}, {"reassociate": False}, {"parallel": 2})[seed % 3]):
            results = [pb.vjp(f, *fuzz.copies(args)) for f in (before, after)]
            bars = [pull(tuple(map(np.ones_like, y)) if isinstance(y, tuple) else 1.0) for y, pull in results]
        for a, b in zip(flat(results[0][0]), flat(results[1][0])):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, err_msg=text)
        for a, b in zip(bars[0], bars[1]):
            assert (a is None) == (b is None)
            if a is not None and np.asarray(a).dtype.kind == "f":
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, err_msg=text)
    return True


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(0, 20, 10))
def test_other_names_same_numbers(first, tmp_path):
    assert sum(check(seed, tmp_path) for seed in range(first, first + 10)) >= 5


def angles(w, x):
    x_bar = np.zeros(len(x))
    for i in range(len(x)):
        x_bar[i] += w * x[i]
    return np.sum(np.arctan2(0.0, x_bar))


@pytest.mark.compiled
@pytest.mark.parametrize("jit", [False, True])
def test_zeros_before_a_users_sum_stay(jit):
    """0.0 + -0.0 is 0.0: only a cotangent may do without the zeros."""
    x = -np.zeros(7)
    with pb.options(jit=jit, cache=False):
        assert pb.jit(angles)(1.0, x) == pb.value_and_grad(angles)(1.0, x)[0] == angles(1.0, x) == 0.0


def stored_zero(x, v):
    x[0] = 0.0
    np.add.at(x, 0, v)
    return np.arctan2(0.0, x[0])


def test_a_users_sum_of_a_zero_keeps_its_sign():
    x = np.ones(3)
    with pb.options(jit=False, cache=False):
        assert pb.jit(stored_zero)(x.copy(), -0.0) == stored_zero(x.copy(), -0.0) == 0.0
        assert pb.value_and_grad(stored_zero)(x.copy(), -0.0)[0] == 0.0


def sums(x_bar, w_bar):
    s_bar = 0.0
    for i in range(len(x_bar)):
        s_bar += x_bar[i] * w_bar
    return s_bar


def test_the_users_sums_keep_their_order():
    x = np.array([1e16, 1.0, -1e16, 1.0])
    with pb.options(jit=False, cache=False, reassociate=False):
        assert pb.value_and_grad(sums)(x, 1.0)[0] == sums(x, 1.0)
        form, *_ = traceable_of(sums).find((x, 1.0), {})
        made = adjoint(form.program, (0, 1), seeds=False)
    assert made.cotangents and not made.cotangents & {"x_bar", "w_bar", "s_bar"}


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p).startswith("codegen/")], ids=name_of)
def test_no_spelling_decides(path):
    """No string that code generation compares or searches for is part of a name: `Program.cotangents` knows."""
    tree = ast.parse(path.read_text())
    said = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    strings = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in said]
    assert not [n.lineno for n in strings if re.search(r"_bar|_saved|_dot", str(n.value))]


if __name__ == "__main__":
    import sys
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as name:
        first, last = map(int, sys.argv[1:])
        print(sum(check(seed, Path(name)) for seed in range(first, last)), "of", last - first, "compared")
