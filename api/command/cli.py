"""The command line: `pullback show`, `explain`, `export`, `check`, `demo`, also as `python -m pullback`.

A command is one entry of COMMANDS: what it adds to its parser, and what it does; its exit code is 0, or 1 if what it
checked does not hold or a function cannot be traced. 2 stands for a command line that is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__, testing
from ..explain import explain
from ..export.module import KINDS, OWN, export, with_direction, write_module
from ..inspection.show import ASIDE, STAGES, shown
from ..ir.errors import PullbackError, UnsupportedFunction
from ..runtime import cache, options
from ..runtime.lazy import lazy
from ..transforms.public import grad, value_and_grad
from . import arguments
from .arguments import UsageError
from .terminal import BOLD, GREEN, PLAIN, coloured, in_colour

RED = "\x1b[31m"
TRANSFORMS: dict[str, Callable[..., Any]] = {"grad": grad, "value_and_grad": value_and_grad, **OWN}
"""What `show` shows of a function."""


@dataclass(frozen=True)
class Command:
    """A subcommand. `examples` are command lines of it, for its help."""

    name: str
    summary: str
    setup: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    examples: tuple[str, ...] = ()


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; what it returns is the exit code."""
    parser = _parser()
    chosen = parser.parse_args(words)
    if chosen.command is None:
        parser.print_help()
        return 0
    command = next(c for c in COMMANDS if c.name == chosen.command)
    try:
        code = command.run(chosen)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    except PullbackError as error:
        return _fail(str(error), 1)
    except Exception as error:  # the user's own, or ours; a traceback on request
        if os.environ.get("PULLBACK_TRACEBACK"):
            raise
        return _fail(f"{type(error).__name__}: {error}{_place(error)}", 1)


def _place(error: Exception) -> str:
    """The user's line where it happened; without one, how to see more."""
    here = Path(__file__).parents[2]
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if here not in Path(f.filename).parents and "site-packages" not in f.filename]
    own = [f for f in theirs if f.line and f.name != "<module>"]
    if not own:
        return "\n(PULLBACK_TRACEBACK=1 in the environment shows where.)"
    return f'\n  File "{own[-1].filename}", line {own[-1].lineno}\n    {own[-1].line}'


def _fail(message: str, code: int) -> int:
    label = f"{RED}error:{PLAIN}" if in_colour(sys.stderr) else "error:"
    print(f"{label} {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    examples = "\n".join(f"  {line}" for c in COMMANDS for line in c.examples[:1])
    parser = argparse.ArgumentParser(
        prog="pullback",
        description="Gradients of plain NumPy code, as readable Python.",
        epilog=f"examples:\n{examples}\n\n`pullback COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pullback {__version__}")
    commands = parser.add_subparsers(metavar="command", dest="command")
    for command in COMMANDS:
        lines = "\n".join(f"  {line}" for line in command.examples)
        own = commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=f"examples:\n{lines}" if lines else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.setup(own)
    return parser


# -- what commands share -------------------------------------------------------------------------------------


def add_target(parser: argparse.ArgumentParser, *, values: bool = True) -> None:
    """The function and its arguments, for `target_of`."""
    parser.add_argument(
        "target", metavar="FILE:FUNCTION", help="a function of a .py file, or of a module a.b:f"
    )
    parser.add_argument(
        "--args",
        metavar="TYPES",
        help='its arguments, such as "f64[n, 3], f64, i64[5], 2.5": types with sizes that are numbers or names, '
        "or Python values",
    )
    parser.add_argument(
        "--argnums",
        metavar="K",
        type=int,
        nargs="+",
        help="differentiate by these arguments (all with floats)",
    )
    parser.add_argument("--size", metavar="N=8", action="append", default=[], help="what a named size is")
    if values:
        parser.add_argument(
            "--between", metavar=("LOW", "HIGH"), type=float, nargs=2,
            help="floats are evenly spread between these (else normal)",
        )  # fmt: skip
        parser.add_argument("--seed", metavar="K", type=int, default=0, help="of the random numbers (0)")


def target_of(chosen: argparse.Namespace) -> tuple[Callable[..., Any], list[Any]]:
    """The function, and its arguments as sample values."""
    function, given = typed_target_of(chosen)
    between = tuple(chosen.between) if getattr(chosen, "between", None) else None
    return function, arguments.samples(
        given, arguments.sizes(chosen.size), between, getattr(chosen, "seed", 0)
    )


def typed_target_of(chosen: argparse.Namespace) -> tuple[Callable[..., Any], list[Any]]:
    """The function, and its arguments: types, or Python values."""
    function = arguments.load(chosen.target)
    given = None if chosen.args is None else arguments.parsed(chosen.args)
    return function, list(arguments.counted(function, given))


def argnums_of(chosen: argparse.Namespace) -> int | tuple[int, ...] | None:
    numbers = chosen.argnums
    return numbers if numbers is None else numbers[0] if len(numbers) == 1 else tuple(numbers)


# -- show ----------------------------------------------------------------------------------------------------


def _setup_show(parser: argparse.ArgumentParser) -> None:
    add_target(parser, values=False)
    parser.add_argument(
        "--stage", choices=(*STAGES, *ASIDE, "all"), default="all",
        help="trace: the program; adjoint: that of its gradient, as it is made; optimised: cleaned up; scalar: loops "
        "over numbers; source: Python; all: these (default); tangent: forward mode",
    )  # fmt: skip
    parser.add_argument("--what", choices=TRANSFORMS, help="the derivative of it that is shown (grad)")
    parser.add_argument("--passes", action="store_true", help="what each pass on the way changes, as a diff")


def _show(chosen: argparse.Namespace) -> int:
    function, given = typed_target_of(chosen)
    if chosen.size:
        given = arguments.samples(given, arguments.sizes(chosen.size), None, 0)
    given = [str(a) if isinstance(a, arguments.Typed) else a for a in given]
    numbers = argnums_of(chosen)
    if chosen.what is not None:
        given = list(with_direction(chosen.what, given, 0 if numbers is None else numbers))
        function = TRANSFORMS[chosen.what](arguments.plain(function), numbers)
    elif numbers is not None:
        function = grad(arguments.plain(function), numbers)
    text = str(shown(function, tuple(given), stage=chosen.stage, passes=chosen.passes))
    if in_colour(sys.stdout):
        text = _coloured_diff(text) if chosen.passes else coloured(text)
    print(text.rstrip("\n"))
    return 0


def _coloured_diff(text: str) -> str:
    colours = {"+": GREEN, "-": RED, "@": BOLD}
    return "\n".join(
        f"{colours[line[0]]}{line}{PLAIN}" if line[:1] in colours else line for line in text.split("\n")
    )


# -- explain -------------------------------------------------------------------------------------------------


def _setup_explain(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("-o", "--output", metavar="PAGE", help="the file that is written (FUNCTION.html)")
    parser.add_argument(
        "--steps", metavar="N", type=int, default=2000, help="record at most N operations (2000)"
    )
    parser.add_argument("--forward", action="store_true", help="forward mode: tangents beside the values")


def _explain(chosen: argparse.Namespace) -> int:
    function, given = target_of(chosen)
    if chosen.steps < 8:
        raise UsageError(f"--steps must be at least 8, not {chosen.steps}")
    page = explain(function, *given, argnums=argnums_of(chosen), steps=chosen.steps, forward=chosen.forward)
    target = Path(chosen.output or f"{chosen.target.rpartition(':')[2]}.html")
    try:
        page.save(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    print(f"{target}: {page.steps} steps, {target.stat().st_size / 1000:.0f} kB")
    return 0


# -- export --------------------------------------------------------------------------------------------------


def _setup_export(parser: argparse.ArgumentParser) -> None:
    add_target(parser, values=False)
    parser.add_argument(
        "--also", metavar="TYPES", action="append", default=[], help="further arguments, as --args"
    )
    parser.add_argument(
        "--what", choices=KINDS, nargs="+", help="the functions of the file (value and grad, or vjp)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the file that is written (FUNCTION_grad.py)")


def _export(chosen: argparse.Namespace) -> int:
    function, given = typed_target_of(chosen)
    sizes = arguments.sizes(chosen.size)
    lists = [given, *(list(arguments.counted(function, arguments.parsed(text))) for text in chosen.also)]
    args, *also = ([_typed(a, sizes) for a in one] for one in lists)
    numbers = argnums_of(chosen)
    target = Path(chosen.output or f"{chosen.target.rpartition(':')[2].rpartition('.')[2]}_grad.py")
    text = export(function, *args, what=chosen.what, argnums=0 if numbers is None else numbers, also=also)
    try:
        write_module(target, text)
    except FileExistsError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    print(f"{target}: {len(text.splitlines())} lines; python {target} compares with finite differences")
    return 0


def _typed(argument: Any, sizes: dict[str, int]) -> Any:
    """An argument as `export` takes it: types as texts, with the sizes that were given as numbers."""
    if not isinstance(argument, arguments.Typed):
        return argument
    dims = tuple(sizes.get(d, d) if isinstance(d, str) else d for d in argument.dims)
    return str(arguments.Typed(argument.dtype, dims))


# -- check ---------------------------------------------------------------------------------------------------


def _setup_check(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument(
        "--rtol", type=float, help="relative tolerance (1e-6 for finite differences, 1e-10 for SymPy)"
    )
    parser.add_argument("--only", choices=("differences", "sympy"), help="one of the two checks")
    parser.add_argument(
        "--uncompiled", action="store_true", help="run the generated Python without numba: sooner"
    )


def _check(chosen: argparse.Namespace) -> int:
    function, given = target_of(chosen)
    function = arguments.plain(function)
    numbers = argnums_of(chosen)
    failed = False
    tolerance = {} if chosen.rtol is None else {"rtol": chosen.rtol}
    with options.options(**({"jit": False} if chosen.uncompiled else {})):
        if chosen.only != "sympy":
            check = lambda: testing.check_grad(
                function, *given, argnums=numbers, seed=chosen.seed, **tolerance
            )
            failed |= not _verdict("finite differences", "agree, in 3 random directions", check)
        if chosen.only != "differences":
            check = lambda: testing.assert_matches_sympy(
                function, *given, argnums=numbers, seed=chosen.seed, **tolerance
            )
            failed |= not _verdict("SymPy", "agrees, at 3 points", check)
    return int(failed)


def _verdict(name: str, good: str, check: Callable[[], None]) -> bool:
    """Print what a check found; False if it failed."""
    colour = in_colour(sys.stdout)
    paint = lambda text, code: f"{code}{text}{PLAIN}" if colour else text
    try:
        check()
    except AssertionError as error:
        print(f"{name:<20}{paint('differ', RED) if name.endswith('s') else paint('differs', RED)}")
        print(textwrap.indent(str(error), "    "))
        return False
    except UnsupportedFunction as error:
        if name != "SymPy":
            raise
        print(f"{name:<20}not checked: {error.bare_message.removeprefix('to_sympy: ')}")
        return True
    print(f"{name:<20}{paint(good, GREEN)}")
    return True


# -- demo ----------------------------------------------------------------------------------------------------


def _demo(chosen: argparse.Namespace) -> int:
    try:
        demo = lazy("command.demo")
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        return _fail(
            "The demo fits a model to a data set that comes with scikit-learn, which is not installed.\n"
            "The extra 'demo' has it: python -m pip install 'pullback[demo]'\n"
            "In a checkout:           python -m pip install '.[demo]'",
            1,
        )
    demo.run()
    return 0


def _setup_cache(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--info", action="store_true", help="where the cache is, and how much is in it (as without it)")
    what.add_argument("--clear", action="store_true", help="delete its files, and nothing else in its directory")
    parser.add_argument("--dir", metavar="FOLDER", type=Path, help="another cache directory than the one in use")


def _cache(chosen: argparse.Namespace) -> int:
    folder = cache.directory(chosen.dir)
    if chosen.clear:
        print(f"{folder}: {cache.clear(chosen.dir)} files deleted")
        return 0
    files = cache.ours(chosen.dir)
    size = sum(f.stat().st_size for f in files)
    trust = "" if cache.trusted(folder) else "; not used, because others can write there"
    print(f"{folder}: {len(files)} files, {size / 1e6:.1f} of at most {cache.LIMIT_BYTES / 1e6:.0f} MB{trust}")
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "show", "print a function at every stage: program, adjoint, generated Python", _setup_show, _show,
        (
            'pullback show model.py:loss --args "f64[n, 3], f64[n]" --stage source',
            'pullback show model.py:loss --args "f64[n, 3], f64[n]" --stage optimised --passes',
        ),
    ),
    Command(
        "explain", "write a page that steps through a function and its gradient", _setup_explain, _explain,
        (
            'pullback explain model.py:loss --args "f64[n, 3], f64[n]" --size n=6 -o loss.html',
            'pullback explain model.py:simulate --args "f64, 10" --between 0 1',
        ),
    ),
    Command(
        "export", "write the generated code as a file that needs numpy and numba only", _setup_export, _export,
        (
            'pullback export model.py:loss --args "f64[n, 3], f64[n]" -o loss_grad.py',
            'pullback export model.py:loss --args "f64[n], f64" --also "f32[n], f32" --what value_and_grad vjp',
        ),
    ),
    Command(
        "check", "compare a gradient with finite differences and with SymPy", _setup_check, _check,
        (
            'pullback check model.py:loss --args "f64[n, 3], f64[n]"',
            'pullback check model.py:loss --args "f64[5], i64[5]" --between 0.1 2 --only differences',
        ),
    ),
    Command(
        "cache", "say where the disk cache is and how large, or empty it", _setup_cache, _cache,
        ("pullback cache --info", "pullback cache --clear"),
    ),
    Command(
        "demo", "fit a model to measured data, and show every stage of its gradient", lambda parser: None, _demo,
        ("pullback demo",),
    ),
)  # fmt: skip
