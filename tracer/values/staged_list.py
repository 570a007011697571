"""What the tracer asks of values that are more than they show: a list that staged code makes, what may be None."""

from __future__ import annotations

from typing import Any

LENGTH, TEMPLATE = "length", "template"
"""Places in the content of a list that is in arrays."""


class Optional:
    """What is None on some paths (optional.py): no symbol, for most questions need to know that it is not."""

    __slots__ = ()


class Numbers:
    """What NumPy takes for an array of numbers, and Python does not: a range."""

    def numbers(self) -> Any:
        """The array."""
        raise NotImplementedError


class Spread:
    """`*rows` among the arguments of a call, where only a run knows how many there are."""

    __slots__ = ("value",)

    def __init__(self, value: StagedList):
        self.value = value


class StagedList(list):
    """A list made by staged code (tracer/lists/lists.py); its elements can be in arrays, then `rows` is not None."""

    rows: dict[str, Any] | None
    room: tuple[int, Any] | None
    shrinks: bool
    frozen: str | None
    outside: type

    @property
    def size(self) -> Any:
        raise NotImplementedError

    def template(self) -> Any:
        raise NotImplementedError

    def array(self) -> Any:
        raise NotImplementedError

    def returned(self) -> tuple[Any, list[Any]] | None:
        """Template without sizes, and arrays of the elements, if only a run knows how many there are."""
        raise NotImplementedError

    def shown(self) -> list[Any]:
        raise NotImplementedError

    def content(self) -> dict[Any, Any]:
        raise NotImplementedError

    def restore(self, content: dict[Any, Any]) -> None:
        raise NotImplementedError
