"""Losses that are sums over chunks on a cluster of two workers, one of which is killed."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

import pullback as pb
from pullback.adapters import dask as adapter

distributed = pytest.importorskip("distributed", reason="dask is not installed (the extra `dask`)")
dask = pytest.importorskip("dask")
dask_array = pytest.importorskip("dask.array")

pytestmark = pytest.mark.dask
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 3)), RNG.normal(size=48)
PARAMS = {"w": RNG.normal(size=3), "b": 0.3}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    os.environ["DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT"] = "10s"
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None,
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster,
        distributed.Client(cluster, timeout=30) as client,
    ):
        client.run(pb.options, jit=False)
        yield client


def make_loss(seconds=0.0):
    def loss(p, x, y):
        return np.sum((np.tanh(x @ p["w"]) + p["b"] - y) ** 2)

    def slow(k):
        time.sleep(seconds)
        return X[6 * k : 6 * k + 6], Y[6 * k : 6 * k + 6]

    return loss, slow


def same(found, loss):
    value, bars = pb.value_and_grad(loss)(PARAMS, X, Y)
    assert found[0] == pytest.approx(value)
    np.testing.assert_allclose(found[1]["w"], bars["w"])
    assert found[1]["b"] == pytest.approx(bars["b"])


def test_chunks_of_every_kind(client, capsys):
    loss, _ = make_loss()
    run = adapter.value_and_grad(loss, client, progress=True)
    rows = [(X[k : k + 12], Y[k : k + 12]) for k in range(0, 48, 12)]
    same(run(PARAMS, rows), loss)
    assert "4 of 4 chunks" in capsys.readouterr().err
    same(run(PARAMS, [tuple(client.scatter(list(row))) for row in rows]), loss)
    arrays = dask_array.from_array(X, chunks=(7, 2)), dask_array.from_array(Y, chunks=7)
    same(run(PARAMS, arrays), loss)


def test_a_worker_is_killed(client):
    loss, slow = make_loss(0.25)
    rows = []
    for k in range(8):
        both = dask.delayed(slow, pure=False)(k)
        rows.append((both[0], both[1]))
    victim = next(iter(client.run(os.getpid).values()))
    killer = threading.Timer(0.6, os.kill, (victim, signal.SIGKILL))
    killer.start()
    run = adapter.value_and_grad(loss, client)
    same(run(PARAMS, rows), loss)
    killer.join()
    assert victim not in client.run(os.getpid).values()
    same(run(PARAMS, rows), loss)  # the data that was lost was made again


def test_errors_are_the_users(client):
    def loss(p, x):
        if len(x) > 2:
            raise ValueError("only two")
        return np.sum(p * x)

    run = adapter.value_and_grad(loss, client)
    with pytest.raises(ValueError, match="only two"):
        run(1.0, [np.ones(2), np.ones(3)])
    with pytest.raises(TypeError, match="chunks is a list"):
        run(1.0, np.ones(3))
    with pytest.raises(TypeError, match="cut differently"):
        run(1.0, (dask_array.ones(4, chunks=2), dask_array.ones(4, chunks=4)))
