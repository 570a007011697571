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
from ..transforms.argnums import positions
from ..transforms.base import Jit, Text, Transform
from ..transforms.composed import Composed
from ..transforms.gradient import Gradient, ValueAndGradient
from ..transforms.hessian import Hessian, HessianProduct
from ..transforms.jacobian import Chosen
from ..transforms.jvp import Along
from ..transforms.layout import Layout, layout, samples
from ..transforms.vjp import Seeded
from ..transforms.vmap import Mapped
from .check import DIRECTIONAL, Check
from .specialised import Form
from .text import MARK, module_text

KINDS = ("value", "grad", "value_and_grad", "vjp", "jvp", "jacobian", "hessian", "hvp")
OWN: dict[str, type[Composed]] = {"jvp": Along, "jacobian": Chosen, "hessian": Hessian, "hvp": HessianProduct}
"""Kinds that are programs of their own, with the directions that they take among the arguments."""
BEHIND = {"jvp": "tangent", "hvp": "v", "vhp": "v"}
"""What those take behind the argument that they are by, or behind all."""
AT = {"jvp": 1}
"""Where the derivative is in what a function gives, if that is not the derivative itself, or the first with has_aux."""


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
    what      some of "value", "grad", "value_and_grad", "vjp", "jvp", "jacobian", "hessian" and "hvp". The module then
              has functions of these names: of a function f they are f, f_grad, f_value_and_grad, f_vjp(*args, seed),
              f_jvp(*args, tangent), f_jacobian, f_hessian, and f_hvp with v behind the argument. As it is: value and
              grad, or value and vjp if the result is not one float
    argnums, has_aux   as in `grad`; those of the object, if a transform such as `grad` or `hessian` is exported
    also      further lists of args; the functions of the module choose by type and shape

    What the function reads from outside (globals, closures, attributes) is written into the module as it is now.
    """
    if isinstance(function, Gradient):
        argnums, has_aux = function._argnums, function._has_aux
        what = what or ("value", function._kind)
    whole: Composed | None = None
    if isinstance(function, Composed):
        whole = function
        what = what or ((function._kind,) if isinstance(function, Mapped) else ("value", function._kind))
        argnums, has_aux, function = function._argnums, function._has_aux, function._function
    elif isinstance(function, Transform):
        what = what or {"jit": ("value",), "vjp": ("value", "vjp")}.get(function._kind)
        function = function.user_function
    kinds = (what,) if isinstance(what, str) else tuple(what or ())
    for kind in kinds:
        if kind not in KINDS and (whole is None or kind != whole._kind):
            raise ValueError(f"what={kind!r}: there are {', '.join(KINDS)}")
    exporter = _Exporter(function, argnums, has_aux, whole)
    text = exporter.text((args, *also), kinds)
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


def with_direction(kind: str, args: Sequence[Any], argnums: int | Sequence[int]) -> Sequence[Any]:
    """The arguments of a transform of this kind, where its direction is like what it differentiates by."""
    if kind not in BEHIND:
        return args
    chosen = positions(argnums, len(args))
    v = args[chosen[0]] if isinstance(argnums, int) else tuple(args[k] for k in chosen)
    place = place_of_direction(kind, chosen, len(args))
    return [*args[:place], v, *args[place:]]


def place_of_direction(kind: str, chosen: Sequence[int], count: int) -> int:
    return count if kind == "jvp" else max(chosen) + 1


@dataclass
class _Exporter:
    function: Callable[..., Any]
    argnums: Any
    has_aux: bool
    whole: Composed | None = None
    """The transform that is exported, if it is a program of its own."""

    def __post_init__(self) -> None:
        self.value = Jit[..., Any](self.function)
        name = getattr(self.function, "__name__", "f")
        self.name = name if name.isidentifier() else "f"
        self.count = 0

    def text(self, lists: Sequence[Sequence[Any]], kinds: tuple[str, ...]) -> str:
        """The module for these lists of arguments."""
        transforms = {kind: self.transform(kind) for kind in kinds if kind in OWN or kind not in KINDS}
        shared = tuple(kind for kind in kinds if kind not in transforms)
        forms = []
        if not isinstance(self.whole, Mapped):  # whose arguments are not those of the function
            forms = [self.form(self.without_directions(args), shared or None if kinds else ()) for args in lists]
        own = {
            kind: [self.own_form(transform, args, k) for k, args in enumerate(lists, 1)]
            for kind, transform in transforms.items()
        }
        chosen = [positions(self.argnums, len(form.names)) for form in forms[:1]]
        checks = [
            Check(kind, AT.get(kind, 0 if self.has_aux else None), chosen[0], self.argnums, self.has_aux)
            for kind in transforms if kind in DIRECTIONAL
        ]  # fmt: skip
        kinds = kinds or tuple(forms[0].layouts)
        return module_text(self.name, self.value._traceable.span, forms, own, kinds, checks)

    def transform(self, kind: str) -> Composed:
        if self.whole is not None and kind == self.whole._kind:
            return self.whole
        return OWN[kind](self.function, self.argnums, self.has_aux)

    def without_directions(self, args: Sequence[Any]) -> Sequence[Any]:
        """The arguments of the function itself."""
        if not isinstance(self.whole, HessianProduct):
            return args
        behind = max(self.whole._chosen(tuple(args))) + 1
        return [*args[:behind], *args[behind + 1 :]]

    def own_form(self, transform: Composed, args: Sequence[Any], number: int) -> Form:
        """One form of a transform that is a program of its own; the directions that it takes are like the arguments."""
        kind, names = transform._kind, self.names(len(self.without_directions(args)))
        if kind in BEHIND:
            chosen = positions(self.argnums, len(names))
            place = place_of_direction(kind, chosen, len(names))
            if transform is not self.whole:
                args = with_direction(kind, self.without_directions(args), self.argnums)
            direction = BEHIND[kind]
            while direction in names:
                direction += "_"
            names.insert(place, direction)
        whole = transform._whole
        leaves, tree = whole._traceable.lowered_leaves(tuple(args), {})
        try:
            form = whole._traceable.trace(leaves, tree)
            found = layout(whole, form, tree, samples(leaves))
        except PullbackError as error:
            raise error.with_traceback(None) from None
        kernels = {kind: self.kernel(form, found.make, f"{self.name}_{kind}_{number}")}
        return Form(number, form, tree, leaves, names, {kind: found}, kernels, f"{kind}_{number}")

    def form(self, args: Sequence[Any], kinds: tuple[str, ...] | None) -> Form:
        """One specialisation: traced, and the generated code of each kind; of the usual ones for ()."""
        self.count += 1
        traceable = self.value._traceable
        leaves, tree = traceable.lowered_leaves(tuple(args), {})
        try:
            form = traceable.trace(leaves, tree)
            kinds = self.default(form) if kinds == () else kinds or ()
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
        return Form(self.count, form, tree, leaves, self.names(len(args)), made, kernels, str(self.count))

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
