"""Python's functions of iterables on traced ones: list, map, filter, next, functools.reduce and itertools."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

from ...ir.build import literal
from ...ir.errors import UnsupportedFunction
from ...ir.program import Atom
from ..calls import ALWAYS, CALLED, call
from ..lists.lists import List, is_stacked
from ..lists.sequences import ENDLESS, Once, Sequence, Stream, plain_iterator, sequence_of, symbol_of
from ..lists.streams import caller, settled
from ..objects.objects import attribute
from ..objects.operators import item, iterated
from ..session import Session
from ..values.subscripts import session_int
from ..values.symbol import Array, Scalar, Symbol, implements, require_session

Body = Callable[[Any], None]


def iterates(*functions: Any) -> Any:
    """Register what a function means in staged code, whatever its arguments are."""
    ALWAYS.update(functions)
    return implements(*functions)


def _is_traced(iterable: Any) -> bool:
    return isinstance(iterable, (Sequence, Stream, Array)) or is_stacked(iterable)


def _values(iterable: Any) -> Any:
    """Something to subscript: the list of what it gives."""
    return caller().gather(iterable)


@iterates(list)
def list_(iterable: Any = ()) -> List:
    return caller().gather(iterable) if _is_traced(iterable) else List(iterated(iterable))


@iterates(tuple)
def tuple_(iterable: Any = ()) -> Any:
    if not _is_traced(iterable):
        return tuple(iterated(iterable))
    found = caller().gather(iterable)
    if not is_stacked(found):
        return tuple(found)
    found.frozen = "this is a tuple, whose elements cannot be changed"
    return found


@iterates(iter)
def iter_(iterable: Any, *sentinel: Any) -> Any:
    if isinstance(iterable, (Stream, Once)) and not sentinel:
        return iterable
    if sentinel or not _is_traced(iterable):
        return plain_iterator(require_session(), iter(iterated(iterable), *sentinel))
    if isinstance(iterable, Array) and not iterable.dims:
        raise TypeError("iteration over a 0-d array")
    return Stream(lambda loop, body: loop(iterable, body))


@iterates(next)
def next_(iterator: Any, *default: Any) -> Any:
    return next(iterator, *default)


@iterates(map)
def map_(function: Any, *iterables: Any) -> Any:
    if not any(map(_is_traced, iterables)):
        each = map(lambda *values: call(function, values, {}), *iterables)
        return plain_iterator(require_session(), each)
    source = iterables[0] if len(iterables) == 1 else call(zip, iterables, {})
    spread = len(iterables) > 1

    def give(loop: Any, body: Body) -> None:
        loop(source, lambda value: body(call(function, value if spread else (value,), {})))

    return Stream(give)


@iterates(itertools.starmap)
def starmap(function: Any, iterable: Any) -> Stream:
    return Stream(lambda loop, body: loop(iterable, lambda value: body(call(function, tuple(value), {}))))


def _filtered(function: Any, iterable: Any, wanted: bool) -> Stream:
    control = caller()

    def give(loop: Any, body: Body) -> None:
        def each(value: Any) -> None:
            test = value if function is None or function is bool else call(function, (value,), {})
            control.when(test if wanted else control.not_(test), lambda: body(value))

        loop(iterable, each)

    return Stream(give)


@iterates(filter)
def filter_(function: Any, iterable: Any) -> Stream:
    return _filtered(function, iterable, True)


@iterates(itertools.filterfalse)
def filterfalse(function: Any, iterable: Any) -> Stream:
    return _filtered(function, iterable, False)


@iterates(functools.reduce)
def reduce(function: Any, iterable: Any, *initial: Any) -> Any:
    control = caller()

    def step(total: Any, value: Any) -> Any:
        return value if total is _NOTHING else call(function, (total, value), {})

    if initial:
        return control.fold(iterable, step, initial[0])
    if not _is_traced(iterable):
        return control.fold(iterable, step, _NOTHING)
    values = _values(iterable)
    if not is_stacked(values):
        return control.fold(values, step, _NOTHING)
    return control.fold(values[1:], step, values[0])


_NOTHING = None


# -- itertools -----------------------------------------------------------------------------------------


@iterates(itertools.chain)
def chain(*iterables: Any) -> Stream:
    def give(loop: Any, body: Body) -> None:
        for iterable in iterables:
            loop(iterable, body)

    return Stream(give)


@iterates(itertools.chain.from_iterable)
def chain_from(iterable: Any) -> Stream:
    return Stream(lambda loop, body: loop(iterable, lambda part: loop(part, body)))


@iterates(itertools.count)
def count(start: Any = 0, step: Any = 1) -> Any:
    session = require_session()

    def item(k: Atom) -> Any:
        return start + symbol_of(session, k) * step

    return Once(session, Sequence(literal(ENDLESS, "i64"), item))


@iterates(itertools.repeat)
def repeat(value: Any, times: Any = None) -> Any:
    length = literal(ENDLESS, "i64") if times is None else call(range, (times,), {}).length
    return Once(require_session(), Sequence(length, lambda k: value))


@iterates(itertools.cycle)
def cycle(iterable: Any) -> Any:
    values = _values(iterable)
    session = require_session()

    def item(k: Atom) -> Any:
        return values[symbol_of(session, k) % call(len, (values,), {})]

    return Once(session, Sequence(literal(ENDLESS, "i64"), item))


@iterates(itertools.islice)
def islice(iterable: Any, *bounds: Any) -> Any:
    if not _is_traced(iterable):
        return itertools.islice(iterable, *bounds)
    session = require_session()
    inner = sequence_of(session, settled(iterable))
    if inner is None:
        return itertools.islice(settled(iterable), *bounds)
    return Once(session, _part(session, inner, slice(*bounds)))


def _part(session: Session, inner: Sequence, places: slice) -> Sequence:
    """Some of the values of a sequence."""
    builder = session.builder
    start = places.start or 0
    step = 1 if places.step is None else session_int(session, places.step, "the step of islice()")
    end = symbol_of(session, inner.length)
    stop = end if places.stop is None else call(min, (places.stop, end), {})
    number = call(range, (start, stop, step), {})

    def item(k: Atom) -> Any:
        value = number.item(k)
        atom = value.atom if isinstance(value, Scalar) else literal(value, "i64")
        return inner.item(builder.integer(builder.affine(atom)))

    return Sequence(number.length, item, inner.arrays)


@iterates(*(f for f in (getattr(itertools, "pairwise", None),) if f is not None))
def pairwise(iterable: Any) -> Any:
    values = settled(iterable) if _is_traced(iterable) else list(iterated(iterable))
    session = require_session()
    inner = sequence_of(session, values)
    if inner is None:
        return zip(values, values[1:])
    return call(zip, (inner, _part(session, inner, slice(1, None))), {})


@iterates(itertools.accumulate)
def accumulate(iterable: Any, func: Any = None, *, initial: Any = None) -> Any:
    control = caller()
    step = operator.add if func is None else func

    def give(loop: Any, body: Body) -> None:
        frame = control.frame("accumulate", total=initial)
        if initial is not None:
            body(initial)

        def each(value: Any) -> None:
            total = frame.total
            total = value if total is None else call(step, (total, value), {})
            vars(frame)["total"] = total
            body(total)

        loop(iterable, each)

    return Stream(give)


@iterates(itertools.product)
def product(*iterables: Any, repeat: int = 1) -> Any:
    lists = [_values(i) if _is_traced(i) else list(iterated(i)) for i in iterables] * repeat
    if not any(map(is_stacked, lists)):
        return itertools.product(*lists)

    def give(loop: Any, body: Body) -> None:
        def run(k: int, taken: tuple[Any, ...]) -> None:
            if k == len(lists):
                body(taken)
            else:
                loop(lists[k], lambda value: run(k + 1, (*taken, value)))

        run(0, ())

    return Stream(give)


def _chosen(iterable: Any, r: Any, gap: int, plain: Any) -> Any:
    """Choices of r places in ascending order, each at least `gap` behind the one before."""
    values = _values(iterable) if _is_traced(iterable) else list(iterated(iterable))
    if not is_stacked(values):
        return plain(values, r)
    session = require_session()
    number = session_int(session, r, "the number of values in a combination")
    length = call(len, (values,), {})

    def give(loop: Any, body: Body) -> None:
        def run(k: int, start: Any, taken: tuple[Any, ...]) -> None:
            if k == number:
                return body(taken)
            return loop(call(range, (start, length), {}), lambda i: run(k + 1, i + gap, (*taken, values[i])))

        run(0, 0, ())

    return Stream(give)


@iterates(itertools.combinations)
def combinations(iterable: Any, r: Any) -> Any:
    return _chosen(iterable, r, 1, itertools.combinations)


@iterates(itertools.combinations_with_replacement)
def combinations_with_replacement(iterable: Any, r: Any) -> Any:
    return _chosen(iterable, r, 0, itertools.combinations_with_replacement)


@iterates(itertools.zip_longest)
def zip_longest(*iterables: Any, fillvalue: Any = None) -> Any:
    lists = [_values(i) if _is_traced(i) else list(iterated(i)) for i in iterables]
    if not any(map(is_stacked, lists)):
        return itertools.zip_longest(*lists, fillvalue=fillvalue)
    return itertools.zip_longest(*map(list, lists), fillvalue=fillvalue)


@iterates(itertools.takewhile)
def takewhile(predicate: Any, iterable: Any) -> Any:
    return _refuse_if_traced("takewhile", itertools.takewhile, predicate, iterable)


@iterates(itertools.dropwhile)
def dropwhile(predicate: Any, iterable: Any) -> Any:
    return _refuse_if_traced("dropwhile", itertools.dropwhile, predicate, iterable)


@iterates(itertools.groupby)
def groupby(iterable: Any, key: Any = None) -> Any:
    return _refuse_if_traced("groupby", lambda key, values: itertools.groupby(values, key), key, iterable)


def _refuse_if_traced(name: str, plain: Any, function: Any, iterable: Any) -> Any:
    control = caller()

    def known(value: Any) -> Any:
        answer = value if function is None else call(function, (value,), {})
        if isinstance(answer, Symbol):
            raise require_session().error(
                UnsupportedFunction, f"itertools.{name} of traced values cannot be traced. Write the loop with `break`"
            )
        return answer

    values = list(control.gather(iterable)) if _is_traced(iterable) else iterable
    return plain(known, values)


# -- getters of the operator module --------------------------------------------------------------------


def _one(getter: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) != 1 or kwargs:
        raise TypeError(f"{type(getter).__name__} expected 1 argument, got {len(args) + len(kwargs)}")
    return args[0]


def _attributes(getter: Any, args: Any, kwargs: Any) -> Any:
    holder = _one(getter, args, kwargs)
    found = [functools.reduce(attribute, name.split("."), holder) for name in getter.__reduce__()[1]]
    return found[0] if len(found) == 1 else tuple(found)


def _items(getter: Any, args: Any, kwargs: Any) -> Any:
    holder = _one(getter, args, kwargs)
    found = [item(holder, key) for key in getter.__reduce__()[1]]
    return found[0] if len(found) == 1 else tuple(found)


def _method(caller_of: Any, args: Any, kwargs: Any) -> Any:
    made, given = caller_of.__reduce__()
    named = made.keywords if isinstance(made, functools.partial) else {}
    name, rest = (given[0], given[1:]) if not named else (made.args[0], given)
    return call(attribute(_one(caller_of, args, kwargs), name), tuple(rest), named)


CALLED.update({operator.attrgetter: _attributes, operator.itemgetter: _items, operator.methodcaller: _method})
