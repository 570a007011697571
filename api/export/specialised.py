"""One form of an exported function, and how values are written into a file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..calls.forms import Specialisation
from ..calls.tree import Tree
from ..ir.errors import TypeMismatch
from ..transforms.layout import Layout

WIDTH = 110


@dataclass
class Form:
    """One specialisation of an exported function.

    leaves, tree   the arguments: values, or types
    names          of the parameters
    layouts        for each kind that was asked for ("value", "grad", "value_and_grad", "vjp")
    kernels        the generated functions: "value" always, the kinds, and for vjp "forward" and "backward"; of a form
                   that is traced for one kind, which is a program of its own, that one
    label          what its function of arguments is called by
    """

    number: int
    form: Specialisation
    tree: Tree
    leaves: Sequence[Any]
    names: list[str]
    layouts: dict[str, Layout]
    kernels: dict[str, str]
    label: str

    @property
    def program(self) -> Any:
        return self.form.program

    def shown(self) -> str:
        """The types of the arguments: `x: float64[n], k: float64`."""
        count = len(self.form.traced.inputs) - len(self.form.traced.hidden)
        texts = []
        for given in self.program.params[:count]:
            dims = f"[{', '.join(map(str, given.type.dims))}]" if given.type.dims else ""
            texts.append(f"{given.name}: {given.type.numpy.name}{dims}")
        return ", ".join(texts)


def public_name(name: str, kind: str) -> str:
    return name if kind == "value" else f"{name}_{kind}"


def array_text(value: Any, limit: int, name: str) -> str:
    """An array or a number as Python that makes it again, to the last bit."""
    if not isinstance(value, np.ndarray):
        item = value.item() if isinstance(value, np.generic) else value
        return f"np.float32({_words(repr(item))})" if isinstance(value, np.float32) else _words(repr(item))
    if value.size > limit:
        raise TypeMismatch(
            f"{name!r} is an array of {value.size} elements from outside of the function, which is too much to write "
            "into a file: make it a parameter"
        )
    text = f"np.array({_words(repr(value.ravel().tolist()))}, dtype=np.{value.dtype.name})"
    if value.dtype == np.bool_:
        text = text.replace("dtype=np.bool)", "dtype=np.bool_)")
    return text if value.ndim == 1 else f"{text}.reshape({value.shape})"


def _words(text: str) -> str:
    return re.sub(r"\b(inf|nan)\b", r"np.\1", text)


def wrapped(text: str, indent: str = "    ") -> str:
    """A long line, broken at its spaces, if none of them can be in a string."""
    if len(text) <= WIDTH or "'" in text or '"' in text:
        return text
    return "\n".join(textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False))
