"""What is generated, as hashes: to show that a change of the house changes no code.

    python tests/house/generated.py --write before.txt        # at the commit before
    python tests/house/generated.py --check before.txt        # at the commit after: names what differs

The benchmarks' functions and the random programs of tests/fuzz_programs.py are traced at small sizes. Each gives the
source of the function itself, of value_and_grad, and of the two sweeps of vjp, under each set of options.
Random programs take the sets of options by turns; `--all` takes all of them for each.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
for folder in {str(p.parent) for p in (ROOT / "tests").rglob("fuzz*.py")} | {str(ROOT / "benchmarks")}:
    sys.path.insert(0, folder)

import numpy as np  # noqa: E402
from fuzz import load  # noqa: E402
from fuzz_programs import program as random_program  # noqa: E402
from fuzz_scope import SIZES  # noqa: E402
from problems import PROBLEMS  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.calls.forms import Traceable  # noqa: E402
from pullback.ir.adjoint.reverse_mode import adjoint, split_adjoint  # noqa: E402
from pullback.ir.passes import optimise  # noqa: E402
from pullback.ir.program import Program  # noqa: E402
from pullback.stages import Compilation  # noqa: E402

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "ordered": {"reassociate": False},
    "parallel": {"parallel": True},
}
SEEDS = 300


def programs(
    function: Callable[..., Any], args: tuple[Any, ...], wrt: tuple[int, ...] | None
) -> Iterator[tuple[str, Program]]:
    """The programs of a function that become code, by the name of their kind."""
    traceable = Traceable(function)
    form = traceable.trace(*traceable.lowered_leaves(args, {}))
    program = form.program
    yield "itself", program
    given = set(form.traced.leaves)
    floats = tuple(k for k, p in enumerate(program.params) if p.type.is_float and k in given)
    chosen = floats if wrt is None else tuple(k for leaf in wrt if (k := form.traced.leaves[leaf]) is not None)
    if len(program.results) == 1 and not program.results[0].type.dims:
        yield "value_and_grad", optimise(adjoint(program, chosen, value=True))
    for kind, half in zip(("forward", "backward"), split_adjoint(program, chosen)):
        yield kind, optimise(half)


def hashes(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], wrt: tuple[int, ...] | None, settings: list[str]
) -> list[str]:
    """A line for each source; a function that is refused has one line."""
    lines: list[str] = []
    try:
        for kind, program in programs(function, args, wrt):
            for setting in settings:
                with pb.options(**SETTINGS[setting]):
                    digest = hashlib.sha256(Compilation(program).source.encode()).hexdigest()[:16]
                lines.append(f"{name} | {kind} | {setting} | {digest}")
    except pb.PullbackError as error:
        lines.append(f"{name} | refused | {type(error).__name__} | -")
    return lines


def of_benchmark(name: str, all_settings: bool) -> list[str]:
    problem = PROBLEMS[name]
    return hashes(name, problem.function, problem.arguments(problem.tiny), problem.wrt, list(SETTINGS))


def of_seed(seed: str, all_settings: bool) -> list[str]:
    number = int(seed.removeprefix("seed "))
    given = random_program(number)
    with tempfile.TemporaryDirectory() as folder:
        function = load(given.source, Path(folder), given.name)
        args = tuple(given.arguments(SIZES[0]))
        chosen = list(SETTINGS) if all_settings else [list(SETTINGS)[number % len(SETTINGS)]]
        with np.errstate(all="ignore"):
            return hashes(seed, function, args, None, chosen)


def one(name: str, all_settings: bool) -> list[str]:
    return (of_seed if name.startswith("seed ") else of_benchmark)(name, all_settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="the file to write")
    parser.add_argument("--check", type=Path, help="the file to compare with; exit code 1 if anything differs")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--all", action="store_true", help="all sets of options for each random program")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    given = parser.parse_args()
    names = [*PROBLEMS, *(f"seed {k}" for k in range(given.seeds))]
    with ProcessPoolExecutor(given.jobs) as pool:
        lines = [line for found in pool.map(one, names, [given.all] * len(names), chunksize=4) for line in found]
    print(f"{len(lines)} sources: {hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]}")
    if given.write:
        given.write.write_text("\n".join(lines) + "\n")
    if given.check:
        differ = sorted(set(given.check.read_text().splitlines()) ^ set(lines))
        print("\n".join(differ) or "nothing differs")
        sys.exit(bool(differ))


if __name__ == "__main__":
    main()
