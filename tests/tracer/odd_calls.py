"""Calls that should not be: odd operands for every public name and every function that has a meaning on symbols.

Whatever is asked, the answer is a refusal of ours with the user's line, the exception that plain Python or NumPy raises
for the same call, or the same value. `python tests/tracer/odd_calls.py [WORD ...]` makes all calls (of
functions with these words in their names), and prints what is neither. The tests make a sample.
"""

from __future__ import annotations

import re
import signal
import sys
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import pullback as pb
from pullback.calls.tree import flatten
from pullback.ir.errors import IRError
from pullback.tracer.values.symbol import FUNCTIONS

INTERNAL = re.compile(
    r"'(?:Scalar|Array|Var|Lit|Symbol|StagedList|Session|Stream|Cell)'|Array object|_staged_|<traced|"
    r"defect of pullback|pullback\.(?:tracer|ir|codegen)|numpy_\w+\(\)|\w+_\(\) (?:got|takes|missing)|<lambda>\(\)"
)
"""What no message to a user says."""
UNDEFINED = {np.empty, np.empty_like}
"""Their values are any."""
KNOWN = {
    (np.modf, "f(2, x)"), (np.divmod, "f(x, x)"), (np.tril, "f([])"), (np.triu, "f([])"), (np.argwhere, "f([])"),
    (np.meshgrid, "f((x, x), 1)"), (np.ascontiguousarray, "f(x[0], x[1])"),
}  # fmt: skip
"""Still other than NumPy: an `out=` by position that stretches a number, integers over 0 (which raise in traced code),
axes of what has none."""
NOT_CALLED = {print}
"""They write to the terminal."""

OPERANDS: dict[str, Any] = {
    "vector": np.array([0.5, -1.25, 2.0]),
    "matrix": np.array([[0.5, 1.5], [2.0, -3.0]]),
    "number": 0.75,
    "no rows": np.zeros((0,)),
    "integers": np.array([3, 1, 2]),
    "no axes": np.array(1.5),
    "whole": 3,
    "singles": np.array([0.5, 2.0], np.float32),
    "booleans": np.array([True, False]),
    "cube": np.arange(8.0).reshape(2, 2, 2),
}


class Opaque:
    """An object that means nothing to anybody."""


THING = Opaque()
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "f(x)": lambda f, x: f(x),
    "f(None)": lambda f, x: (f(None), x),
    "f()": lambda f, x: (f(), x),
    "f(x, None)": lambda f, x: f(x, None),
    "f(None, x)": lambda f, x: f(None, x),
    "f(x, 'a')": lambda f, x: f(x, "a"),
    "f('a', x)": lambda f, x: f("a", x),
    "f(x, 1)": lambda f, x: f(x, 1),
    "f(x, -1)": lambda f, x: f(x, -1),
    "f(x, 1.5)": lambda f, x: f(x, 1.5),
    "f(x, 9)": lambda f, x: f(x, 9),
    "f(x, -9)": lambda f, x: f(x, -9),
    "f(2, x)": lambda f, x: f(2, x),
    "f(x, True)": lambda f, x: f(x, True),
    "f(x, x)": lambda f, x: f(x, x),
    "f(x, x, x)": lambda f, x: f(x, x, x),
    "f(x, 0, 1)": lambda f, x: f(x, 0, 1),
    "f(x, 0.5, 1.5, 2.5)": lambda f, x: f(x, 0.5, 1.5, 2.5),
    "f(x, x, x, x, x, x, x, x, x)": lambda f, x: f(x, x, x, x, x, x, x, x, x),
    "f(x, [])": lambda f, x: f(x, []),
    "f(x, ())": lambda f, x: f(x, ()),
    "f(x, [1.0, 2.0])": lambda f, x: f(x, [1.0, 2.0]),
    "f(x, (1, 0))": lambda f, x: f(x, (1, 0)),
    "f(x, [[1.0], [2.0, 3.0]])": lambda f, x: f(x, [[1.0], [2.0, 3.0]]),
    "f(x, {})": lambda f, x: f(x, {}),
    "f({'a': x})": lambda f, x: f({"a": x}),
    "f(x, THING)": lambda f, x: f(x, THING),
    "f(THING, x)": lambda f, x: f(THING, x),
    "f(x, abs)": lambda f, x: f(x, abs),
    "f(x, np.zeros(0))": lambda f, x: f(x, np.zeros(0)),
    "f(x, np.zeros((7, 5)))": lambda f, x: f(x, np.zeros((7, 5))),
    "f(x, slice(2))": lambda f, x: f(x, slice(2)),
    "f([x, x])": lambda f, x: f([x, x]),
    "f([x, None])": lambda f, x: f([x, None]),
    "f([x, 'a'])": lambda f, x: f([x, "a"]),
    "f([])": lambda f, x: (f([]), x),
    "f((x, x), 1)": lambda f, x: f((x, x), 1),
    "f([[x], [x, x]])": lambda f, x: f([[x], [x, x]]),
    "f(x, axis=-1)": lambda f, x: f(x, axis=-1),
    "f(x, axis=9)": lambda f, x: f(x, axis=9),
    "f(x, axis=1.5)": lambda f, x: f(x, axis=1.5),
    "f(x, axis='a')": lambda f, x: f(x, axis="a"),
    "f(x, axis=(0, 0))": lambda f, x: f(x, axis=(0, 0)),
    "f(x, axis=[0])": lambda f, x: f(x, axis=[0]),
    "f(x, axis=x)": lambda f, x: f(x, axis=x),
    "f(x, x, axis=9)": lambda f, x: f(x, x, axis=9),
    "f([x, x], axis=9)": lambda f, x: f([x, x], axis=9),
    "f(x, nonsense=1)": lambda f, x: f(x, nonsense=1),
    "f(x, dtype='nonsense')": lambda f, x: f(x, dtype="nonsense"),
    "f(x, dtype=None)": lambda f, x: f(x, dtype=None),
    "f(x, dtype=str)": lambda f, x: f(x, dtype=str),
    "f(x, out=3)": lambda f, x: f(x, out=3),
    "f(x, out=np.zeros(7))": lambda f, x: f(x, out=np.zeros(7)),
    "f(x, keepdims='a')": lambda f, x: f(x, keepdims="a"),
    "f(x, where=None)": lambda f, x: f(x, where=None),
    "f(x, where=[True])": lambda f, x: f(x, where=[True]),
    "f(x, ddof='a')": lambda f, x: f(x, ddof="a"),
    "f(x, shape=-1)": lambda f, x: f(x, shape=-1),
    "f(x, key=len)": lambda f, x: f(x, key=len),
    "f(x, default=None)": lambda f, x: f(x, default=None),
    "f(x, order='Q')": lambda f, x: f(x, order="Q"),
    "f(*x)": lambda f, x: f(*x),
    "f(x[0], x[1])": lambda f, x: f(x[0], x[1]),
    "f(x, x[0])": lambda f, x: f(x, x[0]),
}  # fmt: skip


@dataclass(frozen=True)
class Odd:
    """One call: which function, how, with what."""

    name: str
    function: Any
    form: str
    operand: str

    def __str__(self) -> str:
        return f"{self.name}: {self.form}, x {self.operand}"


def name_of(function: Any) -> str:
    module = getattr(function, "__module__", None) or ""
    own = getattr(function, "__self__", None)
    if isinstance(own, np.ufunc):
        return f"{own.__name__}.{function.__name__}"
    return f"{module}.{getattr(function, '__qualname__', getattr(function, '__name__', repr(function)))}"


def functions() -> dict[str, Any]:
    """All functions that mean something on symbols, by name."""
    found: dict[str, Any] = {}
    for key in FUNCTIONS:
        if isinstance(key, tuple) and isinstance(key[0], np.ufunc):
            key = getattr(key[0], key[1])
        if callable(key) and key not in NOT_CALLED:
            found.setdefault(name_of(key), key)
    return dict(sorted(found.items()))


def calls(words: tuple[str, ...] = ()) -> Iterator[Odd]:
    for name, function in functions().items():
        if words and not any(word in name for word in words):
            continue
        for form in CALLS:
            for operand in OPERANDS:
                yield Odd(name, function, form, operand)


def sample(parts: int, which: int = 0) -> list[Odd]:
    """One part of so many. What a call belongs to does not change when functions are added."""
    return [odd for odd in calls() if zlib.crc32(str(odd).encode()) % parts == which]


def outcome(run: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return run(), None
    except Exception as error:
        return None, error


def fault(odd: Odd) -> str | None:
    """What is wrong with the answer to a call; None if nothing is."""
    if (odd.function, odd.form) in KNOWN:
        return None
    form, x = CALLS[odd.form], OPERANDS[odd.operand]
    function = odd.function

    def f(x):
        return form(function, x)

    expected, plain = outcome(lambda: f(np.copy(x) if isinstance(x, np.ndarray) else x))
    found, error = outcome(lambda: pb.jit(f)(x))
    if error is not None:
        return _wrong_error(error, plain, (expected, plain) if plain is None else None)
    if plain is not None:
        return f"takes more: gives {_short(found)}, where Python raises {type(plain).__name__}: {_short(plain)}"
    if function in UNDEFINED or same(found, expected):
        return None
    return f"gives {_short(found)}, where Python gives {_short(expected)}"


def _wrong_error(error: BaseException, plain: BaseException | None, value: Any) -> str | None:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, IRError):
        return f"is a defect: {_short(text)}"
    if plain is not None and type(error) is type(plain) and str(error) == str(plain):
        return None if _lines(error) else f"shows no line of the user: {_short(text)}"
    if INTERNAL.search(text.partition("\n  File ")[0]):
        return f"speaks of our insides: {_short(text)}"
    if isinstance(error, pb.PullbackError):
        return None if f'File "{__file__}"' in text or _lines(error) else f"shows no line of the user: {_short(text)}"
    if plain is None:
        return f"stray {_short(text)} {_where(error)}, where Python gives {_short(value[0])}"
    if type(error) is not type(plain):
        return f"stray {_short(text)} {_where(error)}, where Python raises {type(plain).__name__}: {_short(plain)}"
    return None if _lines(error) else f"shows no line of the user: {_short(text)}"


def _lines(error: BaseException) -> bool:
    """Does the traceback go through the user's function?"""
    return any(frame.name in ("f", "<lambda>") for frame in traceback.extract_tb(error.__traceback__))


def _where(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    return f"({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""


def same(found: Any, expected: Any) -> bool:
    """Equal values in equal containers; of what is no number, anything counts."""
    try:
        ours, theirs = flatten(found)[0], flatten(expected)[0]
    except (TypeError, ValueError):
        return True
    if len(ours) != len(theirs):
        return False
    for a, b in zip(ours, theirs):
        if not isinstance(b, (np.ndarray, np.number, np.bool_, int, float)) or np.asarray(b).dtype.kind not in "biuf":
            continue
        if np.shape(a) != np.shape(b) or not np.allclose(a, b, _rtol(a, b), 1e-12, equal_nan=True):
            return False
    return True


def _rtol(*values: Any) -> float:
    return 1e-5 if any(np.asarray(v).dtype == np.float32 for v in values) else 1e-9


def _short(value: Any) -> str:
    text = " ".join(str(value).split()) if isinstance(value, (str, BaseException)) else " ".join(repr(value).split())
    return text if len(text) < 200 else text[:200] + "..."


def _too_long(*_: Any) -> None:
    raise TimeoutError("more than 10 seconds")


def main() -> int:
    signal.signal(signal.SIGALRM, _too_long)
    count, faults = 0, Counter()
    with pb.options(jit=False, cache=False):
        for odd in calls(tuple(sys.argv[1:])):
            count += 1
            signal.alarm(10)
            try:
                what = fault(odd)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                what = f"stops the driver: {type(error).__name__}: {_short(error)}"
            signal.alarm(0)
            if what is not None:
                faults[what.split()[0]] += 1
                print(f"{odd}: {what}", flush=True)
    print(f"{count} calls of {len(functions())} functions, faults: {sum(faults.values())} {dict(faults)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
