"""`python -m pullback`: the command line, see command/cli.py."""

from .command.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
