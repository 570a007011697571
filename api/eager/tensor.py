"""`Tensor`: numbers now, and the node that says where they came from. Operators and methods: methods.py."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import numpy as np

from .gradients import backward
from .graph import GradFn, Graph, graph_of
from .kinds import Kind, as_dtype, dtype, get_default_dtype, kind_of
from .memory import Shared, expose, protect, share
from .missing import missing
from .show import Size, show
from .tape import Node, Value

NOT_A_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf is None: backward fills it only for leaves that require "
    "grad. If you want it for this tensor too, call .retain_grad() on it before backward()."
)
NUMPY = "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."


class Tensor:
    """An array whose computation is recorded, in the manner of torch.Tensor."""

    __slots__ = (
        "_array",
        "_kind",
        "_node",
        "_value",
        "_requires",
        "_grad",
        "_shared",
        "_base",
        "_chain",
        "__weakref__",
    )
    __array_priority__ = 2000.0

    _node: Node | None
    _value: Value | None
    _grad: Tensor | None
    _shared: Shared | None
    _base: Tensor | None
    _chain: tuple[Any, ...]

    def __init__(self, array: np.ndarray, requires_grad: bool = False):
        self._array = array
        self._kind: Kind = kind_of(array)
        self._node = None
        self._value = None
        self._requires = False
        self._grad = None
        self._shared = None
        self._base = None
        self._chain = ()
        if requires_grad:
            self.requires_grad = True

    # -- what it is ----------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self._kind.shape)

    @property
    def dtype(self) -> dtype:
        return self._kind.dtype

    @property
    def ndim(self) -> int:
        return self._kind.ndim

    @property
    def device(self) -> str:
        return "cpu"

    def dim(self) -> int:
        return self._kind.ndim

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self._kind.shape[dim]

    def numel(self) -> int:
        return self._array.size

    def nelement(self) -> int:
        return self._array.size

    def __len__(self) -> int:
        if not self._kind.shape:
            raise TypeError("len() of a 0-d tensor")
        return self._kind.shape[0]

    def is_floating_point(self) -> bool:
        return self._kind.dtype.is_floating_point

    def is_contiguous(self) -> bool:
        return bool(self._array.flags.c_contiguous)

    def __repr__(self) -> str:
        suffixes = []
        if self.grad_fn is not None:
            suffixes.append(f"grad_fn=<{self.grad_fn.name()}>")
        elif self._requires:
            suffixes.append("requires_grad=True")
        return show(self._array, get_default_dtype().numpy, suffixes)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self._kind.shape else format(repr(self), spec)

    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # protocols that libraries ask for
            raise AttributeError(f"'Tensor' object has no attribute {name!r}")
        raise missing("Tensor", name)

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_leaf:
            raise TypeError("only leaves can be pickled or copied deeply: use t.detach() or t.clone()")
        return _rebuilt, (np.array(self._array), self._requires)

    # -- the graph -------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        return self._requires

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if not self.is_leaf:
            if requires_grad:
                return self
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if requires_grad and not self._kind.dtype.is_floating_point:
            raise RuntimeError(
                f"only Tensors of floating point dtype can require gradients, not {self._kind.dtype}: make it one with "
                "dtype=torch.float32, or with .float()"
            )
        self._requires = bool(requires_grad)
        self._node = None
        if requires_grad:
            self._node = Node(None, (), (), self._kind, None)
            self._node.tensor = weakref.ref(self)
        return self

    @property
    def is_leaf(self) -> bool:
        return self._node is None or self._node.plan is None

    @property
    def grad_fn(self) -> GradFn | None:
        return None if self.is_leaf else GradFn(self._node)  # type: ignore[arg-type]

    @property
    def grad(self) -> Tensor | None:
        if self._grad is None and not self.is_leaf and not self._node.keep:  # type: ignore[union-attr]
            warnings.warn(NOT_A_LEAF, UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError("assigned grad must be a Tensor or None")
            if value._kind is not self._kind:
                raise RuntimeError(
                    f"assigned grad has data of a different type or size: {value._kind}, the tensor is {self._kind}"
                )
        self._grad = value

    def retain_grad(self) -> None:
        """Have `.grad` filled by backward, though this is no leaf."""
        if not self._requires:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not self.is_leaf:
            self._node.keep = True  # type: ignore[union-attr]
            self._node.tensor = weakref.ref(self)  # type: ignore[union-attr]

    @property
    def retains_grad(self) -> bool:
        return not self.is_leaf and self._node.keep  # type: ignore[union-attr]

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
        *,
        seed: Any = None,
    ) -> None:
        """Add to `.grad` of the leaves behind this tensor. `gradient` (or `seed`): the cotangent of this tensor."""
        backward(self, gradient if seed is None else seed, retain_graph, create_graph, inputs=inputs)

    # -- programs ----------------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The recorded operations as a program of the leaves."""
        return graph_of(self)

    @property
    def adjoint_ir(self) -> Any:
        """The program that backward runs."""
        return graph_of(self).adjoint_ir

    @property
    def source(self) -> Any:
        """Its Python, which is compiled when this structure was met often enough."""
        return graph_of(self).source

    # -- numbers -----------------------------------------------------------------------------------------

    def item(self) -> Any:
        if self._array.size != 1:
            raise RuntimeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        return self._array.item()

    def tolist(self) -> Any:
        return self._array.tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The numbers, in the same memory."""
        if self._requires and not force:
            raise RuntimeError(NUMPY)
        expose(self)
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._requires:
            raise RuntimeError(NUMPY)
        return np.array(self._array, dtype)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._kind.dtype.category == 2:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                "Boolean value of Tensor with more than one value is ambiguous: use .any() or .all()"
            )
        return bool(self.item())

    def detach(self) -> Tensor:
        """The same memory, without history."""
        result = Tensor(self._array)
        share(self, result)
        return result

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        protect(self)
        self._array, self._kind, self._shared = value._array, value._kind, None
        if self._node is not None:
            self._node.kind = self._kind
        share(value, self)


def _rebuilt(array: np.ndarray, requires_grad: bool) -> Tensor:
    return Tensor(array, requires_grad)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A new leaf with a copy of the data. Python floats become the default dtype, float32."""
    if isinstance(data, Tensor):
        array = data._array
    elif isinstance(data, (list, tuple)) and any(isinstance(d, Tensor) for d in data):
        array = np.array([d._array if isinstance(d, Tensor) else d for d in data])
    else:
        array = np.asarray(data)
        if dtype is None and not isinstance(data, (np.ndarray, np.generic)) and array.dtype == np.float64:
            array = array.astype(get_default_dtype().numpy)
    wanted = as_dtype(array.dtype if dtype is None else dtype)
    return Tensor(np.array(array, wanted.numpy, order="C"), requires_grad)
