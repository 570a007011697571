"""Every stage of a function as text: printed (`show`), read back (`parse`), run (`evaluate`)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..calls.forms import Specialisation, Traceable
from ..calls.tree import Tree, flatten
from ..ir import evaluate as interpreter
from ..ir import text
from ..ir.adjoint.reverse_mode import adjoint
from ..ir.errors import PullbackError, TypeMismatch
from ..ir.passes import optimise
from ..ir.passes.unroll import unroll
from ..ir.program import Program, Var
from ..ir.tangent import tangent
from ..runtime import options
from ..stages import Compilation
from ..tracer.values.foreign import title
from ..transforms.base import Text, Transform
from ..transforms.composed import Composed
from ..transforms.gradient import Gradient

__all__ = ["ASIDE", "STAGES", "evaluate", "parse", "show", "shown"]

STAGES = ("trace", "adjoint", "optimised", "scalar", "source")
"""In order: the traced program; its adjoint, as the pass writes it; the adjoint after the clean-up; loops over
scalars with memory decided; Python."""
ASIDE = ("tangent",)
"""What is not on that way: the traced program with the tangents of its values, after the clean-up."""


def show(
    function: Callable[..., object], *args: object, stage: str = "trace", passes: bool = False, **kwargs: object
) -> None:
    """Print a stage of a function, for these arguments: arrays, numbers, or types such as "f64[n, 3]".

    function  a transform (`pb.grad(f, argnums=...)`, `pb.hessian(f)`), whose code is shown; a plain function, which is
              differentiated by all its float arguments; or a program (of `pb.parse`, `pb.trace`)
    stage     "trace", "adjoint", "optimised", "scalar", "source", or "all" of them; or "tangent", forward mode
    passes    print what each pass on the way to this stage changes, as a diff, instead of the stage

    Raises ValueError for another stage, and what tracing raises.

    >>> show(parse("def f(x: f64) -> f64:\\n    y: f64 = sin(x)\\n    return y"), stage="optimised")
    def f_grad(x: f64) -> f64:
        # reverse sweep
        t: f64 = cos(x)
        return t
    """
    print(shown(function, args, kwargs, stage=stage, passes=passes))


def shown(
    function: Any,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    stage: str = "trace",
    passes: bool = False,
) -> Text:
    """What `show` prints. `parse` reads all stages but "source"."""
    made = _Stages.of(function, args, kwargs or {})
    write = made.diffs if passes else made.text
    if stage != "all":
        return write(stage)
    differentiated = made.make is not None and not made.itself
    names = [name for name in STAGES if differentiated or name not in ("adjoint", "optimised")]
    return Text("\n\n".join(f"# {name}\n{write(name)}" for name in names))


def parse(source: str) -> Program:
    """The program that a printed stage stands for. Comments and blank lines do not matter, so it can be edited.

    Raises IRError, which names the line, for what is no program.

    >>> program = parse("def f(x: f64) -> f64:\\n    y: f64 = sin(x)\\n    return y")
    >>> evaluate(program, 0.0)
    np.float64(0.0)
    """
    if not isinstance(source, str):
        raise TypeMismatch(f"parse takes the text of a program, not {title(source)}. Write pb.parse(str(program))")
    return text.parse(source)


def evaluate(program: Program | str, *args: object) -> Any:
    """Run a program, or its text, in plain NumPy: its result, or a tuple of several.

    Arguments are those of the printed `def`, in order; containers are taken apart, as tracing did. Raises
    ShapeMismatch for an array that does not fit its type, and what the program's own checks raise.
    """
    program = text.parse(program) if isinstance(program, str) else program
    if not isinstance(program, Program):
        raise TypeMismatch(f"evaluate takes a program or its text, not {title(program)}. Give it pb.trace(f, *args)")
    if len(args) != len(program.params):
        args = tuple(flatten(args)[0])
    results = interpreter.evaluate(program, *args)
    return results[0] if len(results) == 1 else results


@dataclass(frozen=True)
class _Stages:
    """A function on its way to Python.

    raw      what the tracer wrote
    program  the same after the clean-up
    wrt      the parameters that are differentiated
    make     gives the adjoint of `program`; None if there is none to show
    itself   is it what becomes Python, and not its adjoint? It is a derivative already
    """

    raw: Program
    program: Program
    wrt: tuple[int, ...]
    make: Callable[[Program], Program] | None
    itself: bool = False

    @staticmethod
    def of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Stages:
        if isinstance(function, Program):
            if args or kwargs:
                raise TypeError("a program is shown as it is, without arguments: pb.evaluate runs it")
            wrt = tuple(k for k, p in enumerate(function.params) if p.type.is_float)
            return _Stages(function, function, wrt, _adjoint_by(function, wrt))
        traceable = function._traceable if isinstance(function, Transform) else Traceable(function)
        leaves, tree = traceable.lowered_leaves(args, kwargs)
        try:
            form = traceable.trace(leaves, tree)
            wrt = _differentiated(function, form, tree, leaves)
            make = _derivation(function, form, wrt)
            return _Stages(form.traced.program, form.program, wrt, make, isinstance(function, Composed))
        except PullbackError as error:  # says all; our frames would only hide it
            raise error.with_traceback(None) from None

    def derived(self) -> Program:
        if self.make is None:
            raise ValueError("there is no float to differentiate by: the stages are trace, scalar and source")
        return self.make(self.program)

    def pushed(self) -> Program:
        """The program with tangents, as the pass writes it."""
        if not self.wrt:
            raise ValueError("there is no float to differentiate by: the stages are trace, scalar and source")
        return tangent(self.program, self.wrt)

    def last(self) -> Program:
        """The program that becomes Python: of the gradient, or of the function itself."""
        if self.make is None or self.itself:
            return self.program
        return optimise(self.derived())

    def text(self, name: str) -> Text:
        match name:
            case "trace":
                return Text(text.show(self.program, spans=True))
            case "adjoint":
                return Text(text.show(self.derived(), spans=True))
            case "optimised":
                return Text(text.show(optimise(self.derived()), spans=True))
            case "tangent":
                return Text(text.show(optimise(self.pushed()), spans=True))
            case "scalar":
                return Text(text.show(Compilation(self.last()).lowered(), spans=True))
            case "source":
                return Text(Compilation(self.last()).source)
        raise ValueError(f"there is no stage {name!r}: there are {', '.join((*STAGES, *ASIDE))}, and all")

    def diffs(self, name: str) -> Text:
        """What the passes change that lead to this stage from the one before."""
        found = _Diffs()
        match name:
            case "trace":
                unrolled = unroll(self.raw)
                found("unroll", self.raw, unrolled)
                optimise(unrolled, found)
            case "adjoint":
                found("adjoint", self.program, self.derived())
            case "optimised":
                optimise(self.derived(), found)
            case "tangent":
                found("tangent", self.program, self.pushed())
                optimise(self.pushed(), found)
            case "scalar" | "source":
                compilation = Compilation(self.last())
                final = compilation.lowered(found)
                if name == "source":
                    code = [line.text for line in compilation.lines(comments=False)]
                    found.lines("emit", text.show(final).splitlines(), code)
            case _:
                self.text(name)  # says what there is
        return Text(found)


class _Diffs:
    """Collects what passes do, as unified diffs of the printed programs."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.without: list[str] = []

    def __call__(self, name: str, before: Program, after: Program) -> None:
        self.lines(name, text.show(before).splitlines(), text.show(after).splitlines())

    def lines(self, name: str, before: Sequence[str], after: Sequence[str]) -> None:
        changed = list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]
        if not changed:
            self.without.append(name)
            return
        body = [line if not line.startswith("@@") else "..." for line in changed]
        gone, come = (sum(line.startswith(sign) for line in changed) for sign in "-+")
        self.parts.append("\n".join([f"# {name}: {gone} lines gone, {come} new", *body]))

    def __str__(self) -> str:
        rest = f"# no effect: {', '.join(dict.fromkeys(self.without))}" if self.without else ""
        return "\n\n".join([*self.parts, *([rest] if rest else [])])


def _differentiated(function: Any, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> tuple[int, ...]:
    """The parameters by which the transform differentiates; else all floats among the arguments."""
    if isinstance(function, Gradient):
        return function._wrt(form, tree, leaves)
    given = set(form.traced.leaves)
    return tuple(k for k, p in enumerate(form.program.params) if p.type.is_float and k in given)


def _derivation(
    function: Any, form: Specialisation, wrt: tuple[int, ...]
) -> Callable[[Program], Program] | None:
    """How the adjoint of a traced form is made: as the transform makes it."""
    if isinstance(function, Gradient):
        function._check_result(form)
        return function._make(form, wrt)
    return _adjoint_by(form.program, wrt)


def _adjoint_by(program: Program, wrt: tuple[int, ...]) -> Callable[[Program], Program] | None:
    floats = [r for r in program.results if r.type.is_float]
    if not wrt or not any(isinstance(r, Var) for r in floats):
        return None
    scalar = len(program.results) == 1 and not floats[0].type.dims

    def make(p: Program) -> Program:
        made = adjoint(p, wrt, seeds=not scalar, checkpoint=options.current().checkpoint)
        name = f"{p.name}_grad" if scalar else made.name
        return replace(made, name=name)

    return make
