"""torch.autograd: gradients as values, and the switches."""

from .gradients import backward, grad
from .tape import enable_grad, no_grad, set_grad_enabled

__all__ = ["backward", "enable_grad", "grad", "no_grad", "set_grad_enabled"]
