"""What a refusal says to write instead is a program that runs."""

from __future__ import annotations

import importlib.util

import advice
import pytest

import pullback as pb

ROWS = advice.rows()


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.peer if row.needs else pytest.mark.docs, id=str(row)) for row in ROWS]
)
def test_the_advice_runs(row):
    if row.needs:
        pytest.importorskip(row.needs, exc_type=ImportError)
    advice.refusal(row)
    advice.follow(row)


@pytest.mark.docs
def test_the_page_of_all_messages_is_made_of_the_rows():
    assert advice.PAGE.read_text(encoding="utf-8") == advice.page(), "run python tests/tracer/advice.py --write"


def _said(row):
    missing = row.needs and importlib.util.find_spec(row.needs) is None
    return " ".join((row.message if missing else str(advice.refusal(row))).split())


@pytest.mark.docs
def test_every_message_is_provoked():
    """A new message needs a row in data/advice; an error that no program reaches is an assertion."""
    found = advice.templates()
    assert len(found) > 300
    said = [*map(_said, ROWS)]
    new = [t for t in found if not any(t.pattern.search(text) for text in said)]
    assert not new, "messages without a program that follows their advice:\n" + "\n".join(map(str, new))
