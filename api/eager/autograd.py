"""torch.autograd: gradients as values, and the switches."""

from .tape import enable_grad, no_grad, set_grad_enabled
from .tensor import backward, grad

__all__ = ["backward", "enable_grad", "grad", "no_grad", "set_grad_enabled"]
