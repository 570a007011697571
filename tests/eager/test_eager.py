"""pullback.eager: the autograd notebook in order, and torch's rules one by one."""

import contextlib
import gc
import io
import json
import weakref
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
import pullback.eager as torch
from pullback.eager import compiled
from pullback.ir.verify import verify

NOTEBOOK = Path(__file__).parents[2] / "examples" / "torch_autograd_notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]
FIRST = """tensor([[4., 2., 2., 2., 2.],
        [2., 4., 2., 2., 2.],
        [2., 2., 4., 2., 2.],
        [2., 2., 2., 4., 2.]])"""


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def layer():
    x, y = torch.ones(5), torch.zeros(3)
    W = torch.rand(5, 3, requires_grad=True)
    b = torch.rand(3, requires_grad=True)
    return x, y, W, b


def bce(x, y, W, b):
    z = torch.matmul(x, W) + b
    return torch.nn.functional.binary_cross_entropy_with_logits(z, y)


# -- the notebook --------------------------------------------------------------------------------------


@pytest.mark.compiled
def test_the_notebook_runs_in_order():
    """Errors come where it shows errors, and its numbers where they are not random."""
    scope: dict = {}
    printed = []
    for cell in CELLS:
        source = "".join(cell["source"])
        error = next((o["ename"] for o in cell["outputs"] if o["output_type"] == "error"), None)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            if error is None:
                exec(source, scope)
            else:
                with pytest.raises(RuntimeError, match="retain_graph=True"):
                    exec(source, scope)
        if out.getvalue():
            printed.append(out.getvalue())
    assert "".join(CELLS[1]["source"]) == "import pullback.eager as torch"
    assert printed[0] == "True\nFalse\n"
    second = FIRST.replace("4.", "8.").replace("2.", "4.")
    assert printed[1] == f"First call : {FIRST}\nSecond call : {second}\nCall after zeroing grad: {FIRST}\n"
    assert repr(scope["loss"].grad_fn).startswith("<BinaryCrossEntropyWithLogitsBackward at 0x")
    assert scope["W"].grad_fn is None and scope["b"].grad.shape == (3,)
    assert printed[1] == "".join(CELLS[-1]["outputs"][0]["text"])


def test_numbers_of_the_layer():
    x, y, W, b = layer()
    loss = bce(x, y, W, b)
    z = (x.numpy() @ W.detach().numpy() + b.detach().numpy()).astype(float)
    assert loss.item() == pytest.approx(np.mean(np.logaddexp(0, z)), rel=1e-6)
    loss.backward()
    expected = 1 / (1 + np.exp(-z)) / 3
    np.testing.assert_allclose(b.grad.numpy(), expected, 1e-6)
    np.testing.assert_allclose(W.grad.numpy(), np.tile(expected, (5, 1)), 1e-6)


# -- reprs, dtypes -------------------------------------------------------------------------------------


def test_reprs_are_pytorchs():
    assert repr(torch.tensor(3.0387)) == "tensor(3.0387)"
    assert repr(torch.tensor([0.31623, -0.3176])) == "tensor([ 0.3162, -0.3176])"
    assert repr(torch.tensor([1.0, 2.0], requires_grad=True)) == "tensor([1., 2.], requires_grad=True)"
    assert repr(torch.tensor([1, 20])) == "tensor([ 1, 20])"
    assert repr(torch.tensor([True, False])) == "tensor([ True, False])"
    assert repr(torch.tensor([1.0], dtype=torch.float64)) == "tensor([1.], dtype=torch.float64)"
    assert repr(torch.tensor([1e-8, 1.0])) == "tensor([1.0000e-08, 1.0000e+00])"
    assert repr(torch.tensor([])) == "tensor([])"
    assert repr(torch.tensor([1.5, float("nan"), float("inf")])) == "tensor([1.5000,    nan,    inf])"
    assert repr(torch.ones(2, requires_grad=True) + 1) == "tensor([2., 2.], grad_fn=<AddBackward>)"
    assert "..." in repr(torch.zeros(2000)) and repr(torch.ones(2).shape) == "torch.Size([2])"
    assert f"{torch.tensor(0.125):.2f}" == "0.12"


def test_dtypes_follow_torch():
    assert torch.tensor([1.0]).dtype is torch.float32 and torch.tensor(np.ones(2)).dtype is torch.float64
    assert torch.tensor([1]).dtype is torch.int64 and (torch.tensor([1]) / 2).dtype is torch.float32
    half = torch.ones(2)
    assert (half * 2.5).dtype is torch.float32 and (half + torch.tensor([1])).dtype is torch.float32
    assert (
        half + torch.tensor(1.0, dtype=torch.float64)
    ).dtype is torch.float32  # without axes it does not count
    assert (half + torch.ones(2, dtype=torch.float64)).dtype is torch.float64
    assert (torch.tensor([1]) + 1.5).dtype is torch.float32 and (half > 0).dtype is torch.bool
    with pytest.raises(RuntimeError, match="floating point dtype"):
        torch.tensor([1, 2], requires_grad=True)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.tensor([1.0]).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


# -- leaves, grad, grad_fn -----------------------------------------------------------------------------


def test_leaves_and_grad():
    w = torch.ones(3, requires_grad=True)
    y = w * 2
    assert w.is_leaf and not y.is_leaf and y.requires_grad and torch.ones(2).is_leaf
    with pytest.warns(UserWarning, match=r"retain_grad\(\)"):
        assert y.grad is None
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [4.0] * 3 and w.grad.tolist() == [8.0] * 3
    with pytest.raises(RuntimeError, match="leaf variables"):
        y.requires_grad = False
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        torch.ones(2).retain_grad()


def test_grad_fn_says_where_it_comes_from():
    x, y, W, b = layer()
    z = torch.matmul(x, W) + b
    fn = z.grad_fn
    assert fn.name() == "AddBackward" and W.grad_fn is None
    product, leaf = (f for f, _ in fn.next_functions)
    assert product.name() == "MmBackward" and leaf.name() == "AccumulateGrad" and leaf.variable is b
    assert product.next_functions[0] == (None, 0)
    assert "z = torch.matmul(x, W) + b" in fn.line and "@" in product.ir
    assert "+" in fn.ir and "def" in fn.adjoint_ir


@pytest.mark.compiled
def test_gradients_accumulate_and_can_be_zeroed():
    w = torch.ones(2, requires_grad=True)
    for _ in range(2):
        (w * 3).sum().backward()
    assert w.grad.tolist() == [6.0, 6.0]
    w.grad.zero_()
    assert w.grad.tolist() == [0.0, 0.0]
    optimizer = torch.optim.SGD([w], lr=0.5)
    (w * 3).sum().backward()
    optimizer.step()
    assert w.tolist() == [-0.5, -0.5]
    optimizer.zero_grad()
    assert w.grad is None


# -- backward ------------------------------------------------------------------------------------------


def test_backward_refuses_and_says_how():
    w = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"only for scalar outputs.*ones_like"):
        (w * 2).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (w * 2).backward(torch.ones(2))
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.ones(1).backward()
    (w * 2).backward(seed=torch.ones(3))
    assert w.grad.tolist() == [2.0] * 3


def test_a_freed_graph_names_retain_graph_and_the_line():
    w = torch.ones(3, requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(RuntimeError, match=r"(?s)retain_graph=True.*loss = \(w \* w\)"):
        loss.backward()
    assert w.grad.tolist() == [4.0] * 3


def test_saved_values_are_freed():
    w = torch.ones(100, requires_grad=True)
    inner = w * 2
    loss = (inner * inner).sum()
    alive = weakref.ref(inner._value)
    del inner
    gc.collect()
    assert alive() is not None
    loss.backward()
    assert alive() is None and "def graph" in str(loss.graph)


def test_a_graph_that_is_dropped_keeps_nothing():
    w = torch.ones(10, requires_grad=True)
    y = (w * 2).exp()
    node = weakref.ref(y._node)
    del y
    assert node() is None


def test_a_value_that_no_derivative_reads_is_not_kept():
    w = torch.ones(10, requires_grad=True)
    y = w * 2
    z = y + 1
    assert y._value is None and z.requires_grad


def test_autograd_grad():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = a * a * b
    (da,) = torch.autograd.grad(y.sum(), a, retain_graph=True)
    assert da.tolist() == [2.0, 2.0] and a.grad is None
    da, db = torch.autograd.grad(y, [a, b], grad_outputs=torch.tensor([1.0, 10.0]))
    assert (da.tolist(), db.tolist()) == ([2.0, 20.0], [1.0, 10.0])
    y = a * 2
    with pytest.raises(RuntimeError, match="allow_unused=True"):
        torch.autograd.grad(y.sum(), b, retain_graph=True)
    assert torch.autograd.grad(y.sum(), b, allow_unused=True) == (None,)
    inner = a * 3
    assert torch.autograd.grad((inner * inner).sum(), inner)[0].tolist() == [6.0, 6.0]


def test_switches():
    w = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert not (w * 2).requires_grad
        with torch.enable_grad():
            assert (w * 2).requires_grad
        assert not torch.is_grad_enabled()

    @torch.no_grad()
    def first(w):
        return w * 2

    @torch.no_grad
    def second(w):
        return w * 2

    assert not first(w).requires_grad and not second(w).requires_grad and (w * 2).requires_grad
    assert not w.detach().requires_grad and not w.data.requires_grad
    with torch.set_grad_enabled(False):
        assert not (w * 2).requires_grad
    assert torch.is_grad_enabled()


# -- numbers -------------------------------------------------------------------------------------------


def test_numpy_and_item():
    w = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"detach\(\).numpy\(\)"):
        w.numpy()
    with pytest.raises(RuntimeError, match=r"detach\(\).numpy\(\)"):
        np.asarray(w)
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        w.item()
    t = torch.zeros(2)
    n = t.numpy()
    t.add_(1)
    n[0] = 5
    assert n.tolist() == t.tolist() == [5.0, 1.0]
    assert torch.from_numpy(n).tolist() == [5.0, 1.0] and type(t.sum().item()) is float


def test_numpy_functions_of_tensors():
    t = torch.tensor([0.5, 1.0], requires_grad=True)
    y = np.sin(t)
    assert isinstance(y, torch.Tensor)
    np.sum(y * np.array([1.0, 2.0], np.float32)).backward()
    np.testing.assert_allclose(t.grad.numpy(), np.cos([0.5, 1.0]) * [1, 2], 1e-6)
    assert np.concatenate([t, t]).shape == (4,) and np.mean(t).item() == 0.75


def test_numpy_that_writes_the_memory_behind_our_back():
    """torch computes a wrong gradient here without a word."""
    n = np.ones(2, np.float32)
    x = torch.from_numpy(n)
    w = torch.ones(2, requires_grad=True)
    loss = (x * w).sum()
    n[:] = 100
    loss.backward()
    assert w.grad.tolist() == [1.0, 1.0]


# -- in place ------------------------------------------------------------------------------------------


def test_leaves_are_not_written_while_recording():
    w = torch.ones(2, requires_grad=True)
    for write in (
        lambda: w.add_(1),
        lambda: w.__setitem__(0, 1.0),
        lambda: w[0].add_(1),
        lambda: w.zero_(),
        lambda: w.__isub__(1),
    ):
        with pytest.raises(RuntimeError, match=r"leaf Variable that requires grad.*no_grad"):
            write()
    assert w.tolist() == [1.0, 1.0]
    with torch.no_grad():
        w -= 0.5
    assert w.is_leaf and w.requires_grad and w.tolist() == [0.5, 0.5]


@pytest.mark.compiled
def test_saved_values_that_were_overwritten_count_as_they_were():
    """torch refuses these; here the saved value is copied before the write."""
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    c = w * 1
    y = c * c
    c.add_(10)
    y.sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]
    w.grad = None
    y = (w * w).sum()
    with torch.no_grad():
        w.mul_(100)
    y.backward()
    assert w.grad.tolist() == [2.0, 4.0]
    x = torch.ones(2)
    y = (x.view(2, 1) * w).sum()  # the view is gone, its memory is not
    x += 5
    w.grad = None
    y.backward()
    assert w.grad.tolist() == [2.0, 2.0]


def test_views_share_memory():
    t = torch.zeros(2, 3)
    t[0][1] = 7
    t.view(-1)[5] = 8
    t.t()[0, 0] = 9
    assert t.tolist() == [[9.0, 7.0, 0.0], [0.0, 0.0, 8.0]]
    d = t.detach()
    d += 1
    assert t[0, 0].item() == 10
    with pytest.raises(RuntimeError, match=r"clone\(\)"):
        torch.ones(1).expand(3).add_(1)
    with pytest.raises(RuntimeError, match="reshape"):
        torch.ones(2, 3).t().view(-1)


def test_in_place_keeps_shape_and_dtype():
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        torch.ones(2).add_(torch.ones(3, 2))
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.tensor([1]).add_(0.5)


@pytest.mark.compiled
def test_data_can_be_replaced():
    w = torch.ones(2, requires_grad=True)
    w.data = w.data - 0.25
    (w * w).sum().backward()
    assert w.is_leaf and w.grad.tolist() == [1.5, 1.5]


# -- programs ------------------------------------------------------------------------------------------


def test_programs_can_be_read():
    x, y, W, b = layer()
    z = torch.matmul(x, W) + b
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
    text = str(loss.graph)
    assert text.startswith("def graph(x: f32[n], W: f32[n, ") and "x @ W" in text
    assert "# z = torch.matmul(x, W) + b" in text
    verify(loss.graph.program)
    assert "W_bar: f32[n, " in loss.adjoint_ir and " z_bar: f32[" in loss.adjoint_ir  # beside W and z
    assert "loss_bar: f32" in loss.adjoint_ir and loss.adjoint_ir.startswith("def backward(")
    scope: dict = {}
    exec(str(loss.source), scope)
    assert "# z = torch.matmul(x, W) + b" in loss.source
    picture = loss.graph.draw()
    assert loss.graph.dot() == picture.dot and picture.dot.startswith("digraph")
    assert "<svg" in loss.graph._repr_svg_() and ">W<" in picture.svg("plain").replace(": ", "<")
    assert "loss_bar" in loss.graph.draw(adjoint=True).dot
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        _ = W.graph


def test_a_structure_is_compiled_at_its_third_backward():
    x, y, W, b = layer()
    compiled._exact.clear()
    compiled._structures.clear()
    with pb.options(jit=False, cache=False):
        seen = []
        for step in range(5):
            bce(x, y, W, b * (1 + step)).backward()
            (prepared,) = compiled._exact.values()
            seen.append(prepared.function is not None)
        assert seen == [False, False, True, True, True]
        gradient = W.grad.numpy()
        # other sizes: the structure is the same, and so is the compiled form
        x2, y2 = torch.ones(7), torch.zeros(4)
        W2, b2 = torch.rand(7, 4, requires_grad=True), torch.rand(4, requires_grad=True)
        bce(x2, y2, W2, b2 * 2).backward()
    assert len(compiled._structures) == 1 and len(compiled._exact) == 2
    assert all(p.function is not None for p in compiled._exact.values())
    assert len({id(p.function) for p in compiled._exact.values()}) == 1
    assert np.isfinite(gradient).all() and W2.grad.shape == (7, 4)


@pytest.mark.compiled
def test_compiled_by_numba_is_the_same():
    x, y, W, b = layer()
    grads = []
    for _ in range(4):
        W.grad = None
        bce(x, y, W, b).backward()
        grads.append(W.grad.numpy().copy())
    for g in grads[1:]:
        np.testing.assert_allclose(g, grads[0], 1e-6)


@pytest.mark.compiled
def test_training_finds_the_line():
    x = torch.linspace(-1, 1, 20).unsqueeze(1)
    y = 3 * x - 0.5
    w, c = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([w, c], lr=0.3)
    for _ in range(100):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(x @ w + c, y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-6 and w.item() == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize(
    "name, advice",
    [
        ("torch.compile", "compiled by themselves"),
        ("torch.func.linearize", "plain NumPy function"),
        ("torch.autograd.Function", r"under torch.no_grad\(\)"),
        ("torch.autograd.functional.laplacian", "NumPy's functions"),
        ("torch.nn.Module", "write the layers as functions"),
        ("torch.nn.MSELoss", r"torch.nn.functional.mse_loss\(input, target\)"),
        ("torch.nn.functional.conv2d", "NumPy's functions"),
        ("torch.optim.Adam", "SGD"),
        ("torch.ones(2).register_hook", r"retain_grad\(\)"),
        ("torch.ones(2).cuda()", "CPU"),
    ],
)
def test_what_is_missing_says_what_to_do(name, advice):
    with pytest.raises(AttributeError, match=f"has no .*{advice}.*docs/eager.md"):
        eval(name)


def test_all_names_are_there():
    assert {"tensor", "ones", "no_grad", "matmul", "softmax"} <= set(torch.__all__)
    assert all(hasattr(torch, name) for name in torch.__all__)


def test_subscripts_of_one_pattern_share_compiled_code():
    """A negative integer is the place that it stands for; out of range is an IndexError at once."""
    compiled._exact.clear()
    compiled._structures.clear()
    with pb.options(jit=False, cache=False):
        for k in (0, 1, 2, 3, -1, -4, 2):
            v = torch.arange(4.0, requires_grad=True)
            (v[k] * v[k]).backward()
            expected = [0.0] * 4
            expected[k] = 2.0 * (k % 4)
            assert v.grad.tolist() == expected
    assert len(compiled._exact) == 1 and next(iter(compiled._exact.values())).function is not None
    with pytest.raises(IndexError, match="out of bounds for dimension 0 with size 4"):
        _ = v[4]
    a = torch.ones(2, 3, 4)
    assert a[..., -1].shape == (2, 3) and a[None, 1, ..., -2].shape == (1, 3)
    assert a[torch.tensor(1)].shape == (3, 4)
    with pytest.raises(IndexError):
        _ = a[0, 0, 0, 0]


def test_integers():
    assert (torch.tensor([7, -7]) // 2).tolist() == [3, -4] and (torch.tensor([7, -7]) % 3).tolist() == [1, 2]
    assert (torch.tensor(7) // torch.tensor(2)).item() == 3 and (7 // torch.tensor(2)).item() == 3
    assert (torch.tensor([2, 3]) ** 2).tolist() == [4, 9]
    for divisor in (0, torch.tensor(0), torch.tensor([0])):
        with pytest.raises(ZeroDivisionError):
            torch.tensor([1]) // divisor


@pytest.mark.parametrize(
    "text, expected",
    [
        ("t.abs() + t.relu() + t.clamp(0, 1)", [1.0, 3.0, -1.0]),
        ("t ** 0", [0.0, 0.0, 0.0]),
        ("(t * 0).norm()", [0.0, 0.0, 0.0]),
        ("(t * 0).std()", [0.0, 0.0, 0.0]),
        ("torch.maximum(t, t.detach())", [0.5, 0.5, 0.5]),
        ("t.prod()", [-1.0, 0.0, 0.0]),
        ("(t * 1000).log_softmax(0)[0]", [1000.0, -1000.0, 0.0]),
    ],
)
def test_kinks_are_pytorchs(text, expected):
    t = torch.tensor([0.0, 1.0, -1.0], requires_grad=True)
    out = eval(text, {"torch": torch, "t": t})
    out.backward(torch.ones_like(out))
    assert t.grad.tolist() == expected


@pytest.mark.parametrize("compile_at", [1, 3])
@pytest.mark.parametrize(
    "text",
    [
        "torch.where(t > 0, torch.log(t) * t.sqrt(), 0 * t.detach())",
        "(t.sqrt() * 2)[t > 0]",
        "t.sqrt().masked_fill(t <= 0, 0.0)",
        "t.sqrt().log().relu()",
    ],
)
def test_an_arm_that_is_not_taken_gives_no_nan(text, compile_at, monkeypatch):
    """Unlike torch: 0 * inf is 0 behind a `where`, also where several operations lie between."""
    monkeypatch.setattr(compiled, "COMPILE_AT", compile_at)
    compiled._exact.clear()
    compiled._structures.clear()
    t = torch.tensor([0.0, 4.0], requires_grad=True)
    with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
        eval(text, {"torch": torch, "t": t}).sum().backward()
    assert t.grad[0].item() == 0.0 and t.grad[1].item() > 0
    (structure,) = compiled._structures.values()
    assert structure.broken is None
    compiled._exact.clear()
    compiled._structures.clear()


def test_without_a_mask_infinities_are_ieees():
    t = torch.tensor([0.0, 4.0], requires_grad=True)
    (t.sqrt() * torch.tensor([0.0, 1.0])).sum().backward()
    assert np.isnan(t.grad[0].item())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", ["t * t", "t.log() * 0", "t.log() - t.log()", "(t * t).sum()", "t @ t", "1 / (t - t)"])
def test_infinite_numbers_warn_no_more_than_torchs(text):
    t = torch.tensor([1e30, 0.0], requires_grad=True)
    eval(text, {"t": t}).sum().backward()
    assert t.grad.shape == (2,)


def test_large_structures_stay_interpreted():
    w = torch.ones(2, requires_grad=True)
    compiled._exact.clear()
    compiled._structures.clear()
    for _ in range(4):
        w.grad = None
        c = w
        for _ in range(compiled.LARGEST + 1):
            c = c * 1.0
        c.sum().backward()
        assert w.grad.tolist() == [1.0, 1.0]
    assert [p.function for p in compiled._exact.values()] == [None]
