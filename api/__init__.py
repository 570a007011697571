"""pullback: gradients of plain NumPy code, as readable Python."""

from . import scipy, testing
from .debug import debug
from .explain import explain
from .explain_sympy import explain_sympy
from .export import export
from .ir.errors import PullbackError
from .runtime.options import options
from .show import evaluate, parse, show
from .transforms import grad, jit, trace, value_and_grad, vjp

__version__ = "0.1.0"

__all__ = [
    "PullbackError",
    "debug",
    "evaluate",
    "explain",
    "explain_sympy",
    "export",
    "grad",
    "jit",
    "options",
    "parse",
    "scipy",
    "show",
    "testing",
    "trace",
    "value_and_grad",
    "vjp",
]
