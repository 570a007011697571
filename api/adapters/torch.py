"""PyTorch: a NumPy function as one step of PyTorch's graph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls.tree import flatten
from ..ir.errors import TypeMismatch
from ..transforms.base import Jit
from ..transforms.vjp import vjp
from .optional import require


def function(f: Callable[..., Any]) -> Callable[..., Any]:
    """f as a function of tensors, for `backward()` and `torch.autograd.grad`.

    Arguments and results may be containers; tensors among the arguments become arrays (those of rank 0 numbers), and
    other leaves are passed as they are. Results are tensors on the device of the first tensor. The derivative cannot
    be differentiated again: PyTorch says so.
    """
    compiled = Jit[..., Any](f)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        torch = require("torch", "torch")
        leaves, tree = flatten((args, kwargs))
        places = [k for k, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        tensors = [leaves[k] for k in places]
        out: list[Any] = []

        def run(*arrays: Any) -> tuple[Any, Any]:
            """The value, as flat arrays, and what pulls flat seeds back to the tensors."""
            values = list(leaves)
            for k, array in zip(places, arrays):
                values[k] = array
            new_args, new_kwargs = tree.unflatten(values)
            if not any(t.requires_grad for t in tensors):
                y, pull = compiled(*new_args, **new_kwargs), None
            else:
                y, pull = vjp(f, *new_args, **new_kwargs)
            flat, form = flatten(y)
            out[:] = [form]

            def pulled(seeds: list[Any]) -> list[Any]:
                assert pull is not None
                bars = tree.children[0].take(pull(form.unflatten(seeds)), "the cotangents")
                return [bars[k] if k < len(bars) else None for k in places]

            return flat, pulled

        flat = _step(torch).apply(run, *tensors)
        return out[0].unflatten(flat)

    return call


@functools.cache
def _step(torch: Any) -> Any:
    """The autograd.Function: of `run` and the tensors."""

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, run: Any, *tensors: Any) -> tuple[Any, ...]:
            flat, ctx.pulled = run(*map(_array, tensors))
            ctx.inputs = [(t.dtype, t.device, t.shape) for t in tensors]
            device = tensors[0].device if tensors else None
            results = [torch.as_tensor(np.array(value), device=device) for value in flat]  # memory of its own
            ctx.mark_non_differentiable(*(r for r in results if not r.is_floating_point()))
            return tuple(results)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, *seeds: Any) -> tuple[Any, ...]:
            bars = ctx.pulled([_array(s) for s in seeds])
            return (
                None,
                *(
                    None if bar is None else torch.as_tensor(np.array(bar), dtype=kind, device=device).reshape(shape)
                    for bar, (kind, device, shape) in zip(bars, ctx.inputs)
                ),
            )

    return Step


def _array(tensor: Any) -> Any:
    if tensor.dtype.is_complex or str(tensor.dtype) in ("torch.float16", "torch.bfloat16"):
        raise TypeMismatch(f"a tensor of {tensor.dtype}: pullback takes float64, float32, integers and bool")
    array = tensor.detach().cpu().numpy()
    return array if array.ndim else array[()]
