"""`export`: the generated code of a function as a module that needs numpy and numba, and not pullback."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..calls.forms import Specialisation
from ..ir.errors import PullbackError
from ..ir.passes import optimise
from ..ir.program import Program
from ..runtime import options
from ..stages import Compilation
from ..transforms.base import Jit, Text, Transform
from ..transforms.gradient import Gradient, ValueAndGradient
from ..transforms.layout import Layout, layout, samples
from ..transforms.vjp import Seeded
from .specialised import Form
from .text import MARK, module_text

KINDS = ("value", "grad", "value_and_grad", "vjp")


def export(
    function: Callable[..., object],
    *args: object,
    path: str | os.PathLike[str] | None = None,
    what: str | Sequence[str] | None = None,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    also: Sequence[Sequence[object]] = (),
) -> Text:
    """Write generated code as a module of its own, which needs numpy and numba but not pullback.

    args      arrays, numbers, or types such as "f64[n, 3]": what the function is called with
    path      the file that is written (none: the text is only returned)
    what      some of "value", "grad", "value_and_grad" and "vjp". The module then has functions of these names: of a
              function f they are f, f_grad, f_value_and_grad and f_vjp(*args, seed). As it is: value and grad, or value
              and vjp if the result is not one float
    argnums, has_aux   as in `grad`; those of the object, if a `grad` or `value_and_grad` is exported
    also      further lists of args; the functions of the module choose by type and shape

    What the function reads from outside (globals, closures, attributes) is written into the module as it is now.
    """
    if isinstance(function, Gradient):
        argnums, has_aux = function._argnums, function._has_aux
        what = what or ("value", function._kind)
    if isinstance(function, Transform):
        what = what or {"jit": ("value",), "vjp": ("value", "vjp")}.get(function._kind)
        function = function.user_function
    kinds = (what,) if isinstance(what, str) else tuple(what or ())
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"what={kind!r}: there are {', '.join(KINDS)}")
    exporter = _Exporter(function, argnums, has_aux)
    forms = [exporter.form(given, kinds) for given in (args, *also)]
    text = module_text(exporter.name, exporter.value._traceable.span, forms)
    compile(text, str(path or "exported"), "exec")
    if path is not None:
        write_module(Path(path), text)
    return Text(text)


def write_module(path: Path, text: str) -> None:
    """Write an exported module; FileExistsError where a file stands that `export` did not write."""
    try:
        old = path.read_text(encoding="utf-8", errors="replace") if path.exists() else MARK
    except OSError:
        old = ""
    if not old.startswith(MARK):
        raise FileExistsError(
            f"{path} exists and was not written by pullback.export, which does not overwrite it: remove it, or choose "
            "another path"
        )
    path.write_text(text, encoding="utf-8")


@dataclass
class _Exporter:
    function: Callable[..., Any]
    argnums: Any
    has_aux: bool

    def __post_init__(self) -> None:
        self.value = Jit[..., Any](self.function)
        name = getattr(self.function, "__name__", "f")
        self.name = name if name.isidentifier() else "f"
        self.count = 0

    def form(self, args: Sequence[Any], kinds: tuple[str, ...]) -> Form:
        """One specialisation: traced, and the generated code of each kind."""
        self.count += 1
        traceable = self.value._traceable
        leaves, tree = traceable.lowered_leaves(tuple(args), {})
        try:
            form = traceable.trace(leaves, tree)
            kinds = kinds or self.default(form)
            made = {kind: self.layout(kind, form, tree, leaves) for kind in kinds}
        except PullbackError as error:
            raise error.with_traceback(None) from None
        value = layout(self.value, form, tree, leaves)
        kernels = {"value": self.kernel(form, value.make, f"{self.name}_{self.count}")}
        for kind, found in made.items():
            if kind == "vjp":
                assert found.backward is not None
                kernels["forward"] = self.kernel(form, found.make, f"{self.name}_forward_{self.count}")
                kernels["backward"] = self.kernel(form, found.backward[1], f"{self.name}_backward_{self.count}")
            elif kind != "value":
                kernels[kind] = self.kernel(form, found.make, f"{self.name}_{kind}_{self.count}")
        return Form(self.count, form, tree, leaves, self.names(len(args)), made, kernels)

    def default(self, form: Specialisation) -> tuple[str, ...]:
        results = form.results
        scalar = len(results) == 1 and hasattr(results[0], "k")
        type_ = form.program.results[results[0].k].type if scalar else None
        return ("value", "grad" if self.has_aux or (type_ and type_.is_float and not type_.rank) else "vjp")

    def layout(self, kind: str, form: Specialisation, tree: Any, leaves: Sequence[Any]) -> Layout:
        transform: Transform
        if kind == "value":
            transform = self.value
        elif kind == "vjp":
            transform = Seeded(self.function)
        else:
            cls = Gradient if kind == "grad" else ValueAndGradient
            transform = cls(self.function, self.argnums, self.has_aux)
        return layout(transform, form, tree, samples(leaves))

    def kernel(self, form: Specialisation, make: Callable[[Program], Program], name: str) -> str:
        """The generated function, under this name."""
        program = replace(optimise(make(form.program)), name=name)
        source = Compilation(program, replace(options.current(), parallel=False)).source
        return source[source.index("def ") :].rstrip()

    def names(self, count: int) -> list[str]:
        """The parameters of the exported functions."""
        signature = self.value._traceable.signature
        params = list(signature.parameters.values()) if signature else []
        plain = [p.name for p in params if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        rest = next((p.name for p in params if p.kind is p.VAR_POSITIONAL), "x")
        return [plain[k] if k < len(plain) else f"{rest}_{k - len(plain)}" for k in range(count)]
