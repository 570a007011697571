"""Sparse Jacobians and Hessians: equal to dense ones, with patterns that hold for other numbers, sizes and data."""

import pickle

import numpy as np
import pytest
import scipy.optimize._numdiff as numdiff
import scipy.sparse as sp

import pullback as pb
from pullback.runtime.sparse.colours import Matrix, apart, star, symmetric_places

rng = np.random.default_rng(3)
X = rng.uniform(0.5, 1.5, 9)


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False):
        yield


def rows_of(f, *args):
    """The Jacobian by the first argument, by reverse mode."""
    y, pull = pb.vjp(f, *args)
    return np.array([np.ravel(pull(seed.reshape(np.shape(y)))[0]) for seed in np.eye(np.size(y))])


def in_place(x):
    y = np.zeros_like(x)
    for i in range(len(x)):
        y[i] += x[i] ** 2
        if x[i] > 1.0 and i > 0:
            y[i - 1] -= x[i] * x[i - 1]
    return y


def newton(x):
    y = np.ones_like(x)
    while np.max(np.abs(y * y - x)) > 1e-12:
        y = y - (y * y - x) / (2.0 * y)
    return y


def stencil(x):
    u = x.reshape(3, 3)
    out = 4.0 * u
    out[1:] -= u[:-1] ** 2
    out[:-1] -= np.sin(u[1:])
    out[:, 1:] -= u[:, :-1]
    return out


PLACES = np.array([3, 0, 0, 7])
VECTORS = {
    "neighbours": lambda x: x[1:] * x[:-1] - np.sin(x[1:]),
    "in place": in_place,
    "newton": newton,
    "stencil": stencil,
    "scan": np.cumsum,
    "gather": lambda x: x[PLACES] ** 2,
    "mean": lambda x: x - x.mean(),
    "arrow": lambda x: np.concatenate([[x.sum()], x * x + x[0]]),
    "none": lambda x: np.floor(x),
    "itself": lambda x: x,
    "matrix": lambda x: np.outer(x[:3], x[3:5]),
    "masked sum": lambda x: np.array([x[x > 1.0].sum(), x[0]]),
    "sorted": lambda x: np.sort(x[:4]),
    "two loops": lambda x: np.array([sum(x[j] for j in range(i)) * x[i] for i in range(3)]),
}


@pytest.mark.parametrize("mode", [pb.jacobian, pb.jacfwd, pb.jacrev])
@pytest.mark.parametrize("name", VECTORS)
def test_sparse_is_dense(name, mode):
    f = VECTORS[name]
    J = mode(f, sparsity="detect")
    for k in range(3):  # the third call takes the short way
        x = X * (1.0 + 0.1 * k)
        found = J(x)
        assert isinstance(found, sp.csr_array) and found.has_canonical_format
        np.testing.assert_allclose(found.toarray(), rows_of(f, x), atol=1e-12)
    y, same = pb.value_and_jacobian(f, sparsity="detect")(X)
    np.testing.assert_allclose(y, f(X))
    np.testing.assert_allclose(same.toarray(), rows_of(f, X), atol=1e-12)


def chain(x):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


SCALARS = {
    "chain": chain,
    "vector chain": lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2),
    "separable": lambda x: np.sum(x**3),
    "arrow": lambda x: x[0] * np.sum(x[1:] ** 2),
    "dense": lambda x: np.log(np.sum(np.exp(x))),
    "linear": lambda x: np.sum(3.0 * x),
    "pairs": lambda x: x[0] * x[4] + x[2] ** 2,
    "branch": lambda x: np.sum(x[1:] * x[:-1]) if x[0] > 1.0 else np.sum(x**2),
}


@pytest.mark.parametrize("name", SCALARS)
def test_sparse_hessians_are_dense_ones(name):
    f = SCALARS[name]
    H = pb.hessian(f, sparsity="detect")
    for k in range(3):
        x = X * (1.0 + 0.3 * k)
        np.testing.assert_allclose(H(x).toarray(), rows_of(pb.grad(f), x), atol=1e-12)
    assert H.pattern.symmetrised() == H.pattern


def test_the_number_of_sweeps():
    for name, sweeps in {
        "neighbours": 2,
        "in place": 2,
        "newton": 1,
        "arrow": 3,
        "mean": 9,
        "gather": 1,
    }.items():
        J = pb.jacobian(VECTORS[name], sparsity="detect")
        J(np.ones(9))
        assert J.colouring.sweeps == sweeps, f"{name}: {J.plan}"
    for name, sweeps in {"chain": 3, "separable": 1, "arrow": 2, "linear": 1}.items():
        H = pb.hessian(SCALARS[name], sparsity="detect")
        H(X)
        assert H.colouring.sweeps == sweeps, f"{name}: {H.plan}"


def test_containers_and_several_arguments():
    def f(p, w):
        return {"a": p["u"] * p["v"][0] * w, "b": (p["v"] ** 2).sum()}

    p = {"u": np.arange(4.0), "v": np.arange(3.0), "n": 2}
    dense = pb.jacobian(f, argnums=(0, 1))(p, 2.0)
    found = pb.jacobian(f, argnums=(0, 1), sparsity="detect")(p, 2.0)
    for key in "ab":
        for q in "uv":
            block = found[key][0][q]
            assert block.shape == (np.size(f(p, 2.0)[key]), p[q].size)
            np.testing.assert_allclose(block.toarray().ravel(), np.ravel(dense[key][0][q]))
        assert found[key][0]["n"] is None
        np.testing.assert_allclose(found[key][1].toarray().ravel(), np.ravel(dense[key][1]))
    by_rows = pb.jacrev(f, argnums=(0, 1), sparsity="detect")(p, 2.0)
    np.testing.assert_allclose(by_rows["a"][0]["v"].toarray(), found["a"][0]["v"].toarray())
    h = lambda q: np.sum(q["u"] ** 2) * q["v"][0]  # noqa: E731
    blocks, whole = pb.hessian(h, sparsity="detect")(p), pb.hessian(h)(p)
    for a in "uv":
        for b in "uv":
            np.testing.assert_allclose(blocks[a][b].toarray(), whole[a][b])


def test_aux_and_formats_and_single_precision():
    f = lambda x: (x[1:] * x[:-1], {"s": x.sum(), "k": 3})  # noqa: E731
    found, aux = pb.jacobian(f, has_aux=True, sparsity="detect", format="csc")(X.astype(np.float32))
    assert isinstance(found, sp.csc_array) and found.dtype == np.float32 and aux["k"] == 3
    (y, aux), found = pb.value_and_jacobian(f, has_aux=True, sparsity="detect")(X)
    np.testing.assert_allclose(found.toarray(), rows_of(lambda x: f(x)[0], X))
    assert abs(aux["s"] - X.sum()) < 1e-12 and y.shape == (8,)
    g = lambda x: (chain(x), x[0])  # noqa: E731
    found, aux = pb.hessian(g, has_aux=True, sparsity="detect")(X)
    assert aux == X[0] and found.shape == (9, 9)


def test_sizes_integers_and_data_are_looked_at_anew():
    J = pb.jacobian(lambda x, k: x[k] * x, sparsity="detect")
    for size, k in ((5, 0), (5, 3), (5, 0), (3, 1), (2, 1), (1, 0), (5, 4)):
        x = np.arange(1.0, size + 1)
        for _ in range(3):
            np.testing.assert_allclose(J(x, k).toarray(), rows_of(lambda x, k: x[k] * x, x, k))
    holder = {"places": np.array([0, 1, 2]), "flip": False}
    weights = np.ones(3)

    def f(x):
        y = x[holder["places"]] * weights
        return y[::-1] if holder["flip"] else y

    J = pb.jacobian(f, sparsity="detect")

    def check():
        for _ in range(3):
            np.testing.assert_allclose(J(X).toarray(), rows_of(f, X))

    check()
    holder["places"] = np.array([4, 4, 8])
    check()
    holder["places"][0] = 2  # in place
    check()
    holder["flip"] = True
    check()
    weights[1] = 5.0
    check()


def test_results_are_the_callers_own():
    J = pb.jacobian(VECTORS["neighbours"], sparsity="detect")
    for _ in range(3):
        first = J(X)
        first.data[:] = 0.0
        first.eliminate_zeros()
        assert first.nnz == 0
        np.testing.assert_allclose(J(X).toarray(), rows_of(VECTORS["neighbours"], X))


@pytest.mark.parametrize("size", [0, 1, 2])
def test_small_sizes(size):
    x = np.linspace(1.0, 2.0, size)
    found = pb.jacobian(lambda x: x * x, sparsity="detect")(x)
    np.testing.assert_allclose(found.toarray(), np.diag(2.0 * x))
    assert pb.hessian(lambda x: np.sum(x**3), sparsity="detect")(x).shape == (size, size)


def test_given_patterns():
    f = VECTORS["neighbours"]
    J = pb.jacobian(f, sparsity="detect")
    J(X)
    for given in (J.pattern, J.pattern.to_scipy(), J.pattern.toarray(), sp.coo_matrix(J.pattern.toarray())):
        np.testing.assert_allclose(pb.jacobian(f, sparsity=given)(X).toarray(), rows_of(f, X))
    with pytest.raises(pb.PullbackError, match="misses entries"):
        pb.jacobian(f, sparsity=np.eye(8, 9))(X)
    with pytest.raises(ValueError, match="8 x 9"):
        pb.jacobian(f, sparsity=np.eye(3))(X)
    with pytest.raises(TypeError, match="sparsity must be"):
        pb.jacobian(f, sparsity="guess")
    with pytest.raises(ValueError, match="format"):
        pb.jacobian(f, sparsity="detect", format="csx")


def test_a_method_and_a_copy_in_another_process():
    class Model:
        scale = 2.0

        def values(self, x):
            return self.scale * x[1:] * x[:-1]

        jacobian = pb.jacobian(values, sparsity="detect")

    found = Model().jacobian(X)
    np.testing.assert_allclose(found.toarray(), rows_of(Model().values, X))
    copy = pickle.loads(pickle.dumps(pb.jacobian(in_place, sparsity="detect")))
    np.testing.assert_allclose(copy(X).toarray(), rows_of(in_place, X))


def test_a_pattern_prints_and_is_kept(tmp_path):
    pattern = pb.sparse.Pattern.of(np.eye(4) + np.eye(4, k=1))
    assert "2 directions forward instead of 4" in str(pattern) and "·" in str(pattern)
    assert pattern.svg().count("<rect") == 8 and (0, 1) in pattern and (1, 0) not in pattern
    pattern.save(tmp_path / "pattern.npz")
    assert pb.sparse.Pattern.load(tmp_path / "pattern.npz") == pattern
    large = pb.sparse.Pattern.of(sp.eye_array(1000))
    assert len(str(large).splitlines()) == 23 and "1 000 x 1 000" in str(large)
    assert pattern.T.toarray().T.tolist() == pattern.toarray().tolist()


def test_where_there_can_be_none():
    J = pb.jacobian(lambda x: x * x, sparsity="detect")
    with pytest.raises(TypeError, match="leave sparsity away"):
        pb.grad(lambda x: J(x).sum())(X)
    with pytest.raises(pb.PullbackError, match="fixed size"):
        pb.jacobian(lambda x: x[x > 1.0], sparsity="detect")(X)
    with pytest.raises(ZeroDivisionError):
        pb.jacobian(lambda x, k: x * (1 // k), sparsity="detect")(X, 0)


@pytest.mark.parametrize("mode", [pb.jacobian, pb.jacrev])
def test_the_first_nan_is_found(mode):
    with pb.options(check_nan=True):
        J = mode(lambda x: np.sqrt(x) * x[::-1], sparsity="detect")
        assert np.all(np.isfinite(J(X).data))
        with pytest.raises(pb.PullbackError, match="sqrt"):
            J(np.where(X > 1.0, X, -1.0))


def test_a_rule_of_ones_own_keeps_the_pattern():
    @pb.custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, y_bar: (2.0 * x * y_bar,))
    J = pb.jacobian(lambda x: square(x)[1:] + x[:-1], sparsity="detect")
    np.testing.assert_allclose(J(X).toarray(), np.eye(8, 9, 1) * 2.0 * X + np.eye(8, 9))
    assert J.colouring.sweeps == 2


# -- colourings ----------------------------------------------------------------------------------------


def random_matrix(shape, density):
    return sp.random_array(shape, density=density, rng=rng, format="csr") != 0


@pytest.mark.parametrize("k", range(30))
def test_columns_of_one_colour_share_no_row(k):
    a = random_matrix(rng.integers(1, 12, 2), rng.uniform(0.05, 0.6)).astype(float).tocsr()
    matrix = Matrix.of(a.indptr, a.indices, a.shape[1])
    colours, count = apart(matrix)
    dense = a.toarray() != 0
    for c in range(count):
        assert dense[:, colours == c].sum(1).max(initial=0) <= 1
    assert set(colours) == set(range(count)) and count <= numdiff.group_columns(a).max() + 1 + 1


@pytest.mark.parametrize("k", range(30))
def test_entries_are_found_in_the_products(k):
    n = int(rng.integers(1, 10))
    dense = np.triu(rng.random((n, n)) < rng.uniform(0.1, 0.5))
    dense = dense | dense.T
    a = sp.csr_array(dense)
    colours, count = star(a.indptr, a.indices)
    places = symmetric_places(a.indptr, a.indices, colours, count)
    values = rng.normal(size=(n, n)) * dense
    values = values + values.T
    seeds = np.zeros((n, max(1, count)))
    seeds[np.arange(n), colours] = 1.0
    assert places.min(initial=0) >= 0
    rows, columns = a.nonzero()
    np.testing.assert_allclose((values @ seeds).reshape(-1)[places], values[rows, columns])


@pytest.mark.parametrize("k", range(30))
def test_every_colouring_gives_the_matrix_back(k):
    shape = tuple(map(int, rng.integers(1, 40, 2)))
    dense = rng.random(shape) < rng.choice([0.03, 0.3])
    dense[rng.integers(0, shape[0], 2)] |= rng.random() < 0.5
    dense[:, rng.integers(0, shape[1], 1)] |= rng.random() < 0.5
    pattern = pb.sparse.Pattern.of(dense)
    values = rng.normal(size=shape) * dense
    for mode in (None, "forward", "reverse"):
        found = pattern.colouring if mode is None else pb.sparse.colouring(pattern, mode)
        ahead, back = found.seeds()
        products = np.concatenate([(values @ ahead).ravel(), (back @ values).ravel()])
        np.testing.assert_allclose(products[found.places()], values[pattern.rows, pattern.indices])
        assert found.forward + 2 * found.reverse <= 2 * max(1, *shape)
