"""Classes of ordinary Python: private names, super, properties, operators, dataclasses, objects made in traced code."""

from __future__ import annotations

import abc
import dataclasses
import enum
import functools
import math
import typing
from collections import namedtuple

import numba
import numpy as np
from construct import V, case

SCALE = 3.0

# -- private names -----------------------------------------------------------------------------------------------------


class Private:
    __factor = 2.0
    __shared: typing.ClassVar = [1.0, 2.0]

    def __init__(self, k):
        self.__k = k
        self._plain = k

    def __square(self, x):
        return self.__k * x * x

    @staticmethod
    def __twice(x):
        return 2.0 * x

    @property
    def __inverse(self):
        return 1.0 / self.__k

    def value(self, x):
        def inner(v):
            __local = v * self.__k
            return __local + Private.__factor

        table = [self.__square(v) for v in (x, 2.0 * x)]
        f = lambda v: self.__twice(v) + self.__factor  # noqa: E731
        return inner(x) + table[0] + table[1] + f(x) + self.__inverse + self.__shared[1]

    def keyword(self, x):
        def f(__a, __b=1.0):
            return __a * __b

        return f(x, x) + f(x)

    def loop(self, x):
        __s = 0.0
        for __i in range(3):
            __s += x * __i
            if x > 0.0:
                __s = __s * self.__k
        return __s

    def __dunder__(self, x):
        return x * self.__k


class _Leading(Private):
    def __init__(self, k):
        super(_Leading, self).__init__(k)
        self.__own = 5.0

    def value2(self, x):
        return self.__own * x + self.value(x)


class ___(Private):
    def underscores(self, x):
        self.__x = x
        return self.__x * 2.0


PRIVATE = Private(3.0)
LEADING = _Leading(4.0)


@case(0.3)
def private_names(x):
    return PRIVATE.value(x) + PRIVATE.loop(x) + PRIVATE.keyword(x) + PRIVATE.__dunder__(x)


@case(0.3)
def private_names_inherited(x):
    return LEADING.value2(x)


@case(0.3)
def private_names_of_local_object(x):
    return Private(x).value(x) + _Leading(x).value2(2.0 * x) + ___(x).underscores(x)


# -- super, inheritance ------------------------------------------------------------------------------------------------


class Base:
    rate = 0.25

    def __init__(self, a):
        self.a = a

    def energy(self, x):
        return self.a * x * self.rate

    @classmethod
    def made(cls, a):
        return cls(a)

    @staticmethod
    def double(x):
        return 2.0 * x

    @property
    def half(self):
        return 0.5 * self.a

    @functools.cached_property
    def cubed(self):
        return self.a**3

    def template(self, x):
        return self.step(x) + 1.0

    def step(self, x):
        raise NotImplementedError

    def __call__(self, x):
        return self.a * np.sin(x)


class Middle(Base):
    rate = 0.5

    def __init__(self, a, b):
        super().__init__(a)
        self.b = b

    def energy(self, x):
        return super().energy(x) + self.b * x

    @classmethod
    def made(cls, a):
        return cls(a, 2.0 * a)

    @property
    def half(self):
        return super().half + self.b

    def step(self, x):
        return x * self.b


class Mixin:
    def energy(self, x):
        return super().energy(x) * 3.0


class Low(Mixin, Middle):
    def energy(self, x):
        inner = super().energy(x)
        parts = [inner, super(Low, self).energy(2.0 * x)]
        return parts[0] + parts[1] * self.a


class Abstract(abc.ABC):
    @abc.abstractmethod
    def f(self, x): ...

    def twice(self, x):
        return self.f(self.f(x))


class Concrete(Abstract):
    def __init__(self, w=2.0):
        self.w = w

    def f(self, x):
        return self.w * np.sin(x)


LOW = Low(1.5, 2.5)


@case(0.3)
def super_without_arguments(x):
    return LOW.energy(x) + LOW.half * x + Middle(x, 2.0).energy(x) + Low(x, x).energy(x)


@case(0.3)
def class_and_static_methods(x):
    return Middle.made(x).b + Base.double(x) + LOW.double(x) + LOW.made(2.0 * x).a + type(LOW).double(x)


@case(0.3)
def properties(x):
    m = Middle(x, x * x)
    return m.half + m.cubed + m.cubed * LOW.cubed


@case(0.3)
def template_method(x):
    return LOW.template(x) + Middle(2.0, x).template(x)


@case(0.3)
def abstract_class(x):
    return Concrete().twice(x) + Concrete(x).twice(x)


@case(0.3)
def called_objects(x):
    return LOW(x) + Base(x)(x) + sum(f(x) for f in (LOW, math.sin, Concrete(x).f))


@case(0.3)
def unbound_methods(x):
    return Base.energy(LOW, x) + Middle.energy(Middle(x, x), x) + Base.__call__(LOW, x)


@case(0.3)
def class_variables(x):
    return Base.rate * x + LOW.rate * x + Middle(x, x).rate


@case(V)
def bound_methods_as_values(x):
    f = LOW.energy
    g = Middle(x[0], x[1]).energy
    table = {"f": f, "g": g}
    return f(x[0]) + table["g"](x[2]) + functools.partial(Base.energy, LOW)(x[3]) + functools.partial(g, x[1])()


# -- operators on objects ----------------------------------------------------------------------------------------------


class Vec:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        if isinstance(other, Vec):
            return Vec(self.x + other.x, self.y + other.y)
        return Vec(self.x + other, self.y + other)

    __radd__ = __add__

    def __sub__(self, other):
        return self + -other

    def __neg__(self):
        return Vec(-self.x, -self.y)

    def __pos__(self):
        return self

    def __mul__(self, k):
        return Vec(math.sin(k) * self.x, k * self.y)

    def __rmul__(self, k):
        return self * k

    def __truediv__(self, k):
        return Vec(self.x / k, self.y / k)

    def __pow__(self, n):
        return Vec(self.x**n, self.y**n)

    def __matmul__(self, other):
        return self.x * other.x + self.y * other.y

    def __abs__(self):
        return math.sqrt(self.x**2 + self.y**2)

    def __eq__(self, other):
        return self.x == other.x and self.y == other.y

    def __lt__(self, other):
        return abs(self) < abs(other)

    def __getitem__(self, k):
        return (self.x, self.y)[k]

    def __setitem__(self, k, v):
        if k == 0:
            self.x = math.cos(v)
        else:
            self.y = v

    def __len__(self):
        return 2

    def __iter__(self):
        return iter((self.x, self.y))

    def __contains__(self, k):
        return k in (1, 2)

    def __float__(self):
        return 1.0

    def __bool__(self):
        return self.x > 0.0

    def __iadd__(self, other):
        self.x += math.exp(other)
        return self


class Wrapped:
    def __init__(self, inner):
        self.inner = inner

    def __add__(self, other):
        return Wrapped(np.tanh(self.inner) + getattr(other, "inner", other))

    def __getattr__(self, name):
        if name == "extra":
            return 2.0
        raise AttributeError(name)

    def __getitem__(self, k):
        return np.sum(self.inner[k])


class Point(typing.NamedTuple):
    x: float
    y: float = 2.0

    def norm(self):
        return math.hypot(self.x, self.y)

    def __add__(self, other):
        return Point(math.sin(self.x) + other.x, self.y)


@case(0.3, 0.7)
def operators_of_objects(x, y):
    a, b = Vec(x, y), Vec(y, 2.0)
    c = (a + b) * y - a / x + 2.0 * b + (-a) ** 2 + (+b) * x
    d = 1.0 + a
    return c.x + c.y + (a @ b) + abs(c) + d.x


@case(0.3, 0.7)
def containers_of_the_users(x, y):
    a = Vec(x, y)
    u, v = a
    s = 0.0
    for item in a:
        s += item * item
    a[0] = y
    return a[0] * a[1] + len(a) * x + u * v + s + (1.0 if 1 in a else x) + (x if 7 in a else 2.0)


@case(0.3, 0.7)
def comparisons_of_objects(x, y):
    a, b = Vec(x, y), Vec(y, x)
    s = x
    if a == b:
        s = s * 2.0
    if a < b + 1.0:
        s = s * 3.0
    if a != b:
        s = s + y
    return s


@case(0.3, 0.7)
def truth_of_objects(x, y):
    a = Vec(x, y)
    s = x if a else y
    if a:
        s = s * 2.0
    if not a:
        s = s * 3.0
    return s if a and y > 0.0 else y


@case(0.3, 0.7)
def in_place_operator(x, y):
    a = Vec(x, y)
    a += y
    a.x += y
    return a.x * a.y


@case(V)
def objects_in_sums(x):
    vecs = [Vec(x[0], x[1]), Vec(x[1], x[2]), Vec(x[3], 1.0)]
    total = sum(vecs, Vec(0.0, 0.0))
    return total.x * total.y + sum(abs(v) for v in vecs)


@case(V)
def arrays_in_objects(x):
    w = Wrapped(x) + Wrapped(x) + x
    return np.sum(w.inner) + w.extra + w[1:]


@case(0.3, 0.7)
def named_tuple_class(x, y):
    p = Point(x, y)
    q = p + Point(y)
    a, b = q
    return p.norm() * q.x + a * b + p._replace(x=y).x + q[1]


# -- objects made in traced code ---------------------------------------------------------------------------------------


class Sine:
    def __init__(self, x):
        self.y = math.sin(x)


class Checked:
    def __init__(self, x):
        if x < 0.0:
            raise ValueError("negative")
        self.y = x * x


class Clipped:
    def __init__(self, x):
        if x > 0.5:
            self.y = x
        else:
            self.y = 2.0 * x


class Filled:
    def __init__(self, x, n=2):
        self.c = np.empty(n)
        self.c[0] = x
        self.c[1] = SCALE * x
        self.rows = np.array([x, 2.0 * x])
        self.s = 0.0
        for i in range(n):
            self.s += self.c[i]


class Zeros:
    def __init__(self):
        self.e = np.zeros(2)


class Derived(Filled):
    def __init__(self, x, *args, scale=1.0, **kwargs):
        super().__init__(x * scale, *args, **kwargs)
        self.t = math.exp(scale)


class Nested:
    def __init__(self, x):
        self.inner = Sine(x)
        self.list = [Sine(x * k) for k in (1.0, 2.0)]


class New:
    def __new__(cls, x):
        self = super().__new__(cls)
        self.x = math.sin(x)
        return self


class Both:
    def __new__(cls, *args):
        return object.__new__(cls)

    def __init__(self, x):
        self.x = math.cos(x)


@dataclasses.dataclass
class Data:
    x: float
    k: float = 2.0
    items: list = dataclasses.field(default_factory=list)
    table: dict = dataclasses.field(default_factory=lambda: {"a": 1.0})

    def __post_init__(self):
        self.y = math.sin(self.x)
        self.items.append(self.y)

    def value(self):
        return self.y * self.k + self.table["a"] * self.items[0]


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: float
    w: np.ndarray = dataclasses.field(default=None, compare=False)

    @property
    def squared(self):
        return math.sin(self.x) ** 2

    def moved(self, d):
        return dataclasses.replace(self, x=self.x + d)


@dataclasses.dataclass(frozen=True)
class FrozenChecked:
    x: float

    def __post_init__(self):
        if self.x < 0.0:
            raise ValueError("negative")
        object.__setattr__(self, "x", math.sin(self.x))


@dataclasses.dataclass(slots=True)
class Slotted:
    x: float
    y: float = 1.0

    def product(self):
        return self.x * self.y


@dataclasses.dataclass
class Child(Data):
    z: float = 3.0

    def __post_init__(self):
        super().__post_init__()
        self.z = self.z * self.x


@dataclasses.dataclass
class Initial:
    x: float
    scale: dataclasses.InitVar[float] = 2.0
    kept: typing.ClassVar[float] = 7.0
    late: float = dataclasses.field(init=False)

    def __post_init__(self, scale):
        self.late = np.tanh(self.x * scale) * self.kept


@dataclasses.dataclass(order=True)
class Ordered:
    x: float
    y: float


Pair = namedtuple("Pair", "a b")


@case(0.3)
def constructors(x):
    e = Zeros()
    e.e[0] = x * x
    return Sine(x).y + Checked(x).y + Clipped(x).y + Clipped(x + 1.0).y + e.e[0] + Zeros().e[0]


@case(0.3)
def constructors_with_arrays(x):
    a = Filled(x)
    return a.c[1] + a.rows[1] * a.s + Filled(2.0 * x, n=3).c[0]


@case(0.3)
def constructors_inherited(x):
    d = Derived(x, 2, scale=x)
    return d.t * d.s + Nested(x).inner.y + Nested(x).list[1].y


@case(0.3)
def constructors_by_new(x):
    return New(x).x + Both(x).x


@case(0.3)
def dataclasses_made(x):
    d = Data(x)
    return d.value() + Data(x, k=x, items=[x]).value() + Child(x, z=x).z + Initial(x).late + Initial(x, scale=x).late


@case(0.3)
def dataclasses_frozen(x):
    return Frozen(x).squared + Frozen(x, np.ones(2)).moved(x).x + FrozenChecked(x).x


@case(0.3)
def dataclasses_slotted(x):
    s = Slotted(x)
    s.y = x * x
    return s.product() + Slotted(2.0, y=x).product()


@case(0.3)
def dataclasses_compared(x):
    return x * 2.0 if Ordered(x, 1.0) == Ordered(x, 1.0) else x


@case(0.3)
def dataclass_to_dict(x):
    d = dataclasses.asdict(Ordered(x, 2.0 * x))
    t = dataclasses.astuple(Ordered(x, 2.0 * x))
    return d["x"] * d["y"] + t[1] + sum(getattr(Ordered(x, 1.0), f.name) for f in dataclasses.fields(Ordered))


@case(0.3)
def classes_as_values(x):
    kinds = [Sine, Checked, Clipped]
    registry = {"sine": Sine}
    return sum(k(x).y for k in kinds) + registry["sine"](x).y + type(Sine(x))(2.0 * x).y


@case(V)
def objects_in_loops(x):
    s = 0.0
    for i in range(len(x)):
        o = Sine(x[i])
        s += o.y * Vec(x[i], 1.0)[0]
    return s


@case(V)
def object_as_loop_state(x):
    v = Vec(0.0, 1.0)
    for i in range(len(x)):
        v.x = v.x + math.sin(x[i])
        v.y = v.y * x[i]
    return v.x * v.y


@case(V)
def object_as_loop_state_plain(x):
    v = Base(1.0)
    for i in range(len(x)):
        v.a = v.a * x[i] + 1.0
    return v.a


@case(V)
def stateful_object(x):
    class_ = Accumulator()
    for v in [x[0], x[1]]:
        class_.add(v)
    return class_.total * class_.count


class Accumulator:
    def __init__(self):
        self.total = 0.0
        self.count = 0
        self.history = []

    def add(self, v):
        self.total += v * v
        self.count += 1
        self.history.append(v)


# -- flags, enums, attributes ------------------------------------------------------------------------------------------


class Kind(enum.Enum):
    LINEAR = 1
    SQUARE = "square"

    def apply(self, x):
        return x if self is Kind.LINEAR else x * x

    @property
    def weight(self):
        return 2.0 if self == Kind.SQUARE else 3.0


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 3


class Options(enum.Flag):
    A = enum.auto()
    B = enum.auto()


@case(0.3, Kind.LINEAR)
@case(0.3, Kind.SQUARE)
def enum_members(x, kind):
    s = kind.apply(x) * kind.weight
    if kind is Kind.LINEAR:
        s = s + 1.0
    if kind == Kind.SQUARE:
        s = s * x
    return s + Kind("square").apply(x) + Kind["LINEAR"].apply(x) + Level.HIGH * x + Level.LOW.value * x


@case(0.3)
def enum_flags(x):
    o = Options.A | Options.B
    return x * 2.0 if o & Options.A and Options.B in o else x


class Holder:
    def __init__(self):
        self.f = lambda v: v * v
        self.g = np.sin
        self.h = _jitted
        self.part = functools.partial(_weighted, 2.0)
        self.table = {"f": self.method}
        self.args = (1.0, 2.0)

    def method(self, v):
        return v * 3.0


@numba.njit
def _jitted(v):
    return v * v * v


def _weighted(w, v):
    return w * v


HOLDER = Holder()


@case(0.3)
def callables_in_attributes(x):
    h = HOLDER
    return h.f(x) + h.g(x) + h.h(x) + h.part(x) + h.table["f"](x) + getattr(h, "method")(x) + h.method(*h.args[:1]) * x


@case(0.3)
def callables_in_local_attributes(x):
    h = Holder()
    return h.f(x) + h.g(x) + h.h(x) + h.part(x) + h.table["f"](x) + _weighted(*h.args) * x


class Descriptor:
    def __init__(self, k):
        self.k = k

    def __get__(self, owner, kind):
        return owner.base * math.sin(self.k)

    def __set_name__(self, owner, name):
        self.name = name


class WithDescriptor:
    d = Descriptor(2.0)

    def __init__(self, base):
        self.base = base


class WithSetter:
    def __init__(self, v):
        self.value = v

    @property
    def value(self):
        return self._value * 2.0

    @value.setter
    def value(self, v):
        self._value = math.sin(v)


@case(0.3)
def descriptors(x):
    return WithDescriptor(x).d + WithDescriptor(2.0).d * x


@case(0.3)
def property_setters(x):
    w = WithSetter(x)
    first = w.value
    w.value = x * x
    w.value += x
    setattr(w, "value", w.value * x)
    return first + w.value


class Model:
    def __init__(self, **kw):
        self.__dict__.update(kw)

    def __getattr__(self, name):
        raise AttributeError(f"no {name}")

    def value(self):
        return self.a * self.b if hasattr(self, "b") else self.a


@case(0.3)
def attributes_by_dict(x):
    return Model(a=x, b=x).value() + Model(a=x).value() + vars(Model(a=x))["a"]


class Meta(type):
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.extra = args[0] * 2.0
        return made


class WithMeta(metaclass=Meta):
    def __init__(self, x):
        self.x = math.sin(x)


@case(0.3)
def metaclass_call(x):
    o = WithMeta(x)
    return o.x * o.extra
