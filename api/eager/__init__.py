"""Tensors in the manner of torch.autograd: `import pullback.eager as torch` runs a torch tutorial.

Operations run at once, in NumPy, and are recorded. `loss.backward()` fills `.grad` of the leaves; what was
recorded can be printed: `loss.graph`, `loss.adjoint_ir`, `loss.source`. docs/eager.md compares with PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import autograd, creation, func, nn, optim
from .func import vmap
from .functions import FUNCTIONS, to
from .kinds import bool_, dtype, float32, float64, get_default_dtype, int64, set_default_dtype
from .methods import manual_seed
from .missing import missing
from .show import Size
from .tape import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .tensor import Tensor, tensor

pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
float = float32
double = float64
long = int64
bool = bool_
_CREATION = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "from_numpy", "full", "full_like", "linspace",
    "logspace", "normal", "ones", "ones_like", "rand", "rand_like", "randint", "randn", "randn_like",
    "randperm", "zeros", "zeros_like",
]  # fmt: skip
globals().update({name: getattr(creation, name) for name in _CREATION})
globals().update({name: f for name, f in FUNCTIONS.items() if name not in ("float", "bool")})

__all__ = [
    "Size", "Tensor", "allclose", "autograd", "dtype", "enable_grad", "equal", "float32", "float64", "func",
    "get_default_dtype", "int64", "is_grad_enabled", "is_tensor", "manual_seed", "nn", "no_grad", "numel",
    "optim", "set_default_dtype", "set_grad_enabled", "tensor", "to", "vmap", *_CREATION,
]  # fmt: skip
__all__.extend(FUNCTIONS)  # a table, which readers of the source (documentation, editors) cannot look into


def is_tensor(obj: Any) -> Any:
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    return input.numel()


def equal(input: Tensor, other: Tensor) -> Any:
    """Are shapes and all elements equal?"""
    return input.shape == other.shape and (input._array == other._array).all().item()


def allclose(
    input: Tensor, other: Tensor, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: Any = False
) -> Any:
    return np.allclose(input._array, other._array, rtol, atol, equal_nan)


def __getattr__(name: str) -> Any:
    raise missing("torch", name)
