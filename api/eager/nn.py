"""torch.nn, as far as it is functions."""

from typing import Any

from . import nn_functional as functional
from .missing import missing
from .tensor import Tensor

__all__ = ["Parameter", "functional"]


def Parameter(data: Tensor, requires_grad: bool = True) -> Any:  # noqa: N802
    """A leaf with the numbers of `data`, which requires grad."""
    return data.detach().requires_grad_(requires_grad)


def __getattr__(name: str) -> Any:
    raise missing("torch.nn", name)
