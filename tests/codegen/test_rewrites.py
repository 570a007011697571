"""Each rewrite of code generation is seen to fire, and changes nothing but rounding: see rewrites.py.

More of it: `python tests/codegen/test_rewrites.py 200`.
"""

import sys

import pytest
from rewrites import FAMILIES, PARTS, PASSES, check

GENERAL = {"scalarise", "simplify", "common", "dead_code", "bufferize", "hoist_allocations"}
"""Nothing is generated without them."""
ELSEWHERE = {
    "apply_calls": "test_rules.py", "lower_calls": "test_solving.py", "elide_checks": "test_stages.py",
    "preaccumulate": "test_chains.py", "fuse_and_contract": "test_contract.py",
    "interchange": "test_interchange.py", "reorder": "test_order.py",
}  # fmt: skip
"""Changes of the order of loops, whose proofs are tested there; and what is made of parts that are counted here."""


def test_each_rewrite_has_its_functions():
    assert {*PASSES, *PARTS} == {*FAMILIES} | GENERAL | {*ELSEWHERE}


@pytest.mark.fuzz
@pytest.mark.parametrize("name", FAMILIES)
def test_rewrites_change_rounding_only(name, monkeypatch):
    assert check(name, monkeypatch, rounds=1)[name] > 0


if __name__ == "__main__":
    for family in FAMILIES:
        with pytest.MonkeyPatch.context() as patch:
            print(family, check(family, patch, int(sys.argv[1]), seed=1)[family], flush=True)
