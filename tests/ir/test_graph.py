"""`program.graph()`: every value and every use is in the picture, by both engines, and nothing is unescaped."""

import importlib.util
import re
import shutil
import xml.etree.ElementTree as ElementTree

import irprograms
import numpy as np
import pytest

import pullback as pb
from pullback.ir.draw import graph as module
from pullback.ir.draw.picture import spots_of
from pullback.ir.program import Program, Var
from pullback.ir.text import parse
from pullback.ir.types import F64
from pullback.ir.walk import bound

ENGINES = [
    "plain",
    pytest.param(
        "graphviz",
        marks=[
            pytest.mark.peer,
            pytest.mark.skipif(
                not (shutil.which("dot") and importlib.util.find_spec("graphviz")),
                reason="Graphviz is not installed",
            ),
        ],
    ),
]
LOOP = """
def f(x: f64[n], w: f64) -> f64:
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(1.0, s1)
        a: f64 = x[i]
        c: bool = a > 0.0
        if c:
            b: f64 = s * w
        else:
            d: f64 = s + a
        s1: f64 = phi(b, d)
    s_end: f64 = last(s)
    return s_end"""


def pieces(svg, engine):
    """Texts and number of edges of a picture."""
    root = ElementTree.fromstring(svg)
    plain = "{http://www.w3.org/2000/svg}"
    texts = [e.text or "" for e in root.iter(f"{plain}text")]
    groups = [e for e in root.iter() if e.get("class", "").split()[:1] == ["edge"]]
    return texts, len(groups)


def logistic(r, x, n):
    z = x
    for k in range(n):  # noqa: B007
        z = r * z * (1.0 - z)
    return z


@pytest.mark.parametrize("engine", ENGINES)
def test_every_variable_and_every_use_appears(engine):
    program = parse(LOOP)
    picture = program.graph()
    texts, edges = pieces(picture.svg(engine), engine)
    names = {p.name for p in program.params} | {v.name for v in bound(program.body)} | {"i"}
    assert names <= set(texts)
    uses = [
        "x n",
        "n i",
        "s1 s",
        "x a",
        "i a",
        "a c",
        "s b",
        "w b",
        "s d",
        "a d",
        "b s1",
        "d s1",
        "c s1",
        "s s_end",
    ]
    expected = {tuple(use.split()) for use in uses} | {("s_end", "return 0")}
    assert {(e.source, e.target) for e in picture.edges} == expected
    assert edges == len(expected)
    assert any(text.startswith("for i in range(n)") for text in texts) and "then" in texts and "else" in texts


@pytest.mark.parametrize("engine", ENGINES)
def test_names_are_escaped(engine):
    x = Var("x<&\"'>", F64)
    picture = Program("f<b>", (x,), (), (x,)).graph().svg(engine)
    texts, edges = pieces(picture, engine)
    assert "x<&\"'>" in texts and edges == 1


def test_a_value_for_the_next_iteration_goes_back():
    kinds = {(e.source, e.target): e.kind for e in parse(LOOP).graph().edges}
    assert kinds["s1", "s"] == "back" and kinds["b", "s1"] == "data"
    assert "kept" not in kinds.values()


@pytest.mark.parametrize("text", [False, True], ids=["as it is made", "as text"])
def test_an_adjoint_is_mirrored(text):
    program = pb.value_and_grad(logistic, (0, 1)).lower("f64", "f64", "i64").derived
    program = parse(str(program)) if text else program
    picture = program.graph()
    reverse = {spot.name: spot.reverse for spot in spots_of(picture.items)}
    assert not reverse["z"] and not reverse["z_1_saved"] and reverse["r_bar"] and reverse["x_bar"]
    kept = {(e.source, e.target) for e in picture.edges if e.kind == "kept"}
    assert any(source.startswith("z_1_saved") for source, _ in kept)
    places = {
        spot.find("{*}text").text: (
            float(spot.find("{*}rect").get("x")),
            float(spot.find("{*}rect").get("y")),
        )
        for spot in ElementTree.fromstring(picture.svg("plain")).iter("{http://www.w3.org/2000/svg}g")
        if spot.get("class").startswith("spot")
    }
    forward = [
        place for name, place in places.items() if not reverse.get(name, False) and "return" not in name
    ]
    backward = [place for name, place in places.items() if reverse.get(name, False)]
    assert max(x for x, _ in forward) < min(x for x, _ in backward)
    assert places["z_1_saved"][1] < places["z"][1], "forward runs down"
    assert places["r_bar"][1] < places["k_1"][1], "reverse runs up"


def test_edges_point_down_and_boxes_hold_what_is_in_them():
    root = ElementTree.fromstring(parse(LOOP).graph().svg("plain"))
    rectangles = {}
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        rectangle = group.find("{*}rect")
        values = [float(rectangle.get(k)) for k in ("x", "y", "width", "height")]
        rectangles[group.find("{*}text").text] = values
    for inner, outer in [
        ("s", "for i in range(n)"),
        ("b", "then"),
        ("then", "if c"),
        ("if c", "for i in range(n)"),
    ]:
        (x, y, w, h), (X, Y, W, H) = rectangles[inner], rectangles[outer]
        assert x >= X and y >= Y and x + w <= X + W and y + h <= Y + H
    for above, below in [("x", "n"), ("a", "c"), ("s1", "s_end"), ("s_end", "return s_end")]:
        assert rectangles[above][1] < rectangles[below][1]
    spots = [r for name, r in rectangles.items() if not re.match("for|if|then|else", name)]
    for k, (x, y, w, h) in enumerate(spots):
        for X, Y, W, H in spots[k + 1 :]:
            assert x + w <= X or x >= X + W or y + h <= Y or y >= Y + H, "spots do not overlap"


@pytest.mark.parametrize("name", irprograms.load())
def test_all_sorts_of_programs(name):
    program, _ = irprograms.load()[name]
    texts, _ = pieces(program.graph().svg("plain"), "plain")
    assert {v.name for v in bound(program.body)} <= set(texts)


def test_engines_and_files(tmp_path, monkeypatch):
    picture = pb.trace(lambda x: np.sin(x) * x, 2.0).graph("plain")
    assert picture._repr_svg_() == picture.svg("plain") == picture.save(tmp_path / "g.svg").read_text()
    assert picture.save(tmp_path / "g.dot").read_text().startswith("digraph {")
    with pytest.raises(ValueError, match="graphviz, plain"):
        picture.svg("paint")
    with pytest.raises(ValueError, match="graphviz, plain"):
        parse(LOOP).graph("paint")
    monkeypatch.setattr(module, "_graphviz", lambda: None)
    assert "<polygon" in parse(LOOP).graph().svg()
    with pytest.raises(RuntimeError, match=r"pullback\[graph\]"):
        picture.svg("graphviz")
