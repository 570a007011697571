"""Libraries that are imported when an adapter is called."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, extra: str) -> Any:
    """The module. Raises ImportError with the name of the extra that installs it."""
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise ImportError(
            f"pullback.adapters.{extra} needs {library}, which is not installed: "
            f"python -m pip install 'pullback[{extra}]'",
            name=library,
        ) from None
