"""torch.nn.functional: activations and losses, each written out in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tracer.calls import SPECIAL
from .functions import FUNCTIONS
from .kernels import Function
from .missing import missing
from .record import apply
from .reductions import _logsumexp, _root, log_softmax, softmax
from .tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_similarity", "cross_entropy", "elu", "gelu",
    "huber_loss", "kl_div", "l1_loss", "leaky_relu", "linear", "log_softmax", "logsigmoid", "mse_loss", "nll_loss",
    "normalize", "one_hot", "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip

sigmoid: Callable[..., Tensor] = FUNCTIONS["sigmoid"]
tanh: Callable[..., Tensor] = FUNCTIONS["tanh"]
relu: Callable[..., Tensor] = FUNCTIONS["relu"]


def _activation(name: str, definition: Callable[..., Any], **defaults: Any) -> Callable[..., Tensor]:
    function = Function(name, definition, "float")

    def run(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        given = {**defaults, **dict(zip(defaults, args)), **kwargs}
        if set(given) != set(defaults):
            raise TypeError(
                f"{name}() takes {', '.join(defaults) or 'the input only'}, not {', '.join(kwargs)}"
            )
        return apply(function, input, static=tuple(given.values()))

    run.__name__ = name
    return run


leaky_relu = _activation("leaky_relu", lambda x, s: np.where(x > 0, x, s * x), negative_slope=0.01)
elu = _activation("elu", lambda x, a: np.where(x > 0, x, a * np.expm1(np.where(x > 0, 0.0, x))), alpha=1.0)
silu = _activation("silu", lambda x: x * SPECIAL["expit"](x))
logsigmoid = _activation("logsigmoid", lambda x: -np.logaddexp(0.0, -x))
softplus = _activation(
    "softplus",
    lambda x, b, t: np.where(b * x > t, x, np.log1p(np.exp(np.where(b * x > t, 0.0, b * x))) / b),
    beta=1.0, threshold=20.0,
)  # fmt: skip


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + SPECIAL["erf"](x / math.sqrt(2.0)))


gelu = _activation("gelu", _gelu, approximate="none")

_LINEAR = Function("linear", lambda x, w: np.matmul(x, np.transpose(w)))
_LINEAR_BIAS = Function("linear", lambda x, w, b: np.matmul(x, np.transpose(w)) + b, None, "AddmmBackward")


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return apply(_LINEAR, input, weight) if bias is None else apply(_LINEAR_BIAS, input, weight, bias)


# -- losses ------------------------------------------------------------------------------------------------


def _reduced(values: Any, reduction: str) -> Any:
    if reduction == "mean":
        return np.mean(values)
    return np.sum(values) if reduction == "sum" else values


def _check(reduction: str) -> str:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction: mean, sum or none")
    return reduction


def _loss(name: str, definition: Callable[..., Any], **defaults: Any) -> Callable[..., Tensor]:
    """A loss of two tensors of one shape; `definition` gives its elements."""

    def reduced(x: Any, y: Any, reduction: str, *options: Any) -> Any:
        return _reduced(definition(x, y, *options), reduction)

    title = "".join(p.capitalize() for p in name.split("_")) + "Backward"
    function = Function(name, reduced, "float", title)

    def run(input: Tensor, target: Tensor, *, reduction: str = "mean", **kwargs: Any) -> Tensor:
        given = {**defaults, **kwargs}
        if set(given) != set(defaults):
            names = ", ".join(("reduction", *defaults))
            raise TypeError(f"{name}() takes {names}, not {', '.join(set(kwargs) - set(defaults))}")
        if input.shape != target.shape and name.startswith("binary"):
            raise ValueError(
                f"Target size ({target.shape}) must be the same as input size ({input.shape}): reshape one of them"
            )
        return apply(function, input, target, static=(_check(reduction), *given.values()))

    run.__name__ = name
    return run


mse_loss = _loss("mse_loss", lambda x, y: (x - y) ** 2)
l1_loss = _loss("l1_loss", lambda x, y: np.abs(x - y))


def _smooth(x: Any, y: Any, beta: float) -> Any:
    d = np.abs(x - y)
    return d if not beta else np.where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta)


smooth_l1_loss = _loss("smooth_l1_loss", _smooth, beta=1.0)


def _huber(x: Any, y: Any, delta: float) -> Any:
    d = np.abs(x - y)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


huber_loss = _loss("huber_loss", _huber, delta=1.0)


def _bce(x: Any, y: Any) -> Any:
    return -(y * _bounded_log(x) + (1 - y) * _bounded_log(1 - x))


def _bounded_log(x: Any) -> Any:
    """The logarithm, at least -100 as in torch, and there constant."""
    return np.where(x > 0, np.maximum(np.log(np.where(x > 0, x, 1.0)), -100.0), -100.0)


binary_cross_entropy = _loss("binary_cross_entropy", _bce)
_BCE_LOGITS = Function(
    "binary_cross_entropy_with_logits",
    lambda z, y, reduction: _reduced(np.logaddexp(0.0, z) - z * y, reduction), "float",
)  # fmt: skip
_BCE_WEIGHTED = Function(
    "binary_cross_entropy_with_logits",
    lambda z, y, w, reduction: _reduced(w * (np.logaddexp(0.0, z) - z * y), reduction), "float",
)  # fmt: skip
_BCE_POSITIVE = Function(
    "binary_cross_entropy_with_logits",
    lambda z, y, p, reduction: _reduced(
        (1 - y) * z + (1 + (p - 1) * y) * np.logaddexp(0.0, -z), reduction
    ), "float",
)  # fmt: skip


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    if input._kind.shape != target._kind.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape}): reshape one of them"
        )
    static = (_check(reduction),)
    if pos_weight is not None and weight is not None:
        raise NotImplementedError(
            "weight together with pos_weight: multiply the elements (reduction='none') by weight"
        )
    if pos_weight is not None:
        return apply(_BCE_POSITIVE, input, target, pos_weight, static=static)
    if weight is not None:
        return apply(_BCE_WEIGHTED, input, target, weight, static=static)
    return apply(_BCE_LOGITS, input, target, static=static)


def _picked(x: Any, classes: Any) -> Any:
    """Of every row of classes the one in question: axis 1 (0 for one row) holds the classes."""
    axis = 1 if x.ndim > 1 else 0
    if x.ndim == 1:
        return np.take(x, classes)
    return np.squeeze(np.take_along_axis(x, np.expand_dims(classes, axis), axis), axis=axis)


def _nll(x: Any, y: Any, reduction: str) -> Any:
    return _reduced(-_picked(x, y), reduction)


def _nll_weighted(x: Any, y: Any, w: Any, reduction: str) -> Any:
    weights = np.take(w, y)
    losses = -_picked(x, y) * weights
    return np.sum(losses) / np.sum(weights) if reduction == "mean" else _reduced(losses, reduction)


def _log_probabilities(x: Any) -> Any:
    return x - _logsumexp(x, 1 if x.ndim > 1 else 0, True)


def _smoothed(x: Any, y: Any, reduction: str, smoothing: float) -> Any:
    logs = _log_probabilities(x)
    axis = 1 if x.ndim > 1 else 0
    return _reduced(-(1.0 - smoothing) * _picked(logs, y) - smoothing * np.mean(logs, axis=axis), reduction)


def _probabilities(x: Any, y: Any, reduction: str, smoothing: float) -> Any:
    axis = 1 if x.ndim > 1 else 0
    target = y * (1.0 - smoothing) + smoothing / x.shape[axis]
    losses = -np.sum(target * _log_probabilities(x), axis=axis)
    if reduction == "mean":
        return np.sum(losses) / (x.size // x.shape[axis])
    return _reduced(losses, reduction)


_NLL = Function("nll_loss", _nll)
_NLL_WEIGHTED = Function("nll_loss", _nll_weighted)
_CROSS = Function("cross_entropy", _smoothed, grad_name="NllLossBackward")
_CROSS_WEIGHTED = Function(
    "cross_entropy",
    lambda x, y, w, r: _nll_weighted(_log_probabilities(x), y, w, r),
    grad_name="NllLossBackward",
)
_CROSS_SOFT = Function("cross_entropy", _probabilities, "float", "DivBackward")


def _check_classes(input: Tensor, target: Tensor) -> None:
    if target.dtype.category != 1:
        raise RuntimeError(f"expected the classes as an int64 tensor, got {target.dtype}: use target.long()")
    count = input.shape[1 if input.ndim > 1 else 0]
    if target.numel() and not 0 <= int(target._array.min()) <= int(target._array.max()) < count:
        raise IndexError(f"Target out of bounds: classes must be from 0 to {count - 1}")


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    _check_classes(input, target)
    if weight is not None:
        return apply(_NLL_WEIGHTED, input, target, weight, static=(_check(reduction),))
    return apply(_NLL, input, target, static=(_check(reduction),))


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """Of logits and classes (int64), or probabilities of the shape of the logits."""
    static = (_check(reduction), float(label_smoothing))
    if target.dtype.category == 2:
        if weight is not None:
            raise NotImplementedError("cross_entropy(weight=...) with probabilities as target")
        return apply(_CROSS_SOFT, input, target, static=static)
    _check_classes(input, target)
    if weight is not None:
        if label_smoothing:
            raise NotImplementedError("cross_entropy with weight= and label_smoothing= together")
        return apply(_CROSS_WEIGHTED, input, target, weight, static=static[:1])
    return apply(_CROSS, input, target, static=static)


def _kl(x: Any, y: Any, log_target: bool) -> Any:
    return np.exp(y) * (y - x) if log_target else SPECIAL["xlogy"](y, y) - y * x


_KL = {k: Function("kl_div", lambda x, y, r, k=k: _reduced(_kl(x, y, k), r), "float") for k in (False, True)}


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    if reduction == "batchmean":
        return apply(_KL[log_target], input, target, static=("sum",)) / input.shape[0]
    return apply(_KL[log_target], input, target, static=(_check(reduction),))


def _cosine(a: Any, b: Any, dim: int, eps: float) -> Any:
    norms = [np.maximum(_root(np.sum(v * v, axis=dim)), eps) for v in (a, b)]
    return np.sum(a * b, axis=dim) / (norms[0] * norms[1])


_COSINE = Function("cosine_similarity", _cosine, "float")
_NORMALIZE = Function(
    "normalize", lambda x, d, eps: x / np.maximum(_root(np.sum(x * x, axis=d, keepdims=True)), eps), "float"
)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    return apply(_COSINE, x1, x2, static=(dim, eps))


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    if p != 2.0:
        raise NotImplementedError("normalize of another order than 2: divide by x.norm(p, dim, keepdim=True)")
    return apply(_NORMALIZE, input, static=(dim, eps))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    count = int(tensor._array.max()) + 1 if num_classes < 0 else num_classes
    return Tensor(np.eye(count, dtype=np.int64)[tensor._array])


def __getattr__(name: str) -> Any:
    raise missing("torch.nn.functional", name)
