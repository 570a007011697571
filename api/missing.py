"""What one looks for in pullback and does not find yet: what to write instead."""

from __future__ import annotations

_ELEMENTS = (
    "pb.vmap(pb.grad(f))(x) for a vector x; where each element of f(x) depends on that of x alone, "
    "pb.grad(lambda x: np.sum(f(x)))(x)"
)
_RULE = "pb.custom_vjp gives a function a rule of its own: f.defvjp(fwd, bwd)"
_STOP = "pb.stop_gradient(x) is x, and a constant for derivatives"

ADVICE = {
    **dict.fromkeys(["elementwise_grad", "egrad"], _ELEMENTS),
    "hessian_vector_product": "it is called hvp: pb.hvp(f)(x, v)",
    "make_jvp": "pb.jvp(f, primals, tangents) gives the value and its tangent",
    "make_vjp": "pb.vjp(f, *args) gives the value and what pulls cotangents back",
    "pmap": "pb.vmap maps over examples; pb.options(parallel=True) runs its loop on all cores",
    **dict.fromkeys(["custom_gradient", "defvjp", "defjvp"], _RULE),
    "remat": "it is called checkpoint: pb.checkpoint(f), and pb.grad(f, checkpoint=\"sqrt\") for long loops",
    **dict.fromkeys(["detach", "no_grad"], _STOP),
    **dict.fromkeys(["numpy", "lax", "np"], "use NumPy itself: import numpy as np"),
    "check_grads": "pb.testing.check_grad compares with finite differences",
    "check_grad": "pb.testing.check_grad compares with finite differences",
    "compile": "it is called jit",
    "backward": "pb.vjp gives a function that pulls cotangents back; import pullback.eager as torch has tensors",
    "tensor": "import pullback.eager as torch has tensors; everything else takes NumPy arrays",
}


def missing(name: str) -> AttributeError:
    """The error for a public name that is not there.

    >>> print(missing("hessian_vector_product"))
    pullback.hessian_vector_product does not exist yet. Instead: it is called hvp: pb.hvp(f)(x, v)
    >>> print(missing("vjq"))
    module 'pullback' has no attribute 'vjq'
    """
    if name not in ADVICE:
        return AttributeError(f"module 'pullback' has no attribute {name!r}")
    return AttributeError(f"pullback.{name} does not exist yet. Instead: {ADVICE[name]}")
