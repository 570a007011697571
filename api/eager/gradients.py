"""`backward` accumulates gradients in leaves, `grad` returns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .engine import pull
from .higher import pull_recorded
from .memory import protect
from .show import Size
from .tape import Node

if TYPE_CHECKING:
    from .tensor import Tensor

NO_GRAPH = (
    "element {} of tensors does not require grad and does not have a grad_fn: it was not computed from a tensor "
    "with requires_grad=True, or it was computed inside of no_grad()"
)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _roots(tensors: Sequence[Tensor], seeds: Sequence[Any]) -> tuple[list[Node], list[np.ndarray]]:
    roots, arrays = [], []
    for k, (t, seed) in enumerate(zip(tensors, seeds)):
        if not t._requires:
            raise RuntimeError(NO_GRAPH.format(k))
        if seed is None:
            if t._array.size != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs: this one has the shape "
                    f"{list(t.shape)}. Pass the cotangent, t.backward(torch.ones_like(t)), or make it a scalar first, "
                    "t.sum().backward()"
                )
            array = t._kind.ones()
        else:
            array = seed._array if hasattr(seed, "_array") else np.asarray(seed)
            if array.shape != t._kind.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{k}] has a shape of {Size(array.shape)} and output[{k}] has a "
                    f"shape of {t.shape}."
                )
            array = np.array(array, t._kind.dtype.numpy)
        assert t._node is not None
        roots.append(t._node)
        arrays.append(array)
    return roots, arrays


def _as_tensors(kind: type[Tensor], seeds: Sequence[Any], arrays: Sequence[np.ndarray]) -> list[Tensor]:
    """The seeds with their history."""
    return [seed if isinstance(seed, kind) else kind(np.array(array)) for seed, array in zip(seeds, arrays)]


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate the gradients of tensors in the leaves behind them (or in `inputs` only)."""
    outputs = _listed(tensors)
    seeds = _listed(grad_tensors) if grad_tensors is not None else [None] * len(outputs)
    roots, arrays = _roots(outputs, seeds)
    only = None if inputs is None else {id(t._node) for t in _listed(inputs)}

    def select(layout: Any) -> list[Node]:
        if only is not None:
            return [n for n in (*layout.order, *layout.nodes) if n is not None and id(n) in only]
        return [*(n for n in layout.nodes if n is not None), *(n for n in layout.order if n.keep)]

    with np.errstate(all="ignore"):  # tensors do not warn of overflow and the like
        found: Any
        if create_graph:
            found = pull_recorded(roots, _as_tensors(type(outputs[0]), seeds, arrays), select)
        else:
            found = pull(roots, arrays, select, bool(retain_graph))
        for node, part in found:
            t = node.tensor() if node.tensor is not None else None
            if t is None and only is not None:
                t = next(u for u in _listed(inputs) if u._node is node)
            if t is None:
                continue
            if create_graph:
                t._grad = part if t._grad is None else t._grad + part
            else:
                accumulate(t, part)


def accumulate(t: Tensor, array: np.ndarray) -> None:
    before = t._grad
    if before is None:
        t._grad = type(t)(array)
    elif before._value is None and before._shared is None:
        before._array += array
    else:
        protect(before)
        np.add(before._array, array, out=before._array)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of outputs by inputs, leaving every `.grad` as it is.

    create_graph   the gradients are recorded, so that there are gradients of them
    """
    tensors, wanted = _listed(outputs), _listed(inputs)
    seeds = _listed(grad_outputs) if grad_outputs is not None else [None] * len(tensors)
    for t in wanted:
        if not t._requires:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    roots, arrays = _roots(tensors, seeds)
    nodes = [t._node for t in wanted]
    select = lambda _: list(dict.fromkeys(nodes))
    kind = type(wanted[0])
    found: dict[Any, Any]
    with np.errstate(all="ignore"):
        if create_graph:
            found = dict(pull_recorded(roots, _as_tensors(kind, seeds, arrays), select))
        else:
            found = dict(pull(roots, arrays, select, bool(retain_graph)))
    if not allow_unused and any(n not in found for n in nodes):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if "
            "this is the desired behavior."
        )
    if create_graph:
        return tuple(found.get(n) for n in nodes)
    return tuple(kind(np.array(found[n])) if n in found else None for n in nodes)
