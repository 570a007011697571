"""Second derivatives of a function that returns one float: the Hessian, its diagonal, and products with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np  # noqa: F401  (for the examples)

from ..calls.pickling import reduced
from ..ir.adjoint.reverse_mode import adjoint
from ..ir.errors import TypeMismatch
from ..ir.tangent import tangent
from ..ir.walk import inline
from ..runtime import options
from .argnums import positions
from .base import P
from .composed import Composed, Part
from .gradient import Gradient, like
from .jacobian import Blocks, Diagonals, ForwardBlocks, Jacobian
from .jvp import directions, pushed
from .sparse import SparseHessian


def hessian(
    function: Callable[P, object], argnums: int | Sequence[int] | None = None, has_aux: bool = False,
    *, chunk_size: int | None = None, sparsity: object = None, format: str = "csr",
) -> Callable[P, Any]:
    """The Hessian of a function that returns one float: the gradient's program, differentiated forward.

    argnums, has_aux   as for `grad`; with several arguments, or containers, blocks as `jax.hessian` has them
    chunk_size         as for `jacfwd`
    sparsity, format   as for `jacobian`: an array of SciPy's, of which one half may be taken from the other;
                       `.pattern`, `.colouring` and `.plan` say how

    >>> hessian(lambda x: np.sum(x ** 3) + x[0] * x[1])(np.array([1.0, 2.0]))
    array([[ 6.,  1.],
           [ 1., 12.]])
    """
    if sparsity is not None:
        return SparseHessian(function, argnums, has_aux, sparsity, format)
    return Hessian(function, argnums, has_aux, chunk_size)


def hessian_diag(
    function: Callable[P, object], argnums: int | None = None, has_aux: bool = False, *, chunk_size: int | None = None
) -> Callable[P, Any]:
    """The diagonal of the Hessian by one argument, in its structure. The whole of the Hessian is never kept.

    has_aux      the function returns (value, aux); the result is (diagonal, aux)
    chunk_size   as for `jacfwd`

    >>> hessian_diag(lambda x: np.sum(x ** 3) + x[0] * x[1])(np.array([1.0, 2.0]))
    array([ 6., 12.])
    """
    return HessianDiagonal(function, argnums, has_aux, chunk_size)


def hvp(
    function: Callable[..., object], argnums: int | Sequence[int] | None = None, has_aux: bool = False
) -> Callable[..., Any]:
    """`product(x, v, *args)`: the Hessian of a scalar function by its first argument, times v.

    argnums   the argument to differentiate by, or several; the direction v has its structure (a tuple for several) and
              stands directly behind it in the call, behind the last of several
    has_aux   the function returns (value, aux); the result is (product, aux)

    The program of the gradient is differentiated forward: the product costs a few gradients, and the Hessian is never
    made. It has the structure of v.

    >>> hvp(lambda x, a: a * np.sum(x ** 3))(np.array([1.0, 2.0]), np.array([1.0, 0.5]), 2.0)
    array([12., 12.])
    """
    return HessianProduct(function, argnums, has_aux)


def vhp(
    function: Callable[..., object], argnums: int | Sequence[int] | None = None, has_aux: bool = False
) -> Callable[..., Any]:
    """`product(x, v, *args)`: v times the Hessian of a scalar function, as the gradient of its derivative along v.

    As `hvp`, with the two modes in the other order: what `hvp` pushes forward through the gradient, this pulls back
    through the tangent. A Hessian is symmetric, so that the two agree, except where there is none, as at a kink.

    >>> vhp(lambda x, a: a * np.sum(x ** 3))(np.array([1.0, 2.0]), np.array([1.0, 0.5]), 2.0)
    array([12., 12.])
    """
    return ProductHessian(function, argnums, has_aux)


class OneFloat(Gradient[..., Any]):
    """The gradient that a second derivative goes through, whose messages speak of that."""

    _otherwise = "use pb.jacobian(pb.jacobian(f)), which has the Hessian of each element"

    def __init__(self, function: Callable[..., Any], argnums: Any, has_aux: bool, kind: str):
        super().__init__(function, argnums, has_aux)
        self._kind = kind

    def check_one_float(self, part: Part) -> None:
        """Raise TypeMismatch if the function of the part returns anything else."""
        types = [None if k is None else part.program.results[k].type for k in part.captured.results]
        try:
            self._check_value(part.out, types)
        except TypeMismatch as error:
            raise part.error(error.bare_message) from None


class Hessian(Jacobian):
    """The Jacobian of the gradient, by forward mode."""

    _kind = "hessian"

    def __init__(
        self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False, chunk_size: Any = None
    ):
        super().__init__(function, argnums, has_aux, chunk_size)
        self._gradient = OneFloat(function, self._given, has_aux, self._kind)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return reduced(self, self._given, self._has_aux, self._chunk)

    def _behind_an_instance(self) -> None:
        super()._behind_an_instance()
        self._gradient = OneFloat(self.__wrapped__, 1, self._has_aux, self._kind)

    def _part(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Part:
        return Part(self._gradient.__pullback_call__, args, kwargs, self._has_aux)

    def _blocks(self, part: Part, chosen: Sequence[int]) -> Blocks:
        return ForwardBlocks(part, self._kind, chosen, self._chunk)


class HessianDiagonal(Hessian):
    _kind = "hessian_diag"

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        part = self._part(args, kwargs)
        (position,) = positions(self._argnums, len(part.tree.children[0].children), self._span)
        blocks = Diagonals(part, self._kind, [position], self._chunk)
        leaves = [blocks.block(k, leaf) for k, leaf in enumerate(part.argument(position))]
        diagonal = part.tree.children[0].children[position].unflatten(leaves)
        part.captured.store(blocks.values)
        return (diagonal, part.returned(blocks.values)[1]) if self._has_aux else diagonal


class HessianProduct(Composed):
    """hvp: the derivative of the gradient along a direction."""

    _kind = "hvp"

    def __init__(self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False):
        super().__init__(function, argnums, has_aux)
        self._gradient = OneFloat(function, self._given, has_aux, self._kind)

    def _behind_an_instance(self) -> None:
        super()._behind_an_instance()
        self._gradient = OneFloat(self.__wrapped__, 1, self._has_aux, self._kind)

    def _called_like(self) -> inspect.Signature | None:
        """The function's signature, with the direction in it."""
        numbers = (self._argnums,) if isinstance(self._argnums, int) else self._argnums
        given = list(self._signature.parameters.values()) if self._signature else []
        behind = max(numbers) + 1
        simple = all(p.kind is p.POSITIONAL_OR_KEYWORD for p in given[:behind])
        if min(numbers) < 0 or behind > len(given) or not simple:
            return None
        name = "v"
        while any(p.name == name for p in given):
            name += "_"
        before = [p.replace(default=p.empty) for p in given[:behind]]
        direction = inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return inspect.Signature([*before, direction, *given[behind:]])

    def plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        behind = max(self._chosen(args)) + 1
        return self._function(*args[:behind], *args[behind + 1 :], **kwargs)

    def _chosen(self, args: tuple[Any, ...]) -> tuple[int, ...]:
        numbers = (self._argnums,) if isinstance(self._argnums, int) else self._argnums
        if len(args) < max(numbers) + 2:
            raise TypeMismatch(
                f"{self._kind} takes the direction v behind what it differentiates by, as in {self._kind}(f)(x, v); it "
                f"got {len(args)} argument{'s' * (len(args) != 1)}", self._span,
            )  # fmt: skip
        return positions(self._argnums, len(args) - 1, self._span)

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        chosen = self._chosen(args)
        behind = max(chosen) + 1
        primals = args[:behind] + args[behind + 1 :]
        v = (args[behind],) if isinstance(self._argnums, int) else args[behind]
        given = dict(zip(chosen, v))
        return self._product(primals, kwargs, chosen, tuple(map(given.get, range(len(primals)))))

    def _product(self, primals: Any, kwargs: dict[str, Any], chosen: Sequence[int], v: tuple[Any, ...]) -> Any:
        part = Part(self._gradient.__pullback_call__, primals, kwargs, self._has_aux)
        _, product, *aux = pushed(part, directions(part, part.tree.children[0], v))
        return (product, *aux) if self._has_aux else product


class ProductHessian(HessianProduct):
    """vhp: the gradient of the derivative along a direction."""

    _kind = "vhp"

    def _product(self, primals: Any, kwargs: dict[str, Any], chosen: Sequence[int], v: tuple[Any, ...]) -> Any:
        part = Part(self._function, primals, kwargs, self._has_aux)
        self._gradient.check_one_float(part)
        dots = directions(part, part.tree.children[0], v)
        params = {leaf: part.captured.positions[leaf] for position in chosen for leaf in part.argument(position)}
        wrt = [param for param in params.values() if param is not None]
        if not wrt:
            raise part.error(f"{self._kind} differentiates by floats, and the argument has none")
        builder, values = part.session.builder, part.captured.values
        own = replace(part.program, results=part.program.results[:1])
        along = tangent(own, list(dots), value=False)
        pulled = adjoint(along, wrt, seeds=False, checkpoint=options.current().checkpoint)
        bars = inline(builder, pulled, [*values, *dots.values()])
        found = dict(zip(wrt, bars))
        products = []
        for position in chosen:
            leaves = []
            for leaf in part.argument(position):
                param = params[leaf]
                leaves.append(None if param is None else like(part.session, found[param], part.leaves[leaf]))
            products.append(part.tree.children[0].children[position].unflatten(leaves))
        product = products[0] if isinstance(self._argnums, int) else tuple(products)
        atoms = inline(builder, part.program, values)
        part.captured.store(atoms)
        return (product, part.returned(atoms)[1]) if self._has_aux else product
