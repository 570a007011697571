"""Containers: taken apart and put together, paths, forms as keys, what counts as a leaf."""

import collections
import dataclasses
import typing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pullback.calls.tree import LEAF, flatten, map_leaves, mismatch


class Point(typing.NamedTuple):
    x: typing.Any
    y: typing.Any = 0.0


Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class Layer:
    weights: typing.Any
    bias: typing.Any
    name: str = "layer"


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    scale: float
    area: float = dataclasses.field(init=False)

    def __post_init__(self):
        if self.scale <= 0:
            raise ValueError("scale must be positive")
        object.__setattr__(self, "area", self.scale**2)


@dataclasses.dataclass
class Nothing:
    pass


leaf = st.floats(allow_nan=False) | st.text(max_size=3) | st.booleans()
objects = st.recursive(
    leaf | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(collections.OrderedDict)
        | st.builds(Point, inner, inner)
        | st.builds(Layer, inner, inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(objects)
def test_round_trip(obj):
    leaves, tree = flatten(obj)
    again = tree.unflatten(leaves)
    assert again == obj and type(again) is type(obj)
    assert len(leaves) == tree.count == len(tree.paths("x")) == len(set(tree.paths("x")))
    assert flatten(again)[1] == tree and hash(flatten(again)[1]) == hash(tree)
    assert mismatch(tree, flatten(again)[1]) is None


def test_dicts_keep_their_order():
    leaves, tree = flatten({"b": 1, "a": 2})
    assert leaves == [1, 2] and list(tree.unflatten([3, 4])) == ["b", "a"]
    assert flatten({"a": 1, "b": 2})[1] != tree


@pytest.mark.parametrize(
    "a, b",
    [((1,), [1]), ({"a": 1}, {"b": 1}), (Point(1, 2), Pair(1, 2)), (Point(1, 2), (1, 2)), (None, 1),
     ({"a": 1}, collections.OrderedDict(a=1)), ({1: 1}, {"1": 1}), ((), None)],
)  # fmt: skip
def test_different_forms_differ(a, b):
    assert flatten(a)[1] != flatten(b)[1]
    assert mismatch(flatten(a)[1], flatten(b)[1])


def test_leaves_are_everything_else():
    class Subclass(list):
        pass

    for obj in (
        np.zeros(3),
        1,
        "text",
        {1, 2},
        range(3),
        Subclass([1]),
        collections.Counter("a"),
        Layer,
        object(),
    ):
        leaves, tree = flatten(obj)
        assert len(leaves) == 1 and leaves[0] is obj and tree is LEAF and tree.is_leaf


def test_empty_containers_and_none_have_no_leaves():
    for obj in ((), [], {}, None, Nothing(), [(), {}, None]):
        leaves, tree = flatten(obj)
        assert leaves == [] and tree.unflatten([]) == obj


def test_dataclasses_are_filled_in_without_their_checks():
    leaves, tree = flatten(Frozen(2.0))
    assert leaves == [2.0, 4.0]
    gradient = tree.unflatten([-1.0, -2.0])
    assert type(gradient) is Frozen and (gradient.scale, gradient.area) == (-1.0, -2.0)
    with pytest.raises(ValueError, match="positive"):
        tree.unflatten([-1.0, -2.0], construct=True)
    made = tree.unflatten([3.0, 7.0], construct=True)
    assert (made.scale, made.area) == (3.0, 7.0)


def test_paths():
    obj = ({"w": [1, 2], 3: Point(1, 2)}, Layer(1, (2,)))
    assert flatten(obj)[1].paths("argument 0") == [
        "argument 0[0]['w'][0]", "argument 0[0]['w'][1]", "argument 0[0][3].x", "argument 0[0][3].y",
        "argument 0[1].weights", "argument 0[1].bias[0]", "argument 0[1].name",
    ]  # fmt: skip
    assert flatten(1.0)[1].paths("argument 0") == ["argument 0"]


def test_forms_read_well():
    assert str(flatten((Layer(1, [2]), Point(1, {"a": None}), (1,)))[1]) == (
        "(Layer(weights=*, bias=[*], name=*), Point(x=*, y={'a': None}), (*,))"
    )


def test_wrong_number_of_leaves():
    with pytest.raises(ValueError, match=r"\(\*, \*\) has 2 leaves, not 3"):
        flatten((1, 2))[1].unflatten([1, 2, 3])


def test_a_container_in_itself_is_refused():
    obj = []
    obj.append(obj)
    with pytest.raises(ValueError, match="list that contains itself"):
        flatten(obj)


def test_mismatch_names_the_place():
    expected, found = ({"w": (1, 2)}, [1]), ({"w": (1, [2])}, [1])
    text = mismatch(flatten(expected)[1], flatten(found)[1], "the seed")
    assert text == "the seed[0]['w'][1] should be an array or a number, but is a list of 1, [*]"
    text = mismatch(flatten(1)[1], flatten(None)[1], "the seed")
    assert text == "the seed should be an array or a number, but is None"
    text = mismatch(flatten({"a": 1})[1], flatten({"b": 1})[1], "the seed")
    assert text == "the seed should be a dict, {'a': *}, but is a dict, {'b': *}"


def test_map_leaves():
    assert map_leaves(lambda a: a + 1, Layer(1, {"a": 2}, 3)) == Layer(2, {"a": 3}, 4)
    with pytest.raises(ValueError, match="the value"):
        map_leaves(lambda a, b: a, (1, 2), (1,))


def test_take_finds_what_stands_at_the_leaves():
    tree = flatten({"a": (1, 2), "p": Point(3)})[1]
    assert tree.take({"p": Point(1, 2), "a": (3, 4)}) == [3, 4, 1, 2]
    found = tree.take({"a": (None, [5]), "p": Point("x", None)})
    assert found == [None, [5], "x", None]
    with pytest.raises(ValueError, match=r"the seed\['a'\] should be a tuple of 2, .*, but is a tuple of 1"):
        tree.take({"a": (1,), "p": Point(3)}, "the seed")
    with pytest.raises(ValueError, match=r"the seed\['a'\] should be .* but is an array or a number"):
        tree.take({"a": 1, "p": Point(3)}, "the seed")
    with pytest.raises(ValueError, match="the seed should be a dict"):
        tree.take({"a": (1, 2)}, "the seed")
