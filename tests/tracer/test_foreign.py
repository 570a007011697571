"""What is no plain ndarray: taken with the same meaning, or refused by name with what to pass instead.

As an argument, in a closure, as a global and as an attribute; and what is taken is read anew at each call.
"""

import array
import collections
import decimal
import enum
import fractions
import types

import numpy as np
import pytest

import pullback as pb

V = np.array([1.0, 2.0, 4.0])
G = None


class Holder:
    a = None


class Plain(np.ndarray):
    pass


class Own(np.ndarray):
    def __mul__(self, other):
        return np.asarray(self) + other


class Celsius(float):
    def __add__(self, other):
        return Celsius(float(self) * 10 + other)


class Duck:
    def __init__(self, a):
        self.a = a

    def __array__(self, *_, **__):
        return self.a

    def __mul__(self, other):
        return 2.0 * self.a * other

    __rmul__ = __mul__


class Fancy:
    """Behaves like an array in ways of its own."""

    def __array_ufunc__(self, *_, **__):
        return 3.0

    def __mul__(self, other):
        return 3.0


class Level(enum.IntEnum):
    HIGH = 3


def other(package, make):
    return lambda: make(pytest.importorskip(package, reason=f"{package} is not installed"))


def memmap(tmp_path_factory=None):
    import tempfile  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as file:
        np.save(file.name, V)
    return np.load(file.name, mmap_mode="r")


TAKEN = {
    "memmap": memmap,
    "a subclass without operations": lambda: V.view(Plain),
    "of another byte order": lambda: V.astype(">f8"),
    "strided": lambda: np.repeat(V, 2)[::2],
    "read-only": lambda: np.broadcast_to(2.0, 3),
    "0-d": lambda: np.array(2.0),
    "np.float64": lambda: np.float64(2.0),
    "np.bool": lambda: np.bool_(True),
    "int8": lambda: V.astype(np.int8),
    "an enum of integers": lambda: Level.HIGH,
    "an object with operators": lambda: Duck(V),
}
REFUSED = {
    "np.matrix": (lambda: np.matrix([[1.0, 2.0], [3.0, 5.0]]), "np.matrix: .*np.asarray"),
    "masked": (lambda: np.ma.array(V, mask=[0, 0, 1]), "np.ma.MaskedArray: .*mask.*compressed"),
    "masked, nothing masked": (lambda: np.ma.array(V), "np.ma.MaskedArray"),
    "recarray": (lambda: np.rec.fromarrays([V, V], names="a,b"), "np.recarray: .*columns"),
    "structured": (lambda: np.zeros(3, [("a", float)]), "dtype"),
    "a subclass with operations": (lambda: V.view(Own), "an? Own: .*np.asarray"),
    "a subclass of float": (lambda: Celsius(2.0), "a Celsius: pass float"),
    "fraction": (lambda: fractions.Fraction(1, 3), "Fraction: pass float"),
    "decimal": (lambda: decimal.Decimal("0.5"), "Decimal: pass float"),
    "array.array": (lambda: array.array("d", V), "array: pass np.asarray"),
    "memoryview": (lambda: memoryview(V), "memoryview: pass np.asarray"),
    "UserList": (lambda: collections.UserList(V), "UserList: .*list"),
    "ChainMap": (lambda: collections.ChainMap({0: V}), "ChainMap: .*dict"),
    "mappingproxy": (lambda: types.MappingProxyType({0: V}), "mappingproxy: .*dict"),
    "with array behaviour": (Fancy, "a Fancy: .*np.asarray"),
    "float16": (lambda: V.astype(np.float16), "float16"),
    "longdouble": (lambda: V.astype(np.longdouble), "dtype"),
    "complex": (lambda: V + 0j, "complex"),
    "objects": (lambda: V.astype(object), "objects"),
    "strings": (lambda: np.array(["a", "b"]), "strings"),
    "dates": (lambda: np.array(["2020-01-01"], "M8[D]"), "dates"),
    "Series": (other("pandas", lambda pd: pd.Series(V, index=[2, 1, 0])), "pd.Series: .*to_numpy"),
    "DataFrame": (other("pandas", lambda pd: pd.DataFrame({"a": V})), "pd.DataFrame: .*to_numpy"),
    "Index": (other("pandas", lambda pd: pd.Index(V)), "pd.Index: .*to_numpy"),
    "DataArray": (other("xarray", lambda xr: xr.DataArray(V)), "xarray.DataArray: .*to_numpy"),
    "csr_array": (other("scipy.sparse", lambda sp: sp.csr_array(np.eye(3))), "csr_array: .*toarray"),
    "csc_matrix": (other("scipy.sparse", lambda sp: sp.csc_matrix(np.eye(3))), "csc_matrix: .*toarray"),
    "astropy": (other("astropy.units", lambda u: V * u.m), "Quantity: .*to_value"),
    "pint": (other("pint", lambda pint: pint.UnitRegistry().Quantity(V, "m")), "Quantity: .*magnitude"),
    "a torch tensor": (other("torch", lambda torch: torch.ones(3)), r"Tensor: .*detach\(\)"),
    "a JAX array": (other("jax.numpy", lambda jnp: jnp.ones(3)), "np.asarray"),
}
PEERS = {"Series", "DataFrame", "Index", "DataArray", "astropy", "pint", "a torch tensor", "a JAX array"}


def of_argument(a, x):
    return np.sum(a * x)


def of_global(x):
    return np.sum(G * x)


def of_attribute(x):
    return np.sum(Holder.a * x)


def of_closure(a):
    return lambda x: np.sum(a * x)


def places(value, monkeypatch):
    """Value and gradient by x = 2.0 of the product with the value, from each place."""
    monkeypatch.setitem(globals(), "G", value)
    monkeypatch.setattr(Holder, "a", value)
    yield lambda: pb.value_and_grad(of_argument, argnums=1)(value, 2.0)
    yield lambda: pb.value_and_grad(of_global)(2.0)
    yield lambda: pb.value_and_grad(of_attribute)(2.0)
    yield lambda: pb.value_and_grad(of_closure(value))(2.0)
    yield lambda: pb.value_and_grad(lambda x: np.sum({"k": [value]}["k"][0] * x))(2.0)


@pytest.fixture(autouse=True)
def _uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.parametrize("name", TAKEN)
def test_taken_with_the_same_meaning(name, monkeypatch):
    value = TAKEN[name]()
    for call in places(value, monkeypatch):
        found, slope = call()
        assert np.isclose(found, of_argument(value, 2.0)) and np.isclose(slope, of_argument(value, 1.0))


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.peer] * (n in PEERS)) for n in REFUSED])
def test_refused_by_name(name, monkeypatch):
    make, words = REFUSED[name]
    value = make()
    for call in places(value, monkeypatch):
        with pytest.raises(pb.PullbackError, match=words):
            call()


def test_refused_after_a_form_for_plain_arrays_was_made():
    f, g = pb.jit(of_argument), pb.grad(of_argument, argnums=1)
    for _ in range(4):
        assert f(V, 2.0) == 14.0 and g(V, 2.0) == 7.0
        for value in (np.ma.array(V, mask=[0, 0, 1]), np.matrix(V)):
            with pytest.raises(pb.PullbackError):
                f(value, 2.0)
            with pytest.raises(pb.PullbackError):
                g(value, 2.0)


def test_what_becomes_a_masked_array_between_calls(monkeypatch):
    g = pb.grad(of_global)
    monkeypatch.setitem(globals(), "G", V)
    assert g(2.0) == 7.0
    monkeypatch.setitem(globals(), "G", np.ma.array(V, mask=[0, 0, 1]))
    with pytest.raises(pb.PullbackError, match="MaskedArray"):
        g(2.0)


def test_made_in_the_function():
    with pytest.raises(pb.PullbackError, match="MaskedArray"):
        pb.grad(lambda x: np.sum(x * np.ma.array([1.0, 2.0], mask=[0, 1])))(2.0)
    with pytest.raises(pb.PullbackError, match="Fraction"):
        pb.grad(lambda x: x * fractions.Fraction(1, 3))(2.0)


class Rows(list):
    pass


class Params(dict):
    pass


CONTAINERS = {
    "list": lambda v: [v],
    "dict": lambda v: {0: v},
    "OrderedDict": lambda v: collections.OrderedDict({0: v}),
    "defaultdict": lambda v: collections.defaultdict(list, {0: v}),
    "deque": lambda v: collections.deque([v]),
    "a subclass of list": lambda v: Rows([v]),
    "a subclass of dict": lambda v: Params({0: v}),
}


def first_of_argument(a, x):
    return np.sum(a[0] * x)


def first_of_global(x):
    return np.sum(G[0] * x)


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("kind", ["number", "array"])
def test_containers_are_read_anew_at_each_call(name, kind, monkeypatch):
    value = 3.0 if kind == "number" else V.copy()
    held = CONTAINERS[name](value)
    g, h = pb.grad(first_of_argument, argnums=1), pb.grad(first_of_global)
    monkeypatch.setitem(globals(), "G", held)
    for step in range(4):
        assert np.isclose(g(held, 2.0), np.sum(held[0])) and np.isclose(h(2.0), np.sum(held[0]))
        if kind == "array":
            value += 1.0
        else:
            held[0] = 5.0 + step
        if step == 2:
            held = CONTAINERS[name](value)
            monkeypatch.setitem(globals(), "G", held)
