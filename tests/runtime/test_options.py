"""pb.options: for the process, for a block, per thread, and what it refuses."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pullback.runtime import options as module
from pullback.runtime.options import Options, current, options


@pytest.fixture(autouse=True)
def restored():
    before = current()
    yield
    options(**{name: getattr(before, name) for name in Options.__dataclass_fields__})


def in_thread(function):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(function()))
    thread.start()
    thread.join()
    return seen[0]


def test_a_call_sets_for_every_thread():
    options(jit=False)
    assert not current().jit
    assert not in_thread(lambda: current().jit)


def test_a_block_sets_for_this_thread_and_is_undone():
    with options(jit=False):
        assert not current().jit
        assert in_thread(lambda: current().jit)
    assert current().jit


def test_blocks_nest_and_add_up():
    with options(jit=False):
        with options(bounds_check=False) as inner:
            assert not inner.jit and not inner.bounds_check
            with options(jit=True):
                assert current().jit and not current().bounds_check
        assert current().bounds_check


def test_a_block_is_undone_after_an_exception():
    with pytest.raises(KeyError), options(jit=False):
        raise KeyError
    assert current().jit


def test_a_block_sees_what_is_set_for_the_process_meanwhile():
    with options(jit=False):
        in_thread(lambda: options(bounds_check=False))
        assert not current().bounds_check and not current().jit
    assert not current().bounds_check and current().jit


def test_one_object_can_be_entered_again():
    off = options(jit=False)
    with off, off:
        assert not current().jit
    assert current().jit  # the first `with` took back what the call had set
    with off:
        assert not current().jit
    assert current().jit


def test_unknown_names_and_wrong_values():
    with pytest.raises(TypeError, match="no option 'jti', did you mean 'jit'\\? There are jit, cache"):
        options(jti=False)
    with pytest.raises(TypeError, match="jit must be True or False, not 1"):
        options(jit=1)
    with pytest.raises(TypeError, match="cache_dir must be a path or None, not 3"):
        options(cache_dir=3)
    assert current() == Options()


def test_cache_dir_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with options(cache_dir="here"):
        assert current().cache_dir == tmp_path / "here"
    with options(cache_dir="~/there"):
        assert current().cache_dir == Path("~/there").expanduser()


def test_repr_names_the_values():
    assert repr(options(jit=False)).startswith("options(jit=False, cache=True")


def test_a_block_is_never_seen_by_other_threads(monkeypatch):
    published = []
    monkeypatch.setattr(module, "_set_global", lambda values: published.append(values) or {})
    with options(jit=False), options(cache=False):
        assert not current().jit and not current().cache
    assert not published
    options(jit=True)
    assert published == [{"jit": True}]


def test_options_that_are_back_are_the_same_object():
    """Calls look at which object is in force: an equal one would send each of them the long way."""
    before = current()
    with options(cache=not before.cache):
        assert current() is not before
    assert current() is before
    try:
        options(cache=not before.cache)
    finally:
        options(cache=before.cache)
    assert current() is before


@pytest.mark.process
def test_options_begin_as_such_an_object():
    code = (
        "import pullback as pb\nfrom pullback.runtime.options import current\nbefore = current()\n"
        "pb.options(reassociate=False)\npb.options(reassociate=True)\nassert current() is before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
