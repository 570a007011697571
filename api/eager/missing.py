"""What PyTorch has and these tensors have not: what to write instead."""

from __future__ import annotations

_MODULE = (
    "keep parameters as tensors, w = torch.randn(2, 3, requires_grad=True), write the layers as functions of them "
    "(x @ w + b), and list them for torch.optim.SGD([w, b], lr=...)"
)
_HOOK = (
    "gradients of results are kept by t.retain_grad(), and changed gradients are seeds of a second step: "
    "g, = torch.autograd.grad(loss, t), then t.backward(changed)"
)
_FUNCTION = (
    "every NumPy function works on tensors and has its derivative; for a rule of your own write the gradient by "
    "hand: compute under torch.no_grad(), then t.backward(own_cotangent)"
)
_HIGHER = "pullback has transforms of a plain NumPy function: pullback.jvp, pullback.linearize, pullback.vmap"
_CHECK = "pullback.testing.check_grad compares the gradient of a plain NumPy function with finite differences"
_DEVICE = "everything runs on the CPU: leave it out"
_SAVE = "np.savez keeps t.detach().numpy(), and tensors that are leaves can be pickled"
_COMPLEX = "tensors are float64, float32, int64 and bool"

ADVICE = {
    **dict.fromkeys(
        ["register_hook", "register_post_accumulate_grad_hook", "register_forward_hook", "_backward_hooks"], _HOOK
    ),
    **dict.fromkeys(["Function", "function", "custom_fwd", "custom_bwd"], _FUNCTION),
    **dict.fromkeys(
        ["Module", "Linear", "Sequential", "ModuleList", "ParameterList", "Conv2d", "Embedding", "Dropout", "ReLU",
         "Sigmoid", "Tanh", "Softmax", "BatchNorm1d", "LayerNorm", "init"], _MODULE,
    ),
    **dict.fromkeys(
        ["MSELoss", "CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss", "L1Loss"],
        "the same losses are functions: torch.nn.functional.mse_loss(input, target), cross_entropy, ...",
    ),
    **dict.fromkeys(["linearize", "functionalize", "stack_module_state", "functional_call"], _HIGHER),
    **dict.fromkeys(["gradcheck", "gradgradcheck"], _CHECK),
    **dict.fromkeys(["cuda", "mps", "backends"], _DEVICE),
    **dict.fromkeys(["save", "load"], _SAVE),
    **dict.fromkeys(["complex64", "complex128", "real", "imag", "conj", "view_as_real"], _COMPLEX),
    **dict.fromkeys(
        ["Adam", "AdamW", "RMSprop", "LBFGS", "Adagrad"],
        "there is torch.optim.SGD with momentum; others are updates of the tensors under torch.no_grad()",
    ),
    "compile": "repeated structures are compiled by themselves, at their third backward: leave it out",
    "jit": "repeated structures are compiled by themselves, at their third backward: leave it out",
    "Generator": "torch.manual_seed(0) seeds all random tensors",
    "utils": "a loop over slices, x[k : k + 64], makes the batches",
    "sparse": "tensors are dense",
    "device": "everything runs on the CPU: write the string 'cpu', or leave it out",
}  # fmt: skip


def missing(owner: str, name: str) -> AttributeError:
    """The error for a name that is not there.

    >>> print(missing("torch.nn", "Linear"))  # doctest: +ELLIPSIS
    pullback.eager has no torch.nn.Linear. Instead: keep parameters ... (docs/eager.md compares with PyTorch)
    """
    advice = ADVICE.get(name, "NumPy's functions work on tensors too (np.sin(t)), and are recorded")
    return AttributeError(
        f"pullback.eager has no {owner}.{name}. Instead: {advice} (docs/eager.md compares with PyTorch)",
    )
