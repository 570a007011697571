"""Managers of the user's in `with` and as decorators: the body sees what they set, and afterwards all is as before."""

import contextlib
import threading

import numpy as np
import pytest

import pullback as pb

X = np.array([0.5, 1.2, 2.0])
MODE = "plain"
SCALE = 1.0


class Settings:
    factor = 1.0


class mode:  # noqa: N801  (as such managers are named)
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        global MODE
        self.old, MODE = MODE, self.name
        return self

    def __exit__(self, *_):
        global MODE
        MODE = self.old


class scale(contextlib.ContextDecorator):  # noqa: N801
    def __init__(self, value):
        self.value = value

    def __enter__(self):
        self.old, Settings.factor = Settings.factor, self.value
        return self.value

    def __exit__(self, kind, error, trace):
        Settings.factor = self.old
        return False


class Base:
    def __enter__(self):
        self.weight = 2.0
        return self

    def __exit__(self, *_):
        return None


class Derived(Base):
    def __enter__(self):
        super().__enter__()
        self.weight *= 3.0
        return self

    def __exit__(self, *error):
        return super().__exit__(*error)


class Swallows:
    def __enter__(self):
        pass

    def __exit__(self, kind, *_):
        return kind is not None and issubclass(kind, ValueError)


class Counts(contextlib.AbstractContextManager, contextlib.ContextDecorator):
    def __init__(self):
        self.entered = 0
        self.state = "new"

    def __enter__(self):
        self.entered += 1
        return self

    def __exit__(self, *_):
        self.state = "left"


class Model:
    def __init__(self):
        self.training = True
        self.depth = 0

    @contextlib.contextmanager
    def evaluating(self):
        before, self.training = self.training, False
        self.depth += 1
        try:
            yield self
        finally:
            self.training = before
            self.depth -= 1

    def __enter__(self):
        self.depth += 1
        return self

    def __exit__(self, *_):
        self.depth -= 1

    def value(self, x):
        return x if self.training else x * x * self.depth

    def both(self, x):
        with self.evaluating() as model, self:
            y = model.value(x)
        return np.sum(y * self.value(x))


@contextlib.contextmanager
def scaled(x, by=2.0):
    global SCALE
    old = SCALE
    SCALE = by * SCALE
    try:
        yield x * by
    finally:
        SCALE = old


@contextlib.contextmanager
def maybe(on):
    global SCALE
    if not on:
        yield 1.0
        return
    old, SCALE = SCALE, 3.0
    try:
        yield 2.0
    finally:
        SCALE = old


@contextlib.contextmanager
def tolerant():
    try:
        yield
    except KeyError as error:
        del error


@contextlib.contextmanager
def all_of(x):
    with maybe(True) as by, COUNTS, mode("square"):
        yield x * by


COUNTS = Counts()
MODEL = Model()


def helper(x):
    if MODE == "square":
        return x * x * SCALE * Settings.factor
    return x * SCALE * Settings.factor


def body(x):
    with mode("square"):
        y = helper(x)
    return np.sum(y) + np.sum(helper(x))


def two_managers(x):
    with scale(5.0) as s, mode("square"):
        return np.sum(helper(x)) * s


def traced_setting(x):
    with scale(3.0):
        with scale(x[0]):
            y = helper(x)
        y = y + helper(x)
    return np.sum(y) + np.sum(helper(x))


def generator(x):
    with mode("square"):
        with scaled(x) as z, scaled(z, by=x[1]) as w:
            y = helper(w)
        return np.sum(y * helper(z))


@scale(7.0)
def decorated(x):
    return np.sum(helper(x) * helper(x))


@scaled(1.0, 4.0)
def decorated_by_generator(x):
    return np.sum(helper(x))


def through_helpers(x):
    return decorated(x) * decorated_by_generator(x) + np.sum(helper(x))


def decorated_inside(x):
    counts = Counts()

    @scale(0.4)
    @maybe(True)
    @counts
    def inner(z):
        return helper(z) * z * counts.entered

    return np.sum(inner(x) * inner(2.0 * x) * counts.entered)


def made_inside(x):
    @contextlib.contextmanager
    def local(by):
        nonlocal x
        x = x * by
        yield x
        x = x * by

    with local(2.0) as y:
        z = y * x
    with local(x[0]) as y:
        z = z * y * x
    return np.sum(z * x)


def continued(x):
    total = 0.0
    for i in range(len(x)):
        with mode("square"):
            if x[i] > 1.5:
                continue
            total = total + helper(x[i])
        total = total * 1.1 + helper(x[i])
    return total


def broken(x):
    total = 0.0
    for i in range(len(x)):
        with mode("square"), scaled(x) as z:
            if z[i] > 2.5:
                break
            total = total + helper(z[i])
    return total + helper(x[0])


def returned_from_a_while(x):
    i, total = 0, 0.0
    while i < len(x):
        with scale(2.0), maybe(True):
            i += 1
            if x[i - 1] < 1.0:
                continue
            total = total + x[i - 1] ** 2 * SCALE * Settings.factor
            if total > 100.0:
                return total
    return total


def in_branches(x):
    if x[0] > 0.3:
        with scale(x[1]):
            y = helper(x)
    else:
        with mode("square"):
            y = helper(x)
    return np.sum(y) + np.sum(helper(x))


def traced_path_of_a_generator(x):
    with maybe(x[0] > 0.3) as by:
        total = 0.0
        for v in x:
            if v > 1.5:
                return total + v * by
            total = total + v * v * SCALE
    return total * SCALE


def method(x):
    return MODEL.both(x)


def lives_on(x):
    with COUNTS as c:
        c.state = "in"
        y = x * c.entered
    return np.sum(y * x)


def managers_in_a_manager(x):
    with all_of(x) as y:
        return np.sum(helper(y))


def inherited(x):
    with Derived() as d:
        y = x * d.weight
    return np.sum(y * x)


def raised_and_caught(x):
    try:
        with mode("square"), scaled(x) as z:
            x = helper(z)
            raise ValueError("known")
    except ValueError:
        x = x * helper(x)
    return np.sum(x)


def raised_under_a_condition(x):
    with mode("square"):
        if x[0] > 100.0:
            raise ValueError("large")
        y = helper(x)
    return np.sum(y * helper(x))


def swallowed(x):
    y = x
    with Swallows():
        y = x * 2.0
        raise ValueError
    with Swallows():
        y = y * 3.0
    with tolerant():
        y = y * x
        y = y * {}["no such key"]
    return np.sum(y * x)


def not_behind_what_is_swallowed(x):
    if len(x) == 3:
        with Swallows():
            if len(x) > 100:
                return x[0]
            raise ValueError
    return np.sum(x * x)


def differentiated_inside(x):
    with scale(3.0):
        return np.sum(pb.grad(lambda z: np.sum(helper(z) * z * z))(x))


PROGRAMS = [
    body, two_managers, traced_setting, generator, decorated, decorated_by_generator, through_helpers, decorated_inside,
    made_inside, continued, broken, returned_from_a_while, in_branches, traced_path_of_a_generator, method, lives_on,
    managers_in_a_manager, inherited, raised_and_caught, raised_under_a_condition, swallowed,
    not_behind_what_is_swallowed, differentiated_inside,
]  # fmt: skip
WORLDS = [("plain", 1.0, 1.0), ("plain", 2.0, 1.5), ("square", 2.0, 1.5), ("plain", 1.0, 1.0)]


def world():
    return (
        MODE, SCALE, Settings.factor, COUNTS.entered, COUNTS.state, MODEL.training, MODEL.depth
    )  # fmt: skip


def set_world(state):
    global MODE, SCALE
    MODE, SCALE, Settings.factor, COUNTS.entered, COUNTS.state, MODEL.training, MODEL.depth = state


@pytest.fixture(autouse=True)
def same_world():
    before = world()
    yield
    set_world(before)


def plainly(function, x):
    """The value and the gradient by differences; the world is as the last plain call leaves it."""
    before = world()
    step = 1e-6
    differences = []
    for k in range(len(x)):
        ends = []
        for sign in (1.0, -1.0):
            ends.append(function(x + sign * step * np.eye(len(x))[k]))
            set_world(before)
        differences.append((ends[0] - ends[1]) / (2.0 * step))
    value = function(x)
    after = world()
    set_world(before)
    return value, differences, after


@pytest.mark.parametrize("function", PROGRAMS)
def test_the_body_sees_what_the_manager_sets(function):
    with pb.options(jit=False, cache=False):
        program = pb.value_and_grad(function)
        for name, number, factor in WORLDS:
            set_world((name, number, factor, *world()[3:]))
            value, gradient, after = plainly(function, X)
            found, slope = program(X)
            assert world() == after
            np.testing.assert_allclose(found, value)
            np.testing.assert_allclose(slope, gradient, rtol=1e-5)


@pytest.mark.compiled
def test_compiled():
    value, gradient, after = plainly(broken, X)
    found, slope = pb.value_and_grad(broken)(X)
    assert world() == after
    np.testing.assert_allclose(found, value)
    np.testing.assert_allclose(slope, gradient, rtol=1e-5)


def test_an_exception_of_the_body_leaves_the_world_as_python_does():
    with pb.options(jit=False, cache=False), pytest.raises(ValueError, match="large"):
        pb.grad(raised_under_a_condition)(X + 100.0)
    assert MODE == "plain"


# -- refused -----------------------------------------------------------------------------------------------


def exit_stack(x):
    with contextlib.ExitStack() as stack:
        stack.enter_context(mode("square"))
        return np.sum(helper(x))


LOCK = threading.Lock()


def lock(x):
    with LOCK:
        return np.sum(x)


class Quiet(np.errstate):
    def __enter__(self):
        super().__enter__()
        return 2.0

    def __exit__(self, *error):
        super().__exit__(*error)


def library_behind(x):
    with Quiet(all="ignore") as two:
        return np.sum(x) * two


def may_raise_what_is_swallowed(x):
    with Swallows():
        if x[0] > 0.3:
            raise ValueError
        x = x * 2.0
    return np.sum(x)


def may_raise_what_a_generator_catches(x):
    with tolerant():
        if x[0] > 0.3:
            raise KeyError
        x = x * 2.0
    return np.sum(x)


@contextlib.contextmanager
def in_a_loop(count):
    for k in range(count):
        yield k + 1


def yields_in_a_loop(x):
    with in_a_loop(1):
        return np.sum(x)


def entered_by_hand(x):
    manager = maybe(True)
    manager.__enter__()
    return np.sum(x) * SCALE


def entered_elsewhere(x):
    manager = maybe(True)
    for v in x:
        with manager:
            x = x * v
    return np.sum(x)


@pytest.mark.parametrize(
    "function",
    [
        exit_stack, lock, library_behind, may_raise_what_is_swallowed, may_raise_what_a_generator_catches,
        yields_in_a_loop, entered_by_hand, entered_elsewhere,
    ],
)  # fmt: skip
def test_refused_with_its_line(function):
    before = world()
    message = r"cannot trace(.|\n)*line \d+"
    with pb.options(jit=False, cache=False), pytest.raises(pb.PullbackError, match=message):
        pb.grad(function)(X[:1])
    assert world() == before
