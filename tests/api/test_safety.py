"""What is typed, written and loaded: texts of types, exported files, the cache directory."""

import hashlib
import logging
import os
import pickle

import numpy as np
import pytest

import pullback as pb
from pullback.command.cli import main
from pullback.runtime import cache


def total(x, y):
    return np.sum(x) * np.sum(y)


@pytest.mark.parametrize(
    "text",
    ["f64[-1]", "f64[n+1]", "f64[for]", "f64[np]", "f64[n, m*2]", "f64[len]", "f64[1.5]", "f64[n;import os]", "f64[]",
     "f64[n,]", "f64[__import__('os')]", "f64[²]", "f64[n] ; x", "float", "f64[n", "f64[n]]"],
)  # fmt: skip
def test_texts_that_are_no_types(text):
    with pytest.raises(TypeError, match=r"is no size|expected arrays"):
        pb.grad(total).lower(text, "f64[n]")
    with pytest.raises((TypeError, pb.PullbackError)):
        pb.export(total, text, "f64")


def test_a_colon_is_any_size():
    with pb.options(jit=False, cache=False):
        lowered = pb.grad(total).lower("f64[:]", "f64[:, n]")
        assert "x: f64[m], y: f64[p, n]" in str(lowered.ir)
        assert pb.grad(total).lower(" f64 [ n , 3 ] ", "f64").ir is not None


def test_export_overwrites_only_what_it_wrote(tmp_path):
    path = tmp_path / "model.py"
    path.write_text("def f(x):\n    return x\n")
    with pytest.raises(FileExistsError, match=r"not written by pullback\.export"):
        pb.export(total, "f64[n]", "f64[m]", path=path)
    assert path.read_text() == "def f(x):\n    return x\n"
    other = tmp_path / "made.py"
    first = pb.export(total, "f64[n]", "f64[m]", path=other)
    second = pb.export(total, "f64[n]", "f64[n]", path=other)
    assert first != second and other.read_text() == second
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(FileExistsError):
        pb.export(total, "f64[n]", "f64[m]", path=tmp_path / "empty.py")


def test_the_command_does_not_overwrite_its_input(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = "import numpy as np\n\n\ndef loss(x):\n    return np.sum(x)\n"
    (tmp_path / "model.py").write_text(source)
    assert main(["export", "model.py:loss", "--args", "f64[n]", "-o", "model.py"]) != 0
    assert "does not overwrite" in capsys.readouterr().err and (tmp_path / "model.py").read_text() == source


class Planted:
    """A pickle that runs something when it is loaded."""

    def __reduce__(self):
        return os.mkdir, (os.environ["PLANTED"],)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes of files are POSIX's")
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o722])
def test_a_directory_that_others_can_write_is_not_trusted(tmp_path, monkeypatch, caplog, mode):
    marker = tmp_path / "it ran"
    monkeypatch.setenv("PLANTED", str(marker))
    folder = tmp_path / "shared"
    folder.mkdir()
    x = np.ones(3)
    with pb.options(jit=False, cache_dir=folder):
        pb.grad(total)(x, x)
    planted = [p for p in folder.iterdir() if p.suffix in (cache.TRACE, cache.MACHINE)]
    assert planted
    data = pickle.dumps(Planted())
    for path in planted:
        path.write_bytes(cache.MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
    folder.chmod(mode)
    content = {p.name: p.read_bytes() for p in folder.iterdir()}
    with caplog.at_level(logging.WARNING, "pullback"), pb.options(jit=False, cache_dir=folder):
        assert np.array_equal(pb.grad(total)(x, x), [3.0] * 3)
    assert not marker.exists()
    assert "others can write there" in caplog.text
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == content
    folder.chmod(0o700)
    with pb.options(jit=False, cache_dir=folder):
        assert pb.grad(total)(x, x)[0] == 3.0
    assert not marker.exists()  # it has no seal of this user's, and was overwritten
    assert all(p.read_bytes() != content[p.name] for p in planted if p.suffix == cache.TRACE)


def test_a_shared_key_opens_what_it_sealed(tmp_path, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE_KEY", "of the team")
    assert cache.write(tmp_path / "a.entry", b"data") and cache.read(tmp_path / "a.entry") == b"data"
    monkeypatch.setenv("PULLBACK_CACHE_KEY", "of others")
    assert cache.read(tmp_path / "a.entry") is None


def test_the_cache_command(tmp_path, capsys):
    with pb.options(jit=False, cache_dir=tmp_path):
        pb.grad(total)(np.ones(3), np.ones(2))
    (tmp_path / "mine.txt").write_text("kept")
    count = len(cache.ours(tmp_path))
    assert count and main(["cache", "--dir", str(tmp_path)]) == 0
    assert f"{tmp_path}: {count} files" in capsys.readouterr().out
    assert main(["cache", "--clear", "--dir", str(tmp_path)]) == 0
    assert f"{count} files deleted" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
