"""What the patterns of a `match` ask of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.errors import UnsupportedSyntax
from ..calls import call
from ..values.optional import is_none
from ..values.symbol import Symbol
from .managers import Managers


class Patterns(Managers):
    """The part of `Control` for match."""

    attribute: Callable[[Any, str], Any]

    def captured(self, value: Any) -> bool:
        return True

    def is_constant(self, value: Any, wanted: bool | None) -> Any:
        if isinstance(value, Symbol) and value.type.dtype == "bool" and wanted is not None:
            raise value.session.error(
                UnsupportedSyntax,
                f"pullback cannot trace `case {wanted}` of a truth value that is known only when the program runs: it "
                "fits if that is Python's, and not if it is NumPy's. Write an `if` instead",
            )
        return is_none(value) if wanted is None else value is wanted

    def is_instance(self, value: Any, kind: Any) -> Any:
        return call(isinstance, (value, kind), {})

    def has_attribute(self, value: Any, name: str) -> bool:
        return hasattr(value, name)

    def positional(self, value: Any, kind: Any, k: int) -> Any:
        names = getattr(kind, "__match_args__", ())
        if k < len(names):
            return self.attribute(value, names[k])
        if k == 0 and kind in (bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple):
            return value
        raise TypeError(f"{kind.__name__}() accepts {len(names)} positional sub-patterns ({k + 1} given)")

    def is_sequence(self, value: Any, least: int, more: bool) -> Any:
        if not isinstance(value, (list, tuple, range)):
            return False
        length = call(len, (value,), {})
        return length >= least if more else length == least

    def listed(self, value: Any, start: int, stop: int | None) -> list[Any]:
        return list(value[start:stop])

    def has_keys(self, value: Any, *keys: Any) -> bool:
        return isinstance(value, dict) and all(key in value for key in keys)

    def without_keys(self, value: Any, *keys: Any) -> dict[Any, Any]:
        return {key: item for key, item in value.items() if key not in keys}
