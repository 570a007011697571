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


PEERS = {
    peer.name: peer
    for peer in (
        Peer("pullback", "peers.pullback_", ("pullback",)),
        Peer("limit", "peers.limit", ("numba",)),
        Peer("JAX", "peers.jax_", ("jax",)),
        Peer("JAX checkpoint", "peers.jax_checkpoint", ("jax",)),
        Peer("Enzyme-JAX", "peers.enzyme_", ("enzyme-ad",)),
        Peer("PyTorch", "peers.torch_", ("torch",)),
        Peer("torch.compile", "peers.torch_compile", ("torch",)),
        Peer("PyTensor", "peers.pytensor_", ("pytensor",)),
        Peer("CasADi", "peers.casadi_", ("casadi",)),
        Peer("autograd", "peers.autograd_", ("autograd",)),
    )
}
