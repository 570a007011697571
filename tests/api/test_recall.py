"""Traces kept on disk: taken when all that was looked at is the same, made anew when anything is not.

Each test plays a second process: the user's files are executed anew, so that no object is the same.
"""

import re
import sys
import types

import numpy as np
import pytest

import pullback as pb

x = np.linspace(0.1, 1.0, 5)

MAIN = """
import dataclasses
import enum
import numpy as np
import pullback as pb
import recall_helpers
from recall_helpers import scaled

RATE = 3.0
STEPS = 2
MODE = "plain"
ACT = np.tanh
WEIGHTS = [1.0, 2.0]
NAMES = ["a", "b"]
CHAIN = [np.sin, np.cos]
OPTION = None

class Kind(enum.Enum):
    A = 1
    B = 2

KIND = Kind.A

class Base:
    def size(self, v):
        return np.sum(v)

class Model(Base):
    factor = 2.0
    def __init__(self, w):
        self.w = w
    def loss(self, v):
        return self.size(v) * self.w * self.factor

@dataclasses.dataclass
class Params:
    w: float
    b: float = 1.0
    def total(self):
        return self.w + self.b

def make(k, flag):
    def inner(v):
        return np.sum(v * k) if flag else np.sum(v)
    return inner

@pb.jit
def inside(v):
    return v * 2.0

MODEL = Model(2.0)
closed = make(2.0, True)

def plain(v): return np.sum(v * v)
def with_helper(v): return np.sum(scaled(v))
def with_module(v): return np.sum(recall_helpers.deep(v))
def with_rate(v): return np.sum(v) * RATE
def with_steps(v):
    for _ in "a" * STEPS:
        v = v * 2.0
    return np.sum(v)
def with_mode(v): return np.sum(v) if MODE == "plain" else np.sum(v * v)
def with_act(v): return np.sum(ACT(v))
def with_weights(v): return np.sum(v) * sum(WEIGHTS)
def with_names(v): return np.sum(v) * len(NAMES)
def with_chain(v):
    for f in CHAIN:
        v = f(v)
    return np.sum(v)
def with_option(v): return np.sum(v) if OPTION is None else np.sum(v * v)
def with_kind(v): return np.sum(v) if KIND is Kind.A else np.sum(v * v)
def with_model(v): return MODEL.loss(v)
def with_params(v):
    return np.sum(v) * Params(2.0).total()
def with_jit(v): return np.sum(inside(v))
def with_builtin(v): return np.sum(abs(v))
def with_default(v, k=2.0): return np.sum(v * k)
def with_keyword(v, *, k=2.0): return np.sum(v * k)
"""
HELPERS = """
OFFSET = 1.0
def scaled(v):
    return v * 2.0
def deeper(v):
    return v * 5.0
def deep(v):
    return deeper(v) + OFFSET
"""


@pytest.fixture(autouse=True)
def cache(tmp_path):
    with pb.options(jit=False, cache_dir=tmp_path / "cache"):
        yield


@pytest.fixture
def process(tmp_path, monkeypatch):
    """Execute the user's files as a new process would; edits are (old, new) in either file."""

    def start(*edits):
        made = {}
        for name, text in (("recall_helpers", HELPERS), ("recall_main", MAIN)):
            for old, new in edits:
                text = text.replace(old, new)
            path = tmp_path / f"{name}.py"
            path.write_text(text)
            made[name] = types.ModuleType(name)
            monkeypatch.setitem(sys.modules, name, made[name])
            exec(compile(text, str(path), "exec"), made[name].__dict__)
        return made["recall_main"]

    return start


def gradient(function, *args):
    """The gradient, and whether the trace came from the disk."""
    g = pb.grad(function)
    result = g(*args)
    assert g._traceable.traces + g._traceable.recalled == 1
    return result, g._traceable.recalled == 1


FUNCTIONS = re.findall(r"^def (plain|with_\w+)", MAIN, re.MULTILINE)


@pytest.mark.parametrize("name", [*FUNCTIONS, "closed"])
def test_a_second_process_does_not_trace(name, process):
    first, recalled = gradient(getattr(process(), name), x)
    assert not recalled
    second, recalled = gradient(getattr(process(), name), x)
    assert recalled and np.array_equal(first, second)


EDITS = {
    "the function": ("plain", ("np.sum(v * v)", "np.sum(v * v * v)")),
    "a helper in another module": ("with_helper", ("v * 2.0", "v * 7.0")),
    "a helper's helper": ("with_module", ("v * 5.0", "v * 7.0")),
    "an integer that Python needed": ("with_steps", ("STEPS = 2", "STEPS = 3")),
    "a text": ("with_mode", ('MODE = "plain"', 'MODE = "square"')),
    "a function of NumPy": ("with_act", ("ACT = np.tanh", "ACT = np.sin")),
    "the length of a list": ("with_weights", ("[1.0, 2.0]", "[1.0, 2.0, 4.0]")),
    "a list of texts": ("with_names", ('["a", "b"]', '["a", "b", "c"]')),
    "a list of functions": ("with_chain", ("[np.sin, np.cos]", "[np.sin, np.tanh]")),
    "None": ("with_option", ("OPTION = None", "OPTION = 1.0")),
    "an enum": ("with_kind", ("KIND = Kind.A", "KIND = Kind.B")),
    "a method of a base class": (
        "with_model", ("return np.sum(v)\n\nclass Model", "return np.sum(v * v)\n\nclass Model"),
    ),
    "a method that hides another": (
        "with_model", ("class Model(Base):", "class Model(Base):\n    def size(self, v): return 9.0 * v[0]"),
    ),
    "a field's default": ("with_params", ("b: float = 1.0", "b: float = 4.0")),
    "a method of a dataclass": ("with_params", ("self.w + self.b", "self.w * self.b")),
    "the code of a jit": ("with_jit", ("return v * 2.0\n\nMODEL", "return v * 8.0\n\nMODEL")),
    "a builtin that is hidden": ("with_builtin", ("MODEL = Model", "abs = lambda v: v * 3.0\nMODEL = Model")),
    "a default": ("with_default", ("v, k=2.0", "v, k=6.0")),
    "a keyword's default": ("with_keyword", ("*, k=2.0", "*, k=6.0")),
    "a flag in a closure": ("closed", ("make(2.0, True)", "make(2.0, False)")),
}  # fmt: skip


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_is_traced_anew(what, process):
    name, edit = EDITS[what]
    before, _ = gradient(getattr(process(), name), x)
    changed = getattr(process(edit), name)
    after, recalled = gradient(changed, x)
    assert not recalled and not np.array_equal(before, after)
    with pb.options(cache=False):
        assert np.array_equal(after, gradient(changed, x)[0])
    assert np.array_equal(gradient(getattr(process(), name), x)[0], before)


@pytest.mark.parametrize(
    ("name", "edit", "factor"),
    [("with_rate", ("RATE = 3.0", "RATE = 5.0"), 5.0 / 3.0), ("closed", ("make(2.0", "make(5.0"), 2.5),
     ("with_model", ("MODEL = Model(2.0)", "MODEL = Model(3.0)"), 1.5)],
)  # fmt: skip
def test_numbers_are_inputs_and_read_anew(name, edit, factor, process):
    before, _ = gradient(getattr(process(), name), x)
    after, recalled = gradient(getattr(process(edit), name), x)
    assert recalled and np.allclose(after, factor * before)


def test_arguments_of_all_kinds(process):
    code = """
def several(p, how, f, n):
    return np.sum(f(p["w"][0])) * (2.0 if how == "a" else n)
"""
    args = {"w": (x, 1.0)}, "a", np.sin, 3

    def run(*args):
        main = process(("MODEL = Model", code + "MODEL = Model"))
        return gradient(main.several, *args)

    assert not run(*args)[1] and run(*args)[1]
    for other in (
        ({"w": (x.astype("f4"), 1.0)}, "a", np.sin, 3), ({"w": [x, 1.0]}, "a", np.sin, 3),
        ({"w": (x, 1.0)}, "b", np.sin, 3), ({"w": (x, 1.0)}, "a", np.cos, 3), ({"w": (x[:1], 1.0)}, "a", np.sin, 3),
        ({"w": (x, 1.0)}, "a", np.sin, 3.0),
    ):  # fmt: skip
        assert not run(*other)[1]
    assert run({"w": (x[:3].copy(), 2.0)}, "a", np.sin, 4)[1]


VECTORS = """
@dataclasses.dataclass
class Vector:
    v: object
    scale = 2.0
    def twice(self):
        return self.v * 2.0
    @property
    def thrice(self):
        return self.v * 3.0

def of_vector(p):
    return np.sum(p.v * p.scale) + np.sum(p.twice()) + np.sum(p.thrice)
"""


@pytest.mark.parametrize("edit", [("scale = 2.0", "scale = 4.0"), ("v * 2.0", "v * 5.0"), ("v * 3.0", "v * 7.0")])
def test_classes_of_arguments(edit, process):
    def run(vectors):
        main = process(("MODEL = Model", vectors + "MODEL = Model"))
        return pb.grad(main.of_vector)(main.Vector(x)).v[0]

    assert run(VECTORS) == run(VECTORS) == 7.0
    assert run(VECTORS.replace(*edit)) > 7.0


MADE = """
class Base:
    def __init__(self, v):
        self.v = v * 2.0

class Pair(Base):
    def __init__(self, v):
        super().__init__(v)
        self.w = v * 3.0

    def __add__(self, other):
        return self.v * 1.0 + other.w

def of_pair(v):
    return np.sum(Pair(v) + Pair(v))
"""


@pytest.mark.parametrize("edit", [("v * 2.0", "v * 4.0"), ("v * 3.0", "v * 7.0"), ("v * 1.0", "v * 9.0")])
def test_classes_of_objects_that_are_made(edit, process):
    def run(made):
        return pb.grad(process(("MODEL = Model", made + "MODEL = Model")).of_pair)(x)[0]

    assert run(MADE) == run(MADE) == 5.0
    assert run(MADE.replace(*edit)) > 5.0


UNKNOWN = {
    "the environment": "import os\ndef f(v): return np.sum(v) * len(os.environ)",
    "a print": "def f(v):\n    print('traced', v)\n    return np.sum(v)",
    "an object that computes": """
class Table:
    def __getitem__(self, k):
        return 2.0
TABLE = Table()
def f(v): return np.sum(v) * TABLE[0]""",
    "a member of an enumeration by its value": """
import enum
class Kind(enum.Enum):
    A = 1
def f(v): return np.sum(v) if Kind(1) is Kind.A else np.prod(v)""",
    "a partial": "import functools\nG = functools.partial(inside)\ndef f(v): return np.sum(G(v))",
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_cannot_be_compared_is_not_kept(what, process):
    for _ in range(2):
        assert not gradient(process(("MODEL = Model(", UNKNOWN[what] + "\nMODEL = Model(")).f, x)[1]


def test_without_a_cache_nothing_is_kept(process, tmp_path):
    with pb.options(cache=False):
        gradient(process().plain, x)
    assert not list(tmp_path.glob("cache/*.trace"))


def test_damaged_files_are_made_anew(process, tmp_path):
    gradient(process().plain, x)
    for path in tmp_path.glob("cache/*.trace"):
        path.write_bytes(path.read_bytes()[:-20] + b"garbage")
    assert not gradient(process().plain, x)[1]
    assert gradient(process().plain, x)[1]


def test_the_stages_are_there_without_tracing(process):
    """value_and_grad finds the trace that grad left; the program comes from the disk, with its lines."""
    expected = pb.grad(process().with_helper)
    expected(x)
    g = pb.value_and_grad(process().with_helper)
    value, bar = g(x)
    assert g._traceable.recalled == 1 and value == pytest.approx(2.0 * x.sum())
    assert str(g.ir) == str(expected.ir) and "np.sum(scaled(v))" in g.adjoint_ir
    assert "def with_helper" in g.source and g.saved_report(x)
