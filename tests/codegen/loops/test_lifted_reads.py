"""What is read in front of a loop is what its iterations read: every small loop, over arrays of every origin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pullback.codegen import lowered
from pullback.codegen.loops.reorder import reorder
from pullback.ir import parse
from pullback.ir.evaluate import evaluate
from pullback.ir.verify import verify

PLACES = ("0", "1", "i")
BASES = ("outer", "carried", "made")


def loop(base: str, writes: tuple[str, ...], read: str, when: int, start: int) -> str:
    """A loop over a and c[4], in which each iteration writes and reads a version of an array."""
    lines = ["def f(a: f64[4], c: f64[4], z: f64[4]) -> (f64[4], f64[4]):"]
    lines += [f"    for i in range({start}, 4):", "        r: f64[4] = phi(z, r1)"]
    first = {"carried": f"phi(c, v{len(writes)})", "made": "copy(c)"}
    lines += [f"        v0: f64[4] = {first[base]}"] if base in first else []
    lines.append("        x: f64 = a[i]")
    version = "c" if base == "outer" else "v0"
    for k, place in enumerate(writes):
        if k == when:
            lines.append(f"        y: f64 = {version}[{read}]")
        lines.append(f"        w{k}: f64 = x * {k + 2}.0")
        lines.append(f"        v{k + 1}: f64[4] = {version}.at[{place}].set(w{k})")
        version = f"v{k + 1}"
    if when >= len(writes):
        lines.append(f"        y: f64 = {version}[{read}]")
    lines.append("        s: f64 = y * x")
    lines.append("        r1: f64[4] = r.at[i].set(s)")
    lines += ["    end: f64[4] = last(r)"]
    lines += ["    more: f64[4] = last(v0)"] if base == "carried" else []
    lines += [f"    return end, {'more' if base == 'carried' else 'c'}"]
    return "\n".join(lines)


CASES = [
    (base, writes, read, when, start)
    for base in BASES
    for count in (1, 2)
    for writes in itertools.product(PLACES, repeat=count)
    for read in PLACES
    for when in range(count + 1)
    for start in (0, 2)
]


@pytest.mark.parametrize("base", BASES)
def test_lifted_reads(base):
    rng = np.random.default_rng(0)
    args = [rng.normal(size=4) for _ in range(3)]
    for case in (c for c in CASES if c[0] == base):
        program = verify(parse(loop(*case)))
        expected = evaluate(program, *args)
        for changed in (reorder(program), lowered(program)):
            for value, found in zip(expected, evaluate(verify(changed), *args), strict=True):
                np.testing.assert_allclose(found, value, err_msg=loop(*case))


def test_reads_do_leave_loops():
    """The pass fires: an element that no iteration writes is read once."""
    text = str(reorder(parse(loop("carried", ("i",), "0", 0, 2))))
    assert text.index("y: f64") < text.index("for i")
