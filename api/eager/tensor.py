"""`Tensor`: numbers now, and the node that says where they came from. Operators and methods: methods.py."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from .engine import pull
from .graph import GradFn, Graph, graph_of
from .kinds import Kind, as_dtype, dtype, get_default_dtype, kind_of
from .show import show
from .tape import Node, Value

NOT_A_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf is None: backward fills it only for leaves that require "
    "grad. If you want it for this tensor too, call .retain_grad() on it before backward()."
)
NUMPY = "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
NO_GRAPH = (
    "element {} of tensors does not require grad and does not have a grad_fn: it was not computed from a tensor "
    "with requires_grad=True, or it was computed inside of no_grad()"
)


class Size(tuple):
    """The shape of a tensor."""

    def numel(self) -> int:
        return int(np.prod(self, dtype=np.int64))

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"


class Shared:
    """Tensors that show one memory: views, detached aliases, and NumPy's own if `exposed`."""

    __slots__ = ("tensors", "values", "exposed")

    def __init__(self) -> None:
        self.tensors: list[weakref.ref[Tensor]] = []
        self.values: list[weakref.ref[Value]] = []
        self.exposed = False

    def alive(self) -> list[Tensor]:
        return [t for t in (ref() for ref in self.tensors) if t is not None]


class Tensor:
    """An array whose computation is recorded, in the manner of torch.Tensor."""

    __slots__ = ("_array", "_kind", "_node", "_value", "_requires", "_grad", "_shared", "_base", "_chain", "__weakref__")
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
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous: use .any() or .all()")
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


# -- memory --------------------------------------------------------------------------------------------


def value_of(t: Tensor) -> Value:
    """The tensor's numbers as they are now, for a node to keep."""
    value = t._value
    if value is None:
        shared = t._shared
        exposed = shared is not None and shared.exposed
        value = t._value = Value(t._array.copy() if exposed else t._array)
        if exposed:
            t._value = None  # NumPy may change the memory unseen
        elif shared is not None:
            shared.values.append(weakref.ref(value))
    return value


def share(t: Tensor, other: Tensor) -> None:
    """The two show one memory from here on."""
    shared = t._shared
    if shared is None:
        shared = t._shared = Shared()
        shared.tensors.append(weakref.ref(t))
        if t._value is not None:
            shared.values.append(weakref.ref(t._value))
    if len(shared.tensors) > 64:
        shared.tensors = [r for r in shared.tensors if r() is not None]
        shared.values = [r for r in shared.values if r() is not None]
    shared.tensors.append(weakref.ref(other))
    other._shared = shared


def protect(t: Tensor) -> None:
    """Before the memory is written: what derivatives have kept of it becomes a copy."""
    if t._shared is None:
        if t._value is not None:
            kept = weakref.ref(t._value)
            t._value = None
            _own(kept())
        return
    for u in t._shared.alive():
        u._value = None
    for ref in t._shared.values:
        _own(ref())
    t._shared.values.clear()


def _own(value: Value | None) -> None:
    if value is not None:
        value.array = value.array.copy()


def expose(t: Tensor) -> None:
    if t._shared is None:
        t._shared = Shared()
        t._shared.tensors.append(weakref.ref(t))
        if t._value is not None:
            t._shared.values.append(weakref.ref(t._value))
    protect(t)
    t._shared.exposed = True


# -- backward ------------------------------------------------------------------------------------------


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
            array = seed._array if isinstance(seed, Tensor) else np.asarray(seed)
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


def _refuse_create_graph(create_graph: bool) -> None:
    if create_graph:
        raise NotImplementedError(
            "create_graph=True is not supported: gradients of gradients are computed by pullback.grad(pullback.grad(f)) "
            "of a plain NumPy function"
        )


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate the gradients of tensors in the leaves behind them (or in `inputs` only)."""
    _refuse_create_graph(create_graph)
    outputs = _listed(tensors)
    seeds = _listed(grad_tensors) if grad_tensors is not None else [None] * len(outputs)
    roots, arrays = _roots(outputs, seeds)
    only = None if inputs is None else {id(t._node) for t in _listed(inputs)}

    def select(layout: Any) -> list[Node]:
        if only is not None:
            return [n for n in (*layout.order, *layout.nodes) if n is not None and id(n) in only]
        return [*(n for n in layout.nodes if n is not None), *(n for n in layout.order if n.keep)]

    for node, array in pull(roots, arrays, select, bool(retain_graph)):
        t = node.tensor() if node.tensor is not None else None
        if t is None and only is not None:
            t = next(u for u in _listed(inputs) if u._node is node)
        if t is not None:
            accumulate(t, array)


def accumulate(t: Tensor, array: np.ndarray) -> None:
    before = t._grad
    if before is None:
        t._grad = Tensor(array)
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
    """The gradients of outputs by inputs, leaving every `.grad` as it is."""
    _refuse_create_graph(create_graph)
    tensors, wanted = _listed(outputs), _listed(inputs)
    seeds = _listed(grad_outputs) if grad_outputs is not None else [None] * len(tensors)
    for t in wanted:
        if not t._requires:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    roots, arrays = _roots(tensors, seeds)
    nodes = [t._node for t in wanted]
    found = dict(pull(roots, arrays, lambda _: list(dict.fromkeys(nodes)), bool(retain_graph)))
    if not allow_unused and any(n not in found for n in nodes):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if "
            "this is the desired behavior."
        )
    return tuple(Tensor(np.array(found[n])) if n in found else None for n in nodes)


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
