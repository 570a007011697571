"""What a call does to containers and objects is what plain Python does, or it is refused: never lost without a word."""

import copy
import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from effects import look

import pullback as pb


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


# -- containers among the arguments --------------------------------------------------------------------------------


@dataclass
class Point:
    w: object = 1.0
    tags: list = field(default_factory=list)

    def put(self, v):
        self.w = v


class Pair(NamedTuple):
    left: list
    right: dict


CHANGES = {
    "list": [
        "c.append(v)", "c += [v]", "c[0] = v", "c[0] += 1.0", "c.extend([v])", "c.insert(0, v)", "c.pop()", "del c[0]",
        "c.clear()", "c.reverse()", "c[:] = [v]", "c[0], c[1] = c[1], c[0]", "list.append(c, v)", "c *= 2",
        "operator.iadd(c, [v])", "operator.setitem(c, 0, v)", "put = c.append; put(v)",
    ],
    "dict": [
        "c['k'] = v", "c['k'] += v", "c['new'] = v", "c.update(k=v)", "c.pop('k')", "del c['k']",
        "c.setdefault('d', v)", "c.clear()", "c |= {'k': v}", "c.popitem()", "for key in c:\n    c[key] = v",
        "dict.__setitem__(c, 'k', v)",
    ],
    "object": [
        "c.w = v", "c.w += v", "setattr(c, 'w', v)", "c.put(v)", "c.tags.append(v)", "c.tags += [v]", "del c.w",
        "vars(c)['w'] = v", "c.new = v", "object.__setattr__(c, 'w', v)",
    ],
}  # fmt: skip
MADE = {
    "list": lambda: [3.0, 2.0], "dict": lambda: {"k": 1.0, "l": 2.0}, "object": lambda: Point(1.0, [2.0]),
}  # fmt: skip
KEPT = {  # what changes nothing that the caller can see but arrays
    "list": ["c = c + [v]", "c = list(c); c.append(v)", "c[0] = c[0]", "c = c[:]; c[0] = v"],
    "dict": ["c = dict(c); c['k'] = v", "c = {**c, 'k': v}", "c['k'] = c['k']", "c.get('k')"],
    "object": ["c = dataclasses.replace(c, w=v)", "c.w = c.w", "c = copy.copy(c)"],
}
AROUND = {
    "top": "{s}",
    "an arm": "if v > 0.0:\n    {s}",
    "a loop": "for i in range(2):\n    {s}",
    "a loop over an array": "for e in np.ones(3) * v:\n    {s}",
    "a function": "def inner(c):\n    {s}\ninner(c)",
}
REACHED = {
    "itself": ("{c}", lambda made: made),
    "in a list": ("{c}[0]", lambda made: [made]),
    "in a dict": ("{c}['a']", lambda made: {"a": made}),
    "in a tuple in a list": ("{c}[1][0]", lambda made: [0.5, (made,)]),
    "in a named tuple": ("{c}.left[0]", lambda made: Pair([made], {})),
    "in an object": ("{c}.tags", lambda made: Point(1.0, made)),
    "in an ordered dict": ("{c}['a']", lambda made: OrderedDict(a=made)),
}
TRANSFORMS = {
    "jit": lambda f, *a: pb.jit(f)(*a),
    "grad": lambda f, *a: pb.grad(f)(*a),
    "value_and_grad": lambda f, *a: pb.value_and_grad(f)(*a),
    "vjp": lambda f, *a: pb.vjp(f, *a),
    "by name": lambda f, v, c: pb.grad(f)(v, c=c),
    "inside": lambda f, v, c: pb.jit(lambda v, c: pb.grad(f)(v, c))(v, c),
    "jit inside": lambda f, v, c: pb.jit(lambda v, c: pb.jit(f)(v, c))(v, c),
}


def made_function(tmp_path, statement, around, reached):
    path = REACHED[reached][0].format(c="given")
    indented = statement if around == "top" else statement.replace("\n", "\n    ")
    body = "\n".join(f"    {line}" for line in AROUND[around].format(s=indented).splitlines())
    text = (
        "import copy, dataclasses, operator\nimport numpy as np\n\n\n"
        f"def f(v, c):\n    given = c\n    c = {path}\n{body}\n    return v * 2.0\n"
    )
    file = tmp_path / f"f{abs(hash(text))}.py"
    file.write_text(text)
    scope = {"__name__": "written"}
    exec(compile(text, str(file), "exec"), scope)
    return scope["f"], text


def cases(statements):
    each = [(kind, s) for kind, all_of in statements.items() for s in all_of]
    return list(itertools.product(each, AROUND, REACHED, TRANSFORMS))


@pytest.mark.parametrize("part", range(4))
def test_a_changed_argument_is_refused(part, tmp_path):
    found = 0
    for (kind, statement), around, reached, transform in cases(CHANGES)[part * 11 :: 97]:
        f, text = made_function(tmp_path, statement, around, reached)
        arguments = 1.5, REACHED[reached][1](MADE[kind]())
        before, plain = look(arguments), copy.deepcopy(arguments)
        try:
            f(*plain)
        except Exception:
            continue  # popped from an empty list, ...
        if look(plain) == before:
            continue
        with pytest.raises(pb.PullbackError) as error:
            TRANSFORMS[transform](f, *arguments)
        assert "argument" in str(error.value) and ".py" in str(error.value), f"{transform}\n{text}\n{error.value}"
        assert look(arguments) == before, text
        found += 1
    assert found > 30


def test_what_changes_no_argument_is_traced(tmp_path):
    for (kind, statement), around, reached, transform in cases(KEPT)[::29]:
        if around != "top" and "c = " in statement:
            continue  # a loop or an arm in which a list is bound to a longer one
        f, text = made_function(tmp_path, statement, around, reached)
        arguments = 1.5, REACHED[reached][1](MADE[kind]())
        before = look(arguments)
        try:
            TRANSFORMS[transform](f, *arguments)
        except pb.PullbackError as error:
            raise AssertionError(text) from error
        assert look(arguments) == before


def test_arrays_in_containers_may_be_written():
    def f(state, x):
        state["w"] += x
        for row in state["rows"]:
            row *= 2.0
        state["p"].w[0] = 3.0
        return np.sum(state["w"] * x) + np.sum(state["rows"][0]) + np.sum(state["p"].w)

    def state():
        return {"w": np.ones(2), "rows": [np.ones(2), np.ones(3)], "p": Point(np.ones(2))}

    x = np.array([1.0, 2.0])
    assert pb.jit(f)(state(), x) == f(state(), x)


def test_rest_and_keywords_are_the_function_s_own():
    def f(x, *rest, **named):
        named["more"] = x
        rest += (x,)
        return np.sum(named["more"] * rest[-1] * named["scale"])

    assert np.array_equal(pb.grad(f)(np.ones(2), 1.0, scale=3.0), np.full(2, 6.0))
