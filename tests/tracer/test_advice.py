"""What a refusal says to write instead is a program that runs."""

from __future__ import annotations

import pytest
from advice import ADVICE, NOT_YET, messages, without_advice

import pullback as pb


@pytest.mark.parametrize("fragment, refused, follows", ADVICE, ids=[row[0] for row in ADVICE])
def test_the_advice_runs(fragment, refused, follows):
    with pb.options(jit=False, cache=False):
        with pytest.raises(pb.PullbackError) as raised:
            refused()
        assert fragment in str(raised.value)
        follows()


def test_every_message_has_an_entry():
    """A new message needs an entry in `advice.ADVICE`; the list of those without one only shrinks."""
    not_yet = NOT_YET.read_text(encoding="utf-8").splitlines()
    assert len(set(messages())) > 250 and len(not_yet) <= 273
    new = [text for text in without_advice() if text not in not_yet]
    assert not new, "messages without a program that follows their advice:\n" + "\n".join(new)
