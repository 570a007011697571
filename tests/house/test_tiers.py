"""Each test is in one tier, so that the tiers together are the suite."""

import pytest
import tiers


def test_every_test_is_in_one_tier(request):
    wrong = [f"{item.nodeid}: {sorted(tiers.of(item))}" for item in request.session.items if len(tiers.of(item)) != 1]
    assert not wrong, "give it one mark of tests/tiers.py, or its folder one"


def test_every_folder_of_tests_has_a_tier():
    folders = {path.relative_to(tiers.HERE).parts[0] for path in tiers.HERE.rglob("test_*.py")}
    assert folders == tiers.FOLDERS.keys()


def test_names_of_tests_are_unique():
    """Modules are imported by their names, wherever they lie."""
    names = [path.name for path in tiers.HERE.rglob("*.py")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("set_to, outcome", [("0", "skipped"), ("1", "failed")])
def test_a_skip_fails_where_no_library_may_be_missing(set_to, outcome, monkeypatch):
    monkeypatch.setenv("PULLBACK_REQUIRE_PEERS", set_to)
    report = pytest.TestReport("test", ("", 0, ""), {}, "skipped", "no such library", "call")
    tiers.required(report)
    assert report.outcome == outcome
