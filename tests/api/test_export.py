"""Exported modules: they run without pullback, check their arguments, and agree with what pullback computes."""

import dataclasses
import json
import math
import os
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
from kernels import KERNELS
from scipy import special

import pullback as pb
from pullback.calls.tree import flatten
from pullback.codegen.emit.spelling import template
from pullback.command import cli
from pullback.export.helpers import helpers, imports_of
from pullback.ir.errors import TypeMismatch
from pullback.ir.primitive import REGISTRY

WEIGHTS = np.array([[1.0, np.inf], [-0.0, 2.5]])


def energy(x, k):
    s = 0.0
    for i in range(len(x) - 1):
        stretch = x[i + 1] - x[i]
        s += 0.5 * k * stretch**2
    return s


def net(params, x, y):
    h = np.tanh(x @ params["w"] + params["b"][0])
    return np.mean(special.expit(h) - y) + np.max(h)


def run(code, folder, **environment):
    """What a process prints that cannot import pullback."""
    script = "import sys; sys.modules['pullback'] = None; sys.path.insert(0, '.')\n" + code
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def plain(monkeypatch, tmp_path):
    """The functions of an exported module, uncompiled."""

    def load(function, *args, **options):
        pb.export(function, *args, path=tmp_path / "module.py", **options)
        with monkeypatch.context() as patched:
            patched.setattr("numba.njit", lambda **options: lambda function: function)
            return runpy.run_path(str(tmp_path / "module.py"))

    return load


@pytest.mark.process
def test_it_runs_compiled_where_there_is_no_pullback(tmp_path):
    kinds = ("value", "grad", "value_and_grad", "vjp")
    pb.export(energy, "f64[n]", "f64", path=tmp_path / "springs.py", what=kinds, also=[("f32[n]", "f32")])
    code = """
import json, springs, numpy as np
x = np.array([0.0, 1.0, 3.0, 6.0, 10.0])
single = springs.energy_grad(x.astype(np.float32), np.float32(2))
value, (bar, slope) = springs.energy_vjp(x, 2.0, 3.0)
print(json.dumps([springs.energy(x, 2.0), springs.energy_grad(x[::-1], 2).tolist(),
    springs.energy_value_and_grad(x, 2.0)[0], value, bar.tolist(), slope, str(single.dtype), single.tolist()]))
springs.self_check()
"""
    first, *checks = run(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "kept")).splitlines()
    x = np.array([0.0, 1.0, 3.0, 6.0, 10.0])
    y, (bar, slope) = pb.vjp(energy)(x, 2.0, seed=3.0)
    down = pb.grad(energy)(x[::-1], 2.0).tolist()
    assert json.loads(first) == [30.0, down, 30.0, y, bar.tolist(), slope, "float32", [-2, -2, -2, -2, 8]]
    assert [line.partition(":")[0] for line in checks] == 2 * ["energy_grad", "energy_value_and_grad", "energy_vjp"]
    assert list((tmp_path / "kept").rglob("*energy_grad_1*.nbc")), "numba keeps the compiled code"


def test_it_reads_well():
    text = pb.export(energy, "f64[n]", "f64")
    assert re.search(r"^def energy_grad\(x: np.ndarray, k: float\) -> np.ndarray:$", text, re.MULTILINE)
    assert "# s += 0.5 * k * stretch**2" in text and "Apache License" in text and "test_export.py, line" in text
    assert not re.search(r"^\s*(from|import) pullback", text, re.MULTILINE)
    assert "def self_check()" in text and max(map(len, text.splitlines())) <= 120


def test_arguments_are_checked(plain):
    module = plain(energy, "f64[n]", "f64")
    gradient, x = module["energy_grad"], np.arange(3.0)
    for bad, error, message in (
        (([0.0, 1.0], 2.0), TypeError, "x must be an array of float64 of rank 1, not list"),
        ((x.astype(np.float32), 2.0), TypeError, "float64 of rank 1, not float32 of rank 1"),
        ((x, "2"), TypeError, "k must be a number of type float, not str"),
        ((x[:1], 2.0), ValueError, r"2 or more elements on axis 0, not shape \(1,\)"),
    ):
        with pytest.raises(error, match=message):
            gradient(*bad)
    with pytest.raises(ValueError, match=r"the seed has shape \(2,\)"):
        plain(energy, "f64[n]", "f64", what="vjp")["energy_vjp"](x, 1.0, np.ones(2))


@pytest.mark.compiled
def test_sizes_that_must_agree(plain):
    module = plain(lambda x, y: np.sum((x[1:] - x[:-1]) * y), "f64[n]", "f64[m]")
    x, y = np.arange(5.0) ** 2, np.arange(4.0)
    assert np.array_equal(module["f_grad"](x, y), pb.grad(lambda x, y: np.sum((x[1:] - x[:-1]) * y))(x, y))
    with pytest.raises(ValueError, match="this code is for sizes with"):
        module["f_grad"](x, y[:3])
    module["self_check"]()


@pytest.mark.fuzz
@pytest.mark.parametrize("name", KERNELS)
def test_one_file_made_for_types_alone_is_right_for_every_size(name, plain):
    function, make, sizes, _ = KERNELS[name]
    arguments = make(np.random.default_rng(1), 5)
    with pb.options(jit=False), np.errstate(all="ignore"):
        module = plain(function, *(type_of(a, k) for k, a in enumerate(arguments)), what="vjp")
        for n in (sizes[0], sizes[-1]):
            args = make(np.random.default_rng(1), n)
            y, bars = module[f"{function.__name__}_vjp"](*args, seed=1.0)
            expected, pull = pb.vjp(function, *args)
            assert y == pytest.approx(expected, rel=1e-12)
            for ours, theirs in zip(bars, pull(1.0)):
                assert ours is theirs is None or np.allclose(ours, theirs, rtol=1e-10, equal_nan=True)


def type_of(value, k):
    if isinstance(value, np.ndarray):
        name = {"d": "f64", "l": "i64", "?": "bool"}[value.dtype.char]
        return f"{name}[{', '.join(f'd{k}_{axis}' for axis in range(value.ndim))}]"
    return {float: "f64", int: "i64"}.get(type(value), value)


def test_forms_are_chosen_by_type_and_size(plain):
    module = plain(lambda x: np.sum(x * x), "f64[n]", also=[("f64[1]",), ("f64[n, m]",)])
    for x in (np.arange(3.0), np.ones(1), np.arange(6.0).reshape(2, 3)):
        assert np.array_equal(module["f_grad"](x), 2 * x)
    with pytest.raises(ValueError, match="no form takes these arguments: .*2 or more.*size 1.*rank 2"):
        module["f_grad"](np.ones(0))


@pytest.mark.compiled
def test_containers_and_what_is_read_from_outside(plain):
    params = {"w": np.arange(3.0), "b": (0.5, 2.0)}
    x, y = np.arange(12.0).reshape(4, 3) / 10, np.linspace(0, 1, 4)
    module = plain(net, params, x, y, what=("value_and_grad", "vjp"))
    value, bars = module["net_value_and_grad"](params, x, y)
    expected, expected_bars = pb.value_and_grad(net)(params, x, y)
    assert value == pytest.approx(expected, rel=1e-14) and list(bars) == ["w", "b"] and bars["b"][1] == 0.0
    assert np.allclose(bars["w"], expected_bars["w"], rtol=1e-13)
    module["self_check"]()
    with pytest.raises(TypeError, match="params must be a dict of w, b"):
        module["net_value_and_grad"]((1.0, 2.0), x, y)
    weighted = plain(lambda x: np.sum(x * WEIGHTS[1]) + math.pi, "f64[2]")
    assert weighted["f_grad"](np.ones(2)).tolist() == [-0.0, 2.5] and weighted["WEIGHTS"].tolist() == WEIGHTS.tolist()


def test_aux_objects_and_flags(plain):
    def loss(x, squared):
        return (np.sum(x * x) if squared else np.sum(x)), {"n": len(x), "x": x}

    module = plain(pb.value_and_grad(loss, has_aux=True), "f64[n]", True)
    (value, aux), bar = module["loss_value_and_grad"](np.arange(3.0), True)
    assert value == 5.0 and aux["n"] == 3 and aux["x"].tolist() == [0, 1, 2] and bar.tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match="squared must be True"):
        module["loss_value_and_grad"](np.arange(3.0), False)


@pytest.mark.compiled
def test_variables_with_the_names_of_helpers(plain):
    def crowded(p, r, expit, radd):
        return special.expit(p) * np.sum(r) * expit * radd

    module = plain(crowded, "f64", "f64[n]", "f64", "f64", argnums=(0, 1, 2))
    args = (0.3, np.arange(3.0), 2.0, 5.0)
    ours, theirs = module["crowded_grad"](*args), pb.grad(crowded, argnums=(0, 1, 2))(*args)
    assert all(np.allclose(a, b, rtol=1e-14) for a, b in zip(ours, theirs))
    module["self_check"]()


def test_what_cannot_be_written_is_refused(tmp_path):
    @dataclasses.dataclass
    class Point:
        x: float

    with pytest.raises(TypeMismatch, match="p is a Point, which an exported file does not know"):
        pb.export(lambda p: p.x**2, Point(2.0))
    large = np.zeros(20_000)
    with pytest.raises(TypeMismatch, match="'large' is an array of 20000 elements"):
        pb.export(lambda x: np.sum(x * large), large)
    with pytest.raises(ValueError, match="what='gradient': there are value, grad"):
        pb.export(energy, "f64[n]", "f64", what="gradient")
    with pytest.raises(TypeMismatch, match="the same parameters"):
        pb.export(lambda *x: x[0] ** 2, "f64", also=[("f64", "f64")])


def test_every_helper_of_generated_code_can_be_written():
    names = {name for op in REGISTRY.values() for name in re.findall(r"support\.(\w+)", template(op) or "")}
    assert {"radd", "matmul", "expit", "polygamma"} <= names
    names |= {op.name for op in REGISTRY.values() if op.reads is not None}
    names -= {"external"}  # what lives in this process alone: refused
    for name in sorted(names | {"floor_divide"}):
        definitions, sources = helpers([f"def f(x):\n    return support.{name}(x)"])
        assert sources == [f"def f(x):\n    return {name}(x)"]
        text = "\n\n".join(definitions)
        scope = {"np": np}
        exec("\n".join([*imports_of(text), "import numba", text]), scope)
        assert callable(scope[name])


def test_the_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "model.py").write_text("import numpy as np\ndef loss(x, k):\n    return k * np.sum(np.sin(x))\n")
    monkeypatch.chdir(tmp_path)
    words = ["export", "model.py:loss", "--args", "f64[n, m], f64", "--size", "m=3", "--argnums", "0", "1"]
    assert cli.main([*words, "-o", "out.py"]) == 0
    assert "out.py: " in capsys.readouterr().out
    text = (tmp_path / "out.py").read_text()
    assert "x: float64[n, 3], k: float64" in text and "-> tuple[np.ndarray, float]:" in text
    assert cli.main([*words, "-o", "missing/out.py"]) == 2
    assert "cannot be written" in capsys.readouterr().err


# -- the further derivatives ----------------------------------------------------------------------------


def forced(p, x):
    return {"y": np.tanh(x @ p["w"]) * p["b"], "n": 3}


FAMILY = {
    "jvp": ((energy, "f64[n]", "f64"), {"what": "jvp"}, lambda x, k, d: pb.jvp(energy, (x, k), (d, None))),
    "jvp of both": (
        (energy, "f64[n]", "f64"), {"what": "jvp", "argnums": (0, 1)},
        lambda x, k, d: pb.jvp(energy, (x, k), (d, 1.0)),
    ),
    "jacobian": ((energy, "f64[n]", "f64"), {"what": "jacobian", "argnums": (0, 1)},
                 lambda x, k: pb.jacobian(energy, (0, 1))(x, k)),
    "hessian": ((energy, "f64[n]", "f64"), {"what": "hessian"}, lambda x, k: pb.hessian(energy)(x, k)),
    "hvp": ((energy, "f64[n]", "f64"), {"what": "hvp"}, lambda x, d, k: pb.hvp(energy)(x, d, k)),
    "hvp itself": ((pb.hvp(energy), "f64[n]", "f64[n]", "f64"), {}, lambda x, d, k: pb.hvp(energy)(x, d, k)),
    "vhp itself": ((pb.vhp(energy), "f64[n]", "f64[n]", "f64"), {}, lambda x, d, k: pb.vhp(energy)(x, d, k)),
    "jacrev itself": ((pb.jacrev(energy, 1), "f64[n]", "f64"), {}, lambda x, k: pb.jacrev(energy, 1)(x, k)),
    "hessian_diag itself": ((pb.hessian_diag(energy), "f64[n]", "f64"), {}, pb.hessian_diag(energy)),
    "vmap itself": ((pb.vmap(energy, (None, 0)), "f64[n]", "f64[m]"), {}, pb.vmap(energy, (None, 0))),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILY)
def test_the_family_of_derivatives(name, plain):
    given, options, expected = FAMILY[name]
    module = plain(*given, **options)
    kind = name.split()[0]
    x, d, ks = np.array([0.0, 1.0, 3.0, 6.0]), np.array([1.0, -1.0, 0.5, 2.0]), np.array([2.0, 3.0])
    k = ks if kind == "vmap" else 2.0
    both = "both" in name
    args = {"jvp": (x, k, (d, 1.0) if both else d), "hvp": (x, d, k), "vhp": (x, d, k)}.get(kind, (x, k))
    with pb.options(jit=False):
        wanted = expected(*(args if not both else (x, k, d)))
    found = module[f"energy_{kind}"](*args)
    for a, b in zip(flatten(found)[0], flatten(wanted)[0], strict=True):
        np.testing.assert_allclose(a, b, 1e-12)
    module["self_check"]()


def test_the_family_takes_containers_and_auxiliary_results(plain):
    p, x = {"w": np.ones((3, 2)), "b": 2.0}, np.arange(12.0).reshape(4, 3)
    aux = lambda p, x: (forced(p, x)["y"], x[0])
    module = plain(aux, {"w": "f64[3, 2]", "b": "f64"}, "f64[n, 3]", what=("jvp", "jacobian"), has_aux=True)
    jacobian, first = module["f_jacobian"](p, x)
    with pb.options(jit=False):
        wanted = pb.jacobian(aux, has_aux=True)(p, x)[0]
    np.testing.assert_allclose(jacobian["w"], wanted["w"])
    np.testing.assert_array_equal(first, x[0])
    module["self_check"]()
    with pytest.raises(ValueError, match="there are value, grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp"):
        pb.export(energy, "f64[n]", "f64", what="hess")


def test_a_wrong_derivative_does_not_pass_its_check(plain, tmp_path):
    text = pb.export(energy, "f64[n]", "f64", what=("jvp", "hessian"))
    for function in ("energy_jvp_1(*p)", "energy_hessian_1(*p)"):
        assert function in text
        (tmp_path / "wrong.py").write_text(text.replace(f"r = {function}", f"r = [2.0 * t for t in {function}]"))
        done = subprocess.run(
            [sys.executable, str(tmp_path / "wrong.py")], env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1 and "does not agree with finite differences" in done.stderr
