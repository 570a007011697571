"""The loops of this folder, compiled: each is a function of a file that is also plain Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from .. import options
from ..compile import compile_source


@cache
def _text(file: str) -> str:
    return (Path(__file__).parent / f"{file}.py").read_text()


def loop(file: str, name: str) -> Callable[..., Any]:
    """A function of one of the files here, compiled if the options say so."""
    settings = options.current()
    return compile_source(_text(file), name, jit=settings.jit, cache_dir=settings.cache_dir)
