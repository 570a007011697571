"""Random programs: value and gradient are those of plain Python and of finite differences.

Each runs as generated Python and in the interpreter of programs; every tenth of the first 300 is compiled, too.
More of them: `pytest tests/fuzz/test_fuzz.py --fuzz 3000`, with `--compiled` for every tenth of those compiled.
`python tests/fuzz/fuzz.py` makes failures small.
"""

import collections

import fuzz
import fuzz_alias
import fuzz_programs
import fuzz_rows
import numpy as np
from fuzz_scope import HEADER
from fuzz_shrink import shrink

import pullback as pb

GROUP = 25


def pytest_generate_tests(metafunc):
    count = metafunc.config.getoption("--fuzz")
    if "first" in metafunc.fixturenames:
        metafunc.parametrize("first", range(0, count, GROUP))
    if "compiled_from" in metafunc.fixturenames:
        wanted = count if metafunc.config.getoption("--compiled") else min(count, 300)
        metafunc.parametrize("compiled_from", range(0, wanted, 100))


def described(program, outcome):
    source = program.source.replace(HEADER, "")
    return f"program {program.seed}: {outcome.kind} at {outcome.sizes}\n{source}\n{outcome.detail}"


def run(seeds, folder, *, compiled=False):
    counts = collections.Counter()
    failures = []
    for seed in seeds:
        program = fuzz_programs.program(seed)
        outcome = fuzz.check(program, folder, compiled=compiled)
        counts[outcome.kind] += 1
        if outcome.failed:
            failures.append(described(program, outcome))
    assert not failures, "\n\n".join(failures)
    return counts


def test_random_programs(first, tmp_path):
    counts = run(range(first, first + GROUP), tmp_path)
    assert counts["invalid"] + counts["not smooth"] + counts["refused"] <= GROUP // 4, counts


def test_random_programs_compiled(compiled_from, tmp_path):
    run(range(compiled_from, compiled_from + 100, 10), tmp_path, compiled=True)


def test_random_programs_of_names(tmp_path):
    """What arrays the names show is as in Python, or refused."""
    right, failures = 0, []
    for seed in range(80):
        source = fuzz_alias.source(seed)
        function = fuzz.load(source, tmp_path)
        try:
            with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
                problem = fuzz_alias.wrong(function, pb.jit(function))
        except pb.PullbackError:
            continue
        right += problem is None
        if problem:
            failures.append(f"program {seed}: {problem}\n{source}")
    assert not failures, "\n\n".join(failures)
    assert right > 25


def test_random_programs_of_rows(tmp_path):
    """Names of rows of an array that is written show what they show in Python, or are refused."""
    found = [fuzz_rows.outcome(seed, tmp_path) for seed in range(80)]
    failures = [why for kind, why in found if kind == "failed"]
    assert not failures, "\n\n".join(failures)
    assert sum(kind == "right" for kind, _ in found) > 30


def test_programs_are_functions_of_their_seeds():
    first, again = fuzz_programs.program(7), fuzz_programs.program(7)
    assert first.source == again.source != fuzz_programs.program(8).source


def test_shrinking_leaves_what_fails():
    source = """\
def f(x):
    a = 1
    for i in range(3):
        if x[i] > 0:
            a = a + np.sin(x[i] * 2)
    b = a * 3
    return b
"""
    small = shrink(source, lambda s: "np.sin(" in s, 10.0)
    assert len(small.splitlines()) <= 3, small
