"""What shares memory in NumPy, of all functions that may give views: a write to one side shows on the other."""

import numpy as np
import pytest

import pullback as pb

M = np.arange(1.0, 13.0).reshape(3, 4)
S = np.arange(1.0, 10.0).reshape(3, 3)
V = np.arange(1.0, 7.0)

VIEWS = {
    "slice": lambda a: a[1:],
    "steps": lambda a: a[::-2],
    "row": lambda a: a[1],
    "column": lambda a: a[..., 1],
    "new axis": lambda a: a[None],
    "index array": lambda a: a[[0, 1]],
    "mask": lambda a: a[a > 3.0],
    "reshape": lambda a: a.reshape(-1),
    "np.reshape": lambda a: np.reshape(a, (-1, 1)),
    "reshape of a transpose": lambda a: a.T.reshape(-1),
    "ravel": lambda a: a.ravel(),
    "np.ravel": lambda a: np.ravel(a),
    "ravel of a transpose": lambda a: a.T.ravel(),
    "flatten": lambda a: a.flatten(),
    "T": lambda a: a.T,
    "transpose": lambda a: np.transpose(a),
    "swapaxes": lambda a: np.swapaxes(a, 0, -1),
    "moveaxis": lambda a: np.moveaxis(a, 0, -1),
    "rollaxis": lambda a: np.rollaxis(a, -1),
    "squeeze": lambda a: np.squeeze(a[None]),
    "expand_dims": lambda a: np.expand_dims(a, 0),
    "atleast_1d": lambda a: np.atleast_1d(a),
    "atleast_2d": lambda a: np.atleast_2d(a),
    "atleast_3d": lambda a: np.atleast_3d(a),
    "broadcast_to": lambda a: np.broadcast_to(a, (2, *a.shape)),
    "broadcast_arrays": lambda a: np.broadcast_arrays(a, np.ones(a.shape))[0],
    "split": lambda a: np.split(a, [1])[1],
    "array_split": lambda a: np.array_split(a, 2)[0],
    "hsplit": lambda a: np.hsplit(a, [1])[1],
    "vsplit": lambda a: np.vsplit(np.atleast_2d(a), [1])[0],
    "flip": lambda a: np.flip(a),
    "flipud": lambda a: np.flipud(a),
    "fliplr": lambda a: np.fliplr(np.atleast_2d(a)),
    "rot90": lambda a: np.rot90(np.atleast_2d(a)),
    "diagonal": lambda a: np.diagonal(np.atleast_2d(a)),
    "the method diagonal": lambda a: np.atleast_2d(a).diagonal(),
    "diag": lambda a: np.diag(np.atleast_2d(a)),
    "real": lambda a: np.real(a),
    "the attribute real": lambda a: a.real,
    "asarray": lambda a: np.asarray(a),
    "array": lambda a: np.array(a),
    "ascontiguousarray": lambda a: np.ascontiguousarray(a),
    "astype": lambda a: a.astype(float),
    "astype without a copy": lambda a: a.astype(float, copy=False),
    "view": lambda a: a.view(),
    "copy": lambda a: a.copy(),
    "positive": lambda a: +a,
    "nan_to_num": lambda a: np.nan_to_num(a),
    "where": lambda a: np.where(a > 0.0, a, 0.0),
    "clip": lambda a: np.clip(a, 0.0, 99.0),
    "round": lambda a: np.round(a),
    "concatenate of one": lambda a: np.concatenate([a]),
    "stack of one": lambda a: np.stack([a]),
    "tile once": lambda a: np.tile(a, 1),
    "repeat once": lambda a: np.repeat(a, 1, axis=0),
    "take": lambda a: np.take(a, [0, 1], axis=0),
    "roll": lambda a: np.roll(a, 1),
    "squeeze of a method": lambda a: a.squeeze(),
    "trim": lambda a: a[:, :2] if a.ndim == 2 else a[:2],
    "flat": lambda a: a.flat[:2],
    "list": lambda a: list(a)[0],
    "iteration": lambda a: next(iter(a)) if a.ndim == 2 else a[0:1],
    "unpacked": lambda a: (lambda first, *rest: first)(*a) if a.ndim == 2 else a[:1],
    "sliding_window_view": lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=0),
    "conditional": lambda a: a if a[..., 0].sum() > 0.0 else a[:],
}


def base_written(get):
    def f(x):
        a = x * 1.0
        v = get(a)
        a[0] = 50.0
        a[..., 1] *= 2.0
        return np.sum(v * v) + np.sum(a)

    return f


def view_written(get):
    def f(x):
        a = x * 1.0
        v = get(a)
        v[0] = 50.0
        v += 1.0
        return np.sum(a * a) + np.sum(v)

    return f


def both_written(get):
    def f(x):
        a = x * 1.0
        v = get(a)
        s = 0.0
        for i in range(2):
            a[i] = a[i] * 0.5 + i
            s += np.sum(v)
            v[-1] = s
        return s + np.sum(a)

    return f


def through_a_helper(get):
    def change(w):
        w[...] = w * 3.0

    def f(x):
        a = x * 1.0
        change(get(a))
        return np.sum(a)

    return f


WRITES = {f.__name__: f for f in (base_written, view_written, both_written, through_a_helper)}


@pytest.mark.fuzz
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", VIEWS)
def test_a_write_shows_where_memory_is_shared(name, write):
    f = WRITES[write](VIEWS[name])
    for x in (M, S, V):
        try:
            want = f(x)
        except (ValueError, TypeError, IndexError):  # read-only, or not for this rank
            continue
        with pb.options(jit=False, cache=False):
            try:
                found = pb.jit(f)(x)
            except pb.PullbackError:
                continue
        np.testing.assert_allclose(found, want, err_msg=f"{name} of shape {x.shape}")
