"""Small programs for PyTorch and pullback.eager alike, and what PyTorch computes.

`python tests/eager/eager_programs.py` writes PyTorch's values (made with 2.13.0) to tests/data/eager_torch.json, which
test_eager_torch.py compares with where PyTorch is not installed.
"""

import json
import math
import warnings
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "eager_torch.json"

EXPRESSIONS = """
a + b | a - b | a * b | a / p | a + 1 | 2 - a | 3 * a | 1 / p | a / 2 | -a | +a | a + v | v + a | a * v
a - s | s * a | p / v2 | a ** 2 | a ** 3 | p ** 0.5 | p ** -1.5 | p ** b | 2.0 ** a | a.pow(2)
torch.pow(p, 1.7) | torch.pow(p, s) | a.square() | p.sqrt() | p.rsqrt() | p.reciprocal() | a.abs() | a.exp()
p.log() | p.log2() | p.log10() | p.log1p() | a.exp2() | a.expm1() | a.sin() | a.cos() | torch.tan(a * 0.3)
(a * 0.4).asin() | (a * 0.4).acos() | a.atan() | a.sinh() | a.cosh() | a.tanh() | a.asinh()
(p + 1.5).acosh() | (a * 0.4).atanh() | torch.atan2(a, p) | torch.hypot(a, b) | torch.logaddexp(a, b)
a.sigmoid() | a.relu() | a.erf() | a.erfc() | a.sign() * a | a.floor() * a | a.ceil() * b | a.trunc() + a
a.frac() | a.round() * a | a.clamp(-0.5, 0.7) | a.clamp(min=0) | a.clamp(max=0.2) | torch.clamp(a, -0.3)
torch.maximum(a, b) | torch.minimum(a, b) | torch.where(a > 0, a, b * 2) | torch.where(a > b, a, 0.0)
a.lerp(b, 0.3) | a % 0.7 | torch.remainder(p, 0.4) | p.lgamma() | a.rad2deg() | a.masked_fill(a > 0.2, 1.5)
a.sum() | a.sum(0) | a.sum(dim=1) | a.sum(1, keepdim=True) | a.sum((0, 1)) | a.mean() | a.mean(0)
a.mean(dim=(0, 1)) | a.prod() | a.prod(1) | a.max() | a.min() | a.max(1).values | a.min(dim=0)[0]
a.amax(1) | a.amin((0, 1)) | a.max(1, keepdim=True)[0] | a.var() | a.var(0) | a.std() | a.std(1)
a.var(unbiased=False) | a.std(1, keepdim=True) | a.norm() | a.norm(dim=1) | a.norm(1) | a.norm(3)
a.logsumexp(1) | a.logsumexp(0, keepdim=True) | a.cumsum(0) | a.cumsum(1) | p.cumprod(1) | a.softmax(1)
a.softmax(0) | a.log_softmax(1) | torch.softmax(v, dim=0) | a @ m | m.t() @ a.t() | a @ v | v @ m | v @ v
torch.mm(a, m) | torch.mv(a, v) | torch.dot(v, v2) | torch.outer(v, v2) | torch.matmul(q, m)
torch.bmm(q, q.transpose(1, 2)) | torch.einsum('ij,jk->ik', a, m) | torch.einsum('ij,ij->i', a, b)
torch.addmm(w, a, m) | a.t() | a.T | a.transpose(0, 1) | q.permute(2, 0, 1) | a.view(4, 3) | a.reshape(2, 6)
a.t().reshape(-1) | a.flatten() | q.flatten(1) | a.unsqueeze(1) | a.unsqueeze(0).squeeze(0) | v.expand(3, 4)
v.expand(3, -1) * a | a.diagonal() | torch.diag(v) | a.diag() | a.tril() | a.triu(1) | a.flip(0)
a.flip((0, 1)) | a.roll(1, 0) | a.roll(2) | a.repeat(2, 1) | torch.tile(a, (2, 2))
a.repeat_interleave(2, 0) | torch.cat([a, b]) | torch.cat((a, b), dim=1) | torch.stack([a, b])
torch.stack((v, v2), 1) | torch.hstack([v, v2]) | torch.vstack([a, b]) | a[0] | a[1, 2] | a[-1] | a[:, 1]
a[1:] | a[:, ::2] | a[..., None] | a[None] | a[a > 0] | a[[0, 2]] | a[idx] | a[:, idx] | a[idx, idx]
a[1:, :-1] * a[:-1, 1:] | a.select(1, 2) | a.narrow(1, 1, 2) | a.index_select(0, idx) | a.gather(1, gi)
torch.split(a, 2, dim=1)[1] | a.chunk(2)[0] | a.unbind(0)[1] | a.topk(2)[0] | a.sort(1)[0] | a.diff()
a.trace() | F.mse_loss(a, b) | F.l1_loss(a, b) | F.smooth_l1_loss(a, b) | F.huber_loss(a, b, delta=0.5)
F.mse_loss(a, b, reduction='sum') | F.mse_loss(a, b, reduction='none') | F.cross_entropy(a, idx3)
F.cross_entropy(a, idx3, reduction='sum') | F.cross_entropy(a, idx3, weight=p[0].detach())
F.cross_entropy(a, idx3, label_smoothing=0.1) | F.cross_entropy(a, b.softmax(1))
F.nll_loss(a.log_softmax(1), idx3) | F.nll_loss(a, idx3, reduction='none')
F.binary_cross_entropy(a.sigmoid(), b.sigmoid()) | F.binary_cross_entropy_with_logits(a, b.sigmoid())
F.relu(a) | F.elu(a) | F.binary_cross_entropy_with_logits(a, b.sigmoid(), pos_weight=v.detach().exp())
F.leaky_relu(a) | F.leaky_relu(a, 0.2) | F.gelu(a) | F.silu(a) | F.gelu(a, approximate='tanh')
F.softplus(a) | F.logsigmoid(a) | F.linear(a, m.t()) | F.linear(a, m.t(), w[0]) | F.softmax(a, dim=1)
F.log_softmax(a, dim=0) | F.kl_div(a.log_softmax(1), b.softmax(1), reduction='batchmean')
F.cosine_similarity(a, b) | F.normalize(a, dim=1) | (a * a.detach()).sum() | a.clone() * 2 | a.double()
a.float().sum() | a.to(torch.float32) * 2 | (i3 * v[0]) | (a > 0) * a | a * i3[:, None] | a[0] * a[1] + a[2]
((a @ m).tanh() @ m.t()).sigmoid().mean() | (a - a.mean(0)) / a.std(0) | ((a @ m + w[0]).relu() ** 2).sum()
torch.exp(-(a[:, None] - b[None]) ** 2).sum() | a.sum() * a.mean() | (a.abs() + 1).log().sum()
"""

STATEMENTS = {
    "reuse": "c = a * 2\nout = (c * c + c).sum()",
    "in place on a result": "c = a * 2\nc += b\nc *= 3\nout = c.sin()",
    "in place of a saved value": "c = a * 2\nc.add_(b)\nout = c * c",
    "setitem": "c = a * 1\nc[0] = b[1] * 2\nout = c * c",
    "setitem number": "c = a * 1\nc[:, 1] = 0\nout = c * a",
    "setitem mask": "c = a * 1\nc[a < 0] = 0.5\nout = c * c",
    "setitem in zeros": "c = torch.zeros(3, 4, dtype=torch.float64)\nc[1] = v\nc[2, 0] = s\nout = c * a",
    "view of a result written": "c = a * 1\nd = c[0]\nd *= v\nout = c * c",
    "result of a view written": "c = a * 1\nd = c.view(-1)\nc += 1\nout = d * d",
    "element of a view": "c = a * 1\nc[1][2] = s\nout = c * c",
    "transposed view written": "c = a * 1\nc.t()[1] += 2\nout = c * c",
    "loop": "c = v\nfor k in range(5):\n    c = c + 0.1 * torch.sin(c) * k\nout = c",
    "loop of subscripts": "out = s * 0\nfor k in range(4):\n    out = out + v[k] * k",
    "accumulate": "out = a.sum()\nout = out + (a * b).sum()",
    "no_grad inside": "with torch.no_grad():\n    c = a * 3\nout = c * a",
    "detach inside": "out = (a.detach() * b).sum() + a.sum()",
    "two backwards": "c = a * b\nc.sum().backward(retain_graph=True)\nout = c * c",
    "branch": "out = a.sum() if a.sum() > 0 else -b.sum()",
    "power iteration": "c = v\nfor _ in range(3):\n    c = a.t() @ (a @ c)\n    c = c / c.norm()\nout = c",
    "data written": "c = a * b\nout = (c * 2).exp()",
    "zero_ of a result": "c = a * 1\nc.zero_()\nout = c * a + a",
    "clamp_": "c = a * 1\nc.clamp_(-0.2, 0.4)\nout = c * c",
    "fill_ of a part": "c = a * 1\nc[0].fill_(2.0)\nout = c * a",
    "copy_": "c = torch.ones(3, 4, dtype=torch.float64)\nc.copy_(a)\nout = c * c",
}


def programs() -> dict[str, str]:
    found = {e: f"out = {e}" for e in (e.strip() for e in EXPRESSIONS.replace("\n", "|").split("|")) if e}
    return found | STATEMENTS


def _data(k: int, count: int) -> list[float]:
    return [math.sin(1.3 * k + 0.9 * i) + 0.25 * math.cos(3.1 * i + k) for i in range(count)]


def run(torch, text: str) -> dict:
    """The result of a program and the gradients of its leaves, as lists."""

    def leaf(k, *shape, positive=False):
        values = _data(k, math.prod(shape))
        values = [abs(v) + 0.3 for v in values] if positive else values
        return torch.tensor(values, dtype=torch.float64).view(*shape).clone().requires_grad_(True)

    leaves = {
        "a": leaf(1, 3, 4), "b": leaf(2, 3, 4), "p": leaf(3, 3, 4, positive=True), "v": leaf(4, 4),
        "v2": leaf(5, 4, positive=True), "m": leaf(6, 4, 5), "q": leaf(7, 2, 3, 4), "w": leaf(8, 3, 5),
        "s": leaf(9, 1).sum().detach().requires_grad_(True),
    }  # fmt: skip
    scope = {
        **leaves, "torch": torch, "F": torch.nn.functional, "idx": torch.tensor([0, 2, 0]),
        "idx3": torch.tensor([1, 3, 0]), "i3": torch.tensor([1, 2, 3]), "gi": torch.tensor([[0, 1], [3, 3], [2, 0]]),
    }  # fmt: skip
    exec(text, scope)
    out = scope["out"]
    seed = torch.tensor(_data(11, out.numel()), dtype=out.dtype).reshape(tuple(out.shape))
    out.backward(seed)
    grads = {k: t.grad.tolist() for k, t in leaves.items() if t.grad is not None}
    return {"out": out.tolist(), "dtype": str(out.dtype), "grads": grads}


def main() -> None:
    import torch  # noqa: PLC0415

    warnings.simplefilter("ignore")
    values = {name: run(torch, text) for name, text in programs().items()}
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in values.items()]
    head = f'"made by": "python tests/eager/eager_programs.py, PyTorch {torch.__version__}"'
    DATA.write_text("{\n" + ",\n".join([head, *lines]) + "\n}\n")


if __name__ == "__main__":
    main()
