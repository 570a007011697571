"""What is proved of loops holds: against their iterations, counted one by one, in nests drawn at random.

`python tests/codegen/analysis/test_dependence.py 20000` tries so many of each kind, from 0 on.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module

import numpy as np
import pytest
from brute_force import Touched, arguments, timeline
from loop_nests import MIDDLE, SIZE, VALUES, handed_nest, loop_nest, near_nest, product_nest, turned_nest

import pullback as pb
from pullback.codegen import (
    Context,
    bufferize,
    emit,
    fuse_and_contract,
    generate,
    hoist_allocations,
    interchange,
    lowered,
    parallel_loops,
    recognise_products,
    reorder,
)  # fmt: skip
from pullback.codegen.analysis.dependence import Access, Dependence, pairs_of
from pullback.ir import Program
from pullback.ir.adjoint.reread import Rereader
from pullback.ir.adjoint.reverse_mode import _builder, adjoint
from pullback.ir.adjoint.scopes import scopes_of
from pullback.ir.affine import Facts
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import optimise
from pullback.ir.program import For, If, Let, Node
from pullback.ir.sizes import TRACED, facts_of
from pullback.ir.verify import verify
from pullback.ir.walk import walk
from pullback.runtime import support
from pullback.runtime.compile import compile_source

pytestmark = pytest.mark.fuzz

# -- each question ---------------------------------------------------------------------------------------


def questions(program: Program) -> Iterator[tuple[Dependence, For, Access, Access, Facts]]:
    """All that can be asked of two accesses, of every loop, as passes ask."""
    deps = Dependence()

    def region(nodes: Iterable[Node], facts: Facts) -> Iterator[tuple[Dependence, For, Access, Access, Facts]]:
        for node in nodes:
            match node:
                case Let():
                    deps.learn(node)
                case For():
                    yield from region(node.body, deps.inside(facts, (node,)))
                    found = deps.accesses(node, [p.var.name for p in node.phis if p.var.type.rank])
                    for every in (found or {}).values():
                        yield from ((deps, node, a, b, facts) for a, b in pairs_of(every))
                case If():
                    yield from region(node.then, facts)
                    yield from region(node.orelse, facts)

    yield from region(program.body, facts_of(program, deps.form, TRACED))


def elements(seeds: Iterable[int]) -> Counter[str]:
    """The dependence test's answers about two accesses; how often each was given, and how often it could have been."""
    count: Counter[str] = Counter()
    for seed in seeds:
        program = loop_nest(seed)
        touched = Touched(program)
        count["nests"] += touched.complete > 0
        for deps, loop, a, b, facts in questions(program):
            met = set(touched.pairs(loop.index.name, a.let.var.name, b.let.var.name))
            apart = all(p == q for p, q in met)
            where = f"nest {seed}, loop {loop.index.name}: {a.let.var.name} and {b.let.var.name} meet in {sorted(met)}"
            count["apart"] += apart
            count["different"] += not met
            if deps.never_meet(a, b, loop, facts):
                count["proved apart"] += 1
                assert apart, where
            if deps.all_differ(a, b, loop, facts):
                count["proved different"] += 1
                assert not met, where
            distance = deps.distance(a, b, loop)
            if distance is not None:
                count["distances"] += 1
                assert all(abs(p - q) == distance for p, q in met), f"{where}, not {distance} apart"
    return count


def on_cores(make: Callable[[int], Program], seeds: Iterable[int]) -> Counter[str]:
    """Loops that may run on all cores: no iteration disturbs another, but by additions as far away as the plan says."""
    count: Counter[str] = Counter()
    for seed in seeds:
        program = make(seed)
        touched, deps = Touched(program), Dependence()
        loops = {node.index.name: node for node in walk(program.body) if isinstance(node, For)}
        for let in walk(program.body):
            if isinstance(let, Let):
                deps.learn(let)
        for index, plan in parallel_loops(program).items():
            count["loops"] += 1
            count["near"] += plan.reach > 0
            count["copies"] += len(plan.added)
            assert not plan.scratch
            own = {p.var.name for p in plan.added}
            found = deps.accesses(loops[index], [p.var.name for p in loops[index].phis if p.var.type.rank])
            assert found is not None
            for array, every in found.items():
                for a, b in pairs_of(every):
                    adds = a.kind == b.kind == "at_add"
                    far = {abs(p - q) for p, q in touched.pairs(index, a.let.var.name, b.let.var.name)} - {0}
                    where = f"nest {seed}, loop {index}: {a.let.var.name} and {b.let.var.name}"
                    assert adds if array in own else not far or adds and max(far) <= plan.reach, where
    return count


def read_again(seeds: Iterable[int]) -> Counter[str]:
    """Elements that the reverse sweep reads again: no write, later (or earlier) than their version, touches them."""
    count: Counter[str] = Counter()
    for seed in seeds:
        program = loop_nest(seed)
        if Touched(program).complete < len(VALUES):
            continue
        scopes = scopes_of(program)
        builder = _builder(program, scopes, set(scopes.var))
        again = Rereader(scopes, builder, lambda loop, phi: phi.var, facts_of(program, builder.affine))
        again.patience = 10**9
        times = [timeline(program, values) for values in VALUES[:4]]
        for let in walk(program.body):
            if not isinstance(let, Let) or let.op.name not in ("getitem", "at_set"):
                continue
            stored = let.op.name == "at_set"
            version, region = let.var.name if stored else let.args[0].name, scopes.region[let.var.name]  # type: ignore[union-attr]
            for loop in scopes.region[version].loops:
                for phi in loop.phis:
                    cell = again.cell(phi, loop) if phi.var.type.rank else None
                    for write in cell.writes if cell is not None and version in cell.versions else ():
                        for later in (True, False):
                            count["asked"] += 1
                            if again.meets(write, version, cell, let.args[1], region, later):  # type: ignore[arg-type]
                                continue
                            count["later" if later else "before"] += 1
                            for one in times:
                                for r in one[let.var.name]:
                                    born = r.time if stored else r.born
                                    for w in one[write.var.name]:
                                        run = loop.index.name  # type: ignore[union-attr]
                                        if w.runs.get(run) == r.runs[run] and (w.time > born) == later:
                                            assert w.element != r.element, (
                                                f"nest {seed}: {write.var.name} writes what {let.var.name} reads"
                                            )
    return count


# -- each pass ----------------------------------------------------------------------------------------------


def same(make: Callable[[int], Program], change: Callable[[Program], Program], seeds: Iterable[int]) -> Counter[str]:
    """Nests that a pass changes compute what they did, run by the interpreter."""
    count: Counter[str] = Counter()
    for seed in seeds:
        program = make(seed)
        if Touched(program).complete < len(VALUES):
            continue
        count["nests"] += 1
        changed = verify(change(program))
        if changed == program:
            continue
        count["changed"] += 1
        for values in VALUES[:3]:
            wanted, found = (evaluate(p, *arguments(values, seed)) for p in (program, changed))
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=f"nest {seed} at {values}")
    return count


def written(seeds: Iterable[int]) -> Counter[str]:
    """Nests whose loops have changed, written as Python and run: storage has found what may be overwritten."""
    count: Counter[str] = Counter()
    for seed in seeds:
        program = loop_nest(seed)
        if Touched(program).complete < len(VALUES):
            continue
        final = verify(bufferize(verify(hoist_allocations(verify(interchange(verify(fuse_and_contract(program))))))))
        function = compile_source(emit(verify(bufferize(hoist_allocations(reorder(final))))), "f", jit=False)
        count["nests"] += 1
        for values in VALUES[:2]:
            args = arguments(values, seed)
            for a, b in zip(function(*args), evaluate(program, *args), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=f"nest {seed} at {values}")
    return count


def products(seeds: Iterable[int]) -> Counter[str]:
    """Loops that are matrix products, made by calls however small; nan and inf meet what they met."""
    count: Counter[str] = Counter()
    for seed in seeds:
        program = product_nest(seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(import_module("pullback.codegen.matmul.recognise"), "LARGE", 1)
            changed = verify(recognise_products(program))
        count["nests"] += 1
        if changed == program:
            continue
        count["changed"] += 1
        for values in VALUES:
            rng = np.random.default_rng(seed)
            args = [rng.normal(size=[values[0] if d == "n" else SIZE for d in p.type.dims]) for p in program.params[:6]]
            for matrix in args[2:5]:
                if rng.random() < 0.3:
                    matrix[tuple(MIDDLE + rng.integers(4, size=2))] = rng.choice([np.nan, np.inf, -np.inf])
            wanted, found = (evaluate(p, *args, *values[1:]) for p in (program, changed))
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=f"nest {seed} at {values}")
    return count


def in_any_order(seeds: Iterable[int]) -> Counter[str]:
    """Loops on all cores, their parts one after the other in random order."""
    count: Counter[str] = Counter()
    rng = random.Random(0)

    def run(function: Callable[..., object], parts: int, args: tuple[object, ...], every: Sequence[int] = ()) -> None:
        every = every or range(parts)
        for part in rng.sample(every, len(every)):
            function(part, parts, *args)

    def turns(function: Callable[..., object], parts: int, args: tuple[object, ...]) -> None:
        for first in range(min(2, parts)):
            run(function, parts, args, range(first, parts, 2))

    def parts(limit: int, work: int, trips: int, summed: int) -> int:
        return min(rng.choice((2, 3, 5)), trips) if trips > 1 else 0

    with pytest.MonkeyPatch.context() as patch:
        for function in (run, turns, parts):
            name = {"run": "on_all_cores", "turns": "in_two_turns"}.get(function.__name__, "parts")
            patch.setattr(support, name, function)
        for seed in seeds:
            for make in (loop_nest, near_nest, turned_nest, handed_nest):
                program = make(seed)
                source = generate(program, Context(parallel=1))
                if "_part" not in source or Touched(program).complete < len(VALUES):
                    continue
                count["nests"] += 1
                count["in turns"] += "in_two_turns" in source
                function = compile_source(source, "f", jit=False)
                for values in VALUES[:3]:
                    args = arguments(values, seed)
                    for a, b in zip(function(*args), evaluate(program, *args), strict=True):
                        message = f"{make.__name__} {seed} at {values}"
                        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=message)
    return count


def gradients(seeds: Iterable[int]) -> Counter[str]:
    """Adjoints as they are written: what the interpreter finds for the adjoint before, and the slope along a line."""
    count: Counter[str] = Counter()
    for make, seed in ((make, seed) for make in (loop_nest, near_nest, turned_nest, handed_nest) for seed in seeds):
        program = make(seed)
        if Touched(program).complete < len(VALUES):
            continue
        count["nests"] += 1
        plain = adjoint(program, (0, 1, 2, 3))
        final = lowered(optimise(plain))
        function = compile_source(emit(final), final.name, jit=False)
        for values in VALUES[:3]:
            rng, where = np.random.default_rng(seed), f"{make.__name__} {seed} at {values}"
            args = arguments(values, seed)
            bars = [rng.normal(size=np.shape(result)) for result in evaluate(program, *args)]
            found = function(*args, *bars)
            for a, b in zip(found, evaluate(plain, *args, *bars), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=where)
            if max(np.max(np.abs(a)) for a in found) > 1e3:
                continue
            along = [rng.normal(size=np.shape(a)) for a in args[:4]]
            up, down = (
                evaluate(program, *(a + h * d for a, d in zip(args, along)), *args[4:]) for h in (1e-5, -1e-5)
            )
            slope = sum(np.sum(bar * (a - b)) for bar, a, b in zip(bars, up, down)) / 2e-5
            assert abs(slope - sum(np.sum(a * d) for a, d in zip(found, along))) < 1e-4 * (1 + abs(slope)), where
            count["slopes"] += 1
    return count


# Floors: an analysis that proves nothing would pass, too.


def test_elements_of_two_iterations():
    count = elements(range(450))
    assert count["nests"] > 430
    assert count["proved apart"] > 0.25 * count["apart"] > 1500
    assert count["proved different"] > 0.15 * count["different"] and count["distances"] > 1000


def test_loops_on_all_cores():
    count = on_cores(loop_nest, range(250)) + on_cores(near_nest, range(100))
    assert count["loops"] > 130 and count["near"] > 30 and count["copies"] > 50


def test_elements_read_again():
    count = read_again(range(100))
    assert count["later"] > 0.07 * count["asked"] > 200 and count["before"] > 0.05 * count["asked"]


def test_loops_that_run_upwards():
    assert same(loop_nest, reorder, range(120))["changed"] > 50
    assert same(near_nest, reorder, range(60))["changed"] > 40


def test_loops_that_change_places():
    assert same(turned_nest, interchange, range(250))["changed"] > 12


def test_loops_that_become_one():
    assert same(handed_nest, fuse_and_contract, range(120))["changed"] > 40


def test_loops_that_are_products():
    assert products(range(400))["changed"] > 40


def test_loops_on_all_cores_in_any_order():
    count = in_any_order(range(20))
    assert count["nests"] > 30 and count["in turns"] > 2


def test_gradients_of_nests():
    assert gradients(range(10))["slopes"] > 90


def test_nests_as_python():
    assert written(range(80))["nests"] > 70


# -- functions ----------------------------------------------------------------------------------------------


def half_from_above(y, n):
    y = y.copy()
    for i in range(n - 1, -1, -1):
        k = i // 2
        for j in range(k, k + 5):
            y[j] += np.sin(y[j + 5])
    return np.sum(y**2)


def half(y, n):
    y = y.copy()
    for i in range(n):
        k = i // 2
        for j in range(k, k + 5):
            y[j] += np.sin(y[j + 5])
    return np.sum(y**2)


def remainder(y, n):
    y = y.copy()
    for i in range(n):
        k = i % 7
        for j in range(k, k + 5):
            y[j + 5] -= 0.5 * np.sin(y[j])
    return np.sum(y**2)


def window_from_above(y, n):
    y = y.copy()
    for i in range(n - 1, 4, -1):
        s = 0.0
        for j in range(max(i - 2, n // 9), i):
            s += np.sin(y[j])
        for j in range(i - 5, i - 2):
            y[j] += s
    return np.sum(y**2)


def two_windows(y, n):
    y = y.copy()
    for i in range(5, n):
        s = 0.0
        for j in range(i - 5, i - 2):
            s += y[j]
        for j in range(max(i - 2, n // 9), i):
            y[j] += 0.3 * s
    return np.sum(y**2)


def clipped_window(y, n):
    y = y.copy()
    for i in range(n - 6):
        s = 0.0
        for j in range(i + 3, i + 6):
            s += y[j]
        for j in range(i, min(i + 3, n)):
            y[j] += 0.5 * s
    return np.sum(y**2)


def carried_ends(y, n):
    """Where a window begins is carried from trip to trip."""
    y = y.copy()
    low = 0
    for i in range(n):
        for j in range(low, low + 3):
            y[j] += 0.1 * y[j + 3]
        low = (low + i) % 5
    return np.sum(y**2)


FUNCTIONS = (half_from_above, half, remainder, window_from_above, two_windows, clipped_window, carried_ends)


@pytest.mark.parametrize("options", ({}, {"reassociate": False}, {"parallel": 2}), ids=str)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_windows_that_a_body_computes(function, options, rng):
    n = 20
    y, d, h = rng.standard_normal(n + 12), rng.standard_normal(n + 12), 1e-6
    slope = (function(y + h * d, n) - function(y - h * d, n)) / (2 * h)
    with pb.options(jit=False, cache=False, **options):
        value, gradient = pb.value_and_grad(function)(y, n)
        assert np.isclose(value, function(y, n)) and np.isclose(pb.jit(function)(y, n), value)
    assert abs(gradient @ d - slope) < 1e-4 * (1 + abs(slope))


def neighbours_of_what_is_positive(x):
    y = x[x > 0]
    z = np.zeros(max(len(y) - 1, 0))
    for i in range(len(y) - 1):
        z[i] = y[i] * y[i + 1]
    return z


@pytest.mark.parametrize("positive", range(5))
def test_sizes_that_a_run_computes_may_be_0(positive):
    x = np.where(np.arange(5) < positive, np.arange(1.0, 6.0), -1.0)
    wanted = np.zeros(5)
    wanted[: max(positive - 1, 0)] += x[1 : max(positive, 1)]
    wanted[1 : max(positive, 1)] += x[: max(positive - 1, 0)]
    with pb.options(jit=False, cache=False):
        z, pull = pb.vjp(neighbours_of_what_is_positive, x)
        nested = pb.jit(lambda x: pb.vjp(neighbours_of_what_is_positive, x)[1](np.ones_like(z)))
        bars = [pull(np.ones_like(z)), nested(x)]
    for bar in bars:
        np.testing.assert_allclose(bar[0] if isinstance(bar, tuple) else bar, wanted)


def test_memory_that_nobody_fills_is_nan_in_uncompiled_code():
    source = "import numpy as np\n\n\ndef f(n):\n    return np.empty(n), np.empty_like(np.arange(n)), np.zeros(n)\n"
    floats, integers, zeros = compile_source(source, "f", jit=False)(3)
    assert np.isnan(floats).all() and (integers < -(10**9)).all() and not zeros.any()


if __name__ == "__main__":
    many = range(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
    print("two iterations", elements(many))
    print("all cores", on_cores(loop_nest, many) + on_cores(near_nest, many))
    print("read again", read_again(many[: len(many) // 10]))
    print("upwards", same(loop_nest, reorder, many[: len(many) // 10]))
    print("side by side", same(near_nest, reorder, many[: len(many) // 10]))
    print("change places", same(turned_nest, interchange, many[: len(many) // 10]))
    print("become one", same(handed_nest, fuse_and_contract, many[: len(many) // 10]))
    print("products", products(many[: len(many) // 5]))
    print("any order", in_any_order(many[: len(many) // 40]))
    print("gradients", gradients(many[: len(many) // 100]))
    print("as Python", written(many[: len(many) // 20]))
