"""Times an eager training step against PyTorch: `python benchmarks/eager.py [--rounds N]`.

A step is forward, backward and zeroing the gradients. The libraries take turns in every round, on one thread,
after their gradients were compared; printed is the median over the rounds.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import pullback.eager as eager  # noqa: E402

BATCH = 300


def layer(torch: Any, n: int, m: int) -> Callable[[], Any]:
    """The notebook's layer: binary cross entropy of one linear layer."""
    rng = np.random.default_rng(0)
    x, y = torch.ones(n), torch.zeros(m)
    W = torch.tensor(rng.random((n, m)), dtype=torch.float32, requires_grad=True)
    b = torch.tensor(rng.random(m), dtype=torch.float32, requires_grad=True)

    def step() -> Any:
        z = torch.matmul(x, W) + b
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
        loss.backward()
        gradient = W.grad.detach().clone() if step.keep else None  # type: ignore[attr-defined]
        W.grad.zero_()
        b.grad.zero_()
        return gradient

    step.keep = False  # type: ignore[attr-defined]
    return step


def network(torch: Any, batch: int, hidden: int) -> Callable[[], Any]:
    """Two layers, cross entropy over 10 classes."""
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.random((batch, 20)), dtype=torch.float32)
    y = torch.tensor(rng.integers(0, 10, batch))
    shapes = ((20, hidden), (hidden,), (hidden, 10), (10,))
    params = [torch.tensor(rng.random(s) / 10, dtype=torch.float32, requires_grad=True) for s in shapes]
    W1, b1, W2, b2 = params

    def step() -> Any:
        h = torch.tanh(x @ W1 + b1)
        loss = torch.nn.functional.cross_entropy(h @ W2 + b2, y)
        loss.backward()
        gradient = W1.grad.detach().clone() if step.keep else None  # type: ignore[attr-defined]
        for p in params:
            p.grad.zero_()
        return gradient

    step.keep = False  # type: ignore[attr-defined]
    return step


PROBLEMS: dict[str, Callable[[Any], Callable[[], Any]]] = {
    "layer 5 -> 3": lambda torch: layer(torch, 5, 3),
    "layer 500 -> 300": lambda torch: layer(torch, 500, 300),
    "network 20 -> 32 -> 10, batch 64": lambda torch: network(torch, 64, 32),
    "network 20 -> 256 -> 10, batch 256": lambda torch: network(torch, 256, 256),
}


def seconds(step: Callable[[], Any]) -> float:
    start = time.perf_counter()
    for _ in range(BATCH):
        step()
    return (time.perf_counter() - start) / BATCH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    libraries = {"pullback": eager}
    try:
        libraries["PyTorch"] = importlib.import_module("torch")
        libraries["PyTorch"].set_num_threads(1)  # type: ignore[attr-defined]
    except ImportError as error:
        print(f"PyTorch is left out: {error}")
    for title, make in PROBLEMS.items():
        steps = {name: make(torch) for name, torch in libraries.items()}
        gradients = []
        for step in steps.values():
            step.keep = True  # type: ignore[attr-defined]
            for _ in range(5):
                gradient = step()
            gradients.append(np.asarray(gradient))
            step.keep = False  # type: ignore[attr-defined]
        for gradient in gradients[1:]:
            np.testing.assert_allclose(gradient, gradients[0], 1e-4, 1e-6)
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                times[name].append(seconds(step))
        medians = {name: statistics.median(t) for name, t in times.items()}
        print(f"{title:<36}" + "".join(f"{name} {t * 1e6:8.1f} us   " for name, t in medians.items()), end="")
        print(f"ratio {medians['pullback'] / medians['PyTorch']:.2f}" if "PyTorch" in medians else "")


if __name__ == "__main__":
    main()
