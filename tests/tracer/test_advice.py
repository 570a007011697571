"""What a refusal says to write instead is a program that runs."""

from __future__ import annotations

import advice
import pytest

import pullback as pb

ROWS = advice.rows()


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.docs
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_advice_runs(row):
    advice.refusal(row)
    advice.follow(row)


MOST_NOT_YET = 26


@pytest.mark.docs
def test_every_message_is_provoked():
    """A new message needs a row in data/advice; the list of those without one only shrinks."""
    not_yet = advice.NOT_YET.read_text(encoding="utf-8").splitlines()
    found = advice.templates()
    assert len(found) > 300 and len(not_yet) <= MOST_NOT_YET
    said = [" ".join(str(advice.refusal(row)).split()) for row in ROWS]
    new = [t for t in found if str(t) not in not_yet and not any(t.pattern.search(text) for text in said)]
    assert not new, "messages without a program that follows their advice:\n" + "\n".join(map(str, new))
