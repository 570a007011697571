"""torch.autograd: gradients as values, and the switches."""

from typing import Any

from . import functional
from .gradients import backward, grad
from .missing import missing
from .tape import enable_grad, no_grad, set_grad_enabled

__all__ = ["backward", "enable_grad", "functional", "grad", "no_grad", "set_grad_enabled"]


def __getattr__(name: str) -> Any:
    raise missing("torch.autograd", name)
