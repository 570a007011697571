"""What one looks for in pullback and does not find yet: what to write instead."""

from __future__ import annotations

_ROWS = (
    "write a loop over the rows: y, pull = pb.vjp(f, x), then np.stack([pull(row)[0] for row in np.eye(y.size)]) for a "
    "vector y"
)
_TWICE = (
    "differentiate twice: pb.grad(lambda x: np.sum(pb.grad(f)(x) * v))(x) is the product of the Hessian and v, and "
    "with v = e, for each row e of np.eye(x.size), a row of the Hessian"
)
_FORWARD = (
    "pb.vjp gives it, twice: y, pull = pb.vjp(f, x), then pb.grad(lambda s: np.sum(pb.vjp(f, x)[1](s)[0] * v))"
    "(np.zeros_like(y)) is the derivative along v"
)
_LOOP = "write the loop, for k in range(len(xs)), around the function: it is compiled, and pb.jit makes it fast"
_RULE = "write the function in plain NumPy: pullback derives its gradient"
_MEMORY = "leave it out: pullback recomputes what is cheap; pb.grad(f).saved_report(x) says what is kept"
_ROUND = "pass what is not differentiated as an argument that argnums does not name"

ADVICE = {
    **dict.fromkeys(["jacobian", "jacrev", "jacfwd", "elementwise_grad"], _ROWS),
    **dict.fromkeys(["hessian", "hvp", "hessian_vector_product"], _TWICE),
    **dict.fromkeys(["jvp", "linearize"], _FORWARD),
    **dict.fromkeys(["vmap", "pmap"], _LOOP),
    **dict.fromkeys(["custom_vjp", "custom_jvp", "custom_gradient", "primitive", "defvjp", "defjvp"], _RULE),
    **dict.fromkeys(["checkpoint", "remat"], _MEMORY),
    **dict.fromkeys(["stop_gradient", "detach", "no_grad"], _ROUND),
    **dict.fromkeys(["numpy", "lax", "np"], "use NumPy itself: import numpy as np"),
    "check_grads": "pb.testing.check_grad compares with finite differences",
    "check_grad": "pb.testing.check_grad compares with finite differences",
    "compile": "it is called jit",
    "backward": "pb.vjp gives a function that pulls cotangents back; import pullback.eager as torch has tensors",
    "tensor": "import pullback.eager as torch has tensors; everything else takes NumPy arrays",
}


def missing(name: str) -> AttributeError:
    """The error for a public name that is not there.

    >>> print(missing("vmap"))  # doctest: +ELLIPSIS
    pullback.vmap does not exist yet. Instead: write the loop, ...
    >>> print(missing("vjq"))
    module 'pullback' has no attribute 'vjq'
    """
    if name not in ADVICE:
        return AttributeError(f"module 'pullback' has no attribute {name!r}")
    return AttributeError(f"pullback.{name} does not exist yet. Instead: {ADVICE[name]}")
