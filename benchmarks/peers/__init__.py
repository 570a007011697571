"""Who is compared: each is a module with `prepare(problem, args)`, which gives a function without arguments.

That function computes the gradient, on data that is already where the library wants it, waits for the result
and returns it as one array or a tuple of arrays, as NumPy reads them. `prepare` gives None for a problem that
the library cannot express. `warm_up()`, where there is one, does what a library does once in a process.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    name: str
    module: str
    packages: tuple[str, ...]
    """What has to be installed; the first one's version is reported."""
    tolerance: float = 1e-8
    """How far its gradients may be off, relative to the largest element."""
    patience: float = 1.0
    """How many times the usual limit its first gradient may take."""


SINGLE = "pullback float32"
"""Ourselves with data of single precision."""

PEERS = {
    peer.name: peer
    for peer in (
        Peer("pullback", "peers.pullback_", ("pullback",)),
        Peer("limit", "peers.limit", ("numba",)),
        Peer(SINGLE, "peers.pullback_float32", ("pullback",), tolerance=1e-3),
        Peer("JAX", "peers.jax_", ("jax",)),
        Peer("JAX checkpoint", "peers.jax_checkpoint", ("jax",)),
        Peer("Enzyme-JAX", "peers.enzyme_", ("enzyme-ad",)),
        Peer("PyTorch", "peers.torch_", ("torch",)),
        Peer("torch.compile", "peers.torch_compile", ("torch",), patience=4.0),
        Peer("PyTensor", "peers.pytensor_", ("pytensor",), patience=4.0),
        Peer("CasADi", "peers.casadi_", ("casadi",)),
        Peer("autograd", "peers.autograd_", ("autograd",)),
    )
}
