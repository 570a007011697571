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
