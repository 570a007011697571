"""Every construct of the table: value and gradient against plain Python and its differences; one in ten compiled."""

from __future__ import annotations

import dataclasses
import functools
import operator
import sys

import construct
import construct_classes  # noqa: F401
import construct_functions  # noqa: F401
import numpy as np
import pytest

import pullback as pb

HERE = sys.modules[__name__]
G = 1.0
NAMES = [f"{k}-{c.name}" for k, c in enumerate(construct.TABLE)]


def check(case):
    value, gradient = construct.run(case, pb.value_and_grad)
    np.testing.assert_allclose(value, case.function(*case.args), rtol=1e-12)
    for ours, theirs in zip(gradient, construct.differences(case), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)


@pytest.mark.fuzz
@pytest.mark.parametrize("case", construct.TABLE, ids=NAMES)
def test_construct(case):
    with pb.options(jit=False, cache=False):
        check(case)


@pytest.mark.compiled
@pytest.mark.parametrize("case", construct.TABLE[::10], ids=NAMES[::10])
def test_compiled(case):
    check(case)


class Reads:
    """Each of its methods reads a global."""

    def __init__(self, x):
        self.x = x * G

    def __add__(self, other):
        return G * self.x + other

    def __radd__(self, other):
        return other - G * self.x

    def __mul__(self, other):
        return G * self.x * other

    def __neg__(self):
        return G + self.x

    def __abs__(self):
        return G * self.x

    def __eq__(self, other):
        return self.x > G - 1.5

    def __lt__(self, other):
        return self.x > G - 1.5

    def __bool__(self):
        return G > 1.5

    def __len__(self):
        return int(G)

    def __getitem__(self, k):
        return G * self.x * k

    def __iter__(self):
        return iter([self.x, G])

    def __contains__(self, k):
        return k < G

    def __call__(self, k):
        return G * self.x * k

    def __getattr__(self, name):
        return G * 3.0

    @property
    def shown(self):
        return G * self.x

    @shown.setter
    def shown(self, value):
        self.x = G * value

    @staticmethod
    def plain(x):
        return G * x

    @classmethod
    def made(cls, x):
        return cls(G * x)


@dataclasses.dataclass
class Record:
    x: float
    y: float = dataclasses.field(default_factory=lambda: G * 2.0)
    z: float = 0.0

    def __post_init__(self):
        self.z = G * self.x


def helper(*values):
    return G * values[0]


def set_shown(x):
    r = Reads(x)
    r.shown = x
    return r.x


READING = {
    "__init__": lambda x: Reads(x).x,
    "__add__": lambda x: Reads(x) + 1.0,
    "__radd__": lambda x: 1.0 + Reads(x),
    "sum": lambda x: sum([1.0, Reads(x)]),
    "operator.mul": lambda x: operator.mul(Reads(x), 2.0),
    "__neg__": lambda x: -Reads(x),
    "__abs__": lambda x: abs(Reads(x)),
    "__eq__": lambda x: x if Reads(x) == 0 else 2.0 * x,
    "__ne__": lambda x: x if Reads(x) != 0 else 2.0 * x,
    "__lt__": lambda x: x if Reads(x) < 0 else 2.0 * x,
    "reflected __lt__": lambda x: x if 0.0 > Reads(x) else 2.0 * x,  # noqa: SIM300
    "__bool__": lambda x: x if Reads(x) else 2.0 * x,
    "not": lambda x: x if not Reads(x) else 2.0 * x,
    "bool()": lambda x: x if bool(Reads(x)) else 2.0 * x,
    "__len__": lambda x: x * len(Reads(x)),
    "__getitem__": lambda x: Reads(x)[2],
    "__iter__": lambda x: sum(v * 1.0 for v in Reads(x)),
    "unpacking": lambda x: helper(*Reads(x)),
    "__contains__": lambda x: x if 1.5 in Reads(x) else 2.0 * x,
    "__call__": lambda x: Reads(x)(3.0),
    "__getattr__": lambda x: x * Reads(x).nothing,
    "getattr": lambda x: x * getattr(Reads(x), "nothing", 1.0),
    "property": lambda x: Reads(x).shown,
    "setter": set_shown,
    "staticmethod": lambda x: Reads(x).plain(x) + Reads.plain(x),
    "classmethod": lambda x: Reads.made(x).x,
    "__post_init__": lambda x: Record(x).z,
    "default_factory": lambda x: Record(x).y * x,
    "replace": lambda x: dataclasses.replace(Record(x), x=2.0).z * x,
    "map": lambda x: sum(map(helper, [x, x])),
    "reduce": lambda x: functools.reduce(helper, [x, x, x]),
    "partial": lambda x: functools.partial(helper, x)(),
    "globals()": lambda x: globals()["G"] * x,
    "import": lambda x: reading_import(x),
}


def reading_import(x):
    import test_constructs as here  # noqa: PLC0415
    from test_constructs import G as g  # noqa: PLC0415

    return here.G * g * x


@pytest.mark.parametrize("what", READING)
def test_what_code_of_classes_reads_is_read_anew(what, monkeypatch):
    gradient = pb.value_and_grad(READING[what])
    with pb.options(jit=False, cache=False):
        for value in (1.0, 2.0, 3.0):
            monkeypatch.setattr(HERE, "G", value)
            assert gradient(0.75)[0] == pytest.approx(READING[what](0.75)), value
