"""pullback: gradients of plain NumPy code, as readable Python."""

from importlib import import_module as _import_module

from . import scipy, sparse, testing
from .explain import explain
from .export.module import export
from .inspection.debug import debug
from .inspection.explain_sympy import explain_sympy
from .inspection.show import evaluate, parse, show
from .ir.errors import PullbackError
from .missing import missing as _missing
from .runtime.options import options
from .transforms.public import (
    checkpoint,
    custom_jvp,
    custom_vjp,
    fixed_point,
    grad,
    hessian,
    hessian_diag,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jit,
    jvp,
    linearize,
    primitive,
    register,
    root,
    stop_gradient,
    trace,
    value_and_grad,
    value_and_jacobian,
    vhp,
    vjp,
    vmap,
)

__version__ = "0.1.0"

__all__ = [
    "PullbackError",
    "checkpoint",
    "custom_jvp",
    "custom_vjp",
    "debug",
    "evaluate",
    "explain",
    "explain_sympy",
    "export",
    "fixed_point",
    "grad",
    "hessian",
    "hessian_diag",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linearize",
    "options",
    "parse",
    "primitive",
    "register",
    "root",
    "scipy",
    "show",
    "sparse",
    "stop_gradient",
    "testing",
    "trace",
    "value_and_grad",
    "value_and_jacobian",
    "vhp",
    "vjp",
    "vmap",
]

_MODULES = ("adapters", "eager")
"""Modules that are imported when they are first asked for."""


def __getattr__(name: str) -> object:
    """Only called for what is not there."""
    if name in _MODULES:
        return _import_module(f".{name}", __name__)
    raise _missing(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
