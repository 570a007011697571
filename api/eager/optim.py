"""torch.optim: plain gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .missing import missing
from .record import store
from .tensor import Tensor


class SGD:
    """p -= lr * p.grad for each parameter, with momentum if asked for."""

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0
    ):
        self.params = list(params)
        if not self.params:
            raise ValueError("optimizer got an empty parameter list")
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self._velocity: dict[int, object] = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or make them zeros in place."""
        for p in self.params:
            if set_to_none or p._grad is None:
                p._grad = None
            else:
                store(p._grad, Ellipsis, 0)

    def step(self) -> None:
        for k, p in enumerate(self.params):
            if p._grad is None:
                continue
            change = p._grad._array
            if self.weight_decay:
                change = change + self.weight_decay * p._array
            if self.momentum:
                before = self._velocity.get(k)
                change = change if before is None else self.momentum * before + change  # type: ignore[operator]
                self._velocity[k] = change.copy() if before is None else change
            store(p, Ellipsis, p._array - p._array.dtype.type(self.lr) * change)


def __getattr__(name: str) -> Any:
    raise missing("torch.optim", name)
