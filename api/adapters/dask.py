"""Dask: the gradient of a loss that is a sum over chunks of data on a cluster.

The data stays where it is; parameters travel to the workers, one value and one gradient per group of chunks back.
Each worker traces the loss once, and each machine compiles it once (the disk cache).
"""

from __future__ import annotations

import functools
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from ..calls.tree import flatten
from ..ir.errors import TypeMismatch
from ..transforms.public import value_and_grad as local_value_and_grad
from .optional import require

FAN_IN = 8
"""How many partial sums one task adds up."""
RETRIES = 3
"""How often a task is tried again after its worker was lost."""

Part = tuple[Any, Any]


def value_and_grad(
    loss: Callable[..., Any], client: Any, *, progress: bool = False
) -> Callable[[Any, Any], tuple[float, Any]]:
    """A function of (params, chunks): the sum of `loss(params, *chunk)`, and its gradient by `params`.

    loss      gives a number; plain NumPy, as for `pullback.grad`
    client    of dask.distributed
    progress  draws a bar on stderr, chunk by chunk

    params is a number, an array or a container of them, and so is the gradient. chunks is either a dask array, or a
    tuple of them with the same chunks along the first axis, or a list: of tuples of arguments, or of single ones, each
    an array, a Future or a Delayed. What a Delayed computes is kept on the workers until other chunks are given.

    Sums are added in the order of the chunks, whatever the order in which they are ready. Tasks of a worker that is
    lost run again elsewhere, and so do the tasks that made their data. Data that was sent there by hand (`scatter`)
    and lies nowhere else cannot be had again: RuntimeError. Errors of the loss arrive as they are.
    """
    distributed = require("distributed", "dask")
    token = uuid.uuid4().hex
    held: dict[Any, Any] = {}

    @functools.wraps(loss)
    def call(params: Any, chunks: Any) -> tuple[float, Any]:
        leaves, tree = flatten(params)
        rows = list(_rows(chunks))
        if not rows:
            raise TypeMismatch("value_and_grad: there are no chunks")
        _keep(held, rows, client)
        given = client.submit(_same, leaves, pure=False, retries=RETRIES)  # a task, so that it can be had again
        parts = [
            client.submit(
                _part, token, loss, given, tree, *(held.get(_key(a), a) for a in row), pure=False, retries=RETRIES
            )
            for row in rows
        ]
        try:
            if progress:
                _draw(distributed, parts)
            sums = parts
            while len(sums) > 1:
                groups = [sums[k : k + FAN_IN] for k in range(0, len(sums), FAN_IN)]
                sums = [client.submit(_sum, group, pure=False, retries=RETRIES) for group in groups]
            value, bars = sums[0].result()
        except (CancelledError, distributed.CancelledError) as error:
            raise RuntimeError(
                "data was lost with its worker and nobody knows how to make it again: give Delayed or dask arrays "
                "instead of what was sent by scatter"
            ) from error
        return value, tree.unflatten(bars)

    return call


# -- on the workers ------------------------------------------------------------------------------------


_gradients: dict[str, Callable[..., Any]] = {}


def _part(token: str, loss: Callable[..., Any], leaves: list[Any], tree: Any, *chunk: Any) -> Part:
    """Value and gradient of one chunk. The loss comes with every task; the first one is traced and kept."""
    gradient = _gradients.get(token) or _gradients.setdefault(token, local_value_and_grad(loss))
    value, bars = gradient(tree.unflatten(leaves), *chunk)
    return value, flatten(bars)[0]


def _sum(parts: Sequence[Part]) -> Part:
    value, bars = parts[0]
    for other, others in parts[1:]:
        value = value + other
        bars = [a + b for a, b in zip(bars, others)]
    return value, bars


def _same(value: Any) -> Any:
    return value


# -- chunks --------------------------------------------------------------------------------------------


def _rows(chunks: Any) -> Iterator[tuple[Any, ...]]:
    """The arguments of the loss for each chunk."""
    arrays = chunks if isinstance(chunks, tuple) else (chunks,)
    if all(hasattr(a, "to_delayed") and hasattr(a, "chunks") for a in arrays):
        if len({a.chunks[0] for a in arrays}) != 1:
            cuts = [a.chunks[0] for a in arrays]
            raise TypeMismatch(f"value_and_grad: the arrays are cut differently along their first axis: {cuts}")
        whole = [a.rechunk(dict.fromkeys(range(1, a.ndim), -1)) for a in arrays]
        yield from zip(*(a.to_delayed().ravel().tolist() for a in whole))
        return
    if not isinstance(chunks, list):
        raise TypeMismatch(f"value_and_grad: chunks is a list, or dask arrays, not {type(chunks).__name__}")
    yield from (row if isinstance(row, tuple) else (row,) for row in chunks)


def _key(part: Any) -> Any:
    """The name of something that is still to be computed, or None."""
    return part.key if hasattr(part, "dask") and hasattr(part, "key") else None


def _keep(held: dict[Any, Any], rows: list[tuple[Any, ...]], client: Any) -> None:
    """Compute what is Delayed where it is not held already, and let go of everything else."""
    wanted = {_key(a): a for row in rows for a in row if _key(a) is not None}
    for key in held.keys() - wanted.keys():
        del held[key]
    new = [a for key, a in wanted.items() if key not in held or held[key].status in ("lost", "cancelled", "error")]
    for part, future in zip(new, client.compute(new, retries=RETRIES)):
        held[_key(part)] = future


def _draw(distributed: Any, parts: list[Any]) -> None:
    width = 40
    for done, _ in enumerate(distributed.as_completed(parts), 1):
        bar = "#" * (width * done // len(parts))
        print(f"\r[{bar:<{width}}] {done} of {len(parts)} chunks", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
