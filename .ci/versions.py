"""The versions in pyproject.toml: `lowest` prints them pinned, `raise numba 0.70` lifts the upper bound past it."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(text: str) -> list[str]:
    """Each dependency at its lower bound.

    >>> lowest('[project]\\ndependencies = ["numpy>=1.26", "numba>=0.60,<0.69"]')
    ['numpy==1.26', 'numba==0.60']
    """
    found = tomllib.loads(text)["project"]["dependencies"]
    return [re.sub(r"^([\w-]+)>=([\d.]+).*$", r"\1==\2", dependency) for dependency in found]


def raised(text: str, name: str, version: str) -> str:
    """The text with an upper bound that lets this release in; as it was if it is in already.

    >>> raised('dependencies = ["numba>=0.60,<0.69"]', "numba", "0.70.1")
    'dependencies = ["numba>=0.60,<0.71"]'
    """
    major, minor = map(int, version.split(".")[:2])

    def bound(found: re.Match[str]) -> str:
        old = tuple(map(int, found[2].split(".")))
        return found[1] + ".".join(map(str, max(old, (major, minor + 1))))

    return re.sub(rf"(\"{name}>=[\d.]+,<)([\d.]+)", bound, text)


if __name__ == "__main__":
    if sys.argv[1] == "lowest":
        print(*lowest(PROJECT.read_text()))
    else:
        PROJECT.write_text(raised(PROJECT.read_text(), *sys.argv[2:]))
