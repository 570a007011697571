"""The command line: `python -m pullback demo`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from . import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; what it returns is the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pullback",
        description="Gradients of plain NumPy code, as readable Python.",
    )
    parser.add_argument("--version", action="version", version=f"pullback {__version__}")
    commands = parser.add_subparsers(metavar="command", dest="command")
    commands.add_parser("demo", help="fit a model to measured data, and show every stage of its gradient")
    chosen = parser.parse_args(arguments)
    if chosen.command is None:
        parser.print_help()
        return 0
    try:
        demo = importlib.import_module(".demo", __package__)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        print(
            "The demo fits a model to a data set that comes with scikit-learn, which is not installed.\n"
            "The extra 'demo' has it: python -m pip install 'pullback[demo]'\n"
            "In a checkout:           python -m pip install '.[demo]'",
            file=sys.stderr,
        )
        return 1
    demo.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
