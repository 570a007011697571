"""Odd calls of pullback's own public names: transforms, their products, seeds, options, the printers and the checks.

Whatever is asked, the answer is a value, a refusal of ours, or the exception that the same call of the plain function
raises. None is an internal error, and none speaks of our insides. `python tests/api/odd_public.py [WORD ...]` makes
all calls.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import signal
import sys
import tempfile
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import pullback as pb
from pullback.ir.errors import IRError

ROOT = Path(pb.__file__).parents[1]
INTERNAL = re.compile(
    r"\b(?:Scalar|StagedList|Session|Symbol|Traceable|Specialisation)\b|_staged_|<traced|defect of pullback|"
    r"pullback\.(?:tracer|ir|codegen|calls)|[a-z]_\(\) (?:got|takes|missing)"
)
"""What no message to a user says."""
NEVER = (AssertionError, AttributeError, KeyError, IndexError, RecursionError, NotImplementedError, UnboundLocalError,
         NameError, IRError)  # fmt: skip
"""What only a defect raises, unless the plain function does."""
X = np.array([0.5, -1.25, 2.0])
if X is None:
    nowhere = X


class Callable_:
    def __call__(self, x):
        return np.sum(x * x)


class Slotted:
    __slots__ = ()

    def method(self, x):
        return np.sum(x * x)


def generator(x):
    yield np.sum(x)


async def coroutine(x):
    return np.sum(x)


def nothing(x):
    pass


def two(x, y):
    return np.sum(x) * y


def keywords(x, *, w):
    return np.sum(x) * w


def anything(*args, **kwargs):
    return np.sum(args[0])


FUNCTIONS: dict[str, Any] = {
    "sum": np.sum,
    "None": None,
    "text": "f",
    "number": 3,
    "list": [1],
    "array": X,
    "class": Slotted,
    "builtin": len,
    "abs": abs,
    "type": float,
    "generator": generator,
    "async": coroutine,
    "nothing": nothing,
    "two": two,
    "keywords": keywords,
    "anything": anything,
    "callable": Callable_(),
    "method": Slotted().method,
    "unbound": Slotted.method,
    "partial": functools.partial(two, y=2.0),
    "partial of None": functools.partial(two, None),
    "first": (lambda x: np.sum(x)),
    "pair": [lambda x: np.sum(x), lambda x: x[0]][1],
    "print": print,
    "ufunc": np.exp,
    "random": np.random.rand,
    "grad": pb.grad(np.sum),
    "jit": pb.jit(np.sum),
    "vectorize": np.vectorize(lambda v: v * v),
    "exception": ValueError,
    "module": np,
    "property": property(lambda self: 1.0),
    "staticmethod": staticmethod(np.sum),
    "comparison": (lambda x: x > 0.0),
    "identity": (lambda x: x),
    "text of it": (lambda x: str(x)),
    "thing": (lambda x: object()),
    "missing": (lambda x: x.nonsense),
    "wrong": (lambda x: nowhere),
    "zero": (lambda x: 1 // 0),
    "set": (lambda x: {1}),
    "eval": eval,
}
ARGUMENTS: dict[str, Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "x": lambda: ((X.copy(),), {}),
    "": lambda: ((), {}),
    "x, x": lambda: ((X.copy(), X.copy()), {}),
    "None": lambda: ((None,), {}),
    "'a'": lambda: (("a",), {}),
    "{}": lambda: (({},), {}),
    "[]": lambda: (([],), {}),
    "thing": lambda: ((object(),), {}),
    "b''": lambda: ((b"",), {}),
    "texts": lambda: ((np.array(["a"]),), {}),
    "objects": lambda: ((np.array([None, 1.0]),), {}),
    "complex": lambda: ((1.0j,), {}),
    "True": lambda: ((True,), {}),
    "half": lambda: ((X.astype(np.float16),), {}),
    "huge": lambda: ((2**70,), {}),
    "dates": lambda: ((np.array(["2020-01-01"], "M8[D]"),), {}),
    "generator": lambda: (((v for v in X),), {}),
    "range": lambda: ((range(3),), {}),
    "masked": lambda: ((np.ma.masked_array(X, [0, 1, 0]),), {}),
    "set": lambda: (({1.0},), {}),
    "matrix": lambda: ((np.asmatrix(X),), {}),
    "memoryview": lambda: ((memoryview(X),), {}),
    "keyword": lambda: ((X.copy(),), {"nonsense": 1}),
    "by name": lambda: ((), {"x": X.copy()}),
    "function": lambda: ((np.sum,), {}),
    "empty": lambda: ((np.zeros(0),), {}),
    "rank 0": lambda: ((np.array(1.5),), {}),
    "ints": lambda: ((np.arange(3),), {}),
    "loop": lambda: ((_loop(),), {}),
    "read only": lambda: ((_read_only(),), {}),
    "nan": lambda: ((float("nan"),), {}),
    "big-endian": lambda: ((X.astype(">f8"),), {}),
    "strided": lambda: ((np.arange(6.0)[::2],), {}),
}


def _loop() -> list[Any]:
    held: list[Any] = [1.0]
    held.append(held)
    return held


def _read_only() -> np.ndarray:
    x = X.copy()
    x.flags.writeable = False
    return x


ODD: dict[str, Any] = {
    "None": None,
    "'a'": "a",
    "1.5": 1.5,
    "-1": -1,
    "-9": -9,
    "99": 99,
    "2**70": 2**70,
    "()": (),
    "[]": [],
    "(0, 0)": (0, 0),
    "(0, 'a')": (0, "a"),
    "{0}": {0},
    "{}": {},
    "True": True,
    "array": X,
    "thing": object(),
    "nan": float("nan"),
    "generator": (k for k in (0,)),
    "function": len,
    "((0,),)": ((0,),),
    "b''": b"",
    "class": int,
    "int8": np.int8(0),
}
TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    name: getattr(pb, name)
    for name in (
        "grad",
        "value_and_grad",
        "jit",
        "jvp",
        "jacobian",
        "hessian",
        "hvp",
        "jacfwd",
        "jacrev",
        "vmap",
        "checkpoint",
    )
    if callable(getattr(pb, name, None)) and name in dir(pb)
}
PRINTERS = {
    "show": pb.show,
    "explain": pb.explain,
    "trace": pb.trace,
    "debug": pb.debug,
    "export": pb.export,
    "check_grad": pb.testing.check_grad,
    "vjp": pb.vjp,
    "explain_sympy": pb.explain_sympy,
}
SCIPY = {name: getattr(pb.scipy, name) for name in ("minimize", "least_squares", "root", "solve_ivp")}


def calls() -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any] | None]]:
    """What it is, the call, and the same call of the plain function where there is one."""
    for name, transform in TRANSFORMS.items():
        for given, function in FUNCTIONS.items():
            yield f"{name}({given})", lambda t=transform, f=function: t(f), None
            for how, make in ARGUMENTS.items():
                yield (f"{name}({given})({how})", lambda t=transform, f=function, m=make: _called(t(f), m),
                       lambda f=function, m=make: _called(f, m))  # fmt: skip
        for how, value in ODD.items():
            for option in ("argnums", "has_aux", "nonsense"):
                yield (
                    f"{name}(sum, {option}={how})(x)",
                    lambda t=transform, o={option: value}: t(np.sum, **o)(X),
                    None,
                )
    for name, printer in PRINTERS.items():
        for given, function in FUNCTIONS.items():
            for how, make in ARGUMENTS.items():
                yield (f"{name}({given}, {how})", lambda p=printer, f=function, m=make: p(f, *m()[0], **m()[1]),
                       lambda f=function, m=make: _called(f, m))  # fmt: skip
        for how, value in ODD.items():
            for option in ("argnums", "stage", "seed", "path", "what", "also", "passes", "rtol", "points"):
                yield (
                    f"{name}(sum, x, {option}={how})",
                    lambda p=printer, o={option: value}: p(np.sum, X, **o),
                    None,
                )
    for how, value in ODD.items():
        for where, function in {
            "array": lambda x: 2.0 * x,
            "number": np.sum,
            "dict": lambda x: {"a": x, "b": 1},
        }.items():
            yield f"pull({how}) of {where}", lambda f=function, v=value: pb.vjp(f, X)[1](v), None
            yield f"traced pull({how}) of {where}", lambda f=function, v=value: _inner_pull(f, v), None
        for option in (
            "jit",
            "cache",
            "parallel",
            "check_nan",
            "reassociate",
            "bounds_check",
            "cache_dir",
            "nonsense",
        ):
            yield f"options({option}={how})", lambda o={option: value}: _with_options(o), None
        yield f"parse({how})", lambda v=value: pb.parse(v), None
        yield f"evaluate({how})", lambda v=value: pb.evaluate(v, X), None
        for name, function in SCIPY.items():
            yield f"scipy.{name}(f, {how})", lambda f=function, v=value: f(np.sum, v), None
            yield f"scipy.{name}({how}, x)", lambda f=function, v=value: f(v, X), None
            yield (
                f"scipy.{name}(f, x, args={how})",
                lambda f=function, v=value: f(lambda x: np.sum(x * x), X, args=v),
                None,
            )
            yield (
                f"scipy.{name}(f, x, method={how})",
                lambda f=function, v=value: f(lambda x: x @ x, X, method=v),
                None,
            )
            yield (
                f"scipy.{name}(f, x, bounds={how})",
                lambda f=function, v=value: f(lambda x: x @ x, X, bounds=v),
                None,
            )


def _called(function: Any, make: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]) -> Any:
    args, kwargs = make()
    return function(*args, **kwargs)


def _inner_pull(function: Any, seed: Any) -> Any:
    return pb.jit(lambda x: pb.vjp(function, x)[1](seed))(X)


def _with_options(options: dict[str, Any]) -> Any:
    with pb.options(**options):
        return pb.grad(np.sum)(X) if options.get("jit") is False else None


def fault(call: Callable[[], Any], plain: Callable[[], Any] | None) -> str | None:
    """What is wrong with the answer; None if nothing is."""
    error = _error_of(call)
    if error is None:
        return None
    text = f"{type(error).__name__}: {error}"
    shown = " ".join(text.split())[:200]
    if INTERNAL.search(text.partition("\n  File ")[0]):
        return f"speaks of our insides: {shown}"
    if isinstance(error, pb.PullbackError) and not isinstance(error, IRError):
        lines = re.findall(r'File "(.*)", line', text)
        return f"shows a line of ours: {shown}" if any(_of_us(file) for file in lines) else None
    expected = _error_of(plain) if plain is not None else None
    if expected is not None and (type(error) is type(expected) or str(error) == str(expected)):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, NEVER) and _of_us(frames[-1].filename):
        return f"is internal: {shown} ({_where(error)})"
    return None


def _of_us(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(ROOT) and "tests" not in path.relative_to(ROOT).parts


def _where(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"


def _error_of(call: Callable[[], Any]) -> BaseException | None:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            call()
    except Exception as error:
        return error
    return None


def sample(parts: int, which: int = 0) -> list[tuple[str, Callable[[], Any], Callable[[], Any] | None]]:
    return [each for each in calls() if zlib.crc32(each[0].encode()) % parts == which]


def _too_long(*_: Any) -> None:
    raise TimeoutError("more than 10 seconds")


def main(words: list[str]) -> int:
    signal.signal(signal.SIGALRM, _too_long)
    parts, which = (int(words.pop(0)), int(words.pop(0))) if words and words[0].isdigit() else (1, 0)
    count = faults = 0
    with (
        pb.options(jit=False, cache=False),
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
    ):
        for name, call, plain in sample(parts, which):
            if words and not any(word in name for word in words):
                continue
            count += 1
            signal.alarm(10)
            what = fault(call, plain)
            signal.alarm(0)
            if what is not None:
                faults += 1
                print(f"{name}: {what}", flush=True)
    print(f"{count} calls, faults: {faults}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
